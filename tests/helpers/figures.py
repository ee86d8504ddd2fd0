"""What a reader of a figure sees: its panels, its legend, and that no words are cut or covered."""


def panels(figure):
    return [axis for axis in figure.axes if axis.get_visible()]


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def assert_apart(figure, artists):
    """None of the artists is cut at the frame or meets another; the number of those that show."""
    figure.draw_without_rendering()
    boxes = [artist.get_window_extent() for artist in artists]
    boxes = [box for box in boxes if box.width > 0 and box.height > 0]
    for place, box in enumerate(boxes):
        assert min(box.x0, box.y0) >= -1
        assert box.x1 <= figure.bbox.x1 + 1
        assert box.y1 <= figure.bbox.y1 + 1
        assert not any(box.overlaps(other) for other in boxes[:place])
    return len(boxes)
