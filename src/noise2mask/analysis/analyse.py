"""The analysis of a study: its tables, from what the stages have left below a folder."""

from collections.abc import Callable, Mapping
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
from noise2mask.study.paths import (
    AGAINST_PROPER,
    FINGERPRINT_TABLES,
    RESULTS,
    baseline_cost_file,
    cost_file,
    described_folder,
    grown_file,
    measured_file,
    training_folder,
)
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
    sources = _sources(study, name, root)
    makers = _makers(study, sources, scores) | {
        "draws": lambda: _draws(study, scores),
        "references": lambda: _references(study, name, root),
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
        tables = replace(tables, **_priced(study, name, root, scores.summary, sources.missing))
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


def _makers(
    study: Study, sources: Sources, scores: Tables
) -> dict[str, Callable[[], pd.DataFrame]]:
    """What makes each table but those of claims."""
    resampling = resampling_of(study)
    options = resampling._asdict()
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
        "contrasts": lambda: compared(study, scores.metrics, scores.histograms, groups, contrasts),
        "grown_masks": lambda: grown_table(sources.grown, resampling=resampling),
        "quirks": lambda: quirk_table(
            scores.metrics, study.quirks, groups, against=sources.against, resampling=resampling
        ),
    }


def _sources(study: Study, name: str, root: Path) -> Sources:
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
    grown = _grown(study, name, root, missing)
    return Sources(groups, together, described, grown, against, missing)


def _grown(study: Study, name: str, root: Path, missing: list[str]) -> pd.DataFrame:
    """How far the masks of each case grow; what was not measured is added to `missing`."""
    found = [pd.DataFrame(columns=["dataset", *CASE_COLUMNS])]
    for dataset in grown_datasets(study):
        path = root / grown_file(name, dataset)
        if path.exists():
            found.append(read_table(checked(path)).assign(dataset=dataset))
        else:
            missing.append(f"{dataset} grown masks")
    return pd.concat(found[1:] or found, ignore_index=True)


def _against_proper(study: Study, name: str, root: Path) -> pd.DataFrame:
    """Predictions on datasets whose masks have a quirk, scored against the proper masks."""
    found = [empty("against_proper")]
    quirky = proper_masks(study)
    for training in trainings_of(study):
        for sampler in samplers_of(study, training) if training.dataset in quirky else ():
            folder = training_folder(root / RESULTS, name, training) / sampler
            if (folder / AGAINST_PROPER).exists():
                found.append(read_table(checked(folder / AGAINST_PROPER)))
    return pd.concat(found[1:] or found, ignore_index=True)
