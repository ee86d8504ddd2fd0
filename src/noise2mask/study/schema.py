"""What a study and a run may say: frozen types, one field a line with default, bound and meaning.

A study is a YAML file in ``config/``; its name is the file's. Everything is checked when the file
is read (:mod:`noise2mask.study.load`), all mistakes at once.
"""

import hashlib
import json
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from noise2mask.study.schema_controls import Baseline as Baseline
from noise2mask.study.schema_controls import Quirk as Quirk
from noise2mask.study.schema_controls import Reading as Reading
from noise2mask.study.schema_questions import Analysis as Analysis
from noise2mask.study.schema_questions import Hypotheses as Hypotheses
from noise2mask.study.schema_questions import Name as Name
from noise2mask.study.schema_questions import Options as Options
from noise2mask.study.schema_questions import Pair as Pair
from noise2mask.study.schema_questions import Settings as Settings


class Dataset(Settings):
    """One dataset: where its cases come from and how they are prepared.

    A study says either all of this, or ``named`` and what shall differ from the table of datasets
    (:mod:`noise2mask.data.catalogue`); :func:`noise2mask.study.load.load_study` fills in the rest.
    """

    kind: Annotated[str, Field(description="a file in datasets/ that defines `sources`")]
    title: Annotated[str, Field(description="how tables and figures call it")]
    named: Annotated[str | None, Field(description="name in the table of datasets")] = None
    stands_for: Annotated[str | None, Field(description="dataset of the paper it replaces")] = None
    licence: Annotated[str, Field(description="terms under which the data may be used")] = ""
    shrink: Annotated[
        int | None, Field(ge=16, description="side of the square an image becomes before it is cut")
    ] = None
    tile: Annotated[int | None, Field(ge=16, description="side of a square tile, px")] = None
    stride: Annotated[int | None, Field(ge=1, description="step of training tiles, px")] = None
    masks: Annotated[
        Literal["area", "grown"],
        Field(description="resized so that they keep their area, or interpolated, all above 0"),
    ] = "area"
    validation: Annotated[
        Literal["own", "test"], Field(description="cases that checkpoints are chosen on")
    ] = "own"
    leaks: Annotated[
        Literal["refused", "accepted"],
        Field(description="of a patient or an image in several splits; reports tell accepted ones"),
    ] = "refused"
    modes: Annotated[
        tuple[str, ...] | None, Field(description="modes it is trained in; all when absent")
    ] = None
    options: Annotated[Options, Field(description="options of that kind")] = {}
    augmentation: Annotated[Options, Field(description="options of transforms.augment")] = {}


class Network(Settings):
    """One architecture with its sizes."""

    architecture: Annotated[str, Field(description="a file in networks/ that defines `build`")]
    title: Annotated[str, Field(description="how tables and figures call it")]
    options: Annotated[Options, Field(description="options of that architecture")] = {}


class Mode(Settings):
    """One way to train and use a network."""

    mode: Annotated[str, Field(description="a function of diffusion/modes.py")]
    samplers: Annotated[
        tuple[str, ...],
        Field(description="samplers and readings it is scored with; none: it is only measured"),
    ] = ()
    seeds: Annotated[
        tuple[int, ...] | None,
        Field(min_length=1, description="a training each; those of the study when absent"),
    ] = None
    networks: Annotated[
        tuple[str, ...] | None, Field(description="networks trained in it; all when absent")
    ] = None
    title: Annotated[str | None, Field(description="how tables and figures call it")] = None
    levels: Annotated[
        dict[str, str], Field(description="levels of the factors of a grid; filled in from it")
    ] = {}


class Sampler(Settings):
    """One way to draw masks from a trained network."""

    sampler: Annotated[str, Field(description="a function of diffusion/samplers.py")]
    steps: Annotated[int | str, Field(description="visited timesteps: a count or 'ddimN'")] = 1
    start: Annotated[
        int | None, Field(ge=0, description="timestep that the noise is put in at; the last")
    ] = None
    draws: Annotated[int, Field(ge=1, le=1000, description="masks drawn for each case")] = 1
    head: Annotated[
        Literal["output", "calibration"], Field(description="output that is scored")
    ] = "output"
    views: Annotated[
        Literal[1, 2, 4, 8], Field(description="turned and mirrored images that draws share out")
    ] = 1
    networks: Annotated[
        tuple[str, ...] | None, Field(description="networks it applies to; all when absent")
    ] = None
    options: Annotated[Options, Field(description="options of that sampler")] = {}


