"""Scores of real draws, image-blind predictions, and the tables made of them."""

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from noise2mask.data.formats import phantoms
from noise2mask.data.prepare import prepare
from noise2mask.data.prepared import NOBODY, open_split
from noise2mask.data.resize import resize_image, resize_mask
from noise2mask.data.source import LEFT_OUT, Slice
from noise2mask.errors import UserError
from noise2mask.evaluation import ensembles, metrics
from noise2mask.evaluation.columns import COLUMNS
from noise2mask.evaluation.floors import FLOORS, Known
from noise2mask.evaluation.labels import metric_of
from noise2mask.evaluation.score import (
    WholeImage,
    evaluate,
    evaluate_blind,
    score,
    volumes_of,
    whole_images,
)
from noise2mask.evaluation.tables import gather
from noise2mask.files import write_bytes, write_json, write_text
from noise2mask.study import paths
from noise2mask.study.schema import Evaluation, Reading, Training

CELL = Training("lesion_phantom", "ensemdiff", "diffusion", 0)


def write_draws(path, draws, cases):
    buffer = io.BytesIO()
    np.savez(buffer, draws=draws.astype(np.float32), cases=np.array(cases))
    write_bytes(path, buffer.getvalue(), record=True)


def table(folder):
    return pd.read_csv(folder / "metrics.csv")


def test_perfect_draws_score_perfectly(study, prepared, tmp_path):
    split = open_split(prepared, "test", purpose="evaluation")
    draws = np.repeat(split.masks[:, None], 2, axis=1)
    write_draws(tmp_path / "draws.npz", draws, split.ids)
    evaluate(study, "test", CELL, "ddim2", tmp_path / "draws.npz", prepared)
    found = table(tmp_path)
    assert list(found.columns) == list(COLUMNS["metrics"])
    assert set(found.case) == set(split.ids)
    assert set(found.steps) == {2}
    assert set(found.draws) == {2}
    means = found.groupby("metric").value.mean()
    assert means[["dice", "iou", "nsd"]].tolist() == [1, 1, 1]
    assert means[["hd95", "ece", "brier", "ece_band"]].tolist() == [0, 0, 0, 0]
    assert means[["spread", "grey", "ged", "diversity"]].tolist() == [0, 0, 0, 0]
    assert means["nll"] == pytest.approx(-np.log(1 - 1 / 4))  # clipped to 1 - 1/(2N), N = 2


def test_pixels_that_are_left_out_are_in_no_score(study, prepared):
    """Whatever is drawn there, and however the others lie, no number moves."""
    split = open_split(prepared, "test", purpose="evaluation")
    levels = split.masks.copy()
    levels[:, :, :3] = LEFT_OUT
    partly = replace(split, masks=levels)
    probability = np.random.default_rng(0).random(levels.shape, dtype=np.float32)
    draws = np.random.default_rng(1).random((len(levels), 3, *levels.shape[1:]), dtype=np.float32)

    def scored():
        images = list(whole_images(partly, probability, draws))
        assert all(np.array_equal(each.counted, levels[0] != LEFT_OUT) for each in images)
        return [list(score(each, study.evaluation, 3)) for each in images]

    before = scored()
    probability[:, :, :3], draws[..., :3] = 1, 1
    assert scored() == before
    image = next(whole_images(partly, probability, draws))
    known = dict(score(image, study.evaluation, 3))
    kept, mask = image.probability[:, 3:], split.masks[0, :, 3:]
    assert known["brier"] == pytest.approx(((kept - mask) ** 2).mean())
    assert known["dice"] == pytest.approx(metrics.dice(kept > 0.5, mask == 1))


def test_the_mean_of_the_draws_is_scored_not_each(study, prepared, tmp_path):
    split = open_split(prepared, "test", purpose="evaluation")
    generator = np.random.default_rng(0)
    draws = generator.random((len(split.ids), 3, 16, 16))
    write_draws(tmp_path / "draws.npz", draws, split.ids)
    evaluate(study, "test", CELL, "ddim2", tmp_path / "draws.npz", prepared)
    found = table(tmp_path)
    for row, case in enumerate(split.ids):
        mean = draws[row].astype(np.float32).mean(axis=0, dtype=np.float64)
        expected = metrics.dice(mean > 0.5, split.masks[row].astype(bool))
        value = found[(found.case == case) & (found.metric == "dice")].value.item()
        assert value == pytest.approx(expected, abs=1e-8)


