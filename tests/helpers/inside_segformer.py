"""What SegFormer does, run by ``test_segformer.py`` in the environment that has transformers."""

import json
import math
from collections import Counter

import numpy as np
import pytest
import torch
from helpers.trained import contents
from torch.utils.flop_counter import FlopCounterMode

from noise2mask.baselines import mix_transformer, segformer, segformer_training
from noise2mask.baselines.base import Job
from noise2mask.baselines.mix_transformer import PUBLISHED, build, build_pretrained, library
from noise2mask.baselines.segformer_training import Recipe, learning_rate_at
from noise2mask.data.prepared import Case, open_split, write_dataset
from noise2mask.errors import UserError
from noise2mask.files import checked, write_record
from noise2mask.training.run import load_tensors

CPU = torch.device("cpu")
# With 150 classes, as the authors give them for ADE20K (table 1), in millions.
MILLIONS = {"b0": 3.8, "b1": 13.7, "b2": 27.5, "b3": 47.3, "b4": 64.1, "b5": 84.7}
TINY = {"steps": 3, "batch": 3, "validate_every": 3, "warm_up": 1}
EVERY_STEP = TINY | {"validate_every": 1}  # each validation saves everything, 60 MB


def squares(folder, channels=3, side=32, seed=0, contrast=110):
    """Bright squares on dark noise, prepared."""
    drawn = np.random.default_rng(seed)
    arrays, cases = {}, []
    for split, count in {"train": 16, "val": 5, "test": 11}.items():
        images = drawn.integers(20, 100, (count, side, side, channels), dtype=np.uint8)
        masks = np.zeros((count, side, side), dtype=np.uint8)
        for mask, image in zip(masks, images, strict=True):
            top, left = drawn.integers(0, side // 2, 2)
            mask[top : top + side // 2, left : left + side // 2] = 1
            image[mask == 1] += contrast
        arrays[split] = (images, masks)
        cases += [
            Case(f"{split}{i}", split, f"{split}{i}", side, side, "", "", 0.25, "", 0, 0)
            for i in range(count)
        ]
    write_dataset(folder, arrays, cases, dataset="squares", kind="made", options={})
    return folder


def job_of(data, root, **changed):
    train, val = (open_split(data, name, purpose="training") for name in ("train", "val"))
    augmentation = {"flips": True, "brightness": 0.1}
    job = Job("squares SegFormer", train, val, 0, augmentation, root / "work", root / "out", 1, CPU)
    return job._replace(**changed)


def images_of(data):
    return np.array(open_split(data, "test", purpose="evaluation").images)


def recipe_of(**changed):
    options = dict.fromkeys(Recipe._fields) | {"learning_rate": 0.1, "steps": 10, "warm_up": 4}
    return Recipe(**(options | changed))


@pytest.fixture
def data(tmp_path):
    return squares(tmp_path / "data")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder with the encoder of MiT-B0 under a classifier, as its authors publish it."""
    folder = tmp_path_factory.mktemp("mit")
    transformers = library()
    torch.manual_seed(5)
    model = transformers.SegformerForImageClassification(transformers.SegformerConfig())
    model.save_pretrained(folder)
    return folder


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("size", MILLIONS)
def test_sizes_have_the_published_numbers_of_parameters(size):
    with torch.device("meta"):
        count = parameters(build(size, 3))
    classes = 149 * (PUBLISHED[size].head + 1)
    assert round((count + classes) / 1e6, 1) == MILLIONS[size]


def test_b0_is_the_default_of_transformers_with_one_logit_for_two():
    transformers = library()
    with torch.device("meta"):
        default = transformers.SegformerForSemanticSegmentation(transformers.SegformerConfig())
        assert parameters(default) == 3_714_658
        assert parameters(build("b0", 3)) == 3_714_658 - (256 + 1)


def test_a_trained_network_says_what_it_is_and_its_products_are_counted(data, tmp_path):
    job = job_of(data, tmp_path)
    segformer.fit(job, **TINY, side=64)
    names = ["history.jsonl", "model.safetensors", "settings.json"]
    assert sorted(path.name for path in job.out.iterdir()) == [
        *(f".{name}.record" for name in names),
        *names,
    ]
    assert [checked(job.out / name).name for name in names] == names
    assert not (job.work / "state.safetensors").exists()
    reference = segformer.load(job.out, CPU)
    assert reference.notes == (
        "no pretrained weights: initialised at random",
        "images enlarged to 64 pixels",
    )
    assert reference.example.shape == (1, 3, 64, 64)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert reference.network(reference.example).logits.shape == (1, 1, 16, 16)
    # Queries 16 x 16 to 2 x 2, keys 2 x 2 at every level; twice, for weights and for values.
    attention = sum(
        2 * 2 * queries * 4 * width
        for queries, width in zip((256, 64, 16, 4), PUBLISHED["b0"].widths, strict=True)
    )
    counts = Counter({str(name): n for name, n in counter.get_flop_counts()["Global"].items()})
    assert counts["aten.bmm"] == 2 * attention
    record = json.loads((job.out / "settings.json").read_text())
    assert record["options"]["size"] == "b0"
    assert record["data"]["mean"] == list(job.train.manifest.mean)
    assert record["data"]["std"] == list(job.train.manifest.std)
    assert record["versions"]["transformers"] == library().__version__


def test_bright_squares_are_learnt(data, tmp_path):
    job = job_of(data, tmp_path)
    segformer.fit(job, steps=50, batch=4, validate_every=25, warm_up=5)
    split = open_split(data, "test", purpose="evaluation")
    found = segformer.load(job.out, CPU).predict(split.images)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    mask = split.masks > 0
    hit = found >= 0.5
    dice = 2 * (hit & mask).sum((1, 2)) / (hit.sum((1, 2)) + mask.sum((1, 2)))
    assert dice.mean() > 0.9


class KilledError(Exception):
    """Stands for the end of the process."""


def die_at(monkeypatch, at):
    """Let the training end after the checkpoint of a step."""
    saved = segformer_training._checkpoint

    def checkpoint_then_die(state, *others):
        saved(state, *others)
        if state.step == at:
            raise KilledError

    monkeypatch.setattr(segformer_training, "_checkpoint", checkpoint_then_die)
    return lambda: monkeypatch.setattr(segformer_training, "_checkpoint", saved)


@pytest.mark.parametrize("at", [1, 2])
def test_a_resumed_training_equals_the_uninterrupted_one_bit_for_bit(
    data, tmp_path, monkeypatch, caplog, at
):
    whole, cut = (job_of(data, tmp_path / name) for name in ("whole", "cut"))
    segformer.fit(whole, **EVERY_STEP)
    live_on = die_at(monkeypatch, at)
    with pytest.raises(KilledError):
        segformer.fit(cut, **EVERY_STEP)
    live_on()
    torch.manual_seed(999)  # nothing may hang on the state of the global generator
    with caplog.at_level("INFO"):
        segformer.fit(cut, **EVERY_STEP)
    assert f"goes on at {at} of 3" in caplog.text
    assert contents(whole.out) == contents(cut.out)


def test_other_seeds_give_other_weights(data, tmp_path):
    found = []
    for seed in (0, 1):
        job = job_of(data, tmp_path / str(seed), seed=seed)
        segformer.fit(job, **TINY)
        found.append(load_tensors(job.out / "model.safetensors")[0])
    name = "segformer.stages.0.patch_embeddings.proj.weight"
    assert not torch.equal(found[0][name], found[1][name])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "data.digest was"),
        ({"learning_rate": 0.002}, "options.learning_rate was 0.001 and is now 0.002"),
    ],
)
def test_a_checkpoint_of_other_cases_or_options_is_refused_and_kept(
    data, tmp_path, monkeypatch, caplog, options, reason
):
    job = job_of(data, tmp_path)
    live_on = die_at(monkeypatch, 3)
    with pytest.raises(KilledError):
        segformer.fit(job, **TINY)
    live_on()
    other = data if options else squares(tmp_path / "other", seed=1)
    with caplog.at_level("WARNING"):
        segformer.fit(job_of(other, tmp_path), **TINY, **options)
    assert reason in caplog.text
    assert "it is kept as refused-" in caplog.text
    assert len(list(job.work.glob("refused-*.safetensors"))) == 1
    fresh = job_of(other, tmp_path / "fresh")
    segformer.fit(fresh, **TINY, **options)
    assert contents(job.out) == contents(fresh.out)


def test_a_prediction_does_not_hang_on_its_neighbours(data, tmp_path):
    job = job_of(data, tmp_path)
    segformer.fit(job, **TINY)
    predict, images = segformer.load(job.out, CPU).predict, images_of(data)
    together = predict(images)
    assert together.shape == images.shape[:3]
    apart = np.concatenate([predict(images[row : row + 1]) for row in range(len(images))])
    np.testing.assert_array_equal(together, apart)
    np.testing.assert_array_equal(together, predict(images[::-1])[::-1])
    assert predict(images[:0]).shape == (0, 32, 32)


def test_grey_images_have_one_channel_or_are_repeated_for_pretrained_weights(weights, tmp_path):
    grey = squares(tmp_path / "grey", channels=1)
    for given, channels in ((None, 1), (str(weights), 3)):
        job = job_of(grey, tmp_path / str(channels))
        segformer.fit(job, **TINY, pretrained=given)
        reference = segformer.load(job.out, CPU)
        assert reference.example.shape == (1, channels, 32, 32)
        assert reference.predict(images_of(grey)).shape == (11, 32, 32)


def test_pretrained_weights_are_where_a_training_starts(data, weights, tmp_path):
    network = build_pretrained("b0", str(weights))
    published, _ = load_plain(weights / "model.safetensors")
    start = network.state_dict()["segformer.stages.0.patch_embeddings.proj.weight"]
    expected = published["segformer.encoder.patch_embeddings.0.proj.weight"]
    torch.testing.assert_close(start, expected, rtol=0, atol=0)
    torch.manual_seed(5)
    assert not torch.equal(build("b0", 3).state_dict()["decode_head.classifier.weight"], start)

    job = job_of(data, tmp_path)
    segformer.fit(job, **TINY, pretrained=str(weights), learning_rate=1e-9)
    tensors, _ = load_tensors(job.out / "model.safetensors")
    trained = tensors["segformer.stages.0.patch_embeddings.proj.weight"]
    torch.testing.assert_close(trained, expected, rtol=0, atol=1e-7)
    notes = segformer.load(job.out, CPU).notes
    assert notes == (f"pretrained weights: {weights}",)


def load_plain(path):
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def test_weights_that_cannot_be_had_or_do_not_fit_are_told_of(weights, tmp_path):
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "model.safetensors").write_bytes((weights / "model.safetensors").read_bytes()[:90_000])
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    torch.save({}, pickled / "pytorch_model.bin")
    for given in ("nvidia/mit-b0", str(tmp_path / "nowhere"), str(cut), str(pickled)):
        with pytest.raises(UserError) as caught:
            build_pretrained("b0", given)
        assert str(caught.value) == (
            f"no pretrained weights of SegFormer could be read from '{given}', neither from a "
            "folder of that name nor from the hub; give a local folder that holds "
            "model.safetensors, or pretrained: null."
        )
    with pytest.raises(UserError, match="do not fit the encoder MiT-B1; give those of the same"):
        build_pretrained("b1", str(weights))


@pytest.mark.parametrize(
    ("side", "channels", "options", "sentence"),
    [
        (16, 3, {}, "needs images of 32 pixels or more, but those of squares have 16"),
        (32, 3, {"side": 256}, "side is 256, but for the 32 pixels of squares it lies in 32 to"),
        (64, 3, {"side": 32}, "side is 32, but for the 64 pixels of squares it lies in 64 to 256"),
        (32, 2, {"pretrained": "any"}, "1 or 3 channels, but those of squares have 2"),
    ],
)
def test_options_that_do_not_go_with_the_cases_are_refused(
    tmp_path, side, channels, options, sentence
):
    data = squares(tmp_path / "data", channels=channels, side=side)
    with pytest.raises(UserError, match=sentence):
        segformer.fit(job_of(data, tmp_path), **TINY, **options)


def test_a_loss_that_is_no_number_stops_with_step_rate_and_checkpoint(data, tmp_path, monkeypatch):
    honest, calls = segformer_training._losses, []

    def diverging(network, *others):
        calls.append(network.training)
        return honest(network, *others) * (math.nan if sum(calls) == 3 else 1)

    monkeypatch.setattr(segformer_training, "_losses", diverging)
    job = job_of(data, tmp_path)
    with pytest.raises(UserError) as caught:
        segformer.fit(job, **EVERY_STEP)
    state = job.work / "state.safetensors"
    assert str(caught.value) == (
        "the loss of squares SegFormer became nan at step 3 with learning rate 0.0005; the last "
        f"good checkpoint is {state}; lower the option learning_rate."
    )
    assert load_tensors(state)[1]["progress"]["step"] == 2


def test_what_does_not_belong_to_a_trained_network_is_refused(data, tmp_path):
    job = job_of(data, tmp_path)
    with pytest.raises(UserError, match=r"out holds no finished SegFormer: train it first\."):
        segformer.load(job.out, CPU)
    segformer.fit(job, **TINY)
    reference = segformer.load(job.out, CPU)
    for shape in ((1, 64, 64, 3), (1, 32, 32, 1)):
        with pytest.raises(UserError, match=r"trained on squares with images \(32, 32, 3\), but"):
            reference.predict(np.zeros(shape, dtype=np.uint8))
    settings = job.out / "settings.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"digest": "other"}))
    with pytest.raises(UserError, match=r"settings\.json was changed or damaged: it has \d+ bytes"):
        segformer.load(job.out, CPU)
    write_record(settings)  # as if it had come here whole, from another training
    with pytest.raises(UserError, match=r"does not belong to the settings\.json beside it"):
        segformer.load(job.out, CPU)


def test_the_weights_that_val_chose_are_kept(data, tmp_path, monkeypatch):
    """Val gets worse after step 2, so what is kept are the weights of step 2."""
    honest, step, seen = segformer_training._validate, [], {}

    def worse(state, *others):
        step.append(state.step)
        seen[state.step] = {name: each.clone() for name, each in state.network.state_dict().items()}
        monkeypatch.setattr(
            segformer_training,
            "_losses",
            lambda network, image, mask, recipe: torch.full((len(image),), abs(step[-1] - 2.0)),
        )
        honest(state, *others)
        monkeypatch.setattr(segformer_training, "_losses", losses)

    losses = segformer_training._losses
    monkeypatch.setattr(segformer_training, "_validate", worse)
    job = job_of(data, tmp_path)
    segformer.fit(job, **EVERY_STEP)
    kept, _ = load_tensors(job.out / "model.safetensors")
    lines = [json.loads(line) for line in (job.out / "history.jsonl").read_text().splitlines()]
    assert lines[-1] == {"step": 2, "chosen": 0.0}
    assert all(torch.equal(kept[name], value) for name, value in seen[2].items())
    assert any(not torch.equal(kept[name], value) for name, value in seen[3].items())


def test_the_rate_rises_and_falls_along_straight_lines():
    recipe = recipe_of()
    rates = [learning_rate_at(recipe, step) for step in range(1, 11)]
    expected = [0.025, 0.05, 0.075, 0.1, 0.1, 0.1 * 5 / 6, 0.1 * 4 / 6, 0.05, 0.1 / 3, 0.1 / 6]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)


def test_norms_do_not_decay_and_the_head_has_a_rate_of_its_own(data, tmp_path):
    recipe = recipe_of(size="b0", head_factor=10.0, weight_decay=0.01)
    state = segformer_training._start(job_of(data, tmp_path), recipe)
    names = {id(each): name for name, each in state.network.named_parameters()}
    groups = state.optimizer.param_groups
    assert sum(len(group["params"]) for group in groups) == len(names)
    for group in groups:
        for name in (names[id(each)] for each in group["params"]):
            assert group["factor"] == (10.0 if name.startswith("decode_head.") else 1.0)
            of_norm = "layernorm" in name or "layer_norm" in name or "batch_norm" in name
            assert group["weight_decay"] == (0.0 if of_norm else 0.01)


def test_losses_agree_with_two_classes_of_torch(monkeypatch):
    """One logit and cross-entropy equal torch's with the logits (0, z) of two classes."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 4, 4, generator=generator)
    mask = (torch.rand(2, 1, 4, 4, generator=generator) < 0.5).float()
    monkeypatch.setattr(segformer_training, "logits_of", lambda *given: logits)
    both = torch.cat([torch.zeros_like(logits), logits], dim=1)
    entropy = torch.nn.functional.cross_entropy(both, mask[:, 0].long(), reduction="none")
    entropy = entropy.mean((1, 2))
    given = (torch.nn.Identity(), mask, mask)
    alone = segformer_training._losses(*given, recipe_of(loss="cross_entropy"))
    torch.testing.assert_close(alone, entropy)
    with_dice = segformer_training._losses(*given, recipe_of(loss="overlap"))
    chance = torch.sigmoid(logits)
    overlap = (chance * mask).sum((1, 2, 3))
    dice = (2 * overlap + 1) / ((chance + mask).sum((1, 2, 3)) + 1)
    torch.testing.assert_close(with_dice, entropy + 1 - dice)


def test_logits_are_brought_to_the_resolution_of_the_images():
    class Network(torch.nn.Module):
        config = library().SegformerConfig(num_channels=3)

        def forward(self, pixel_values):
            self.seen = pixel_values
            return type("Output", (), {"logits": pixel_values[:, :1, ::4, ::4]})

    network = Network()
    image = torch.full((2, 1, 32, 32), 0.25)
    for side, seen in ((None, 32), (128, 128)):
        logits = mix_transformer.logits_of(network, image, side)
        assert network.seen.shape == (2, 3, seen, seen)
        torch.testing.assert_close(logits, image)
