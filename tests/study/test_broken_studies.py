"""Whatever is wrong with a study is told in sentences: seeded damage to the studies of the project.

A damaged study is either sound after all, then it has a plan, or is refused with a line for every
mistake; never a traceback, never for ever.
"""

import copy
import math
import random

import pytest
import yaml
from helpers.project import ROOT

from noise2mask.errors import UserError
from noise2mask.patterns import time_limit
from noise2mask.study import code_hash
from noise2mask.study.load import check_data, load_study
from noise2mask.study.plan import (
    analysis_tables,
    measured_modes,
    priced_trainings,
    run_settings,
    samplers_of,
    trainings_of,
)

STUDIES = {
    path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "config").glob("*.yaml"))
}
ODD = [
    None, True, False, "", " ", "x", "..", "a/b", "é", "\u202eab", -1, 0, 1, 3, 10**9, 10**39,
    -(10**18), 2**31, 2**63, 1e-300, 1e300, math.inf, -math.inf, math.nan, 0.5, 1.5, [], {}, [[]],
    [None], [{}], [0, 0], ["a", "a"], {"a": 1}, {"": {}}, {"1": None}, {"named": "isic2016"},
    {"named": [3]}, {"kind": "phantoms"}, {"name": "linear"}, "{data}", r"$\frac$", "x" * 3000,
    list(range(3000)), "os:system", "yaml:load", "noise2mask.study.load:load_study", "band",
    "bytes", "__class__", "train", "reference", "blind", "2024_05", "a: b", "(a+)+$", "(", "1e-4",
    "ddim10", "10,,20", "ddim", "0",
]  # fmt: skip
INSERTED = ["", ":", "\t", "{", "}", "[", "]", "&a ", "*a", "!!x ", "'", '"', "\n", "- ", "\0", "é",
            "<<: ", "#", "|", "? "]  # fmt: skip
LONGEST = 1000
"""Letters of one line of a message: all datasets that can be had by name are not more."""


def places(content, above=()):
    """Every place in a document, as the keys and indices that lead there."""
    inside = content.items() if isinstance(content, dict) else []
    inside = enumerate(content) if isinstance(content, list) else inside
    for key, value in inside:
        yield (*above, key)
        yield from places(value, (*above, key))


def at(content, place):
    for key in place:
        content = content[key]
    return content


def damage(document, dice):
    """Change one to three places of a document, and sometimes letters of its text."""
    document = copy.deepcopy(document)
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        found = list(places(document))
        *above, key = dice.choice(found)
        parent = at(document, above)
        value, odd = parent[key], copy.deepcopy(dice.choice(ODD))
        other = copy.deepcopy(at(document, dice.choice(found)))
        change = dice.randrange(7)
        if change == 0:
            del parent[key]
        elif change == 1 and isinstance(parent, dict):
            parent[dice.choice([str(odd)[:80], f"{key}x", str(key)[:-1]])] = parent.pop(key)
        elif change == 2 and isinstance(parent, dict):
            parent[str(odd)[:80]] = other
        elif change == 3:
            parent[key] = other
        elif change == 4 and isinstance(value, float | int):
            parent[key] = value * dice.choice([-1, 0, 1000, 10**6, 0.5, 1e-9])
        elif change == 5:
            parent[key] = dice.choice([[value], {"x": value}, str(value)])
        else:
            parent[key] = odd
    letters = list(yaml.safe_dump(document, sort_keys=False, allow_unicode=dice.random() < 0.5))
    for _ in range(dice.choice([0] * 6 + [1, 2, 5])):
        letters[dice.randrange(len(letters))] = dice.choice(INSERTED)
    return "".join(letters)


def plan(study):
    """What the workflow asks of every study before anything runs."""
    for training in trainings_of(study):
        settings = run_settings(study, training)
        assert settings.digest()
        assert code_hash.training_entries(settings)
        assert samplers_of(study, training) is not None
    assert priced_trainings(study) is not None
    assert measured_modes(study) is not None
    assert analysis_tables(study) is not None


def outcome(path):
    """`sound` or `told`; fails at anything else."""
    with time_limit(20):  # of this process
        try:
            study = load_study(path, "/nowhere")
            check_data(study, path.stem)
        except UserError as error:
            head, *lines = str(error).split("\n  ")
            assert head.startswith((str(path), "datasets."))
            for line in (head, *lines):
                assert "\n" not in line
                assert len(line) <= LONGEST
                assert "<class" not in line
                assert " object at 0x" not in line
            return "told"
        plan(study)
    return "sound"


@pytest.mark.parametrize("part", range(4))
def test_damaged_studies_are_sound_or_told(tmp_path, part):
    path = tmp_path / "mine.yaml"
    found = []
    for seed in range(50 * part, 50 * (part + 1)):
        dice = random.Random(seed)
        name = dice.choice(list(STUDIES)) if dice.random() < 0.3 else "test"
        path.write_text(damage(STUDIES[name], dice))
        try:
            found.append(outcome(path))
        except BaseException as error:
            error.add_note(f"seed {seed} damages the study {name}")
            raise
    assert found.count("told") > found.count("sound") > 0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"modes": True, "grid": {"mode": "diffusion", "factors": {"target": {"x_0": {}, "eps":
            {"diffusion": {"target": "eps"}}}}}}, "grid.mode: unknown mode 'diffusion'"),
        ({"folders": {"root": "/nowhere", "": {}}}, "folders: unknown field ''"),
        ({"datasets": {"mine": {"named": [3]}}}, "datasets.mine.named: "),
        ({"datasets": {"mine": {"named": "x" * 3000}}}, f"unknown dataset '{'x' * 80}...'; `noise"),
        ({"datasets": {"mine": {"named": "busi", "stand_in": {"named": [3]}}}}, "stand_in.named: "),
    ],
)  # fmt: skip
def test_what_once_ended_in_a_traceback(tmp_path, changes, sentence):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**STUDIES["test"], **changes}))
    with pytest.raises(UserError, match="mistake") as caught:
        load_study(path)
    assert sentence in str(caught.value)