def test_another_fusion_is_an_option(study, prepared, tmp_path):
    """The published square of the mean halves what half of the draws call foreground."""
    split = open_split(prepared, "test", purpose="evaluation")
    draws = np.full((len(split.ids), 2, 16, 16), 0.6)
    write_draws(tmp_path / "draws.npz", draws, split.ids)
    dice = {}
    for fusion in ("mean", "squared_mean"):
        other = study.evaluation.model_copy(update={"fusion": fusion})
        changed = study.model_copy(update={"evaluation": other})
        evaluate(changed, "test", CELL, "ddim2", tmp_path / "draws.npz", prepared)
        found = table(tmp_path)
        dice[fusion] = found[found.metric == "dice"].value.mean()
    assert dice["mean"] > 0  # 0.6 is foreground everywhere
    assert dice["squared_mean"] == 0  # 0.36 is nowhere


def test_draws_of_other_cases_and_damaged_files_are_refused(study, prepared, tmp_path):
    split = open_split(prepared, "test", purpose="evaluation")
    path = tmp_path / "draws.npz"
    write_draws(path, np.zeros((1, 1, 16, 16)), ["stranger"])
    with pytest.raises(UserError) as caught:
        evaluate(study, "test", CELL, "ddim2", path, prepared)
    assert str(caught.value) == (
        f"{path} holds other cases than the prepared split (1 against {len(split.ids)} "
        "cases); sample it again."
    )
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="was changed or damaged: it has 100 bytes"):
        evaluate(study, "test", CELL, "ddim2", path, prepared)


def test_image_blind_predictions_do_not_look_at_the_image(study, prepared, tmp_path):
    evaluate_blind(study, "test", "lesion_phantom", prepared, tmp_path)
    split = open_split(prepared, "test", purpose="evaluation")
    share = split.masks.mean(axis=(1, 2))
    everything = table(tmp_path / "all_foreground")
    found = everything[everything.metric == "dice"].value.to_numpy()
    np.testing.assert_allclose(found, 2 * share / (1 + share), rtol=1e-6)
    mean_mask = open_split(prepared, "train", purpose="evaluation").masks.mean(axis=0)
    average = table(tmp_path / "mean_mask")
    value = average[(average.case == split.ids[0]) & (average.metric == "brier")].value.item()
    assert value == pytest.approx(((mean_mask - split.masks[0]) ** 2).mean(), rel=1e-6)


def test_classical_floors_look_at_the_image_and_choose_without_the_test_cases(
    study, prepared, tmp_path
):
    evaluate_blind(study, "test", "lesion_phantom", prepared, tmp_path)
    train, val, test = (
        open_split(prepared, each, purpose="evaluation") for each in ("train", "val", "test")
    )
    known = Known(
        np.concatenate([train.images, val.images]),
        np.concatenate([train.masks, val.masks]).astype(bool),
        np.arange(len(train.ids) + len(val.ids)) < len(train.ids),
    )
    probability = FLOORS["otsu"](known, test.images)
    found = table(tmp_path / "otsu")
    assert set(found.network) == {"classical"}
    value = found[(found.case == test.ids[0]) & (found.metric == "brier")].value.item()
    assert value == pytest.approx(((probability[0] - test.masks[0]) ** 2).mean(), rel=1e-6)


def image_of(probability, mask):
    """A case of one draw."""
    p = np.asarray(probability, dtype=np.float32)
    return WholeImage("case", p, p[None], np.asarray(mask))


def test_every_option_of_a_metric_reaches_it():
    mask = np.zeros((16, 16), dtype=bool)
    mask[4:12, 4:12] = True
    probability = np.roll(mask, 2, axis=1).astype(np.float32)
    values = {
        tolerance: dict(
            score(
                image_of(probability, mask),
                Evaluation(metrics={"nsd": {"tolerance": tolerance}}),
                5,
            )
        )["nsd"]
        for tolerance in (0, 1, 2)
    }
    assert values[0] < values[1] < values[2] == 1


