import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_tables import (
    LABELS,
    NETWORKS,
    QUICK,
    comparisons_table,
    example_cases,
    history_table,
    metrics_table,
    reliability_table,
    samplers,
    summary_table,
)

from noise2mask.errors import UserError
from noise2mask.evaluation.columns import AnalysisTables
from noise2mask.evaluation.differences import verdict
from noise2mask.evaluation.labels import Labels, counted, labels_of, metric_of, number, titled
from noise2mask.report.markdown import (
    main_table,
    metric_table,
    readme_block,
    reference_notes,
    update_between_markers,
)
from noise2mask.report.settings import DatasetNote, datasets_of, departures_of, settings_of
from noise2mask.report.text import ReportInput, report_text, write_report
from noise2mask.study.schema import Study

METRICS = metrics_table(cases=12)
EMPTY = {
    "summary": summary_table(METRICS)[:0],
    "metrics": METRICS[:0],
    "comparisons": comparisons_table(METRICS)[:0],
    "history": history_table(("lesion_phantom",))[:0],
    "reliability": reliability_table(("lesion_phantom",))[:0],
}
STUDY = ReportInput(
    name="made_up",
    description="A study\nthat never ran.",
    command="make reproduce STUDY=made_up",
    settings=(("resolution", "32 × 32 pixels"), ("timesteps T", "1000")),
    departures=("Diffusion target: x_0; the paper's diffusion loss is on eps.",),
    datasets=(DatasetNote("lesion phantom", "ISIC16", "CC0"), DatasetNote("own", "", "")),
    labels=LABELS,
    summary=summary_table(METRICS),
    metrics=METRICS,
    comparisons=comparisons_table(METRICS),
    history=history_table(),
    analysis=AnalysisTables.empty(),
    reliability=reliability_table(),
    examples=example_cases(each=1),
    missing=(),
    versions={"python": "3.11.0", "noise2mask": "0.1.0"},
)
TEXT = report_text(STUDY)


def table_after(text, heading):
    """Cells of the first table after a heading, without its rule."""
    lines = text[text.index(heading) :].splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return [row for row in rows if not set(row[0]) <= {"-", ":"}]


@pytest.mark.parametrize(
    ("metric", "digits"), [("IoU", 2), ("ECE", 3), ("Dice", 2)], ids=["iou", "ece", "dice"]
)
def test_every_row_of_the_summary_is_in_the_main_table(metric, digits):
    header, *rows = table_after(main_table(STUDY.summary, LABELS), f"**{metric}**")
    assert header[2:] == [f"{name} phantom (n = 12)" for name in ("lesion", "nuclei", "tissue")]
    keys = [(network, *cell) for network in NETWORKS for cell in samplers(network)]
    keys.append(("blind", "none", "all_foreground"))
    assert len(rows) == len(keys) == 8
    assert rows[5][:2] == ["MedSegDiff", "feed-forward (calibration)"]
    assert rows[7][:2] == ["image-blind", "none"]
    indexed = STUDY.summary.set_index(["metric", "network", "mode", "sampler", "dataset"])
    for key, row in zip(keys, rows, strict=True):
        for dataset, cell in zip(QUICK, row[2:], strict=True):
            found = indexed.loc[(metric.lower(), *key, dataset)]
            low, high = (f"{found[end]:.{digits}f}" for end in ("low", "high"))
            assert cell.replace("*", "") == f"{found['mean']:.3f} [{low}, {high}]"


def test_the_best_network_of_each_column_is_bold():
    for name, best in (("ece", min), ("iou", max)):
        _, *rows = table_after(metric_table(STUDY.summary, name, LABELS), "|")
        for column in (2, 3, 4):
            values = [float(row[column].replace("*", "").split()[0]) for row in rows[:-1]]
            bold = [float(row[column][2:7]) for row in rows if row[column].startswith("**")]
            assert bold == [best(values)] * values.count(best(values))


def test_a_network_is_bold_even_where_image_blind_is_better():
    table = STUDY.summary.copy()
    table.loc[table.network == "blind", "mean"] = 0.0
    _, *rows = table_after(metric_table(table, "ece", LABELS), "|")
    assert "**" not in rows[-1][2]
    assert any("**" in row[2] for row in rows[:-1])


def test_undefined_and_absent_values_are_dashes():
    table = STUDY.summary.copy()
    table = table[~((table.network == "segdiff") & (table.dataset == QUICK[1]))]
    table.loc[(table.network == "ensemdiff") & (table.metric == "iou"), "mean"] = np.nan
    table.loc[table["mode"] == "diffusion", ["low", "high"]] = np.nan
    _, *rows = table_after(metric_table(table, "iou", LABELS), "|")
    assert [row[2] for row in rows[:2]] == ["–", "–"]
    assert [row[3] for row in rows[2:4]] == ["–", "–"]
    assert re.fullmatch(r"(\*\*)?0\.\d{3}(\*\*)?", rows[3][2])
    assert report_text(replace(STUDY, summary=table)).count("nan") == TEXT.count("nan")


