"""A contact sheet: what the images and masks of a dataset look like."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from noise2mask import plugins
from noise2mask.data.checks.measures import Checked, Measures, Row, measured
from noise2mask.data.resize import resize_image, resize_mask
from noise2mask.data.source import Image, Mask, foreground_of
from noise2mask.data.splits import SPLITS
from noise2mask.files import writing
from noise2mask.report.figures.style import STYLE, WIDTH, styled

LEGEND = "line: mask; below: case, split, share of foreground"
ACROSS = 6  # cases side by side
SHOWN = 320  # pixels of the longer side of a picture; it is printed smaller
DARK = 100  # grey levels; an image that reaches no further is brightened
BUSY = 12  # length of the boundaries in sides of the picture, above which lines are thinner
LETTERS = 20  # of an id in a line below its picture; it has at most two lines


class Picture(NamedTuple):
    """One case as it is shown: its image (H, W, 1 or 3), its mask (H, W) and its caption."""

    image: Image
    mask: Mask
    caption: str


def write_sheet(checked: Checked, path: Path, *, count: int, licence: str) -> None:
    """Write a PNG with up to `count` cases of a checked dataset.

    The masks are contours, black outside and yellow inside, to be seen on dark and light. The
    pictures are parts of the dataset, so its licence holds for them too. `licence` stands in the
    title.

    Raises:
        UserError: a case that could be read before cannot be read any more, or the file cannot be
            written.
    """
    load = plugins.member("format", checked.kind, "load")
    source_of = {source.id: source for source in checked.sources}
    rows = chosen(checked.rows, count)
    pictures = {}
    for row, measures in sorted(rows, key=lambda item: item[0].id):  # volumes are read in order
        image, mask = load(source_of[row.id])
        pictures[row.id] = Picture(*shrunk(image, foreground_of(mask)), _caption(row, measures))
    titles = [f"{checked.title}: {len(pictures)} of {len(checked.rows)} cases", licence, LEGEND]
    figure = contact_sheet([pictures[row.id] for row, _ in rows], titles)
    with style.context(["default", dict(STYLE)]), writing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def chosen(rows: Sequence[Row], count: int) -> list[tuple[Row, Measures]]:
    """Up to `count` cases, as many of each split as there are, from little foreground to much.

    The cases with the least, the median and the most foreground of all are among them.
    """
    known = sorted(measured(rows), key=lambda item: (item[1].foreground, item[0].id))
    if not known or count < 1:
        return []
    taken = {known[place][0].id for place in _spread(len(known), min(3, count))}
    members = [[item for item in known if item[0].split == split] for split in (*SPLITS, "")]
    members = [each for each in members if each]
    for wanted in range(1, count + 1):
        for each in members:
            for place in _spread(len(each), wanted):
                if len(taken) < count:
                    taken.add(each[place][0].id)
    return [item for each in members for item in each if item[0].id in taken]


def _spread(length: int, count: int) -> list[int]:
    """Up to `count` places in a row of `length`: the ends and between them; of one, the middle."""
    if count == 1:
        return [length // 2]
    return sorted({round(part * (length - 1) / (count - 1)) for part in range(count)})


def two_lines(id: str) -> list[str]:
    """A name as it stands below a picture: up to two lines, long ones without their middle."""
    if len(id) > 2 * LETTERS:
        id = f"{id[:LETTERS]}…{id[1 - LETTERS :]}"
    return [id[:LETTERS], id[LETTERS:]]


def _caption(row: Row, measures: Measures) -> str:
    lines = two_lines(row.id)
    share = f"{measures.foreground:.1%}" if measures.area else "no foreground"
    return "\n".join(filter(None, [*lines, f"{row.split or 'no split'}, {share}"]))


def shrunk(image: Image, mask: Mask) -> tuple[Image, Mask]:
    """Image and mask as large as they are shown; small ones stay as they are."""
    longer = max(mask.shape)
    if longer <= SHOWN:
        return image, mask
    size = (max(1, mask.shape[0] * SHOWN // longer), max(1, mask.shape[1] * SHOWN // longer))
    return resize_image(image, size), resize_mask(mask, size)


@styled
def contact_sheet(pictures: Sequence[Picture], titles: Sequence[str]) -> Figure:
    """Pictures row by row, each with the contour of its mask and its caption."""
    lines = max(1, -(-len(pictures) // ACROSS))
    tallest = max((each.mask.shape[0] / each.mask.shape[1] for each in pictures), default=1)
    figure = Figure(figsize=(WIDTH, (1.45 * min(1.5, tallest) + 0.5) * lines + 0.8))
    folded = [textwrap.fill(title, 120) for title in titles if title]
    figure.suptitle("\n".join(folded), fontsize=10)
    if not pictures:
        figure.text(0.5, 0.5, "no case to show", ha="center", va="center", color="0.35")
        return figure
    axes = list(figure.subplots(lines, ACROSS, squeeze=False).flat)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
        axis.grid(visible=False)
        axis.spines[:].set_visible(False)
    lengths = [
        sum(np.count_nonzero(np.diff(each.mask, axis=axis)) for axis in (0, 1))
        / np.sqrt(each.mask.size)
        for each in pictures
    ]
    thickness = 0.55 if np.median(lengths) > BUSY else 1.0
    for axis, picture in zip(axes, pictures, strict=False):
        _draw(axis, picture, thickness)
    return figure


def _draw(axis: Axes, picture: Picture, thickness: float) -> None:
    brightest = max(1, float(np.quantile(picture.image, 0.999)))
    dark = brightest < DARK
    shown: npt.NDArray[np.uint8] = picture.image
    if dark:
        shown = np.clip(picture.image * (255 / brightest), 0, 255).astype(np.uint8)
    axis.imshow(shown[..., 0] if shown.shape[2] == 1 else shown, cmap="gray", vmin=0, vmax=255)
    if 0 < picture.mask.mean() < 1:
        for colour, width in (("black", 2.2), ("#F0E442", 1.0)):
            axis.contour(picture.mask, levels=[0.5], colors=colour, linewidths=thickness * width)
    axis.set_xlabel(picture.caption + (", brightened" if dark else ""), fontsize=7.5)
