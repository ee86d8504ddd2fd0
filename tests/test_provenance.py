"""An edited module reruns what uses it and nothing else."""

import shutil

import pytest

from noise2mask import catalogue, provenance


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package whose sources may be edited."""
    copy = tmp_path / "noise2mask"
    shutil.copytree(catalogue.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(catalogue, "PACKAGE", copy)

    def forget():
        for function in (provenance._tree, provenance._statements, provenance._meaning):
            function.cache_clear()
        provenance.fingerprint.cache_clear()

    forget()
    yield copy, forget
    monkeypatch.undo()
    forget()


STAGES = {
    "ensemdiff": ("training", "networks.ensemdiff", "diffusion.modes:diffusion"),
    "segdiff": ("training", "networks.segdiff", "diffusion.modes:diffusion"),
    "segdiff ff": ("training", "networks.segdiff", "diffusion.modes:feed_forward"),
    "ddim": ("sampling", "diffusion.samplers:ddim"),
    "ddpm": ("sampling", "diffusion.samplers:ddpm"),
    "dice": ("evaluation", "metrics:dice"),
    "hd95": ("evaluation", "metrics:hd95"),
}


def changed(package, module, old, new):
    """Names of the stages whose fingerprint changes with an edit."""
    copy, forget = package
    before = {name: provenance.fingerprint(*entries) for name, entries in STAGES.items()}
    path = copy.joinpath(*module.split(".")).with_suffix(".py")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    forget()
    after = {name: provenance.fingerprint(*entries) for name, entries in STAGES.items()}
    return {name for name in STAGES if before[name] != after[name]}


def test_a_comment_and_a_docstring_rerun_nothing(package):
    assert changed(package, "training", "import math", "import math  # why") == set()
    assert (
        changed(package, "training", '"""What a training is', '"""Whatever a training is') == set()
    )


def test_a_network_reruns_its_own_trainings(package):
    assert changed(package, "networks.segdiff", "0.2", "0.3") == {"segdiff", "segdiff ff"}


def test_a_shared_block_reruns_all_that_use_it(package):
    old, new = "math.log(10_000)", "math.log(20_000)"
    assert changed(package, "networks.blocks", old, new) == {"ensemdiff", "segdiff", "segdiff ff"}


def test_one_mode_does_not_rerun_the_other(package):
    found = changed(package, "diffusion.losses", "2 * overlap + 1", "2 * overlap + 2")
    assert found == {"segdiff ff"}


def test_a_new_sampler_reruns_nothing(package):
    new = "def euler(denoise, x_t, schedule, timesteps):\n    return x_t\n\n\ndef ddpm("
    assert changed(package, "diffusion.samplers", "def ddpm(", new) == set()


def test_one_sampler_and_one_metric_rerun_themselves(package):
    old = "return _ddpm(denoise"
    assert changed(package, "diffusion.samplers", old, "return 1 * _ddpm(denoise") == {"ddpm"}
    assert changed(package, "metrics", "(way, 95)", "(way, 96)") == {"hd95"}


@pytest.mark.parametrize("moved", ["rng", "checkpoints", "reliability"])
def test_a_module_that_moves_reruns_nothing(package, moved):
    copy, forget = package
    before = {name: provenance.fingerprint(*entries) for name, entries in STAGES.items()}
    (copy / "elsewhere").mkdir()
    (copy / f"{moved}.py").rename(copy / "elsewhere" / f"{moved}_of_old.py")
    for path in copy.rglob("*.py"):
        text = path.read_text()
        new = text.replace(f"noise2mask.{moved} ", f"noise2mask.elsewhere.{moved}_of_old ")
        path.write_text(new)
    forget()
    after = {name: provenance.fingerprint(*entries) for name, entries in STAGES.items()}
    assert before == after
    assert any(
        f"elsewhere.{moved}_of_old" in entry
        for entries in STAGES.values()
        for entry in provenance.code_behind(*entries)
    )


def test_the_name_under_which_something_is_imported_counts(package):
    old, new = "from noise2mask.rng import seed_of", "from noise2mask.rng import seed_of as of_seed"
    assert changed(package, "training", old, new) >= {"ensemdiff", "segdiff"}


def test_settings_modules_are_no_code(package):
    assert changed(package, "config", "le=4096", "le=4097") == set()


def test_seeds_rerun_what_draws(package):
    found = changed(package, "rng", ">> 1", ">> 2")
    assert found == set(STAGES) - {"dice", "hd95"}


def test_the_hash_of_an_entry_is_that_of_itself_alone(package):
    copy, forget = package
    entries = ("networks.blocks:time_features", "networks.blocks:zeroed", "networks.segdiff")
    before = [provenance.entry_hash(entry) for entry in entries]
    path = copy / "networks/blocks.py"
    path.write_text(path.read_text().replace("math.log(10_000)", "math.log(20_000)"))
    forget()
    after = [provenance.entry_hash(entry) for entry in entries]
    assert [one == two for one, two in zip(before, after, strict=True)] == [False, True, True]


def test_unknown_entries_are_errors():
    with pytest.raises(ModuleNotFoundError, match="no module 'nowhere'"):
        provenance.fingerprint("nowhere")
    with pytest.raises(AttributeError, match="no function 'nothing'"):
        provenance.fingerprint("metrics:nothing")
