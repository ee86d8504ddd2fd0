"""Markdown tables of what published codes do to their own numbers."""

from collections.abc import Sequence

import pandas as pd

from noise2mask.evaluation.labels import Labels, names_in, number
from noise2mask.report.markdown import ACROSS, escaped, grid

METRIC = "dice"
"""Metric of the tables; the others are in ``quirks.csv``."""

_TRAINING = ["network", "mode", "sampler"]


def points_table(quirks: pd.DataFrame, labels: Labels) -> str:
    """Published minus proper in Dice points with interval, datasets side by side."""
    rows = quirks[quirks["metric"] == METRIC]
    datasets = names_in(rows, "dataset")
    cells = {
        (str(row["quirk"]), *(str(row[name]) for name in _TRAINING), str(row["dataset"])): row
        for _, row in rows.iterrows()
    }
    parts = []
    for start in range(0, len(datasets), ACROSS):
        across = datasets[start : start + ACROSS]
        body = []
        for quirk, *training in dict.fromkeys(key[:-1] for key in cells if key[-1] in across):
            found = [cells.get((quirk, *training, dataset)) for dataset in across]
            title = next(str(row["title"]) for row in found if row is not None)
            points = ["–" if row is None else _points(row) for row in found]
            body.append([escaped(title), *_training(training, rows, labels), *points])
        titles = [escaped(labels.dataset(dataset)) for dataset in across]
        parts.append(grid(["Quirk", "Architecture", "Training", *titles], body, left=3))
    return "\n".join(parts)


def masks_table(quirks: pd.DataFrame, labels: Labels) -> str:
    """Dice of the quirks that change reference masks, and what it is against proper masks."""
    rows = quirks[(quirks["metric"] == METRIC) & quirks["against_proper"].notna()]
    body = []
    for _, row in rows.iterrows():
        where = [escaped(str(row["title"])), escaped(labels.dataset(str(row["dataset"])))]
        values = [number(float(row[name]), 3) for name in ("proper", "published", "against_proper")]
        training = _training([str(row[name]) for name in _TRAINING], rows, labels)
        body.append([*where, *training, *values])
    header = [
        "Quirk", "Dataset", "Architecture", "Training", "Proper Dice", "Published Dice",
        "against proper masks",
    ]  # fmt: skip
    return grid(header, body, left=4) if body else ""


def _training(key: Sequence[str], rows: pd.DataFrame, labels: Labels) -> list[str]:
    """Network and mode, with the sampler where the mode has several in the table."""
    network, mode, sampler = key
    samplers = rows.loc[rows["mode"] == mode, "sampler"].unique()
    name = labels.mode(mode) + (f" ({sampler})" if len(samplers) > 1 else "")
    return [escaped(labels.network(network)), escaped(name)]


def _points(row: pd.Series) -> str:
    """A difference in hundredths with its interval, e.g. ``+1.2 [0.4, 2.0]``."""
    mean, low, high = (number(100 * float(row[name]), 1) for name in ("difference", "low", "high"))
    plus = "+" if mean != "–" and float(mean) > 0 else ""
    return f"{plus}{mean}" + (f" [{low}, {high}]" if "–" not in (low, high) else "")
