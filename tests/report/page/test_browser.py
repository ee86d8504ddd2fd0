"""The page in a browser: that of Debian, headless, without a network."""

import io
import json
import re
import shutil
from dataclasses import replace

import pytest
from axe_playwright_python.sync_playwright import Axe
from helpers.made_up_tables import QUICK
from PIL import Image
from playwright.sync_api import sync_playwright

from noise2mask.evaluation.labels import metric_of, with_interval
from noise2mask.report.page.build import page

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no browser; `apt-get install chromium` installs it"
)
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser, page_file):
    """Open the page; afterwards it must have asked for nothing, and complained of nothing."""
    contexts, complaints, asked = [], [], []

    def open_page(size=WIDE, scheme="light", path=page_file):
        context = browser.new_context(viewport=size, color_scheme=scheme, offline=True)
        contexts.append(context)
        view = context.new_page()
        view.on("console", lambda message: complaints.append(message.text))
        view.on("pageerror", lambda error: complaints.append(str(error)))
        view.on("request", lambda request: asked.append(request.url))
        view.goto(path.as_uri())
        view.wait_for_selector("html[data-ready=yes]", state="attached")
        return view

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert not [url for url in asked if not re.match(r"data:|file:.*/index\.html$", url)]


def draw_all(view):
    """Scroll to every chart, so that each is drawn."""
    for chart in view.query_selector_all("[data-chart]"):
        chart.scroll_into_view_if_needed()
    drawn = (
        "[...document.querySelectorAll('[data-chart] .canvas')].every((one) => one.dataset.drawn)"
    )
    view.wait_for_function(drawn)


def choose(view, control, value):
    """Choose of a control of a chart, and wait until the chart has followed."""
    before = view.locator(f"#{control[0]} svg").inner_html()
    place = view.locator(f"#{control[0]} [data-control={control[1]}]")
    if place.locator("select").count():
        place.locator("select").select_option(value)
    else:
        place.locator(f"input[value={value}]").check()
    view.wait_for_function(
        "([id, before]) => document.querySelector(`#${id} svg`).innerHTML !== before",
        arg=[control[0], before],
    )
    return view.locator(f"#{control[0]} svg").text_content()


def cells(view):
    """Texts of the rows of the main table that are shown."""
    rows = view.locator("#result-table tbody tr")
    return [
        rows.nth(place).locator("td:visible").all_inner_texts() for place in range(rows.count())
    ]


@pytest.mark.parametrize(
    ("size", "scheme"), [(WIDE, "light"), (NARROW, "dark")], ids=["wide light", "narrow dark"]
)
def test_nothing_serious_is_found_by_axe_and_nothing_is_wider_than_the_window(opened, size, scheme):
    view = opened(size, scheme)
    draw_all(view)
    view.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    found = Axe().run(view).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], one["nodes"][0]["html"]) for one in serious] == []
    assert view.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_names_as_long_as_a_line_keep_the_page_within_a_narrow_window(opened, report, tmp_path):
    long = "feed-forward with a name that is longer than a telephone is wide"
    modes = {name: mode.model_copy(update={"title": f"{long} {name}"})
             for name, mode in report.study.modes.items()}  # fmt: skip
    path = tmp_path / "index.html"
    study = report.study.model_copy(update={"modes": modes})
    path.write_text(page(replace(report, study=study), tmp_path), encoding="utf-8")
    view = opened(NARROW, path=path)
    draw_all(view)
    assert view.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def test_the_answer_stands_above_the_fold_with_what_it_hangs_on(opened):
    view = opened()
    for place in (view.locator(".data"), *view.locator("#answer .findings li").all()[:2]):
        box = place.bounding_box()
        assert box["y"] + box["height"] <= WIDE["height"]
    assert view.locator(".data").inner_text().startswith("Phantoms")
    claim = view.locator("#answer li", has_text="C1").inner_text()
    assert "refuted" in claim
    assert "-0.009" in claim.replace("−", "-")
    assert "phantoms" in claim
    assert "C2" in view.locator(".silent").inner_text()
    assert len(view.locator("#answer").inner_text().split()) <= 1500


def test_numbers_of_the_main_table_are_those_of_the_summary(opened, report):
    """Every number of two metrics on three datasets."""
    view, summary = opened(), report.tables["summary"]
    for metric in ("dice", "ece"):
        view.locator("[data-column=metric] select").select_option(metric)
        shown = [text for row in cells(view) for text in row[4:]]
        look = metric_of(metric)
        rows = summary[summary["metric"] == metric]
        wanted = [
            with_interval(row.mean_, row.low, row.high, look.digits, look.interval_digits)
            for row in rows.rename(columns={"mean": "mean_"}).itertuples()
        ]
        assert len(wanted) >= 10
        assert sorted(text for text in shown if text != "–") == sorted(wanted)


def test_the_main_table_is_filtered_and_sorted(opened):
    view = opened()
    everything = cells(view)
    view.locator("[data-column=mode] select").select_option("diffusion")
    assert 0 < len(cells(view)) < len(everything)
    assert {row[1] for row in cells(view)} == {"diffusion"}
    view.locator("[data-column=dataset] select").select_option(QUICK[1])
    assert {len(row) for row in cells(view)} == {5}
    view.locator("[data-column=mode] select").select_option("")
    head = view.locator("#result-table th:visible").last
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    up = [float(row[4].split()[0]) for row in cells(view) if row[4] != "–"]
    assert up == sorted(up)
    head.locator("button").click()
    down = [float(row[4].split()[0]) for row in cells(view) if row[4] != "–"]
    assert down == sorted(up, reverse=True)


