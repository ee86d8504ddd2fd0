"""What differs between what made two reports, and which of their scores it touches.

Every score depends on a list of facts: settings with the overrides of its training applied, hashes
of the code behind it, digests of its data, versions. A fact that differs is a change, and it
touches the scores that depend on it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from noise2mask.report.provenance import Record, Trained
from noise2mask.study.code_hash import MACHINE
from noise2mask.study.plan import merged

Kind = Literal["setting", "code", "data", "version", "machine"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ABSENT = "absent"
SINCE = "edited since the training"
BAND = "_band"


# What only names things, or is told by the digests of the data.
_NAMES = {
    "datasets": {"title", "named", "licence", "stands_for", "options.root"},
    "networks": {"title"},
    "modes": {"samplers"},
    "samplers": {"networks"},
}


class Score(NamedTuple):
    """One metric of one result."""

    dataset: str
    network: str
    mode: str
    sampler: str
    metric: str


class Fact(NamedTuple):
    """What a score depends on: a dotted path, a module, a split, a library, the processor."""

    kind: Kind
    name: str


@dataclass(frozen=True)
class Change:
    """A fact that differs.

    Args:
        kind: of the fact.
        name: of the fact; of code, the module.
        before: its value in the first report, ``absent`` if it has none.
        after: its value in the second report.
        touches: the scores that depend on it.
    """

    kind: Kind
    name: str
    before: str
    after: str
    touches: frozenset[Score]


def changes_between(a: Record, b: Record, scores: Sequence[Score]) -> list[Change]:
    """Everything that differs and touches one of `scores`: settings first, then code and data."""
    found: dict[tuple[Fact, str, str], set[Score]] = {}
    for score in scores:
        for fact, before, after in _differences(a, b, score):
            found.setdefault((fact, before, after), set()).add(score)
    changes = [
        Change(fact.kind, fact.name, before, after, frozenset(touched))
        for (fact, before, after), touched in found.items()
    ]
    plain = [change for change in changes if change.kind != "code"]
    together = [*plain, *_by_module([change for change in changes if change.kind == "code"])]
    return sorted(together, key=lambda one: (KINDS.index(one.kind), one.name, one.before))


def untouching(a: Record, b: Record, changes: Sequence[Change]) -> list[str]:
    """Dotted paths of settings that differ and are none of `changes`: they touch no score."""
    known = {change.name for change in changes if change.kind == "setting"}
    found = []
    for path in _differing(a.settings, b.settings):
        resolved = path == "overrides" and any(
            name.startswith(("training.", "diffusion.")) for name in known
        )
        if not resolved and not any(f"{name}.".startswith(f"{path}.") for name in known):
            found.append(path)
    return sorted(found)


def _differences(a: Record, b: Record, score: Score) -> Iterator[tuple[Fact, str, str]]:
    """Facts behind one score that differ, with their values in both records."""
    before, after = _facts(a, score), _facts(b, score)
    for fact in before.keys() | after.keys():
        if before.get(fact) != after.get(fact):
            yield fact, before.get(fact, ABSENT), after.get(fact, ABSENT)
    parts = _parts(a, score), _parts(b, score)
    trainings = _trainings(a, score), _trainings(b, score)
    if {training.code for training in trainings[0]} == {training.code for training in trainings[1]}:
        parts = (
            parts[0] - {training.part for training in trainings[0]},
            parts[1] - {training.part for training in trainings[1]},
        )
    elif not all(training.current for training in [*trainings[0], *trainings[1]]):
        for part in sorted({training.part for training in [*trainings[0], *trainings[1]]}):
            yield Fact("code", part), "", SINCE
    hashes = _hashes(a, parts[0]), _hashes(b, parts[1])
    for entry in hashes[0].keys() | hashes[1].keys():
        old, new = hashes[0].get(entry, ABSENT), hashes[1].get(entry, ABSENT)
        # Where settings choose other code, that code is not a change of its own.
        if old != new and (parts[0] == parts[1] or ABSENT not in (old, new)):
            yield Fact("code", entry), old, new


def _facts(record: Record, score: Score) -> dict[Fact, str]:
    """Settings, data and versions that one score of a report depends on, as text."""
    facts = {Fact("setting", path): spoken(value) for path, value in _settings(record, score)}
    data = record.datasets.get(score.dataset)
    for split, value in data.digests.items() if data else ():
        facts[Fact("data", f"{score.dataset}, {split} cases")] = value
    versions = dict(record.versions)
    for training in _trainings(record, score):
        versions |= training.versions
    for name, value in versions.items():
        facts[Fact("machine" if name in MACHINE else "version", name)] = value
    return facts


def spoken(value: Any) -> str:
    """A setting as a study file writes it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _settings(record: Record, score: Score) -> Iterator[tuple[str, Any]]:
    """Settings that decide a score, those of its training with overrides applied."""
    study = record.settings
    stem = score.metric.removesuffix(BAND)
    for section, name in zip(_NAMES, score, strict=False):
        entry = study.get(section, {}).get(name, {})
        for path, value in _flat(entry, ""):
            if path not in _NAMES[section]:
                yield f"{section}.{name}.{path}", value
    for part in ("training", "diffusion"):
        yield from _flat(_overridden(study, part, score), f"{part}.")
    evaluation = study.get("evaluation", {})
    yield "evaluation.fusion", evaluation.get("fusion")
    for section in ("metrics", "calibration"):
        options = evaluation.get(section, {}).get(stem)
        if options is not None:
            yield from _flat(options, f"evaluation.{section}.{stem}.")
    if stem in evaluation.get("metrics", {}):
        yield "evaluation.threshold", evaluation.get("threshold")
    if score.metric.endswith(BAND):
        yield "evaluation.band", evaluation.get("band")
    if stem == "nll":  # likelihoods are clipped by the largest number of draws
        for name, sampler in study.get("samplers", {}).items():
            yield f"samplers.{name}.draws", sampler.get("draws")
    yield from _flat(study.get("shares", {}), "shares.")
    for name in ("device", "precision", "threads"):
        yield f"compute.{name}", study.get("compute", {}).get(name)
    yield "resolution", study.get("resolution")
    yield "seeds", study.get("seeds")