def test_an_empty_band_has_no_calibration():
    empty = np.zeros((8, 8), dtype=bool)
    values = dict(score(image_of(np.zeros((8, 8)), empty), Evaluation(), 5))
    assert np.isnan(values["ece_band"])
    assert values["ece"] == 0
    assert values["dice"] == 1


# Tiles ----------------------------------------------------------------------------------------


@pytest.fixture
def tiled(tmp_path):
    """Nuclei phantoms as SegDiff has MoNuSeg: shrunk, then cut into four tiles."""
    shares = {"train": 0.5, "val": 0.2, "test": 0.3}
    options = {"family": "nuclei", "count": 9, "size": 48}
    prepare(
        "phantoms", options, "lesion_phantom", 16, shares, tmp_path / "tiled",
        shrink=32, tile=16, stride=8,
    )  # fmt: skip
    return tmp_path / "tiled"


def test_tiles_are_scored_as_the_image_they_were(study, tiled, tmp_path):
    split = open_split(tiled, "test", purpose="evaluation")
    draws = split.masks[:, None].astype(np.float32)
    images = [image.id for image in whole_images(split, draws[:, 0], draws)]
    assert images == sorted({id.partition("_y")[0] for id in split.ids})
    assert len(split.ids) == 4 * len(images)

    write_draws(tmp_path / "draws.npz", split.masks[:, None], split.ids)
    evaluate(study, "test", CELL, "ddim2", tmp_path / "draws.npz", tiled)
    found = table(tmp_path)
    assert list(found.case.unique()) == images
    assert (found[found.metric == "dice"].value == 1).all()
    assert (found[found.metric == "hd95"].value == 0).all()
    histograms = pd.read_csv(tmp_path / "reliability.csv")
    pixels = histograms[histograms.region == "all"].groupby("case")["count"].sum()
    assert set(pixels) == {32 * 32}


def test_dice_of_an_image_is_not_the_mean_of_its_tiles(study, tiled, tmp_path):
    """One tile is right and the others are missed, so large nuclei count more than small ones."""
    split = open_split(tiled, "test", purpose="evaluation")
    draws = np.zeros_like(split.masks)
    draws[::4] = split.masks[::4]
    write_draws(tmp_path / "draws.npz", draws[:, None], split.ids)
    evaluate(study, "test", CELL, "ddim2", tmp_path / "draws.npz", tiled)
    found = table(tmp_path)
    dice = found[found.metric == "dice"].value.to_numpy()
    truth = split.masks.astype(bool)
    tiles = [metrics.dice(draw.astype(bool), mask) for draw, mask in zip(draws, truth, strict=True)]
    of_tiles = np.reshape(tiles, (-1, 4)).mean(axis=1)
    share = split.masks.reshape(-1, 4, 16 * 16).sum(axis=2)
    np.testing.assert_allclose(dice, 2 * share[:, 0] / (share[:, 0] + share.sum(axis=1)), rtol=1e-6)
    assert (np.abs(dice - of_tiles) > 0.01).any()


def test_tiles_come_back_to_their_places(tiled):
    split = open_split(tiled, "test", purpose="evaluation")
    source_of = {one.id: one for one in phantoms.sources(family="nuclei", count=9, size=48)}
    squares = split.images[..., 0].astype(np.float32)
    two = np.stack([squares, -squares], axis=1)
    for id, probability, draws, mask, *_ in whole_images(split, squares, two):
        np.testing.assert_array_equal(draws, [probability, -probability])
        image, truth = phantoms.load(source_of[id])
        np.testing.assert_array_equal(probability, resize_image(image, (32, 32))[..., 0])
        np.testing.assert_array_equal(mask, resize_mask(truth, (32, 32)))


def test_image_blind_predictions_of_tiles(study, tiled, tmp_path):
    evaluate_blind(study, "test", "lesion_phantom", tiled, tmp_path / "blind")
    split = open_split(tiled, "test", purpose="evaluation")
    share = split.masks.reshape(-1, 4 * 16 * 16).mean(axis=1)
    everything = table(tmp_path / "blind" / "all_foreground")
    found = everything[everything.metric == "dice"].value.to_numpy()
    np.testing.assert_allclose(found, 2 * share / (1 + share), rtol=1e-6)
    mean_mask = open_split(tiled, "train", purpose="evaluation").masks.mean(axis=0)
    average = table(tmp_path / "blind" / "mean_mask")
    value = average[average.metric == "brier"].value.iloc[0]
    assert value == pytest.approx(((mean_mask - split.masks[:4]) ** 2).mean(), rel=1e-6)