def test_many_datasets_make_several_narrow_tables():
    one = STUDY.summary[STUDY.summary.dataset == QUICK[0]]
    names = [f"dataset{k:02}" for k in range(18)]
    table = pd.concat([one.assign(dataset=name) for name in names])
    text = main_table(table, LABELS)
    assert all(text.count(f"{name} (n = 12)") == 3 for name in names)
    assert max(line.count("|") for line in text.splitlines()) == 7
    alone = report_text(replace(STUDY, summary=one, labels=Labels()))
    assert "lesion_phantom (n = 12)" in alone


def test_n_is_a_range_where_it_differs():
    table = STUDY.summary.copy()
    table.loc[(table.network == "segdiff") & (table.metric == "iou"), "n"] = 10
    assert "lesion phantom (n = 10–12)" in metric_table(table, "iou", LABELS)
    assert counted([]) == "n = 0"


def test_names_that_are_not_known_are_shown_as_they_are():
    names = {"network": {"segdiff": "new_net"}, "metric": {"nsd": "new_metric"}}
    text = report_text(
        replace(
            STUDY,
            summary=STUDY.summary.replace(names),
            metrics=STUDY.metrics.replace(names),
            comparisons=STUDY.comparisons.replace(names),
        )
    )
    assert "| new_net " in text
    assert "| new_metric |" in text


def test_missing_results_are_listed_with_what_to_run():
    assert "Missing" not in TEXT
    lines = ("lesion_phantom segdiff diffusion seed 0 ddim10", "tissue_phantom mean_mask")
    text = report_text(replace(STUDY, missing=lines))
    section = text[text.index("## Missing results: 2") : text.index("## Results")]
    assert all(f"* {line}" in section for line in lines)
    assert STUDY.command in section


def test_comparisons_tell_difference_p_and_verdict():
    planned = STUDY.comparisons[STUDY.comparisons.p_holm.notna()]
    for title, name in (("IoU", "iou"), ("ECE", "ece")):
        section = TEXT[TEXT.index("## Planned comparisons") :]
        header, *rows = table_after(section, f"**{title}**")
        assert header[3] == "Difference [95 % interval]"
        table = planned[planned.metric == name]
        assert len(rows) == len(table) == 9
        for row, (_, found) in zip(rows, table.iterrows(), strict=True):
            assert row[0] == LABELS.dataset(found.dataset)
            assert row[2] == "12"
            assert row[3].startswith(f"{found.difference:+.3f} [{number(found.low, 3)}")
            assert row[5] == verdict(found)
    words = [verdict(row) for _, row in planned[planned.metric == "iou"].iterrows()]
    assert f"diffusion better in {words.count('diffusion better')}" in TEXT
    assert {"diffusion better", "undecided"} <= set(words)


@pytest.mark.parametrize(
    ("metric", "difference", "p", "expected"),
    [
        ("iou", 0.1, 0.01, "diffusion better"),
        ("iou", -0.1, 0.01, "feed-forward better"),
        ("ece", 0.1, 0.01, "feed-forward better"),
        ("ece", -0.1, 0.01, "diffusion better"),
        ("iou", 0.1, 0.05, "undecided"),
        ("iou", 0.1, np.nan, "undecided"),
        ("iou", np.nan, 0.01, "undecided"),
        ("not_known", 0.1, 0.01, "undecided"),
    ],
)
def test_verdict(metric, difference, p, expected):
    row = pd.Series({"metric": metric, "difference": difference, "p_holm": p})
    assert verdict(row) == expected


def test_the_smallest_resolvable_difference_is_half_an_interval():
    _, *rows = table_after(TEXT, "**Smallest resolvable difference**")
    dice = STUDY.comparisons[STUDY.comparisons.metric == "dice"]
    found = [float(cell) for row in rows for cell in row[2:]]
    assert found == pytest.approx(((dice.high - dice.low) * 50).tolist(), abs=0.051)
    assert [row[:2] for row in rows] == [[LABELS.dataset(name), "12"] for name in QUICK]


