import numpy as np
import pandas as pd
import pytest
from helpers.figures import assert_apart, legend_of, panels
from matplotlib import colors

from noise2mask.evaluation.labels import Labels
from noise2mask.report.figures import noise_axis
from noise2mask.report.figures.noise_axis import (
    integrand,
    losses,
    masks_beside_images,
    readability,
    trained_on,
)
from noise2mask.report.figures.style import PLAIN, save

LOG_SNR = np.arange(9.0, -9.1, -1.0)
T = np.rint(500 - 50 * LOG_SNR).astype(int)  # 50 timesteps to a unit of log SNR
LONG = (
    "MoNuSeg",
    "ISIC 2016 skin lesions in dermoscopy",
    "nuclei phantom (for MoNuSeg 2018 nuclei in H&E)",
)


def named(count):
    return [f"data{number}" for number in range(count)]


def bell(centre, width=1.8):
    return np.exp(-(((LOG_SNR - centre) / width) ** 2) / 2)


def stacked(rows):
    return pd.concat([pd.DataFrame(row) for row in rows], ignore_index=True)


def losses_table(count=1, networks=("ensemdiff",), target="eps"):
    curves = {
        "diffusion": 0.03 * bell(0.5),
        "posterior_free": 0.06 * bell(-0.5),
        "image_diffusion": 0.9 / (1 + np.exp(-LOG_SNR / 2)),
    }
    return stacked(
        {
            "dataset": name, "network": network, "mode": mode, "target": target, "t": T,
            "log_snr": LOG_SNR, "loss": curve, "low": 0.9 * curve, "high": 1.1 * curve, "n": 14,
        }
        for name in named(count)
        for network in networks
        for mode, curve in curves.items()
    )  # fmt: skip


def structure_table(count=1, networks=("ensemdiff",)):
    verdicts = {"diffusion": (0.5, "confirmed"), "posterior_free": (-0.5, "undecided")}
    verdicts["image_diffusion"] = (9.0, "refuted")
    return pd.DataFrame(
        {
            "dataset": name, "network": network, "mode": mode, "target": "eps", "t_at_hump": 500.0,
            "log_snr_at_hump": place, "hump_low": place - 1, "hump_high": place + 2,
            "depth": 0.5, "low": 0.4, "high": 0.6, "verdict": verdict, "n": 14,
        }
        for name in named(count)
        for network in networks
        for mode, (place, verdict) in verdicts.items()
    )  # fmt: skip


def integrand_tables(count=1, networks=("ensemdiff",)):
    shapes = {
        "covariance": 300 * bell(-2), "difference": 290 * bell(-2) - 3,
        "orthogonal": 330 * bell(-2), "entropy": 950 * bell(0), "entropy_oracle": 900 * bell(0),
    }  # fmt: skip
    densities, information = [], []
    for name in named(count):
        for network in networks:
            for estimate, density in shapes.items():
                where = {"dataset": name, "network": network, "estimate": estimate}
                total = density.sum()
                densities.append({**where, "log_snr": LOG_SNR, "density": density})
                information.append(
                    {
                        **where, "bits": total, "low": 0.9 * total, "high": 1.1 * total,
                        "bits_per_pixel": total / 4096, "q10": 0.3, "q50": -2.0, "q90": -4.3,
                        "fit": 0.02, "n": 14,
                    }
                )  # fmt: skip
    return stacked(densities), pd.DataFrame(information)


def oracles_table(count=1):
    centres = {"pixel": 2, "gaussian": -2, "median": -1.5, "multiscale": -3, "posterior": -5}
    return stacked(
        {
            "dataset": name, "oracle": oracle, "t": T, "log_snr": LOG_SNR, "width": 1.0,
            "mse_width": 1.0, "dice": 0.2 + 0.8 / (1 + np.exp(centre - LOG_SNR)), "iou": 0.5,
            "mse_x0": 0.1, "mse_eps": 0.1, "floor": 0.25,
        }
        for name in named(count)
        for oracle, centre in centres.items()
    )  # fmt: skip


def image_oracles_table(count=1):
    curves = {"mask": 1 / (1 + np.exp(-5 - LOG_SNR)), "image": 1 / (1 + np.exp(-LOG_SNR))}
    return stacked(
        {
            "dataset": name, "subject": subject, "t": T, "log_snr": LOG_SNR, "width": 1.0,
            "explained": curve, "low": 0.95 * curve, "high": np.minimum(1, 1.05 * curve),
        }
        for name in named(count)
        for subject, curve in curves.items()
    )  # fmt: skip


def lines(axis):
    return {line.get_gid(): line for line in axis.lines if line.get_gid()}


def texts(axis):
    return "\n".join(text.get_text() for text in axis.texts)