# Tables ---------------------------------------------------------------------------------------


@pytest.fixture
def results(study, prepared, tmp_path):
    """Results of two cells and the blind predictions; the rest of the study is missing."""
    split = open_split(prepared, "test", purpose="evaluation")
    generator = np.random.default_rng(1)
    target = tmp_path / paths.prepared("test", "lesion_phantom")
    target.mkdir(parents=True)
    for path in prepared.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    evaluate_blind(
        study, "test", "lesion_phantom", prepared,
        tmp_path / paths.blind_folder("test", "lesion_phantom"),
    )  # fmt: skip
    for mode, sampler, noise in (("diffusion", "ddim2", 0.1), ("feed_forward", "one_pass", 0.4)):
        cell = CELL._replace(mode=mode)
        folder = paths.training_folder(tmp_path / "results", "test", cell) / sampler
        flips = generator.random((len(split.ids), 1, 16, 16)) < noise
        write_draws(folder / "draws.npz", flips ^ split.masks[:, None].astype(bool), split.ids)
        evaluate(study, "test", cell, sampler, folder / "draws.npz", prepared)
        write_text(folder.parent / "run.json", "{}", record=True)
        write_text(folder.parent / "history.jsonl", "", record=True)
    return tmp_path


def test_tables_of_a_study_that_is_half_done(study, results):
    tables, missing = gather(study, "test", results)
    assert len(missing) == 21 - 2 + 2 * 5  # samplings, and the floors of two datasets
    assert "nuclei_phantom segdiff diffusion seed 0 ddim2" in missing
    summary = tables.summary
    assert list(summary.columns) == [
        "dataset", "network", "mode", "sampler", "steps", "start", "draws", "metric", "mean", "low",
        "high", "n", "cases", "seeds",
    ]  # fmt: skip
    blind = summary[summary.network == "blind"]
    assert blind.metric.is_unique  # the better one alone
    scores = tables.metrics
    both = scores[(scores.network == "blind") & (scores.metric == "dice")]
    means = both.groupby("sampler").value.mean()
    assert set(means.index) == {"all_foreground", "mean_mask"}
    best = blind.set_index("metric")
    assert best.sampler["dice"] == means.idxmax()
    assert best["mean"]["dice"] == pytest.approx(means.max())
    both = scores[(scores.network == "blind") & (scores.metric == "brier")]
    assert best["mean"]["brier"] == pytest.approx(both.groupby("sampler").value.mean().min())
    classical = scores[(scores.network == "classical") & (scores.metric == "dice")]
    means = classical.groupby("sampler").value.mean()
    assert set(means.index) == {"otsu", "clusters", "pixel_classifier"}
    shown = summary[(summary.network == "classical") & (summary.metric == "dice")]
    assert shown.sampler.item() == means.idxmax()
    cell = summary[(summary["mode"] == "diffusion") & (summary.metric == "dice")].iloc[0]
    values = scores[(scores["mode"] == "diffusion") & (scores.metric == "dice")].value
    assert cell["mean"] == pytest.approx(values.mean())
    assert cell[["low", "high"]].isna().all()  # three units say too little of their spread
    assert (cell.n, cell.cases, cell.seeds) == (len(values), len(values), 1)
    assert (cell.steps, cell.draws) == (2, 2)
    assert np.isnan(cell.start)
    assert {"ece_pooled", "ece_band_pooled"} <= set(summary.metric)


def test_comparisons_are_paired_and_corrected(study, results):
    tables, _ = gather(study, "test", results)
    compared = tables.comparisons.set_index("metric")
    assert compared.loc["dice", "difference"] > 0  # the diffusion cell has less noise
    assert compared.loc["dice", "difference"] == pytest.approx(
        compared.loc["dice", "first_mean"] - compared.loc["dice", "second_mean"]
    )
    assert set(compared["first"]) == {"diffusion"}
    assert set(compared["loss"]) == {"own"}
    planned = compared.loc[["iou", "brier"]]
    assert (planned.p_holm >= planned.p).all()
    assert compared.drop(["iou", "brier"]).p_holm.isna().all()
    assert {"ece_pooled", "ece_band_pooled"} <= set(compared.index)


