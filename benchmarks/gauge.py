"""The gauge of the bits: the whole pipeline on data whose truth is known.

    PYTHONPATH=tests nice python benchmarks/gauge.py [--data <folder>] [--tables]

Draws the data, runs the study `gauge.yaml` on them (it goes on where it stopped), sets every
estimate of its report beside the truth in `gauge.csv`, sums that up in `gauge_errors.csv`, and
writes the tables of README.md and docs/analysis.md from that. With --tables nothing is run: the
tables are made of the `gauge.csv` that lies there.
"""

import argparse
import math
import re
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from helpers.exact_tasks import MarkovRows
from PIL import Image

from noise2mask.analysis.information.tables import doubts
from noise2mask.seeds import seed_of

HERE = Path(__file__).parent
STUDY, TABLE, ERRORS = (HERE / f"gauge{end}" for end in (".yaml", ".csv", "_errors.csv"))
PAGES = {HERE / "README.md": "estimates", HERE.parent / "docs" / "analysis.md": "summary"}
SIDE, CASES = 32, 100
MASKS = {
    "long_runs": {"correlation": 0.96},
    "short_runs": {"correlation": 0.8},
    "squares": {"correlation": 0.6, "block": 4},
}
NOISES = (1.0, 2.5, 6.0)
ESTIMATES = ("covariance", "difference", "orthogonal")


def tasks() -> dict[str, MarkovRows]:
    """Every kind of mask under every noise, by the name of its dataset."""
    return {
        f"{name}_{noise:g}".replace(".", "_"): MarkovRows(
            (SIDE, SIDE), noise=noise, foreground=0.3, **options
        )
        for (name, options), noise in product(MASKS.items(), NOISES)
    }


def draw(folder: Path) -> None:
    """Write images and masks of every task as PNG of 8 bits, each below a folder of its name.

    Grey values hold -1 - 4 noise to 1 + 4 noise. A step between them adds less than 0.1 % to the
    variance of the noise, and one value in 10 000 is cut off.
    """
    for name, task in tasks().items():
        masks, images = task.sample(np.random.default_rng(seed_of("gauge", name)), CASES)
        reach = 1 + 4 * task.noise
        grey = np.clip(np.rint(127.5 * (1 + images / reach)), 0, 255).astype(np.uint8)
        for case in range(CASES):
            for role, array in (("images", grey[case]), ("masks", 255 * (masks[case] > 0))):
                path = folder / name / role / f"{case:03d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array.astype(np.uint8)).save(path)


def compared(information: pd.DataFrame) -> pd.DataFrame:
    """Every estimate beside the truth.

    Columns: dataset, steps, estimate, `truth` and `bits`, the interval over test cases `low` to
    `high`, for the covariance also `fit`, what training may have left wrong (NaN where there is no
    shorter training), the interval `low_fit` to `high_fit` that holds it, and `doubts`, the reasons
    of a report not to trust the bits, joined by a blank.
    """
    known = {(each.dataset, each.network): [] for each in doubts(information)}
    for each in doubts(information):
        known[each.dataset, each.network].append(each.reason)
    truth = {name: task.bits for name, task in tasks().items()}
    rows = []
    for row in information[information["estimate"].isin(ESTIMATES)].itertuples(index=False):
        fit = 0.0 if math.isnan(row.fit) else row.fit
        low, high = (math.sqrt((row.bits - end) ** 2 - fit**2) for end in (row.low, row.high))
        whole = (math.nan, math.nan) if math.isnan(row.fit) else (row.low, row.high)
        told = " ".join(known.get((row.dataset, row.network), []))
        rows.append(
            (row.dataset, int(row.network.removeprefix("steps_")), row.estimate,
             truth[row.dataset], row.bits, row.bits - low, row.bits + high, row.fit, *whole,
             told if row.estimate == "covariance" else "")
        )  # fmt: skip
    names = ("dataset", "steps", "estimate", "truth", "bits", "low", "high", "fit", "low_fit",
             "high_fit", "doubts")  # fmt: skip
    order = list(truth)
    table = pd.DataFrame(rows, columns=list(names))
    return table.sort_values(
        ["dataset", "steps"], key=lambda c: c.map(order.index) if c.name == "dataset" else c,
        kind="stable",
    )  # fmt: skip


