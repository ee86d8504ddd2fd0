"""Public datasets as they are published, each with tiny drawn pictures in place of its own."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import nibabel
import numpy as np
from helpers.odd_files import SIDE, drawn, grey, photographed
from PIL import Image

COUNT = 8


class Laid(NamedTuple):
    """A folder, and the mask that is right for each image, by the place of the image."""

    root: Path
    masks: dict[str, np.ndarray]


class Native(NamedTuple):
    """A layout: how it is written, and the options of each call until the entry is complete."""

    write: Callable[[Path], Laid]
    calls: tuple[tuple[str, ...], ...]
    kind: str


def save(path: Path, array: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def white(mask: np.ndarray) -> np.ndarray:
    return mask.astype(np.uint8) * 255


def left(number: int) -> np.ndarray:
    """The part of the drawn mask in the left columns."""
    half = drawn(number).copy()
    half[:, 8:] = False
    return half


def right(number: int) -> np.ndarray:
    return drawn(number) & ~left(number)


def isic(root: Path) -> Laid:
    """ISIC 2018: images and _segmentation in folders of each split."""
    masks = {}
    for n in range(COUNT):
        split = ("Training", "Training", "Validation", "Test")[n % 4]
        place = f"ISIC2018_Task1-2_{split}_Input/ISIC_{n:07d}.jpg"
        save(root / place, photographed(n), quality=95)
        truth = f"ISIC2018_Task1_{split}_GroundTruth/ISIC_{n:07d}_segmentation.png"
        save(root / truth, white(drawn(n)))
        masks[place] = drawn(n)
    (root / "ISIC2018_Task1_Test_GroundTruth" / "ATTRIBUTION.txt").write_text("none")
    return Laid(root, masks)


def isic_flat(root: Path) -> Laid:
    """Images and masks side by side, told apart by an ending."""
    masks = {}
    for n in range(COUNT):
        save(root / f"ISIC_{n:07d}.jpg", photographed(n), quality=95)
        save(root / f"ISIC_{n:07d}_segmentation.png", white(drawn(n)))
        masks[f"ISIC_{n:07d}.jpg"] = drawn(n)
    return Laid(root, masks)


def busi(root: Path) -> Laid:
    """BUSI: folders of classes, up to two masks an image."""
    masks = {}
    for n in range(COUNT):
        kind = ("benign", "malignant")[n % 2]
        name = f"{kind}/{kind} ({n + 1})"
        save(root / f"{name}.png", photographed(n))
        if n in (1, 4):
            save(root / f"{name}_mask.png", white(left(n)))
            save(root / f"{name}_mask_1.png", white(right(n)))
        else:
            save(root / f"{name}_mask.png", white(drawn(n)))
        masks[f"{name}.png"] = drawn(n)
    return Laid(root, masks)


def kvasir(root: Path) -> Laid:
    """Kvasir-SEG: masks are JPEG of three channels."""
    masks = {}
    for n in range(COUNT):
        save(root / f"Kvasir-SEG/images/cju{n}x.jpg", photographed(n), quality=95)
        three = np.repeat(white(drawn(n))[..., None], 3, axis=2)
        save(root / f"Kvasir-SEG/masks/cju{n}x.jpg", three, quality=90)
        masks[f"Kvasir-SEG/images/cju{n}x.jpg"] = drawn(n)
    (root / "Kvasir-SEG" / "kavsir_bboxes.json").write_text("{}")
    return Laid(root, masks)


def drive(root: Path) -> Laid:
    """DRIVE: TIFF images, GIF masks, masks of the field of view, a second observer of the test."""
    masks = {}
    for n in range(COUNT):
        split = "training" if n < 5 else "test"
        name = f"{n + 1:02d}"
        place = f"{split}/images/{name}_{split}.tif"
        save(root / place, photographed(n))
        save(root / f"{split}/1st_manual/{name}_manual1.gif", white(drawn(n)))
        save(root / f"{split}/mask/{name}_{split}_mask.gif", white(np.ones((SIDE, SIDE), bool) ^
             np.pad(np.zeros((SIDE - 4, SIDE - 4), bool), 2, constant_values=True)))  # fmt: skip
        if split == "test":
            save(root / f"{split}/2nd_manual/{name}_manual2.gif", white(left(n)))
        masks[place] = drawn(n)
    return Laid(root, masks)


def chase(root: Path) -> Laid:
    """CHASE_DB1: two annotators, both eyes of each child."""
    masks = {}
    for n in range(COUNT):
        name = f"Image_{n // 2 + 1:02d}{'LR'[n % 2]}"
        save(root / f"{name}.jpg", photographed(n), quality=95)
        save(root / f"{name}_1stHO.png", white(drawn(n)))
        save(root / f"{name}_2ndHO.png", white(np.roll(drawn(n), 1, axis=1)))
        masks[f"{name}.jpg"] = drawn(n)
    return Laid(root, masks)


def bowl(root: Path) -> Laid:
    """Data Science Bowl 2018: a folder for each image, a mask for each nucleus."""
    masks = {}
    for n in range(COUNT):
        id = f"{n:02x}" * 32
        save(root / f"stage1_train/{id}/images/{id}.png", photographed(n))
        for part, mask in enumerate((left(n), right(n))):
            save(root / f"stage1_train/{id}/masks/{part}{id[1:]}.png", white(mask))
        masks[f"stage1_train/{id}/images/{id}.png"] = drawn(n)
    return Laid(root, masks)


def colours(root: Path) -> Laid:
    """Masks coded by colours, as Cityscapes and others publish them."""
    masks = {}
    for n in range(COUNT):
        save(root / f"images/scene_{n}.png", photographed(n))
        coded = np.zeros((SIDE, SIDE, 3), np.uint8)
        coded[:, 24:] = (70, 130, 180)
        coded[drawn(n)] = (220, 20, 60)
        save(root / f"masks/scene_{n}.png", coded)
        masks[f"images/scene_{n}.png"] = drawn(n)
    return Laid(root, masks)


def cityscapes(root: Path) -> Laid:
    """Cityscapes: one image, its labels as numbers and as colours."""
    masks = {}
    for n in range(COUNT):
        split, city = ("train", "train", "val", "test")[n % 4], ("aachen", "bonn")[n % 2]
        name = f"{city}_{n:06d}_000019"
        place = f"leftImg8bit/{split}/{city}/{name}_leftImg8bit.png"
        save(root / place, photographed(n))
        labels = np.full((SIDE, SIDE), 7, np.uint8)
        labels[:, 24:] = 11
        labels[drawn(n)] = 26
        save(root / f"gtFine/{split}/{city}/{name}_gtFine_labelIds.png", labels)
        coded = np.stack([labels * 9, labels * 5, labels * 2], axis=2).astype(np.uint8)
        save(root / f"gtFine/{split}/{city}/{name}_gtFine_color.png", coded)
        masks[place] = drawn(n)
    return Laid(root, masks)


def annotators(root: Path) -> Laid:
    """QUBIQ, LIDC: a folder for each case, one mask of each annotator."""
    masks = {}
    for n in range(COUNT):
        save(root / f"case{n:02d}/image.png", grey(photographed(n)))
        for who, shift in enumerate((0, 0, 1), start=1):
            marked = np.roll(drawn(n), shift, axis=0)
            save(root / f"case{n:02d}/seg{who:02d}.png", white(marked))
        masks[f"case{n:02d}/image.png"] = drawn(n)
    return Laid(root, masks)


def trees(root: Path) -> Laid:
    """A tree for each split, and test images whose masks are kept back."""
    masks = {}
    for n in range(COUNT):
        split = "train" if n < 5 else "val" if n < 6 else "test"
        save(root / f"{split}/image/{n}.png", photographed(n))
        save(root / f"{split}/label/{n}.png", drawn(n).astype(np.uint8))
        masks[f"{split}/image/{n}.png"] = drawn(n)
    return Laid(root, masks)


def montgomery(root: Path) -> Laid:
    """Montgomery: a mask of the left lung and one of the right."""
    masks = {}
    for n in range(COUNT):
        name = f"MCUCXR_{n:04d}_{n % 2}.png"
        save(root / f"CXR_png/{name}", grey(photographed(n)))
        save(root / f"ManualMask/leftMask/{name}", white(left(n)))
        save(root / f"ManualMask/rightMask/{name}", white(right(n)))
        masks[f"CXR_png/{name}"] = drawn(n)
    return Laid(root, masks)


def suffixes(root: Path) -> Laid:
    """Endings that no list knows."""
    masks = {}
    for n in range(COUNT):
        save(root / f"pictures/sample{n}.bmp", photographed(n))
        save(root / f"pictures/sample{n}_tumour.png", white(drawn(n)))
        masks[f"pictures/sample{n}.bmp"] = drawn(n)
    return Laid(root, masks)


def numbers(root: Path) -> Laid:
    """Objects that are numbered, in folders called image and annotation."""
    masks = {}
    for n in range(COUNT):
        save(root / f"img/IMG_{n + 1:03d}.png", photographed(n))
        labels = left(n).astype(np.uint8) + 2 * right(n).astype(np.uint8)
        save(root / f"anno/GT_{n + 1:03d}.png", labels)
        masks[f"img/IMG_{n + 1:03d}.png"] = drawn(n)
    return Laid(root, masks)


def table(root: Path) -> Laid:
    """Files without any system, and a CSV that names the pairs."""
    masks, lines = {}, []
    for n in range(COUNT):
        image, mask = f"a/{n * 7919 % 101}.png", f"b/{n * 104729 % 997}.png"
        save(root / image, photographed(n))
        save(root / mask, white(drawn(n)))
        masks[image] = drawn(n)
        lines.append((image, mask, f"p{n // 2}"))
    with (root / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "mask", "patient"), *lines])
    return Laid(root, masks)


def volume(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (32, 32, 4) and labels of them: the drawn mask in the two slices in the middle."""
    picture = grey(photographed(number)).astype(np.int16)
    voxels = np.stack([picture + 10 * z for z in range(4)], axis=2)
    labels = np.zeros((SIDE, SIDE, 4), np.uint8)
    labels[..., 1], labels[..., 2] = drawn(number), left(number) * 2
    return voxels, labels


