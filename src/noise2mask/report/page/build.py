"""The page of a report: ``index.html``, one file that needs no other and no network.

It is made from the files in the folder of a report alone. Charts are Vega-Lite, compiled here; the
library that draws them lies in the page.
"""

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import markupsafe
from PIL import Image

from noise2mask.errors import UserError
from noise2mask.files import write_text
from noise2mask.report.answers import answers
from noise2mask.report.context import Report, read_report
from noise2mask.report.diff.compare import compare
from noise2mask.report.diff.revisions import open_reports
from noise2mask.report.diff.text import as_text
from noise2mask.report.figures.index import Captioned, captioned, in_report
from noise2mask.report.page.folded import datasets, findings, folded, pairs, rules, silent
from noise2mask.report.page.pictures import cases_of_page, explorer
from noise2mask.report.page.results import controls, results, runs
from noise2mask.report.settings import REAL, kind_of_data, limits_of, scale_of, settings_of
from noise2mask.report.text import cautions, environment, reference_notes

FILE = "index.html"
VEGA_LITE = "6.4"
"""Version of the charts."""
TOGETHER = {"fingerprints": ("fingerprint_curves",)}
"""Charts whose controls set those of others too."""
DARK = {
    "#0072B2": "#6C9BFF", "#D55E00": "#FF9A4D", "#CC79A7": "#E6A0C8", "#009E73": "#3FCFA3",
    "#6A3D9A": "#B793E6", "#7F4F24": "#CF9A68", "#8A7A00": "#CFC04A",
    "#000000": "#E8E8EC", "#8A8A8A": "#9A9BA3", "#B9B9B9": "#4C4E56", "#333333": "#D0D0D6",
}  # fmt: skip
"""Colours that are hard to see on a dark page, and what stands in for them."""
PARTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("differences", "Paired differences", ("forest",)),
    ("noise", "Along the noise", ("bits", "losses")),
    ("calibration", "Calibration", ("reliability", "draws")),
    ("costs", "Costs", ("cost",)),
    ("datasets", "Datasets", ("fingerprints", "fingerprint_curves")),
    ("training", "Training", ("history",)),
)
"""Parts of the page with charts: anchor, words, and the charts in it."""


def write_page(folder: Path, against: str | None = None) -> Path:
    """Write the page of the report in a folder; equal files give equal bytes.

    Args:
        folder: of the report.
        against: study, report folder or git revision, as for ``noise2mask diff``; the page then
            says what changed since.

    Returns:
        The page.

    Raises:
        UserError: there is no report, or what the page is made with is not installed.
    """
    report = read_report(folder)
    changed = None
    if against:
        found = compare(*open_reports(against, str(folder), report.name))
        changed = {"since": against, "text": as_text(found)}
    write_text(folder / FILE, page(report, folder / "figures", changed))
    return folder / FILE


def page(report: Report, figures: Path, changed: Mapping[str, str] | None = None) -> str:
    """The page of a report.

    `figures` is the folder of its figures; `changed` says since what (``since``), and what changed
    (``text``).

    Raises:
        UserError: the libraries that it is made with are not installed.
    """
    charts, compiler = _libraries()
    made = {chart.name: chart for chart in charts.charts(report)}
    walked, cases, tables = explorer(report), cases_of_page(report), folded(report)
    parts = [
        (anchor, words, [made[name] for name in members if name in made])
        for anchor, words, members in PARTS
    ]
    parts = [
        (anchor, words, members)
        for anchor, words, members in parts
        if members or anchor in tables or (anchor == "noise" and walked)
    ]
    drawn = [one for one in captioned(report.labels) if (figures / f"{one.name}.png").exists()]
    scores = results(report)
    document = {
        "charts": {
            name: _titled(
                compiler.vegalite_to_vega(chart.spec.to_dict(), vl_version=VEGA_LITE), chart.titles
            )
            for name, chart in made.items()
        },
        "together": TOGETHER,
        "dark": DARK,
        "results": scores,
        "runs": dict(runs(report)) if scores else {},
        "explorer": walked,
        "cases": cases,
    }
    filled = environment(html=True)
    filled.filters["marked"] = _marked
    behind, resources = list(rules(report)), Path(__file__).parent
    told, claims = answers(report), list(findings(report, "claims"))
    by_claims = bool(claims) and report.topics[:1] == ("paper",)  # they answer the own question
    return filled.get_template("page/page.html.j2").render(
        name=report.name,
        data=kind_of_data(report.study),
        real=kind_of_data(report.study) == REAL,
        scale=scale_of(report.study),
        question=report.question,
        claims=claims,
        predictions=list(findings(report, "hypotheses")),
        silent=silent(report),
        first=[] if by_claims else told,
        beside=told if by_claims else [],
        limits=limits_of(report.study),
        deciding=_deciding(in_report(drawn, report.study.pictures.figures), figures),
        missing=report.record.missing,
        command=report.command,
        interval=report.labels.interval(),
        results=scores is not None,
        result_controls=controls(report),
        datasets=[(name, report.labels.dataset(name)) for name in report.datasets],
        notes=reference_notes(report),
        chart_parts=parts,
        tables=tables,
        explorer=walked,
        walked=any(one["networks"] for one in walked),
        cases=cases,
        hidden=_hidden(report),
        rules=behind,
        figures=[(one, _source(figures / f"{one.name}.png")) for one in drawn],
        cautions=[text.replace("*", "") for text in cautions(report)],
        settings=pairs("Setting", list(settings_of(report.study))),
        data_table=datasets(report),
        versions=pairs("What made it", list(report.record.versions.items())),
        changed=changed,
        version=version("noise2mask"),
        parts=_navigation(report, parts, rules=bool(behind), figures=bool(drawn)),
        style=_inside((resources / "page.css").read_text(encoding="utf-8")),
        script=_inside((resources / "page.js").read_text(encoding="utf-8")),
        library=_inside(
            compiler.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)
        ),
        data_json=_json(document),
    )  # fmt: skip


