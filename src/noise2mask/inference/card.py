"""The model card of a bundle: what the network is, how good it was found, what to beware of."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from noise2mask import plugins
from noise2mask.data.prepared import Manifest
from noise2mask.evaluation.bootstrap import estimate_mean
from noise2mask.evaluation.tables import read_table, resampling_of
from noise2mask.files import checked
from noise2mask.inference.inputs import FAR
from noise2mask.inference.model import Model
from noise2mask.study.paths import BLIND
from noise2mask.study.schema import Study

FEW_UNITS = 20
"""Independent test units below which a mean says little about other patients."""

Score = Mapping[str, Any]
"""sampler, metric, mean, low, high, n."""


def scores_of(
    study: Study, folder: Path, model: Model, manifest: Manifest
) -> tuple[list[Score], tuple[str, ...]]:
    """What the study measured of a training on its test cases, and the warnings it calls for.

    Args:
        study: of the training.
        folder: of the training, with those of its samplers.
        model: says which samplers count.
        manifest: of the prepared data, which says which cases are of one patient or slide.

    Returns:
        A row a sampler and metric, intervals over independent units; none of a sampler that was
        not evaluated.
    """
    group_of = {case.image: case.group for case in manifest.cases}
    rows: list[Score] = []
    warnings = []
    for name in model.ways:
        path = folder / name / "metrics.csv"
        if not path.exists():
            warnings.append(f"The sampler {name} was not evaluated.")
            continue
        rows += _summary(study, name, read_table(checked(path)), group_of)
    units = manifest.units.get("test", 0)
    if rows and units < FEW_UNITS:
        warnings.append(
            f"The scores are over {units} independent test units, too few to speak for others."
        )
    blind = _blind_dice(folder.parents[2] / "blind")
    for row in rows:
        beyond = blind is None or (row["low"] is not None and row["low"] > blind)
        if row["metric"] == "dice" and not beyond:
            warnings.append(
                f"With {row['sampler']} Dice is not beyond that of a prediction that does not look "
                f"at the image ({blind:.3f})."
            )
    return rows, tuple(warnings)


def _summary(
    study: Study, sampler: str, metrics: pd.DataFrame, group_of: Mapping[str, str]
) -> list[Score]:
    rows = []
    for metric, cell in metrics.groupby("metric", sort=False):
        groups = [group_of.get(str(case), str(case)) for case in cell["case"]]
        found = estimate_mean(
            cell["value"], units=groups, resampling=resampling_of(study)
        ).interval()
        rows.append({"sampler": sampler, "metric": str(metric), **found._asdict()})
    return [{key: _number(value) for key, value in row.items()} for row in rows]


def _number(value: Any) -> Any:
    """JSON has no NaN."""
    return None if isinstance(value, float) and value != value else value


def _blind_dice(folder: Path) -> float | None:
    """The higher mean Dice of the predictions that do not look at the image, if scored."""
    means = []
    for name in BLIND:
        path = folder / name / "metrics.csv"
        if path.exists():
            table = read_table(checked(path))
            means.append(float(table.loc[table["metric"] == "dice", "value"].mean()))
    return max(means, default=None)


def card(
    model: Model,
    run: Mapping[str, Any],
    scores: Sequence[Score],
    warnings: Sequence[str],
    programs: Mapping[str, Mapping[str, Any]],
) -> str:
    """The model card, Markdown.

    Args:
        model: the network.
        run: content of its ``run.json``.
        scores: of :func:`scores_of`.
        warnings: sentences.
        programs: what is said of each file with one step of the network.
    """
    data, settings, prepared = run["data"], model.trained.run.settings, model.preparation
    parameters = sum(each.numel() for each in model.trained.network.parameters())
    cases = ", ".join(f"{count} {split}" for split, count in data["cases"].items())
    cut = (
        f"cut into tiles of {prepared.tile} px" + (
            f" after being shrunk to {prepared.shrink} px" if prepared.shrink else ""
        )
        if prepared.tile
        else "taken whole"
    )  # fmt: skip
    parts = [
        f"# {settings.network.title}, {settings.mode}, trained on {data['name']}",
        "A research model. It is no medical device and was validated on nothing but the test cases "
        "named below.",
        "```\nnoise2mask predict <this folder> <images> --output <folder>\n```",
        _listed(
            {
                "architecture": f"{settings.network.architecture}, {parameters / 1e6:.3g} M "
                "weights",
                "mode": f"{settings.mode}, target {settings.diffusion.target}, "
                f"{settings.training.steps} steps, seed {settings.seed}",
                "data": f"{data['name']} (kind {data['kind']}): {cases}",
                "licence of the data": data["licence"] or "not stated",
                "images": f"{data['channels']} channel(s), {cut}, resized to "
                f"{prepared.resolution} x {prepared.resolution}; sides of {prepared.shortest} to "
                f"{prepared.longest} px",
                "run": run["digest"],
                "made with": ", ".join(f"{k} {v}" for k, v in run["versions"].items()),
            }
        ),
        "## Samplers",
        "\n".join(
            f"- `{name}`{' (used where none is named)' if place == 0 else ''}: {_way(model, name)}"
            for place, name in enumerate(model.ways)
        ),
        "## Scores",
        _table([row for row in scores if not _of_probabilities(row)]),
        "## Calibration",
        "Of the probabilities, before any is made a mask; `_band` is about the boundary of the "
        "reference alone. Lower is better, but for `error_auroc`.",
        _table([row for row in scores if _of_probabilities(row)]),
        "## Limits",
        "\n".join(f"- {text}" for text in _limits(model)),
        "## Warnings",
        "\n".join(f"- {text}" for text in warnings) or "None were found.",
        "## In MONAI",
        "```\npython -m monai.bundle run --config_file configs/inference.json --bundle_root . "
        "--dataset_dir <images> --output_dir <folder>\n```",
        "gives the masks of `noise2mask predict` on the same device; it needs noise2mask and, for "
        "MONAI's command line, the package fire.",
    ]
    if programs:
        parts += ["## One step as a program", *(_told(*each) for each in programs.items())]
    return "\n\n".join(parts) + "\n"


def _of_probabilities(row: Score) -> bool:
    """Whether a metric is one of calibration."""
    return str(row["metric"]).removesuffix("_band") in plugins.names("calibration")


def _limits(model: Model) -> tuple[str, ...]:
    """What no score tells."""
    prepared = model.preparation
    size = (
        f"Images with sides beyond {prepared.shortest} / {FAR} to {prepared.longest} x {FAR} px "
        "are refused: at another scale nothing is known of it."
        if prepared.tile is None
        else f"Tiles of {prepared.tile} px are segmented alone; nothing larger is seen at once."
    )
    return (
        "Scores are of test cases of the same source as the training's. Another scanner, stain or "
        "clinic is not tested.",
        f"Details finer than a pixel at {prepared.resolution} px are lost before the network sees "
        "them.",
        size,
        "Volumes are segmented slice by slice; a slice knows nothing of its neighbours.",
        "Entropy and deviation are the network's own doubt. They are measured on images like the "
        "training's and promise nothing on others.",
    )


def _told(name: str, program: Mapping[str, Any]) -> str:
    """What is said of a file with one step."""
    opset = f", opset {program['opset']}" if "opset" in program else ""
    return (
        f"`{name}` is the network alone, for a batch of one image: inputs "
        f"{', '.join(program['inputs'])}, images standardised by the mean and deviation in "
        f"`bundle.json`. Its output differs from torch's by at most {program['difference']:.1e} of "
        f"the largest value (tolerance {program['tolerance']:.0e}{opset})."
    )


def _listed(facts: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def _way(model: Model, name: str) -> str:
    way = model.ways[name]
    drawn = f"{way.sampler.sampler}, {way.sampler.draws} draw(s) of {way.sampler.steps} step(s)"
    tempered = "" if way.temperature is None else f", temperature {way.temperature:.3g}"
    return f"{drawn}, fused by {way.fusion}{tempered}, mask where P > {way.threshold:g}"


def _table(scores: Sequence[Score]) -> str:
    if not scores:
        return "None: the training was not evaluated."
    lines = [
        "| Sampler | Metric | Mean | Interval | Test cases |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for row in scores:
        mean, few = _shown(row["mean"]), row["low"] is None
        interval = "too few units" if few else f"{_shown(row['low'])} to {_shown(row['high'])}"
        lines.append(f"| {row['sampler']} | {row['metric']} | {mean} | {interval} | {row['n']} |")
    note = (
        "Means over test cases with bootstrap intervals over independent units (patients, slides)."
    )
    return "\n".join([*lines, "", note])


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"
