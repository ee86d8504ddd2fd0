"""Schedules from masks: the share of unreadable timesteps, and even information."""

import math
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from noise2mask import plugins
from noise2mask.analysis.fingerprints import adapted_schedule
from noise2mask.analysis.fingerprints.adapted_schedule import (
    KNOTS,
    PIXELS,
    SCALES,
    Rule,
    evenly_informed,
    input_scale,
    integrand,
    knots,
    resolve_settings,
    shifted,
)
from noise2mask.analysis.fingerprints.fingerprint import fingerprint
from noise2mask.analysis.oracles.noisy_masks import linear_log_snr
from noise2mask.data.formats import phantoms
from noise2mask.data.prepared import open_split
from noise2mask.diffusion import schedule
from noise2mask.errors import UserError
from noise2mask.evaluation.tables import save_table
from noise2mask.study.plan import run_settings
from noise2mask.study.schema import Diffusion, Pair, Schedule, Training, Weighting
from noise2mask.training.run import process_of

COUNT = 16


def phantom_masks(family):
    found = phantoms.sources(family=family, count=COUNT, size=32)
    return np.stack([phantoms.load(source)[1] for source in found]), [s.id for s in found]


@pytest.fixture(scope="module")
def data():
    return {family: phantom_masks(family) for family in ("lesion", "nuclei")}


@pytest.fixture(scope="module")
def found(data):
    return {
        (family, rule): knots(*data[family], rule=rule)
        for family in data
        for rule in get_args(Rule)
    }


def test_rules_are_those_of_the_schedule():
    field = plugins.options("schedule", "adapted").model_fields["rule"]
    assert get_args(field.annotation) == get_args(Rule)


@pytest.mark.parametrize("family", ["lesion", "nuclei"])
@pytest.mark.parametrize("rule", get_args(Rule))
def test_knots_descend_and_make_a_schedule(found, family, rule):
    log_snr = found[family, rule].log_snr
    assert len(log_snr) == KNOTS
    assert (np.diff(log_snr) < 0).all()
    options = plugins.options("schedule", "adapted")
    assert options(log_snr=log_snr).log_snr == log_snr
    process = schedule.adapted(1000, rule=rule, log_snr=log_snr)
    assert float(process.log_snr[0]) == pytest.approx(log_snr[0], abs=1e-9)
    assert float(process.log_snr[-1]) == pytest.approx(log_snr[-1], abs=1e-9)


@pytest.mark.parametrize("share", [0.7, 0.8])
@pytest.mark.parametrize("family", ["lesion", "nuclei"])
def test_a_share_of_the_timesteps_cannot_be_read(data, found, family, share):
    adapted = knots(*data[family], share=share) if share != 0.8 else found[family, "unreadable"]
    for timesteps in (100, 1000):
        process = schedule.adapted(timesteps, log_snr=adapted.log_snr)
        below = (process.log_snr < adapted.at_half).double().mean()
        assert float(below) == pytest.approx(share, abs=0.01)


def test_larger_objects_give_smaller_scales(found):
    lesion, nuclei = found["lesion", "unreadable"], found["nuclei", "unreadable"]
    assert lesion.at_half < nuclei.at_half - 1
    assert lesion.input_scale == pytest.approx(
        nuclei.input_scale * math.exp((lesion.at_half - nuclei.at_half) / 2)
    )
    assert lesion.log_snr[KNOTS // 2] < nuclei.log_snr[KNOTS // 2] - 1


def test_at_half_is_that_of_the_fingerprint(data, found):
    masks, cases = data["lesion"]
    order = [list(cases).index(case) for case in sorted(cases)]
    figures = fingerprint(
        masks[order], [cases[i] for i in order], linear_log_snr(), resamples=20
    ).figures
    assert found["lesion", "unreadable"].at_half == pytest.approx(
        figures.loc["log_snr_at_half", "mean"], abs=0.02
    )
    assert found["lesion", "information"].at_half == found["lesion", "unreadable"].at_half


@pytest.mark.parametrize("rule", get_args(Rule))
def test_the_order_of_cases_does_not_matter_and_nothing_else_is_drawn(data, found, rule):
    masks, cases = data["nuclei"]
    order = np.random.default_rng(0).permutation(COUNT)
    turned = knots(masks[order], [cases[i] for i in order], rule=rule)
    assert turned == found["nuclei", rule]
    assert knots(masks, cases, rule=rule, seed=1) != turned


def test_masks_without_foreground_or_background_are_left_out(data, found):
    masks, cases = data["lesion"]
    constant = np.concatenate([np.zeros((20, 32, 32), bool), np.ones((20, 32, 32), bool)])
    names = [f"constant {i}" for i in range(40)]
    more = knots(np.concatenate([masks, constant]), [*cases, *names])
    assert more == found["lesion", "unreadable"]


def test_levels_of_zero_and_one_are_a_shift_by_log_four(data, found):
    masks, cases = data["nuclei"]
    for rule in get_args(Rule):
        unit, signed = knots(masks, cases, rule=rule, gap=1.0), found["nuclei", rule]
        assert unit.at_half == signed.at_half
        assert np.subtract(unit.log_snr, signed.log_snr) == pytest.approx(math.log(4))


def test_shifted_is_the_linear_schedule_with_an_input_scale():
    process = schedule.adapted(1000, log_snr=tuple(shifted(0.2)))
    expected = schedule.linear(1000).scaled(0.2)
    difference = (process.log_snr - expected.log_snr).abs()
    assert float(difference[100:].max()) < 0.005
    assert float(difference[:16].max()) < 1.2  # within the first knots, all of it readable


def test_input_scale_by_its_definition_and_within_bounds():
    axis = linear_log_snr()
    for share in (0.5, 0.7, 0.9):
        scale = input_scale(-4.0, share)
        assert np.mean(axis + 2 * math.log(scale) < -4.0) == pytest.approx(share, abs=0.002)
    assert input_scale(-2.0, 0.9) < input_scale(-2.0, 0.5)
    assert input_scale(-30.0, 0.8) == SCALES[0]
    assert input_scale(30.0, 0.8) == SCALES[1]
    assert input_scale(math.nan, 0.8) == SCALES[0]
    for share in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="share must be between 0 and 1"):
            input_scale(-2.0, share)