def _nifti(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)


def slices(number: int, name: str) -> dict[str, np.ndarray]:
    """The masks of a volume's slices: its second axis upwards, its first to the right."""
    labels = volume(number)[1] == 1
    return {f"{name}_z001": labels[..., 1].T[::-1]}


def decathlon(root: Path) -> Laid:
    """Medical Segmentation Decathlon, and nnU-Net: imagesTr, labelsTr, dataset.json."""
    masks, training = {}, []
    for n in range(COUNT):
        voxels, labels = volume(n)
        _nifti(root / f"Task04_Tiny/imagesTr/tiny_{n:03d}.nii.gz", voxels)
        _nifti(root / f"Task04_Tiny/labelsTr/tiny_{n:03d}.nii.gz", labels)
        training.append({
            "image": f"./imagesTr/tiny_{n:03d}.nii.gz", "label": f"./labelsTr/tiny_{n:03d}.nii.gz",
        })  # fmt: skip
        masks |= slices(n, f"tiny_{n:03d}")
    _nifti(root / "Task04_Tiny/imagesTs/tiny_900.nii.gz", volume(0)[0])
    about = {
        "labels": {"0": "background", "1": "anterior", "2": "posterior"},
        "modality": {"0": "MRI"}, "numTraining": COUNT, "training": training,
    }  # fmt: skip
    (root / "Task04_Tiny/dataset.json").write_text(json.dumps(about))
    return Laid(root, masks)


