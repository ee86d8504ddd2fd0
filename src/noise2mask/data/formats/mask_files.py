"""What the values of a mask mean: read as they are stored, and judged over the whole set.

One file seldom says which of its values is foreground, and some can be read in two ways:

* a palette whose used entries are grey by its greys, of any other by its indices (labels);
* fewer than 8 bits as stored (1 of one bit is 1), or spread over 0 to 255;
* where 0 is said to be white, as stored or as shown;
* where there is transparency, by the colours or by alpha.

So every mask is looked at first (:func:`facts_of`), then :func:`judge` decides for all of them or
refuses with both readings named, and :func:`mask_of` follows.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from noise2mask.data.formats.image_files import Picture, inverted
from noise2mask.data.formats.spatial_files import DAMAGE, damaged, whole
from noise2mask.data.source import Mask, some
from noise2mask.errors import UserError

Values = npt.NDArray[np.int64]  # (H, W)
Polarity = Literal["stored", "shown"]

COLOUR_NOISE = 32
"""How far the channels of a grey pixel may lie apart after a lossy mask has been decoded."""
_WHITES = (255, 65535)  # what white is where black is 0, in 8 and 16 bits
_MOST = 64  # values of a file that are kept


class MaskRule(NamedTuple):
    """How one mask file becomes foreground and background.

    Attributes:
        reading: which of its readings counts, a key of :func:`readings_of`.
        foreground: values that are foreground.
        threshold: without them, values above it are.
        ignore: values of pixels that are left out.
    """

    reading: str
    foreground: tuple[int, ...] | None
    threshold: int | None
    ignore: tuple[int, ...] = ()


class MaskFacts(NamedTuple):
    """What one mask file holds.

    Attributes:
        path: the file.
        form: what it is, see :attr:`noise2mask.data.formats.image_files.Picture.form`.
        bits: of a value.
        values: of each reading the values there are, ascending, at most 64; the first reading is
            the one that counts unless the set says otherwise.
        different: number of different values of the first reading.
        colours: entries of a coloured palette that are used, by their index.
        alpha: "none", "even" (all pixels alike), "alone" (the colours are even), "agrees" with
            the colours, or "differs" from them.
    """

    path: Path
    form: str
    bits: int
    values: Mapping[str, tuple[int, ...]]
    different: int
    colours: Mapping[int, tuple[int, ...]]
    alpha: Literal["none", "even", "alone", "agrees", "differs"]


# One file -------------------------------------------------------------------------------------


def readings_of(picture: Picture, tolerance: int = 0) -> dict[str, Values]:
    """The ways in which a mask can be read, the usual one first.

    Args:
        picture: the decoded file.
        tolerance: how far the channels of a pixel may lie apart; their first one counts.

    Raises:
        UserError: it is a colour picture, or its values are no whole numbers.
    """
    if picture.palette is not None:
        readings = _of_palette(picture)
    else:
        readings = _of_values(picture, _one_channel(picture, tolerance))
    if picture.alpha is None or _even(picture.alpha):
        alpha = {} if picture.alpha is None else {"alpha": picture.alpha.astype(np.int64)}
        return {**readings, **alpha}
    usual = next(iter(readings.values()))
    alpha = {"alpha": picture.alpha.astype(np.int64)}
    return {**alpha, **readings} if _even(usual) else {**readings, **alpha}


def _of_palette(picture: Picture) -> dict[str, Values]:
    indices = picture.pixels.astype(np.int64)
    used = np.flatnonzero(np.bincount(indices.ravel()))
    palette = np.asarray(picture.palette)
    palette = palette[np.minimum(np.arange(max(len(palette), used[-1] + 1)), len(palette) - 1)]
    if (np.ptp(palette[used].astype(int), axis=1) > 0).any():
        return {"index": indices}
    greys = palette[:, 0].astype(np.int64)[indices]
    return {"grey": greys} if (greys == indices).all() else {"grey": greys, "index": indices}


def _of_values(picture: Picture, values: Values) -> dict[str, Values]:
    if picture.white_is_zero == "unknown":
        return {"stored": values, "shown": inverted(picture).astype(np.int64)}
    if picture.white_is_zero == "shown":
        values = inverted(picture).astype(np.int64)
    if picture.bits < 8:
        return {"stored": values, "spread": values * (255 // (2**picture.bits - 1))}
    return {"value": values}


def _one_channel(picture: Picture, tolerance: int) -> Values:
    """Whole numbers (H, W)."""
    pixels = picture.pixels
    if pixels.ndim == 3:
        seen_by_alpha = picture.alpha is not None and bool((pixels == pixels[:1, :1]).all())
        apart = np.ptp(pixels.astype(np.float64), axis=2).max()
        if apart > tolerance and not seen_by_alpha:
            lossy = ", or set `threshold`, e.g. 127, if it is grey but for loss in saving"
            raise UserError(
                f"the mask {picture.path} is a colour picture, but a mask has one value per pixel; "
                f"save it as a grey image{lossy if apart <= COLOUR_NOISE else ''}."
            )
        pixels = pixels[..., 0]
    if pixels.dtype.kind in "bi" or (pixels.dtype.kind == "u" and pixels.dtype.itemsize < 8):
        return pixels.astype(np.int64)
    return whole(picture.path, pixels, picture.step)


def facts_of(picture: Picture, tolerance: int = 0) -> MaskFacts:
    """What a mask holds.

    Raises:
        UserError: as :func:`readings_of`.
    """
    readings = readings_of(picture, tolerance)
    present = {name: _present(values) for name, values in readings.items()}
    first = next(iter(readings))
    colours: dict[int, tuple[int, ...]] = {}
    if first == "index" and picture.palette is not None:
        last = len(picture.palette) - 1
        colours = {
            int(index): tuple(picture.palette[min(index, last)].tolist())
            for index in present["index"][:_MOST]
        }
    return MaskFacts(
        picture.path,
        picture.form,
        picture.bits,
        {name: _few(values) for name, values in present.items()},
        len(present[first]),
        colours,
        _alpha(picture, readings),
    )


def _alpha(
    picture: Picture, readings: Mapping[str, Values]
) -> Literal["none", "even", "alone", "agrees", "differs"]:
    if picture.alpha is None:
        return "none"
    if _even(picture.alpha):
        return "even"
    if next(iter(readings)) == "alpha":
        return "alone"
    usual = next(iter(readings.values()))
    same = (picture.alpha > picture.alpha.min()) == (usual > usual.min())
    return "agrees" if same.all() else "differs"


def _even(values: npt.NDArray[Any]) -> bool:
    return bool((values == values.flat[0]).all())


def _present(values: Values) -> npt.NDArray[np.int64]:
    """The different values, ascending; counted rather than sorted where they are of 8 bits."""
    if values.min() >= 0 and values.max() <= 255:
        return np.flatnonzero(np.bincount(values.ravel()))
    return np.unique(values)


def _few(values: npt.NDArray[np.int64]) -> tuple[int, ...]:
    kept = values if len(values) <= _MOST else [*values[: _MOST - 1], values[-1]]
    return tuple(int(value) for value in kept)


def mask_of(picture: Picture, rule: MaskRule) -> Mask:
    """The foreground of a mask, by a rule of :func:`judge`."""
    tolerance = 0 if rule.threshold is None else COLOUR_NOISE
    values = readings_of(picture, tolerance)[rule.reading]
    return selected(values, rule.foreground, rule.threshold)


def left_out_of(picture: Picture, rule: MaskRule) -> Mask:
    """The pixels of a mask that are left out, by a rule of :func:`judge`."""
    tolerance = 0 if rule.threshold is None else COLOUR_NOISE
    return np.isin(readings_of(picture, tolerance)[rule.reading], rule.ignore)


def selected(
    values: npt.NDArray[Any], foreground: Sequence[int] | None, threshold: int | None
) -> Mask:
    """Which values are foreground: those named, else those above the threshold, else all but 0."""
    if foreground is not None:
        return np.isin(values, foreground)
    if threshold is not None:
        return np.asarray(values > threshold)
    return np.asarray(values != 0)


def read_planes(path: Path, planes: Sequence[int]) -> npt.NDArray[Any]:
    """Some planes of a mask that is stored as an array (P, H, W) of numbers in an NPY file.

    Raises:
        UserError: the file is damaged, holds pickled objects, or has other axes or fewer planes.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except DAMAGE as error:
        raise UserError(damaged(path, error)) from error
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.dtype.kind not in "buif":
        shape = getattr(array, "shape", "several arrays")
        raise UserError(
            f"the mask {path} holds {shape}, but masks with planes are arrays of numbers (planes, "
            "height, width); leave out `mask_planes` or restore the file."
        )
    if not all(0 <= plane < len(array) for plane in planes):
        raise UserError(
            f"the mask {path} has the planes 0 to {len(array) - 1}, but `mask_planes` is "
            f"{list(planes)}; correct it."
        )
    return array[list(planes)]