def grid(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown, names to the left and numbers to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def estimates(table: pd.DataFrame) -> str:
    """A row for each task and length of training."""
    rows = []
    for (dataset, steps), found in table.groupby(["dataset", "steps"], sort=False):
        by = found.set_index("estimate")
        off = 100 * (by["bits"] / by["truth"] - 1)
        own = by.loc["covariance"]
        whole = "–" if math.isnan(own["fit"]) else f"{own['low_fit']:.1f} to {own['high_fit']:.1f}"
        rows.append(
            [f"{str(dataset).replace('_', ' ').replace('2 5', '2.5')}", f"{steps}",
             f"{own['truth']:.1f}", f"{own['bits']:.1f}", f"{own['low']:.1f} to {own['high']:.1f}",
             whole, own["doubts"] or "none", *(f"{off[name]:+.0f}" for name in ESTIMATES)]
        )  # fmt: skip
    header = ["masks, noise", "steps", "true bits", "covariance", "interval over cases",
              "with training", "doubts", "off, %", "difference", "orthogonal"]  # fmt: skip
    return grid(header, rows)


def errors(table: pd.DataFrame) -> pd.DataFrame:
    """How far each estimate is off, in per cent of the truth: median and largest over tasks."""
    off = 100 * (table["bits"] / table["truth"] - 1).abs()
    found = off.groupby([table["steps"], table["estimate"]]).agg(["median", "max", "count"])
    names = {"max": "largest", "count": "tasks"}
    return found.rename(columns=names).reset_index()


def summary(table: pd.DataFrame) -> str:
    """A row for each length of training, over all tasks."""
    rows = []
    off = errors(table).set_index(["steps", "estimate"])
    for steps, found in table.groupby("steps"):
        own = found[found["estimate"] == "covariance"]
        fitted = own[own["fit"].notna()]
        rows.append(
            [f"{steps}", f"{len(own)}",
             *("{median:.0f} ({largest:.0f})".format(**off.loc[(steps, name)])
               for name in ESTIMATES),
             f"{_held(own, '')} of {len(own)}",
             f"{_held(fitted, '_fit')} of {len(fitted)}" if len(fitted) else "–",
             f"{(own['doubts'] == '').sum()}"]
        )  # fmt: skip
    header = ["steps", "tasks", *(f"{name} off, %" for name in ESTIMATES),
              "truth in interval over cases", "with training", "trusted"]  # fmt: skip
    return grid(header, rows)


def _held(table: pd.DataFrame, which: str) -> int:
    """Number of intervals that hold the truth."""
    low, high = table[f"low{which}"], table[f"high{which}"]
    return int(((low <= table["truth"]) & (table["truth"] <= high)).sum())


def filled(page: str, which: str, table: pd.DataFrame) -> str:
    """The page with the table between its two marks made anew.

    Raises:
        ValueError: the page has not exactly one place for it.
    """
    made = {"estimates": estimates, "summary": summary}[which](table)
    marks = rf"(<!-- gauge: {which} -->\n).*?(<!-- end -->)"
    page, count = re.subn(marks, lambda m: f"{m[1]}{made}\n{m[2]}", page, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"a page must have one place for the table {which}, has {count}")
    return page


def read() -> pd.DataFrame:
    """The table that lies here."""
    return pd.read_csv(TABLE, keep_default_na=True).fillna({"doubts": ""})


def main() -> None:
    """Draw, run, compare, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("work/gauge"), help="for the images")
    parser.add_argument("--tables", action="store_true", help="run nothing")
    options = parser.parse_args()
    if not options.tables:
        draw(options.data)
        command = ["noise2mask", "reproduce", "--study", str(STUDY), "--data", str(options.data)]
        subprocess.run(command, check=True)
        found = pd.read_csv("build/reports/gauge/information.csv")
        compared(found).to_csv(TABLE, index=False, float_format="%.4g", lineterminator="\n")
    errors(read()).to_csv(ERRORS, index=False, float_format="%.4g", lineterminator="\n")
    for path, which in PAGES.items():
        path.write_text(filled(path.read_text(encoding="utf-8"), which, read()), encoding="utf-8")


if __name__ == "__main__":
    main()
