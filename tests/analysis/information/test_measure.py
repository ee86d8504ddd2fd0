"""Losses of really trained tiny networks along the noise axis."""

import numpy as np
import pandas as pd
import pytest
import torch

from noise2mask.analysis.information.measure import COLUMNS, Rows, measure_modes
from noise2mask.analysis.information.measurement import Grid, measure, of_network
from noise2mask.data.prepare import prepare
from noise2mask.data.prepared import open_split, read_manifest
from noise2mask.errors import UserError
from noise2mask.sampling.sample import load_trained
from noise2mask.study.paths import PICTURES
from noise2mask.study.plan import run_settings
from noise2mask.study.schema import Analysis, Pair, Training
from noise2mask.training.run import run_of
from noise2mask.training.train import train

CPU = torch.device("cpu")
MODES = ("diffusion", "image_free", "image_diffusion")
PAIR = Pair(with_image="diffusion", without_image="image_free")
ANALYSIS = Analysis(measured=MODES, pair=PAIR, spacing=2.0, splits=("val", "test"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, study, prepared):
    """A finished training of each mode, by name."""
    folder = tmp_path_factory.mktemp("runs")
    for mode in MODES:
        training = Training("lesion_phantom", "ensemdiff", mode, 0)
        run = run_of(run_settings(study, training), read_manifest(prepared), "free")
        train(run, prepared, folder / "work" / mode, folder / mode, CPU)
    return {mode: folder / mode for mode in MODES}


@pytest.fixture(scope="module")
def table(finished, prepared, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "losses.csv"
    measure_modes(finished, prepared, ANALYSIS, out, 1, CPU)
    return pd.read_csv(out)


def test_a_row_for_every_case_and_level_of_held_out_cases(table, prepared):
    assert tuple(table.columns) == COLUMNS
    assert list(dict.fromkeys(table["mode"])) == list(MODES)
    manifest = read_manifest(prepared)
    held_out = {case.id: case.split for case in manifest.cases if case.split != "train"}
    assert set(table["case"]) == set(held_out)
    assert (table["split"] == table["case"].map(held_out)).all()
    counts = table.groupby(["mode", "case"]).size()
    assert set(counts) == {counts.iloc[0]}
    assert counts.iloc[0] >= 5
    assert len(table) == len(MODES) * len(held_out) * counts.iloc[0]


def test_errors_are_those_of_each_network_alone_on_the_same_noise(table, finished, prepared):
    rows = table[(table["mode"] == "image_free") & (table["split"] == "test")]
    trained = load_trained(finished["image_free"], CPU)
    split = open_split(prepared, "test", purpose="evaluation")
    data = trained.run.data
    grid = Grid(
        ids=split.ids,
        masks=Rows(split, data["mean"], data["std"], "mask"),
        images=Rows(split, data["mean"], data["std"], "image"),
        timesteps=sorted(set(rows["t"])),
        schedule=trained.process.schedule,
        coding="signed",
        seed=0,
    )
    found = measure(of_network(trained.network, trained.process), grid)
    np.testing.assert_allclose(rows["error"], found.x_0.ravel(), rtol=1e-6)
    np.testing.assert_allclose(rows["clipped"], found.clipped.ravel(), rtol=1e-6)
    assert (rows["clipped"] <= rows["error"] * (1 + 1e-9)).all()


def test_the_distance_is_that_of_the_pair_and_of_nothing_else(table):
    assert table[table["mode"] == "diffusion"]["apart"].gt(0).all()
    assert table[table["mode"] != "diffusion"]["apart"].isna().all()
    wide = table[table["split"] == "test"].pivot(index=["case", "t"], columns="mode")
    errors = wide["clipped"]
    bound = (np.sqrt(errors["diffusion"]) + np.sqrt(errors["image_free"])) ** 2
    assert (wide["apart"]["diffusion"] <= bound * (1 + 1e-5)).all()


def test_images_are_measured_in_units_of_their_variance(table, prepared):
    """With so much noise that nothing is left, the error is the energy of the grey image."""
    rows = table[(table["mode"] == "image_diffusion") & (table["split"] == "test")]
    split = open_split(prepared, "test", purpose="evaluation")
    manifest = split.manifest
    last = rows[rows["t"] == rows["t"].max()].set_index("case")
    for number, case in enumerate(split.ids):
        image = split.images[number] / 255
        grey = ((image - manifest.mean) / manifest.std).mean(axis=2)
        assert last["error"][case] == pytest.approx((grey**2).sum(), rel=0.5)
    assert (rows["clipped"] == rows["error"]).all()
    assert (table["gap"] == 2).all()


def test_pictures_are_those_of_the_errors_in_the_table(table, finished, prepared, tmp_path):
    """The pictures of the first test case have the squared errors that the table gives it."""
    measure_modes(finished, prepared, ANALYSIS, tmp_path / "losses.csv", 1, CPU)
    split = open_split(prepared, "test", purpose="evaluation")
    mask = 2.0 * np.asarray(split.masks[0], dtype=np.float64) - 1
    rows = table[(table["split"] == "test") & (table["case"] == split.ids[0])]
    with np.load(tmp_path / PICTURES) as file:
        pictures = dict(file)
    assert str(pictures["case"]) == split.ids[0]
    for part, mode in (("with_image", "diffusion"), ("without_image", "image_free")):
        own = rows[rows["mode"] == mode].sort_values("t")
        np.testing.assert_array_equal(pictures["t"], own["t"])
        np.testing.assert_allclose(pictures["log_snr"], own["log_snr"], rtol=1e-7)
        found = ((pictures[part] / 127.5 - 1 - mask) ** 2).mean(axis=(1, 2))
        np.testing.assert_allclose(found, own["clipped"] / mask.size, atol=0.01)
    # The least noise lies on the mask.
    assert ((pictures["x_t"][0] > 0) == (mask > 0)).all()


def test_without_a_pair_there_is_no_picture(finished, prepared, tmp_path):
    alone = ANALYSIS.model_copy(update={"pair": None})
    measure_modes(finished, prepared, alone, tmp_path / "losses.csv", 1, CPU)
    with np.load(tmp_path / PICTURES) as file:
        assert not len(file["t"])


def test_the_same_bytes_again(finished, prepared, tmp_path):
    for name in ("one", "two"):
        measure_modes(finished, prepared, ANALYSIS, tmp_path / name, 1, CPU)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_pair_needs_one_schedule(finished, study, prepared, tmp_path):
    settings = run_settings(study, Training("lesion_phantom", "ensemdiff", "image_free", 0))
    schedule = settings.diffusion.schedule.model_copy(update={"input_scale": 1.0})
    diffusion = settings.diffusion.model_copy(update={"schedule": schedule})
    other = settings.model_copy(update={"diffusion": diffusion})
    run = run_of(other, read_manifest(prepared), "free")
    train(run, prepared, tmp_path / "work", tmp_path / "image_free", CPU)
    folders = {**finished, "image_free": tmp_path / "image_free"}
    with pytest.raises(UserError, match="one schedule, input scale and coding"):
        measure_modes(folders, prepared, ANALYSIS, tmp_path / "x.csv", 1, CPU)


def test_other_cases_than_the_run_was_trained_on_are_refused(finished, study, tmp_path):
    dataset = study.datasets["nuclei_phantom"]
    prepare(
        dataset.kind, dataset.options, "nuclei_phantom", study.resolution,
        study.shares.model_dump(), tmp_path / "other",
    )  # fmt: skip
    with pytest.raises(UserError, match="run this training again"):
        measure_modes(finished, tmp_path / "other", ANALYSIS, tmp_path / "x.csv", 1, CPU)


def test_a_run_that_is_not_there(finished, prepared, tmp_path):
    folders = {**finished, "image_free": tmp_path / "none"}
    with pytest.raises(UserError, match="run this training first"):
        measure_modes(folders, prepared, ANALYSIS, tmp_path / "x.csv", 1, CPU)
