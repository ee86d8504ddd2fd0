"""Which results differ beyond chance: paired, adjusted, and told with what may be why."""

import re

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_reports import DATA, changed, made_up_record, report, scores
from hypothesis import given, settings
from hypothesis import strategies as st

from noise2mask.errors import UserError
from noise2mask.report.diff.compare import Result, compare
from noise2mask.report.diff.text import as_markdown, as_text

SCORES = scores(20)
CELL = Result(DATA, "segdiff", "diffusion", "ddim2")


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return made_up_record(tmp_path_factory.mktemp("study"))


def where(table, metric=None, cell=CELL):
    chosen = (table[list(cell._fields)] == list(cell)).all(axis=1)
    return chosen if metric is None else chosen & (table.metric == metric)


def shifted(table, gaps, metric="iou", cell=CELL):
    """A table with `gaps` added to one score of one result."""
    table = table.copy()
    table.loc[where(table, metric, cell), "value"] += gaps
    return table


def of(comparison, metric="iou", cell=CELL):
    return next(one for one in comparison.compared if one.score == (*cell, metric))


def noise(seed, cases=20, scale=0.05):
    """Differences that no test should call real: as many up as down."""
    values = np.random.default_rng(seed).normal(scale=scale, size=cases)
    return values - values.mean()


def test_a_report_is_identical_to_itself(record):
    found = compare(report(SCORES, record), report(SCORES, record), ["all"])
    assert {one.verdict for one in found.compared} == {"identical"}
    assert len(found.compared) == 7 * 14
    assert {one.score.network for one in found.compared} == {"ensemdiff", "segdiff", "medsegdiff"}
    assert found.changes + found.untouching + found.other_cases == ()
    text = as_text(found)
    assert text.count("\n") == len(text.splitlines())
    assert " ".join(text.split()).startswith("Nothing changed from x to x: all 7 results are")
    assert as_markdown(found).count("\n") == 1


def test_the_order_of_rows_means_nothing():
    other = SCORES.sample(frac=1, random_state=1)
    assert not compare(report(SCORES), report(other)).differing


@pytest.mark.parametrize(
    ("metric", "gap", "verdict"),
    [
        ("iou", 0.01, "better"), ("iou", -0.01, "worse"), ("ece", 0.01, "worse"),
        ("ece", -0.01, "better"), ("hd95", 0.1, "worse"),
    ],
)  # fmt: skip
def test_a_constant_shift_is_found(metric, gap, verdict):
    found = compare(report(SCORES), report(shifted(SCORES, gap, metric)), ["iou", "ece", "hd95"])
    one = of(found, metric)
    assert (one.verdict, one.paired, one.difference.n) == (verdict, 20, 20)
    assert one.difference.interval()[:3] == pytest.approx((gap, gap, gap))
    assert one.after - one.before == pytest.approx(gap)
    assert found.differing == [one]
    assert found.worse == (verdict == "worse")
    look = {"iou": "IoU", "ece": "ECE per case", "hd95": "HD95"}[metric]
    expected = f"1 of 7 results changed beyond chance: {look} {verdict} in 1; 6 identical."
    assert as_text(found).splitlines()[0] == expected


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_within_chance(seed):
    found = compare(report(SCORES), report(shifted(SCORES, noise(seed))))
    assert of(found).verdict == "within chance"
    assert not found.worse
    assert as_text(found).startswith("None of 7 results changed beyond chance; 6 identical.")


def test_only_pairing_finds_a_small_gain_on_cases_of_all_kinds():
    spread = np.linspace(0.1, 0.9, 20)
    before = SCORES.copy()
    before.loc[where(before, "iou"), "value"] = spread
    found = compare(report(before), report(shifted(before, 0.01 + noise(1, scale=0.004))))
    assert of(found).verdict == "better"
    standard_error = spread.std() * np.sqrt(2 / 20)
    assert standard_error > 5 * of(found).difference.mean


