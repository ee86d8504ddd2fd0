"""Tables as they were until paired differences had one form; goes when all tables have it."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from noise2mask.evaluation.differences import SIGNIFICANCE
from noise2mask.evaluation.labels import metric_of


def upgraded(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables of a report in their present form."""
    found = dict(tables)
    comparisons = found.get("comparisons", pd.DataFrame())
    if "diffusion" in comparisons:
        names = {"diffusion": "first_mean", "feed_forward": "second_mean"}
        found["comparisons"] = _judged(
            comparisons.rename(columns=names).assign(
                first="diffusion", second="feed_forward", sampler="", loss="own"
            )
        )
    contrasts = found.get("contrasts", pd.DataFrame())
    if len(contrasts) and "verdict" not in contrasts:
        found["contrasts"] = _judged(contrasts.assign(loss=""))
    quirks = found.get("quirks", pd.DataFrame())
    if len(quirks) and "verdict" not in quirks:
        apart = (quirks["low"] > 0) | (quirks["high"] < 0)
        words = np.where(apart, np.where(quirks["difference"] > 0, "first", "second"), "undecided")
        found["quirks"] = quirks.assign(
            verdict=words, p_holm=np.nan, resolvable=np.nan, seeds=np.nan
        )
    claims = found.get("claims", pd.DataFrame())
    if "claim" in claims:
        found["claims"] = _findings(claims.rename(columns={"claim": "name"}))
    hypotheses = found.get("hypotheses", pd.DataFrame())
    if "detail" in hypotheses:
        names = {"claim": "statement", "statistic": "objective", "detail": "numbers"}
        found["hypotheses"] = _findings(hypotheses.rename(columns=names))
    summary = found.get("summary", pd.DataFrame())
    if len(summary.columns) and "steps" not in summary:
        keys = ["dataset", "network", "mode", "sampler"]
        sweeps = found.get("sweeps", pd.DataFrame(columns=[*keys, "steps", "start", "draws"]))
        extra = sweeps[[*keys, "steps", "start", "draws"]].drop_duplicates(keys)
        found["summary"] = summary.merge(extra, on=keys, how="left")
    found.pop("sweeps", None)
    return found


def _findings(table: pd.DataFrame) -> pd.DataFrame:
    missing = {
        name: "" if name in ("objective", "scope", "numbers", "remark") else np.nan
        for name in ("objective", "value", "low", "high", "p", "n", "seeds", "scope", "numbers",
                     "remark")
        if name not in table
    }  # fmt: skip
    return table.assign(**missing)


def _judged(table: pd.DataFrame) -> pd.DataFrame:
    """A table of differences with verdicts."""
    better = table["metric"].map(lambda name: metric_of(str(name)).better)
    gain = table["difference"] * better
    sure = (table["p_holm"] < SIGNIFICANCE) & (gain != 0)
    words = np.where(sure, np.where(gain > 0, "first better", "second better"), "undecided")
    words = np.where(table["p_holm"].notna(), words, "")
    return table.assign(verdict=words, resolvable=np.nan, seeds=np.nan)
