"""Masks of new images are those of the study, in the grid of each image, and nothing is lost."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from noise2mask.data.prepared import open_split
from noise2mask.data.resize import resize_image
from noise2mask.errors import UserError
from noise2mask.inference import predict as predicting
from noise2mask.inference.bundle import load_model
from noise2mask.inference.predict import entropy_of, joined, predict, predict_files, squares_of


@pytest.fixture
def model(trained_folder):
    return load_model(trained_folder)


@pytest.fixture
def cut(model):
    """The same network as if it had been trained on tiles of 24 px."""
    preparation = model.preparation.model_copy(update={"tile": 24})
    return dataclasses.replace(model, preparation=preparation)


def picture(seed=0, height=40, width=64):
    levels = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3))
    return np.kron(levels, np.ones((4, 4, 1))).astype(np.uint8)


def read(path):
    return np.asarray(Image.open(path))


def test_the_draws_of_a_test_case_are_those_of_the_study(model, finished_study, trained_folder):
    split = open_split(
        finished_study / "data/prepared/test/lesion_phantom", "test", purpose="evaluation"
    )
    with np.load(trained_folder / "ddim2/draws.npz") as file:
        draws = file["draws"]
    with np.load(trained_folder / "tempered/draws.npz") as file:
        tempered = file["draws"]
    for row, id in enumerate(split.ids):
        found = predict(model, split.images[row], name=id)
        expected = draws[row].mean(axis=0, dtype=np.float64).astype(np.float32)
        assert np.array_equal(found.probability, expected)
        assert np.array_equal(found.mask, expected > 0.5)
        np.testing.assert_allclose(found.deviation, draws[row].std(axis=0), atol=1e-6)
        calm = predict(model, split.images[row], name=id, sampler="tempered")
        assert np.array_equal(calm.probability, tempered[row, 0])


def test_an_image_gets_maps_of_its_own_size(model):
    found = predict(model, picture())
    assert found.mask.shape == found.probability.shape == found.entropy.shape == (40, 64)
    assert found.deviation.max() > 0
    np.testing.assert_allclose(found.entropy, entropy_of(found.probability))


def test_tiles_cover_an_image_and_join_where_they_lie(cut):
    image = picture(1, 60, 64)
    squares = list(squares_of("a", image, cut.preparation, overlap=0.5))
    assert [square.id for square in squares][:3] == ["a_y000x000", "a_y000x012", "a_y000x024"]
    whole = np.zeros((60, 64), bool)
    parts = []
    rows, columns = np.mgrid[:60, :64]
    for square in squares:
        top, left, height, width = square.place
        whole[top : top + height, left : left + width] = True
        # A plane, averaged to 16 x 16 and interpolated to 24 x 24 again.
        inside = np.s_[top : top + 24, left : left + 24]
        plane = (rows[inside] + 2 * columns[inside]).astype(np.float32)[None]
        parts.append((square.place, np.repeat(predicting.resized(plane, (16, 16)), 2, axis=0)))
    assert whole.all()
    found = joined(parts, (60, 64), cut.preparation)
    assert found.shape == (2, 60, 64)
    np.testing.assert_allclose(found[0][6:-6, 6:-6], (rows + 2 * columns)[6:-6, 6:-6], atol=1.0)


def test_an_image_smaller_than_a_tile_keeps_its_size(cut):
    assert predict(cut, picture(2, 12, 20)).mask.shape == (12, 20)


def test_padding_is_undone_exactly(model):
    """A picture of twice as many columns as rows: what is drawn of its square comes off again."""
    preparation = model.preparation.model_copy(update={"aspect": "padded"})
    padded = dataclasses.replace(model, preparation=preparation)
    image = picture(3, 24, 48)
    (square,) = squares_of("a", image, preparation)
    assert (square.id, tuple(square.place)) == ("a", (0, 0, 24, 48))
    np.testing.assert_array_equal(
        square.image, resize_image(np.concatenate([image, image[::-1]]), (16, 16))
    )
    rows = np.broadcast_to(np.arange(16, dtype=np.float32)[:, None], (16, 16))
    found = joined([(square.place, np.stack([rows, rows]))], (24, 48), preparation)
    assert found.shape == (2, 24, 48)
    np.testing.assert_array_equal(
        found, predicting.resized(np.stack([rows, rows]), (48, 48))[:, :24]
    )
    assert predict(padded, image).mask.shape == (24, 48)


def folder_of(tmp_path):
    images = tmp_path / "images"
    (images / "ward").mkdir(parents=True)
    Image.fromarray(picture(1)).save(images / "a.png")
    Image.fromarray(picture(2)).save(images / "ward" / "b.tif")
    (images / "notes.txt").write_text("nothing")
    return images


def test_files_get_maps_beside_their_names_and_a_table(model, tmp_path):
    out = tmp_path / "out"
    rows = predict_files(model, folder_of(tmp_path), out)
    direct = predict(model, picture(1), name="a")
    assert np.array_equal(read(out / "a_mask.png") > 0, direct.mask)
    levels = np.rint(direct.probability * 65535).astype(np.uint16)
    assert np.array_equal(read(out / "a_probability.png"), levels)
    tiff = predict(model, picture(2), name="ward_b")
    assert np.array_equal(read(out / "ward/b_entropy.tif"), tiff.entropy)
    assert np.array_equal(read(out / "ward/b_deviation.tif"), tiff.deviation)
    assert read(out / "ward/b_overlay.png").shape == (40, 64, 3)
    with (out / "predictions.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["mask"] for row in table] == ["a_mask.png", "ward/b_mask.tif"]
    assert float(table[0]["foreground"]) == pytest.approx(direct.mask.mean(), rel=1e-5)
    assert rows[0]["entropy"] == pytest.approx(direct.entropy.mean())
    about = json.loads((out / "predictions.json").read_text())
    assert about["sampler"]["sampler"]["draws"] == 2
    assert about["model"]["digest"] == model.digest


def test_what_is_finished_is_not_drawn_again(cut, tmp_path, monkeypatch):
    images, honest, seen = folder_of(tmp_path), predicting.drawn, []

    def dying(model, squares, way):
        if len(seen) >= 4:
            raise KeyboardInterrupt
        seen.extend(square.id for square in squares)
        return honest(model, squares, way)

    predict_files(cut, images, tmp_path / "whole")
    monkeypatch.setattr(predicting, "drawn", dying)
    with pytest.raises(KeyboardInterrupt):
        predict_files(cut, images, tmp_path / "out")
    again = []
    monkeypatch.setattr(
        predicting, "drawn", lambda m, s, w: (again.extend(q.id for q in s), honest(m, s, w))[1]
    )
    predict_files(cut, images, tmp_path / "out")
    assert not set(again) & set(seen)
    assert len(again) + len(seen) == 2 * 6
    for path in (tmp_path / "whole").rglob("*.*"):
        if path.suffix in {".png", ".tif", ".csv"}:
            assert (
                path.read_bytes()
                == (tmp_path / "out" / path.relative_to(tmp_path / "whole")).read_bytes()
            )
    again.clear()
    assert len(predict_files(cut, images, tmp_path / "out")) == 2
    assert again == []
    predict_files(cut, images, tmp_path / "out", draws=3)
    assert len(again) == 12
    (tmp_path / "out/a_mask.png").unlink()
    again.clear()
    predict_files(cut, images, tmp_path / "out", draws=3)
    assert len(again) == 6
    assert not list((tmp_path / "out/.noise2mask/parts").iterdir())


def test_one_bad_file_costs_the_others_nothing(model, tmp_path):
    images = folder_of(tmp_path)
    (images / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(UserError, match=r"1 of 3 files could not be segmented.*broken\.png"):
        predict_files(model, images, tmp_path / "out")
    assert (tmp_path / "out/a_mask.png").exists()
    assert (tmp_path / "out/ward/b_mask.tif").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sampler": "ddim3"}, "did you mean 'ddim2'"),
        ({"draws": 0}, "must be 1 or more"),
        ({"sampler": "tempered", "draws": 5}, "temperature of this sampler was fitted for 2 draws"),
        ({"overlap": 1.0}, "from 0 to below 1"),
    ],
)
def test_a_wrong_wish_is_one_sentence(model, given, said):
    with pytest.raises(UserError, match=said) as caught:
        predict(model, picture(), **given)
    assert "\n" not in str(caught.value)


def test_an_array_of_other_numbers_is_refused(model):
    with pytest.raises(UserError, match="uint8"):
        predict(model, picture().astype(np.float32))


def test_more_draws_are_the_same_and_more(model):
    two, four = (predict(model, picture(), draws=count) for count in (2, 4))
    assert not np.array_equal(two.probability, four.probability)


def test_the_number_of_threads_does_not_count(model):
    import torch

    one = predict(model, picture())
    torch.set_num_threads(2)
    try:
        assert np.array_equal(predict(model, picture()).probability, one.probability)
    finally:
        torch.set_num_threads(1)


def test_a_volume_has_its_foreground_in_millilitres(model, tmp_path):
    import nibabel

    values = np.random.default_rng(0).integers(0, 256, (20, 18, 3)).astype(np.uint8)
    (tmp_path / "in").mkdir()
    affine = np.diag([2.0, 2.5, 4.0, 1])
    nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / "in/v.nii.gz")
    (row,) = predict_files(model, tmp_path / "in", tmp_path / "out", axis="axial")
    mask = np.asarray(nibabel.load(tmp_path / "out/v_mask.nii.gz").dataobj)
    assert row["volume_ml"] == pytest.approx(mask.sum() * 2 * 2.5 * 4 / 1000)
    assert f"{row['volume_ml']:.6g}" in (tmp_path / "out/predictions.csv").read_text()


@pytest.mark.parametrize(("draws", "squares"), [(1, 8), (2, 4), (3, 8), (5, 8), (8, 1), (12, 2)])
def test_blocks_of_the_network_are_full(model, draws, squares):
    """Rows that fill a block up cost as much as draws."""
    assert predicting.at_once(model, model.way(draws=draws)) == squares
    assert draws * squares % predicting.BLOCK["cpu"] == 0