def _overridden(study: Mapping[str, Any], part: str, score: Score) -> dict[str, Any]:
    """``training`` or ``diffusion``; records of older versions may have other fields."""
    settings: dict[str, Any] = study.get(part, {})
    for override in study.get("overrides", ()):
        chosen = (
            (override.get("datasets"), score.dataset),
            (override.get("networks"), score.network),
            (override.get("modes"), score.mode),
        )
        if all(names is None or name in names for names, name in chosen):
            settings = merged(settings, override.get(part, {}))
    return settings


def _parts(record: Record, score: Score) -> set[str]:
    """Names of the parts of the code behind a score."""
    parts = {
        f"metric {score.metric.removesuffix(BAND)}",
        f"evaluation {record.settings['evaluation']['fusion']}",
    }
    if score.dataset in record.datasets:
        parts.add(record.datasets[score.dataset].part)
    for training in _trainings(record, score):
        parts.add(training.part)
        if score.sampler in training.samplers:
            parts.add(training.samplers[score.sampler].part)
    return parts


def _hashes(record: Record, parts: set[str]) -> dict[str, str]:
    """Hash of each module or function of some parts."""
    entries = {entry for part in parts for entry in record.code.parts.get(part, ())}
    return {entry: record.code.entries[entry] for entry in entries}


def _trainings(record: Record, score: Score) -> list[Trained]:
    """Trainings behind a score, one a seed."""
    start = "/".join(score[:3])
    return [
        training
        for label, training in record.trainings.items()
        if label.rpartition("/")[0] == start
    ]


def _flat(content: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Values of nested mappings under their dotted paths; an empty mapping has none."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _differing(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted paths that differ, the shortest that say it."""
    for key in a.keys() | b.keys():
        before, after = a.get(key), b.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _differing(before, after, f"{prefix}{key}.")
        elif before != after:
            yield f"{prefix}{key}"


def _by_module(changes: Sequence[Change]) -> list[Change]:
    """Changes of code, one for each module and the scores that it touches."""
    found: dict[tuple[str, frozenset[Score]], set[str]] = {}
    for change in changes:
        kind = {ABSENT: "gone", SINCE: SINCE}.get(change.after, "edited")
        kind = "new" if change.before == ABSENT else kind
        module = change.name.partition(":")[0]
        found.setdefault((module, change.touches), set()).add(kind)
    return [
        Change("code", module, "", kinds.pop() if len(kinds) == 1 else "edited", touches)
        for (module, touches), kinds in found.items()
    ]
