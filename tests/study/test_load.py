"""Everything wrong with a study is told at once, in sentences, before anything runs."""

from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from helpers.project import ROOT

from noise2mask.errors import UserError
from noise2mask.study.load import check_data, load_study
from noise2mask.study.plan import (
    analysis_tables,
    quirky_datasets,
    run_settings,
    samplers_of,
    trainings_of,
)
from noise2mask.study.schema import Training

NAMES = sorted(path.stem for path in (ROOT / "config").glob("*.yaml"))


@pytest.fixture
def write(tmp_path):
    """Write the study `test` with changes given as dotted path and value."""

    def make(**changes):
        document = yaml.safe_load((ROOT / "config" / "test.yaml").read_text())
        for dotted, value in changes.items():
            place = document
            *parents, last = dotted.split("__")
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = value
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return path

    return make


def mistakes(path):
    with pytest.raises(UserError) as caught:
        load_study(path)
    return str(caught.value).split("\n  ")


def test_the_studies_of_the_project():
    assert {"test", "quick", "real", "gpu", "paper"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_study_is_sound(name):
    study = load_study(ROOT / "config" / f"{name}.yaml")
    for training in trainings_of(study):
        settings = run_settings(study, training)
        assert settings.digest() == run_settings(study, training).digest()
        # A member of an ensemble is scored in the training of the first.
        assert study.modes[training.mode].samplers or training.mode in study.analysis.measured


@pytest.mark.parametrize("name", ["test", "quick", "real", "gpu", "paper"])
def test_these_studies_have_the_18_cells(name):
    study = load_study(ROOT / "config" / f"{name}.yaml")
    scored = [training for training in trainings_of(study) if samplers_of(study, training)]
    own = [training for training in scored if training.mode in ("feed_forward", "diffusion")]
    assert len(own) == 18 * len(study.seeds)
    assert {training.mode for training in scored} - {"feed_forward", "diffusion"} <= {
        "ensemble",
        "matched",
    }


@pytest.mark.parametrize("name", ["gpu", "paper"])
def test_these_studies_keep_the_target_of_the_paper(name):
    study = load_study(ROOT / "config" / f"{name}.yaml", data="somewhere")
    for training in trainings_of(study):
        diffusion = run_settings(study, training).diffusion
        assert diffusion.target == "eps"
        assert diffusion.schedule.input_scale == 1
        assert (diffusion.schedule.name, diffusion.schedule.timesteps) == ("linear", 1000)


def test_all_mistakes_are_told_at_once_with_dotted_paths(write):
    path = write(
        training__steps="many",
        training__batch=0,
        resolution=3,
        extra=1,
        datasets__lesion_phantom__kind="phantom",
        datasets__nuclei_phantom__options__famly="nuclei",
        networks__segdiff__options__width=0,
        networks__ensemdiff__architecture="ensemdif",
        modes__diffusion__mode="difusion",
        modes__feed_forward__samplers=["one_pas"],
        samplers__ddim2__sampler="dimm",
        samplers__ddim2__networks=["unet"],
        diffusion__schedule__name="lin",
        evaluation__metrics={"dicee": {}},
        evaluation__fusion="stapel",
        overrides=[{"datasets": ["moon"], "training": {"steps": 3}}],
    )
    head, *found = mistakes(path)
    assert head == f"{path} has 16 mistakes; correct and run again:"
    assert found == [
        "datasets.lesion_phantom.kind: unknown kind 'phantom'; did you mean 'phantoms'? "
        "Valid: aperio, folder, her2, medsegbench, pairs, phantoms, photographs, table, volumes",
        "datasets.nuclei_phantom.options.famly: unknown field 'famly'; did you mean 'family'? "
        "Valid: family, count, size, seed, difficulty",
        "diffusion.schedule.name: unknown schedule 'lin'; did you mean 'linear'? "
        "Valid: linear, cosine, sigmoid, adapted",
        "evaluation.fusion: unknown fusion 'stapel'; did you mean 'staple'? "
        "Valid: mean, mean_threshold, squared_mean, vote, binarised, majority, staple",
        "evaluation.metrics.dicee: unknown metric 'dicee'; did you mean 'dice'? "
        "Valid: dice, iou, nsd, hd95",
        "extra: unknown field 'extra'; Valid: description, question, resolution, seeds, shares, "
        "folders, datasets, networks, modes, grid, samplers, readings, baselines, quirks, "
        "diffusion, training, evaluation, compute, analysis, costs, comparisons, contrasts, "
        "hypotheses, pictures, overrides",
        "modes.diffusion.mode: unknown mode 'difusion'; did you mean 'diffusion'? "
        "Valid: feed_forward, cross_entropy, dice, squared, diffusion, image_free, "
        "image_diffusion, dice_diffusion, posterior, posterior_free, recycling",
        "modes.feed_forward.samplers: unknown sampler 'one_pas'; did you mean 'one_pass'? "
        "Valid: one_pass, calibration, ddim2",
        "networks.ensemdiff.architecture: unknown architecture 'ensemdif'; did you mean "
        "'ensemdiff'? Valid: ensemdiff, medsegdiff, monai, segdiff",
        "networks.segdiff.options.width: must be greater than or equal to 32, got 0",
        "overrides.0.datasets: unknown dataset 'moon'; Valid: lesion_phantom, nuclei_phantom, "
        "tissue_phantom, photographs",
        "resolution: must be greater than or equal to 8, got 3",
        "samplers.ddim2.networks: unknown network 'unet'; Valid: ensemdiff, segdiff, medsegdiff",
        "samplers.ddim2.sampler: unknown sampler 'dimm'; did you mean 'ddim'? "
        "Valid: ddpm, ddim, dpm_solver, one_pass",
        "training.batch: must be greater than or equal to 1, got 0",
        "training.steps: must be a valid integer, unable to parse string as an integer, got 'many'",
    ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"shares": {"train": 0.5, "val": 0.1, "test": 0.1}},
            "shares: train, val and test must add up to 1, got 0.7",
        ),
        (
            {"samplers__ddim2__steps": 500},
            "samplers.ddim2.steps: must be between 1 and 100 for mode diffusion of ensemdiff on "
            "lesion_phantom, got 500",
        ),
        (
            {"overrides": [{"training": {"stepps": 3}}]},
            "overrides.0.training.stepps: unknown field 'stepps'; did you mean 'steps'? Valid: "
            "steps, batch, learning_rate, weight_decay, warm_up, decay, clip_norm, ema_decay, "
            "calibration_weight, validate_every, validation_repeats, choose, checkpoint_every",
        ),
        (
            {"seeds": []},
            "seeds: needs 1 or more, got 0",
        ),
        (
            {"compute__device": "gpu"},
            "compute.device: must be 'cpu' or 'cuda', got 'gpu'",
        ),
        ({"description": None}, "description: must be text, got None"),
        (
            {"analysis__oracles": ["gausian"]},
            "analysis.oracles: unknown oracle 'gausian'; did you mean 'gaussian'? Valid: pixel, "
            "gaussian, median, multiscale, posterior",
        ),
        (
            {"analysis__shorter": {"ensemdiff": "segdif"}},
            "analysis.shorter.ensemdiff: unknown network 'segdif'; did you mean 'segdiff'? Valid: "
            "ensemdiff, segdiff, medsegdiff",
        ),
        (
            {"analysis__shorter": {"ensemdiff": "segdiff"}},
            "analysis.shorter.ensemdiff: 'segdiff' must be trained with fewer steps than "
            "'ensemdiff': give one of them others in `overrides`",
        ),
        (
            {"hypotheses": {"p3": {"feed_forward": 3}}},
            "hypotheses.p3.feed_forward: must be text, got 3",
        ),
        (
            {"hypotheses": {"p3": {"feed_forward": "difusion"}}},
            "hypotheses.p3.feed_forward: unknown mode 'difusion'; did you mean 'diffusion'? Valid: "
            "feed_forward, diffusion, image_free, image_diffusion",
        ),
    ],
)
def test_single_mistakes(write, changes, sentence):
    head, *found = mistakes(write(**changes))
    assert "has 1 mistake; correct" in head
    assert found == [sentence]


