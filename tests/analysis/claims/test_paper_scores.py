"""Claims of the paper on made-up data whose verdict is known, for every verdict."""

import math
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_section import fingerprints_of, frame
from helpers.made_up_tables import comparisons_table

from noise2mask.analysis.claims.paper_losses import c3_images, c3_masks
from noise2mask.analysis.claims.paper_noise import c4_gradual, c5_fingerprints, c6_idle_timesteps
from noise2mask.analysis.claims.paper_scores import (
    Setting,
    apart,
    c1_same_architecture,
    c2_references,
    counted,
    interval_text,
    shared,
    table,
)
from noise2mask.analysis.claims.verdicts import Resampling
from noise2mask.analysis.information.curves import MEASURED
from noise2mask.analysis.oracles.exact import decided_from
from noise2mask.analysis.oracles.noisy_masks import linear_log_snr
from noise2mask.evaluation.bootstrap import Interval
from noise2mask.evaluation.columns import COLUMNS
from noise2mask.evaluation.labels import Labels

FEW = Resampling(300, 0.95, 0)
DATA = ("lesion", "nuclei", "tissue")
NETWORKS = ("ensemdiff", "segdiff")
SAMPLERS = {"feed_forward": "one_pass", "diffusion": "ddim10", "reference": "prediction"}
SETTING = Setting(Labels(), {"lesion": "ISIC16", "nuclei": "MoNuSeg"}, 32)
PAIR = {"with_image": "posterior", "without_image": "posterior_free"}


def turned(rows):
    """The rows from last to first, since their order must not matter."""
    return rows.iloc[::-1]


# Scores --------------------------------------------------------------------------------------


