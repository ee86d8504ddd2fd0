"""Figures are found by name, bring their captions, and stand where they belong."""

import re

import pandas as pd
import pytest
from helpers.made_up_report import analysis, made_up, scores
from helpers.overlaps import wrong_texts
from helpers.project import ROOT
from matplotlib import colors
from matplotlib.figure import Figure

from noise2mask import plugins
from noise2mask.report.figures import index
from noise2mask.report.figures.index import Drawn, Entry, entries, figures, in_report, save_figures

SHOWN = list(figures(made_up()))


def test_every_figure_has_section_caption_and_what_to_look_at():
    found = entries()
    assert [entry.name for entry in found] == sorted(
        (entry.name for entry in found),
        key=lambda name: index.SECTIONS.index(next(e.section for e in found if e.name == name)),
    )
    assert {entry.name for entry in found} == set(plugins.names("figure"))
    ranks = [entry.rank for entry in found if entry.rank is not None]
    assert len(ranks) == len(set(ranks))
    for entry in found:
        assert entry.section in index.SECTIONS
        assert entry.caption.endswith(".")
        assert entry.look.startswith("Look at "), entry.name
        assert entry.look.endswith(".")


def test_a_figure_is_drawn_from_the_tables_that_its_parameters_name():
    assert [one.name for one in SHOWN] == [
        "comparison", "results_ece_pooled", "results_iou", "results_brier", "results_dice",
        "results_ece", "reliability_all", "reliability_band", "examples", "training",
    ]  # fmt: skip
    assert SHOWN[2].caption.startswith("IoU: test cases, with 95 % interval")
    assert "the band about the reference boundary" in SHOWN[7].caption
    assert "{" not in "".join(one.caption for one in SHOWN)
    without = {name: table for name, table in scores().items() if name != "reliability"}
    names = [one.name for one in figures(made_up(**without, cases=()))]
    assert "reliability_all" not in names
    assert "examples" not in names
    assert "results_iou" in names
    assert not list(figures(made_up(history=scores()["history"][:0], cases=())))


def test_numbers_that_are_in_no_table_come_with_the_figure():
    found = {one.name: one.numbers for one in figures(made_up(**analysis(), cases=()))}
    assert list(found["heat_maps_iou"].columns) == [
        "factor", "level", "other_factor", "other_level", "mean", "trainings",
    ]  # fmt: skip
    assert all(one.numbers is None for one in SHOWN)


def entry(draw, **more):
    said = {"section": "Results", "caption": "c.", "look": "Look at it.", "rank": None, "each": {}}
    return Entry("mine", draw=draw, **said | more)


def names_of(monkeypatch, draw, report=None, **more):
    monkeypatch.setattr(index, "entries", lambda: (entry(draw, **more),))
    return [one.name for one in figures(report or made_up())]


def test_what_a_figure_asks_for_has_to_be_a_table(monkeypatch):
    def draw(not_there):
        return Figure()

    with pytest.raises(TypeError, match="asks for 'not_there'"):
        names_of(monkeypatch, draw)


def test_what_a_figure_can_do_without_is_left_out(monkeypatch):
    seen = []

    def draw(summary, draws=None, labels=None, within=0.5):
        seen.append((len(summary) > 0, draws, labels is not None, within))
        return Figure()

    assert names_of(monkeypatch, draw) == ["mine"]
    assert seen == [(True, None, True, 0.5)]


def test_a_figure_that_gives_none_is_not_there_and_each_value_makes_one(monkeypatch):
    def draw(summary, metric):
        return Figure() if metric == "iou" else None

    assert names_of(monkeypatch, draw, each={"metric": ("iou", "ece")}) == ["mine_iou"]


def test_the_text_shows_six_and_the_deciding_one_first():
    shown = in_report(SHOWN)
    assert [one.name for one in shown] == [
        "comparison", "results_ece_pooled", "reliability_all", "examples",
    ]  # fmt: skip
    assert len(in_report([one._replace(entry=entry(None, rank=k)) for k, one in
                          enumerate(SHOWN)])) == 1  # fmt: skip
    many = [
        one._replace(entry=Entry(f"f{k}", "Results", "c.", "l.", 9 - k, {}, lambda: None))
        for k, one in enumerate(SHOWN)
    ]
    assert [one.name for one in in_report(many)] == [one.name for one in SHOWN[::-1][:6]]
    assert [one.name for one in in_report(SHOWN, ("training", "comparison", "atlas"))] == [
        "training", "comparison",
    ]  # fmt: skip


def test_what_an_earlier_report_left_goes(tmp_path):
    folder = tmp_path / "figures"
    folder.mkdir()
    for name in ("old.svg", "old.png", "old.csv", "kept.txt"):
        (folder / name).touch()
    numbers = pd.DataFrame({"a": [0.5]})
    save_figures([SHOWN[0]._replace(numbers=numbers)], folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "comparison.csv", "comparison.png", "kept.txt",
    ]  # fmt: skip
    assert (folder / "comparison.csv").read_text() == "a\n0.5\n"


def test_a_mode_has_one_colour_in_every_figure():
    """Of all figures of scores and training, by the names of their marks."""
    report, found = made_up(), {}
    for one in SHOWN:
        for axis in one.figure.axes:
            for line in axis.lines:
                match = re.search(r"(feed_forward|diffusion)", str(line.get_gid()))
                if match:
                    colour = colors.to_hex(line.get_color())
                    found.setdefault(match.group(), set()).add(colour)
    looks = {mode: {report.looks.mode(mode).colour.lower()} for mode in found}
    assert found == looks
    assert set(found) == {"feed_forward", "diffusion"}


def test_one_function_is_all_that_a_figure_takes(tmp_path, monkeypatch):
    """Written into a copy of the folder, it is found by its name."""
    place = tmp_path / "report" / "figures"
    place.mkdir(parents=True)
    (place / "mine.py").write_text(
        "from noise2mask.report.figures.index import figure\n\n\n"
        '@figure("Results", "Mine: it.", "Look at it.")\n'
        "def mine(summary):\n    ...\n\n\ndef helper(summary):\n    ...\n"
    )
    plugins._own.cache_clear()
    plugins._functions.cache_clear()
    plugins._source.cache_clear()
    monkeypatch.setattr(plugins, "PACKAGE", tmp_path)
    try:
        assert plugins._own("figure") == {"mine": ("report.figures.mine", "mine")}
    finally:
        monkeypatch.undo()
        plugins._own.cache_clear()
        plugins._functions.cache_clear()
        plugins._source.cache_clear()
    assert (ROOT / "src/noise2mask/report/figures/results.py").exists()
    assert isinstance(Drawn(Figure(), pd.DataFrame()), tuple)


@pytest.mark.parametrize("tables", [scores, analysis], ids=["scores", "analysis"])
def test_no_text_of_any_figure_is_cut_or_lies_on_another(tables):
    for one in figures(made_up(**tables())):
        assert wrong_texts(one.figure) == [], one.name
