"""What a training takes from its data or from others before it begins."""

import math

import numpy as np
import pandas as pd
import pytest

from noise2mask.analysis.fingerprints import adapted_schedule
from noise2mask.analysis.fingerprints.resolve import integrand, resolved
from noise2mask.data.prepared import open_split
from noise2mask.errors import UserError
from noise2mask.evaluation.tables import save_table
from noise2mask.study.plan import run_settings
from noise2mask.study.schema import Diffusion, Pair, Schedule, Training, Weighting
from noise2mask.training.run import process_of

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
    assert resolved(plain, prepared, None, None) == plain


def test_an_adapted_schedule_gets_its_knots_from_the_training_masks(study, prepared):
    wanted = settings(study, schedule=Schedule(name="adapted", timesteps=100))
    found = resolved(wanted, prepared, None, None)
    knots = found.diffusion.schedule.options["log_snr"]
    train = open_split(prepared, "train", purpose="training")
    expected = adapted_schedule.knots(train.masks.astype(bool), train.ids, train.groups)
    assert tuple(knots) == expected.log_snr
    assert all(np.diff(knots) < 0)
    assert found.diffusion.schedule.options["rule"] == "unreadable"
    assert resolved(wanted, prepared, None, None) == found
    axis = process_of(found).schedule.log_snr.numpy()
    assert axis[0] == pytest.approx(knots[0])
    assert axis[-1] == pytest.approx(knots[-1])
    assert found.model_validate(found.model_dump(mode="json")) == found


def test_the_coding_moves_an_adapted_schedule(study, prepared):
    """Masks of 0 and 1 need an A/(1 - A) four times as large for the same log SNR."""
    schedule = Schedule(name="adapted", timesteps=100)
    one, other = (
        resolved(settings(study, schedule=schedule, coding=coding), prepared, None, None)
        for coding in ("signed", "unit")
    )
    first, second = (np.array(each.diffusion.schedule.options["log_snr"]) for each in (one, other))
    np.testing.assert_allclose(second - first, math.log(4), atol=1e-6)


def test_the_benefit_is_taken_from_validation_cases_alone(study, prepared, tmp_path):
    save_table(measured(), tmp_path / "losses.csv", record=True)
    wanted = settings(study, weighting=Weighting(name="benefit", options={"floor": 0.0}))
    found = resolved(wanted, prepared, tmp_path / "losses.csv", PAIR)
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
        resolved(wanted, prepared, None, None)
    with pytest.raises(UserError, match="does not exist; make it again"):
        resolved(wanted, prepared, tmp_path / "none.csv", PAIR)
    table = measured()
    save_table(table[table["split"] == "test"], tmp_path / "test.csv", record=True)
    with pytest.raises(UserError, match="not measured on val"):
        resolved(wanted, prepared, tmp_path / "test.csv", PAIR)
