"""Cases and the explorer."""

import base64
import io
from dataclasses import replace

import numpy as np
from PIL import Image

from noise2mask.evaluation.metrics import dice
from noise2mask.report.page.pictures import cases_of_page, explorer, png


def pixels(source: str) -> np.ndarray:
    """The picture of a data URI."""
    head, _, body = source.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))


def test_a_picture_keeps_its_pixels():
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    np.testing.assert_array_equal(pixels(png(picture)), picture)


def test_a_case_shows_mean_spread_and_draws_of_each_training(report):
    shown, case = cases_of_page(report)[0], report.cases[0]
    np.testing.assert_array_equal(pixels(shown["image"]), case.image)
    np.testing.assert_array_equal(pixels(shown["reference"]) == 255, case.mask)
    changed = (pixels(shown["outlined"]) != case.image).any(axis=-1)
    assert 0 < changed.sum() < case.mask.sum()
    assert not (changed & ~case.mask).any()
    single, drawn = shown["trainings"]
    assert (single["title"], single["draws"], single["spread"]) == (
        "EnsemDiff, feed-forward",
        [],
        None,
    )
    assert (drawn["number"], len(drawn["draws"])) == (5, 5)
    prediction = case.predictions[1]
    assert float(drawn["dice"]) == round(dice(prediction.mean >= 128, case.mask), 3)
    np.testing.assert_array_equal(pixels(drawn["mean"]), prediction.mean)


def test_the_explorer_shows_what_was_measured(report):
    walked, *others = explorer(report)
    assert walked["networks"]
    assert not any(one["networks"] for one in others)
    assert [step["t"] for step in walked["steps"]] == [100, 400, 700, 900]
    mask = report.cases[0].mask
    np.testing.assert_array_equal(pixels(walked["steps"][0]["with_image"]) == 255, mask)
    assert set(np.unique(pixels(walked["steps"][0]["without_image"]))) == {128}
    numbers = dict(walked["steps"][0]["numbers"])
    oracle = report.tables["oracles"].iloc[0]
    assert float(numbers["Dice of the filter, mean over masks"]) == round(oracle["dice"], 3)


def test_without_a_walk_the_noise_is_made_and_grows(report):
    (first, *_) = explorer(replace(report, walks=()))
    assert not first["networks"]
    levels = [step["log_snr"] for step in first["steps"]]
    assert levels == sorted(levels, reverse=True)
    mask = report.cases[0].mask
    apart = [
        abs(pixels(step["x_t"])[mask].mean() - pixels(step["x_t"])[~mask].mean())
        for step in first["steps"]
    ]
    assert apart[0] > 10 * apart[-1] > 0


def test_no_case_no_picture(report):
    bare = replace(report, cases=None, walks=())
    assert cases_of_page(bare) == []
    assert explorer(bare) == []
