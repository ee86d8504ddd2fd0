"""The check of sentences against tables: what it lets pass and what it does not."""

import pytest
from helpers.citations import faults_of, sentences_of


@pytest.fixture
def root(tmp_path):
    for study, seeds in (("one", 1), ("three", 3)):
        folder = tmp_path / "reports" / study
        folder.mkdir(parents=True)
        (folder / "claims.csv").write_text(
            "name,statement,verdict,value,low,high,seeds\n"
            f"C1a,Better by 0.5,refuted,-0.0092,-0.01385,-0.0046,{seeds}\n"
            f"C5,Other,not tested,,,,0\n"
        )
        (folder / "hypotheses.csv").write_text(
            "name,statement,verdict,value,low,high,seeds\n"
            f"P1,Near,undecided,0.3,-1,250000,{seeds}\n"
        )
        (folder / "summary.csv").write_text(
            "dataset,title,dice\na,an a,0.5\na,the a,0.75\nb,the a,0.25\n"
        )
    return tmp_path


CLAIMS = "reports/three/claims.csv name=C1a"
TRUE = [
    "Nothing is cited here: 3.14 and refuted.",
    f"It loses 0.009 [-0.014, -.0046] <!-- table {CLAIMS}: |value| low high --> of IoU.",
    f"It loses 0.92 points <!-- table {CLAIMS}: 100*|value| -->.",
    f"It is -0.009 <!-- table {CLAIMS}: value --> and −0.0046 <!-- table {CLAIMS}: high -->.",
    'Dice 0.8 <!-- table reports/one/summary.csv dataset=a "title=the a": dice -->',
    "At 250,000 <!-- table reports/one/hypotheses.csv name=P1: high --> steps.",
    "Diffusion is better: refuted. <!-- claim C1a three --> Another is undecided.",
    "C1a is refuted for these trained networks. <!-- claim C1a one -->",
    "C1a is refuted <!-- claim C1a one -->. That is of one seed.",
    "C5 is not tested <!-- claim C5 one -->.",
    "- P1 is undecided <!-- claim P1 three -->, as told.\n- Refuted: another.",
    "```\nP1 is refuted, 0.5\n```",
    "<!-- results:begin -->\nP1 is refuted.\n<!-- results:end -->",
    "C1a, better by 0.5, is refuted <!-- claim C1a three -->.",
    f"By C1a -0.009 <!-- table {CLAIMS}: value --> points at 25 draws.",
    "No claim and no report: 2 of 5 sets.",
    "A remark <!-- not run: it's another's --> cites nothing.",
    f"P1 in 3 of 3 <!-- table {CLAIMS}: seeds seeds --> sets.",
    "In [one](reports/one/report.md) of 18 sets, by `x=0.5`, with a 95 % interval.",
    f"By [one](reports/one/a.md) it is -0.9 % <!-- table {CLAIMS}: 100*value -->.",
    f"By [it](reports/one/a.md) 1 % <!-- table {CLAIMS}: 100*|value| --> is lost.",
]
FALSE = [
    (f"It loses 0.009 <!-- table {CLAIMS}: value -->.", "says 0.009"),
    (f"It is -0.010 <!-- table {CLAIMS}: value -->.", "says -0.010"),
    (f"It is [-0.014, -.005] <!-- table {CLAIMS}: value low high -->.", "3 numbers are cited"),
    (f"It is -0.01 and so <!-- table {CLAIMS}: low high -->.", "2 numbers are cited, 1 stand"),
    ("It is 0.5 <!-- table reports/one/summary.csv dataset=a: dice -->.", "2 rows"),
    ("It is 0.5 <!-- table reports/one/summary.csv dataset=c: dice -->.", "0 rows"),
    ("It is 0.5 <!-- table reports/one/none.csv dataset=c: dice -->.", "none.csv"),
    ("It is 0.5 <!-- table reports/one/summary.csv dataset=b: iou -->.", "iou"),
    ("It is 0.5 <!-- table reports/one/summary.csv dataset=b -->.", "a colon"),
    ("It is 0.5 <!-- table reports/three/claims.csv name=C5: value -->.", "could not convert"),
    ("Confirmed: it is confirmed <!-- claim C1a three -->.", "says confirmed"),
    ("It is refuted, not undecided <!-- claim C1a three -->.", "says refuted, undecided"),
    ("It is better <!-- claim C1a three -->.", "says no verdict"),
    ("C1a is refuted <!-- claim C1a one -->.", "stands on 1 seed: say so"),
    ("C1a is refuted. <!-- claim C1a one --> \n\nThat is of one seed.", "say so"),
    ("C1a is refuted.", "needs <!-- claim C1a"),
    ("C1a is undecided. <!-- claim P1 three -->", "needs <!-- claim C1a"),
    ("C1a is refuted <!-- claim C1a four -->.", "no table of reports/four has C1a"),
    ("By C1a it loses 0.009 points.", "needs <!-- table ... --> for all of 0.009"),
    (f"By C1a -0.009 <!-- table {CLAIMS}: value --> of 1.5.", "for all of -0.009, 1.5"),
    ("It loses 0.009 points.\nSee [it](reports/one/report.md).", "for all of 0.009"),
    ("By P1 the shift is positive in 17 of 18 sets.", "for all of 17, 18"),
    ("Seen in 4 of 9 ([report](../reports/one/report.md)).", "for all of 4, 9"),
    ("It closes 93 % of the gap ([report](../reports/one/report.md)).", "for all of 93"),
]


@pytest.mark.parametrize("document", TRUE)
def test_true_sentences_pass(document, root):
    assert faults_of(document, root) == []


@pytest.mark.parametrize(("document", "fault"), FALSE)
def test_each_fault_is_told(document, fault, root):
    told = faults_of(document, root)
    assert len(told) == 1
    assert fault in told[0]


def test_a_sentence_keeps_the_comments_right_behind_it():
    text = (
        "One.\x010\x02 Two, 5 of 2\x011\x02 and x.\x012\x02\x013\x02 3 more.\n\n- Item.\n- **B.** C"
    )
    assert [sentence.text for sentence in sentences_of(text)] == [
        "One.\x010\x02", "Two, 5 of 2\x011\x02 and x.\x012\x02\x013\x02 3 more.",
        "- Item.", "- **B.**", "C",
    ]  # fmt: skip