def test_pooled_calibration_error_is_that_of_all_pixels_together(study, results, prepared):
    from noise2mask.evaluation.calibration import ece

    tables, _ = gather(study, "test", results)
    folder = paths.training_folder(results / "results", "test", CELL) / "ddim2"
    with np.load(folder / "draws.npz") as file:
        probability = file["draws"].mean(axis=1)
    masks = open_split(prepared, "test", purpose="evaluation").masks.astype(bool)
    found = tables.summary.set_index(["mode", "metric"]).loc[("diffusion", "ece_pooled"), "mean"]
    assert found == pytest.approx(ece(probability, masks), rel=1e-6)


def test_tables_are_the_same_bytes_twice(study, results):
    for name in ("one", "two"):
        gather(study, "test", results)[0].save(results / name)
    for path in (results / "one").iterdir():
        assert path.read_bytes() == (results / "two" / path.name).read_bytes()


def test_a_study_without_any_result_has_empty_tables(study, tmp_path):
    tables, missing = gather(study, "test", tmp_path)
    assert len(missing) == 21 + 3 * 5
    assert len(tables.summary) == len(tables.comparisons) == len(tables.reliability) == 0


FIVE = (0.1, 0.3, 0.5, 0.7, 0.9)
OVERLAPS = Evaluation(
    metrics={"dice": {}, "iou": {}}, calibration={"brier": {}}, ensemble={}, bins=5
)


def scored(probability, mask, thresholds):
    values = score(image_of(probability, mask), OVERLAPS, 1, thresholds)
    return {name: value for name, value in values if not name.endswith("_band")}


@pytest.mark.parametrize("top", [1.0, 0.3, 1e-3])
def test_a_perfect_prediction_of_any_height_scores_1_at_five_thresholds(top):
    mask = np.zeros((16, 16), bool)
    mask[4:12, 5:9] = True
    found = scored(top * mask, mask, FIVE)
    assert (found["dice"], found["iou"]) == (1, 1)
    assert found["brier"] == pytest.approx(mask.mean() * (1 - top) ** 2, rel=1e-6)  # P as it is


@pytest.mark.parametrize("height", [1.0, 0.5, 0.01])
def test_a_constant_map_is_all_foreground_at_five_thresholds(height):
    mask = np.zeros((16, 16), bool)
    mask[:4] = True  # a quarter
    found = scored(np.full((16, 16), height), mask, FIVE)
    assert found["dice"] == pytest.approx(2 * 0.25 / 1.25)
    assert found["iou"] == pytest.approx(0.25)


def test_levels_between_the_thresholds_come_off_one_by_one():
    """Columns of P / max = 0.2, 0.4, 0.6, 0.8, 1: masks of 5, 4, 3, 2 and 1 columns."""
    columns = np.array([0.2, 0.4, 0.6, 0.8, 1.0]) * 0.7
    probability = np.tile(columns, (5, 1))
    mask = np.tile(columns > 0.4, (5, 1))  # three columns
    found = scored(probability, mask, FIVE)
    assert found["dice"] == pytest.approx(np.mean([6 / 8, 6 / 7, 1, 4 / 5, 2 / 4]))
    assert found["iou"] == pytest.approx(np.mean([3 / 5, 3 / 4, 1, 2 / 3, 1 / 3]))
    assert scored(probability, mask, None)["dice"] == pytest.approx(4 / 5)  # 0.56 and 0.7


def test_nothing_predicted_stays_nothing_at_five_thresholds():
    empty, some = np.zeros((8, 8), bool), np.eye(8, dtype=bool)
    assert scored(np.zeros((8, 8)), empty, FIVE)["dice"] == 1
    assert scored(np.zeros((8, 8)), some, FIVE)["dice"] == 0
    assert scored(np.full((8, 8), 1e-3), empty, FIVE)["dice"] == 0  # the maximum makes it all