# The whole set --------------------------------------------------------------------------------


def judge(
    facts: Sequence[MaskFacts],
    *,
    foreground: Sequence[int] | None = None,
    threshold: int | None = None,
    white_is_zero: Polarity | None = None,
    ignore: Sequence[int] = (),
) -> list[MaskRule]:
    """How each mask of a set is read; all of them so that equal things mean the same.

    Args:
        facts: what each mask holds.
        foreground: values that are foreground, if the user said it.
        threshold: values above it are foreground, if the user said it; of fewer than 8 bits they
            are spread over 0 to 255 first.
        white_is_zero: which values count where 0 is said to be white, if the user said it.
        ignore: values of pixels that are left out, if the user named some.

    Raises:
        UserError: the values leave open what is foreground, or the files can be read in two ways.
    """
    if ignore:
        left = [_without(fact, ignore) for fact in facts]
        if all(fact.values == other.values for fact, other in zip(facts, left, strict=True)):
            held = {value for fact in facts for value in next(iter(fact.values.values()))}
            raise UserError(
                f"`ignore` {list(ignore)} is in none of {_masks(facts)}, which hold "
                f"{_listed(held)}; name values that are there."
            )
        rules = judge(left, foreground=foreground, threshold=threshold, white_is_zero=white_is_zero)
        return [rule._replace(ignore=tuple(ignore)) for rule in rules]
    readings = _readings(facts, white_is_zero)
    if threshold is not None:
        return [
            MaskRule(reading, _few_bits_above(threshold, fact.bits), threshold)
            if fact.bits < 8 and reading != "alpha"
            else MaskRule(reading, None, threshold)
            for fact, reading in zip(facts, readings, strict=True)
        ]
    known = [(fact, fact.values[reading]) for fact, reading in zip(facts, readings, strict=True)]
    if foreground is None:
        chosen = _two_values(known)
    else:
        chosen = tuple(foreground)
        _check_named(facts, readings, chosen)
    _check_orders(facts, chosen)
    white = 1 not in chosen and any(value in _WHITES for value in chosen)
    return [
        MaskRule(reading, (1,) if fact.bits == 1 and white and reading != "alpha" else chosen, None)
        for fact, reading in zip(facts, readings, strict=True)
    ]


