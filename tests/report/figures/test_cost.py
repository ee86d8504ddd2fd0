import numpy as np
import pandas as pd
from evaluation.test_pareto import PARETO

from noise2mask.evaluation.labels import Labels
from noise2mask.report.figures.cost import quality_against_cost


def test_the_figure_holds_every_row_and_its_front():
    figure = quality_against_cost(PARETO, Labels(networks={"nnunet": "nnU-Net"}))
    assert len(figure.axes) == 4  # Dice and ECE of two datasets
    easy = figure.axes[0]
    assert easy.get_xscale() == "log"
    drawn = {line.get_gid(): line for line in easy.lines if line.get_gid()}
    assert set(drawn) == {
        "front", "ensemdiff feed_forward one_pass", "ensemdiff diffusion ddim10",
        "segdiff feed_forward one_pass", "nnunet reference prediction",
    }  # fmt: skip
    assert drawn["nnunet reference prediction"].get_xydata().tolist() == [[0.1, 0.91]]
    looks = [drawn[f"ensemdiff {kind}"] for kind in ("feed_forward one_pass", "diffusion ddim10")]
    assert [line.get_color() for line in looks] == ["#E69F00", "#0072B2"]
    letters = sorted(text.get_text() for text in easy.texts if text.get_text())
    assert letters == ["E", "E", "S"]  # EnsemDiff and SegDiff; a baseline has a mark of its own
    np.testing.assert_allclose(
        drawn["front"].get_xydata(), [[0.01, 0.82], [0.1, 0.91], [0.5, 0.91]]
    )
    assert drawn["front"].get_drawstyle() == "steps-post"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [
        "feed-forward", "diffusion", "nnU-Net", "E: EnsemDiff", "S: SegDiff",
        "best within the time",
    ]  # fmt: skip


def test_less_ece_is_better():
    front = next(
        line for line in quality_against_cost(PARETO).axes[2].lines if line.get_gid() == "front"
    )
    # 0.080 takes more time than 0.082; nothing that is slower is better
    np.testing.assert_allclose(front.get_ydata(), [0.082, 0.080, 0.080])


def test_a_value_far_below_the_others_stands_at_the_frame_with_its_number():
    far = PARETO.copy()
    far.loc[far["sampler"] == "ddim10", "dice"] = 0.11
    axis = quality_against_cost(far).axes[0]
    assert [text.get_text() for text in axis.texts if text.get_gid() == "outside"] == ["0.11 ↓"]
    mark = next(line for line in axis.lines if line.get_gid() == "ensemdiff diffusion ddim10")
    assert mark.get_ydata()[0] == axis.get_ylim()[0] > 0.3


def test_numbers_of_draws_are_joined_but_not_what_differs_in_more():
    rows = [
        PARETO[PARETO.sampler == "ddim10"].iloc[:1].assign(draws=n, seconds_per_mask=s, sampler=f)
        for n, s, f in ((5, 0.5, "a"), (1, 0.1, "b"), (5, 0.5, "majority"))
    ]
    table = pd.concat([PARETO[PARETO.dataset == "easy"], *rows]).drop_duplicates("sampler")
    lines = [line for line in quality_against_cost(table).axes[0].lines if line.get_alpha() == 0.7]
    assert [line.get_xdata().tolist() for line in lines] == [[0.1, 0.5]]


def test_numbers_of_draws_are_small_marks_with_one_entry_of_the_legend():
    one = PARETO[(PARETO.dataset == "easy") & (PARETO.sampler == "ddim10")]
    more = [one.assign(sampler=f"n{n}", draws=n, seconds_per_mask=n / 10) for n in (1, 25)]
    table = pd.concat([PARETO[PARETO.dataset == "easy"], *more])
    names = pd.DataFrame({"sampler": ["ddim10", "n1", "n25"]})
    labels = Labels(draws={"ddim10": 5, "n1": 1, "n25": 25})
    figure = quality_against_cost(table, labels, draws=names)
    sizes = {line.get_gid(): line.get_markersize() for line in figure.axes[0].lines}
    assert sizes["ensemdiff diffusion n1"] < sizes["ensemdiff diffusion ddim10"]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "diffusion, N = 1, 5, 25" in legend
    assert not any("n25" in text for text in legend)


def test_without_a_cost_there_is_no_figure():
    assert quality_against_cost(PARETO.iloc[:0]) is None