def test_a_reading_with_thresholds_is_scored_at_them(study, prepared, tmp_path):
    split = open_split(prepared, "test", purpose="evaluation")
    draws = np.random.default_rng(0).random((len(split.ids), 2, 16, 16)).astype(np.float32)
    write_draws(tmp_path / "draws.npz", draws, split.ids)
    changed = study.model_copy(update={"readings": {"five": Reading(of="ddim2", thresholds=FIVE)}})
    evaluate(changed, "test", CELL, "five", tmp_path / "draws.npz", prepared)
    dice = table(tmp_path).set_index(["metric", "case"]).value["dice"]
    for row, case in enumerate(split.ids):
        mean = draws[row].mean(axis=0, dtype=np.float64).astype(np.float32)
        mask = split.masks[row].astype(bool)
        expected = np.mean([metrics.dice(mean / mean.max() > level, mask) for level in FIVE])
        assert dice[case] == pytest.approx(expected, abs=1e-8)


def test_draws_on_masks_with_a_quirk_are_scored_against_the_proper_ones_too(
    study, prepared, tmp_path
):
    dataset = study.datasets["lesion_phantom"]
    shares = study.shares.model_dump()
    grown = tmp_path / "grown"
    prepare(dataset.kind, dataset.options, "grown", 16, shares, grown, masks="grown")
    wide = open_split(grown, "test", purpose="evaluation")
    draws = np.repeat(wide.masks[:, None], 2, axis=1)
    write_draws(tmp_path / "draws.npz", draws, wide.ids)
    cell = CELL._replace(dataset="grown")
    evaluate(study, "test", cell, "ddim2", tmp_path / "draws.npz", grown)
    nothing = pd.read_csv(tmp_path / "against_proper.csv")
    assert nothing.empty
    assert list(nothing.columns) == list(COLUMNS["against_proper"])
    evaluate(study, "test", cell, "ddim2", tmp_path / "draws.npz", grown, prepared)
    own = table(tmp_path)
    assert (own[own.metric == "dice"].value == 1).all()
    against = pd.read_csv(tmp_path / "against_proper.csv")
    assert set(against.dataset) == {"grown"}
    assert set(against.sampler) == {"ddim2"}
    assert set(against.metric) == set(own.metric)
    truth = open_split(prepared, "test", purpose="evaluation").masks.astype(bool)
    dice = against[against.metric == "dice"].value.to_numpy()
    expected = [metrics.dice(w.astype(bool), t) for w, t in zip(wide.masks, truth, strict=True)]
    assert dice.tolist() == pytest.approx(expected)
    assert dice.max() < 1  # perfect against grown masks, and wrong for every true one


def test_metrics_of_an_ensemble_are_those_of_its_draws(study, prepared, tmp_path):
    split = open_split(prepared, "test", purpose="evaluation")
    draws = np.random.default_rng(0).random((len(split.ids), 3, 16, 16)).astype(np.float32)
    write_draws(tmp_path / "draws.npz", draws, split.ids)
    evaluate(study, "test", CELL, "ddim2", tmp_path / "draws.npz", prepared)
    values = table(tmp_path).set_index(["metric", "case"]).value
    for row, case in enumerate(split.ids):
        mask = split.masks[row].astype(bool)[None]
        for name in ("spread", "grey", "ged", "diversity"):
            expected = getattr(ensembles, name)(draws[row], mask)
            assert values[name, case] == pytest.approx(expected, rel=1e-6)
    write_draws(tmp_path / "draws.npz", draws[:, :1], split.ids)
    evaluate(study, "test", CELL, "ddim2", tmp_path / "draws.npz", prepared)
    assert set(table(tmp_path).metric) & {"spread", "grey", "ged", "diversity"} == {"grey", "ged"}


