"""The analysis of a study: its tables, from what the stages have left below a folder."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from noise2mask.analysis.claims import (
    paper_losses,
    paper_noise,
    paper_scores,
    predictions,
    predictions_losses,
)
from noise2mask.analysis.claims.verdicts import Finding, Resampling, table, untested
from noise2mask.analysis.draw_count import by_draws
from noise2mask.analysis.information import tables as summaries
from noise2mask.analysis.information.curves import MEASURED
from noise2mask.analysis.information.humps import GIVEN
from noise2mask.analysis.oracles.oracles import COLUMNS as ORACLE_COLUMNS
from noise2mask.evaluation import contrasts, quirks
from noise2mask.evaluation.columns import COLUMNS, AnalysisTables
from noise2mask.evaluation.labels import labels_of
from noise2mask.evaluation.pareto import cost_table, cost_to_reach, pareto_table
from noise2mask.evaluation.resampling import CaseGroups
from noise2mask.evaluation.score import scores_of
from noise2mask.evaluation.tables import PLANNED, Tables, groups_of, read_table, resampling_of
from noise2mask.files import checked, said_by_run
from noise2mask.study.grid import grid_table
from noise2mask.study.paths import (
    DRAWS,
    FINGERPRINT_TABLES,
    RESULTS,
    baseline_cost_file,
    cost_file,
    described_folder,
    measured_file,
    prepared,
    training_folder,
)
from noise2mask.study.plan import (
    analysis_tables,
    baseline_trainings,
    described_datasets,
    draws_compared,
    draws_masks,
    measured_modes,
    priced_baselines,
    priced_trainings,
    quirky_datasets,
    run_settings,
    samplers_of,
    steps_ratios,
    trainings_of,
)
from noise2mask.study.schema import Hypotheses, Study, Training

NAMES = ("dice", "iou", "ece", "brier")
"""Metrics of sweeps and contrasts."""


class Sources(NamedTuple):
    """What the tables of an analysis are made of.

    Attributes:
        groups: of each (dataset, case), of single cases and of whole images.
        measured: losses of all modes on test cases, see ``analysis.curves``; `error` is that of the
            estimate as the network gives it, `clipped` that within the levels of x_0.
        described: the tables of :mod:`noise2mask.analysis.fingerprints.fingerprint` by dataset.
        metrics: scores of single cases.
        against: of predictions learnt on other masks, see ``analysis.quirks``.
        missing: a line for each result that is not there.
    """

    groups: CaseGroups
    measured: pd.DataFrame
    described: Mapping[str, Mapping[str, pd.DataFrame]]
    metrics: pd.DataFrame
    against: pd.DataFrame
    missing: list[str]

    def clipped(self) -> pd.DataFrame:
        """The losses of clipped estimates, the better bounds."""
        return self.measured.assign(error=self.measured["clipped"])

    def gathered(self, table: str, columns: tuple[str, ...]) -> pd.DataFrame:
        """A table of :mod:`noise2mask.analysis.fingerprints.fingerprint`, all datasets together."""
        found = [
            tables[table].assign(dataset=dataset) for dataset, tables in self.described.items()
        ]
        return pd.concat(found or [pd.DataFrame(columns=list(columns))])[list(columns)]

    def oracles(self) -> pd.DataFrame:
        """Scores of oracles for each case."""
        return self.gathered("cases", ("dataset", *ORACLE_COLUMNS))


def analyse(
    study: Study, name: str, root: Path, scores: Tables
) -> tuple[AnalysisTables, list[str]]:
    """The tables of a study's analysis, and a line for each result that is missing.

    Args:
        study: the study.
        name: its name.
        root: folder that holds ``results`` and ``data``.
        scores: the tables of its scores.
    """
    sources = _sources(study, name, root, scores.metrics)
    makers = _makers(study, sources) | {
        "draws": lambda: _draws(study, scores),
        "references": lambda: _references(study, name, root),
    }
    wanted = analysis_tables(study)
    tables = replace(
        AnalysisTables.empty(), **{each: makers[each]() for each in wanted if each in makers}
    )
    if study.hypotheses is not None:
        found = findings(study, sources, tables)
        tables = replace(tables, hypotheses=table(found))
    if "claims" in wanted and len(scores.metrics):
        found_claims = _claims(study, sources, tables, scores.comparisons)
        tables = replace(tables, claims=paper_scores.table(found_claims))
    if study.costs:
        tables = replace(tables, **_priced(study, name, root, scores.summary, sources.missing))
    return tables, sources.missing


def _draws(study: Study, scores: Tables) -> pd.DataFrame:
    drawn = draws_compared(study)
    masks = [
        mode
        for mode, entry in study.modes.items()
        if any(draws_masks(study, name) for name in entry.samplers)
    ]
    return by_draws(scores.summary, scores.reliability, drawn, masks=masks)


def _references(study: Study, name: str, root: Path) -> pd.DataFrame:
    """What the runs of references say of themselves, each note of a dataset once."""
    rows = []
    for training in baseline_trainings(study):
        path = training_folder(root / RESULTS, name, training) / "run.json"
        notes = said_by_run(path, "notes")["notes"] if path.exists() else []
        rows += [(training.dataset, training.network, note) for note in notes]
    return pd.DataFrame(rows, columns=list(COLUMNS["references"])).drop_duplicates()


def _priced(
    study: Study, name: str, root: Path, summary: pd.DataFrame, missing: list[str]
) -> dict[str, pd.DataFrame]:
    """The tables of costs; what was not measured is added to `missing`."""
    paths = {root / cost_file(name): "costs"} if priced_trainings(study) else {}
    paths |= {
        root / baseline_cost_file(name, training): f"{training.dataset} {training.network} cost"
        for training in priced_baselines(study)
    }
    found = [cost_table([])]
    for path, label in paths.items():
        if path.exists():
            found.append(read_table(checked(path)))
        else:
            missing.append(label)
    costs = pd.concat(found[1:] or found, ignore_index=True)
    pareto = pareto_table(costs, summary)
    return {"costs": costs, "pareto": pareto, "cost_to_reach": cost_to_reach(pareto)}


def _makers(study: Study, sources: Sources) -> dict[str, Callable[[], pd.DataFrame]]:
    """What makes each table but that of the hypotheses."""
    options = resampling_of(study)
    groups, pair = sources.groups, study.analysis.pair
    modes = pair.model_dump() if pair else {"with_image": "", "without_image": ""}
    given = {name for name, entry in study.modes.items() if entry.mode in GIVEN}
    shorter = {
        network: summaries.Shorter(study.analysis.shorter[network], ratio)
        for network, ratio in steps_ratios(study).items()
    }
    starts = {key: entry.start for key, entry in study.samplers.items() if entry.start is not None}
    levels = {mode: entry.levels for mode, entry in study.modes.items()}
    return {
        "losses": lambda: summaries.loss_table(sources.measured, groups, **options),
        "structure": lambda: summaries.structure_table(
            sources.measured, groups, given=given, **options
        ),
        "information": lambda: summaries.information_table(
            sources.clipped(), sources.oracles(), groups, **modes, shorter=shorter, **options
        ),
        "integrand": lambda: summaries.integrand_table(
            sources.clipped(), sources.oracles(), **modes
        ),
        "oracles": lambda: sources.gathered("curves", COLUMNS["oracles"]),
        "image_oracles": lambda: sources.gathered("readability", COLUMNS["image_oracles"]),
        "fingerprints": lambda: sources.gathered("figures", COLUMNS["fingerprints"]),
        "grid": lambda: grid_table(levels),
        "sweeps": lambda: contrasts.sweep_table(
            sources.metrics, groups, names=NAMES, starts=starts, **options
        ),
        "contrasts": lambda: contrasts.contrast_table(
            sources.metrics, study.contrasts, groups, names=NAMES, planned=PLANNED, **options
        ),
        "quirks": lambda: quirks.quirk_table(
            sources.metrics, study.quirks, groups, against=sources.against, names=NAMES, **options
        ),
    }


def findings(study: Study, sources: Sources, tables: AnalysisTables) -> list[Finding]:
    """P1 to P7, each tested or with the reason why not."""
    named = study.hypotheses or Hypotheses()
    metrics, groups = sources.metrics, sources.groups
    options = resampling_of(study)
    resampling = Resampling(**options)
    tests: dict[str, Callable[..., Finding]] = {
        "p1": lambda **modes: predictions_losses.p1_hump(
            sources.measured, sources.oracles(), groups, **modes, resampling=resampling
        ),
        "p2": lambda **modes: predictions_losses.p2_timesteps(
            sources.measured, groups, **modes, resampling=resampling
        ),
        "p3": lambda **modes: predictions.p3_ranking(
            tables.information, tables.sweeps, **modes, resampling=resampling
        ),
        "p4": lambda **modes: predictions.p4_schedule(
            metrics, tables.fingerprints, groups, **modes, resampling=resampling
        ),
        "p5": lambda **modes: predictions.p5_target(
            metrics, groups, **modes, resampling=resampling
        ),
        "p6": lambda **modes: predictions.p6_ensemble(
            metrics, groups, **modes, resampling=resampling
        ),
        "p7": lambda **modes: predictions.p7_recycling(
            metrics, tables.fingerprints, groups, **modes, resampling=resampling
        ),
    }
    found = []
    for key, test in tests.items():
        modes = getattr(named, key)
        if modes is None:
            description = str(type(named).model_fields[key].description)
            claim = f"{description[0].upper()}{description[1:]}."
            found.append(untested(key.upper(), claim, "", "this study does not name its modes"))
        else:
            found.append(test(**modes.model_dump()))
    return found


def _claims(
    study: Study, sources: Sources, tables: AnalysisTables, comparisons: pd.DataFrame
) -> list[paper_scores.Claim]:
    """The claims of the paper, each tested or with the reason why not."""
    metrics, groups, pair = sources.metrics, sources.groups, study.analysis.pair
    metrics = metrics[~metrics["dataset"].isin(quirky_datasets(study))]
    setting = paper_scores.Setting(
        labels_of(study),
        {key: entry.stands_for for key, entry in study.datasets.items() if entry.stands_for},
        study.resolution,
    )
    resampling = Resampling(**resampling_of(study))
    curves, modes = (tables.losses, tables.structure), pair.model_dump() if pair else None
    return [
        *(
            paper_scores.c1_same_architecture(
                metrics, comparisons, groups, setting, metric=metric, resampling=resampling
            )
            for metric in PLANNED
        ),
        paper_scores.c2_references(metrics, groups, setting, resampling=resampling),
        paper_losses.c3_images(*curves, setting, mode=_on_eps(study, "image_diffusion")),
        paper_losses.c3_masks(*curves, setting, mode=_on_eps(study, "diffusion")),
        paper_noise.c4_gradual(tables.image_oracles, tables.oracles, setting),
        paper_noise.c5_fingerprints(tables.fingerprints, setting),
        paper_noise.c6_idle_timesteps(
            sources.clipped(), groups, setting, pair=modes, resampling=resampling
        ),
    ]


def _on_eps(study: Study, mode: str) -> str | None:
    """The first measured mode of this kind that is trained on eps."""
    for training in trainings_of(study):
        measured = (
            training.mode in study.analysis.measured and study.modes[training.mode].mode == mode
        )
        if measured and run_settings(study, training).diffusion.target == "eps":
            return training.mode
    return None


def _sources(study: Study, name: str, root: Path, metrics: pd.DataFrame) -> Sources:
    missing: list[str] = []
    described = {}
    for dataset in described_datasets(study):
        folder = root / described_folder(name, dataset)
        if any(folder.glob("*.csv")):
            described[dataset] = {
                table: read_table(checked(folder / f"{table}.csv")) for table in FINGERPRINT_TABLES
            }
        else:
            missing.append(f"{dataset} fingerprint")
    measured = [pd.DataFrame(columns=[*MEASURED, "clipped"])]
    for place in measured_modes(study):
        path = root / measured_file(name, place)
        if path.exists():
            rows = read_table(checked(path))
            measured.append(rows[rows["split"] == "test"].assign(**place._asdict()))
        else:
            missing.append(f"{place.dataset} {place.network} seed {place.seed} losses")
    together = pd.concat(measured[1:] or measured, ignore_index=True)
    groups, against = groups_of(study, name, root), _against_proper(study, name, root)
    return Sources(groups, together, described, metrics, against, missing)


def _against_proper(study: Study, name: str, root: Path) -> pd.DataFrame:
    """Predictions on datasets whose masks have a quirk, scored against the proper masks."""
    pairs = {
        other: proper
        for quirk in study.quirks.values()
        for proper, other in quirk.datasets.items()
        if study.datasets[proper].masks != study.datasets[other].masks
    }
    found = [pd.DataFrame(columns=[*Training._fields, "sampler", "case", "metric", "value"])]
    for training in trainings_of(study):
        for sampler in samplers_of(study, training) if training.dataset in pairs else ():
            draws = training_folder(root / RESULTS, name, training) / sampler / DRAWS["test"]
            data = root / prepared(name, pairs[training.dataset])
            if draws.exists() and data.exists():
                scores = scores_of(study, sampler, draws, data)
                found.append(scores.assign(**training._asdict(), sampler=sampler))
    return pd.concat(found[1:] or found, ignore_index=True)
