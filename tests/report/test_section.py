import itertools
import math
import re
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_section import (
    LABELS,
    TABLES,
    contrast,
    fingerprints_of,
    frame,
    grid_of,
    information_of,
    scored,
    structure_of,
)

from noise2mask.evaluation.columns import COLUMNS, AnalysisTables
from noise2mask.evaluation.tables import read_table, save_table
from noise2mask.report.section import section
from noise2mask.report.tables import (
    better,
    doubts,
    effect_table,
    ranged,
    significant,
    structure_table,
    varied,
)

FIGURES = (
    "loss_eps_log_snr", "loss_x_0_t", "integrand", "noising", "masks_beside_images",
    "readability", "atlas", "widths", "geometry_against_death", "heat_maps_iou", "steps_dice",
    "starts_dice", "contrasts_ece",
)  # fmt: skip
HEADINGS = (
    "Hypotheses", "Loss along the noise axis", "What the image tells, in bits",
    "Masks without the image", "Ablation", "Planned contrasts",
)  # fmt: skip


TEXT = section(TABLES, LABELS, FIGURES)


def table_after(text, heading):
    """Cells of the first table after a heading, without its rule."""
    lines = text[text.index(heading) :].splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("|"))
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in itertools.takewhile(lambda line: line.startswith("|"), lines[start:])
    ]
    return [row for row in rows if not re.fullmatch("[-:]+", row[0])]


def test_every_table_has_its_file_and_comes_back(tmp_path):
    assert [field.name for field in fields(AnalysisTables)] == list(COLUMNS)
    for name in COLUMNS:
        save_table(getattr(TABLES, name), tmp_path / f"{name}.csv")
    assert {path.stem for path in tmp_path.glob("*.csv")} == set(COLUMNS)
    for name, columns in COLUMNS.items():
        back = read_table(tmp_path / f"{name}.csv")
        assert list(back.columns) == list(columns)
        assert len(back) == len(getattr(TABLES, name))
    sweeps = read_table(tmp_path / "sweeps.csv")
    assert sweeps["start"].isna().all()
    assert sweeps["mean"].tolist() == pytest.approx(TABLES.sweeps["mean"].tolist(), rel=1e-8)


def test_no_table_and_no_figure_is_no_section():
    assert section(AnalysisTables.empty(), LABELS, ()) == ""


@pytest.mark.parametrize("name", COLUMNS)
def test_a_sub_section_goes_with_its_table(name):
    title = {
        "hypotheses": 0, "structure": 1, "information": 2, "fingerprints": 3, "sweeps": 4,
        "grid": 4, "contrasts": 5,
    }.get(name)  # fmt: skip
    alone = replace(AnalysisTables.empty(), **{name: getattr(TABLES, name)})
    found = section(alone, LABELS, ()).replace("Sampling steps", "Ablation")
    assert [head for head in HEADINGS if f"### {head}\n" in found] == (
        [] if title is None else [HEADINGS[title]]
    )


def test_the_whole_section_is_well_formed():
    assert re.findall(r"^### (.*)$", TEXT, re.MULTILINE) == list(HEADINGS)
    for block in re.split(r"\n\n+", TEXT):
        lines = block.splitlines()
        if lines[0].startswith("|"):
            assert len({len(re.split(r"(?<!\\)\|", line)) for line in lines}) == 1, block
        assert block.startswith("|") or "\n|" not in block, block  # a table needs a blank line
    assert not re.search(r"\bnan\b|\binf\b|None", TEXT)
    assert section(TABLES, LABELS, set(FIGURES)) == TEXT


def test_every_figure_is_linked_once_with_caption_and_reading():
    linked = re.findall(r"\[!\[[^]]+\]\(figures/(\w+)\.png\)\]\(figures/(\w+)\.svg\)", TEXT)
    assert sorted(png for png, _ in linked) == sorted(FIGURES)
    assert all(png == svg for png, svg in linked)
    for name in FIGURES:
        _, caption, look, *_ = TEXT[TEXT.index(f"(figures/{name}.svg)") :].split("\n\n")
        assert re.fullmatch(r"\*[^*]+\*", caption), name
        assert re.match("Look at ", look), name
    assert "{" not in TEXT
    assert "*Loss of x_0 along the timestep" in TEXT
    assert "*Dice against the number of sampling steps" in TEXT


def test_a_figure_without_a_place_is_shown_at_the_end():
    text = section(AnalysisTables.empty(), LABELS, ["new_one"])
    assert text.rstrip().endswith("*new one*")
    assert "### Further figures" in text


