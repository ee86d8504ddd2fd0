"""Stages run by hand on damaged files: one sentence, never a traceback, never a wrong result."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.project import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from noise2mask import cli
from noise2mask.files import record_of

DATA = "data/prepared/small/lesion_phantom"
RESULTS = "results/small/lesion_phantom"
RUN = f"{RESULTS}/ensemdiff/diffusion/seed0"
OTHER = f"{RESULTS}/ensemdiff/feed_forward/seed0"
TRAINING = ("--dataset", "lesion_phantom", "--network", "ensemdiff", "--seed", "0")
DIFFUSION = (*TRAINING, "--mode", "diffusion")
DATASET = ("--dataset", "lesion_phantom")

STAGES = {
    "blind": ("blind", *DATASET),
    "fingerprint": ("fingerprint", *DATASET),
    "train": ("train", *DIFFUSION),
    "sample": ("sample", *DIFFUSION, "--sampler", "ddim2"),
    "read": ("read", *DIFFUSION, "--sampler", "tempered"),
    "evaluate": ("evaluate", *DIFFUSION, "--sampler", "ddim2"),
    "measure": ("measure", *TRAINING),
    "cost": ("cost",),
    "report": ("report",),
}
# What each stage opens of what others have left, and another file of the same kind.
OPENED = {
    f"{DATA}/manifest.json": ("blind", "fingerprint", "train", "sample", "evaluate", "report"),
    f"{DATA}/train.images.npy": ("blind", "fingerprint", "train"),
    f"{DATA}/train.masks.npy": ("blind", "train"),
    f"{DATA}/val.images.npy": ("blind", "train"),
    f"{DATA}/val.masks.npy": ("blind", "read", "train"),
    f"{DATA}/test.images.npy": ("blind", "sample", "measure"),
    f"{DATA}/test.masks.npy": ("blind", "evaluate", "report"),
    f"{RUN}/run.json": ("sample", "measure", "cost", "report"),
    f"{RUN}/model.safetensors": ("sample", "measure", "cost"),
    f"{RUN}/history.jsonl": ("report",),
    f"{RUN}/ddim2/draws.npz": ("evaluate", "read", "report"),
    f"{RUN}/ddim2/val.npz": ("read",),
    f"{RUN}/ddim2/metrics.csv": ("report",),
    f"{RUN}/ddim2/reliability.csv": ("report",),
    f"{RESULTS}/blind/mean_mask/metrics.csv": ("report",),
    f"{RESULTS}/blind/mean_mask/reliability.csv": ("report",),
    f"{RESULTS}/fingerprint/curves.csv": ("report",),
    f"{RESULTS}/ensemdiff/measured/seed0/losses.csv": ("report",),
    "results/small/costs.csv": ("report",),
}
# What a report can do without, and lists.
LISTED = {
    f"{RUN}/ddim2/draws.npz",
    f"{RUN}/ddim2/metrics.csv",
    f"{RESULTS}/blind/mean_mask/metrics.csv",
    f"{RESULTS}/ensemdiff/measured/seed0/losses.csv",
    "results/small/costs.csv",
}


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def flipped(path: Path, at: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= 1
    path.write_bytes(content)


def flipped_first(path: Path) -> None:
    flipped(path, 0)


def flipped_last(path: Path) -> None:
    flipped(path, 1)


def garbled(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))


def nested(path: Path) -> None:
    path.write_bytes(b"[" * 100_000)


def other_letters(path: Path) -> None:
    path.write_bytes("é,ü\n1,2\n".encode("utf-16"))


def of_another(path: Path) -> None:
    """A file of the same kind that belongs elsewhere, its record too."""
    twin = next(
        other
        for other in sorted(Path().glob(f"*/**/*{path.suffix}"))
        if other != path and other.is_file() and other.read_bytes() != path.read_bytes()
    )
    shutil.copyfile(twin, path)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def removed(path: Path) -> None:
    path.unlink()


def a_dead_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def a_link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def without_record(path: Path) -> None:
    record_of(path).unlink()


def record_emptied(path: Path) -> None:
    record_of(path).write_bytes(b"")


def record_nested(path: Path) -> None:
    nested(record_of(path))


def record_of_another(path: Path) -> None:
    said = json.loads(record_of(path).read_bytes())
    record_of(path).write_text(json.dumps(said | {"sha256": "0" * 64}))


def not_a_number(path: Path) -> None:
    tensors = load_file(path)
    name = next(name for name, value in tensors.items() if value.dtype.kind == "f")
    tensors[name] = tensors[name] * np.nan
    save_file(tensors, path)


DAMAGES: tuple[Callable[[Path], None], ...] = (
    emptied, halved, cut, longer, flipped, flipped_first, flipped_last, garbled, nested,
    other_letters, of_another, a_folder, removed, a_dead_link, a_link_to_itself, a_pipe, endless,
)  # fmt: skip
OF_RECORDS = (without_record, record_emptied, record_nested, record_of_another)


def cases() -> list[tuple[str, str, Callable[[Path], None]]]:
    """Stage, file and damage; each damage with the first stage, three of them with the others."""
    found = []
    for file, stages in OPENED.items():
        has_record = not file.endswith(".npy")
        damages = [*DAMAGES, *(OF_RECORDS if has_record else ())]
        if file.endswith(".safetensors"):
            damages.append(not_a_number)
        found += [(stages[0], file, damage) for damage in damages]
        found += [
            (stage, file, damage) for stage in stages[1:] for damage in (halved, flipped, removed)
        ]
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A small study after all of its stages."""
    folder = tmp_path_factory.mktemp("damage")
    (folder / "config").mkdir()
    study = yaml.safe_load((ROOT / "config/test.yaml").read_text())
    study["datasets"] = {"lesion_phantom": study["datasets"]["lesion_phantom"]}
    study["networks"] = {"ensemdiff": study["networks"]["ensemdiff"]}
    study["samplers"].pop("calibration")
    study["modes"] = {
        "feed_forward": {"mode": "feed_forward", "samplers": ["one_pass"]},
        "diffusion": {"mode": "diffusion", "samplers": ["ddim2", "tempered"]},
        "image_free": {"mode": "image_free"},
    }
    study["readings"] = {"tempered": {"of": "ddim2", "temperature": True}}
    study["analysis"] |= {"oracles": ["pixel"], "measured": ["diffusion", "image_free"]}
    study["training"] |= {"steps": 2}
    study["evaluation"] = {"resamples": 100}
    study["costs"] = True
    (folder / "config/small.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    before = Path.cwd()
    os.chdir(folder)
    try:
        for stage in (
            ("prepare", *DATASET),
            *(("train", *TRAINING, "--mode", mode) for mode in study["modes"]),
            ("sample", *TRAINING, "--mode", "feed_forward", "--sampler", "one_pass"),
            ("sample", *DIFFUSION, "--sampler", "ddim2"),
            ("sample", *DIFFUSION, "--sampler", "ddim2", "--split", "val"),
            ("read", *DIFFUSION, "--sampler", "tempered"),
            ("evaluate", *TRAINING, "--mode", "feed_forward", "--sampler", "one_pass"),
            ("evaluate", *DIFFUSION, "--sampler", "ddim2"),
            ("evaluate", *DIFFUSION, "--sampler", "tempered"),
            STAGES["blind"], STAGES["fingerprint"], STAGES["measure"], STAGES["cost"],
            STAGES["report"],
        ):  # fmt: skip
            assert run(stage) == 0, stage
    finally:
        os.chdir(before)
    return folder


def run(stage: tuple[str, ...]) -> int:
    return cli.main([*stage, "--study", "small"])


@contextmanager
def restored(folder: Path, file: str) -> Iterator[None]:
    """The study's folder; a file that is damaged there is put back, with its record."""
    before = Path.cwd()
    os.chdir(folder)
    path = Path(file)
    kept = {each: each.read_bytes() for each in (path, record_of(path)) if each.exists()}
    training = Path(RUN).with_name("kept")
    try:
        yield
    finally:
        if training.exists():
            shutil.rmtree(RUN, ignore_errors=True)
            training.rename(RUN)
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        path.unlink(missing_ok=True)
        for each, content in kept.items():
            each.write_bytes(content)
        os.chdir(before)


def is_one_sentence(said: str) -> bool:
    """Whether all that was said of a mistake is one line, after what was told of the progress."""
    errors = [line for line in said.splitlines() if line.startswith("Error: ")]
    return len(errors) == 1 and said.rstrip().endswith(errors[0]) and "Traceback" not in said


def meets_damage(stage: str, file: str, capsys) -> None:
    """Run a stage on a file that was damaged."""
    if stage == "train":  # a finished training is left alone
        Path(RUN).rename(Path(RUN).with_name("kept"))
    capsys.readouterr()
    status = run(STAGES[stage])
    said = capsys.readouterr().err
    assert status == 2, f"{stage} went on with a damaged {file}: {said}"
    assert is_one_sentence(said), said
    assert Path(file).name in said or Path(file).parent.name in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "file", "damage"),
    [
        pytest.param(stage, file, damage, id=f"{stage}-{Path(file).name}-{damage.__name__}")
        for stage, file, damage in cases()
    ],
)
def test_a_damaged_file_is_one_sentence(finished, capsys, stage, file, damage):
    with restored(finished, file):
        damage(Path(file))
        gone = damage in (removed, a_dead_link, a_link_to_itself)
        if gone and stage == "report" and file in LISTED:
            # A report lists what it has to do without.
            capsys.readouterr()
            assert run(STAGES["report"]) == 0
            assert capsys.readouterr().err.startswith("1 results are missing; ")
        else:
            meets_damage(stage, file, capsys)


@settings(
    max_examples=25, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(
    case=st.sampled_from([(stages[0], file) for file, stages in OPENED.items()]),
    at=st.floats(0, 1),
    kept=st.floats(0, 0.999),
    cuts=st.booleans(),
)
def test_any_flipped_bit_or_cut_is_one_sentence(finished, capsys, case, at, kept, cuts):
    stage, file = case
    with restored(finished, file):
        content = Path(file).read_bytes()
        if cuts:
            Path(file).write_bytes(content[: int(kept * len(content))])
        else:
            flipped(Path(file), at)
        meets_damage(stage, file, capsys)
