"""How often intervals and tests err: simulated studies whose truth is known.

    python benchmarks/error_rates.py [--studies 2000] [--resamples 999]

Every study has units (patients), seeds (trainings) and a difference of two methods: a part of the
unit, of standard deviation 1, a part of the seed, which all units share, and a part of both. The
seed's part and that of both are told in standard deviations of the unit's. Writes its tables into
docs/statistics.md; about ten minutes on one core.
"""

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from noise2mask.evaluation.bootstrap import (
    Estimate,
    Resampling,
    estimate_mean,
    rank_correlation,
    times_drawn,
)
from noise2mask.evaluation.pooled import Histograms, pooled_difference
from noise2mask.progress import Progress
from noise2mask.report.markdown import grid, update_between_markers

DOCUMENT = Path(__file__).parents[1] / "docs/statistics.md"
LEVEL = 0.95
VALUES = ("normal", "skewed")
UNITS = (9, 20, 50)
SPREADS = ((1, 0.0, 0.0), (3, 0.0, 1.0), (3, 0.3, 1.0), (3, 1.0, 1.0), (3, 0.3, 0.3), (3, 0.3, 3.0))
"""Seeds, the spread of a seed's part, and that of the part of both."""
MADE = ["values", "units", "seeds", "spread of seeds", "spread of both"]

Floats = NDArray[np.float64]


class Made(NamedTuple):
    """What a simulated study is like."""

    values: str
    units: int
    seeds: int
    seed_spread: float
    both_spread: float

    def draw(self, generator: np.random.Generator) -> Floats:
        """Differences without a true one, (units, seeds)."""
        unit = parts(self.values, (self.units, 1), generator)
        seed = generator.standard_normal((1, self.seeds))
        both = parts(self.values, (self.units, self.seeds), generator)
        return unit + self.seed_spread * seed + self.both_spread * both


def parts(values: str, shape: tuple[int, ...], generator: np.random.Generator) -> Floats:
    """Of mean 0 and standard deviation 1; skewed ones are exponential, of skewness 2."""
    if values == "normal":
        return generator.standard_normal(shape)
    return generator.standard_exponential(shape) - 1.0


def estimate(values: Floats, resampling: Resampling) -> Estimate:
    """What the package says of differences (units, seeds)."""
    units, seeds = np.indices(values.shape)
    return estimate_mean(
        values.ravel(), units=units.ravel(), seeds=seeds.ravel(), resampling=resampling
    )


# What else was tried; each gives a two-sided p-value of "no difference" from (units, seeds).


def t_test(values: Floats, _: Resampling) -> float:
    """Student's over the units' means."""
    return float(stats.ttest_1samp(values.mean(axis=1), 0.0).pvalue)


def wilcoxon(values: Floats, _: Resampling) -> float:
    """Wilcoxon's signed ranks of the units' means."""
    return float(stats.wilcoxon(values.mean(axis=1)).pvalue)


def sign_flips(values: Floats, resampling: Resampling) -> float:
    """Permutation of the signs of the units' means."""
    means = values.mean(axis=1)
    generator = np.random.default_rng(resampling.seed)
    signs = generator.choice([-1.0, 1.0], size=(resampling.resamples, len(means)))
    as_far = np.abs(signs @ means) >= abs(means.sum()) - 1e-12
    return float((1 + as_far.sum()) / (1 + resampling.resamples))


def percentile(values: Floats, resampling: Resampling) -> float:
    """Percentiles of the bootstrap that draws units and seeds (Owen 2007)."""
    units, seeds = values.shape
    rows = times_drawn(units, resampling.resamples, "units", resampling.seed)
    columns = times_drawn(seeds, resampling.resamples, "seeds", resampling.seed)
    means = np.einsum("du,us,ds->d", rows, values, columns, optimize=True)
    tail = 1 + min((means <= 0).sum(), (means >= 0).sum())
    return float(min(1.0, 2 * tail / (1 + resampling.resamples)))


def random_effects(values: Floats, resampling: Resampling) -> float:
    """Student's, of variance and degrees of freedom by Satterthwaite over units and seeds."""
    units, seeds = values.shape
    if seeds == 1:
        return t_test(values, resampling)
    of_units, of_seeds = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    rest = values - of_units - of_seeds + values.mean()
    left = (rest**2).sum() / ((units - 1) * (seeds - 1) * units * seeds)
    variances = np.array([of_units.var(ddof=1) / units, of_seeds.var(ddof=1) / seeds, left])
    variance = max(variances[0] + variances[1] - variances[2], variances[0], variances[1])
    free = np.array([units - 1, seeds - 1, (units - 1) * (seeds - 1)])
    freedom = max(1.0, variance**2 / float((variances**2 / free).sum()))
    return float(2 * stats.t.sf(abs(values.mean()) / np.sqrt(variance), freedom))


