"""Claims of the paper on noise: made-up curves whose verdict is known, and null controls."""

import math
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import pytest
from helpers.made_up_evidence import DATA, STUDY, evidence, flat_history, judged, study_of
from helpers.made_up_section import fingerprints_of, frame

from noise2mask.analysis.claims.evidence import find
from noise2mask.analysis.claims.paper_noise import c3a, c3b, c4, c5, c6
from noise2mask.analysis.information.curves import MEASURED
from noise2mask.analysis.oracles.exact import decided_from, mmse
from noise2mask.analysis.oracles.noisy_masks import linear_log_snr


def turned(rows):
    """The rows from last to first, since their order must not matter."""
    return rows.iloc[::-1]


def of(losses, structure, **more):
    return evidence(losses=losses, structure=structure, **more)


# Losses --------------------------------------------------------------------------------------

AXIS = np.arange(9.0, -11.0, -1.0)


def measured_losses(mode, curve, word, dataset="lesion", half=0.01):
    """The rows of `losses` and `structure` of one curve over log SNR."""
    losses = frame(
        "losses",
        [
            (dataset, "segdiff", mode, "eps", t, log_snr, value, value - half, value + half, 12)
            for t, (log_snr, value) in enumerate(zip(AXIS, curve, strict=True))
        ],
    )
    depth = {"confirmed": 0.5, "refuted": 0.01, "undecided": 0.1}[word]
    row = (dataset, "segdiff", mode, "eps", *4 * (math.nan,), depth, 0.0, depth, word, 12)
    return losses, frame("structure", [row])


def together(*found):
    losses, structures = zip(*found, strict=True)
    return pd.concat(losses, ignore_index=True), pd.concat(structures, ignore_index=True)


FALLING = np.linspace(1, 0.05, len(AXIS))
FLAT = np.full(len(AXIS), 0.5)
SHARP = np.where(AXIS > 5, 1.0, 0.2)


@pytest.mark.parametrize(
    ("curve", "word", "verdict"),
    [
        (FALLING, "refuted", "confirmed"),
        (FALLING, "confirmed", "refuted"),
        (FALLING[::-1], "refuted", "refuted"),
        (FALLING, "undecided", "undecided"),
        (FLAT, "refuted", "undecided"),
    ],
)
def test_c3_images(curve, word, verdict):
    tables = measured_losses("e4", curve, word)
    found = judged(c3a, of(*tables))
    assert found.verdict == verdict
    assert found.numbers.startswith(f"{verdict.capitalize()} in 1 of 1 curve;")
    assert found == judged(c3a, of(*map(turned, tables)))


def test_c3_curves_that_differ_are_undecided():
    tables = together(
        measured_losses("e4", FALLING, "refuted"),
        measured_losses("e4", FALLING, "confirmed", dataset="nuclei"),
    )
    found = judged(c3a, of(*tables))
    assert found.verdict == "undecided"
    assert "Confirmed in 1, refuted in 1 of 2 curves" in found.numbers
    unmeasured = study_of(analysis={"measured": ["eps"]})
    assert judged(c3a, of(*tables, study=unmeasured)).verdict == "not tested"


@pytest.mark.parametrize(
    ("curve", "word", "verdict"),
    [
        (SHARP, "confirmed", "confirmed"),
        (SHARP, "refuted", "refuted"),
        (FALLING, "confirmed", "refuted"),  # rises, but does not fall sharply before t = 50
        (SHARP, "undecided", "undecided"),
        (np.where(AXIS > 5, 1.0, 0.5), "confirmed", "undecided"),
    ],
)
def test_c3_masks(curve, word, verdict):
    tables = together(
        measured_losses("eps", curve, word), measured_losses("posterior", curve, "confirmed")
    )
    found = judged(c3b, of(*tables))
    assert found.verdict == verdict
    left = np.interp(linear_log_snr()[50], AXIS[::-1], curve[::-1]) / curve[0]
    assert f"{left:.2f} to {left:.2f} of the first loss" in found.numbers
    assert "1 of 1 curve" in found.numbers  # the posterior, whatever it does, is not among them


@pytest.mark.parametrize("function", ["c3a", "c3b"])
def test_c3_needs_networks_that_have_converged(function):
    mode, word = {"c3a": ("e4", "refuted"), "c3b": ("eps", "confirmed")}[function]
    tables = measured_losses(mode, FALLING if function == "c3a" else SHARP, word)
    rest = find("claim", function, of(*tables, history=flat_history([mode])), {})
    assert rest.verdict == "confirmed"
    moving = find("claim", function, of(*tables, history=flat_history([mode], last=-0.1)), {})
    assert moving.verdict == "not tested"
    assert "still falls" in moving.remark
    assert moving.numbers == rest.numbers
    assert find("claim", function, of(*tables), {}).verdict == "not tested"


