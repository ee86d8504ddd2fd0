"""Writes the tables of docs/paper_small.md anew from the pilot's numbers in benchmarks/pilot/.

The pilot is one training as published, stopped and looked at on its way. Its files:

* ``curve.csv``: by arm and step, the mean training loss since the line before, the loss over val at
  16 evenly spaced t with averaged weights, and processor seconds so far;
* ``loss.csv``: the eps-loss over t of the averaged weights, with its standard error over cases;
* ``scores.csv``: of each sampler, the mean over cases of Dice and IoU of the mean of the draws,
  Dice of single draws, pooled ECE, ECE by case, Brier score;
* ``floor.csv``: the test loss at high noise, taken apart;
* ``clipping.csv``: the scores under three ways of clipping x_0.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "paper_small.md"
ARMS = {
    "eps_1e-3": "32 groups, rate 1e-3",
    "eps_cosine5k": "32 groups, cosine to 5,000",
    "g8_cosine5k": "8 groups, cosine to 5,000",
    "g8_cosine10k": "8 groups, cosine to 10,000",
    "g8_cosine20k": "8 groups, cosine to 20,000",
    "ff_1e-3": "feed-forward, 32 groups, rate 1e-3",
    "g8_ff_1e-3": "feed-forward, 8 groups, rate 1e-3",
}
SHOWN = [
    ("one_pass", 1), ("ddim", 2), ("ddim", 3), ("ddim", 5), ("ddim", 10), ("ddim", 20),
    ("ddim", 50), ("dpm_solver", 10), ("dpm_solver", 20), ("ddpm", 100), ("ddpm", 1000),
]  # fmt: skip
TITLES = {"one_pass": "one pass", "ddim": "DDIM", "dpm_solver": "DPM-Solver++", "ddpm": "DDPM"}


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(HERE / "pilot" / f"{name}.csv")


def grid(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def places(table: pd.DataFrame) -> list[tuple[str, int]]:
    found = table[["arm", "step"]].drop_duplicates().itertuples(index=False)
    order = list(ARMS)
    return sorted(
        ((str(a), int(s)) for a, s in found if a in ARMS), key=lambda p: (order.index(p[0]), p[1])
    )


def learning() -> str:
    """Loss over val and the quality of the masks on test, by arm and step."""
    curve, scores = read("curve"), read("scores")
    test = scores[scores["split"] == "test"]
    rows = []
    for arm, step in places(test):
        here = test[(test["arm"] == arm) & (test["step"] == step)]
        seen = curve[(curve["arm"] == arm) & (curve["step"] == step)]
        cells = [ARMS[arm], f"{step:,}", f"{seen['val_0.999'].iloc[0]:.4f}" if len(seen) else "–"]
        for sampler, count in (("one_pass", 1), ("ddim", 10), ("ddpm", 100), ("ddpm", 1000)):
            one = here[(here["sampler"] == sampler) & (here["evaluations"] == count)]
            cells.append(
                f"{one['dice'].iloc[0]:.3f} / {one['ece'].iloc[0]:.3f}" if len(one) else "–"
            )
        rows.append(cells)
    header = ["training", "steps", "loss over val", "one pass", "DDIM 10", "DDPM 100", "DDPM 1000"]
    return grid(header, rows)


def evaluations() -> str:
    """Quality against evaluations of the last network of each arm of 8 groups."""
    scores = read("scores")
    test = scores[(scores["split"] == "test") & scores["arm"].str.startswith("g8_cosine")]
    last = [(arm, step) for arm, step in places(test) if f"{step // 1000}k" in arm]
    rows = []
    for sampler, count in SHOWN:
        cells = [TITLES[sampler], str(count)]
        for arm, step in last:
            one = test[
                (test["arm"] == arm) & (test["step"] == step)
                & (test["sampler"] == sampler) & (test["evaluations"] == count)
            ]  # fmt: skip
            names = ("dice", "dice_single", "ece", "brier")
            cells += [f"{one[name].iloc[0]:.3f}" if len(one) else "–" for name in names]
            cells.append(str(one["draws"].iloc[0]) if len(one) else "–")
        rows.append(cells)
    header = ["sampler", "evaluations"]
    for _, step in last:
        header += [f"Dice at {step:,} steps", "of single draws", "ECE, pooled", "Brier", "N"]
    return grid(header, rows)


def noise() -> str:
    """The eps-loss on val over t."""
    table = read("loss")
    table = table[table["split"] == "val"]
    shown = [
        t
        for t in sorted(set(table["t"]))
        if t in (0, 10, 20, 40, 60, 80, 100, 130, 160, 200, 300, 500, 700, 900, 999)
    ]
    rows = []
    for arm, step in places(table):
        here = table[(table["arm"] == arm) & (table["step"] == step)].set_index("t")["eps"]
        rows.append([ARMS[arm], f"{step:,}", *(f"{1000 * here[t]:.3g}" for t in shown)])
    return grid(["training", "steps", *(f"t = {t}" for t in shown)], rows)


def floor() -> str:
    """What the loss at high noise is made of."""
    rows = [
        [
            ARMS[row.arm],
            f"{row.step:,}",
            str(row.t),
            *(f"{1000 * value:.3g}" for value in (row.total, row.offset, row.scale, row.rest)),
        ]
        for row in read("floor").itertuples(index=False)
    ]
    return grid(
        ["training", "steps", "t", "loss", "of the mean of the noise", "of its scale", "rest"], rows
    )


def clipping() -> str:
    """Scores of one network under three ways of clipping."""
    table = read("clipping")
    rows = [
        [
            f"{TITLES[row.sampler]} {row.evaluations}",
            row.clipped,
            f"{row.dice:.3f}",
            f"{row.dice_single:.3f}",
            f"{row.ece:.3f}",
            f"{row.brier:.3f}",
        ]
        for row in table.itertuples(index=False)
    ]
    return grid(
        ["sampler", "x_0 is clipped to", "Dice", "of single draws", "ECE, pooled", "Brier"], rows
    )


TABLES: dict[str, Callable[[], str]] = {
    "learning": learning, "evaluations": evaluations, "noise": noise, "floor": floor,
    "clipping": clipping,
}  # fmt: skip


def filled(page: str) -> str:
    """The page with each table between its two marks made anew."""
    for name, table in TABLES.items():
        marks = rf"(<!-- pilot: {name} -->\n).*?(<!-- end -->)"
        made = table()
        page, count = re.subn(
            marks, lambda m, made=made: f"{m[1]}{made}\n{m[2]}", page, flags=re.DOTALL
        )
        if count != 1:
            sys.exit(f"{PAGE} must have one place for the table {name}, has {count}")
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