def test_a_metric_of_no_known_direction_is_higher_or_lower():
    names = {"metric": {"iou": "own"}}
    before, after = SCORES.replace(names), shifted(SCORES, 0.1).replace(names)
    assert of(compare(report(before), report(after), ["own"]), "own").verdict == "higher"
    found = compare(report(after), report(before), ["own"])
    assert of(found, "own").verdict == "lower"
    assert not found.worse


def test_holm_is_over_what_differs():
    gain, third = 0.005 + noise(3, scale=0.008), CELL._replace(network="medsegdiff")
    after = shifted(SCORES, gain, cell=third)
    assert of(compare(report(SCORES), report(after)), cell=third).verdict == "better"
    for place, network in enumerate(("ensemdiff", "segdiff")):
        for mode, sampler in (("diffusion", "ddim2"), ("feed_forward", "one_pass")):
            after = shifted(after, noise(place), cell=Result(DATA, network, mode, sampler))
    found = compare(report(SCORES), report(after))
    one = of(found, cell=third)
    assert one.difference.interval().low > 0
    assert one.difference.p() < 0.05 < one.p_holm
    assert one.p_holm == pytest.approx(5 * one.difference.p())
    assert one.verdict == "undecided"
    assert "adjusted over the 5 comparisons that differ" in " ".join(as_text(found).split())


SMALL = scores(12)
GAPS = st.lists(
    st.floats(-0.2, 0.2).map(lambda value: round(value, 3)) | st.just(float("nan")),
    min_size=12, max_size=12,
)  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(GAPS)
def test_exchanging_the_reports_negates_all(gaps):
    small = SMALL[where(SMALL, "iou")]
    one, two = report(small), report(shifted(small, gaps))
    there, back = of(compare(one, two)), of(compare(two, one))
    assert (there.difference is None) == (back.difference is None)
    if there.difference is not None:
        mean, low, high, n = back.difference.interval()
        np.testing.assert_array_equal(there.difference.interval(), (-mean, -high, -low, n))
        assert there.difference.p() == pytest.approx(back.difference.p(), nan_ok=True)
    np.testing.assert_array_equal((there.before, there.after), (back.after, back.before))
    opposite = {"better": "worse", "worse": "better"}
    assert back.verdict == opposite.get(there.verdict, there.verdict)


def test_groups_stay_together_and_interval_settings_are_those_of_the_second(record):
    gaps = np.repeat([0.1, 0.1, 0.1, -0.1], 5)
    groups = {f"case{k:03}": f"patient{k // 5}" for k in range(20)}
    after = shifted(SCORES, gaps)
    plain = compare(report(SCORES), report(after, record))
    known = changed(record, datasets={DATA: {"groups": groups}})
    found = compare(report(SCORES), report(after, known))
    one, whole = (of(each).difference for each in (plain, found))
    assert (one.n, whole.n) == (20, 4)
    assert whole.smallest_p == 1 / 8
    known = changed(known, settings={"evaluation": {"resamples": 300, "level": 0.9}})
    found = compare(report(SCORES, record), report(after, known))
    assert (plain.resamples, found.resamples, found.level) == (200, 300, 0.9)
    text = " ".join(as_text(found).split())
    assert "90 % interval over patients or slides" in text
    assert "(300 resamples)" in text
    both = compare(report(SCORES, known), report(after, record))
    assert of(both).difference.n == of(found).difference.n == 4  # groups of the first are used too


def test_trainings_are_paired_by_their_seed():
    gaps = noise(0) + 0.02
    second = SCORES.assign(seed=1)
    before = pd.concat([SCORES, second])
    after = pd.concat([shifted(SCORES, gaps), shifted(second, -gaps + 0.04)])
    one = of(compare(report(before), report(after)))
    assert one.difference.interval()[:3] == pytest.approx((0.02, 0.02, 0.02))
    assert one.difference.seeds == 2
    more = of(compare(report(SCORES), report(before)))  # other seeds: means over them
    assert (more.verdict, more.difference.mean, more.difference.seeds) == ("within chance", 0.0, 1)


