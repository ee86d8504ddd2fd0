"""The worked examples of CONTRIBUTING.md, written into a copy of the package and run."""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.project import ROOT, Project
from PIL import Image

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

EXAMPLE = re.compile(r"<!-- example: (\S+) -->\n```(?:python|yaml)\n(.*?)```\n", re.DOTALL)
EXAMPLES = EXAMPLE.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))


def merged(document: dict, more: Mapping) -> dict:
    """A study with an example's entries put in, over what it has of the same name."""
    for key, value in more.items():
        inner = isinstance(value, dict) and key in (*document, "metrics")
        document[key] = merged(document.get(key, {}), value) if inner else value
    return document


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The folder of the report of the study `mini` with every example in it."""
    project = Project(tmp_path_factory.mktemp("contributed"))
    study = project.read("mini")
    for place, text in EXAMPLES:
        if place == "study":
            merged(study, yaml.safe_load(text))
            continue
        path = project.folder / "src/noise2mask" / place
        code = path.read_text() + "\n\n" if path.exists() else ""
        path.write_text(code + text)
    del study["datasets"]["lesion_phantom"]
    study["networks"] = {"plain": study["networks"]["plain"]}
    study["modes"]["feed_forward"]["samplers"] = ["one_pass"]
    del study["samplers"]["calibration"]
    project.write("mini", study)
    folder = project.folder / "raw/kvasir"
    generator = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(12):
        mask = np.zeros((40, 40), np.uint8)
        mask[10 : 20 + number, 12:30] = 255
        noise = generator.integers(0, 60, (40, 40, 3))
        Image.fromarray((mask[..., None] // 2 + noise).astype(np.uint8)).save(
            folder / f"images/{number:02d}.png"
        )
        Image.fromarray(mask).save(folder / f"masks/{number:02d}.png")
    status, text = project.snakemake(data=str(project.folder / "raw"))
    assert status == 0, text
    return project.folder / "build/reports/mini"


def test_every_kind_of_change_has_an_example():
    assert {place for place, _ in EXAMPLES} == {
        "study", "data/formats/discs.py", "networks/plain.py", "diffusion/samplers.py",
        "evaluation/metrics.py", "analysis/claims/area.py", "report/figures/areas.py",
    }  # fmt: skip


def test_datasets_architecture_sampler_and_metric_are_in_the_tables(report):
    summary = pd.read_csv(report / "summary.csv")
    assert set(summary.dataset) == {"polyps", "discs"}
    own = summary[(summary.network == "plain") & (summary["mode"] == "diffusion")]
    assert set(own.sampler) == {"ddim2", "fresh2"}
    assert np.isfinite(own.loc[own.metric == "area_error", "mean"]).all()
    assert (own.metric == "area_error").sum() == 4


def test_the_claim_and_the_prediction_have_a_verdict(report):
    claims = pd.read_csv(report / "claims.csv").set_index("name")
    predictions = pd.read_csv(report / "hypotheses.csv").set_index("name")
    for row in (claims.loc["C7"], predictions.loc["P9"]):
        assert row.verdict in ("confirmed", "refuted", "undecided", "cannot be decided")
        assert np.isfinite(row.value)
    assert predictions.loc["P9"].value == pytest.approx(-claims.loc["C7"].value)
    assert predictions.loc["P9"].statement.lower().startswith("feed-forward gets areas")


def test_they_are_seen_in_the_report(report):
    text = (report / "report.md").read_text()
    assert "figures/areas.png" in text
    assert (report / "figures/areas.png").stat().st_size > 0
    for words in ("Kvasir polyps", "discs", "Plain", "C7", "P9"):
        assert words in text, words
    page = (report / "index.html").read_text()
    assert "Area error" in page
    assert "Kvasir polyps" in page