def acdc(root: Path) -> Laid:
    """ACDC: a folder for each patient, two frames of each, and the whole film."""
    masks = {}
    for n in range(COUNT):
        for frame in (1, 12):
            voxels, labels = volume(n)
            name = f"patient{n + 1:03d}_frame{frame:02d}"
            folder = root / f"training/patient{n + 1:03d}"
            _nifti(folder / f"{name}.nii.gz", voxels)
            _nifti(folder / f"{name}_gt.nii.gz", labels)
            masks |= slices(n, name)
        _nifti(folder / f"patient{n + 1:03d}_4d.nii.gz", np.stack([voxels] * 3, axis=3))
        (folder / "Info.cfg").write_text("ED: 1")
    return Laid(root, masks)


NATIVE = {
    "isic": Native(isic, ((),), "pairs"),
    "isic_flat": Native(isic_flat, ((),), "folder"),
    "busi": Native(busi, ((),), "pairs"),
    "kvasir": Native(kvasir, ((),), "folder"),
    "drive": Native(drive, ((), ("--masks", "1st_manual")), "pairs"),
    "chase": Native(chase, ((), ("--masks", "1stHO", "--groups", "^(.+)[LR]$")), "pairs"),
    "bowl": Native(bowl, ((),), "pairs"),
    "colours": Native(colours, ((), ("--colours", "dc143c")), "table"),
    "cityscapes": Native(
        cityscapes, ((), ("--masks", "labelIds", "--foreground", "26")), "pairs",
    ),
    "annotators": Native(annotators, ((), ("--several", "majority")), "pairs"),
    "trees": Native(trees, ((),), "folder"),
    "montgomery": Native(montgomery, ((), ("--several", "union")), "pairs"),
    "suffixes": Native(suffixes, ((),), "folder"),
    "numbers": Native(numbers, ((), ("--foreground", "1,2")), "pairs"),
    "table": Native(table, ((),), "table"),
    "acdc": Native(
        acdc, ((), ("--missing", "skip", "--foreground", "1", "--groups", "^([^_]+)_")), "volumes",
    ),
    "decathlon": Native(decathlon, ((), ("--foreground", "anterior")), "volumes"),
}  # fmt: skip
