"""Training a reference on the prepared cases of a study and predicting its test cases.

It runs in the reference's own environment, see :mod:`noise2mask.baselines.environment`.
"""

import tempfile
from pathlib import Path
from typing import Any

import torch

from noise2mask import plugins
from noise2mask.baselines import base
from noise2mask.baselines.base import Job
from noise2mask.data.prepared import open_split
from noise2mask.evaluation.timing import reference_cost, seconds_per_step, write_costs
from noise2mask.files import locked, write_json
from noise2mask.sampling.draws import save_draws
from noise2mask.study.code_hash import baseline_entries, hash_code, versions
from noise2mask.study.plan import PREDICTION
from noise2mask.study.schema import Baseline, Study, Training, digest
from noise2mask.training.run import device_of

PRICED = {"cpu": 8, "cuda": 64}
"""Images that are predicted together where a reference is priced."""
MODEL = "model"
"""Folder of what a reference has learnt, in that of its run."""


def train_baseline(study: Study, training: Training, data: Path, work: Path, out: Path) -> None:
    """Train a reference, and leave its run and its prediction of the test cases in `out`.

    Args:
        study: the study.
        training: the dataset, the name of the reference and the seed.
        data: folder of the prepared dataset.
        work: folder for checkpoints; a training that was interrupted goes on from there.
        out: folder of the run: ``model/``, ``prediction/draws.npz`` and, last, ``run.json``.

    Raises:
        UserError: the environment lacks the reference's package, another process trains it, or
            its checkpoint is of other cases or options.
    """
    entry = study.baselines[training.network]
    options = _options(entry)
    job = _job(study, training, data, work, out / MODEL)
    torch.set_num_threads(study.compute.threads)
    work.mkdir(parents=True, exist_ok=True)
    busy = f"another process is training in {work}; wait for its end or stop it."
    with locked(work / "lock", busy):
        _fit(entry, job)
    reference = load_baseline(entry.kind, out, job.device)
    test = open_split(data, "test", purpose="evaluation")
    save_draws(out / PREDICTION / "draws.npz", reference.predict(test.images)[:, None], test.ids)
    manifest = job.train.manifest
    identity = {
        "settings": {
            "dataset": training.dataset,
            "reference": entry.kind,
            "seed": training.seed,
            "resolution": study.resolution,
            "options": {key: options[key] for key in sorted(options)},
        },
        "data": {"digest": digest([manifest.digests["train"], manifest.digests["val"]])},
        "code": hash_code(*baseline_entries(entry)),
    }
    record = {"digest": digest(identity), **identity, "versions": versions()}
    write_json(out / "run.json", record | {"notes": list(reference.notes)}, record=True)


def price_baseline(study: Study, training: Training, data: Path, folder: Path, out: Path) -> None:
    """Measure what a mask of a finished reference costs, one row of ``costs.csv``.

    For the time of a training step its training is begun anew and ended after a few.

    Args:
        study: the study.
        training: the dataset, the name of the reference and the seed.
        data: folder of the prepared dataset.
        folder: of the run.
        out: the table.
    """
    entry = study.baselines[training.network]
    device = device_of(study.compute.device)
    torch.set_num_threads(study.compute.threads)
    reference = load_baseline(entry.kind, folder, device)
    images = open_split(data, "test", purpose="evaluation").images[: PRICED[device.type]]
    row = reference_cost(
        training.network, reference.network, reference.example, reference.predict, images, device
    )
    with tempfile.TemporaryDirectory() as place:
        job = _job(study, training, data, Path(place) / "work", Path(place) / "out")
        step = seconds_per_step(lambda: _fit(entry, job))
    write_costs([row._replace(seconds_per_training_step=step)], out)


def load_baseline(kind: str, out: Path, device: torch.device) -> base.TrainedBaseline:
    """What a reference has learnt, from the folder of its run."""
    reference: base.TrainedBaseline = plugins.member("baseline", kind, "load")(out / MODEL, device)
    return reference


def _job(study: Study, training: Training, data: Path, work: Path, out: Path) -> Job:
    train, val = (open_split(data, name, purpose="training") for name in ("train", "val"))
    return Job(
        title=f"{training.dataset} {study.baselines[training.network].title} seed {training.seed}",
        train=train,
        val=val,
        seed=training.seed,
        augmentation=_augmentation(study, training.dataset),
        work=work,
        out=out,
        threads=study.compute.threads,
        device=device_of(study.compute.device),
    )


def _fit(entry: Baseline, job: Job) -> None:
    job.work.mkdir(parents=True, exist_ok=True)
    plugins.member("baseline", entry.kind)(job, **_options(entry))


def _options(entry: Baseline) -> dict[str, Any]:
    model = plugins.options("baseline", entry.kind)
    return dict(model.model_validate(entry.options))


def _augmentation(study: Study, dataset: str) -> dict[str, object]:
    model = plugins.options("augmentation", "augment")
    return dict(model.model_validate(study.datasets[dataset].augmentation))
