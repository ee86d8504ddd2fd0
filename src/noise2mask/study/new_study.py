"""A new study: a commented file for datasets by name or in folders, checked before it is left."""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from noise2mask.data import catalogue
from noise2mask.errors import UserError, unknown
from noise2mask.files import write_text
from noise2mask.study.documentation import MODELINE, SCHEMA
from noise2mask.study.expand import valid_name
from noise2mask.study.load import load_study
from noise2mask.study.paths import check_name
from noise2mask.study.schema import Study

_PHANTOM = "{family: lesion, count: 200, size: 128, seed: 1}"
_VARIED = "{flips: true, turns: true, brightness: 0.1, contrast: 0.1}"


def write_study(path: Path, datasets: Sequence[str], resolution: int) -> Study:
    """Write a study and read it back.

    Args:
        path: of the YAML file, which must not be there yet.
        datasets: names of the table of datasets, folders with `images` and `masks`, or folders of
            such folders; none: phantoms.
        resolution: side of a prepared case, px.

    Raises:
        UserError: the file is there, a dataset is neither a name nor such a folder, or what would
            be written is no sound study; nothing is left then.
    """
    name = check_name(path)
    if path.exists():
        raise UserError(f"{path} is there already; choose another name or remove it.")
    found: dict[str, tuple[str, str]] = {}
    for given in datasets:
        for key, title, entry in _datasets(given):
            if key in found:
                raise UserError(f"{given}: two datasets would be called '{key}'; give one of them.")
            found[key] = (title, entry)
    if not found:
        lines = f"title: lesion phantom\nkind: phantoms\noptions: {_PHANTOM}\n"
        found["phantom"] = ("lesion phantom", lines)
    text = Template(files(__package__).joinpath("new_study.yaml").read_text(encoding="utf-8"))
    written = text.substitute(
        file=name if path.parent == Path("config") else path,
        titles=", ".join(title for title, _ in found.values()),
        resolution=resolution,
        datasets="".join(_entry(key, lines) for key, (_, lines) in found.items()),
        tolerance=max(1, resolution // 64),
        band=max(2, resolution // 32),
    )
    first = f"{MODELINE}\n" if (path.parent / SCHEMA).is_file() else ""
    write_text(path, first + written)
    try:
        return load_study(path)
    except UserError:
        path.unlink()
        raise


def _entry(key: str, lines: str) -> str:
    varied = f"augmentation: {_VARIED}\n"
    return f"  {key}:\n" + "".join(f"    {line}\n" for line in (lines + varied).splitlines())


def _datasets(given: str) -> list[tuple[str, str, str]]:
    """Key, title and lines of the datasets behind a name or a folder."""
    if given in catalogue.entries():
        return [(given, catalogue.entry(given).title, f"named: {given}\n")]
    folder = Path(given).expanduser()
    if not folder.is_dir():
        near = unknown(given, "dataset", list(catalogue.entries())).partition(" Valid:")[0]
        raise UserError(
            f"{near.rstrip(';')}; give a name that `noise2mask data list` shows, or a folder."
        )
    inside = [folder] if _is_dataset(folder) else sorted(filter(_is_dataset, folder.iterdir()))
    if not inside:
        raise UserError(
            f"{folder} has no folders images/ and masks/, nor has any folder in it; give one that "
            "has, or write the entry by hand with another `kind` (config/README.md)."
        )
    return [
        (
            valid_name(each.resolve().name) or "data",
            each.resolve().name,
            f"title: {json.dumps(each.resolve().name, ensure_ascii=False)}\n"
            "kind: folder\n"
            f"options: {{root: {json.dumps(str(each), ensure_ascii=False)}}}\n",
        )
        for each in inside
    ]


def _is_dataset(folder: Path) -> bool:
    return all((folder / part).is_dir() for part in ("images", "masks"))