class Schedule(Settings):
    """The noise schedule."""

    name: Annotated[str, Field(description="a function of diffusion/schedule.py")] = "linear"
    timesteps: Annotated[int, Field(ge=2, le=100_000, description="length T")] = 1000
    input_scale: Annotated[float, Field(gt=0, le=10, description="b; SNR times b squared")] = 1.0
    options: Annotated[Options, Field(description="options of that schedule")] = {}


class Weighting(Settings):
    """How often a training sees each timestep, and how much its loss counts there."""

    name: Annotated[str, Field(description="a function of diffusion/weighting.py")] = "uniform"
    options: Annotated[Options, Field(description="options of that weighting")] = {}


class Diffusion(Settings):
    """The diffusion of masks, the same for every network."""

    schedule: Schedule = Schedule()
    weighting: Weighting = Weighting()
    target: Annotated[Literal["eps", "x_0", "v"], Field(description="what is predicted")] = "eps"
    variance: Annotated[
        Literal["fixed_small", "fixed_large", "learned"], Field(description="of a DDPM step")
    ] = "fixed_small"
    coding: Annotated[
        Literal["signed", "unit"], Field(description="masks in {-1, 1} or in {0, 1}")
    ] = "signed"
    clip: Annotated[bool, Field(description="clip x_0_hat to the range of a coding")] = True
    clip_to: Annotated[
        Literal["signed", "unit"] | None,
        Field(description="that coding; the masks' own when absent, always signed as published"),
    ] = None
    reduction: Annotated[
        Literal["mean", "sum"], Field(description="of squared errors over pixels")
    ] = "mean"


class TrainingSettings(Settings):
    """One training."""

    steps: Annotated[int, Field(ge=1, description="optimiser steps")] = 100_000
    batch: Annotated[int, Field(ge=1, le=4096, description="cases in a step")] = 8
    learning_rate: Annotated[float, Field(gt=0, le=1, description="peak, AdamW")] = 1e-4
    weight_decay: Annotated[float, Field(ge=0, le=1, description="AdamW")] = 0.0
    warm_up: Annotated[int, Field(ge=0, description="steps of linear rise")] = 0
    decay: Annotated[
        Literal["constant", "cosine"], Field(description="learning rate after warm-up")
    ] = "constant"
    clip_norm: Annotated[float, Field(gt=0, description="largest gradient norm")] = 1.0
    ema_decay: Annotated[float, Field(ge=0, lt=1, description="of weights, after warm-up")] = 0.9999
    calibration_weight: Annotated[
        float, Field(ge=0, description="of the loss of a second head, where there is one")
    ] = 10.0
    validate_every: Annotated[int, Field(ge=1, description="steps between validations")] = 1000
    validation_repeats: Annotated[
        int, Field(ge=1, le=100, description="noise levels tried for each validation case")
    ] = 4
    choose: Annotated[
        Literal["loss", "dice"],
        Field(description="checkpoint by the least loss over val, or the best Dice of its draws"),
    ] = "loss"
    checkpoint_every: Annotated[int, Field(ge=1, description="steps between checkpoints")] = 1000


class Evaluation(Settings):
    """How draws are scored."""

    fusion: Annotated[str, Field(description="of the draws, a function of fusion.py")] = "mean"
    threshold: Annotated[float, Field(gt=0, lt=1, description="on the fused draws")] = 0.5
    metrics: Annotated[
        dict[str, Options], Field(min_length=1, description="functions of metrics.py: options")
    ] = {"dice": {}, "iou": {}, "nsd": {}, "hd95": {}}
    calibration: Annotated[
        dict[str, Options], Field(description="functions of calibration.py: options")
    ] = {"ece": {}, "ace": {}, "mce": {}, "brier": {}, "nll": {}}
    band: Annotated[int, Field(ge=1, description="pixels about the boundary, scored apart")] = 5
    bins: Annotated[int, Field(ge=2, le=1000, description="of reliability diagrams")] = 15
    resamples: Annotated[int, Field(ge=100, description="of the bootstrap")] = 2000
    level: Annotated[float, Field(gt=0, lt=1, description="of intervals")] = 0.95