def metrics_of(level, *, cases=30, spread=0.02, networks=NETWORKS):
    """Scores from `level(dataset, network, mode, metric)`; None leaves a training out."""
    generator, rows = np.random.default_rng(3), []
    cells = [*product(networks, ("feed_forward", "diffusion"))]
    cells += [("nnunet", "reference"), ("segformer", "reference")]
    for dataset, (network, mode) in product(DATA, cells):
        for metric in ("dice", "iou", "ece"):
            mean = level(dataset, network, mode, metric)
            if mean is None:
                continue
            draws = 5 if mode == "diffusion" else 1
            where = ("s", dataset, network, mode, 0, SAMPLERS[mode], 10, draws)
            noise = generator.normal(0, spread, cases)
            rows += [
                (*where, f"c{case}", metric, mean + each)
                for case, each in enumerate(noise - noise.mean())
            ]
    columns = [
        "study", "dataset", "network", "mode", "seed", "sampler", "steps", "draws", "case",
        "metric", "value",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def gains(iou, ece):
    """Scores in which diffusion is higher by so much, in one dataset or all."""

    def level(dataset, network, mode, metric):
        if mode == "reference":
            return None
        gain = {"iou": iou, "dice": 0.0, "ece": ece}[metric]
        return 0.5 + (mode == "diffusion") * (gain[dataset] if isinstance(gain, dict) else gain)

    return metrics_of(level)


def c1(metrics, metric, comparisons=None, **options):
    known = comparisons_table(metrics) if comparisons is None else comparisons
    return c1_same_architecture(
        metrics, known, {}, SETTING, metric=metric, resampling=FEW, **options
    )


@pytest.mark.parametrize(
    ("metric", "gain", "verdict"),
    [
        ("iou", 0.05, "confirmed"),
        ("iou", -0.05, "refuted"),
        ("iou", 0.0, "undecided"),
        ("ece", -0.05, "confirmed"),  # lower is better
        ("ece", 0.05, "refuted"),
        ("ece", 0.0, "undecided"),
    ],
)
def test_c1_follows_the_side_of_the_interval(metric, gain, verdict):
    metrics = gains(gain, gain)
    found = c1(metrics, metric)
    assert found.verdict == verdict
    assert found.claim == {"iou": "C1a", "ece": "C1b"}[metric]
    better = 6 if verdict == "confirmed" else 0
    assert f"better in {better} of 6 pairs" in found.numbers
    assert f"{gain:+.3f}" in found.numbers or gain == 0
    assert "3 datasets (2 standing in for the paper's), 90 test cases, 32 px" in found.remark
    assert "feed-forward with N = 1 and diffusion with N = 5" in found.remark
    assert c1(turned(metrics), metric) == found


@pytest.mark.parametrize("sign", [1, -1])
def test_c1_needs_single_pairs_that_say_the_same(sign):
    # Beyond chance in the mean, but two pairs worse and none better beyond chance.
    metrics = gains(sign * 0.05, 0.0)
    known = comparisons_table(metrics)
    known["p_holm"] = known["p_holm"].where(known["p_holm"].isna(), 0.5)
    assert c1(metrics, "iou", known).verdict == "undecided"
    iou = known.index[known["metric"] == "iou"]
    known.loc[iou[:1], "p_holm"] = 0.01
    assert c1(metrics, "iou", known).verdict == ("confirmed" if sign > 0 else "refuted")


def test_c1_groups_and_datasets_count():
    metrics = gains({"lesion": 0.05, "nuclei": -0.05, "tissue": 0.0}, 0.0)
    assert c1(metrics, "iou").verdict == "undecided"
    metrics = gains(0.008, 0.0)
    groups = {(dataset, f"c{case}"): str(case < 15) for dataset in DATA for case in range(30)}
    one = c1(metrics, "iou")
    other = c1_same_architecture(
        metrics, comparisons_table(metrics), groups, SETTING, metric="iou", resampling=FEW
    )
    assert one.numbers != other.numbers


def test_seeds_are_averaged_first_and_told():
    one = leads(0.05, 0.05)
    two = pd.concat(
        [
            one.assign(seed=seed, value=one["value"] + shift)
            for seed, shift in ((0, 0.01), (1, -0.01))
        ]
    )
    known = comparisons_table(one)
    for found, other in ((c1(one, "iou", known), c1(two, "iou", known)), (c2(one), c2(two))):
        assert (found.verdict, found.numbers) == (other.verdict, other.numbers)
    assert "seeds: 2" in c1(two, "iou", known).remark


def test_c1_is_not_tested_without_both_modes():
    metrics = gains(0.1, 0.1)
    found = c1(metrics[metrics["mode"] == "diffusion"], "iou", comparisons_table(metrics))
    assert found.verdict == "not tested"
    assert "no IoU of both" in found.remark
    assert c1(metrics, "iou", comparisons_table(metrics)[:0]).verdict == "not tested"


def leads(nnunet, segformer, **better):
    """References that lead by so much over the best of four trainings."""

    def level(dataset, network, mode, metric):
        lead = {"nnunet": nnunet, "segformer": segformer}.get(network)
        if mode == "reference":
            return None if lead is None else 0.7 + lead
        best = better.get(dataset, ("ensemdiff", "diffusion"))
        return 0.7 if (network, mode) == best else 0.6

    return metrics_of(level)


def c2(metrics):
    return c2_references(metrics, {}, SETTING, resampling=FEW)


@pytest.mark.parametrize(
    ("nnunet", "segformer", "verdict"),
    [
        (0.05, 0.03, "confirmed"),
        (0.05, -0.05, "refuted"),
        (0.05, 0.0, "undecided"),
        (-0.05, -0.05, "refuted"),
        (0.05, None, "confirmed"),
        (None, None, "not tested"),
    ],
)
def test_c2_compares_with_the_best_training(nnunet, segformer, verdict):
    metrics = leads(nnunet, segformer, nuclei=("segdiff", "feed_forward"))
    found = c2(metrics)
    assert found.verdict == verdict
    if verdict == "not tested":
        assert found.remark == "this study has no scores of references"
        return
    assert f"nnunet, Dice {nnunet:+.3f}" in found.numbers
    assert "the best of 4 trainings is chosen on the test cases" in found.remark
    assert c2(turned(metrics)) == found


def test_c2_is_not_refuted_by_chance_choices():
    # All trainings and references are equally good: the best of twenty looks better than it is.
    generator, verdicts = np.random.default_rng(5), []
    metrics = metrics_of(lambda *_: 0.7, networks=[f"n{k}" for k in range(10)])
    for _ in range(4):
        metrics["value"] = 0.7 + generator.normal(0, 0.05, len(metrics))
        verdicts.append(c2(metrics).verdict)
    assert verdicts == 4 * ["undecided"]


def test_c2_without_common_cases():
    metrics = leads(0.1, 0.1)
    reference = metrics["mode"] == "reference"
    metrics.loc[reference, "case"] = "other" + metrics.loc[reference, "case"]
    assert c2(metrics).verdict == "not tested"


# Losses --------------------------------------------------------------------------------------

AXIS = np.arange(9.0, -11.0, -1.0)


def measured_losses(mode, curve, word, dataset="lesion", half=0.01):
    """The rows of `losses` and `structure` of one curve over log SNR."""
    losses = frame(
        "losses",
        [
            (dataset, "segdiff", mode, "eps", t, log_snr, value, value - half, value + half, 12)
            for t, (log_snr, value) in enumerate(zip(AXIS, curve, strict=True))
        ],
    )
    depth = {"confirmed": 0.5, "refuted": 0.01, "undecided": 0.1}[word]
    row = (dataset, "segdiff", mode, "eps", *4 * (math.nan,), depth, 0.0, depth, word, 12)
    return losses, frame("structure", [row])


def together(*found):
    losses, structures = zip(*found, strict=True)
    return pd.concat(losses, ignore_index=True), pd.concat(structures, ignore_index=True)


FALLING = np.linspace(1, 0.05, len(AXIS))
FLAT = np.full(len(AXIS), 0.5)
SHARP = np.where(AXIS > 5, 1.0, 0.2)


@pytest.mark.parametrize(
    ("curve", "word", "verdict"),
    [
        (FALLING, "refuted", "confirmed"),
        (FALLING, "confirmed", "refuted"),
        (FALLING[::-1], "refuted", "refuted"),
        (FALLING, "undecided", "undecided"),
        (FLAT, "refuted", "undecided"),
    ],
)
def test_c3_images(curve, word, verdict):
    tables = measured_losses("image_diffusion", curve, word)
    found = c3_images(*tables, SETTING, mode="image_diffusion")
    assert found.verdict == verdict
    assert found.numbers.startswith(f"{verdict.capitalize()} in 1 of 1 curve;")
    assert found == c3_images(*map(turned, tables), SETTING, mode="image_diffusion")


def test_c3_curves_that_differ_are_undecided():
    tables = together(
        measured_losses("e4", FALLING, "refuted"),
        measured_losses("e4", FALLING, "confirmed", dataset="nuclei"),
    )
    found = c3_images(*tables, SETTING, mode="e4")
    assert found.verdict == "undecided"
    assert "Confirmed in 1, refuted in 1 of 2 curves" in found.numbers
    for mode in ("other", None):
        assert c3_images(*tables, SETTING, mode=mode).verdict == "not tested"


@pytest.mark.parametrize(
    ("curve", "word", "verdict"),
    [
        (SHARP, "confirmed", "confirmed"),
        (SHARP, "refuted", "refuted"),
        (FALLING, "confirmed", "refuted"),  # rises, but does not fall sharply before t = 50
        (SHARP, "undecided", "undecided"),
        (np.where(AXIS > 5, 1.0, 0.5), "confirmed", "undecided"),
    ],
)
def test_c3_masks(curve, word, verdict):
    tables = together(
        measured_losses("e2", curve, word), measured_losses("posterior", curve, "confirmed")
    )
    found = c3_masks(*tables, SETTING, mode="e2")
    assert found.verdict == verdict
    left = np.interp(linear_log_snr()[50], AXIS[::-1], curve[::-1]) / curve[0]
    assert f"{left:.2f} to {left:.2f} of the first loss" in found.numbers
    assert "mode posterior" in found.remark
    assert "confirmed in 1 of 1 curve" in found.remark
    assert c3_masks(*tables, SETTING, mode=None).verdict == "not tested"


# Masks and images ----------------------------------------------------------------------------


def recovered(width, half, centre=-1.0):
    """A share that falls in a straight line, from 0.9 to 0.5 within `width`."""
    share = np.clip(0.7 - (centre - AXIS) * 0.4 / width, 0, 1)
    return share, share - half, share + half


def image_oracles_of(widths, half=0.01):
    rows = []
    for dataset, of in widths.items():
        for subject, width in zip(("mask", "image"), of, strict=True):
            for t, (log_snr, *share) in enumerate(zip(AXIS, *recovered(width, half), strict=True)):
                rows.append((dataset, subject, t, log_snr, 1.0, *share))
    return frame("image_oracles", rows)


def oracles_of(width):
    errors = 1 - recovered(width, 0)[0]
    return frame(
        "oracles",
        [
            ("lesion", "multiscale", t, log_snr, *4 * (math.nan,), error, 0.0, 0.3)
            for t, (log_snr, error) in enumerate(zip(AXIS, errors, strict=True))
        ],
    )


@pytest.mark.parametrize(
    ("widths", "half", "verdict"),
    [
        ({"lesion": (2, 4), "nuclei": (2, 3)}, 0.01, "confirmed"),
        ({"lesion": (4, 2), "nuclei": (3, 2)}, 0.01, "refuted"),
        ({"lesion": (2, 4), "nuclei": (4, 2)}, 0.01, "undecided"),
        ({"lesion": (3, 3.1)}, 0.05, "undecided"),
    ],
)
def test_c4_compares_widths(widths, half, verdict):
    tables = image_oracles_of(widths, half), oracles_of(1.5)
    found = c4_gradual(*tables, SETTING)
    assert found.verdict == verdict
    mask, image = widths["lesion"]
    assert f"lesion {mask:.1f} [" in found.numbers
    assert f"against {image:.1f} [" in found.numbers
    assert "knows their two levels: 1.5" in found.numbers
    assert found == c4_gradual(*map(turned, tables), SETTING)._replace(
        numbers=found.numbers, remark=found.remark
    )


def test_c4_without_a_fall_or_a_table():
    whole = image_oracles_of({"lesion": (2, 4)})
    flat = whole.assign(explained=0.95, low=0.94, high=0.96)
    found = c4_gradual(flat, oracles_of(1.5)[:0], SETTING)
    assert found.verdict == "undecided"
    assert "nan" not in found.numbers
    assert c4_gradual(whole[:0], oracles_of(1.5), SETTING).verdict == "not tested"


def with_timesteps(half):
    table = fingerprints_of(half)
    t = table[table["figure"] == "log_snr_at_half"].assign(figure="t_at_half", mean=300.0)
    return pd.concat([table, t], ignore_index=True)


@pytest.mark.parametrize(
    ("nuclei", "lesion", "verdict"),
    [
        (-1.0, -4.0, "confirmed"),
        (-4.0, -1.0, "refuted"),
        (-3.4, -4.0, "undecided"),  # intervals reach half a unit to either side
        (-3.4, math.nan, "undecided"),
    ],
)
def test_c5_compares_what_stands_for_the_two(nuclei, lesion, verdict):
    fingerprints = with_timesteps({"tissue": -9.0, "lesion": lesion, "nuclei": nuclei})
    found = c5_fingerprints(fingerprints, SETTING)
    assert found.verdict == verdict
    assert "tissue" not in found.numbers
    assert found == c5_fingerprints(turned(fingerprints), SETTING)
    own = Setting(Labels(datasets={"lesion": "ISIC16", "nuclei": "MoNuSeg nuclei"}), {}, 32)
    assert c5_fingerprints(fingerprints, own).verdict == verdict
    nobody = Setting(Labels(), {}, 32)
    assert c5_fingerprints(fingerprints, nobody).verdict == "not tested"


def measured_of(density, datasets=DATA, cases=12, spread=0.02):
    """Errors of two networks that differ by a density over log SNR, in nats, for 32 x 32 pixels."""
    generator, rows = np.random.default_rng(1), []
    for dataset, case in product(datasets, range(cases)):
        scale = 1 + spread * generator.normal()
        for t, log_snr in enumerate(np.arange(3.0, -11.0, -1.0)):
            apart_ = 2 * scale * density(log_snr) / math.exp(log_snr)
            where = (dataset, "segdiff", 0)
            level = (f"c{case}", t, log_snr, 2.0, 1024)
            rows += [
                (*where, "posterior", *level, 5.0, apart_),
                (*where, "posterior_free", *level, 5.0 + apart_, math.nan),
            ]
    return pd.DataFrame(rows, columns=list(MEASURED))


def c6(measured, pair=PAIR):
    return c6_idle_timesteps(measured, {}, SETTING, pair=pair, resampling=FEW)


def bump(log_snr, centre=-1.0):
    return 20 * math.exp(-((log_snr - centre) ** 2) / 2)


@pytest.mark.parametrize("centre", [-1.0, -5.0, 3.0])
def test_c6_counts_timesteps_without_information(centre):
    measured = measured_of(partial(bump, centre=centre))
    found = c6(measured)
    assert found.verdict == "confirmed"
    axis, levels = linear_log_snr(), np.arange(-10, 4.0)
    density = np.interp(axis, levels, [bump(each, centre) for each in levels])
    density[axis > decided_from(1024, 0.01)] = 0
    bits = density * -np.gradient(axis)
    order = np.argsort(bits)
    used = order[np.cumsum(bits[order]) > 0.01 * bits.sum()]
    share = 1 - len(used) / len(axis)
    assert f"lesion {share:.2f} " in found.numbers
    assert f"(all but t = {used.min()} to {used.max()};" in found.numbers
    assert c6(turned(measured)).verdict == "confirmed"


def test_c6_is_refuted_where_every_timestep_gets_its_share():
    axis = linear_log_snr()
    slope = -np.gradient(axis)

    def even(log_snr):  # as many bits in each timestep
        return float(0.1 / np.interp(log_snr, axis[::-1], slope[::-1]))

    found = c6(measured_of(even))
    assert found.verdict == "refuted"


def test_c6_is_undecided_where_datasets_or_cases_differ():
    axis = linear_log_snr()
    slope = -np.gradient(axis)

    def even(log_snr):
        return float(0.1 / np.interp(log_snr, axis[::-1], slope[::-1]))

    both = pd.concat([measured_of(bump, ("lesion",)), measured_of(even, ("nuclei",))])
    assert c6(both).verdict == "undecided"
    assert c6(measured_of(lambda _: 0.0)).verdict == "undecided"


def test_c6_is_not_tested_without_its_pair():
    measured = measured_of(bump)
    assert c6(measured, None).verdict == "not tested"
    assert c6(measured[measured["mode"] == "posterior"]).verdict == "not tested"
    assert c6(measured[:0]).verdict == "not tested"


# What claims are made of ---------------------------------------------------------------------


def test_words():
    assert shared([]) == "not tested"
    assert shared(["refuted", "refuted"]) == "refuted"
    assert shared(["confirmed", "undecided"]) == "undecided"
    assert counted(["refuted", "confirmed", "refuted"], "curve") == (
        "confirmed in 1, refuted in 2 of 3 curves"
    )
    assert interval_text(Interval(0.01234, -0.001, 0.02, 3), 3, sign=True) == (
        "+0.012 [-0.001, 0.020]"
    )
    assert interval_text(Interval(0.5, math.nan, math.nan, 3), 1) == "0.5"
    assert apart(Interval(1, 0, 2, 5), Interval(3, 2, 5, 5)) == (-2, -5, 0, 5)
    assert SETTING.scale(["tissue"]) == "1 dataset, 32 px"


def test_the_table_has_a_row_a_claim():
    found = table([c1(gains(0.05, 0.05), "iou"), c2(gains(0.05, 0.05))])
    assert tuple(found.columns) == COLUMNS["claims"]
    assert found["verdict"].tolist() == ["confirmed", "not tested"]
    assert found["numbers"].iloc[0].startswith("Diffusion better in 6 of 6")
    assert found["remark"].iloc[1] == "this study has no scores of references"
