"""The fingerprint of anybody's folder of masks: no study, no images, no training.

Masks are read as those of a dataset are, resized to one square resolution and described by
:func:`noise2mask.analysis.fingerprints.fingerprint.fingerprint`. Beside the datasets of an atlas
(the report of a study, made at the same resolution) the nearest are those whose Dice curves are
nearest in root mean square over the log SNR they share.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from noise2mask import plugins
from noise2mask.analysis.fingerprints.advice import settings_of, table_of
from noise2mask.analysis.fingerprints.fingerprint import Fingerprint, fingerprint
from noise2mask.analysis.fingerprints.likeness import dice_curves
from noise2mask.analysis.oracles.noisy_masks import Masks, linear_log_snr
from noise2mask.data.formats.image_files import stem_of
from noise2mask.data.formats.listing import files_below, folder_of
from noise2mask.data.formats.pairing import Reading, matches
from noise2mask.data.resize import resize_mask
from noise2mask.data.source import Listing, Source, decided, listed, surveyed
from noise2mask.errors import UserError
from noise2mask.evaluation.tables import read_table, save_table
from noise2mask.progress import LOG, Progress
from noise2mask.study.schema import Analysis, Evaluation

OF_MASKS = ("foreground", "threshold", "white_is_zero", "group_pattern")
"""Options of the kind `folder` that a folder of masks alone can have."""
NEAREST = 3
PUBLISHED = Path("reports") / "atlas"
SAID = {
    "foreground": "share of foreground",
    "objects": "objects per mask",
    "boundary_per_area": "boundary length per area, 1/px",
    "log_snr_at_90": "log SNR where Dice without the image falls below 0.9",
    "log_snr_at_50": "log SNR where it falls below 0.5: the image is needed from here on",
    "t_at_50": "that timestep of 1000 in the linear schedule",
    "hump_log_snr": "log SNR of the hump of the loss of eps",
}
"""Figures that are told, and what they are."""


class MaskSet(NamedTuple):
    """Masks of one resolution.

    Attributes:
        masks: bool (N, R, R).
        cases: id of each.
        groups: patient or slide of each.
    """

    masks: Masks
    cases: list[str]
    groups: list[str]


def read_mask_set(options: Mapping[str, Any], resolution: int) -> MaskSet:
    """The masks of a folder: of its pairs of images and masks, or all its files as masks.

    `options` are those of the kind `folder`, `root` among them; masks are resized to a square of
    `resolution`, their area kept.

    Raises:
        UserError: there are fewer than two groups of masks, they cannot be read, or hold nothing.
    """
    root = folder_of(str(options["root"]))
    if options.get("ignore"):
        raise UserError(
            f"ignore {options['ignore']}: a fingerprint knows no pixels that are left out; without "
            "the option they are background."
        )
    listing = _listing(root, options)
    facts = surveyed("folder", listing, f"looking at the masks of {root.name}", map)
    listing = decided("folder", listing, facts)
    for sentence in listing.sentences():
        LOG.warning("%s: %s", root.name, sentence)
    if len({source.group for source in listing}) < 2:
        raise UserError(
            f"{root} holds masks of {len({source.group for source in listing})} group (patient, "
            "slide), but a fingerprint is fitted on one half of the groups and scored on the "
            "other; give masks of two groups at least."
        )
    load = plugins.member("format", "folder", "load")
    progress = Progress(f"reading {root.name}", len(listing))
    masks = []
    for done, source in enumerate(listing, start=1):
        masks.append(resize_mask(load(source)[1], (resolution, resolution)))
        progress.update(done)
    stacked = np.stack(masks)
    if not stacked.any() or stacked.all():
        raise UserError(
            f"every mask in {root} is {'foreground' if stacked.any() else 'background'} alone; "
            "say which values are foreground, e.g. --set foreground=[255]."
        )
    return MaskSet(stacked, [source.id for source in listing], [source.group for source in listing])


def _listing(root: Path, options: Mapping[str, Any]) -> Listing:
    """Sources of pairs, or of masks that stand for their images too."""
    inside = [path for path in sorted(root.iterdir()) if path.is_dir()]
    names = [str(options.get(name, name)) for name in ("images", "masks")]
    if any(all((place / name).is_dir() for name in names) for place in (root, *inside)):
        return listed("folder", options)
    if unfit := sorted(options.keys() - {"root", *OF_MASKS}):
        raise UserError(
            f"--set {unfit[0]}: {root} holds no folders {' and '.join(names)}, so all its files "
            f"are taken for masks, of which one can say {', '.join(OF_MASKS)}."
        )
    values = options.get("foreground")
    reading = Reading(
        foreground=None if values is None else tuple(values),
        threshold=options.get("threshold"),
        white_is_zero=options.get("white_is_zero"),
    )
    reading.check(str(root))
    path_of: dict[str, Path] = {}
    passed = []
    for entry in files_below(root):
        stem = stem_of(entry.place)
        if stem is None:
            passed.append(entry.place)
        elif stem in path_of:
            raise UserError(
                f"{path_of[stem]} and {entry.path} differ only in their suffix; keep one of them."
            )
        else:
            path_of[stem] = entry.path
    if not path_of:
        raise UserError(f"{root} holds no mask of a suffix that is read, e.g. .png, .tif or .nii.")
    groups = {place: place for place in path_of}
    if pattern := options.get("group_pattern"):
        groups = matches(pattern, "group_pattern", list(path_of))
    sources = [
        Source(place, groups[place], None, {"image": path, "mask": path, "reading": reading})
        for place, path in sorted(path_of.items())
    ]
    return Listing(sources, unused={"of a suffix that is not read": passed})


def describe(found: MaskSet) -> Fingerprint:
    """The fingerprint of masks, with the settings of a study that says nothing else."""
    return fingerprint(
        found.masks,
        found.cases,
        linear_log_snr(),
        groups=found.groups,
        spacing=Analysis().oracle_spacing,
        resamples=Evaluation().resamples,
        level=Evaluation().level,
    )


def beside_atlas(name: str, found: Fingerprint, atlas: Path | None) -> dict[str, pd.DataFrame]:
    """The tables `oracles` and `fingerprints` of an atlas with this dataset as its first row.

    `atlas` is the folder of a report; without one there is this dataset alone.

    Raises:
        UserError: the report has no such tables.
    """
    figures = found.figures.rename_axis("figure").reset_index()
    own = {"oracles": found.curves, "fingerprints": figures}
    tables = {}
    for key, table in own.items():
        first = table.assign(dataset=name)
        others = []
        if atlas is not None:
            path = table_of(atlas, key)
            if not path.is_file():
                raise UserError(
                    f"{path} does not exist; give --atlas the folder of a report that has "
                    "fingerprints."
                )
            read = read_table(path, key)
            others = [read[read["dataset"] != name]]
        tables[key] = pd.concat([first, *others], ignore_index=True)
    return tables


def fingerprint_masks(
    masks: ArrayLike, groups: Sequence[str] | None = None, *, resolution: int = 128
) -> Fingerprint:
    """The fingerprint of masks that are there as arrays.

    Args:
        masks: (N, H, W), or N masks (H, W) of any sizes; foreground is what is not 0.
        groups: patient or slide of each; each mask is its own when absent.
        resolution: side that they are resized to, their area kept; 128 is that of the atlas.

    Raises:
        UserError: there are masks of fewer than two groups, or they hold nothing but foreground or
            background.
    """
    given = [np.asarray(mask) != 0 for mask in cast("Sequence[ArrayLike]", masks)]
    names = [f"{number:05d}" for number in range(len(given))]
    units = names if groups is None else list(groups)
    if len(units) != len(given) or len(set(units)) < 2:
        raise UserError(
            f"{len(given)} masks of {len(set(units))} group(s), {len(units)} named: a fingerprint "
            "is fitted on one half of the groups and scored on the other; give masks of two groups "
            "at least, and a group for each."
        )
    if any(mask.ndim != 2 for mask in given):
        raise UserError("masks are (H, W) each; give an array (N, H, W) or a list of such.")
    stacked = np.stack([resize_mask(mask, (resolution, resolution)) for mask in given])
    if not stacked.any() or stacked.all():
        what = "foreground" if stacked.any() else "background"
        raise UserError(f"every mask is {what} alone; give masks that have both.")
    return describe(MaskSet(stacked, names, units))


def atlas_for(given: Path | None, resolution: int) -> Path | None:
    """The report to compare with: the one given, or the published atlas where it fits.

    Args:
        given: folder of a report; None: `reports/atlas` in this folder or in the checkout that this
            package is installed from.
        resolution: of the masks.

    Returns:
        None: none was given, and the published one is not here or is of another resolution.

    Raises:
        UserError: the given one is of another resolution, so that its curves lie elsewhere.
    """
    if given is not None:
        side = int(settings_of(given)["resolution"])
        if side != resolution:
            raise UserError(
                f"{given} was made at {side} px and the masks are looked at at {resolution}, which "
                f"moves their curves; give --resolution {side}, or leave --atlas out."
            )
        return given
    for place in (PUBLISHED, Path(__file__).resolve().parents[4] / PUBLISHED):
        if table_of(place, "oracles").is_file():
            return place if settings_of(place)["resolution"] == resolution else None
    return None


def nearest(name: str, oracles: pd.DataFrame) -> pd.Series:
    """Root mean square distance of each other dataset's Dice curve, the nearest first."""
    curves = dice_curves(oracles)
    apart = curves.drop(index=name) - curves.loc[name]
    return pd.Series(np.sqrt((apart**2).mean(axis=1))).sort_values(kind="stable")


