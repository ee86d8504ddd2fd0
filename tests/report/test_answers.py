"""A sentence each for what came out, with the counts and ranges that the tables hold."""

import numpy as np
import pandas as pd
from helpers.made_up_report import CLAIMS, analysis, made_up, scores
from report.figures.test_differences import contrasts_table, quirks_table
from report.figures.test_fingerprints import fingerprints_table

from noise2mask.evaluation.labels import metric_of
from noise2mask.report.answers import answers


def told(**tables):
    return {answer.head: answer.text for answer in answers(made_up(cases=(), **tables))}


def test_the_papers_question_has_a_sentence_each_planned_metric():
    found = told(**scores())
    assert list(found) == ["IoU", "Brier"]
    table = made_up().tables["comparisons"]
    for title, metric in (("IoU", "iou"), ("Brier", "brier")):
        rows = table[table.metric == metric]
        wins = (rows.verdict == "first better").sum()
        losses = (rows.verdict == "second better").sum()
        assert found[title].startswith(
            f"diffusion better in {wins}, feed-forward in {losses}, undecided in "
            f"{len(rows) - wins - losses} of 9 pairs of dataset and architecture ("
        )
        for value in (rows.difference.min(), rows.difference.max()):
            digits = metric_of(metric).digits
            assert f"{value:+.{digits}f}".replace("-", "−") in found[title]


def test_of_pooled_ece_the_signs_are_counted_and_both_losses_share_a_sentence():
    tables = scores()
    own = tables["comparisons"]
    pooled = own[own.metric == "iou"].assign(metric="ece_pooled", verdict="")
    own = pd.concat([own, pooled], ignore_index=True)
    tables["comparisons"] = pd.concat([own, own.assign(loss="matched", difference=-0.01)])
    found = told(**tables)
    text = found["ECE pooled over pixels, no proper score and not tested"]
    lower = (own[own.metric == "ece_pooled"].difference < 0).sum()
    assert text.startswith(f"each with its own loss, diffusion lower in {lower} of 9 pairs of ")
    assert text.endswith("; both with one loss, diffusion in 9 of 9 (−0.010).")
    assert found["IoU"].count("diffusion") == 2
    assert found["IoU"].count("pairs of dataset") == 1


def test_what_cannot_be_decided_is_not_undecided():
    table = made_up().tables["comparisons"].copy()
    iou = table.index[table.metric == "iou"]
    table.loc[iou, "verdict"] = "cannot be decided with 4"
    table.loc[iou[0], "verdict"] = "undecided"
    assert "undecided in 1, too few units to decide in 8 of 9" in told(comparisons=table)["IoU"]


def test_contrasts_are_told_pair_by_pair_and_silent_ones_together():
    table = contrasts_table()
    found = told(contrasts=table)
    assert list(found) == ["adapted − linear", "adapted − cosine", "recycled − linear",
                           "wide − cosine"]  # fmt: skip
    rows = table[(table["first"] == "wide") & (table["metric"] == "iou")]
    assert found["wide − cosine"].startswith(
        f"IoU better in {(rows.verdict == 'first better').sum()}, worse in "
        f"{(rows.verdict == 'second better').sum()} of 3 ("
    )
    many = contrasts_table(pairs=[(f"m{k}", "base") for k in range(7)])
    many.loc[many["first"] != "m3", "verdict"] = "undecided"
    many.loc[many["first"] == "m3", "verdict"] = "first better"
    found = told(contrasts=many)
    assert list(found) == ["m3 − base", "Undecided everywhere"]
    assert found["Undecided everywhere"].count("− base") == 6


def test_quirks_in_points():
    found = told(quirks=quirks_table())
    assert found["kept as | JPEG"] == (
        "−1.1 to +2.1 Dice points, up beyond chance in 1, down in 1 of 2."
    )
    assert list(found) == ["kept as | JPEG", "grown masks", "chosen on test"]


def test_draws_from_the_smallest_to_the_largest_number():
    rows = [
        ("a", "net", "diffusion", f"n{n}", n, region, 0.1 / n, 0.05 / n, 0.2 / n, *(np.nan,) * 6)
        for n in (25, 1)
        for region in ("all", "band")
    ]
    columns = ["dataset", "network", "mode", "sampler", "draws", "region", "ece_pooled",
               "ece_pooled_low", "ece_pooled_high", "ece", "ece_low", "ece_high", "brier", "iou",
               "floor"]  # fmt: skip
    found = told(draws=pd.DataFrame(rows, columns=columns))
    text = found["More draws (N = 1 to 25)"]
    assert "a 0.100 [0.050, 0.200] to 0.004 [0.002, 0.008]." in text


def test_bits_and_what_is_not_to_be_trusted():
    assert told(information=analysis()["information"])["The image tells"] == (
        "105.0 [101.0, 109.0] (lesion) bits of a mask."
    )
    doubted = analysis()["information"].copy()
    doubted.loc[doubted.estimate == "entropy", "bits"] = 1000.0
    assert (
        "; 1 of 1 estimates are not to be trusted." in told(information=doubted)["The image tells"]
    )


def test_masks_with_the_rank_correlation_of_many_datasets_only():
    (text,) = told(fingerprints=fingerprints_table(18)).values()
    assert "rank correlation with boundary per area 0.98 [0." in text
    assert "18 datasets" in text
    (few,) = told(fingerprints=fingerprints_table(4)).values()
    assert "correlation" not in few


def test_what_claims_say_is_not_said_twice():
    tables = {**scores(), "information": analysis()["information"]}
    assert "The image tells" in told(**tables)
    assert "The image tells" not in told(**tables, claims=CLAIMS)
    assert "The image tells" in told(information=analysis()["information"], claims=CLAIMS)