def test_further_metrics_and_undefined_distances():
    header, *rows = table_after(TEXT, "**lesion phantom**, all pixels")
    assert header[2:] == [
        "NSD", "HD95 [px]", "ACE", "MCE", "Brier", "NLL [nats]", "HD95 undefined",
    ]  # fmt: skip
    assert [row[-1] for row in rows] == [
        "1 of 12", "0 of 12", "2 of 12", "0 of 12", "3 of 12", "3 of 12", "0 of 12", "0 of 12",
    ]  # fmt: skip
    table = STUDY.summary.set_index(["dataset", "network", "mode", "sampler", "metric"])["mean"]
    assert rows[1][2] == f"{table[QUICK[0], 'ensemdiff', 'diffusion', 'ddim10', 'nsd']:.3f}"
    assert rows[1][3] == f"{table[QUICK[0], 'ensemdiff', 'diffusion', 'ddim10', 'hd95']:.1f}"
    header, *rows = table_after(TEXT, "**tissue phantom**, band")
    assert header[2:] == ["ECE", "ACE", "MCE", "Brier", "NLL [nats]"]
    assert (
        rows[0][2] == f"{table[QUICK[2], 'ensemdiff', 'feed_forward', 'one_pass', 'ece_band']:.3f}"
    )


def test_settings_departures_and_stand_ins_are_told():
    assert ["timesteps T", "1000"] in table_after(TEXT, "## Scale and settings")
    assert f"* {STUDY.departures[0]}" in TEXT
    assert ["lesion phantom", "ISIC16", "CC0"] in table_after(TEXT, "| Dataset        | Stands")
    assert "**Stand-ins.** lesion phantom:" in TEXT
    assert "0.086 for N = 5" in TEXT
    assert "A study that never ran." in TEXT
    assert "python 3.11.0, noise2mask 0.1.0" in TEXT
    assert "`datasets.csv`" in TEXT
    assert "`provenance.json`" in TEXT
    real = replace(STUDY, datasets=STUDY.datasets[1:], departures=())
    assert "Stand-ins" not in report_text(real)
    assert "knowing that" not in report_text(real)


def test_stand_ins_are_told_in_every_table():
    titles = {QUICK[0]: titled("lesion phantom", "ISIC16"), QUICK[1]: titled("own", None)}
    text = report_text(replace(STUDY, labels=replace(LABELS, datasets=titles)))
    header, *_ = table_after(text, "**IoU** (higher")
    assert header[2:4] == ["lesion phantom (for ISIC16), n = 12", "own (n = 12)"]
    for heading in ("## Planned comparisons", "**Smallest resolvable difference**"):
        _, *rows = table_after(text, heading)
        assert rows[0][0] == "lesion phantom (for ISIC16)"
    assert "**lesion phantom (for ISIC16)**, all pixels" in text
    assert "(lesion phantom (for ISIC16): all foreground" not in text  # one kind for all


def test_a_title_cannot_break_its_table():
    labels = Labels(datasets={QUICK[0]: "a | b\n<c>"})
    header, *_ = table_after(metric_table(STUDY.summary, "iou", labels), "|")
    assert len(header) == 5
    assert header[2] == "a \\| b &lt;c> (n = 12)"


def test_a_study_without_results_has_a_report(tmp_path):
    nothing = replace(STUDY, **EMPTY, examples=None, missing=("everything",))
    write_report(nothing, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "There is no result yet." in text
    assert "There is no planned comparison yet." in text
    assert "](figures/" not in text
    assert not (tmp_path / "figures").exists()


def test_equal_input_gives_equal_bytes_and_every_linked_figure(tmp_path):
    one = {
        name: table[(table.dataset == QUICK[0]) & (table.network == "ensemdiff")]
        for name, table in vars(STUDY).items()
        if isinstance(table, pd.DataFrame)
    }
    one["summary"] = one["summary"][one["summary"].metric == "iou"]
    one["reliability"] = one["reliability"][one["reliability"].region == "all"]
    small = replace(STUDY, **one, examples=example_cases(QUICK[:1], each=1))
    for name in ("a", "b"):
        write_report(small, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 11
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    text = (tmp_path / "a" / "report.md").read_text()
    linked = set(re.findall(r"\((figures/[^)]+)\)", text))
    assert linked == {str(file) for file in files if str(file) != "report.md"}
    assert readme_block(small.summary, LABELS) in text


def test_references_say_what_they_are_under_the_table_of_report_and_readme(tmp_path):
    rows = [
        ("one", "nnunet", "15 epochs of 20 batches of 12"),
        ("one", "nnunet", "one network"),
        ("two", "nnunet", "15 epochs of 20 batches of 16"),
        ("two", "nnunet", "one network"),
        ("one", "segformer", "no pretrained weights: initialised at random"),
    ]
    references = pd.DataFrame(rows, columns=["dataset", "network", "note"])
    labels = replace(LABELS, datasets={"one": "First"}, networks={"nnunet": "nnU-Net"})
    first, second = reference_notes(references, labels)
    assert first == (
        "nnU-Net: 15 epochs of 20 batches of 12 (First); one network; "
        "15 epochs of 20 batches of 16 (two)."
    )
    assert second == "segformer: no pretrained weights: initialised at random."
    analysis = replace(AnalysisTables.empty(), references=references)
    study = replace(STUDY, analysis=analysis, labels=labels)
    write_report(study, tmp_path)
    block = readme_block(study.summary, labels, references)
    assert first in block
    assert block in (tmp_path / "report.md").read_text()


def test_pictures_of_cases_go_when_they_are_switched_off(tmp_path):
    shown = replace(STUDY, **EMPTY, examples=example_cases(QUICK[:1], each=1))
    write_report(shown, tmp_path)
    assert "examples.png" in (tmp_path / "report.md").read_text()
    write_report(replace(shown, examples=None), tmp_path)
    assert "examples" not in (tmp_path / "report.md").read_text()
    assert not list((tmp_path / "figures").iterdir())


def test_a_block_is_replaced_between_its_markers():
    text = "before\n<!-- results:begin -->\nold\n<!-- results:end -->\nafter\n"
    once = update_between_markers(text, "results", "new\n")
    assert once == "before\n<!-- results:begin -->\nnew\n<!-- results:end -->\nafter\n"
    assert update_between_markers(once, "results", "new\n") == once


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "<!-- results:begin -->",
        "<!-- results:end --><!-- results:begin -->",
        "<!-- results:begin --><!-- results:begin --><!-- results:end -->",
    ],
)
def test_markers_that_do_not_fit_are_refused(text):
    with pytest.raises(UserError, match="once each"):
        update_between_markers(text, "results", "new")