def write_tables(found: Fingerprint, out: Path) -> None:
    """Write cases, curves, figures and geometry, a CSV each."""
    figures = found.figures.rename_axis("figure").reset_index()
    tables = {"cases": found.cases, "curves": found.curves, "figures": figures}
    for name, table in (tables | {"geometry": found.geometry}).items():
        save_table(table, out / f"{name}.csv")


def summary(name: str, found: Fingerprint, apart: "pd.Series[float] | None", side: int) -> str:
    """What a person reads of it, a line a figure."""
    lines = [f"{name}: {len(found.geometry)} masks at {side} px"]
    columns = found.figures.loc[list(SAID), ["mean", "low", "high"]].to_numpy(dtype=np.float64)
    for meaning, (mean, low, high) in zip(SAID.values(), columns, strict=True):
        interval = "" if np.isnan(low) else f" [{low:.3g}, {high:.3g}]"
        value = "does not happen" if np.isnan(mean) else f"{mean:.3g}{interval}"
        lines.append(f"  {value:<28}{meaning}")
    if apart is not None and len(apart):
        near = [f"{other} ({distance:.3f})" for other, distance in apart.head(NEAREST).items()]
        lines.append(f"  nearest in the atlas, by distance of the Dice curves: {', '.join(near)}")
    return "\n".join(lines)