def test_a_number_leads_to_its_run(opened):
    view = opened()
    view.locator("[data-column=mode] select").select_option("diffusion")
    view.locator("[data-column=network] select").select_option("segdiff")
    view.locator("#result-table td button:visible").first.click()
    told = view.locator("dialog#run").inner_text()
    for words in (
        f"data of {QUICK[0]}",
        "run of segdiff",
        "code 0123abcd",
        "settings of ddim10",
        "python 3.11.0",
        f"results/made_up/{QUICK[0]}/segdiff/diffusion/seed0/run.json",
    ):
        assert words in told
    assert "settings of staple" not in told  # another number of the same training
    view.keyboard.press("Escape")
    assert not view.locator("dialog#run").is_visible()


def test_switches_change_axis_and_target_of_the_losses(opened):
    view = opened()
    draw_all(view)
    before = view.locator("#chart-losses svg").text_content()
    assert "log SNR (more noise" in before
    after = choose(view, ("chart-losses", "axis"), "t")
    assert "timestep t" in after
    assert "log SNR (more noise" not in after
    paths = "#chart-losses svg .mark-line path"
    curve = view.locator(paths).first.get_attribute("d")
    choose(view, ("chart-losses", "target"), "x_0")
    assert view.locator(paths).first.get_attribute("d") != curve


def test_filters_leave_the_differences_that_are_chosen(opened):
    view = opened()
    draw_all(view)
    bars = "#chart-forest svg .mark-symbol.role-mark path"
    everything = view.locator(bars).count()
    shown = choose(view, ("chart-forest", "dataset"), QUICK[0])
    assert 0 < view.locator(bars).count() < everything
    assert "nuclei" not in shown


def test_reliability_has_a_switch_of_the_pixels_and_names_what_is_drawn(opened):
    view = opened()
    draw_all(view)
    choose(view, ("chart-reliability", "region"), "band")
    legend = "#chart-reliability svg .role-legend-label text"
    assert "feed-forward (calibration)" not in view.locator(legend).all_inner_texts()
    choose(view, ("chart-reliability", "network"), "medsegdiff")
    names = view.locator(legend).all_text_contents()
    assert names == ["feed-forward", "diffusion", "feed-forward (calibration)"]


def test_the_slider_walks_one_mask_into_the_noise(opened):
    view = opened()
    draw_all(view)
    slider = view.locator("#explorer-level")
    slider.focus()
    slider.press("Home")
    pictures = view.locator("#explorer-pictures img")
    assert pictures.count() == 6  # image, reference, x_t, oracle, both networks
    assert view.locator("#explorer-place").inner_text() == "log SNR 4.0, t = 100"
    first = view.locator("#explorer-numbers").inner_text()
    mark = view.locator("#chart-bits svg .mark-rule.role-mark line").last
    place = mark.evaluate("(one) => one.getBoundingClientRect().left")
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    assert view.locator("#explorer-place").inner_text() == "log SNR −2.0, t = 700"
    assert slider.get_attribute("aria-valuetext") == "log SNR −2.0, t = 700"
    assert view.locator("#explorer-numbers").inner_text() != first
    view.wait_for_function(
        "(left) => [...document.querySelectorAll('#chart-bits svg .mark-rule.role-mark line')]"
        ".at(-1).getBoundingClientRect().left > left", arg=place,
    )  # fmt: skip


def test_cases_go_on_by_the_keyboard(opened):
    view = opened()
    name = view.locator("#case-name")
    assert name.inner_text().endswith("(1 of 3)")
    first = view.locator("#case-pictures img").first.get_attribute("src")
    view.locator("#gallery").focus()
    view.keyboard.press("ArrowRight")
    assert name.inner_text().endswith("(2 of 3)")
    assert view.locator("#case-pictures img").first.get_attribute("src") != first
    view.keyboard.press("ArrowLeft")
    view.keyboard.press("ArrowLeft")
    assert name.inner_text().endswith("(3 of 3)")
    alts = view.locator("#case-pictures img").evaluate_all("(all) => all.map((one) => one.alt)")
    assert all(alts)
    assert {"reference", "mean probability", "draw 5"} <= set(alts)


def test_a_dark_page_has_dark_charts_and_paper_has_no_controls(opened):
    view = opened(scheme="dark")
    draw_all(view)
    chart = view.locator("#chart-losses .canvas").screenshot()
    corner = Image.open(io.BytesIO(chart)).convert("RGB").getpixel((3, 3))
    assert max(corner) < 60
    assert view.locator("#theme").inner_text() == "Light"
    view.locator("#theme").click()
    back = "getComputedStyle(document.body).backgroundColor"
    assert view.evaluate(back) == "rgb(255, 255, 255)"
    view.emulate_media(media="print")
    assert not view.locator(".controls:visible, nav:visible, #explorer:visible").count()


def test_the_data_of_the_page_is_what_its_script_reads(page_file):
    """One document of JSON, which ends no script."""
    text = page_file.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert set(json.loads(found[1])) >= {"charts", "results", "runs", "explorer", "cases"}