def test_hypotheses_with_verdicts_and_details():
    rows = table_after(TEXT, "### Hypotheses")
    assert rows[1] == ["P1", "hump \\| where", "shift", "0.21 [0.05, 0.40]", "12", "confirmed"]
    assert rows[2][3:] == ["–", "–", "not tested"]
    assert "Of 3: confirmed in 1, undecided in 1, not tested in 1." in TEXT
    assert "* **P1** lesion: 0.21; ok\n* **P2** one T\n" in TEXT
    assert "**P3**" not in TEXT


def test_the_claim_about_images_is_the_opposite():
    assert (
        "* **Masks, without image**: claimed to be non-monotonic; confirmed in 1, undecided in 1 "
        "of 2 datasets." in TEXT
    )
    assert "* **Images (E4)**: claimed to be monotonic; confirmed in 1 of 1 dataset." in TEXT


def test_networks_that_disagree_leave_a_dataset_undecided():
    rows = [("lesion", name, "diffusion", "eps", word) for name, word in
            (("a", "confirmed"), ("b", "refuted"))]  # fmt: skip
    rows += [("nuclei", name, "diffusion", "eps", "refuted") for name in "ab"]
    text = section(replace(AnalysisTables.empty(), structure=structure_of(rows)), LABELS, ())
    assert "non-monotonic; refuted in 1, undecided in 1 of 2 datasets" in text


def test_the_structure_table_is_about_eps_and_no_ablation():
    rows = table_after(TEXT, "### Loss along")
    assert [row[2] for row in rows[1:]] == [
        "masks, without image", "masks, without image", "images (E4)",
    ]  # fmt: skip
    assert rows[1][3:] == ["12", "0.710 [0.640, 0.800]", "confirmed", "-0.43 [-0.61, -0.20]", "310"]
    flat = TABLES.structure.assign(log_snr_at_hump=np.nan, t_at_hump=np.nan)
    assert table_after(structure_table(flat, LABELS), "|")[1][-2:] == ["–", "–"]


def test_information_in_one_row():
    rows = table_after(TEXT, "### What the image tells")
    assert rows[1] == [
        "lesion phantom", "SegDiff", "12", "105.0 [101.0, 109.0]", "0.103", "100", "110",
        "10.0 [6.0, 14.0]", "400", "390", "-5.0 / -2.5 / 0.3",
    ]  # fmt: skip
    part = TABLES.information[TABLES.information["estimate"] == "difference"]
    text = section(replace(AnalysisTables.empty(), information=part), LABELS, ())
    assert table_after(text, "### What")[1][2:] == [*"–––", "100", *"–––––"[:4], "– / – / –"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"own": 428.0}, None),
        ({"own": 430.0}, "430 bits"),
        ({"orthogonal": 135.0}, None),
        ({"orthogonal": 136.0}, "noisy or overfitted"),
        ({"orthogonal": 73.0}, "takes too little from the image"),
        ({"difference": -10.0, "orthogonal": 5.0}, "noisy or overfitted"),
        ({"own": math.nan}, None),
    ],
)
def test_what_is_not_to_be_trusted(changes, words):
    # 110 % of 390 is 429; of 100 and o the gap is 30 % of the mean at o = 135.3.
    found = doubts(information_of(**changes), LABELS)
    assert len(found) == (words is not None)
    assert words is None or words in found[0]
    text = section(
        replace(AnalysisTables.empty(), information=information_of(**changes)), LABELS, ()
    )
    assert ("Not to be trusted" in text) == (words is not None)


def test_masks_that_are_lost_first_come_first():
    rows = table_after(TEXT, "### Masks without")
    assert [row[0] for row in rows[1:]] == ["nuclei \\| small", "lesion phantom"]
    assert rows[2][1:] == ["9", "-4.0", "–", "-6.0 [-6.5, -5.5]", "0.2", "0.200", "3.0", "0.300"]
    empty = fingerprints_of({"a": math.nan, "b": -9.0})
    text = section(replace(AnalysisTables.empty(), fingerprints=empty), LABELS, ())
    assert [row[0] for row in table_after(text, "### Masks")[1:]] == ["b", "a"]


