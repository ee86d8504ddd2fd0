"""Files with a header that says where voxels lie; volumes as wholes are in test_volumes."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given
from hypothesis import strategies as st

from noise2mask.data.formats.spatial_files import (
    Header,
    check_equal_grids,
    companions,
    header_of,
    is_picture_like,
    read_voxels,
    suffix_of,
    turned,
    whole,
)
from noise2mask.errors import UserError

VOXELS = np.arange(60, dtype=np.int16).reshape(5, 4, 3)


def header(affine: np.ndarray, shape: tuple[int, ...] = (5, 4, 3), name: str = "NIfTI") -> Header:
    return Header(Path("a"), shape, np.asarray(affine, float), "i", name)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"])
def test_both_libraries_place_voxels_alike(tmp_path: Path, suffix: str) -> None:
    """SimpleITK counts to the left and to the back, nibabel to the right and to the front."""
    path = tmp_path / f"a{suffix}"
    image = sitk.GetImageFromArray(VOXELS.T)
    image.SetSpacing((2, 3, 4))
    image.SetOrigin((10, 20, 30))
    sitk.WriteImage(image, str(path))
    found = header_of(path)
    assert found.shape == (5, 4, 3)
    np.testing.assert_allclose(
        found.affine, [[-2, 0, 0, -10], [0, -3, 0, -20], [0, 0, 4, 30], [0, 0, 0, 1]]
    )
    np.testing.assert_array_equal(read_voxels(path).values, VOXELS)


def test_voxels_of_an_affine_lie_where_it_says() -> None:
    affine = np.array([[0, -2, 0, 9], [0, 0, 3, 0], [4, 0, 0, 0], [0, 0, 0, 1.0]])
    anatomical = turned(VOXELS, affine)
    assert anatomical.shape == (4, 3, 5)
    np.testing.assert_array_equal(anatomical, VOXELS.transpose(1, 2, 0)[::-1])
    np.testing.assert_array_equal(turned(VOXELS, np.full((4, 4), np.nan)), VOXELS)


def test_grids_that_are_stored_in_other_orders_may_be_one_grid() -> None:
    mirrored = np.diag([-1.0, 1, 1, 1])
    mirrored[0, 3] = 4
    check_equal_grids(header(np.eye(4)), header(mirrored))
    mirrored[0, 3] = 5
    with pytest.raises(UserError, match="place equal voxels up to 1 mm apart"):
        check_equal_grids(header(np.eye(4)), header(mirrored))
    with pytest.raises(UserError, match="has 5 x 4 x 3 voxels, but its mask a has 5 x 4 x 2;"):
        check_equal_grids(header(np.eye(4)), header(np.eye(4), (5, 4, 2)), "mask")


@pytest.mark.parametrize(
    ("affine", "name", "expected"),
    [
        (np.diag([-1, -1, 1, 1]), "NRRD", True),
        (np.diag([-2, -0.5, 7, 1]), "MetaImage", True),
        (np.diag([1, 1, 1, 1]), "NRRD", False),
        (np.diag([-1, -1, 1, 1]), "NIfTI", False),
        (np.array([[0, -1, 0, 0], [0, 0, -1, 0], [-1, 0, 0, 0], [0, 0, 0, 1]]), "DICOM", True),
    ],
)
def test_which_files_are_pictures_as_they_are_stored(
    affine: np.ndarray, name: str, expected: bool
) -> None:
    assert is_picture_like(header(affine, name=name)) is expected


@given(st.floats(-1e4, 1e4), st.sampled_from([0.0, 0.0157, 0.1, 0.4]))
def test_rounded_labels_are_whole(value: float, step: float) -> None:
    number = float(round(value))
    rounding = max(step / 2, 1e-6 * abs(number))
    values = np.array([number - rounding, number, number + rounding])
    assert whole(Path("a"), values, step).tolist() == [number] * 3


@pytest.mark.parametrize("values", [[0, 0.5], [np.nan], [np.inf], [1, 1.01]])
def test_what_is_not_whole(values: list[float]) -> None:
    with pytest.raises(UserError, match="the mask a holds values that are not whole numbers"):
        whole(Path("a"), np.array(values))
    with pytest.raises(UserError):
        whole(Path("a"), np.array([0.5]), step=1.0)  # the scale leaves open which label it was


def test_scaled_labels_of_nibabel(tmp_path: Path) -> None:
    labels = np.array([0, 1, 2, 3, 4.0]).reshape(5, 1, 1)
    image = nibabel.Nifti1Image(labels, np.eye(4))
    image.set_data_dtype(np.uint8)
    nibabel.save(image, tmp_path / "a.nii")
    voxels = read_voxels(tmp_path / "a.nii")
    scaled = voxels.values * voxels.slope + voxels.intercept
    assert np.abs(scaled.ravel() - range(5)).max() > 1e-3
    assert whole(Path("a"), scaled, voxels.slope).ravel().tolist() == [0, 1, 2, 3, 4]


def test_names(tmp_path: Path) -> None:
    assert suffix_of(Path("a.NII.GZ")) == ".nii.gz"
    assert suffix_of(Path("a.gz")) is None
    (tmp_path / "a.mhd").write_text("NDims = 2\nElementDataFile = a.zraw\n")
    assert companions(tmp_path / "a.mhd") == [tmp_path / "a.zraw"]
    (tmp_path / "b.mhd").write_text("ElementDataFile = LOCAL\n")
    assert companions(tmp_path / "b.mhd") == companions(tmp_path / "gone.mhd") == []
    assert companions(Path("a.nii")) == []


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".dcm"])
@pytest.mark.parametrize("content", [b"", b"nothing of that kind"])
def test_damage_is_told(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        header_of(path)
    assert str(caught.value).startswith(
        f"{path} could not be read, it is damaged or not what its suffix says ("
    )
    assert "\n" not in str(caught.value)
