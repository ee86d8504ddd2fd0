"""Planning and training with nnU-Net's own classes; imported where nnunetv2 is installed."""

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from batchgenerators.utilities.file_and_folder_operations import load_json, save_json
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
    DatasetFingerprintExtractor,
)
from nnunetv2.experiment_planning.plan_and_preprocess_api import (
    plan_experiment_dataset,
    preprocess_dataset,
)
from nnunetv2.run.run_training import maybe_load_checkpoint
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from noise2mask import files
from noise2mask.baselines.base import Job
from noise2mask.baselines.nnunet_files import DATASET, FOLDERS, write_cases, write_split
from noise2mask.progress import Progress
from noise2mask.seeds import seed_of

CONFIGURATION = "2d"
PLANS = "nnUNetPlans"
_NUMBER = int(DATASET[7:10])


class Budget(NamedTuple):
    """How long a training lasts; nnU-Net's own is 1000 epochs of 250 batches, with 50 for val."""

    epochs: int
    iterations: int
    val_iterations: int
    batch: int | None


class Trainer(nnUNetTrainer):  # type: ignore[misc]
    """nnU-Net's trainer with a seed for each epoch and checkpoints that are whole or absent.

    As an epoch draws from its own seed, on the CPU a training that was interrupted ends with the
    weights of one that was not. `seed` and `progress` are set before the training begins.
    """

    seed: int
    progress: Progress

    def print_to_log_file(
        self,
        *words: object,
        also_print_to_console: bool = False,  # noqa: ARG002
        add_timestamp: bool = True,
    ) -> None:
        """Write to nnU-Net's own log alone."""
        super().print_to_log_file(*words, also_print_to_console=False, add_timestamp=add_timestamp)

    def on_epoch_start(self) -> None:
        """Seed everything that the epoch may draw from."""
        seed_all(seed_of(self.seed, "epoch", self.current_epoch))
        super().on_epoch_start()

    def on_epoch_end(self) -> None:
        """Say how far the training is."""
        super().on_epoch_end()
        dice = self.logger.get_value("mean_fg_dice", step=-1)
        loss = self.logger.get_value("train_losses", step=-1)
        self.progress.update(self.current_epoch, f"loss {loss:.4f}, Dice on val {dice:.4f}")

    def save_checkpoint(self, filename: str) -> None:
        """Replace a checkpoint atomically."""
        with files.writing(Path(filename)) as temporary:
            super().save_checkpoint(str(temporary))


def seed_all(seed: int) -> None:
    """Seed the global generators, which are the only ones nnU-Net draws from."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)


@contextmanager
def surroundings(job: Job) -> Iterator[None]:
    """Point nnU-Net to the work folder and its talk to ``nnunet.log`` there."""
    for name in FOLDERS:
        (job.work / name).mkdir(parents=True, exist_ok=True)
        os.environ[f"nnUNet_{name}"] = str(job.work.resolve() / name)
    with (
        (job.work / "nnunet.log").open("a", encoding="utf-8") as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        yield


def plan(job: Job, budget: Budget) -> None:
    """Fingerprint, plan and preprocess the cases, unless that was finished before.

    The split file comes last, so without it all is done again.
    """
    folder = job.work / "preprocessed" / DATASET
    if (folder / "splits_final.json").exists():
        return
    for parent in ("raw", "preprocessed"):
        shutil.rmtree(job.work / parent / DATASET, ignore_errors=True)
    os.environ |= {"nnUNet_n_proc_DA": "1"}  # planning takes it for a number of threads
    write_cases(job)
    extractor = DatasetFingerprintExtractor(_NUMBER, num_processes=1)
    # It draws 10^8 foreground pixels however few there are, which takes a minute and gigabytes;
    # what is made of them is read by the normalisation of CT alone.
    pixels = job.train.masks.size + job.val.masks.size
    extractor.num_foreground_voxels_for_intensitystats = min(10**8, pixels)
    extractor.run(overwrite_existing=True)
    plan_experiment_dataset(_NUMBER)
    if budget.batch is not None:
        plans = load_json(str(folder / f"{PLANS}.json"))
        plans["configurations"][CONFIGURATION]["batch_size"] = budget.batch
        save_json(plans, str(folder / f"{PLANS}.json"), sort_keys=False)
    preprocess_dataset(_NUMBER, PLANS, (CONFIGURATION,), num_processes=(1,))
    write_split(job)


def train(job: Job, budget: Budget) -> Trainer:
    """Train to the end, from nnU-Net's own last checkpoint if there is one."""
    # Augmentation in the same process draws from the seeded generators; a GPU would wait for it.
    os.environ |= {"nnUNet_n_proc_DA": "0" if job.device.type == "cpu" else str(job.threads)}
    folder = job.work / "preprocessed" / DATASET
    plans = load_json(str(folder / f"{PLANS}.json")) | {"continue_training": True}
    description = load_json(str(folder / "dataset.json"))
    seed_all(seed_of(job.seed, "weights"))
    trainer = Trainer(plans, CONFIGURATION, 0, description, job.device)
    trainer.num_epochs = budget.epochs
    trainer.num_iterations_per_epoch = budget.iterations
    trainer.num_val_iterations_per_epoch = budget.val_iterations
    # A second an epoch for a picture that would go with the work folder.
    trainer.logger.plot_progress_png = lambda _: None
    # nnU-Net saves every 50 of its 1000 epochs.
    trainer.save_every = max(1, budget.epochs // 20)
    maybe_load_checkpoint(trainer, continue_training=True, validation_only=False)
    trainer.seed = job.seed
    trainer.progress = Progress(f"training {job.title}", budget.epochs, trainer.current_epoch)
    if trainer.current_epoch < budget.epochs or not checkpoint(trainer, "final").exists():
        trainer.run_training()
    return trainer


def checkpoint(trainer: Trainer, which: str) -> Path:
    """The file of one of nnU-Net's checkpoints, ``final`` or ``best``."""
    return Path(trainer.output_folder) / f"checkpoint_{which}.pth"