def test_undefined_and_absent_cases_are_not_paired():
    before, after = SCORES.copy(), shifted(SCORES, 0.01)
    values = after.index[where(after, "iou")]
    before.loc[values[:2], "value"] = np.nan
    after.loc[values[1:3], "value"] = np.nan
    after = after[after.case != "case019"]
    found = compare(report(before), report(after))
    one = of(found)
    assert (one.paired, one.cases) == (16, 20)
    assert one.before == pytest.approx(before.loc[values[3:19], "value"].mean())
    assert found.other_cases == ((DATA, ("", ""), 19, 1, 0),)
    text = as_text(found)
    assert f"The test cases of {DATA} are not the same: 19 paired by id, 1 only in A." in text
    assert "16 of 20" in text


def test_nothing_in_common_is_not_taken_for_no_difference():
    after = SCORES.assign(case=SCORES.case + "_y0x0")
    found = compare(report(SCORES), report(after))
    assert {one.verdict for one in found.compared} == {"not paired"}
    first = as_text(found).splitlines()[0]
    expected = "None of 7 results changed beyond chance; 0 identical, 7 without a common test case."
    assert first == expected
    assert "0 paired by id, 20 only in A, 20 only in B" in as_text(found)


def test_two_cases_are_too_few():
    small = SCORES[SCORES.case.isin(["case000", "case001"])]
    found = compare(report(small), report(shifted(small, 0.1)))
    assert of(found).verdict == "cannot be decided with 2"
    one = compare(report(small[small.case == "case000"]), report(shifted(small, 0.1)))
    assert of(one).verdict == "cannot be decided with 1"


def test_what_one_report_lacks_is_listed():
    before = SCORES[(SCORES.network != "medsegdiff") & (SCORES.metric != "nll")]
    found = compare(report(before), report(SCORES[SCORES.metric != "mce"]))
    assert found.only_a == ()
    assert len(found.only_b) == 3
    assert len(found.compared) == 4 * 4
    text = " ".join(as_text(found).split())
    assert f"Only in B: {DATA}/medsegdiff/feed_forward/one_pass; " in text
    assert "Metrics only in A: mce." in text
    assert "Metrics only in B: nll." in text
    with pytest.raises(UserError, match=r"^--metric nll: b has it, a does not; both have dice"):
        compare(report(before, title="a"), report(SCORES, title="b"), ["nll"])


def test_mistakes_are_one_sentence():
    with pytest.raises(UserError, match=r"unknown metric 'diec'; did you mean 'dice'\?"):
        compare(report(SCORES), report(SCORES), ["iou", "diec"])
    for other in (SCORES.assign(dataset="x"), SCORES[:0]):
        with pytest.raises(UserError, match="share no result"):
            compare(report(SCORES), report(other))


def test_metrics_are_those_asked_for_once_and_in_that_order():
    found = compare(report(SCORES), report(SCORES), ["nll", "dice", "nll"])
    assert found.metrics == ("nll", "dice")
    assert [one.score.metric for one in found.compared[:3]] == ["nll", "dice", "nll"]
    assert compare(report(SCORES), report(SCORES)).metrics == ("iou", "brier", "dice", "ece")


def table_in(markdown, column):
    """Rows of the table that has a column, by column."""
    lines = markdown.splitlines()
    start = next(
        k for k, line in enumerate(lines) if f"| {column}" in line or f" {column} |" in line
    )
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