def draw_all(count, labels=PLAIN, networks=("ensemdiff",)):
    return {
        "losses": losses(
            losses_table(count, networks), labels=labels, structure=structure_table(count, networks)
        ),
        "losses over t": losses(losses_table(count, networks), labels=labels, axis="t"),
        "integrand": integrand(*integrand_tables(count, networks), labels),
        "masks_beside_images": masks_beside_images(image_oracles_table(count), labels=labels),
        **({"readability": readability(oracles_table(count), labels)} if count < 4 else {}),
    }


def test_losses_are_drawn_as_they_are_on_one_axis():
    table = losses_table()
    figure = losses(table, labels=Labels(datasets={"data0": "MoNuSeg"}))
    (axis,) = panels(figure)
    assert axis.get_title() == "MoNuSeg (n = 14)"
    assert axis.get_yscale() == "log"
    assert set(lines(axis)) == {"diffusion", "posterior_free", "image_diffusion"}
    for mode, line in lines(axis).items():
        rows = table[table["mode"] == mode]
        np.testing.assert_allclose(line.get_xdata(), rows.log_snr)
        np.testing.assert_allclose(line.get_ydata(), rows.loss)
    assert axis.get_ylim()[1] > table.high.max()
    assert legend_of(figure) == [
        "diffusion",
        "pixel's evidence and network, without image",
        "diffusion of images",
    ]


@pytest.mark.parametrize("axis", ["log_snr", "t"])
def test_noise_grows_to_the_right(axis):
    figure = losses(losses_table(2), axis=axis)
    for panel in panels(figure):
        for line in lines(panel).values():
            places = panel.transData.transform(np.column_stack([line.get_xdata(), T * 0]))[:, 0]
            assert (np.diff(places) > 0).all()  # the table goes from little to much noise
        assert panel.get_xlabel() == {"t": "t", "log_snr": "log SNR"}[axis] + " (more noise →)"
    assert panels(figure)[0].xaxis_inverted() == (axis == "log_snr")


def test_rows_in_any_order_make_the_same_line():
    table = losses_table()
    shuffled = lines(panels(losses(table.sample(frac=1, random_state=0)))[0])
    for mode, line in lines(panels(losses(table))[0]).items():
        np.testing.assert_array_equal(line.get_xydata(), shuffled[mode].get_xydata())


def test_only_losses_of_what_was_trained_are_drawn():
    both = pd.concat([losses_table(), losses_table(target="x_0")])
    both = both.replace({"mode": {"posterior_free": "image_free"}})
    assert set(trained_on(both, "eps")["target"]) == {"eps"}
    # Beside trainings on eps, that without an image is on x_0.
    assert set(trained_on(both, "eps")["mode"]) == {"diffusion", "image_diffusion"}
    assert set(trained_on(both, "x_0")["mode"]) == {"diffusion", "image_free"}
    alone = both[both["mode"] != "image_diffusion"]
    assert set(trained_on(alone, "eps")["mode"]) == {"diffusion", "image_free"}


def test_humps_are_filled_open_or_absent_by_their_verdict():
    figure = losses(losses_table(), structure=structure_table())
    (axis,) = panels(figure)
    found = {gid: line for gid, line in lines(axis).items() if gid.startswith("hump")}
    assert set(found) == {"hump diffusion", "hump posterior_free"}
    assert list(found["hump diffusion"].get_xdata()) == [0.5]
    assert found["hump diffusion"].get_markerfacecolor() != "white"
    assert found["hump posterior_free"].get_markerfacecolor() == "white"
    intervals = [list(line.get_xdata()) for line in axis.lines if len(line.get_xdata()) == 2]
    assert intervals == [[-0.5, 2.5], [-1.5, 1.5]]
    top = losses_table().high.max()
    assert all(top < line.get_ydata()[0] < axis.get_ylim()[1] for line in found.values())
    assert len({line.get_ydata()[0] for line in found.values()}) == 2
    assert "hump, 95 % interval" in legend_of(figure)


def test_over_t_the_hump_is_taken_to_t():
    axis = panels(losses(losses_table(), structure=structure_table(), axis="t"))[0]
    assert lines(axis)["hump diffusion"].get_xdata() == pytest.approx([475])
    intervals = [list(line.get_xdata()) for line in axis.lines if len(line.get_xdata()) == 2]
    assert intervals[0] == pytest.approx([525, 375])


def test_modes_look_alike_in_every_study_and_differ_in_grey():
    alone = losses_table()[lambda table: table["mode"] == "posterior_free"]
    both = lines(panels(losses(losses_table()))[0])
    assert (
        lines(panels(losses(alone))[0])["posterior_free"].get_color()
        == both["posterior_free"].get_color()
    )
    for look in ("get_color", "get_marker", "get_linestyle"):
        assert len({str(getattr(line, look)()) for line in both.values()}) >= (
            2 if look == "get_linestyle" else 3
        )
    greys = [colors.to_rgb(line.get_color()) @ np.array([0.3, 0.6, 0.1]) for line in both.values()]
    assert max(greys) < 0.7  # none vanishes on white