def test_a_network_with_random_weights_confirms_no_c3():
    """The null control: a posterior with any weights has the hump of a lone pixel."""
    lone = np.exp(AXIS) * mmse(AXIS, 0.5)
    depth = 0.95
    losses, structure = measured_losses("posterior", lone / lone.max(), "confirmed")
    structure = structure.assign(depth=depth)
    found = find("claim", "c3b", of(losses, structure, history=flat_history(["posterior"])), {})
    assert found.verdict == "not tested"
    assert "was not measured" in found.remark
    flat = measured_losses("eps", FLAT * 2, "refuted")  # eps for nothing: the loss is 1 everywhere
    assert judged(c3b, of(*flat)).verdict == "refuted"
    assert judged(c3a, of(*measured_losses("e4", FLAT * 2, "refuted"))).verdict == "undecided"


# Masks and images ----------------------------------------------------------------------------


def recovered(width, half, centre=-1.0):
    """A share that falls in a straight line, from 0.9 to 0.5 within `width`."""
    share = np.clip(0.7 - (centre - AXIS) * 0.4 / width, 0, 1)
    return share, share - half, share + half


def image_oracles_of(widths, half=0.01):
    rows = []
    for dataset, of in widths.items():
        for subject, width in zip(("mask", "image"), of, strict=True):
            for t, (log_snr, *share) in enumerate(zip(AXIS, *recovered(width, half), strict=True)):
                rows.append((dataset, subject, t, log_snr, 1.0, *share))
    return frame("image_oracles", rows)


def oracles_of(width):
    errors = 1 - recovered(width, 0)[0]
    return frame(
        "oracles",
        [
            ("lesion", "multiscale", t, log_snr, *4 * (math.nan,), error, 0.0, 0.3)
            for t, (log_snr, error) in enumerate(zip(AXIS, errors, strict=True))
        ],
    )


@pytest.mark.parametrize(
    ("widths", "half", "verdict"),
    [
        ({"lesion": (2, 4), "nuclei": (2, 3)}, 0.01, "confirmed"),
        ({"lesion": (4, 2), "nuclei": (3, 2)}, 0.01, "refuted"),
        ({"lesion": (2, 4), "nuclei": (4, 2)}, 0.01, "undecided"),
        ({"lesion": (3, 3.1)}, 0.05, "undecided"),
    ],
)
def test_c4_compares_widths(widths, half, verdict):
    tables = image_oracles_of(widths, half), oracles_of(1.5)
    found = judged(c4, evidence(image_oracles=tables[0], oracles=tables[1]))
    assert found.verdict == verdict
    mask, image = widths["lesion"]
    assert f"lesion (for ISIC16) {mask:.1f} [" in found.numbers
    assert f"against {image:.1f} [" in found.numbers
    assert "knows their two levels: 1.5" in found.numbers


def test_masks_that_fall_as_images_do_confirm_no_c4():
    """The null control: the same arrays as masks and as images."""
    same = {"lesion": (3, 3), "nuclei": (2, 2)}
    known = evidence(image_oracles=image_oracles_of(same, 0.001))
    assert judged(c4, known).verdict == "undecided"


def test_c4_without_a_fall_or_a_table():
    whole = image_oracles_of({"lesion": (2, 4)})
    flat = whole.assign(explained=0.95, low=0.94, high=0.96)
    found = judged(c4, evidence(image_oracles=flat))
    assert found.verdict == "undecided"
    assert "nan" not in found.numbers
    assert find("claim", "c4", evidence(image_oracles=whole[:0]), {}).verdict == "not tested"


def with_timesteps(half):
    table = fingerprints_of(half)
    t = table[table["figure"] == "log_snr_at_half"].assign(figure="t_at_half", mean=300.0)
    return pd.concat([table, t], ignore_index=True)


@pytest.mark.parametrize(
    ("nuclei", "lesion", "verdict"),
    [
        (-1.0, -4.0, "confirmed"),
        (-4.0, -1.0, "refuted"),
        (-3.4, -4.0, "undecided"),  # intervals reach half a unit to either side
        (-3.4, math.nan, "undecided"),
    ],
)
def test_c5_compares_what_stands_for_the_two(nuclei, lesion, verdict):
    fingerprints = with_timesteps({"tissue": -9.0, "lesion": lesion, "nuclei": nuclei})
    found = judged(c5, evidence(fingerprints=fingerprints))
    assert found.verdict == verdict
    assert "tissue" not in found.numbers
    again = judged(c5, evidence(fingerprints=turned(fingerprints)))
    assert (again.verdict, again.numbers) == (found.verdict, found.numbers)