def ours(values: Floats, resampling: Resampling) -> float:
    """The package's."""
    return estimate(values, resampling).p()


CANDIDATES: dict[str, Callable[[Floats, Resampling], float]] = {
    "chosen": ours,
    "t over units": t_test,
    "Wilcoxon": wilcoxon,
    "sign flips": sign_flips,
    "percentiles": percentile,
    "random effects": random_effects,
}


def simulated(made: Made, studies: int, name: Sequence[int]) -> Iterator[Floats]:
    """Studies of one kind."""
    generator = np.random.default_rng([*name, *made[1:3], VALUES.index(made.values)])
    for _ in range(studies):
        yield made.draw(generator)


def share(found: Sequence[bool]) -> float:
    """In percent."""
    return 100 * float(np.mean(found))


def means(studies: int, resampling: Resampling, step: Callable[[], None]) -> pd.DataFrame:
    """The chosen model, without a true difference and with one."""
    rows = []
    for place, (seeds, of_seed, of_both) in enumerate(SPREADS):
        for values in VALUES:
            for units in UNITS:
                made = Made(values, units, seeds, of_seed, of_both)
                none = [estimate(y, resampling) for y in simulated(made, studies, (0, place))]
                true = float(np.median([each.resolvable() for each in none]))
                other = simulated(made, studies, (1, place))
                there = [estimate(drawn + true, resampling) for drawn in other]
                inside = [(i := each.interval()).low <= true <= i.high for each in there]
                rows.append((
                    values, units, seeds, of_seed if seeds > 1 else np.nan,
                    of_both if seeds > 1 else np.nan, share([e.p() <= 1 - LEVEL for e in none]),
                    share(inside), true, share([e.p() <= 1 - LEVEL for e in there]),
                ))  # fmt: skip
                step()
    columns = [*MADE, "found, none there %", "interval holds %", "resolvable", "found, so large %"]
    return pd.DataFrame(rows, columns=columns)


def candidates(studies: int, resampling: Resampling, step: Callable[[], None]) -> pd.DataFrame:
    """How often each candidate finds a difference where there is none."""
    rows = []
    for place, (seeds, of_seed, of_both) in enumerate(SPREADS):
        for values in VALUES:
            for units in UNITS:
                made = Made(values, units, seeds, of_seed, of_both)
                found: dict[str, list[bool]] = {name: [] for name in CANDIDATES}
                for drawn in simulated(made, studies, (2, place)):
                    for name, p_of in CANDIDATES.items():
                        found[name].append(p_of(drawn, resampling) <= 1 - LEVEL)
                spreads = (of_seed, of_both) if seeds > 1 else (np.nan, np.nan)
                rows.append((values, units, seeds, *spreads, *map(share, found.values())))
                step()
    return pd.DataFrame(rows, columns=[*MADE, *CANDIDATES])


# Other statistics of the package. Each draws a study of one kind and gives the p-value of "no
# difference" where there is none.


def several_datasets(generator: np.random.Generator, resampling: Resampling, seeds: int) -> float:
    """Skewed differences of five datasets with 5 to 50 units, of unlike spread, weighted alike."""
    blocks, names = [], []
    for number, (units, spread) in enumerate(
        zip((5, 9, 9, 20, 50), (2, 1, 1, 1, 0.5), strict=True)
    ):
        made = Made("skewed", units, seeds, 0.3 * (seeds > 1), 1.0)
        blocks.append(spread * made.draw(generator))
        names += [f"{number} {unit}" for unit in range(units)]
    values = np.concatenate(blocks)
    rows, columns = np.indices(values.shape)
    return estimate_mean(
        values.ravel(), units=np.array(names)[rows.ravel()], seeds=columns.ravel(),
        strata=np.array([name[0] for name in names])[rows.ravel()], resampling=resampling,
    ).p()  # fmt: skip


