"""How fast raw images become a prepared dataset, and how fast training reads that.

    python benchmarks/data.py [--images 900] [--processes 2] [--repeats 200]

Makes as many JPEG images of 1022 x 767 pixels (the median of ISIC 2016) with PNG masks in a
temporary folder: crops, mirrored and brightened, of a few large phantoms, so that their texture
costs what texture costs. Prepares them at 256 pixels with one and with several processes, and once
more at 128 pixels, from which batches are then read as a training reads them. One table.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from noise2mask.data.formats import phantoms
from noise2mask.data.prepare import prepare
from noise2mask.data.prepared import Split, open_split
from noise2mask.study.code_hash import versions

HEIGHT, WIDTH, BATCH = 767, 1022, 8
SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}
AUGMENTATIONS: dict[str, dict[str, object] | None] = {
    "as they are": None,
    "flips": {"flips": True},
    "flips, turns, rotation, scale": {"flips": True, "turns": True, "rotation": 20, "scale": 0.15},
    "the same and colour": {
        "flips": True, "turns": True, "rotation": 20, "scale": 0.15,
        "brightness": 0.2, "contrast": 0.2, "saturation": 0.2,
    },
}  # fmt: skip


def make_folder(root: Path, count: int) -> None:
    """Write `count` different images and their masks; compression takes little effort."""
    generator = np.random.default_rng(0)
    raw = [phantoms.load(one) for one in phantoms.sources(family="lesion", count=4, size=1024)]
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(count):
        image, mask = raw[number % len(raw)]
        top, left = generator.integers(0, (1024 - HEIGHT + 1, 1024 - WIDTH + 1))
        window = np.s_[top : top + HEIGHT, left : left + WIDTH]
        turn = np.s_[:: generator.choice([1, -1]), :: generator.choice([1, -1])]
        light = np.clip(image[window][turn] * generator.uniform(0.8, 1.1), 0, 255).astype(np.uint8)
        drawn = mask[window][turn].astype(np.uint8) * 255
        name = f"case_{number:04d}"
        Image.fromarray(light).save(root / "images" / f"{name}.jpg", quality=90)
        Image.fromarray(drawn).save(root / "masks" / f"{name}.png", compress_level=1)


def seconds_to_prepare(raw: Path, out: Path, resolution: int, processes: int) -> float:
    start = time.perf_counter()
    options = {"root": str(raw)}
    prepare("folder", options, "benchmark", resolution, SHARES, out, processes=processes)
    return time.perf_counter() - start


def images_per_second(split: Split, repeats: int, augmentation: dict[str, object] | None) -> float:
    # Not above: the processes that prepare import this file again, and need no torch.
    import torch

    from noise2mask.training.augment import as_unit, augment
    from noise2mask.training.train import batch_rows

    torch.set_num_threads(1)
    start = time.perf_counter()
    for step in range(1, repeats + 1):
        rows = batch_rows(len(split.ids), BATCH, 0, step)
        images = as_unit(split.images[rows])
        masks = torch.from_numpy(split.masks[rows].astype(np.float32))[:, None]
        if augmentation is not None:
            generator = torch.Generator().manual_seed(step)
            augment(images, masks, generator=generator, **augmentation)
    return repeats * BATCH / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=900, help="raw images")
    parser.add_argument("--processes", type=int, default=2, help="of the second preparation")
    parser.add_argument("--repeats", type=int, default=200, help="batches read")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_folder(folder / "raw", given.images)
        print(f"{given.images} images of {WIDTH} x {HEIGHT}, {BATCH} in a batch", end="")
        print(f"; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        print(", ".join(f"{name} {said}" for name, said in versions().items()))
        print(f"{'':44}{'seconds':>9}{'images/s':>10}")
        for processes in dict.fromkeys((1, given.processes)):
            out = folder / f"{processes}"
            took = seconds_to_prepare(folder / "raw", out, 256, processes)
            label = f"prepare at 256 px, {processes} process{'es' * (processes > 1)}"
            print(f"{label:44}{took:9.1f}{given.images / took:10.0f}")
        seconds_to_prepare(folder / "raw", folder / "small", 128, given.processes)
        split = open_split(folder / "small", "train", purpose="training")
        for label, augmentation in AUGMENTATIONS.items():
            rate = images_per_second(split, given.repeats, augmentation)
            print(f"{f'read at 128 px, {label}':44}{'':9}{rate:10.0f}")


if __name__ == "__main__":
    main()