def test_numbers_and_metric_names():
    assert [number(value, 2) for value in (0.126, -0.001, np.nan, np.inf)] == [
        "0.13", "0.00", "–", "–",
    ]  # fmt: skip
    assert metric_of("ece_band_pooled").title == "ECE, band, pooled"
    assert metric_of("hd95").better == -1
    assert metric_of("new").title == "new"


def study(**changes):
    """A small study; `changes` replace sections."""
    content = {
        "description": "one",
        "resolution": 32,
        "datasets": {"mine": {"kind": "folder", "title": "my data", "licence": "CC0"}},
        "networks": {
            "net": {"architecture": "ensemdiff", "title": "Net", "options": {"width": 32}}
        },
        "modes": {
            "feed_forward": {"mode": "feed_forward", "samplers": ["one"]},
            "diffusion": {"mode": "diffusion", "samplers": ["many"]},
        },
        "samplers": {
            "one": {"sampler": "one_pass"},
            "many": {"sampler": "ddim", "steps": 10, "draws": 1},
        },
    }
    return Study.model_validate(content | changes)


def test_a_study_in_the_papers_terms_departs_from_nothing():
    assert departures_of(study()) == ()


def test_departures_follow_from_the_settings():
    own = {"kind": "phantoms", "title": "phantom", "stands_for": "ISIC16"}
    found = departures_of(
        study(
            datasets={"mine": own},
            samplers={
                "one": {"sampler": "one_pass"},
                "many": {"sampler": "ddim", "steps": 10, "draws": 5},
            },
            diffusion={"target": "x_0", "schedule": {"input_scale": 0.5}},
            overrides=[{"modes": ["diffusion"], "training": {"steps": 7}}],
        )
    )
    assert len(found) == 5
    assert found[0].startswith("Diffusion target: x_0;")
    assert found[1].startswith("Input scale b: 0.5, which shifts log SNR by -1.39;")
    assert found[2].endswith("100000 (feed-forward); 7 (diffusion).")
    assert found[3].endswith("1 (feed-forward); 5 (diffusion).")
    assert found[4].endswith("phantom for ISIC16.")


def test_settings_and_labels_follow_from_the_study():
    two = study(overrides=[{"modes": ["diffusion"], "diffusion": {"target": "v"}}])
    settings = dict(settings_of(two))
    assert settings["resolution"] == "32 × 32 pixels"
    assert settings["network Net"] == "width 32"
    assert settings["diffusion target"] == "eps (feed-forward); v (diffusion)"
    assert settings["timesteps T"] == "1000"
    assert settings["sampling, diffusion"] == "many (ddim, steps: 10, draws N: 1)"
    assert datasets_of(two) == (DatasetNote("my data", "", "CC0"),)
    other = {"kind": "folder", "title": "other", "stands_for": "mine"}
    assert labels_of(study(datasets={"other": other})).dataset("other") == "other (for mine)"
    labels = labels_of(two)
    assert (labels.dataset("mine"), labels.network("net")) == ("my data", "Net")
    assert labels.drawn(["many"]) == "N = 1"
