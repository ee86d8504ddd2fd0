"""Volumes to slices: axes, spacing, windows, choice of slices, bad input."""

import gzip
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from noise2mask.data.formats import spatial_files, volumes
from noise2mask.data.prepare import prepare
from noise2mask.data.prepared import open_split, read_manifest
from noise2mask.data.source import Listing
from noise2mask.errors import UserError

SHAPE = (8, 10, 6)


def listed(**options: Any) -> Listing:
    """The slices, of label 1 where nothing else is said."""
    return volumes.sources(**{"foreground": (1,), **options})


@pytest.fixture(autouse=True)
def _nothing_kept_in_memory() -> None:
    for kept in (spatial_files.read_volume, spatial_files.read_labels, spatial_files.usual_window):
        kept.cache_clear()


def voxels(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1000, shape).astype(np.int16)


def block(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Label 1 in slices z 1 to 3, label 2 in slice 5."""
    labels = np.zeros(shape, np.uint8)
    labels[2:5, 1:8, 1:4] = 1
    labels[3, 3:5, 5] = 2
    return labels


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)


def put(
    root: Path,
    id: str = "liver_0",
    image: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    affine: np.ndarray | None = None,
) -> Path:
    save(root / "imagesTr" / f"{id}.nii.gz", voxels() if image is None else image, affine)
    save(root / "labelsTr" / f"{id}.nii.gz", block() if labels is None else labels, affine)
    return root


# Slices ---------------------------------------------------------------------------------------


def test_the_published_layout(tmp_path: Path) -> None:
    root = tmp_path / "files" / "Task03_Liver"
    for number in (2, 0):
        put(root, f"liver_{number}")
    (root / "imagesTr" / "._liver_0.nii.gz").write_bytes(b"macOS")
    (root / "dataset.json").write_text(
        json.dumps(
            {
                "name": "Liver",
                "modality": {"0": "CT"},
                "labels": {"0": "background", "1": "liver", "2": "cancer"},
                "numTraining": 2,
                "training": [
                    {
                        "image": f"./imagesTr/liver_{n}.nii.gz",
                        "label": f"./labelsTr/liver_{n}.nii.gz",
                    }
                    for n in (2, 0)
                ],
                "test": ["./imagesTs/liver_9.nii.gz"],
            }
        )
    )
    found = listed(root=str(tmp_path), folder="files/Task03_Liver", foreground=(1, 2))
    assert [(source.id, source.group, source.split) for source in found] == [
        (f"liver_{number}_z{z:03d}", f"liver_{number}", None)
        for number in (0, 2)
        for z in (1, 2, 3, 5)
    ]


@pytest.mark.parametrize(
    ("options", "slices"),
    [
        ({}, [1, 2, 3]),
        ({"foreground": (2,)}, [5]),
        ({"foreground": [1, 2], "min_pixels": 3}, [1, 2, 3]),
        ({"foreground": (1, 2), "every": 2}, [2]),
        ({"keep": "all"}, [0, 1, 2, 3, 4, 5]),
        ({"keep": "all", "every": 3}, [0, 3]),
        ({"axis": "sagittal"}, [2, 3, 4]),
        ({"axis": "coronal", "keep": "all", "every": 4}, [0, 4, 8]),
    ],
)
def test_choice_of_slices(tmp_path: Path, options: dict[str, Any], slices: list[int]) -> None:
    found = listed(root=str(put(tmp_path)), **options)
    assert [int(source.id[-3:]) for source in found] == slices


@pytest.mark.parametrize(("axis", "letter"), [("sagittal", "x"), ("coronal", "y"), ("axial", "z")])
@pytest.mark.parametrize("codes", ["RAS", "LPS", "SRA", "PIR"])
def test_slices_do_not_depend_on_how_a_volume_is_stored(
    tmp_path: Path, axis: str, letter: str, codes: str
) -> None:
    """Columns run to the right (or anterior), rows downward from superior (or anterior)."""
    image, labels = voxels(), block()
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(codes)
    )
    for folder, array in (("imagesTr", image), ("labelsTr", labels)):
        plain = nibabel.Nifti1Image(array, np.diag([2, 2, 2, 1.0]))
        (tmp_path / folder).mkdir()
        nibabel.save(plain.as_reoriented(turn), tmp_path / folder / "a.nii.gz")
    options = {"axis": axis, "window": (-1000, 1000), "every": 3}
    source = listed(root=str(tmp_path), **options)[0]
    assert source.id == f"a_{letter}003"
    found, mask = volumes.load(source)
    assert found.dtype == np.uint8
    place = list("xyz").index(letter)
    expected = np.rint((np.take(image, 3, axis=place) + 1000.0) / 2000 * 255).T[::-1]
    np.testing.assert_array_equal(found[..., 0], expected)
    np.testing.assert_array_equal(mask, (np.take(labels, 3, axis=place) == 1).T[::-1])


def test_a_corner_shows_where_right_and_anterior_are(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[-1, -1, 2] = 1  # the patient's right, front
    _, mask = volumes.load(listed(root=str(put(tmp_path, labels=labels)))[0])
    assert np.argwhere(mask).tolist() == [[0, SHAPE[0] - 1]]  # top right


# Spacing and grey levels ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axis", "spacing", "size"),
    [
        ("axial", None, (10, 16)),  # 10 rows of 1 mm, 8 columns of 2 mm
        ("coronal", None, (15, 8)),  # 6 rows of 5 mm, 8 columns of 2 mm
        ("coronal", 5.0, (6, 3)),
        ("sagittal", 2.5, (12, 4)),
    ],
)
def test_pixels_become_square(
    tmp_path: Path, axis: str, spacing: float | None, size: tuple[int, int]
) -> None:
    root = put(tmp_path, affine=np.diag([2.0, 1.0, 5.0, 1.0]))
    source = listed(root=str(root), axis=axis, spacing=spacing)[0]
    image, mask = volumes.load(source)
    assert image.shape == (*size, 1)
    assert mask.shape == size
    place = ["sagittal", "coronal", "axial"].index(axis)
    before = (np.take(block(), source.payload["slice"], axis=place) == 1).mean()
    assert abs(mask.mean() - before) <= 0.5 / mask.size + 1e-9


def test_spacing_of_a_tilted_and_turned_volume(tmp_path: Path) -> None:
    tilt = np.deg2rad(20)
    turn = np.array([[0, -1, 0], [np.cos(tilt), 0, -np.sin(tilt)], [np.sin(tilt), 0, np.cos(tilt)]])
    affine = np.eye(4)
    affine[:3, :3] = turn * [2.0, 1.0, 5.0]  # stored axes: anterior, left, superior
    image, _ = volumes.load(listed(root=str(put(tmp_path, affine=affine)))[0])
    assert image.shape == (16, 10, 1)


def test_resampled_masks_keep_their_area_and_images_are_not_aliased(tmp_path: Path) -> None:
    x, y = np.mgrid[:120, :90]
    labels = np.repeat((np.hypot(x - 55, (y - 40) * 1.5) < 30)[..., None], 3, axis=2)
    stripes = np.repeat(((x % 2) * 100).astype(np.int16)[..., None], 3, axis=2)
    affine = np.diag([1.0, 1.5, 4.0, 1.0])
    put(tmp_path, image=stripes, labels=labels.astype(np.uint8), affine=affine)
    source = listed(root=str(tmp_path), spacing=3.7, window=(0, 100))[0]
    image, mask = volumes.load(source)
    assert mask.shape == (round(90 * 1.5 / 3.7), round(120 / 3.7))
    assert mask.mean() == pytest.approx(labels[..., 0].mean(), rel=0.01)
    assert np.abs(image[3:-3, 3:-3].astype(int) - 127).max() < 25


def test_image_and_mask_stay_on_each_other(tmp_path: Path) -> None:
    x, y = np.mgrid[:90, :70]
    disc = np.repeat((np.hypot(x - 30, (y - 50) * 2) < 22)[..., None], 2, axis=2).astype(np.uint8)
    put(tmp_path, image=100 * disc, labels=disc, affine=np.diag([1.0, 2.0, 4.0, 1.0]))
    image, mask = volumes.load(listed(root=str(tmp_path), window=(0, 100))[0])
    assert mask.shape == (140, 90)
    assert ((image[..., 0] > 127) == mask).mean() > 0.99


def test_window(tmp_path: Path) -> None:
    image = np.zeros(SHAPE, np.int16)
    image[0, 0], image[1, 0], image[2, 0], image[3, 0] = -160, 240, -999, 999
    root = put(tmp_path, image=image)
    source = listed(root=str(root), window=[-160, 240])[0]
    assert volumes.load(source)[0][-1, :5, 0].tolist() == [0, 255, 0, 255, 102]


def test_scale_of_the_header_counts(tmp_path: Path) -> None:
    put(tmp_path)
    picture = nibabel.Nifti1Image(voxels(), np.eye(4))
    picture.header.set_slope_inter(0.5, 100)
    nibabel.save(picture, tmp_path / "imagesTr" / "liver_0.nii.gz")
    stored = np.asanyarray(nibabel.load(tmp_path / "imagesTr" / "liver_0.nii.gz").dataobj)[..., 1]
    source = listed(root=str(tmp_path), window=(-400, 600))[0]
    expected = np.rint(np.clip((stored + 400) / 1000, 0, 1) * 255)
    np.testing.assert_array_equal(volumes.load(source)[0][..., 0], expected.T[::-1])


def test_without_window_each_volume_has_its_own(tmp_path: Path) -> None:
    for id, factor in (("a", 1), ("b", 7)):
        put(tmp_path, id, image=(voxels() // 8 * factor).astype(np.int16))
    one, *_, other = listed(root=str(tmp_path), foreground=(2,))
    np.testing.assert_allclose(
        volumes.load(one)[0].astype(int), volumes.load(other)[0].astype(int), atol=1
    )
    low, high = np.percentile(voxels() // 8, [0.5, 99.5])
    plane = ((voxels() // 8)[..., 5] - low) / (high - low)
    expected = np.rint(255 * np.clip(plane, 0, 1)).T[::-1]
    np.testing.assert_array_equal(volumes.load(one)[0][..., 0], expected)


def test_a_volume_of_one_value_is_black(tmp_path: Path) -> None:
    root = put(tmp_path, image=np.full(SHAPE, 7, np.int16))
    assert not volumes.load(listed(root=str(root))[0])[0].any()


@pytest.mark.parametrize("channel", [0, 1])
def test_a_channel_of_four_axes(tmp_path: Path, channel: int) -> None:
    image = np.random.default_rng(0).random((*SHAPE, 2)).astype(np.float32)
    root = put(tmp_path, image=image)
    source = listed(root=str(root), channel=channel, window=(0, 1))[0]
    expected = np.rint(image[..., 1, channel].astype(np.float64) * 255).T[::-1]
    np.testing.assert_array_equal(volumes.load(source)[0][..., 0], expected)


def test_images_are_not_read_to_find_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spatial_files, "read_volume", None)
    assert listed(root=str(put(tmp_path)))
    monkeypatch.setattr(spatial_files, "read_labels", None)
    assert listed(root=str(tmp_path), keep="all")


def test_one_volume_is_read_once_for_all_its_slices(tmp_path: Path) -> None:
    found = listed(root=str(put(tmp_path)))
    for source in found:
        volumes.load(source)
    assert spatial_files.read_volume.cache_info().misses == 1
    assert spatial_files.read_labels.cache_info().misses == 1  # that of `sources`


def test_prepared_from_end_to_end(tmp_path: Path) -> None:
    for number in range(5):
        put(tmp_path / "raw", f"liver_{number}", image=voxels() * (number + 1) % 997)
    shares = {"train": 0.6, "val": 0.2, "test": 0.2}
    options = {"root": str(tmp_path / "raw"), "window": [-160, 240], "foreground": [1, 2]}
    one = prepare("volumes", options, "v", 8, shares, tmp_path / "one")
    two = prepare("volumes", options, "v", 8, shares, tmp_path / "two", processes=2)
    assert one == two
    assert one.channels == 1
    assert one.counts == {"train": 12, "val": 4, "test": 4}
    assert len(set(open_split(tmp_path / "one", "val", purpose="training").groups)) == 1


# Bad input ------------------------------------------------------------------------------------


def refused(root: Path, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        list(map(volumes.load, listed(root=str(root), **options)))
    return str(caught.value)


def test_missing_folders_and_files(tmp_path: Path) -> None:
    assert refused(tmp_path) == (
        f"there is no volume (.nii.gz or .nii) in {tmp_path / 'imagesTr'}; correct `root` or "
        "`folder`, or put the data there."
    )
    put(tmp_path)
    save(tmp_path / "imagesTr" / "liver_1.nii", voxels())
    assert refused(tmp_path) == (
        f"1 volume (liver_1) has no labels in {tmp_path}, but the files in imagesTr and labelsTr "
        "must have the same names; restore or remove files."
    )
    (tmp_path / "imagesTr" / "liver_1.nii").unlink()
    save(tmp_path / "labelsTr" / "liver_2.nii", voxels())
    assert "1 volume (liver_2) has no image" in refused(tmp_path)
    save(tmp_path / "labelsTr" / "liver_2.nii.gz", voxels())
    assert "have the same id 'liver_2'" in refused(tmp_path)


def test_volumes_in_folders_are_not_used_and_told(tmp_path: Path) -> None:
    put(tmp_path)
    save(tmp_path / "imagesTr" / "more" / "liver_9.nii.gz", voxels())
    assert listed(root=str(tmp_path)).sentences() == [
        "1 entry is not used, in folders of imagesTr/, which are not entered: more/liver_9.nii.gz."
    ]


def test_labels_of_another_shape(tmp_path: Path) -> None:
    put(tmp_path, labels=block((8, 10, 7)))
    images, labels = (tmp_path / name / "liver_0.nii.gz" for name in ("imagesTr", "labelsTr"))
    assert refused(tmp_path) == (
        f"{images} has 8 x 10 x 6 voxels, but its labels {labels} have 8 x 10 x 7; both must be of "
        "one grid."
    )


def test_labels_in_another_place(tmp_path: Path) -> None:
    put(tmp_path, affine=np.diag([2.0, 1.0, 5.0, 1.0]))
    images, labels = (tmp_path / name / "liver_0.nii.gz" for name in ("imagesTr", "labelsTr"))
    save(labels, block(), np.diag([-2.0, 1.0, 5.0, 1.0]))
    assert refused(tmp_path) == (
        f"the headers of {images} and its labels {labels} place equal voxels up to 14 mm apart; "
        "correct the affine of one of them."
    )
    shifted = np.diag([2.0, 1.0, 5.0, 1.0])
    shifted[0, 3] = 0.4  # less than half a voxel: rounding in the header
    save(labels, block(), shifted)
    assert listed(root=str(tmp_path))


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_affines_that_place_nothing(tmp_path: Path, value: float) -> None:
    put(tmp_path)
    path = tmp_path / "imagesTr" / "liver_0.nii.gz"
    picture = nibabel.Nifti1Image(voxels(), np.eye(4))
    picture.header["srow_x"] = value
    content = bytearray(picture.to_bytes())
    content[280:296] = np.full(4, value, "<f4").tobytes()
    path.write_bytes(gzip.compress(bytes(content)))
    assert refused(tmp_path) == (
        f"the affine in the header of {path} does not say where the voxels lie (it is not finite "
        "or has no inverse); correct the header."
    )


@pytest.mark.parametrize("damage", [b"", b"no volume", None])
@pytest.mark.parametrize("folder", ["imagesTr", "labelsTr"])
def test_damaged_volumes(tmp_path: Path, folder: str, damage: bytes | None) -> None:
    put(tmp_path)
    path = tmp_path / folder / "liver_0.nii.gz"
    content = path.read_bytes()
    path.write_bytes(content[:-40] if damage is None else damage)
    assert refused(tmp_path).startswith(
        f"{path} could not be read, it is damaged or not what its suffix says ("
    )


def test_cut_off_without_compression(tmp_path: Path) -> None:
    for folder, array in (("imagesTr", voxels()), ("labelsTr", block())):
        save(tmp_path / folder / "a.nii", array)
    path = tmp_path / "imagesTr" / "a.nii"
    path.write_bytes(path.read_bytes()[:-100])
    assert refused(tmp_path).startswith(f"{path} could not be read")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    image = voxels().astype(np.float32)
    image[0, 0, 0] = value
    path = put(tmp_path, image=image) / "imagesTr" / "liver_0.nii.gz"
    assert refused(tmp_path) == (
        f"{path} holds values that are not numbers (NaN or infinite); replace them or remove the "
        "volume and its labels."
    )


@pytest.mark.parametrize("value", [np.nan, 0.5])
def test_labels_that_are_not_whole(tmp_path: Path, value: float) -> None:
    labels = block().astype(np.float32)
    assert len(listed(root=str(put(tmp_path / "whole", labels=labels)))) == 3
    labels[0, 0, 0] = value
    path = put(tmp_path, labels=labels) / "labelsTr" / "liver_0.nii.gz"
    assert refused(tmp_path) == (
        f"the mask {path} holds values that are not whole numbers, but the values of a mask name "
        "foreground and background; save it with whole numbers."
    )


@pytest.mark.parametrize("by_name", [True, False])
def test_voxels_are_left_out(tmp_path: Path, by_name: bool) -> None:
    """By option, or because nnU-Net's ``dataset.json`` names a label so."""
    labels = block()
    labels[7, :, 2] = 3
    put(tmp_path, labels=labels)
    options: dict[str, Any] = {"foreground": (1, 2), "ignore": (3,)}
    if by_name:
        named = {"background": 0, "liver": [1, 2], "tumour": 2, "ignore": 3}
        (tmp_path / "dataset.json").write_text(json.dumps({"labels": named}))
        options.pop("ignore")
    cases = listed(root=str(tmp_path), **options)
    assert [case.id[-4:] for case in cases] == ["z001", "z002", "z003", "z005"]
    levels = volumes.load(cases[1])[1]
    expected = np.where(labels[..., 2] == 3, 2, labels[..., 2] > 0)
    np.testing.assert_array_equal(levels, expected.T[::-1])
    assert refused(tmp_path, foreground=(1, 3), ignore=(3,)).startswith(
        "the label 3 is among both foreground [1, 3] and ignore [3] of"
    )
    (tmp_path / "dataset.json").unlink(missing_ok=True)
    assert volumes.sources(root=str(put(tmp_path / "one")), ignore=(2,))[0].payload[
        "foreground"
    ] == (1,)


def test_axes_and_types_that_are_no_volume(tmp_path: Path) -> None:
    path = put(tmp_path, image=voxels((8, 10, 6, 1, 2))) / "imagesTr" / "liver_0.nii.gz"
    assert refused(tmp_path) == (
        f"{path} has 8 x 10 x 6 x 1 x 2 values, but a volume has three axes, or four, the last one "
        "its channels; save it so."
    )
    save(path, voxels().astype(np.complex64))
    assert "values of type complex64" in refused(tmp_path)


def test_channels(tmp_path: Path) -> None:
    path = put(tmp_path, image=voxels((*SHAPE, 2))) / "imagesTr" / "liver_0.nii.gz"
    assert refused(tmp_path) == (
        f"{path} has 2 channels, but a slice shows one; set `channel` to one of 0 to 1."
    )
    (tmp_path / "dataset.json").write_text('{"modality": {"0": "T2", "1": "ADC"}}')
    assert refused(tmp_path, channel=2) == (
        f"channel 2 is not in {path}, which has 2 (from 0) (T2, ADC); correct `channel`."
    )


def test_options_that_contradict(tmp_path: Path) -> None:
    put(tmp_path)
    assert refused(tmp_path, window=(240, -160)) == (
        f"window [240, -160] for {tmp_path} must be a lower and a higher value, e.g. [-160, 240]."
    )
    assert refused(tmp_path, keep="all", min_pixels=9) == (
        f"keep 'all' and min_pixels 9 are both given for {tmp_path}; leave out one."
    )


def test_no_slice_is_left(tmp_path: Path) -> None:
    assert refused(put(tmp_path), foreground=(3,), every=2) == (
        f"none of the 1 volumes in {tmp_path} has an axial slice with 1 or more voxels of the "
        "labels [3] whose number is a multiple of 2; change `foreground`, `min_pixels` or `every`."
    )


def test_dataset_json_that_does_not_fit(tmp_path: Path) -> None:
    path = put(tmp_path) / "dataset.json"
    path.write_text('{"labels": {"0": "background", "1": "liver"}}')
    assert refused(tmp_path, foreground=(1, 2)) == (
        f"`foreground` or `ignore` names the label 2, but the labels in {tmp_path} are 0 "
        "(background), 1 (liver); correct it."
    )
    path.write_text('{"training": [{"image": "./imagesTr/liver_7.nii.gz"}]}')
    assert refused(tmp_path) == (
        f"1 volume (liver_7) has no file in {tmp_path}, but dataset.json has it; unpack the "
        "archive again."
    )
    for content in ("{", "[]", '{"training": [1]}', '{"labels": {"a": "b"}}'):
        path.write_text(content)
        assert f"{path} is damaged or not that of a decathlon or nnU-Net dataset" in refused(
            tmp_path
        )


# Labels and patients --------------------------------------------------------------------------


def test_several_labels_are_asked_for(tmp_path: Path) -> None:
    put(tmp_path)
    assert refused(tmp_path, foreground=None) == (
        f"the labels in {tmp_path} are 1, 2, and all that is not foreground is background; set "
        "`foreground` to those that count, e.g. [1, 2] for all of them."
    )
    named = '{"labels": {"0": "background", "1": "anterior", "2": "posterior"}}'
    (tmp_path / "dataset.json").write_text(named)
    assert "are 1 (anterior), 2 (posterior), and all that is not" in refused(
        tmp_path, foreground=None
    )


def test_the_only_label_needs_no_name(tmp_path: Path) -> None:
    put(tmp_path, labels=3 * (block() == 1).astype(np.uint8))
    found = listed(root=str(tmp_path), foreground=None)
    assert len(found) == 3
    assert volumes.load(found[0])[1].any()
    save(tmp_path / "labelsTr" / "liver_0.nii.gz", 0 * block())
    spatial_files.read_labels.cache_clear()
    assert "are all 0, so there is no foreground" in refused(tmp_path, foreground=None)


def test_patients_of_several_volumes(tmp_path: Path) -> None:
    for patient in (1, 2):
        for frame in (1, 12):
            put(tmp_path, f"patient{patient:03d}_frame{frame:02d}")
    found = listed(root=str(tmp_path), group_pattern="^([^_]+)_")
    assert {source.group for source in found} == {"patient001", "patient002"}
    assert "no match for group_pattern '^(x)'" in refused(tmp_path, group_pattern="^(x)")


def nnunet(root: Path, channels: int = 1) -> Path:
    for number in range(2):
        for channel in range(channels):
            save(root / "imagesTr" / f"c{number}_{channel:04d}.nii.gz", voxels() + channel)
        save(root / "labelsTr" / f"c{number}.nii.gz", block())
    content = {
        "channel_names": {str(channel): f"MR{channel}" for channel in range(channels)},
        "labels": {"background": 0, "whole": [1, 2], "core": 2},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def test_nnunet_version_2(tmp_path: Path) -> None:
    root = nnunet(tmp_path)
    found = listed(root=str(root))
    assert {source.group for source in found} == {"c0", "c1"}
    assert "are 1 (whole), 2 (whole, core), and all" in refused(root, foreground=None)
    (root / "imagesTr" / "c1_0000.nii.gz").unlink()
    (root / "labelsTr" / "c1.nii.gz").unlink()
    assert "has 1 volumes, but dataset.json says 2" in refused(root)


def test_channels_of_nnunet_are_files(tmp_path: Path) -> None:
    root = nnunet(tmp_path, 2)
    assert "has 2 channels (MR0, MR1), but a slice shows one" in refused(root)
    assert "channel 2 is not in" in refused(root, channel=2)
    window = (-1000.0, 1000.0)
    zero, one = (
        volumes.load(listed(root=str(root), channel=channel, window=window)[0])[0].astype(int)
        for channel in (0, 1)
    )
    assert set(np.unique(one - zero)) <= {0, 1}
    assert (one - zero).any()


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".mhd", ".NII.GZ"])
def test_volumes_of_itk(tmp_path: Path, suffix: str) -> None:
    """The same slices as of NIfTI, whoever writes them."""
    import SimpleITK as sitk  # noqa: N813

    put(tmp_path / "nifti")
    for folder, array in (("imagesTr", voxels()), ("labelsTr", block())):
        image = sitk.GetImageFromArray(array.T)
        image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))  # ITK counts to the left and to the back
        path = tmp_path / "itk" / folder / f"liver_0{suffix}"
        path.parent.mkdir(parents=True)
        lower = path.with_name(path.name.lower())
        sitk.WriteImage(image, str(lower))
        lower.rename(path)
    (tmp_path / "itk" / "imagesTr" / "notes.txt").write_text("x")
    found = listed(root=str(tmp_path / "itk"))
    unused = found.unused
    assert unused == {"of a suffix that is not read, in imagesTr/": ("notes.txt",)}
    expected = listed(root=str(tmp_path / "nifti"))
    for one, other in zip(found, expected, strict=True):
        assert one.id == other.id
        for array, same in zip(volumes.load(one), volumes.load(other), strict=True):
            np.testing.assert_array_equal(array, same)