def test_an_unknown_mode_goes_by_its_name():
    table = losses_table().replace({"mode": {"posterior_free": "new_mode"}})
    assert "new_mode" in legend_of(losses(table))
    assert "new_mode" in lines(panels(losses(table))[0])


def test_a_loss_far_below_the_others_is_cut_off():
    table = losses_table()
    table.loc[table["mode"] == "diffusion", ["loss", "low", "high"]] *= 1e-9
    low, high = panels(losses(table))[0].get_ylim()
    assert low == pytest.approx(1e-4 * table.high.max())
    assert high < 2 * table.high.max()


def test_integrand_holds_densities_quantiles_and_totals():
    table, information = integrand_tables()
    figure = integrand(table, information)
    (axis,) = panels(figure)
    found = lines(axis)
    for name in ("covariance", "difference", "orthogonal"):
        rows = table[table.estimate == name]
        np.testing.assert_array_equal(found[name].get_xdata(), rows.log_snr)
        np.testing.assert_array_equal(found[name].get_ydata(), rows.density)
    assert [found[name].get_xdata()[0] for name in ("q10", "q50", "q90")] == [0.3, -2.0, -4.3]
    assert found["q50"].get_linewidth() > found["q10"].get_linewidth()
    assert "entropy" not in found
    top = table[table.estimate == "orthogonal"].density.max()
    assert found["entropy_oracle"].get_ydata().max() == pytest.approx(top)
    assert found["entropy_oracle"].get_xdata()[found["entropy_oracle"].get_ydata().argmax()] == 0
    told = information[information.estimate == "covariance"].iloc[0]
    entropy = information[information.estimate == "entropy_oracle"].iloc[0]
    doubted = integrand(table, information.assign(bits=information.bits.where(
        information.estimate != "entropy", 1e6)))  # fmt: skip
    assert "not to be trusted" in texts(panels(doubted)[0])
    assert texts(axis).split("\n") == [
        f"image {told.bits:.0f} bits [{told.low:.0f}, {told.high:.0f}]",
        f"mask ≤ {entropy.bits:.0f} bits [{entropy.low:.0f}, {entropy.high:.0f}]",
    ]
    assert axis.xaxis_inverted()


def test_integrand_finds_an_entropy_that_no_network_made():
    table, information = integrand_tables()
    for each in (table, information):
        each.loc[each.estimate == "entropy_oracle", "network"] = "oracle"
    (axis,) = panels(integrand(table, information))
    assert "entropy_oracle" in lines(axis)
    assert "mask ≤" in texts(axis)


def test_integrand_without_totals_quantiles_or_entropy():
    table, information = integrand_tables()
    few = table[table.estimate == "covariance"]
    (axis,) = panels(integrand(few, information[:0]))
    assert "q50" not in lines(axis)
    assert texts(axis) == ""
    assert axis.get_title() == "data0"
    nowhere = information.assign(q10=np.nan, q50=np.nan, q90=np.nan)
    (axis,) = panels(integrand(few, nowhere))
    assert "q50" not in lines(axis)
    assert "mask's entropy, scaled" not in legend_of(integrand(few, information))
    negative = few.assign(density=-few.density)
    low, high = panels(integrand(negative, information))[0].get_ylim()
    assert low < -300 < 0 < high  # room for the numbers


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((2104.2, 1788.4, 2525.1), "2104 bits [1788, 2525]"),
        ((31055.0, 26397.0, 37266.0), "31.1 kbit [26.4, 37.3]"),
        ((155331.0, 132031.0, 186397.0), "155 kbit [132, 186]"),
        ((5.678, -0.5, 12.0), "5.68 bits [−0.50, 12.00]"),
        ((0.0, 0.0, 0.0), "0.000 bits [0.000, 0.000]"),
        ((np.nan, np.nan, np.nan), "– bits [–, –]"),
    ],
)
def test_bits_have_about_three_figures(values, expected):
    row = pd.Series(values, ["bits", "low", "high"])
    assert noise_axis.bits(row) == expected


def test_readability_holds_every_oracle_and_the_floor():
    table = oracles_table(2)
    figure = readability(table)
    for axis, dataset in zip(panels(figure), named(2), strict=True):
        rows = table[table.dataset == dataset]
        found = lines(axis)
        for oracle in rows.oracle.unique():
            one = rows[rows.oracle == oracle]
            np.testing.assert_array_equal(found[oracle].get_ydata(), one.dice)
        assert list(found["floor"].get_ydata()) == [0.25, 0.25]
        assert found["floor"].get_linestyle() == "--"
        assert texts(axis) == "all foreground 0.25"
        drawn = [found[name] for name in rows.oracle.unique()]
        assert len({line.get_marker() for line in drawn}) == 5
        assert len({line.get_color() for line in drawn}) == 5
    assert "multi-scale linear" in legend_of(figure)