def _without(fact: MaskFacts, ignore: Sequence[int]) -> MaskFacts:
    """What a mask holds beside pixels that are left out."""
    kept = {
        reading: tuple(value for value in values if value not in ignore)
        for reading, values in fact.values.items()
    }
    first = next(iter(kept))
    return fact._replace(
        values=kept,
        different=fact.different - len(fact.values[first]) + len(kept[first]),
        colours={index: colour for index, colour in fact.colours.items() if index not in ignore},
    )


def _few_bits_above(threshold: int, bits: int) -> tuple[int, ...]:
    """Values of so many bits that are above a threshold on 0 to 255."""
    white = 2**bits - 1
    return tuple(value for value in range(white + 1) if value * 255 // white > threshold)


def _readings(facts: Sequence[MaskFacts], white_is_zero: Polarity | None) -> list[str]:
    """Which reading of each file counts."""
    _check_polarity(facts, white_is_zero)
    _check_alpha(facts)
    _check_colours(facts)
    by_alpha = any(fact.alpha == "alone" for fact in facts)
    readings = []
    for fact in facts:
        first = next(iter(fact.values))
        if by_alpha and fact.alpha == "even":
            first = "alpha"
        elif white_is_zero is not None and "shown" in fact.values:
            first = white_is_zero
        readings.append(first)
    return readings


def _check_polarity(facts: Sequence[MaskFacts], white_is_zero: Polarity | None) -> None:
    unclear = [fact for fact in facts if "shown" in fact.values]
    if unclear and white_is_zero is None:
        raise UserError(
            f"{_masks(unclear)} {_say(unclear)} that 0 is white (PhotometricInterpretation 0), so "
            "the values can be taken as stored, as tifffile and scikit-image do (the foreground "
            "is what viewers show black), or as shown (it is what viewers show white); set "
            "`white_is_zero` to stored or shown."
        )


def _check_alpha(facts: Sequence[MaskFacts]) -> None:
    differing = [fact for fact in facts if fact.alpha == "differs"]
    alone = [fact for fact in facts if fact.alpha == "alone"]
    coloured = [fact for fact in facts if fact.alpha in {"none", "agrees", "even"}]
    coloured = [fact for fact in coloured if fact.different > 1]
    if differing:
        raise UserError(
            f"{_masks(differing)} can be read by the colours or by the transparency (alpha), and "
            "the two do not agree; save the one that counts as a grey image."
        )
    if alone and coloured:
        raise UserError(
            f"{_masks(alone)} {_say(alone, 'hold')} the mask in the transparency (alpha), "
            f"{_masks(coloured)} in the colours; save all of them as grey images."
        )


def _check_colours(facts: Sequence[MaskFacts]) -> None:
    """Refuse coloured palettes whose indices do not mean the same colours."""
    colour_of: dict[int, tuple[tuple[int, ...], MaskFacts]] = {}
    for fact in facts:
        for index, colour in fact.colours.items():
            known, first = colour_of.setdefault(index, (colour, fact))
            if known != colour:
                raise UserError(
                    f"the palettes of the masks differ: the index {index} is the colour {known} in "
                    f"{first.path} and {colour} in {fact.path}, so by index and by colour the "
                    "masks say different things; save them as grey images of labels."
                )
    black = next((i for i, (colour, _) in colour_of.items() if i and not any(colour)), None)
    if black is not None and 0 in colour_of:
        raise UserError(
            f"in the palette of the mask {colour_of[black][1].path} black is the index {black} and "
            f"the index 0 is the colour {colour_of[0][0]}, so by index black would be a label, by "
            "colour it is the background; save the masks as grey images of labels."
        )


def _check_orders(facts: Sequence[MaskFacts], foreground: Sequence[int]) -> None:
    """Refuse palettes of one colour at several indices, some of them foreground and some not.

    Of one file that uses both the author meant two labels; of several their order may differ.
    """
    used: dict[tuple[int, ...], dict[int, MaskFacts]] = defaultdict(dict)
    for fact in facts:
        for index, colour in fact.colours.items():
            used[colour].setdefault(index, fact)
    together = {
        frozenset((one, other))
        for fact in facts
        for colours in [fact.colours]
        for one in colours
        for other in colours
        if colours[one] == colours[other]
    }
    for colour, first in used.items():
        for one in first.keys() & set(foreground):
            for other in first.keys() - set(foreground):
                if frozenset((one, other)) not in together:
                    raise UserError(
                        f"the colour {colour} is the index {one} of the palette in "
                        f"{first[one].path} and {other} in {first[other].path}, so by index only "
                        "one of them is foreground, by colour both are; save the masks as grey "
                        "images of labels."
                    )


def _two_values(known: Sequence[tuple[MaskFacts, tuple[int, ...]]]) -> tuple[int, ...]:
    """The foreground where nobody named it: the higher one of two values."""
    bits = [fact for fact, _ in known if fact.bits == 1]
    deep = {value for fact, values in known if fact.bits > 1 for value in values}
    alone = next((white for white in _WHITES if deep and deep <= {0, white}), None)
    if bits and alone is not None:  # one bit says black and white too
        return (alone,)
    everything = sorted({value for _, values in known for value in values})
    several = [fact for fact, _ in known if fact.different > 2]
    if len(everything) > 2 or several:
        raise UserError(_unclear(known, everything, several))
    if len(everything) == 1 and everything[0] != 0:
        paths = [fact for fact, _ in known]
        raise UserError(
            f"{_masks(paths)} {_say(paths, 'hold')} the value {everything[0]} only, which may mean "
            f"foreground or background; set `foreground`, e.g. [{everything[0]}] if it is "
            "foreground."
        )
    if len(everything) == 2 and everything[1] == 0:
        paths = [fact for fact, _ in known]
        raise UserError(
            f"{_masks(paths)} {_say(paths, 'hold')} the values {everything[0]} and 0, so the "
            "higher one, usually foreground, is the one that is usually background; set "
            f"`foreground` to [{everything[0]}] or [0]."
        )
    return tuple(everything[1:])


def _unclear(
    known: Sequence[tuple[MaskFacts, tuple[int, ...]]],
    everything: Sequence[int],
    several: Sequence[MaskFacts],
) -> str:
    """The sentence for more than two values."""
    in_masks = Counter(value for _, values in known for value in values)
    if len(known) == 1:
        listed = ", ".join(map(str, everything[:8])) + (", ..." if len(everything) > 8 else "")
        subject = f"the mask {known[0][0].path} holds"
        number = known[0][0].different
    else:
        told = [f"{value} in {in_masks[value]}" for value in everything[:8]]
        listed = ", ".join(told) + (", ..." if len(everything) > 8 else "") + " of them"
        subject = f"the {len(known)} masks ({some([fact.path.name for fact, _ in known])}) hold"
        number = max(len(everything), *(fact.different for fact, _ in known))
    lead = f"{subject} {number} different values ({listed}), but only two have a clear meaning; "
    if list(everything) == [0, 1, 255]:
        return lead + (
            "255 may be white, and foreground as 1 is (`foreground: [1, 255]`), or mark pixels "
            "that are to be left out of losses and scores, as in many sets of labels "
            "(`ignore: [255]`)."
        )
    example = everything[-1:] if len(known) == 1 or several else everything[1:]
    return lead + (
        f"set `foreground` to the values that are foreground, e.g. {list(example)}, or, if "
        f"{'it was' if len(known) == 1 else 'they were'} saved with loss as JPEG is, `threshold`, "
        f"e.g. {(everything[0] + everything[-1]) // 2}."
    )


def _check_named(
    facts: Sequence[MaskFacts], readings: Sequence[str], foreground: tuple[int, ...]
) -> None:
    """Refuse values of foreground that mean something else in some of the files."""
    groups: dict[tuple[str, str], list[MaskFacts]] = defaultdict(list)
    for fact, reading in zip(facts, readings, strict=True):
        groups[fact.form, reading].append(fact)
    named, spread = set(foreground), not {1}.isdisjoint(foreground)
    held = {
        key: {value for fact in members for value in fact.values[key[1]]}
        for key, members in groups.items()
    }
    met = [key for key in groups if _is_met(held[key], named, groups[key][0].bits, spread)]
    for key, members in groups.items():
        if key in met:
            continue
        for other in members[0].values.keys() - {key[1], "alpha"}:
            second = {value for fact in members for value in fact.values.get(other, ())}
            if not second.isdisjoint(named):
                raise UserError(
                    f"{_masks(members)} ({key[0]}) can be read in two ways: by {_WORDS[key[1]]} "
                    f"they hold {_listed(held[key])}, by {_WORDS[other]} {_listed(second)}, and "
                    f"`foreground` {list(foreground)} is only among the latter; save them as grey "
                    "images of 8 bits, or name values of the former."
                )
        elsewhere = {value for other in met for value in held[other]}
        if met and not held[key] <= elsewhere:
            first = met[0]
            raise UserError(
                f"`foreground` {list(foreground)} is in none of {_masks(members)} ({key[0]}), "
                f"holding {_listed(held[key])}, but in {_masks(groups[first])} ({first[0]}), "
                f"holding {_listed(held[first])}, so equal things have different values; save all "
                "masks alike."
            )
    everything = set().union(*held.values()) if held else set()
    if not met and everything - {0}:
        raise UserError(
            f"`foreground` {list(foreground)} is in none of {_masks(facts)}, which hold "
            f"{_listed(everything)}; name values that are there."
        )


_WORDS = {
    "grey": "the greys of the palette", "index": "the indices of the palette",
    "stored": "the values as stored", "spread": "the values spread over 0 to 255",
    "shown": "the values as shown", "value": "the values", "alpha": "the transparency",
}  # fmt: skip


def _is_met(held: Iterable[int], named: set[int], bits: int, one_named: bool) -> bool:
    white = bits == 1 and not one_named and 1 in set(held) and not named.isdisjoint(_WHITES)
    return white or not named.isdisjoint(held)


def _masks(facts: Sequence[MaskFacts]) -> str:
    """``the mask a.png`` or ``the 12 masks (a.png, b.png, c.png and 9 more)``."""
    if len(facts) == 1:
        return f"the mask {facts[0].path}"
    return f"the {len(facts)} masks ({some([fact.path.name for fact in facts])})"


def _say(facts: Sequence[MaskFacts], verb: str = "say") -> str:
    return verb + "s" * (len(facts) == 1)


def _listed(values: Iterable[int]) -> str:
    known = sorted(values)
    return ", ".join(map(str, known[:8])) + (", ..." if len(known) > 8 else "")


def described_masks(judged: Sequence[tuple[MaskFacts, MaskRule]]) -> Iterator[str]:
    """What the masks are and how they are read, a sentence for each group of equal ones."""
    groups: dict[tuple[str, MaskRule], list[MaskFacts]] = defaultdict(list)
    for fact, rule in judged:
        groups[fact.form, rule].append(fact)
    for (form, rule), members in sorted(groups.items(), key=lambda item: -len(item[1])):
        held = {value for fact in members for value in fact.values[rule.reading]}
        told = f"foreground {_listed(rule.foreground)}" if rule.foreground else "no foreground"
        if rule.foreground is None:
            told = f"foreground above {rule.threshold}"
        if rule.ignore:
            held -= set(rule.ignore)
            told += f", left out {_listed(rule.ignore)}"
        names = some([fact.path.name for fact in members])
        yield (
            f"{len(members)} mask{'s' * (len(members) != 1)} ({names}): {form}, "
            f"{_WORDS[rule.reading]} are {_listed(held)}; {told}"
        )