def unequal_units(generator: np.random.Generator, resampling: Resampling, seeds: int) -> float:
    """Twenty patients of 1 to 20 cases each, skewed in the patient and in the case."""
    cases = generator.integers(1, 21, size=20)
    units = np.repeat(np.arange(20), cases)
    values = np.repeat(
        Made("skewed", 20, seeds, 0.3 * (seeds > 1), 0.5).draw(generator), cases, axis=0
    )
    values = values + parts("skewed", values.shape, generator)
    rows, columns = np.indices(values.shape)
    return estimate_mean(
        values.ravel(), units=units[rows.ravel()], seeds=columns.ravel(), resampling=resampling
    ).p()


def pooled_ece(generator: np.random.Generator, resampling: Resampling, seeds: int) -> float:
    """Calibration error over the pixels of 20 cases together, of two equally wrong methods."""
    bins, cases = np.arange(10), 20
    confidence = (bins + 0.5) / 10
    both = []
    for _ in range(2):
        method = 0.05 * (seeds > 1) * generator.standard_normal((1, seeds, 1))
        off = 0.2 + method + 0.3 * parts("skewed", (cases, 1, 1), generator)
        slope = np.clip(confidence * (1 - off), 0.0, 1.0)
        pixels = np.broadcast_to(generator.integers(20, 200, (cases, 1, 1)), slope.shape)
        foreground = generator.binomial(pixels, slope)
        counts = np.stack([pixels, pixels * confidence, foreground], axis=-1).astype(float)
        keys = pd.MultiIndex.from_product(
            [["made"], [f"c{case:02d}" for case in range(cases)], range(seeds)],
            names=["dataset", "case", "seed"],
        )
        both.append(Histograms(keys, counts.reshape(cases * seeds, 1, len(bins), 3)))
    return pooled_difference(both[0], both[1], {}, resampling)[2].p()


def skewed_seeds(generator: np.random.Generator, resampling: Resampling, seeds: int) -> float:
    """Twenty units and seeds of the same, exponential spread: more than three seeds can tell."""
    values = Made("normal", 20, seeds, 0.0, 1.0).draw(generator)
    return estimate(values + parts("skewed", (1, seeds), generator), resampling).p()


def ranks(generator: np.random.Generator, resampling: Resampling, _: int) -> float:
    """Rank correlation of two unrelated columns over 12 datasets."""
    return rank_correlation(*generator.standard_exponential((2, 12)), resampling=resampling).p


OTHERS: dict[str, Callable[[np.random.Generator, Resampling, int], float]] = {
    "mean over five datasets": several_datasets,
    "patients of 1 to 20 cases": unequal_units,
    "pooled ECE": pooled_ece,
    "skewed seeds, as spread as units": skewed_seeds,
    "rank correlation": ranks,
}

SEEDS = {"skewed seeds, as spread as units": (3,), "rank correlation": (1,)}
"""Of statistics that are not simulated with one and with three."""


def others(studies: int, resampling: Resampling, step: Callable[[], None]) -> pd.DataFrame:
    """How often other statistics find a difference where there is none."""
    rows = []
    for name, p_of in OTHERS.items():
        for seeds in SEEDS.get(name, (1, 3)):
            generator = np.random.default_rng([3, len(rows)])
            found = [p_of(generator, resampling, seeds) <= 1 - LEVEL for _ in range(studies)]
            rows.append((name, str(seeds) if p_of is not ranks else "", share(found)))
            step()
    return pd.DataFrame(rows, columns=["statistic", "seeds", "found, none there %"])


def as_text(table: pd.DataFrame) -> str:
    """In Markdown, percent with a digit."""

    def cell(name: str, value: object) -> str:
        if not isinstance(value, float):
            return str(value)
        return "" if np.isnan(value) else f"{value:.2f}" if name == "resolvable" else f"{value:.1f}"

    rows = [[cell(name, row[name]) for name in table] for row in table.to_dict("records")]
    return grid(list(table), rows, left=1)


TABLES = {"means": means, "candidates": candidates, "others": others}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=999)
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    resampling = Resampling(chosen.resamples, LEVEL)
    kinds = 2 * len(SPREADS) * len(VALUES) * len(UNITS) + 2 * len(OTHERS) - len(SEEDS)
    progress, done = Progress("simulate", kinds), count(1)

    def step() -> None:
        progress.update(next(done))

    text = chosen.document.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        found = as_text(table(chosen.studies, resampling, step))
        print(found)
        text = update_between_markers(text, name, found)
    chosen.document.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