def test_even_information_by_closed_form():
    levels = np.linspace(4, -10, 29)
    assert evenly_informed(levels, np.full(29, 3.0)) == pytest.approx(np.linspace(4, -10, KNOTS))
    # Loss rises evenly from -10: below a log SNR l lies ((l + 10)/14)^2 of it, and with a tenth
    # spread evenly x is there with 0.9 x^2 + 0.1 x = 1 - u.
    rest = np.linspace(1, 0, KNOTS)
    x = (-0.1 + np.sqrt(0.01 + 3.6 * rest)) / 1.8
    assert evenly_informed(levels, levels + 10) == pytest.approx(14 * x - 10, abs=1e-3)
    assert evenly_informed(levels, levels + 10) == pytest.approx(
        evenly_informed(levels, 5 * (levels + 10))
    )


def test_knots_part_the_information_of_a_dataset_evenly(data, found):
    masks, cases = data["nuclei"]
    curves = fingerprint(masks, cases, linear_log_snr(), resamples=20).curves
    curve = curves[curves["oracle"] == "multiscale"].sort_values("log_snr")
    fine = np.linspace(-10, 4, 14001)
    loss = np.interp(fine, curve["log_snr"], curve["mse_eps"])
    density = 0.9 * loss / np.trapezoid(loss, fine) + 0.1 / 14
    cumulated = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * 0.001)])
    ends = np.interp(found["nuclei", "information"].log_snr, fine, cumulated)
    # The fitted pixels are another order's, hence the tolerance.
    assert -np.diff(ends) == pytest.approx(1 / (KNOTS - 1), rel=0.05)
    assert found["nuclei", "information"].input_scale is None


@pytest.mark.parametrize("value", [False, True])
def test_constant_masks_are_told_to_the_user(value):
    masks = np.full((6, 16, 16), value)
    with pytest.raises(UserError, match=r"of 6 masks 0 have both, from 0 group"):
        knots(masks, list("abcdef"))


def test_one_group_is_told_to_the_user_and_no_masks_too(data):
    masks, cases = data["lesion"]
    with pytest.raises(UserError, match="two groups"):
        knots(masks, cases, ["one patient"] * COUNT)
    with pytest.raises(UserError, match="of 0 masks"):
        knots(masks[:0], [])
    with pytest.raises(ValueError, match="boolean"):
        knots(masks.astype(float), cases)


def test_groups_stay_together(data, found):
    masks, cases = data["nuclei"]
    pairs = [f"patient {i // 2}" for i in range(COUNT)]
    assert knots(masks, cases, pairs).at_half != found["nuclei", "unreadable"].at_half
    assert knots(masks, cases, cases) == found["nuclei", "unreadable"]


