"""The analysis of a study: its tables, from what the stages have left below a folder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from noise2mask.analysis.claims.evidence import Evidence, claims_found, predictions_found
from noise2mask.analysis.claims.verdicts import finding_table
from noise2mask.analysis.draw_count import by_draws
from noise2mask.analysis.fingerprints.grown import CASE_COLUMNS, grown_table
from noise2mask.analysis.information import tables as summaries
from noise2mask.analysis.information.curves import MEASURED
from noise2mask.analysis.information.humps import GIVEN
from noise2mask.analysis.oracles.oracles import COLUMNS as ORACLE_COLUMNS
from noise2mask.evaluation.bootstrap import CaseGroups
from noise2mask.evaluation.columns import COLUMNS, AnalysisTables, empty
from noise2mask.evaluation.differences import Pair, quirk_table
from noise2mask.evaluation.pareto import cost_table, cost_to_reach, pareto_table
from noise2mask.evaluation.tables import Tables, compared, groups_of, read_table, resampling_of
from noise2mask.files import checked, said_by_run
from noise2mask.study.grid import grid_table
from noise2mask.study.paths import AGAINST_PROPER, FINGERPRINT_TABLES, Paths
from noise2mask.study.plan import (
    analysis_tables,
    baseline_trainings,
    described_datasets,
    draws_compared,
    draws_masks,
    grown_datasets,
    measured_modes,
    priced_baselines,
    priced_trainings,
    proper_masks,
    quirky_datasets,
    samplers_of,
    steps_ratios,
    trainings_of,
)
from noise2mask.study.schema import Study


class Sources(NamedTuple):
    """What the tables of an analysis are made of.

    Attributes:
        groups: of each (dataset, case), of single cases and of whole images.
        measured: losses of all modes on test cases, see ``analysis.curves``; `error` is that of the
            estimate as the network gives it, `clipped` that within the levels of x_0.
        described: the tables of a dataset's fingerprint by dataset.
        grown: how far the masks of each case grow, by dataset and resolution.
        against: scores of predictions learnt on other masks against the proper ones.
        missing: a line for each result that is not there.
    """

    groups: CaseGroups
    measured: pd.DataFrame
    described: Mapping[str, Mapping[str, pd.DataFrame]]
    grown: pd.DataFrame
    against: pd.DataFrame
    missing: list[str]

    def clipped(self) -> pd.DataFrame:
        """The losses of clipped estimates, the better bounds."""
        return self.measured.assign(error=self.measured["clipped"])

    def gathered(self, table: str, columns: tuple[str, ...]) -> pd.DataFrame:
        """A table of fingerprints, all datasets together."""
        found = [
            tables[table].assign(dataset=dataset) for dataset, tables in self.described.items()
        ]
        return pd.concat(found or [pd.DataFrame(columns=list(columns))])[list(columns)]

    def oracles(self) -> pd.DataFrame:
        """Scores of oracles for each case."""
        return self.gathered("cases", ("dataset", *ORACLE_COLUMNS))


def analyse(study: Study, paths: Paths, scores: Tables) -> tuple[AnalysisTables, list[str]]:
    """The tables of a study's analysis, and a line for each result that is missing."""
    sources = _sources(study, paths)
    makers = _makers(study, sources, scores) | {
        "draws": lambda: _draws(study, scores),
        "references": lambda: _references(study, paths),
    }
    wanted = analysis_tables(study)
    tables = replace(
        AnalysisTables.empty(), **{each: makers[each]() for each in wanted if each in makers}
    )
    evidence = evidence_of(study, sources, scores, tables)
    if "hypotheses" in wanted:
        tables = replace(tables, hypotheses=finding_table(predictions_found(evidence)))
    if "claims" in wanted and len(scores.metrics):
        tables = replace(tables, claims=finding_table(claims_found(evidence)))
    if study.costs:
        tables = replace(tables, **_priced(study, paths, scores.summary, sources.missing))
    return tables, sources.missing


def evidence_of(study: Study, sources: Sources, scores: Tables, tables: AnalysisTables) -> Evidence:
    """What claims and predictions are decided on; datasets with a quirk prove nothing anew."""
    quirky = quirky_datasets(study)
    return Evidence(
        study=study,
        metrics=scores.metrics[~scores.metrics["dataset"].isin(quirky)],
        histograms=scores.histograms[~scores.histograms["dataset"].isin(quirky)],
        summary=scores.summary,
        comparisons=scores.comparisons,
        history=scores.history,
        analysis=tables,
        measured=sources.measured,
        oracles=sources.oracles(),
        groups=sources.groups,
        resampling=resampling_of(study),
    )


def _draws(study: Study, scores: Tables) -> pd.DataFrame:
    drawn = draws_compared(study)
    masks = [
        mode
        for mode, entry in study.modes.items()
        if any(draws_masks(study, name) for name in entry.samplers)
    ]
    return by_draws(scores.summary, scores.reliability, drawn, masks=masks)


