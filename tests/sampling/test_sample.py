"""The real sampling of tiny trained networks."""

import dataclasses

import numpy as np
import pytest
import torch

from noise2mask import plugins
from noise2mask.data.prepared import open_split
from noise2mask.errors import UserError
from noise2mask.sampling.sample import check_same_data, draw, load_trained, sample
from noise2mask.study.schema import Sampler
from noise2mask.training.train import train

CPU = torch.device("cpu")
SAMPLER = Sampler(sampler="ddim", steps=3, draws=3, options={"eta": 1.0})


@pytest.fixture(scope="module")
def finished(tmp_path_factory, study, prepared):
    """A finished training of each network, by name."""
    from noise2mask.data.prepared import read_manifest
    from noise2mask.study.plan import run_settings
    from noise2mask.study.schema import Training
    from noise2mask.training.run import run_of

    folder = tmp_path_factory.mktemp("runs")
    for network in study.networks:
        training = Training("lesion_phantom", network, "diffusion", 0)
        run = run_of(run_settings(study, training), read_manifest(prepared), "free")
        train(run, prepared, folder / "work" / network, folder / network, CPU)
    return folder


def sampled(finished, prepared, out, sampler=SAMPLER, batch=8, network="ensemdiff", threads=1):
    sample(finished / network, prepared, sampler, out / "work", out / "d.npz", threads, batch, CPU)
    return (out / "d.npz").read_bytes()


@pytest.mark.parametrize("network", ["ensemdiff", "segdiff", "medsegdiff"])
def test_draws_are_the_same_bytes_whatever_the_batch_size(finished, prepared, tmp_path, network):
    found = {
        sampled(finished, prepared, tmp_path / str(batch), batch=batch, network=network)
        for batch in (1, 4, 8, 100)
    }
    assert len(found) == 1


def test_a_draw_depends_on_its_case_and_number_alone(finished, prepared):
    trained = load_trained(finished / "segdiff", CPU)
    split = open_split(prepared, "test", purpose="evaluation")
    with torch.inference_mode():
        both = draw(trained, split, [0, 2], SAMPLER)
        alone = draw(trained, split, [2], SAMPLER)
        fewer = draw(trained, split, [2], SAMPLER.model_copy(update={"draws": 2}))
    assert np.array_equal(both[1], alone[0])
    assert np.array_equal(both[1][:2], fewer[0])
    assert not np.array_equal(both[1][0], both[1][1])


def test_draws_are_probabilities_in_full_precision(finished, prepared, tmp_path):
    sampled(finished, prepared, tmp_path)
    with np.load(tmp_path / "d.npz", allow_pickle=False) as file:
        draws, cases = file["draws"], file["cases"]
    split = open_split(prepared, "test", purpose="evaluation")
    assert draws.dtype == np.float32
    assert draws.shape == (len(split.ids), 3, 16, 16)
    assert tuple(cases) == split.ids
    assert draws.min() >= 0
    assert draws.max() <= 1


def test_an_interrupted_sampling_goes_on_and_gives_the_same(
    finished, prepared, tmp_path, monkeypatch
):
    from noise2mask.sampling import sample as sampling

    whole = sampled(finished, prepared, tmp_path / "whole", batch=3)
    honest, calls = sampling.draw, []

    def dying(*given):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return honest(*given)

    monkeypatch.setattr(sampling, "draw", dying)
    with pytest.raises(KeyboardInterrupt):
        sampled(finished, prepared, tmp_path / "cut", batch=3)
    counted = []
    monkeypatch.setattr(sampling, "draw", lambda *g: (counted.append(len(g[2])), honest(*g))[1])
    assert sampled(finished, prepared, tmp_path / "cut", batch=3) == whole
    assert counted[0] == 0  # the first case was not drawn again
    assert list((tmp_path / "cut" / "work").iterdir()) == []


def test_image_features_are_computed_once_a_case(finished, prepared, tmp_path, monkeypatch):
    from noise2mask.networks.segdiff import SegDiff

    calls = []
    honest = SegDiff.encode
    monkeypatch.setattr(
        SegDiff, "encode", lambda self, x: (calls.append(len(x)), honest(self, x))[1]
    )
    sampled(finished, prepared, tmp_path, network="segdiff")
    split = open_split(prepared, "test", purpose="evaluation")
    assert calls == [1] * len(split.ids)