def test_an_unknown_oracle_and_a_missing_floor():
    table = oracles_table().replace({"oracle": {"median": "new"}}).assign(floor=np.nan)
    figure = readability(table)
    assert legend_of(figure)[-1] == "new"
    assert "floor" not in lines(panels(figure)[0])


def test_masks_beside_images_hold_both_lines_with_bands():
    table = image_oracles_table()
    figure = masks_beside_images(table)
    (axis,) = panels(figure)
    for subject in ("mask", "image"):
        rows = table[table.subject == subject]
        np.testing.assert_array_equal(lines(axis)[subject].get_ydata(), rows.explained)
    assert len(axis.collections) == 2
    assert legend_of(figure) == ["from the noisy mask", "from the noisy image"]


def test_networks_are_named_where_there_are_several():
    for name, figure in draw_all(2, networks=("ensemdiff", "segdiff")).items():
        titles = [axis.get_title() for axis in panels(figure)]
        if "losses" in name or name == "integrand":
            assert [title.partition("\n")[2] for title in titles] == ["EnsemDiff", "SegDiff"] * 2
        else:
            assert titles == ["data0", "data1"]


def test_many_datasets_are_ordered_and_have_the_atlas_instead():
    assert readability(oracles_table(4)) is None
    table, early = image_oracles_table(2), oracles_table(2)
    early.loc[early.dataset == "data1", "log_snr"] += 4
    titles = [axis.get_title() for axis in panels(masks_beside_images(table, early))]
    assert titles == ["data1", "data0"]


@pytest.mark.parametrize("count", [1, 7, 18])
def test_nothing_is_cut_or_meets_another_with_any_number_of_datasets(count):
    titles = {name: LONG[place % 3] for place, name in enumerate(named(count))}
    labels = Labels(datasets=titles)
    figures = {
        "losses": losses(losses_table(count), labels=labels, structure=structure_table(count)),
        "integrand": integrand(*integrand_tables(count), labels),
    }
    for name, figure in (figures if count > 7 else draw_all(count, labels)).items():
        assert len(panels(figure)) == count, name
        figure.draw_without_rendering()
        found = [figure.legends[0]]
        for axis in panels(figure):
            found += [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts]
            for side, ends in ((axis.xaxis, axis.get_xlim()), (axis.yaxis, axis.get_ylim())):
                place = 0 if side is axis.xaxis else 1
                found += [
                    label
                    for label in side.get_ticklabels()
                    if min(ends) <= label.get_position()[place] <= max(ends)
                ]
        assert assert_apart(figure, found) > count, name


def test_the_number_of_cases_is_not_torn_apart():
    labels = Labels(datasets={"data0": "BUSI breast ultrasound 11"})
    (axis,) = panels(losses(losses_table(), labels=labels))
    assert axis.get_title() == "BUSI breast ultrasound 11\n(n = 14)"


def test_only_the_lowest_panels_name_the_noise():
    axes = panels(masks_beside_images(image_oracles_table(7)))
    assert [bool(axis.get_xlabel()) for axis in axes] == [False] * 4 + [True] * 3
    assert [bool(axis.get_ylabel()) for axis in axes] == [True, False, False] * 2 + [True]
    four = panels(losses(losses_table(4)))  # none stands alone in a line
    assert [bool(axis.get_xlabel()) for axis in four] == [True] * 4


def test_undefined_values_are_left_out():
    table = losses_table()
    table.loc[3, ["loss", "low", "high"]] = np.nan
    assert len(lines(panels(losses(table))[0])["diffusion"].get_xdata()) == len(LOG_SNR) - 1
    unknown = structure_table().assign(log_snr_at_hump=np.nan)
    figure = losses(losses_table(), structure=unknown)
    assert not any("hump" in text for text in legend_of(figure))
    losses(losses_table().assign(low=np.nan, high=np.nan)).canvas.draw()


def test_empty_tables_have_no_figure():
    table, information = integrand_tables()
    assert losses(losses_table()[:0]) is None
    assert losses(losses_table(target="v")) is None
    assert integrand(table[:0], information) is None
    assert readability(oracles_table()[:0]) is None
    assert masks_beside_images(image_oracles_table()[:0]) is None
    full = losses(losses_table(), structure=structure_table()[:0])
    assert set(lines(panels(full)[0])) == {"diffusion", "posterior_free", "image_diffusion"}


def test_equal_figures_have_equal_bytes(tmp_path):
    for name in ("a", "b"):
        save(losses(losses_table(), structure=structure_table()), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
