"""The text says the answer first, and every number in it is in a table."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_report import CLAIMS, METRICS, STUDY, analysis, made_up, scores, without
from helpers.made_up_tables import NETWORKS, QUICK, samplers

from noise2mask.evaluation.labels import metric_of, number
from noise2mask.report.figures.index import captioned, figures
from noise2mask.report.text import readme_block, report_text

REPORT = made_up(**scores(), claims=CLAIMS)
TEXT = report_text(REPORT)
FIGURES = (
    "comparison", "results_ece_pooled", "reliability_all", "quality_against_cost", "integrand",
    "losses_log_snr",
)  # fmt: skip


def table_after(text, heading):
    """Cells of the first table after a heading, without its rule."""
    lines = text[text.index(heading) :].splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return [row for row in rows if not set(row[0] or "-") <= {"-", ":"} or row[0] == ""]


def test_the_answer_comes_first():
    order = ["**Phantoms:", "**Asked:** does one and the same", "## What came out",
             "## Claims of the paper", "## Results", "## Keep in mind",
             "## Where the rest is"]  # fmt: skip
    places = [TEXT.index(text) for text in order]
    assert places == sorted(places)
    assert TEXT.startswith("# Study made_up\n\n**Phantoms: computer-made pictures.** 32 px, ")
    assert not re.search(r"\bnan\b|\binf\b|None|\{", TEXT)


def test_the_text_is_well_formed():
    for block in re.split(r"\n\n+", TEXT):
        lines = block.splitlines()
        if lines[0].startswith("|"):
            assert len({len(re.split(r"(?<!\\)\|", line)) for line in lines}) == 1, block
        assert block.startswith("|") or "\n|" not in block, block  # a table needs a blank line
        assert not block.startswith("##") or len(lines) == 1, block
    assert "\n\n\n" not in TEXT


@pytest.mark.parametrize(("metric", "digits"), [("iou", (3, 2)), ("brier", (4, 4))])
def test_the_main_table_holds_the_usual_sampler_of_every_training(metric, digits):
    header, *rows = table_after(TEXT, f"**{metric_of(metric).title}** (")
    assert header[2:] == [f"{name} phantom (n = 12)" for name in ("lesion", "nuclei", "tissue")]
    keys = [(network, *cell) for network in NETWORKS for cell in samplers(network)]
    keys = [key for key in keys if key[2] != "calibration"]
    keys.append(("blind", "none", "all_foreground"))
    assert len(rows) == len(keys) == 7
    assert rows[6][:2] == ["image-blind", "none"]
    indexed = REPORT.tables["summary"].set_index(
        ["metric", "network", "mode", "sampler", "dataset"]
    )
    for key, row in zip(keys, rows, strict=True):
        for dataset, cell in zip(QUICK, row[2:], strict=True):
            found = indexed.loc[(metric, *key, dataset)]
            low, high = (f"{found[end]:.{digits[1]}f}" for end in ("low", "high"))
            assert cell.replace("*", "") == f"{found['mean']:.{digits[0]}f} [{low}, {high}]"


def test_who_does_not_beat_a_floor_is_told():
    table = REPORT.tables["summary"]
    blind = (table["network"] == "blind") & (table["dataset"] == QUICK[0])
    floor = table[blind].assign(network="classical", sampler="otsu")
    for height, told in ((0.999, True), (0.001, False)):
        summary = pd.concat([table, floor.assign(mean=height)], ignore_index=True)
        text = report_text(replace(REPORT, tables={**REPORT.tables, "summary": summary}))
        sentence = "no better in Dice than the best floor: lesion phantom 6 of 6 (0.999)"
        assert (sentence in text) == told
        assert table_after(text, "**IoU** (")[-1][:2] == ["classical", "none"]
    assert "no better in Dice" not in TEXT


def test_bold_is_what_a_paired_test_allows():
    table = REPORT.tables["comparisons"]
    wins = {
        (row["dataset"], row["network"], row[word.split()[0]], row["metric"])
        for _, row in table.iterrows()
        if "better" in (word := row["verdict"])
    }
    found = set()
    titles = {"EnsemDiff": "ensemdiff", "SegDiff": "segdiff", "MedSegDiff": "medsegdiff"}
    for metric in ("iou", "brier"):
        _, *rows = table_after(TEXT, f"**{metric_of(metric).title}** (")
        for row in rows:
            for dataset, cell in zip(QUICK, row[2:], strict=True):
                if cell.startswith("**"):
                    mode = row[1].replace("-", "_")
                    found.add((dataset, titles[row[0]], mode, metric))
    assert found == wins
    assert wins


def test_further_samplers_are_folded_away():
    folded = TEXT[TEXT.index("<details>") : TEXT.index("</details>")]
    assert "readings: IoU / Brier</summary>" in folded
    _, row = table_after(folded, "<summary>")
    assert row[:2] == ["MedSegDiff", "feed-forward (calibration)"]
    means = REPORT.tables["summary"].set_index(["dataset", "sampler", "metric"])["mean"]
    expected = [
        number(means[QUICK[0], "calibration", name], metric_of(name).digits)
        for name in ("iou", "brier")
    ]
    assert row[2] == " / ".join(expected)
    summary = scores()["summary"]
    usual = {**scores(), "summary": summary[summary.sampler != "calibration"]}
    assert "<details>" not in report_text(made_up(**usual))


def test_claims_with_their_numbers_and_what_cannot_be_spoken_to():
    header, *rows = table_after(TEXT, "## Claims of the paper")
    assert header == ["", "Claim", "Verdict", "Number"]
    assert rows == [
        ["C1", "Diffusion \\| is better.", "refuted", "IoU -0.0090 [-0.0140, -0.0050], n = 12"],
        ["C3", "Curves fall.", "confirmed", "Confirmed in 4 of 4 curves"],
    ]
    assert "This study cannot speak to C2." in TEXT
    both = report_text(made_up(**scores(), claims=CLAIMS, hypotheses=CLAIMS.assign(name="P1")))
    assert len(table_after(both, "## Claims of the paper")) == 1 + 4
    assert "cannot speak" not in report_text(made_up(**scores(), claims=CLAIMS[:1]))


def test_at_most_six_figures_and_the_first_one_above_the_tables():
    shown = list(figures(REPORT))
    text = report_text(REPORT, shown)
    linked = re.findall(r"!\[[^]]+\]\(figures/(\w+)\.png\)", text)
    assert linked == ["comparison", "results_ece_pooled", "reliability_all", "examples"]
    assert text.index("comparison.png") < text.index("## Claims")
    assert text.count("Look at ") == len(linked)
    chosen = STUDY.model_copy(
        update={"pictures": STUDY.pictures.model_copy(update={"figures": ("training",)})}
    )
    only = report_text(replace(REPORT, study=chosen), shown)
    assert re.findall(r"figures/(\w+)\.png", only) == ["training"]


def test_undefined_and_absent_values_are_dashes():
    table = REPORT.tables["summary"].copy()
    table = table[~((table.network == "segdiff") & (table.dataset == QUICK[1]))]
    table.loc[(table.network == "ensemdiff") & (table.metric == "iou"), "mean"] = np.nan
    table.loc[table["mode"] == "diffusion", ["low", "high"]] = np.nan
    _, *rows = table_after(report_text(made_up(**{**scores(), "summary": table})), "**IoU**")
    assert [row[2] for row in rows[:2]] == ["–", "–"]
    assert [row[3] for row in rows[2:4]] == ["–", "–"]
    assert re.fullmatch(r"(\*\*)?0\.\d{3}(\*\*)?", rows[3][2])


def test_many_datasets_make_several_narrow_tables():
    one = REPORT.tables["summary"][REPORT.tables["summary"].dataset == QUICK[0]]
    names = [f"dataset{k:02}" for k in range(18)]
    table = pd.concat([one.assign(dataset=name) for name in names])
    text = report_text(made_up(**{**scores(), "summary": table}))
    assert all(text.count(f"{name} (n = 12)") == 2 for name in names)
    results = text[text.index("## Results") : text.index("## Keep")]
    assert max(line.count("|") for line in results.splitlines()) == 7


def test_n_is_a_range_where_it_differs():
    table = REPORT.tables["summary"].copy()
    table.loc[(table.network == "segdiff") & (table.metric == "iou"), "n"] = 10
    text = report_text(made_up(**{**scores(), "summary": table}))
    assert "lesion phantom (n = 10–12)" in text


def test_names_that_are_not_known_are_shown_as_they_are():
    names = {"network": {"segdiff": "new_net"}}
    tables = {
        name: table.replace(names) if "network" in table else table
        for name, table in scores().items()
    }
    assert "| new_net " in report_text(made_up(**tables))


def test_missing_results_are_listed_with_what_to_run():
    assert "missing" not in TEXT
    lines = ("lesion_phantom segdiff diffusion seed 0 ddim10", "tissue_phantom mean_mask")
    text = report_text(made_up(missing=lines))
    part = text[text.index("**2 results are missing**") : text.index("## Results")]
    assert all(f"* {line}" in part for line in lines)
    assert "`make reproduce STUDY=made_up`" in part


def test_stand_ins_are_told_in_the_head_and_in_every_table():
    content = STUDY.model_dump(mode="json")
    content["datasets"][QUICK[0]]["stands_for"] = "ISIC16"
    text = report_text(made_up(type(STUDY).model_validate(content)))
    assert text.splitlines()[2].startswith(
        "**Phantoms: computer-made pictures in place of ISIC16.**"
    )
    for metric in ("IoU", "Brier"):
        header, *_ = table_after(text, f"**{metric}** (")
        assert header[2] == "lesion phantom (for ISIC16), n = 12"


def test_cautions_follow_from_settings_and_draws():
    part = TEXT[TEXT.index("## Keep in mind") :]
    assert "(1 seed); they do not tell how another training seed would differ." in part
    assert "* Diffusion target: x_0; the paper's loss is on eps." in part
    assert "0.086 (N = 5)" in part
    two = METRICS.assign(seed=METRICS.groupby("case").ngroup() % 2)
    assert "(up to 2)" in report_text(made_up(**{**scores(), "metrics": two}))


def test_a_study_without_results_has_a_report():
    nothing = {name: table[:0] for name, table in scores().items()}
    text = report_text(made_up(missing=("everything",), cases=(), **nothing))
    assert "There is no result yet." in text
    assert "## Results" not in text
    assert "](figures/" not in text


def test_a_study_of_masks_alone_speaks_of_them_first():
    text = report_text(made_up(fingerprints=analysis()["fingerprints"], cases=()))
    assert "**Masks are lost under noise**: first nuclei" in text
    rows = table_after(text, "## Masks without the image")
    assert [row[0] for row in rows[1:]] == ["nuclei", "lesion"]
    assert "## Results" not in text


@pytest.mark.parametrize(
    ("tables", "titles"),
    [
        (("grid", "summary"), ["Effects of single settings", "Sampling steps that suffice"]),
        (("information",), ["What the image tells, in bits"]),
        (("fingerprints",), ["Masks without the image"]),
    ],
)
def test_the_tables_of_the_own_question_are_in_the_text(tables, titles):
    found = {name: analysis()[name] for name in tables}
    text = report_text(made_up(cases=(), **found))
    own = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert [title for title in own if title in titles] == titles
    assert all(title not in TEXT for title in titles)


def test_the_readme_has_the_main_table_as_it_stands_in_the_report():
    block = readme_block(REPORT)
    for line in block.splitlines():
        assert line in TEXT
    assert "calibration" not in block
    assert block.count("| EnsemDiff") == 4


def test_baselines_say_what_they_are_under_the_table():
    rows = [
        (QUICK[0], "nnunet", "15 epochs of 20 batches of 12"),
        (QUICK[0], "nnunet", "one network"),
        (QUICK[1], "nnunet", "15 epochs of 20 batches of 16"),
        (QUICK[1], "nnunet", "one network"),
        (QUICK[0], "segformer", "no pretrained weights"),
    ]
    references = pd.DataFrame(rows, columns=["dataset", "network", "note"])
    text = report_text(made_up(**scores(), references=references))
    assert (
        "nnunet: 15 epochs of 20 batches of 12 (lesion phantom); one network; "
        "15 epochs of 20 batches of 16 (nuclei phantom). segformer: no pretrained weights." in text
    )


def test_without_a_planned_comparison_nothing_is_said_of_one():
    text = report_text(without(REPORT, "comparisons"))
    assert "Asked" not in text
    assert "**" not in "".join(line for line in text.splitlines() if line.startswith("| EnsemDiff"))


def test_a_study_of_the_size_of_quick_is_read_in_minutes():
    """Of words, not of the bars between cells; the goal is 1,500 for more than these tables."""
    shown = [one for one in captioned(REPORT.labels) if one.name in FIGURES]
    text = report_text(REPORT, shown)
    assert text.count("![") == 6
    assert len([word for word in text.split() if re.search(r"\w", word)]) <= 1000


def test_a_study_that_scores_neither_overlap_nor_brier_has_its_table():
    summary = scores()["summary"]
    text = report_text(made_up(summary=summary[summary["metric"].isin(["dice", "ece", "nll"])]))
    assert re.findall(r"\*\*(.+)\*\* \((?:higher|lower) is better\)", text) == [
        "Dice",
        "ECE per case",
    ]