class Compute(Settings):
    """Where and how a job runs."""

    device: Annotated[Literal["cpu", "cuda"], Field(description="trains and samples")] = "cpu"
    precision: Annotated[Literal["no", "bf16"], Field(description="mixed precision")] = "no"
    threads: Annotated[int, Field(ge=1, le=256, description="of one training or sampling")] = 1
    batch: Annotated[int, Field(ge=1, description="draws sampled together; no effect on them")] = 8
    tensorboard: Annotated[
        bool, Field(description="write curves of trainings to work/<study>, for TensorBoard")
    ] = False


class Pictures(Settings):
    """What the report may show."""

    examples: Annotated[
        int, Field(ge=0, le=8, description="cases shown a dataset; 0 shows no image data")
    ] = 2
    figures: Annotated[
        tuple[str, ...],
        Field(description="figures of report.md, that which decides first; by rank when empty"),
    ] = ()


class Shares(Settings):
    """Shares of cases (whole groups) where a dataset brings no split of its own."""

    train: Annotated[float, Field(gt=0, lt=1)] = 0.6
    val: Annotated[float, Field(gt=0, lt=1)] = 0.15
    test: Annotated[float, Field(gt=0, lt=1)] = 0.25


class Override(Settings):
    """Settings for some trainings; later ones win."""

    datasets: Annotated[tuple[str, ...] | None, Field(description="all when absent")] = None
    networks: Annotated[tuple[str, ...] | None, Field(description="all when absent")] = None
    modes: Annotated[tuple[str, ...] | None, Field(description="all when absent")] = None
    training: Annotated[Options, Field(description="fields of training")] = {}
    diffusion: Annotated[Options, Field(description="fields of diffusion")] = {}

    def covers(self, dataset: str, network: str, mode: str) -> bool:
        """Whether a training is meant."""
        return (
            (self.datasets is None or dataset in self.datasets)
            and (self.networks is None or network in self.networks)
            and (self.modes is None or mode in self.modes)
        )


class Study(Settings):
    """A study: every combination of its datasets, networks, modes and seeds."""

    description: Annotated[str, Field(description="one paragraph for the report")]
    question: Annotated[
        str | None, Field(description="what is asked, in a sentence; that of the paper when absent")
    ] = None
    resolution: Annotated[int, Field(ge=8, le=4096, description="side of a prepared case, px")]
    seeds: Annotated[tuple[int, ...], Field(min_length=1, description="a training each")] = (0,)
    shares: Shares = Shares()
    datasets: Annotated[dict[Name, Dataset], Field(min_length=1)]
    networks: dict[Name, Network] = {}
    modes: dict[Name, Mode] = {}
    samplers: dict[Name, Sampler] = {}
    readings: dict[Name, Reading] = {}
    baselines: dict[Name, Baseline] = {}
    quirks: Annotated[
        dict[Name, Quirk], Field(description="of published codes, each measured alone")
    ] = {}
    diffusion: Diffusion = Diffusion()
    training: TrainingSettings = TrainingSettings()
    evaluation: Evaluation = Evaluation()
    compute: Compute = Compute()
    analysis: Analysis = Analysis()
    costs: Annotated[
        bool, Field(description="measure what a mask costs, with nothing else running")
    ] = False
    contrasts: Annotated[
        tuple[tuple[str, str], ...], Field(description="planned comparisons of two modes")
    ] = ()
    hypotheses: Annotated[
        Hypotheses | None, Field(description="claims written down before the runs")
    ] = None
    pictures: Pictures = Pictures()
    overrides: tuple[Override, ...] = ()


class Measured(NamedTuple):
    """A network on a dataset at one seed, whose modes are measured on the same noise."""

    dataset: str
    network: str
    seed: int

    def training(self, mode: str) -> "Training":
        """The training of one of the modes."""
        return Training(self.dataset, self.network, mode, self.seed)


class Training(NamedTuple):
    """One training of a study."""

    dataset: str
    network: str
    mode: str
    seed: int

    def measured(self) -> Measured:
        """Where it is measured beside other modes."""
        return Measured(self.dataset, self.network, self.seed)


class RunSettings(Settings):
    """Everything that one training depends on besides its data and the code."""

    dataset: str
    network: Network
    mode: str
    seed: int
    resolution: int
    augmentation: Options
    diffusion: Diffusion
    training: TrainingSettings
    precision: str
    threads: int

    def title(self) -> str:
        """What messages call the training."""
        return f"{self.dataset} {self.network.title} {self.mode} seed {self.seed}"

    def digest(self) -> str:
        """Short hash of the settings."""
        return digest(self.model_dump(mode="json"))


def digest(content: Any) -> str:
    """Short hash of anything JSON can hold, independent of the order of keys."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