def test_probabilities_are_held_against_every_annotator_of_soft_labels():
    generator = np.random.default_rng(0)
    marks = generator.random((3, 12, 12)) < 0.4
    p = generator.random((12, 12), dtype=np.float32)
    majority = marks.sum(axis=0) > 1
    image = WholeImage("case", p, p[None], majority, references=marks, soft=True)
    found = dict(score(image, Evaluation(), 5))
    each = [dict(score(image_of(p, mark), Evaluation(), 5)) for mark in marks]
    for proper in ("brier", "nll"):
        assert found[proper] == pytest.approx(np.mean([one[proper] for one in each]))
    assert found["dice"] == metrics.dice(p > 0.5, majority)
    assert found["ged"] == ensembles.ged(p[None], marks)
    hard = dict(score(image._replace(soft=False), Evaluation(), 5))
    assert hard["brier"] == dict(score(image_of(p, majority), Evaluation(), 5))["brier"]
    assert hard["ged"] == found["ged"]


def test_a_case_lacks_annotators_that_others_have(study, prepared):
    split = open_split(prepared, "test", purpose="evaluation")
    references = np.repeat(split.masks[:, None], 3, axis=1)
    references[0, 2] = NOBODY
    p = np.zeros(split.masks.shape, np.float32)
    images = list(whole_images(replace(split, references=references), p, p[:, None]))
    assert [len(image.references) for image in images[:2]] == [2, 3]


def test_volumes_are_put_together_with_gaps_and_scored_in_mm():
    generator = np.random.default_rng(1)
    masks, probabilities = generator.random((4, 6, 6)) < 0.4, generator.random((4, 6, 6))
    numbers = (3, 4, 6, 7)  # nothing was prepared of 5
    images = [
        image_of(p, mask)._replace(spacing=(2.0, 1.5), slice=Slice("liver", number, 4.0))
        for p, mask, number in zip(probabilities, masks, numbers, strict=True)
    ]
    (volume,) = volumes_of([*images[::-1], image_of(probabilities[0], masks[0])])
    assert (volume.id, volume.spacing) == ("liver", (4.0, 2.0, 1.5))
    assert not volume.mask[2].any()
    np.testing.assert_array_equal(volume.mask[[0, 1, 3, 4]], masks)
    np.testing.assert_allclose(volume.probability[[0, 1, 3, 4]], probabilities, rtol=1e-6)


def test_metrics_in_mm_and_of_volumes_are_in_the_table(study, prepared, tmp_path):
    """Every test case is made a slice of one volume; where nobody says the spacing it is NaN."""
    split = open_split(prepared, "test", purpose="evaluation")
    draws = np.roll(np.repeat(split.masks[:, None], 2, axis=1), 1, axis=-1)
    write_draws(tmp_path / "draws.npz", draws, split.ids)
    wanted = {"metrics": {"hd95_mm": {}, "hd95": {}}, "volumes": {"dice": {}, "hd95_mm": {}}}
    asked = study.model_copy(update={"evaluation": Evaluation(**wanted)})
    evaluate(asked, "test", CELL, "ddim2", tmp_path / "draws.npz", prepared)
    found = table(tmp_path)
    assert found[found.metric == "hd95_mm"].value.isna().all()
    assert not found.metric.str.endswith("_volume").any()
    shutil.copytree(prepared, tmp_path / "placed")
    manifest = json.loads((prepared / "manifest.json").read_text())
    tests = [case for case in manifest["cases"] if case["split"] == "test"]
    for number, case in enumerate(tests):
        case |= {"sides": [2.0, 0.5], "slice": ["v", number, 3.0]}
    write_json(tmp_path / "placed/manifest.json", manifest, record=True)
    evaluate(asked, "test", CELL, "ddim2", tmp_path / "draws.npz", tmp_path / "placed")
    found = table(tmp_path)
    pairs = zip(draws[:, 0] > 0, split.masks > 0, strict=True)
    shifted = [metrics.hd95_mm(*pair, (2.0, 0.5)) for pair in pairs]
    np.testing.assert_allclose(found[found.metric == "hd95_mm"].value, shifted, rtol=1e-6)
    whole = found[found.case == "v"].set_index("metric").value
    assert whole["dice_volume"] == pytest.approx(metrics.dice(draws[:, 0] > 0, split.masks > 0))
    expected = metrics.hd95_mm(draws[:, 0] > 0, split.masks > 0, (3.0, 2.0, 0.5))
    assert whole["hd95_mm_volume"] == pytest.approx(expected)
    assert metric_of("hd95_mm_volume").title == "HD95 in mm of volumes"
