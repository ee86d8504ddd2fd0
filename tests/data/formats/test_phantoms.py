"""Phantoms: stable, fast, of the promised geometry, and not to be solved by a threshold."""

import hashlib
import pickle
import time

import numpy as np
import pytest
from scipy import ndimage

from noise2mask.data.formats import phantoms
from noise2mask.data.source import Source

FAMILIES = ("lesion", "nuclei", "tissue")
SHARES = {"lesion": (0.05, 0.47), "nuclei": (0.15, 0.36), "tissue": (0.25, 0.70)}


@pytest.fixture(scope="module", params=FAMILIES)
def many(request: pytest.FixtureRequest) -> tuple[str, np.ndarray, np.ndarray]:
    """Name, images and masks of 40 phantoms of a family."""
    loaded = [phantoms.load(source) for source in phantoms.sources(family=request.param, count=40)]
    return request.param, np.stack([i for i, _ in loaded]), np.stack([m for _, m in loaded])


def dice(predictions: np.ndarray, masks: np.ndarray) -> np.ndarray:
    both = (predictions & masks).sum(axis=(1, 2))
    return 2 * both / (predictions.sum(axis=(1, 2)) + masks.sum(axis=(1, 2)))


def thresholded(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Dice of each case for every threshold of every channel, either side, (rules, cases)."""
    grey = images @ np.array([0.299, 0.587, 0.114])
    return np.array([
        dice((channel < threshold) ^ inverted, masks)
        for channel in (*np.moveaxis(images, -1, 0), grey)
        for threshold in range(10, 256, 10)
        for inverted in (False, True)
    ])  # fmt: skip


def blind(masks: np.ndarray) -> float:
    """Best mean Dice of a prediction that is the same for every image."""
    mean = masks.mean(axis=0)
    return max(
        dice(np.broadcast_to(mean >= threshold, masks.shape), masks).mean()
        for threshold in np.arange(0, 0.6, 0.04)
    )


def test_form(many: tuple[str, np.ndarray, np.ndarray]) -> None:
    _, images, masks = many
    assert images.shape == (40, 128, 128, 3)
    assert images.dtype == np.uint8
    assert masks.shape == (40, 128, 128)
    assert masks.dtype == bool


def test_shares_of_foreground(many: tuple[str, np.ndarray, np.ndarray]) -> None:
    family, _, masks = many
    shares = masks.mean(axis=(1, 2))
    low, high = SHARES[family]
    assert low < shares.min()
    assert shares.max() < high
    assert shares.std() > 0.03


def test_number_of_objects(many: tuple[str, np.ndarray, np.ndarray]) -> None:
    family, _, masks = many
    counts = [ndimage.label(mask)[1] for mask in masks]
    low, high = {"lesion": (1, 5), "nuclei": (10, 90), "tissue": (1, 25)}[family]
    assert low <= min(counts)
    assert max(counts) <= high
    if family == "lesion":
        largest = [np.bincount(ndimage.label(mask)[0].ravel())[1:].max() for mask in masks]
        assert min(np.array(largest) / masks.sum(axis=(1, 2))) > 0.95


def test_no_fixed_threshold_finds_the_masks(many: tuple[str, np.ndarray, np.ndarray]) -> None:
    family, images, masks = many
    best = thresholded(images, masks).mean(axis=1).max()
    assert best < {"lesion": 0.70, "nuclei": 0.63, "tissue": blind(masks) + 0.03}[family]


def test_not_even_a_threshold_chosen_for_each_image(
    many: tuple[str, np.ndarray, np.ndarray],
) -> None:
    family, images, masks = many
    best = thresholded(images, masks).max(axis=0).mean()
    assert best < {"lesion": 0.80, "nuclei": 0.72, "tissue": blind(masks) + 0.05}[family]


def test_tissue_is_equally_dark_and_equally_varied_inside_and_outside() -> None:
    loaded = [phantoms.load(source) for source in phantoms.sources(family="tissue", count=60)]
    for channel in range(3):
        means, deviations = [], []
        for image, mask in loaded:
            inside, outside = image[mask][:, channel] / 255, image[~mask][:, channel] / 255
            means.append(inside.mean() - outside.mean())
            deviations.append(np.log(inside.std() / outside.std()))
        assert abs(np.mean(means)) < 0.012
        assert abs(np.mean(deviations)) < 0.06


def test_tissue_is_as_varied_at_the_border_as_elsewhere() -> None:
    ratios = []
    for source in phantoms.sources(family="tissue", count=40):
        image, mask = phantoms.load(source)
        band = ndimage.binary_dilation(mask, iterations=2) & ~ndimage.binary_erosion(
            mask, iterations=2
        )
        ratios.append(np.log(image[band].std(axis=0) / image[~band].std(axis=0)))
    assert np.abs(np.mean(ratios, axis=0)).max() < 0.08


def test_loading_is_fast() -> None:
    for family in FAMILIES:
        several = phantoms.sources(family=family, count=10)
        start = time.process_time()
        for source in several:
            phantoms.load(source)
        assert (time.process_time() - start) / 10 < 0.05


@pytest.mark.parametrize("family", FAMILIES)
def test_a_phantom_depends_on_options_and_number_alone(family: str) -> None:
    few = phantoms.sources(family=family, count=3, size=64)
    more = phantoms.sources(family=family, count=9, size=64)
    assert few == more[:3]
    first = phantoms.load(more[2])
    phantoms.load(more[5])
    again = phantoms.load(pickle.loads(pickle.dumps(more[2])))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("change", [{"seed": 1}, {"difficulty": 0.9}, {"size": 96}])
def test_every_option_changes_the_phantoms(family: str, change: dict[str, float]) -> None:
    def digest(options: dict[str, float]) -> str:
        image, mask = phantoms.load(phantoms.sources(family=family, count=3, **options)[0])
        return hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest()

    assert digest(change) != digest({})


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("size", "difficulty"), [(32, 0.0), (200, 1.0)])
def test_other_sizes_and_difficulties(family: str, size: int, difficulty: float) -> None:
    for source in phantoms.sources(family=family, count=4, size=size, difficulty=difficulty):
        image, mask = phantoms.load(source)
        assert image.shape == (size, size, 3)
        low, high = SHARES[family]
        assert low - 0.02 < mask.mean() < high + 0.02


def test_harder_lesions_are_fainter() -> None:
    def contrast(difficulty: float) -> float:
        loaded = [
            phantoms.load(source)
            for source in phantoms.sources(family="lesion", count=30, difficulty=difficulty)
        ]
        return float(np.mean([image[~mask].mean() - image[mask].mean() for image, mask in loaded]))

    easy, usual, hard = contrast(0), contrast(0.5), contrast(1)
    assert easy > 1.45 * usual
    assert usual > 1.9 * hard


def test_ids_are_unique_groups_and_give_no_split() -> None:
    several = phantoms.sources(family="nuclei", count=5)
    assert [source.id for source in several] == [f"nuclei_0000{number}" for number in range(5)]
    assert all(isinstance(source, Source) and source.group == source.id for source in several)
    assert {source.split for source in several} == {None}