def _libraries() -> tuple[ModuleType, ModuleType]:
    """The charts of the page, and what compiles them.

    Raises:
        UserError: they are not installed.
    """
    try:
        import vl_convert

        from noise2mask.report.page import charts
    except ModuleNotFoundError as error:
        raise UserError(
            f"the page of a report needs the package {error.name}, which is not installed; run "
            "`pip install 'noise2mask[report]'`."
        ) from None
    return charts, vl_convert


def _titled(spec: Any, titles: Mapping[str, str]) -> Any:
    """A specification of Vega whose axes with these titles follow the choices of the reader."""
    for axis in spec.get("axes", []):
        if axis.get("title") in titles:
            axis["title"] = {"signal": titles[axis["title"]]}
    return spec


def _deciding(chosen: Sequence[Captioned], figures: Path) -> dict[str, Any] | None:
    """The figure that decides, the first of the report's, if there is one."""
    for one in chosen:
        path = figures / f"{one.name}.png"
        with Image.open(path) as picture:
            width, height = picture.size
        return {
            "source": _source(path), "caption": one.caption, "look": one.entry.look,
            "width": width // 2, "height": height // 2,
        }  # fmt: skip
    return None


def _source(path: Path) -> str:
    """A picture as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _navigation(
    report: Report, parts: Sequence[tuple[str, str, Any]], *, rules: bool, figures: bool
) -> list[tuple[str, str]]:
    """Anchors and words of the parts that there are."""
    found = [("answer", "Answer")]
    found += [("results", "Results")] if report.datasets else []
    found += [(anchor, words) for anchor, words, _ in parts]
    found += [("cases", "Cases")]
    found += [("claims", "Claims")] if rules else []
    found += [("figures", "Figures")] if figures else []
    return [*found, ("provenance", "Provenance")]


def _hidden(report: Report) -> str:
    """Why no case is shown."""
    if report.study.pictures.examples:
        return "the report holds none."
    return "the study does not show its data (pictures.examples: 0 in its settings)."


def _marked(text: str) -> markupsafe.Markup:
    """A cell of a table: its bold parts as HTML, all else escaped."""
    parts = [markupsafe.escape(part) for part in text.split("**")]
    return markupsafe.Markup().join(
        markupsafe.Markup("<b>{}</b>").format(part) if place % 2 else part
        for place, part in enumerate(parts)
    )


def _inside(text: str) -> markupsafe.Markup:
    """Code for the inside of a script or style, which it cannot end."""
    return markupsafe.Markup(re.sub("</(?=script|style)", r"<\\/", text, flags=re.IGNORECASE))


def _json(value: Any) -> markupsafe.Markup:
    """A document for the inside of a script, which it can neither end nor comment out."""
    text = json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))
    return markupsafe.Markup(text.replace("<", "\\u003c"))


def _plain(value: Any) -> Any:
    """A document of what JSON knows: a number that does not exist is null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