def test_changes_stand_beside_the_results_that_they_touch(record):
    after = shifted(shifted(SCORES, 0.02), -0.02, cell=CELL._replace(network="ensemdiff"))
    other = changed(
        record,
        settings={
            "overrides": [{"networks": ["segdiff"], "training": {"learning_rate": 0.01}}],
            "description": "new",
        },
        versions={"torch": "9"},
        datasets={DATA: {"digests": {"test": "new-digest"}}},
    )
    found = compare(report(SCORES, record), report(after, other, "y"))
    text = as_markdown(found)
    first, second = table_in(text, "Architecture")
    assert (first["Architecture"], first["Verdict"]) == ("EnsemDiff", "worse")
    assert (first["A"], first["Metric"]) == (
        f"{of(found, cell=CELL._replace(network='ensemdiff')).before:.3f}",
        "IoU",
    )
    assert second["Difference [95 % interval]"] == "+0.020 [0.020, 0.020]"
    assert (first["Changes"], second["Changes"]) == ("2-3", "1-3")
    setting, data, version = table_in(text, "What")
    assert setting["What"] == "training.learning_rate"
    assert (setting["A"], setting["B"], setting["Results touched"]) == ("0.001", "0.01", "2 of 7")
    assert (data["A"], data["B"]) == ("test-digest", "new-digest")
    assert version["What"] == "torch"
    assert "### lesion phantom (for ISIC16)" in text
    assert "digest test-digest -> new-digest, so equal ids may be other images" in text
    assert "Also changed, without effect on scores: description." in text
    assert "A: x. B: y." in text
    swapped = as_markdown(compare(report(after, other), report(SCORES, record)))
    assert "1-3" in swapped
    assert "IoU better in 1, IoU worse in 1" in swapped


def test_a_difference_without_a_cause_is_told(record):
    text = as_text(compare(report(SCORES, record), report(shifted(SCORES, 0.1), record)))
    assert re.search(r"better +none$", text, re.MULTILINE)
    assert "does not repeat itself" in " ".join(text.split())


def test_changes_without_a_difference_are_told(record):
    other = changed(record, versions={"torch": "9"})
    text = as_text(compare(report(SCORES, record), report(SCORES, other)))
    assert text.startswith("None of 7 results changed beyond chance; 7 identical.")
    assert "Difference" not in text
    assert re.search(r"1  version  torch .* 7 of 7$", text, re.MULTILINE)


@pytest.mark.parametrize("both", [True, False])
def test_a_report_without_a_record_is_compared_all_the_same(record, both):
    one = report(SCORES, title="old")
    two = report(shifted(SCORES, 0.1), None if both else record, "new")
    text = " ".join(as_text(compare(one, two)).split())
    names = "old and new have" if both else "old has"
    assert f"is not known: {names} no provenance.json" in text
    assert "better ?" in text
    same = as_text(compare(one, one))
    assert same.startswith("Nothing changed from old to old")
    assert "is not known" in " ".join(same.split())


def test_a_new_python_is_told_beside_the_code(record):
    other = changed(
        record,
        versions={"python": "3.99.0"},
        code={"entries": {"evaluation.score": "x"}},
    )
    text = " ".join(as_text(compare(report(SCORES, record), report(SCORES, other))).split())
    assert "hashes of code depend on its version" in text


def test_small_differences_keep_their_digits():
    text = as_text(compare(report(SCORES), report(shifted(SCORES, 0.00002))))
    assert "+0.000020 [0.000020, 0.000020]" in text
    for tiny in (-1e-9, 1e-9):
        text = as_text(compare(report(SCORES), report(shifted(SCORES, tiny))))
        assert re.search(r"  0\.000000 \[0\.000000, 0\.000000\]", text)


def test_columns_are_aligned_and_titles_cannot_break_a_table(record):
    title = {"networks": {"segdiff": {"title": "a | b <c>"}}}
    other = changed(record, settings=title)
    found = compare(report(SCORES, record), report(shifted(SCORES, 0.1), other))
    assert "| a \\| b &lt;c> |" in as_markdown(found)
    lines = as_text(found).splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("Architecture"))
    assert "  a | b <c>  " in f"  {lines[start + 2]}"
    ends = [lines[start].index(" A ") + 2, lines[start + 2].index(f"{of(found).before:.3f}") + 5]
    assert ends[0] == ends[1]
