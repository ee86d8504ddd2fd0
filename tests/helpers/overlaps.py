"""Texts of a figure that lie on each other or leave it, in the pixels of its picture."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

TOUCHING = 1.0
"""Pixels by which two boxes may overlap: letters do not fill theirs."""


def texts_of(figure: Figure) -> list[Text]:
    """Every text that is seen: titles, labels, ticks, legends, notes."""
    found = list(figure.texts)
    for axis in figure.axes:
        if not axis.get_visible() or not axis.axison:
            continue
        found += [axis.title, axis._left_title, axis._right_title, *axis.texts]
        for one in (axis.xaxis, axis.yaxis):
            low, high = sorted(one.get_view_interval())
            found.append(one.label)
            for tick in one.get_major_ticks() + one.get_minor_ticks():
                if low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                    found += [tick.label1, tick.label2]
    for legend in figure.legends:
        found += legend.get_texts()
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def wrong_texts(figure: Figure) -> list[str]:
    """A line for each two texts that overlap, and for each that is cut off."""
    canvas = FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    renderer = canvas.get_renderer()
    # An annotation's own extent holds its arrow too.
    boxes = [
        (text.get_text().replace("\n", " / "),
         Text.get_window_extent(text, renderer) if isinstance(text, Annotation)
         else text.get_window_extent(renderer))
        for text in texts_of(figure)
    ]  # fmt: skip
    found = []
    for place, (words, box) in enumerate(boxes):
        if box.width == 0 or box.height == 0:
            continue
        if box.x0 < -1 or box.y0 < -1 or box.x1 > figure.bbox.x1 + 1 or box.y1 > figure.bbox.y1 + 1:
            found.append(f"'{words}' is cut off")
        for others, other in boxes[:place]:
            across = min(box.x1, other.x1) - max(box.x0, other.x0)
            up = min(box.y1, other.y1) - max(box.y0, other.y0)
            if min(across, up) > TOUCHING:
                found.append(f"'{words}' lies on '{others}'")
    return found