def test_the_design_in_words():
    assert "3 trainings for each dataset and network, of 4 combinations of 2 factors" in TEXT
    assert "Each training changes one factor of the base at most." in TEXT
    assert "* schedule: **linear**, cosine\n* b: **1**, 0.3\n" in TEXT
    full = [{"s": s, "b": b} for s, b in itertools.product("xy", "uv")]
    text = section(replace(AnalysisTables.empty(), grid=grid_of(full)), LABELS, ())
    assert "4 trainings" in text
    assert "one factor of the base" not in text


def test_effects_in_the_table():
    header, *rows = table_after(TEXT, "### Ablation")
    assert header == ["Factor", "Level", "Trainings", "IoU", "IoU, effect", "ECE", "ECE, effect"]
    assert rows[0] == ["schedule", "linear", "2", "0.600", "base", "0.150", "base"]
    assert rows[3] == ["b", "0.3", "1", "0.700", "+0.200", "0.250", "+0.200"]
    assert "Factor" not in section(replace(TABLES, sweeps=TABLES.sweeps[:0]), LABELS, ())
    alike = [{"s": "x", "b": "u"}, {"s": "y", "b": "v"}]
    told = effect_table(grid_of(alike), scored(alike, lambda _: 0.5), ["iou"])
    assert [row[-1] for row in table_after(told, "|")[1:]] == ["base", "–", "base", "–"]


def test_the_steps_table_names_what_was_varied_and_wraps():
    table = table_after(TEXT, "**Steps that suffice**")
    assert table[1:] == [
        ["SegDiff", "g0: base", "10 of 100"],
        ["SegDiff", "g1: schedule cosine", "10 of 100"],
        ["SegDiff", "g2: b 0.3", "10 of 100"],
    ]
    assert varied("feed_forward", TABLES.grid, LABELS) == "feed-forward"
    sweeps = pd.concat([TABLES.sweeps.assign(dataset=f"d{k}") for k in range(6)])
    text = section(replace(AnalysisTables.empty(), sweeps=sweeps), LABELS, ())
    heads = [line for line in text.splitlines() if line.startswith("| Architecture")]
    assert [re.findall(r"d\d", line) for line in heads] == [["d0", "d1", "d2", "d3"], ["d4", "d5"]]


def test_contrasts_in_words():
    rows = table_after(TEXT, "### Planned contrasts")
    assert rows[1] == [
        "lesion phantom", "SegDiff", "diffusion − feed-forward", "ddim", "12",
        "+0.030 [0.010, 0.050]", "0.020", "diffusion better",
    ]  # fmt: skip
    part = TEXT[TEXT.index("### Planned contrasts") :]
    assert "over all 2 comparisons" in part
    assert part.index("**IoU**") < part.index("**ECE**") < part.index("**Dice**")
    assert table_after(part, "**Dice**")[1][-2:] == ["–", "–"]


@pytest.mark.parametrize(
    ("metric", "difference", "p_holm", "words"),
    [
        ("iou", 0.1, 0.01, "a better"),
        ("iou", -0.1, 0.01, "b better"),
        ("ece", 0.1, 0.01, "b better"),
        ("iou", 0.1, 0.05, "undecided"),
        ("iou", 0.0, 0.01, "undecided"),
        ("iou", 0.1, math.nan, "–"),
    ],
)
def test_verdict_of_a_contrast(metric, difference, p_holm, words):
    table = frame("contrasts", [contrast(metric, difference, p_holm, "a", "b")])
    assert better(table.iloc[0], LABELS) == words


def test_numbers_to_the_digits_that_suit_them():
    values = (1234.5, 99.94, 0.01234, -0.5, 0.0, 1e-9, math.nan)
    assert [significant(value) for value in values] == [
        "1234", "99.9", "0.0123", "-0.500", "0", "0.00000", "–",
    ]  # fmt: skip

    def text(*values):
        return ranged(pd.Series(values, index=["value", "low", "high"]), "value")

    assert text(1234.5, 1200, 1300) == "1234 [1200, 1300]"
    assert text(0.05, 0.041, 0.062) == "0.050 [0.041, 0.062]"
    assert text(5.0, math.nan, math.nan) == "5.00"
    assert text(5.0, 5.0, 5.0) == "5.00 [5.00, 5.00]"
    assert text(math.nan, math.nan, math.nan) == "–"


def test_many_datasets_make_one_section():
    many = replace(
        TABLES,
        information=pd.concat([information_of(f"d{k}") for k in range(20)]),
        fingerprints=fingerprints_of({f"d{k}": -k for k in range(20)}),
    )
    assert len(table_after(section(many, LABELS, ()), "### What")) == 21
    assert len(table_after(section(many, LABELS, ()), "### Masks")) == 21
