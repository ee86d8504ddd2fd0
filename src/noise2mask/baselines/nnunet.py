"""nnU-Net v2, the package itself, 2-D configuration, on the cases and splits of a study.

Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image
segmentation", Nature Methods 18 (2021). Fingerprint, plan, preprocessing, augmentation, loss,
training and prediction are nnunetv2's; the split, the budget and the seed are the study's.
"""

import importlib.util
import io
import json
import os
import shutil
import sys
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_model, save

from noise2mask import files
from noise2mask.baselines.base import Images, Job, Probabilities, TrainedBaseline
from noise2mask.baselines.nnunet_files import claim, clear
from noise2mask.errors import UserError

_RECORD = "reference.json"
_WEIGHTS = "model.safetensors"


def fit(
    job: Job,
    *,
    epochs: Annotated[
        int, Field(ge=1, le=100_000, description="epochs, of which nnU-Net trains 1000")
    ] = 1000,
    iterations: Annotated[
        int, Field(ge=1, le=1_000_000, description="training batches in an epoch")
    ] = 250,
    val_iterations: Annotated[
        int, Field(ge=1, le=1_000_000, description="batches of val in an epoch")
    ] = 50,
    batch: Annotated[
        int | None,
        Field(ge=2, le=1024, description="cases in a batch; as nnU-Net plans it when absent"),
    ] = None,
    checkpoint: Annotated[
        Literal["final", "best"],
        Field(description="weights of the last epoch, as nnU-Net, or of the best Dice on val"),
    ] = "final",
    mirroring: Annotated[
        bool, Field(description="average predictions over mirrored images, as nnU-Net")
    ] = True,
) -> None:
    """Plan and train; an interrupted training goes on from nnU-Net's last checkpoint.

    `job.augmentation` is not used, as nnU-Net brings its own.

    Raises:
        UserError: nnunetv2 is not installed, the work folder holds another training, or a folder
            cannot be written.
    """
    _need_package(job.threads)
    from noise2mask.baselines import nnunet_training as nnunet

    torch.set_num_threads(job.threads)
    budget = nnunet.Budget(epochs, iterations, val_iterations, batch)
    claim(job, version("nnunetv2"), budget._asdict())
    with nnunet.surroundings(job):
        nnunet.plan(job, budget)
        trainer = nnunet.train(job, budget)
        if checkpoint == "best":
            trainer.load_checkpoint(str(nnunet.checkpoint(trainer, checkpoint)))
    # Not its state: the decoder holds the encoder's weights once more.
    weights = {name: value.detach().cpu() for name, value in trainer.network.named_parameters()}
    files.write_bytes(job.out / _WEIGHTS, save(weights), record=True)
    for name in ("plans.json", "dataset.json"):
        with files.writing(job.out / name, record=True) as temporary:
            shutil.copyfile(Path(trainer.output_folder_base) / name, temporary)
    record = {
        "version": version("nnunetv2"),
        "configuration": nnunet.CONFIGURATION,
        "seed": job.seed,
        **budget._asdict(),
        "batch": trainer.batch_size,
        "checkpoint": checkpoint,
        "mirrored_axes": list(trainer.inference_allowed_mirroring_axes) if mirroring else None,
    }
    files.write_json(job.out / _RECORD, record, record=True)
    clear(job)


def load(folder: Path, device: torch.device) -> TrainedBaseline:
    """What :func:`fit` left in `folder`, behind nnU-Net's own predictor.

    Raises:
        UserError: nnunetv2 is not installed, or `folder` holds no whole training of it.
    """
    _need_package(torch.get_num_threads())
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    record, plans, description = (
        _read(folder, name) for name in (_RECORD, "plans.json", "dataset.json")
    )
    manager = PlansManager(plans)
    configuration = manager.get_configuration(record["configuration"])
    channels = len(description["channel_names"])
    network = nnUNetTrainer.build_network_architecture(
        manager, configuration, channels, len(description["labels"]), enable_deep_supervision=False
    )
    try:
        load_model(network, str(files.checked(folder / _WEIGHTS)))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise UserError(_unreadable(folder / _WEIGHTS)) from error
    network = network.to(device).eval()
    with redirect_stdout(io.StringIO()):  # on the CPU it says that it keeps all there
        predictor = nnUNetPredictor(
            use_mirroring=record["mirrored_axes"] is not None, device=device, allow_tqdm=False
        )
    axes = record["mirrored_axes"]
    predictor.manual_initialization(
        network, manager, configuration, [network.state_dict()], description, "nnUNetTrainer", axes
    )

    def predict(images: Images) -> Probabilities:
        if images.shape[3] != channels:
            raise UserError(
                f"the nnU-Net in {folder} was trained on images of {channels} channels and got "
                f"images of {images.shape[3]}; train it on this dataset."
            )
        return np.stack([_foreground(predictor, image) for image in images])

    example = torch.zeros(1, channels, *configuration.patch_size, device=device)
    return TrainedBaseline(network, example, predict, _notes(record))


def _foreground(predictor: Any, image: Images) -> Probabilities:
    """P(foreground) (H, W) of one image (H, W, C)."""
    # As nnU-Net's reader of natural images gives it: (C, 1, H, W), so far between slices.
    pixels = image.transpose(2, 0, 1)[:, None].astype(np.float32)
    _, probabilities = predictor.predict_single_npy_array(
        pixels, {"spacing": (999, 1, 1)}, save_or_return_probabilities=True
    )
    foreground: Probabilities = np.clip(probabilities[1, 0], 0, 1).astype(np.float32)
    return foreground


def _notes(record: dict[str, Any]) -> tuple[str, ...]:
    batches = f"{record['epochs']} epochs of {record['iterations']} batches of {record['batch']}"
    notes = [f"nnunetv2 {record['version']}: {batches}"]
    if (record["epochs"], record["iterations"]) != (1000, 250):
        notes[0] += ", where nnU-Net trains 1000 epochs of 250"
    notes.append("one network, where nnU-Net averages those of five folds")
    notes.append("augmented as nnU-Net does, not as the study's networks")
    if record["checkpoint"] == "best":
        notes.append("weights of the best epoch on val, where nnU-Net takes the last")
    if record["mirrored_axes"] is None:
        notes.append("without nnU-Net's averaging over mirrored images")
    return tuple(notes)


def _need_package(threads: int) -> None:
    """Settle what nnunetv2 reads when it is imported.

    Raises:
        UserError: it is not installed.
    """
    if importlib.util.find_spec("nnunetv2") is None:
        raise UserError(
            f"nnunetv2 is not installed in this environment ({sys.prefix}): run "
            "`noise2mask reproduce`, which makes .venv-nnunet from envs/nnunet.txt and calls this "
            "command there, or leave the reference out of the study."
        )
    os.environ |= {
        "nnUNet_def_n_proc": str(threads),
        "nnUNet_n_proc_DA": "1",
        "nnUNet_compile": "f",
    }


def _read(folder: Path, name: str) -> dict[str, Any]:
    try:
        return dict(json.loads(files.checked(folder / name).read_bytes()))
    except ValueError as error:
        raise UserError(_unreadable(folder / name)) from error


def _unreadable(path: Path) -> str:
    return (
        f"{path} is missing or damaged, so there is no trained nnU-Net in {path.parent}; delete "
        "that folder and train the reference again."
    )
