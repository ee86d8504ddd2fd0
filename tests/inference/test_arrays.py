"""One image as an array: its draws are those behind the prediction, its scores those of metrics."""

import dataclasses

import numpy as np
import pytest

import noise2mask as n2m
from noise2mask.errors import UserError
from noise2mask.evaluation import calibration, metrics

IMAGE = np.random.default_rng(4).integers(0, 256, (40, 56, 3)).astype(np.uint8)
REFERENCE = np.zeros((40, 56), np.uint8)
REFERENCE[10:30, 12:40] = 255


@pytest.fixture
def model(trained_folder):
    return n2m.load_model(trained_folder)


@pytest.mark.parametrize("tile", [None, 24])
def test_draws_are_those_behind_the_prediction(model, tile):
    model = dataclasses.replace(
        model, preparation=model.preparation.model_copy(update={"tile": tile})
    )
    draws = n2m.draw_masks(model, IMAGE, name="a", draws=3)
    found = n2m.predict(model, IMAGE, name="a", draws=3)
    assert draws.shape == (3, 40, 56)
    np.testing.assert_allclose(draws.mean(0), found.probability, atol=1e-5)
    if tile is None:  # where tiles overlap, variances are averaged, not draws
        inside = np.abs(draws.std(0) - found.deviation)
        assert np.median(inside) < 0.02


def test_scores_are_those_of_the_metrics(model):
    found = n2m.predict(model, IMAGE, name="a")
    scores = n2m.score_prediction(found, REFERENCE)
    assert scores["dice"] == metrics.dice(found.mask, REFERENCE > 0)
    assert scores["brier"] == pytest.approx(calibration.brier(found.probability, REFERENCE > 0))
    assert set(scores) == {"dice", "iou", "nsd", "hd95", "brier", "ece", "ace", "error_auroc"}
    perfect = dataclasses.replace(found, mask=REFERENCE > 0)
    assert n2m.score_prediction(perfect, REFERENCE)["dice"] == 1
    with pytest.raises(UserError, match="the reference has shape"):
        n2m.score_prediction(found, REFERENCE[:10])


def test_a_picture_has_a_panel_for_each_map(model):
    found = n2m.predict(model, IMAGE, name="a")
    figure = n2m.plot_prediction(IMAGE, found)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["mask", "P(foreground)", "entropy [bits]", "deviation of the draws"]
    shown = figure.axes[1].images[0].get_array()
    np.testing.assert_array_equal(np.asarray(shown), found.probability)
    single = dataclasses.replace(found, deviation=None)
    assert len(n2m.plot_prediction(IMAGE[..., 0], single).axes) == 3
