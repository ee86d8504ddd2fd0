"""The gauge of the bits: the whole pipeline on data whose truth is known.

    nice python benchmarks/gauge.py [--data <folder>]

Draws the data, runs the study `gauge.yaml` on them (it goes on where it stopped), sets every
estimate beside the truth in `gauge.csv`, and writes the tables of README.md and docs/analysis.md
from that. With --tables nothing is run: the tables are made of the `gauge.csv` that lies there.
"""

import argparse
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
from helpers.exact_tasks import MarkovRows
from PIL import Image

from noise2mask.seeds import seed_of

STUDY = Path(__file__).with_name("gauge.yaml")
SIDE, CASES = 32, 100
MASKS = {
    "long_runs": {"correlation": 0.96},
    "short_runs": {"correlation": 0.8},
    "squares": {"correlation": 0.6, "block": 4},
}
NOISES = (1.0, 2.5, 6.0)


def tasks() -> dict[str, MarkovRows]:
    """Every kind of mask under every noise, by the name of its dataset."""
    return {
        f"{name}_{noise:g}".replace(".", "_"): MarkovRows(
            (SIDE, SIDE), noise=noise, foreground=0.3, **options
        )
        for (name, options), noise in product(MASKS.items(), NOISES)
    }


def draw(folder: Path) -> None:
    """Write images and masks of every task as PNG of 8 bits, each below a folder of its name.

    Grey values hold -1 - 4 noise to 1 + 4 noise. A step between them adds less than 0.1 % to the
    variance of the noise, and one value in 10 000 is cut off.
    """
    for name, task in tasks().items():
        masks, images = task.sample(np.random.default_rng(seed_of("gauge", name)), CASES)
        reach = 1 + 4 * task.noise
        grey = np.clip(np.rint(127.5 * (1 + images / reach)), 0, 255).astype(np.uint8)
        for case in range(CASES):
            for role, array in (("images", grey[case]), ("masks", 255 * (masks[case] > 0))):
                path = folder / name / role / f"{case:03d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(array.astype(np.uint8)).save(path)


def main() -> None:
    """Draw, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("work/gauge"), help="for the images")
    options = parser.parse_args()
    draw(options.data)
    command = ["noise2mask", "reproduce", "--study", str(STUDY), "--data", str(options.data)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
