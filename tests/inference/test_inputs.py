"""Images of every kind are read as a preparation reads them, and maps go back where they belong."""

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from PIL import Image

from noise2mask.data.formats import volumes
from noise2mask.data.formats.image_files import read_image
from noise2mask.errors import UserError
from noise2mask.inference.inputs import found, opened, write_map
from noise2mask.inference.model import Preparation

GREY = Preparation(kind="folder", resolution=16, channels=1, shortest=8, longest=64)
SLICES = GREY.model_copy(update={"kind": "volumes", "axis": "coronal", "spacing": None})
# Stored as left, superior, anterior, with voxels of three sizes, away from the origin.
AFFINE = np.array([[-2.0, 0, 0, 30], [0, 0, 1.5, -7], [0, 3.0, 0, 11], [0, 0, 0, 1]])


def volume(tmp_path, suffix=".nii.gz", shape=(9, 7, 8)):
    values = np.random.default_rng(0).normal(100, 20, shape).astype(np.float32)
    path = tmp_path / f"case{suffix}"
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), path)
    return path


def test_slices_are_those_of_a_preparation(tmp_path):
    place = tmp_path / "set"
    (place / "imagesTr").mkdir(parents=True)
    (place / "labelsTr").mkdir()
    path = volume(place / "imagesTr")
    labels = np.ones((9, 7, 8), np.uint8)
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), place / "labelsTr" / path.name)
    given = opened(path, "case", SLICES)
    sources = volumes.sources(root=str(place), axis="coronal")
    assert tuple(source.id for source in sources) == given.ids
    for number, source in enumerate(sources):
        assert np.array_equal(given.read(number), volumes.load(source)[0])


def test_a_map_of_a_volume_has_its_grid(tmp_path):
    path = volume(tmp_path)
    given = opened(path, "case", SLICES)
    stored = np.zeros(given.stored, np.float32)
    source = nibabel.load(path)
    voxels = np.asarray(source.dataobj)
    low, high = np.percentile(voxels, (0.5, 99.5))
    for number in range(len(given.ids)):
        shown = np.asarray(Image.fromarray(given.read(number)[..., 0]).resize(given.shape[::-1], 0))
        given.view(stored, number)[...] = shown
    written = nibabel.load(write_map(given, "probability", stored, tmp_path / "out"))
    assert np.array_equal(written.affine, source.affine)
    assert written.shape == source.shape
    assert written.get_data_dtype() == np.float32
    light = np.rint(255 * np.clip((voxels.astype(np.float64) - low) / (high - low), 0, 1))
    # Resampling to square pixels and back with the nearest pixel loses values, not places.
    assert np.corrcoef(written.get_fdata().ravel(), light.ravel())[0, 1] > 0.9
    mask = nibabel.load(write_map(given, "mask", stored > 100, tmp_path / "out"))
    assert np.array_equal(np.asarray(mask.dataobj), (stored > 100).astype(np.uint8))
    assert mask.get_data_dtype() == np.uint8


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_a_map_of_a_slice_has_its_grid(tmp_path, suffix):
    values = np.random.default_rng(1).integers(0, 256, (12, 10)).astype(np.uint8)
    path = tmp_path / f"slice{suffix}"
    if suffix == ".nii":
        nibabel.save(nibabel.Nifti1Image(values[..., None], AFFINE), path)
    else:
        image = sitk.GetImageFromArray(values)
        image.SetSpacing((0.5, 2.0))
        image.SetDirection((-1.0, 0.0, 0.0, 1.0))
        sitk.WriteImage(image, str(path))
    given = opened(path, "slice", GREY)
    shown = given.read(0)
    assert np.array_equal(shown, read_image(path))
    stored = np.zeros(given.stored, np.float32)
    given.view(stored, 0)[...] = shown[..., 0]
    out = write_map(given, "probability", stored, tmp_path)
    if suffix == ".nii":
        back = nibabel.load(out)
        assert np.array_equal(back.affine, AFFINE)
        assert np.array_equal(back.get_fdata(), values[..., None])
    else:
        back = sitk.ReadImage(str(out))
        assert np.array_equal(sitk.GetArrayFromImage(back), values.astype(np.float32))
        assert back.GetSpacing() == (0.5, 2.0)
        assert back.GetDirection() == (-1.0, 0.0, 0.0, 1.0)


def test_grey_becomes_the_colours_that_the_network_knows(tmp_path):
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(tmp_path / "a.png")
    given = opened(tmp_path / "a.png", "a", GREY.model_copy(update={"channels": 3}))
    assert given.read(0).shape == (16, 16, 3)


@pytest.mark.parametrize(
    ("shape", "preparation", "said"),
    [
        ((16, 16, 3), GREY, "has 3 channels, but the network was trained on images of 1"),
        ((16, 300), GREY, "300 x 16 pixels.*sides of 8 to 64.*--any-size"),
        ((16, 1), GREY, "1 x 16 pixels"),
    ],
)
def test_what_does_not_fit_the_training_is_refused(tmp_path, shape, preparation, said):
    Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=said):
        opened(tmp_path / "a.png", "a", preparation)


def test_any_size_and_tiles_take_other_scales(tmp_path):
    Image.fromarray(np.zeros((16, 300), np.uint8)).save(tmp_path / "a.png")
    assert opened(tmp_path / "a.png", "a", GREY, any_size=True).shape == (16, 300)
    tiled = GREY.model_copy(update={"tile": 16})
    assert opened(tmp_path / "a.png", "a", tiled).shape == (16, 300)


def test_a_volume_needs_a_plane(tmp_path):
    path = volume(tmp_path)
    with pytest.raises(UserError, match=r"9 x 7 x 8 voxels.*--axis"):
        opened(path, "case", GREY)
    given = opened(path, "case", GREY, axis="axial")
    assert given.ids[0] == "case_z000"
    assert len(given.ids) == 7
    assert given.voxel_ml == pytest.approx(2 * 1.5 * 3 / 1000)
    (tmp_path / "flat").mkdir()
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "flat/a.png")
    assert opened(tmp_path / "flat/a.png", "a", GREY).voxel_ml is None


def test_files_that_cannot_be_told_apart_or_are_none(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        found(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no file"):
        found(tmp_path)
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(UserError, match="none of the suffixes"):
        found(tmp_path / "a.txt")
    for name in ("a.png", "a.jpg"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match="differ only in their suffix"):
        found(tmp_path)
    for name in ("images", "masks"):
        (tmp_path / "set" / name).mkdir(parents=True)
    with pytest.raises(UserError, match="one of masks"):
        found(tmp_path / "set")
