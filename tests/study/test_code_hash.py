"""An edited module reruns what uses it and nothing else."""

import shutil

import pytest

from noise2mask import plugins
from noise2mask.study import code_hash


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package whose sources may be edited."""
    copy = tmp_path / "noise2mask"
    shutil.copytree(plugins.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(plugins, "PACKAGE", copy)

    code_hash.forget()
    yield copy, code_hash.forget
    monkeypatch.undo()
    code_hash.forget()


STAGES = {
    "ensemdiff": ("training.train", "networks.ensemdiff", "diffusion.modes:diffusion"),
    "segdiff": ("training.train", "networks.segdiff", "diffusion.modes:diffusion"),
    "segdiff ff": ("training.train", "networks.segdiff", "diffusion.modes:feed_forward"),
    "ddim": ("sampling.sample", "diffusion.samplers:ddim"),
    "ddpm": ("sampling.sample", "diffusion.samplers:ddpm"),
    "reading": ("sampling.readings", "sampling.fusion:mean"),
    "dice": ("evaluation.score", "evaluation.metrics:dice"),
    "hd95": ("evaluation.score", "evaluation.metrics:hd95"),
}


def changed(package, module, old, new):
    """Names of the stages whose fingerprint changes with an edit."""
    copy, forget = package
    before = {name: code_hash.hash_code(*entries) for name, entries in STAGES.items()}
    path = copy.joinpath(*module.split(".")).with_suffix(".py")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    forget()
    after = {name: code_hash.hash_code(*entries) for name, entries in STAGES.items()}
    return {name for name in STAGES if before[name] != after[name]}


def test_a_comment_and_a_docstring_rerun_nothing(package):
    assert changed(package, "training.train", "import math", "import math  # why") == set()
    assert (
        changed(package, "training.train", '"""What a training is', '"""Whatever a training is')
        == set()
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
    assert changed(package, "evaluation.metrics", "(way, 95)", "(way, 96)") == {"hd95"}


@pytest.mark.parametrize("moved", ["seeds", "training.checkpoint", "evaluation.reliability"])
def test_a_module_that_moves_reruns_nothing(package, moved):
    copy, forget = package
    before = {name: code_hash.hash_code(*entries) for name, entries in STAGES.items()}
    (copy / "elsewhere").mkdir()
    name = moved.rpartition(".")[2]
    copy.joinpath(*moved.split(".")).with_suffix(".py").rename(
        copy / "elsewhere" / f"old_{name}.py"
    )
    package = f"noise2mask.{moved}".rpartition(".")[0]
    for path in copy.rglob("*.py"):
        text = path.read_text().replace(f"noise2mask.{moved} ", f"noise2mask.elsewhere.old_{name} ")
        as_module = f"from {package} import {name}\n"
        new = f"from noise2mask.elsewhere import old_{name} as {name}\n"
        path.write_text(text.replace(as_module, new))
    forget()
    after = {name: code_hash.hash_code(*entries) for name, entries in STAGES.items()}
    assert before == after
    assert any(
        f"elsewhere.old_{name}" in entry
        for entries in STAGES.values()
        for entry in code_hash.code_behind(*entries)
    )


def test_the_name_under_which_something_is_imported_counts(package):
    old, new = (
        "from noise2mask.seeds import seed_of",
        "from noise2mask.seeds import seed_of as of_seed",
    )
    assert changed(package, "training.train", old, new) >= {"ensemdiff", "segdiff"}


def test_settings_modules_are_no_code(package):
    assert changed(package, "study.schema", "le=4096", "le=4097") == set()


def test_seeds_rerun_what_draws(package):
    """Scores too: the floors beside them draw pixels."""
    found = changed(package, "seeds", ">> 1", ">> 2")
    assert found == set(STAGES) - {"reading"}


def test_the_hash_of_an_entry_is_that_of_itself_alone(package):
    copy, forget = package
    entries = ("networks.blocks:time_features", "networks.blocks:zeroed", "networks.segdiff")
    before = [code_hash.entry_hash(entry) for entry in entries]
    path = copy / "networks/blocks.py"
    path.write_text(path.read_text().replace("math.log(10_000)", "math.log(20_000)"))
    forget()
    after = [code_hash.entry_hash(entry) for entry in entries]
    assert [one == two for one, two in zip(before, after, strict=True)] == [False, True, True]


def test_what_a_hash_is_made_of_is_the_same_for_every_version_of_python(package):
    copy, forget = package
    source = '''"""Doc."""\nimport os.path as p\nfrom noise2mask.seeds import seed_of as s\n\n
X: int = 3  # type: ignore\n\n
async def f(a, /, b: "int" = -1.5, *c, d=..., **e) -> None:
    """Doc."""
    with p.x(a) as b, c:
        return [f"{x!r:>{b}} {{}}" for x in c if not x] or {**e, "k": b"x"}, s(*c), lambda: (yield)
    try:
        del a[1:b, ::2]
    except (ValueError, OSError) as error:
        raise error from None
'''
    (copy / "odd.py").write_text(source)
    forget()
    assert code_hash.entry_hash("odd") == "35e4890a1001"


def test_unknown_entries_are_errors():
    with pytest.raises(ModuleNotFoundError, match="no module 'nowhere'"):
        code_hash.hash_code("nowhere")
    with pytest.raises(AttributeError, match="no function 'nothing'"):
        code_hash.hash_code("evaluation.metrics:nothing")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("report/figures/results.py", "SEEN = 0.001", "SEEN = 0.002"),
        ("report/figures/cost.py", '"best within the time"', '"best"'),
        ("report/report.md.j2", "## What came out", "## Found"),
        ("analysis/claims/paper_scores.py", 'return _overlap(evidence, "own")', "return 1"),
        (
            "analysis/claims/predictions.py",
            "return Outcome(parts, told, remark",
            "return Outcome(parts, told",
        ),
    ],
)
def test_an_edited_figure_or_template_reruns_the_report(package, file, old, new):
    copy, forget = package
    before = code_hash.hash_code(*code_hash.report_entries())
    path = copy / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    forget()
    plugins._source.cache_clear()
    plugins._functions.cache_clear()
    assert code_hash.hash_code(*code_hash.report_entries()) != before


def test_a_plugin_of_the_working_folder_is_hashed_with_what_lies_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab_layers.py").write_text("WIDTH = 8\n")
    (tmp_path / "lab_net.py").write_text(
        "import numpy\n\nfrom lab_layers import WIDTH\n\n\ndef build(*, width: int = 1):\n"
        "    return numpy.zeros(WIDTH * width)\n"
    )
    entry = plugins.entry("architecture", "lab_net:build")
    assert code_hash.code_behind(entry) == ("@lab_layers:WIDTH", "@lab_net")
    before = code_hash.hash_code(entry)
    (tmp_path / "lab_layers.py").write_text("WIDTH = 9\n")
    code_hash.forget()
    plugins._source.cache_clear()
    assert code_hash.hash_code(entry) != before
    code_hash.forget()