def test_a_missing_section_is_told(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("description: nothing else\n")
    _, *found = mistakes(path)
    assert found == [f"{section}: this field is required" for section in ("datasets", "resolution")]


def test_unreadable_yaml_is_told_with_its_line(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("description: x\ndatasets: [unclosed\n")
    with pytest.raises(UserError) as caught:
        load_study(path)
    assert str(caught.value) == (
        f"{path}, line 3 is not readable YAML: did not find expected ',' or ']'."
    )


def test_yaml_that_is_no_mapping_and_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("- a\n")
    with pytest.raises(UserError, match="must hold a mapping of study fields, got \\['a'\\]"):
        load_study(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="a study is a UTF-8 text file"):
        load_study(path)


def test_an_unknown_study_is_told_with_the_nearest():
    with pytest.raises(UserError, match="unknown study 'quik'; did you mean 'quick'"):
        load_study(ROOT / "config" / "quik.yaml")


def test_outside_the_project_a_missing_study_says_where_studies_are_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"{tmp_path} is not the project's folder.*make setup"):
        load_study(Path("config/quick.yaml"))
    (tmp_path / "Snakefile").touch()
    with pytest.raises(UserError, match=r"unknown study 'quick'; Valid: none\.$"):
        load_study(Path("config/quick.yaml"))


def test_a_study_that_needs_a_folder_says_how_to_give_it():
    study = load_study(ROOT / "config" / "real.yaml")
    with pytest.raises(UserError) as caught:
        check_data(study, "real")
    assert str(caught.value) == (
        "datasets.lesion of study real takes its data from a folder that was not given; "
        "run `make reproduce STUDY=real DATA=<folder>`."
    )
    check_data(load_study(ROOT / "config" / "real.yaml", data="/data/"), "real")


def test_overrides_apply_in_order_and_only_where_they_say(write):
    path = write(
        overrides=[
            {"modes": ["diffusion"], "training": {"steps": 7}},
            {"networks": ["segdiff"], "modes": ["diffusion"], "training": {"steps": 9}},
            {"datasets": ["lesion_phantom"], "diffusion": {"schedule": {"input_scale": 0.1}}},
        ]
    )
    study = load_study(path)
    steps = {
        (training.network, training.mode): run_settings(study, training).training.steps
        for training in trainings_of(study)
    }
    assert steps["segdiff", "diffusion"] == 9
    assert steps["ensemdiff", "diffusion"] == 7
    assert steps["segdiff", "feed_forward"] == 4
    lesion = run_settings(study, Training("lesion_phantom", "segdiff", "diffusion", 0)).diffusion
    nuclei = run_settings(study, Training("nuclei_phantom", "segdiff", "diffusion", 0)).diffusion
    assert (lesion.schedule.input_scale, nuclei.schedule.input_scale) == (0.1, 0.3)
    assert lesion.schedule.timesteps == 100  # the rest of the schedule stays


def test_sampler_settings_are_no_part_of_a_training(write):
    training = Training("lesion_phantom", "segdiff", "diffusion", 0)
    one = run_settings(load_study(write()), training)
    other = run_settings(load_study(write(samplers__ddim2__draws=50)), training)
    assert one.digest() == other.digest()


QUIRKY = {
    "readings": {
        "jpeg": {"of": "ddim2", "storage": "jpeg"},
        "first": {"of": "ddim2", "draws": 1},
        "pass_jpeg": {"of": "one_pass", "storage": "jpeg"},
    },
    "modes__diffusion__samplers": ["ddim2", "jpeg", "first"],
    "datasets__lesion_grown": {
        "title": "grown", "kind": "phantoms", "masks": "grown",
        "options": {"family": "lesion", "count": 12, "size": 64, "seed": 1},
    },
}  # fmt: skip


def quirk(**of):
    return {"quirks": {"it": {"title": "it", **of}}}


def test_a_study_with_quirks(write):
    good = {
        "jpeg": {"title": "JPEG", "readings": {"ddim2": "jpeg"}},
        "grown": {"title": "grown", "datasets": {"lesion_phantom": "lesion_grown"}},
    }
    study = load_study(write(**deepcopy(QUIRKY), quirks=good))
    assert study.quirks["jpeg"].readings == {"ddim2": "jpeg"}
    assert study.datasets["lesion_phantom"].masks == "area"
    assert "quirks" in analysis_tables(study)
    assert "quirks" not in analysis_tables(load_study(write()))


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        (
            quirk(),
            ["quirks.it: give either `readings` or `datasets`, what is proper with what has the "
             "quirk, got neither"],
        ),
        (
            quirk(readings={"ddim2": "jpeg"}, datasets={"lesion_phantom": "lesion_grown"}),
            ["quirks.it: give either `readings` or `datasets`, what is proper with what has the "
             "quirk, got both"],
        ),
        (
            quirk(readings={"ddim": "jpeg"}),
            ["quirks.it.readings.ddim: unknown reading 'ddim'; did you mean 'ddim2'? Valid: jpeg, "
             "first, pass_jpeg, one_pass, calibration, ddim2"],
        ),
        (
            quirk(readings={"ddim2": "jpg"}),
            ["quirks.it.readings.ddim2: unknown reading 'jpg'; did you mean 'jpeg'? Valid: jpeg, "
             "first, pass_jpeg"],
        ),
        (
            quirk(datasets={"lesion_phantom": "grown"}),
            ["quirks.it.datasets.lesion_phantom: unknown dataset 'grown'; did you mean "
             "'lesion_grown'? Valid: lesion_phantom, nuclei_phantom, tissue_phantom, photographs, "
             "lesion_grown"],
        ),
        (
            quirk(readings={"ddim2": "first"}),
            ["quirks.it.readings.ddim2: 'first' must be a reading of the same draws, and of as "
             "many, as 'ddim2'"],
        ),
        (
            quirk(readings={"ddim2": "pass_jpeg"}),
            ["quirks.it.readings.ddim2: 'pass_jpeg' must be a reading of the same draws, and of as "
             "many, as 'ddim2'"],
        ),
        (
            quirk(readings={"one_pass": "pass_jpeg"}),
            ["quirks.it.readings.one_pass: no mode has both 'one_pass' and 'pass_jpeg' among its "
             "samplers"],
        ),
        (
            quirk(datasets={"nuclei_phantom": "lesion_grown"}),
            ["quirks.it.datasets.nuclei_phantom: 'lesion_grown' must be another dataset of the "
             "same cases as 'nuclei_phantom': give both the same kind, options, tile and shrink"],
        ),
        (
            quirk(datasets={"lesion_grown": "lesion_grown"}),
            ["quirks.it.datasets.lesion_grown: 'lesion_grown' must be another dataset of the same "
             "cases as 'lesion_grown': give both the same kind, options, tile and shrink"],
        ),
        (
            {"readings__jpeg__thresholds": [0.5, 1.0], "readings__jpeg__storage": "png"},
            ["readings.jpeg.storage: must be 'float' or 'jpeg', got 'png'",
             "readings.jpeg.thresholds.1: must be less than 1, got 1.0"],
        ),
        (
            {"datasets__lesion_grown__masks": "big"},
            ["datasets.lesion_grown.masks: must be 'area' or 'grown', got 'big'"],
        ),
    ],
)  # fmt: skip
def test_mistakes_in_quirks(write, changes, sentences):
    _, *found = mistakes(write(**deepcopy(QUIRKY), **changes))
    assert found == sentences


def test_a_quirk_of_readings_in_a_study_without_any(write):
    _, *found = mistakes(write(**quirk(readings={"ddim2": "jpeg"})))
    assert len(found) == 1
    assert found[0].startswith("quirks.it.readings.ddim2: ")


def test_datasets_with_a_quirk_are_no_further_evidence():
    study = load_study(ROOT / "config" / "quirks.yaml", data="somewhere")
    quirky = quirky_datasets(study)
    assert quirky < set(study.datasets)
    assert set(study.datasets) - quirky == {"isic2017", "busi", "dsb2018_fluorescence"}
    assert quirky_datasets(load_study(ROOT / "config" / "quick.yaml")) == frozenset()