def test_c5_finds_the_papers_own_datasets_by_their_titles():
    fingerprints = with_timesteps({"tissue": -9.0, "lesion": -4.0, "nuclei": -1.0})
    own = {
        "lesion": {"kind": "phantoms", "title": "ISIC16"},
        "nuclei": {"kind": "phantoms", "title": "MoNuSeg nuclei"},
    }
    named = study_of(datasets=own)
    assert judged(c5, evidence(named, fingerprints=fingerprints)).verdict == "confirmed"
    nobody = study_of(datasets={"lesion": {"kind": "phantoms", "title": "lesion"}})
    assert judged(c5, evidence(nobody, fingerprints=fingerprints)).verdict == "not tested"


def test_one_and_the_same_dataset_confirms_no_c5():
    """The null control: both have one fingerprint."""
    fingerprints = with_timesteps({"lesion": -2.0, "nuclei": -2.0})
    assert judged(c5, evidence(fingerprints=fingerprints)).verdict == "undecided"


def measured_of(density, datasets=DATA, cases=12, spread=0.02):
    """Errors of two networks that differ by a density over log SNR, in nats, for 32 x 32 pixels."""
    generator, rows = np.random.default_rng(1), []
    for dataset, case in product(datasets, range(cases)):
        scale = 1 + spread * generator.normal()
        for t, log_snr in enumerate(np.arange(3.0, -11.0, -1.0)):
            apart_ = 2 * scale * density(log_snr) / math.exp(log_snr)
            where = (dataset, "segdiff", 0)
            level = (f"c{case}", t, log_snr, 2.0, 1024)
            rows += [
                (*where, "posterior", *level, 5.0, apart_),
                (*where, "posterior_free", *level, 5.0 + apart_, math.nan),
            ]
    return pd.DataFrame(rows, columns=list(MEASURED))


def told(measured, study=STUDY):
    return judged(c6, evidence(study, measured=measured))


def bump(log_snr, centre=-1.0):
    return 20 * math.exp(-((log_snr - centre) ** 2) / 2)


@pytest.mark.parametrize("centre", [-1.0, -5.0, 3.0])
def test_c6_counts_timesteps_without_information(centre):
    measured = measured_of(partial(bump, centre=centre))
    found = told(measured)
    assert found.verdict == "confirmed"
    axis, levels = linear_log_snr(), np.arange(-10, 4.0)
    density = np.interp(axis, levels, [bump(each, centre) for each in levels])
    density[axis > decided_from(1024, 0.01)] = 0
    bits = density * -np.gradient(axis)
    order = np.argsort(bits)
    used = order[np.cumsum(bits[order]) > 0.01 * bits.sum()]
    share = 1 - len(used) / len(axis)
    assert f"lesion (for ISIC16) {share:.2f} " in found.numbers
    assert f"(all but t = {used.min()} to {used.max()};" in found.numbers
    assert told(turned(measured)).verdict == "confirmed"


def test_c6_is_refuted_where_every_timestep_gets_its_share():
    axis = linear_log_snr()
    slope = -np.gradient(axis)

    def even(log_snr):  # as many bits in each timestep
        return float(0.1 / np.interp(log_snr, axis[::-1], slope[::-1]))

    found = told(measured_of(even))
    assert found.verdict == "refuted"


def test_c6_is_undecided_where_datasets_or_cases_differ():
    axis = linear_log_snr()
    slope = -np.gradient(axis)

    def even(log_snr):
        return float(0.1 / np.interp(log_snr, axis[::-1], slope[::-1]))

    both = pd.concat([measured_of(bump, ("lesion",)), measured_of(even, ("nuclei",))])
    assert told(both).verdict == "undecided"
    assert told(measured_of(lambda _: 0.0)).verdict == "undecided"


def test_c6_is_not_tested_without_its_pair():
    measured = measured_of(bump)
    assert find("claim", "c6", evidence(study_of(analysis={})), {}).verdict == "not tested"
    assert told(measured[measured["mode"] == "posterior"]).verdict == "not tested"
    assert told(measured[:0]).verdict == "not tested"


def test_an_image_that_tells_nothing_confirms_no_c6():
    """The null control: both networks err alike, as with shuffled images; densities are noise."""
    generator = np.random.default_rng(4)
    measured = measured_of(bump)
    noise = generator.normal(0, 0.3, len(measured))
    shuffled = measured.assign(error=5.0 + noise, apart=measured["apart"] * 0 + noise**2)
    found = told(shuffled)
    assert found.verdict != "confirmed"
    assert "bits not above 0 beyond chance" in found.numbers