# Volumes that lie otherwise -------------------------------------------------------------------

PATTERNS = {
    "images": r"/(?P<id>patient\d+_frame\d+)\.nii\.gz$",
    "labels": r"/(?P<id>patient\d+_frame\d+)_gt\.nii\.gz$",
}


def test_volumes_in_folders_of_patients_are_found_by_patterns(tmp_path):
    from helpers.native_layouts import COUNT, acdc

    laid = acdc(tmp_path)
    options = {"root": str(tmp_path), **PATTERNS, "foreground": (1,)}
    listing = volumes.sources(**options, group_pattern="^([^_]+)_")
    assert {source.id for source in listing} == set(laid.masks)
    assert len({source.group for source in listing}) == COUNT
    for source in listing:
        np.testing.assert_array_equal(volumes.load(source)[1], laid.masks[source.id])
    assert len(volumes.files(**options)) == 4 * COUNT
    assert any("4d" in name for name in listing.unused["matching neither `images` nor `labels`"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"labels": None}, "of the regular expressions `images` and `labels` only one is given"),
        ({"labels": r"(?P<id>x)"}, "matches labels"),
        ({"images": r"frame\d+\.nii"}, "has no group named id"),
        ({"images": r"(?P<id>patient\d+_\w+)\.nii\.gz$"}, "set `missing_labels` to skip"),
        ({"images": r"/(?P<id>patient00[1-3]_frame\d+)\.nii\.gz$"}, "have no image"),
    ],
)
def test_patterns_that_do_not_fit_are_refused(tmp_path, change, sentence):
    from helpers.native_layouts import acdc

    acdc(tmp_path)
    with pytest.raises(UserError) as told:
        volumes.sources(root=str(tmp_path), **{**PATTERNS, **change})
    assert sentence in str(told.value)