def test_of_many_masks_some_are_looked_at(monkeypatch, data):
    seen = []

    def stop(masks, cases, *others, **options):
        seen.append(len(masks))
        raise InterruptedError

    monkeypatch.setattr("noise2mask.analysis.fingerprints.adapted_schedule.fingerprint", stop)
    big = np.zeros((40, 512, 512), bool)
    big[:, :100] = True
    small = np.tile(data["lesion"][0], (160, 1, 1))
    for masks in (big, small):
        with pytest.raises(InterruptedError):
            knots(masks, [f"case {i}" for i in range(len(masks))])
    assert seen == [32, PIXELS // 1024]


# Settings of a run


PAIR = Pair(with_image="diffusion", without_image="image_free")


def settings(study, **changes):
    base = run_settings(study, Training("lesion_phantom", "ensemdiff", "diffusion", 0))
    return base.model_copy(update={"diffusion": Diffusion(target="x_0", **changes)})


def measured(gap=2.0):
    """A table in which the image is worth 8 squared units at a log SNR of 0 and nothing else."""
    rows = []
    for split, factor in (("val", 1.0), ("test", 100.0)):
        for mode in ("diffusion", "image_free"):
            for case in ("a", "b"):
                for log_snr in (-4.0, -2.0, 0.0, 2.0):
                    worth = (8.0 if log_snr == 0 else 0.0) * factor
                    error = 10.0 - (worth if mode == "diffusion" else 0.0)
                    apart = worth if mode == "diffusion" else math.nan
                    rows.append((split, mode, case, 1, log_snr, gap, 256, error, error, apart))
    columns = [
        "split", "mode", "case", "t", "log_snr", "gap", "pixels", "error", "clipped", "apart",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def test_nothing_to_find_out_changes_nothing(study, prepared):
    plain = settings(study)
    assert resolve_settings(plain, prepared, None, None) == plain


def test_an_adapted_schedule_gets_its_knots_from_the_training_masks(study, prepared):
    wanted = settings(study, schedule=Schedule(name="adapted", timesteps=100))
    found = resolve_settings(wanted, prepared, None, None)
    knots = found.diffusion.schedule.options["log_snr"]
    train = open_split(prepared, "train", purpose="training")
    expected = adapted_schedule.knots(train.masks.astype(bool), train.ids, train.groups)
    assert tuple(knots) == expected.log_snr
    assert all(np.diff(knots) < 0)
    assert found.diffusion.schedule.options["rule"] == "unreadable"
    assert resolve_settings(wanted, prepared, None, None) == found
    axis = process_of(found).schedule.log_snr.numpy()
    assert axis[0] == pytest.approx(knots[0])
    assert axis[-1] == pytest.approx(knots[-1])
    assert found.model_validate(found.model_dump(mode="json")) == found


def test_the_coding_moves_an_adapted_schedule(study, prepared):
    """Masks of 0 and 1 need an A/(1 - A) four times as large for the same log SNR."""
    schedule = Schedule(name="adapted", timesteps=100)
    one, other = (
        resolve_settings(settings(study, schedule=schedule, coding=coding), prepared, None, None)
        for coding in ("signed", "unit")
    )
    first, second = (np.array(each.diffusion.schedule.options["log_snr"]) for each in (one, other))
    np.testing.assert_allclose(second - first, math.log(4), atol=1e-6)


def test_the_benefit_is_taken_from_validation_cases_alone(study, prepared, tmp_path):
    save_table(measured(), tmp_path / "losses.csv", record=True)
    wanted = settings(study, weighting=Weighting(name="benefit", options={"floor": 0.0}))
    found = resolve_settings(wanted, prepared, tmp_path / "losses.csv", PAIR)
    options = found.diffusion.weighting.options
    assert options["log_snr"] == [-4, -2, 0, 2]
    # nats per unit of log SNR: half of SNR times 8 squared units
    assert options["density"] == pytest.approx([0, 0, 4, 0])
    assert options["floor"] == 0
    density = process_of(found).timestep_weights.density.numpy()
    log_snr = process_of(found).schedule.log_snr.numpy()
    assert density.sum() == pytest.approx(1)
    assert (density * log_snr).sum() == pytest.approx(0, abs=0.05)


def test_the_integrand_knows_the_gap_of_the_coding():
    """Squared errors of masks 0 and 1 are a quarter, and their A/(1 - A) is four times the SNR."""
    for gap, expected in ((2.0, 4.0), (1.0, 16.0)):
        _, density = integrand(measured(gap), PAIR)
        assert density[2] == pytest.approx(expected)


def test_no_measurement_is_one_sentence(study, prepared, tmp_path):
    wanted = settings(study, weighting=Weighting(name="benefit"))
    with pytest.raises(UserError, match="needs a measured pair"):
        resolve_settings(wanted, prepared, None, None)
    with pytest.raises(UserError, match="does not exist; make it again"):
        resolve_settings(wanted, prepared, tmp_path / "none.csv", PAIR)
    table = measured()
    save_table(table[table["split"] == "test"], tmp_path / "test.csv", record=True)
    with pytest.raises(UserError, match="not measured on val"):
        resolve_settings(wanted, prepared, tmp_path / "test.csv", PAIR)
