"""What names and numbers hint at: on names and masks as public sets have them."""

import re

import numpy as np
import pytest

from noise2mask.data import hints
from noise2mask.data.splits import assign_splits

SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}

# Names as these sets have them, what tells the patient, slide or volume, and whether it is there.
NAMES = {
    "chaos": ([f"{case}_{1000 + 7 * n}" for case in (101, 102, 103, 104) for n in range(5)], "101"),
    "chase": ([f"Image_{child:02d}{eye}" for child in range(1, 11) for eye in "LR"], "Image_01"),
    "covid": ([f"v{v:02d}_slice{n:04d}" for v in range(12) for n in range(8)], "v00"),
    "cxr": ([f"p{p:03d}_pneumonia-{n}-PA" for p in range(20) for n in range(2)], "p000"),
    "ocdc": ([f"1009009_r{row}c{column}" for row in range(4) for column in range(3)], "1009009"),
    "vnc": ([f"s{s:02d}_y{y:03d}x000" for s in range(15) for y in (0, 512)], "s00"),
    "acdc": ([f"patient{p:03d}_frame{f:02d}" for p in range(10) for f in (1, 12)], "patient000"),
    "tcga": ([f"TCGA-18-{n:04d}-01Z-00-DX{k}" for n in range(9) for k in (1, 2)], "TCGA-18-0000"),
}  # fmt: skip
UNTOLD = {
    "isic": [f"ISIC_{12000 + n:07d}" for n in range(30)],
    "busi": [f"{kind}_{n:03d}" for kind in ("benign", "malignant") for n in range(15)],
    "wbc": [f"d{d}_{n:03d}" for d in (1, 2) for n in range(20)],
    "slices": [f"slice_{n}" for n in range(3000, 3030)],
    "patches": [f"patch_{n}" for n in range(10671, 10700)],
    "medsegbench": [f"train_{n:05d}" for n in range(30)],
    "hippocampus": [f"hippocampus_{n:03d}_y{30 + n % 9}" for n in range(30)],
    "hashes": ["aa47f0b3", "6bc8cda5", "3874755f", "449f4171", "a6e81120", "76faaed5"],
}


def splits_of(ids: list[str]) -> list[str]:
    return assign_splits(ids, [None] * len(ids), SHARES)


@pytest.mark.parametrize("name", NAMES)
def test_names_that_tell_what_belongs_together(name: str) -> None:
    ids, unit = NAMES[name]
    (told,) = hints.of_ids(ids, ids, splits_of(ids))
    assert told.startswith("leak?: by their names (")
    pattern = told.split("set `group_pattern` to '")[1].removesuffix("'.").replace("\\\\", "\\")
    found = {re.search(pattern, id)[1] for id in ids}  # type: ignore[index]
    assert unit in found
    assert 1 <= len(found) < len(ids)


@pytest.mark.parametrize("name", UNTOLD)
def test_names_that_tell_nothing(name: str) -> None:
    ids = UNTOLD[name]
    assert not list(hints.of_ids(ids, ids, splits_of(ids)))


def test_groups_that_are_known_are_no_leak() -> None:
    ids, _ = NAMES["chase"]
    groups = [id[:-1] for id in ids]
    assert not list(hints.of_ids(ids, groups, splits_of(groups)))


def test_groups_may_be_of_one_patient_too() -> None:
    """Volumes are groups of slices, and a patient may have several volumes."""
    groups = [group for group in NAMES["acdc"][0] for _ in range(3)]
    ids = [f"{group}_z{n}" for n, group in enumerate(groups)]
    (told,) = hints.of_ids(ids, groups, splits_of(groups))
    assert "patient000_frame01" in told or "patient0" in told


@pytest.mark.parametrize(
    ("count", "words"), [(1, "1 independent unit ("), (2, "2 independent units (")]
)
def test_few_units(count: int, words: str) -> None:
    (told,) = hints.of_units({"train": 9, "val": 1, "test": count})
    assert words in told
    assert not list(hints.of_units({"train": 9, "val": 1, "test": 3}))


# Median share of foreground on the border, of the masks of 18 public sets as they are.
BORDERS = {
    "brain_tumour_t1ce": 0, "busi": 0, "camelyon16_tumour": 0.520, "chaos_ct_liver": 0,
    "chase_db1": 0, "covid19_ct_lung": 0, "cxr_lung": 0, "drishti_gs_optic_disc": 0,
    "dsb2018_fluorescence": 0.059, "ebhi_seg": 0.489, "hc18": 0, "isic2017": 0,
    "kvasir_polyp": 0, "monuseg": 0.124, "msd_hippocampus": 0, "ocdc_oral": 0.564,
    "vnc_em_membrane": 0.168, "wbc": 0,
}  # fmt: skip
TISSUE = {"camelyon16_tumour", "ebhi_seg", "ocdc_oral"}  # their regions fill the image either way


@pytest.mark.parametrize("name", BORDERS)
def test_inverted_masks_of_public_sets(name: str) -> None:
    share = BORDERS[name]
    assert not list(hints.of_borders([share] * 5))
    assert bool(list(hints.of_borders([1 - share] * 5))) == (name not in TISSUE)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 2), (5, 4)])
def test_share_of_a_border(size: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random(size) > 0.4
    border = np.ones(size, bool)
    border[1:-1, 1:-1] = False
    assert hints.border_share(mask) == pytest.approx(mask[border].mean())