def test_the_calibration_head_is_scored_alone(finished, prepared, tmp_path):
    head = Sampler(sampler="one_pass", head="calibration")
    sampled(finished, prepared, tmp_path, sampler=head, network="medsegdiff")
    with np.load(tmp_path / "d.npz") as file:
        draws = file["draws"]
    trained = load_trained(finished / "medsegdiff", CPU)
    split = open_split(prepared, "test", purpose="evaluation")
    from noise2mask.sampling.sample import _image

    with torch.inference_mode():
        features = trained.network.encode(_image(trained, split, 0))
    np.testing.assert_allclose(draws[0, 0], features[1][0, 0].numpy(), atol=1e-6)


@pytest.mark.parametrize("name", plugins.names("sampler"))
def test_every_sampler_runs_on_a_trained_network(finished, prepared, tmp_path, name):
    steps = 1 if name == "one_pass" else 3
    sampler = Sampler(sampler=name, steps=steps, draws=2)
    first = sampled(finished, prepared, tmp_path / "a", sampler=sampler)
    second = sampled(finished, prepared, tmp_path / "b", sampler=sampler)
    assert first == second


def test_a_variance_that_is_left_out_is_that_of_the_training(finished, prepared):
    trained = load_trained(finished / "ensemdiff", CPU)
    settings = trained.run.settings
    large = settings.diffusion.model_copy(update={"variance": "fixed_large"})
    settings = settings.model_copy(update={"diffusion": large})
    large = dataclasses.replace(trained, run=dataclasses.replace(trained.run, settings=settings))
    split = open_split(prepared, "test", purpose="evaluation")

    def drawn(trained, **options):
        sampler = Sampler(sampler="ddpm", steps=3, draws=1, options=options)
        with torch.inference_mode():
            return draw(trained, split, [0], sampler)[0]

    assert np.array_equal(drawn(large), drawn(trained, variance="fixed_large"))
    assert np.array_equal(drawn(trained), drawn(large, variance="fixed_small"))
    assert not np.array_equal(drawn(large), drawn(trained))


def test_cases_prepared_otherwise_are_refused(finished, prepared, make_run):
    from dataclasses import replace

    run = make_run()
    split = open_split(prepared, "test", purpose="evaluation")
    check_same_data(run, split)
    other = replace(run, data={**run.data, "channels": 1})
    with pytest.raises(UserError) as caught:
        check_same_data(other, split)
    assert str(caught.value) == (
        "the run was trained on lesion_phantom with channels 1, but the prepared cases have 3: "
        "run this training again."
    )


def test_views_show_the_network_the_image_turned_and_turn_its_masks_back(
    finished, prepared, monkeypatch
):
    trained = load_trained(finished / "ensemdiff", CPU)
    split = open_split(prepared, "test", purpose="evaluation")
    shown = []

    class Threshold(torch.nn.Module):
        """A network that gives back the brightness of what it is shown."""

        calibrated = False

        def encode(self, image):
            shown.append(image)
            return (image,)

        def forward(self, x_t, image, t, features):
            return image.mean(1, keepdim=True).clamp(-1, 1)

    trained = dataclasses.replace(trained, network=Threshold())
    several = SAMPLER.model_copy(update={"views": 8, "draws": 9, "steps": 1})
    with torch.inference_mode():
        (masks,) = draw(trained, split, [0], several)
        (plain,) = draw(trained, split, [0], several.model_copy(update={"views": 1}))
    assert len(shown) == 8 + 1
    assert len({tuple(image.flatten().tolist()) for image in shown}) == 8
    assert np.allclose(masks, plain, atol=1e-6)


def test_validation_cases_are_drawn_for_a_reading_that_is_fitted(finished, prepared, tmp_path):
    out = tmp_path / "val.npz"
    sample(finished / "ensemdiff", prepared, SAMPLER, tmp_path / "w", out, 1, 8, CPU, "val")
    with np.load(out) as file:
        ids = open_split(prepared, "val", purpose="evaluation").ids
        assert tuple(file["cases"]) == ids