def test_volumes_without_labels_are_left_out_where_that_is_said(tmp_path):
    from helpers.native_layouts import COUNT, acdc

    acdc(tmp_path)
    wide = {**PATTERNS, "images": r"/(?P<id>patient\d+_\w+)\.nii\.gz$"}
    listing = volumes.sources(root=str(tmp_path), **wide, foreground=(1,), missing_labels="skip")
    left_out = listing.unused["volumes without labels (`missing_labels: skip`)"]
    assert len(left_out) == COUNT


def test_slices_say_where_they_lie_and_how_large_a_pixel_is(tmp_path: Path) -> None:
    """Voxels of 3 x 2 x 5 mm, shown as pixels of 2 mm, prepared as squares of half as many."""
    affine = np.diag([3.0, 2.0, 5.0, 1.0])
    for number in range(3):
        put(tmp_path / "raw", f"liver_{number}", image=np.roll(voxels(), number, 0), affine=affine)
    options = {"root": str(tmp_path / "raw"), "foreground": (1,), "every": 2, "keep": "all"}
    shares = {"train": 0.34, "val": 0.33, "test": 0.33}
    manifest = prepare("volumes", options, "livers", 5, shares, tmp_path / "out")
    case = next(case for case in manifest.cases if case.id == "liver_0_z004")
    assert (case.width, case.height) == (12, 10)
    assert case.slice == ("liver_0", 2, 10.0)
    assert case.sides == pytest.approx((2 * 10 / 5, 3 * 8 / 5))
    assert read_manifest(tmp_path / "out").cases == manifest.cases