def _references(study: Study, paths: Paths) -> pd.DataFrame:
    """What the runs of references say of themselves, each note of a dataset once."""
    rows = []
    for training in baseline_trainings(study):
        path = paths.finished(training) / "run.json"
        notes = said_by_run(path, "notes")["notes"] if path.exists() else []
        rows += [(training.dataset, training.network, note) for note in notes]
    return pd.DataFrame(rows, columns=list(COLUMNS["references"])).drop_duplicates()


def _priced(
    study: Study, paths: Paths, summary: pd.DataFrame, missing: list[str]
) -> dict[str, pd.DataFrame]:
    """The tables of costs; what was not measured is added to `missing`."""
    files = {paths.costs(): "costs"} if priced_trainings(study) else {}
    files |= {
        paths.baseline_cost(training): f"{training.dataset} {training.network} cost"
        for training in priced_baselines(study)
    }
    found = [rows for path, label in files.items() for rows in _read(path, label, missing)]
    costs = _together(found, cost_table([]))
    pareto = pareto_table(costs, summary)
    return {"costs": costs, "pareto": pareto, "cost_to_reach": cost_to_reach(pareto)}


def _makers(
    study: Study, sources: Sources, scores: Tables
) -> dict[str, Callable[[], pd.DataFrame]]:
    """What makes each table but those of claims."""
    resampling = resampling_of(study)
    groups, pair = sources.groups, study.analysis.pair
    modes = pair.model_dump() if pair else {"with_image": "", "without_image": ""}
    given = {name for name, entry in study.modes.items() if entry.mode in GIVEN}
    shorter = {
        network: summaries.Shorter(study.analysis.shorter[network], ratio)
        for network, ratio in steps_ratios(study).items()
    }
    levels = {mode: entry.levels for mode, entry in study.modes.items()}
    contrasts = [Pair(*names) for names in study.contrasts]
    return {
        "losses": lambda: summaries.loss_table(sources.measured, groups, resampling),
        "structure": lambda: summaries.structure_table(
            sources.measured, groups, resampling, given=given
        ),
        "information": lambda: summaries.information_table(
            sources.clipped(), sources.oracles(), groups, resampling, **modes, shorter=shorter
        ),
        "integrand": lambda: summaries.integrand_table(
            sources.clipped(), sources.oracles(), **modes
        ),
        "oracles": lambda: sources.gathered("curves", COLUMNS["oracles"]),
        "image_oracles": lambda: sources.gathered("readability", COLUMNS["image_oracles"]),
        "fingerprints": lambda: sources.gathered("figures", COLUMNS["fingerprints"]),
        "grid": lambda: grid_table(levels),
        "contrasts": lambda: compared(study, scores.metrics, scores.histograms, groups, contrasts),
        "grown_masks": lambda: grown_table(sources.grown, resampling=resampling),
        "quirks": lambda: quirk_table(
            scores.metrics, study.quirks, groups, against=sources.against, resampling=resampling
        ),
    }


def _sources(study: Study, paths: Paths) -> Sources:
    missing: list[str] = []
    described = {}
    for dataset in described_datasets(study):
        folder = paths.fingerprint(dataset)
        if any(folder.glob("*.csv")):
            described[dataset] = {
                table: read_table(checked(folder / f"{table}.csv")) for table in FINGERPRINT_TABLES
            }
        else:
            missing.append(f"{dataset} fingerprint")
    measured = []
    for place in measured_modes(study):
        label = f"{place.dataset} {place.network} seed {place.seed} losses"
        for rows in _read(paths.measured(place), label, missing):
            measured.append(rows[rows["split"] == "test"].assign(**place._asdict()))
    grown = [
        rows.assign(dataset=dataset)
        for dataset in grown_datasets(study)
        for rows in _read(paths.grown(dataset), f"{dataset} grown masks", missing)
    ]
    return Sources(
        groups_of(study, paths.study, paths.root),
        _together(measured, pd.DataFrame(columns=[*MEASURED, "clipped"])),
        described,
        _together(grown, pd.DataFrame(columns=["dataset", *CASE_COLUMNS])),
        _together(_against_proper(study, paths), empty("against_proper")),
        missing,
    )


def _against_proper(study: Study, paths: Paths) -> list[pd.DataFrame]:
    """Predictions on datasets whose masks have a quirk, scored against the proper masks."""
    quirky = proper_masks(study)
    files = [
        paths.finished(training) / sampler / AGAINST_PROPER
        for training in trainings_of(study)
        if training.dataset in quirky
        for sampler in samplers_of(study, training)
    ]
    return [read_table(checked(path)) for path in files if path.exists()]


def _read(path: Path, label: str, missing: list[str]) -> list[pd.DataFrame]:
    """The table of a stage, or none where its file is not there, which `missing` then tells."""
    if path.exists():
        return [read_table(checked(path))]
    missing.append(label)
    return []


def _together(found: Sequence[pd.DataFrame], nothing: pd.DataFrame) -> pd.DataFrame:
    """Tables below each other; without one what has the columns and no row."""
    return pd.concat(found or [nothing], ignore_index=True)
