"""The analysis of a study: its tables, from what the stages have left below a folder."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from noise2mask.analysis import hypotheses, loss_hypotheses, summaries, sweeping
from noise2mask.analysis.contents import COLUMNS, AnalysisTables
from noise2mask.analysis.curves import MEASURED, CaseGroups
from noise2mask.analysis.findings import Finding, Resampling, table, untested
from noise2mask.analysis.oracles import COLUMNS as ORACLE_COLUMNS
from noise2mask.config import Hypotheses, Study
from noise2mask.designs import grid_table
from noise2mask.layout import described_folder, measured_file
from noise2mask.plan import analysis_tables, described_datasets, measured_places
from noise2mask.tables import PLANNED, groups_of, read_table, resampling_of

NAMES = ("dice", "iou", "ece", "brier")
"""Metrics of sweeps and contrasts."""


class Sources(NamedTuple):
    """What the tables of an analysis are made of.

    Attributes:
        groups: of each (dataset, case), of single cases and of whole images.
        measured: losses of all modes on test cases, see ``analysis.curves``; `error` is that of the
            estimate as the network gives it, `clipped` that within the levels of x_0.
        described: the tables of :mod:`noise2mask.describing` by dataset.
        metrics: scores of single cases.
        missing: a line for each result that is not there.
    """

    groups: CaseGroups
    measured: pd.DataFrame
    described: Mapping[str, Mapping[str, pd.DataFrame]]
    metrics: pd.DataFrame
    missing: list[str]

    def clipped(self) -> pd.DataFrame:
        """The losses of clipped estimates, the better bounds."""
        return self.measured.assign(error=self.measured["clipped"])

    def gathered(self, table: str, columns: tuple[str, ...]) -> pd.DataFrame:
        """One of the tables of :mod:`noise2mask.describing`, all datasets together."""
        found = [
            tables[table].assign(dataset=dataset) for dataset, tables in self.described.items()
        ]
        return pd.concat(found or [pd.DataFrame(columns=list(columns))])[list(columns)]

    def oracles(self) -> pd.DataFrame:
        """Scores of oracles for each case."""
        return self.gathered("cases", ("dataset", *ORACLE_COLUMNS))


def analyse(
    study: Study, name: str, root: Path, metrics: pd.DataFrame
) -> tuple[AnalysisTables, list[str]]:
    """The tables of a study's analysis, and a line for each result that is missing.

    Args:
        study: the study.
        name: its name.
        root: folder that holds ``results`` and ``data``.
        metrics: scores of single cases.
    """
    sources = _sources(study, name, root, metrics)
    makers = _makers(study, sources)
    wanted = analysis_tables(study)
    tables = replace(
        AnalysisTables.empty(), **{each: makers[each]() for each in wanted if each in makers}
    )
    if study.hypotheses is not None:
        found = findings(study, sources, tables)
        tables = replace(tables, hypotheses=table(found))
    return tables, sources.missing


def _makers(study: Study, sources: Sources) -> dict[str, Callable[[], pd.DataFrame]]:
    """What makes each table but that of the hypotheses."""
    options = resampling_of(study)
    groups, pair = sources.groups, study.analysis.pair
    modes = pair.model_dump() if pair else {"with_image": "", "without_image": ""}
    starts = {key: entry.start for key, entry in study.samplers.items() if entry.start is not None}
    levels = {mode: entry.levels for mode, entry in study.modes.items()}
    return {
        "losses": lambda: summaries.loss_table(sources.measured, groups, **options),
        "structure": lambda: summaries.structure_table(sources.measured, groups, **options),
        "information": lambda: summaries.information_table(
            sources.clipped(), sources.oracles(), groups, **modes, **options
        ),
        "integrand": lambda: summaries.integrand_table(
            sources.clipped(), sources.oracles(), **modes
        ),
        "oracles": lambda: sources.gathered("curves", COLUMNS["oracles"]),
        "image_oracles": lambda: sources.gathered("readability", COLUMNS["image_oracles"]),
        "fingerprints": lambda: sources.gathered("figures", COLUMNS["fingerprints"]),
        "grid": lambda: grid_table(levels),
        "sweeps": lambda: sweeping.sweep_table(
            sources.metrics, groups, names=NAMES, starts=starts, **options
        ),
        "contrasts": lambda: sweeping.contrast_table(
            sources.metrics, study.contrasts, groups, names=NAMES, planned=PLANNED, **options
        ),
    }


def findings(study: Study, sources: Sources, tables: AnalysisTables) -> list[Finding]:
    """P1 to P7, each tested or with the reason why not."""
    named = study.hypotheses or Hypotheses()
    metrics, groups = sources.metrics, sources.groups
    options = resampling_of(study)
    resampling = Resampling(**options)
    tests: dict[str, Callable[..., Finding]] = {
        "p1": lambda **modes: loss_hypotheses.p1_hump(
            sources.measured, sources.oracles(), groups, **modes, resampling=resampling
        ),
        "p2": lambda **modes: loss_hypotheses.p2_timesteps(
            sources.measured, groups, **modes, resampling=resampling
        ),
        "p3": lambda **modes: hypotheses.p3_ranking(
            tables.information, tables.sweeps, **modes, resampling=resampling
        ),
        "p4": lambda **modes: hypotheses.p4_schedule(
            metrics, tables.fingerprints, groups, **modes, resampling=resampling
        ),
        "p5": lambda **modes: hypotheses.p5_target(metrics, groups, **modes, resampling=resampling),
        "p6": lambda **modes: hypotheses.p6_ensemble(
            metrics, groups, **modes, resampling=resampling
        ),
        "p7": lambda **modes: hypotheses.p7_recycling(
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


def _sources(study: Study, name: str, root: Path, metrics: pd.DataFrame) -> Sources:
    missing: list[str] = []
    described = {}
    for dataset in described_datasets(study):
        folder = root / described_folder(name, dataset)
        tables = {path.stem: read_table(path) for path in sorted(folder.glob("*.csv"))}
        if tables:
            described[dataset] = tables
        else:
            missing.append(f"{dataset} fingerprint")
    measured = [pd.DataFrame(columns=[*MEASURED, "clipped"])]
    for place in measured_places(study):
        path = root / measured_file(name, place)
        if path.exists():
            rows = read_table(path)
            measured.append(rows[rows["split"] == "test"].assign(**place._asdict()))
        else:
            missing.append(f"{place.dataset} {place.network} seed {place.seed} losses")
    together = pd.concat(measured[1:] or measured, ignore_index=True)
    return Sources(groups_of(study, name, root), together, described, metrics, missing)
