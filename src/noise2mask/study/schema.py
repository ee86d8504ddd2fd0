"""What a study and a run may say: frozen types, one field a line with default, bound and meaning.

A study is a YAML file in ``config/``; its name is the file's. Everything is checked when the file
is read (:mod:`noise2mask.study.load`), all mistakes at once. What is marked as the name of a
plug-in or of another part of the study is looked up by :mod:`noise2mask.study.validate`.
``config/README.md`` and ``config/study.schema.json`` are written from these types.
"""

import hashlib
import json
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from noise2mask.plugins import OptionsOf, Plugin, Ref

NAME = r"^[a-z0-9][a-z0-9_]{0,63}$"
TEXT = r"^[^\x00-\x1f\x7f]*$"
SPACING = r"^(ddim)?[0-9]{1,5}( ?, ?[0-9]{1,5})*$"
Name = Annotated[str, Field(pattern=NAME)]
Title = Annotated[
    str,
    Field(
        min_length=1,
        max_length=160,
        pattern=TEXT,
        description="how tables and figures call it",
    ),
]
Options = dict[str, Any]
Names = tuple[str, ...]
OfMode = Annotated[str, Ref("modes"), Field(description="mode of the study")]
Networks = Annotated[
    Names | None, Ref("networks"), Field(description="networks it applies to; all when absent")
]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Steps = Annotated[int, Field(ge=1, le=100_000_000)]


class Part:
    """Marks a mapping as some fields of a part of the study, put over what that part says."""

    def __init__(self, part: str):
        self.part = part


class Settings(BaseModel):
    """Base of all settings: no field may be added, changed or misspelt, and no number is odd."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# Where cases come from --------------------------------------------------------------------------


class Prepared(Settings):
    """How the cases of a dataset are prepared."""

    licence: Annotated[str, Field(description="terms under which the data may be used")] = ""
    shrink: Annotated[
        int | None,
        Field(ge=16, le=65536, description="side of the square an image becomes before it is cut"),
    ] = None
    tile: Annotated[int | None, Field(ge=16, le=65536, description="side of a square tile, px")] = (
        None
    )
    stride: Annotated[
        int | None, Field(ge=1, le=65536, description="step of training tiles, px")
    ] = None
    aspect: Annotated[
        Literal["stretched", "padded"],
        Field(description="of images: made square, or kept by padding, which counts in no score"),
    ] = "stretched"
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
        Names | None,
        Ref("modes"),
        Field(description="modes it is trained in; all when absent"),
    ] = None
    options: Annotated[Options, Field(description="options of its kind")] = {}
    augmentation: Annotated[
        Options,
        OptionsOf("augmentation", "augment"),
        Field(description="how training cases are varied"),
    ] = {}


class Dataset(Prepared):
    """One dataset: where its cases come from and how they are prepared.

    A study says either all of this, or `named` and what shall differ from the table of datasets
    (``noise2mask data list``), or, where `folders` finds it, what shall differ from that.
    """

    kind: Annotated[
        str, Plugin("format", options="options"), Field(description="how its files are read")
    ]
    title: Title
    named: Annotated[
        str | None, Field(description="name in the table of datasets, which says the rest")
    ] = None
    stand_in: Annotated[
        Options | None,
        Field(description="dataset that takes the place of a named one that is not there"),
    ] = None
    stands_for: Annotated[
        str | None, Field(max_length=160, description="dataset of the paper that it replaces")
    ] = None


class Folders(Prepared):
    """A folder of datasets: every sub-folder with images and masks becomes a dataset.

    What is written under `datasets` wins over what is found, key by key.
    """

    root: Annotated[str, Field(description="the folder")]
    only: Annotated[Names | None, Field(description="sub-folders taken; all when absent")] = None
    without: Annotated[Names, Field(description="sub-folders left out")] = ()
    kind: Annotated[str, Plugin("format"), Field(description="how all their files are read")] = (
        "folder"
    )
    known: Annotated[
        dict[Name, Options],
        Field(description="fields of single datasets, for sub-folders that may be there"),
    ] = {}


class Shares(Settings):
    """Shares of cases (whole groups) where a dataset brings no split of its own."""

    train: Annotated[float, Field(gt=0, lt=1, description="of the cases")] = 0.6
    val: Annotated[float, Field(gt=0, lt=1, description="of the cases")] = 0.15
    test: Annotated[float, Field(gt=0, lt=1, description="of the cases")] = 0.25


# What is trained --------------------------------------------------------------------------------


class Network(Settings):
    """One architecture with its sizes."""

    architecture: Annotated[
        str,
        Plugin("architecture", options="options"),
        Field(description="name of the architecture"),
    ]
    title: Title
    options: Annotated[Options, Field(description="options of that architecture")] = {}


class Mode(Settings):
    """One way to train and use a network."""

    mode: Annotated[str, Plugin("mode"), Field(description="what is learnt, and from which loss")]
    samplers: Annotated[
        Names,
        Ref("samplers", "readings"),
        Field(description="samplers and readings it is scored with; none: it is only measured"),
    ] = ()
    seeds: Annotated[
        tuple[Seed, ...] | None,
        Field(min_length=1, description="a training each; those of the study when absent"),
    ] = None
    networks: Networks = None
    title: Annotated[Title | None, Field(description="how tables and figures call it")] = None
    levels: Annotated[
        dict[str, str], Field(description="levels of the factors of a grid; filled in from it")
    ] = {}


class Schedule(Settings):
    """The noise schedule."""

    name: Annotated[
        str, Plugin("schedule", options="options"), Field(description="name of the schedule")
    ] = "linear"
    timesteps: Annotated[int, Field(ge=2, le=10_000, description="length T")] = 1000
    input_scale: Annotated[
        float, Field(ge=0.001, le=10, description="b; the signal-to-noise ratio times b squared")
    ] = 1.0
    options: Annotated[Options, Field(description="options of that schedule")] = {}


class Weighting(Settings):
    """How often a training sees each timestep, and how much its loss counts there."""

    name: Annotated[
        str, Plugin("weighting", options="options"), Field(description="name of the weighting")
    ] = "uniform"
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

    steps: Annotated[Steps, Field(description="optimiser steps")] = 100_000
    batch: Annotated[int, Field(ge=1, le=4096, description="cases in a step")] = 8
    learning_rate: Annotated[float, Field(gt=0, le=1, description="peak, AdamW")] = 1e-4
    weight_decay: Annotated[float, Field(ge=0, le=1, description="AdamW")] = 0.0
    warm_up: Annotated[int, Field(ge=0, le=100_000_000, description="steps of linear rise")] = 0
    decay: Annotated[
        Literal["constant", "cosine"], Field(description="learning rate after warm-up")
    ] = "constant"
    clip_norm: Annotated[float, Field(gt=0, le=1e6, description="largest gradient norm")] = 1.0
    ema_decay: Annotated[float, Field(ge=0, lt=1, description="of weights, after warm-up")] = 0.9999
    calibration_weight: Annotated[
        float, Field(ge=0, le=1e6, description="of the loss of a second head, where there is one")
    ] = 10.0
    validate_every: Annotated[Steps, Field(description="steps between validations")] = 1000
    validation_repeats: Annotated[
        int, Field(ge=1, le=100, description="noise levels tried for each validation case")
    ] = 4
    choose: Annotated[
        Literal["loss", "dice"],
        Field(description="checkpoint by the least loss over val, or the best Dice of its draws"),
    ] = "loss"
    checkpoint_every: Annotated[Steps, Field(description="steps between checkpoints")] = 1000


class Baseline(Settings):
    """An implementation of others, in an environment of its own, on the same cases and splits."""

    kind: Annotated[
        str, Plugin("baseline", options="options"), Field(description="name of the implementation")
    ]
    title: Title
    datasets: Annotated[
        Names | None,
        Ref("datasets"),
        Field(description="datasets it is trained on; all when absent"),
    ] = None
    options: Annotated[Options, Field(description="options of that implementation")] = {}


class Override(Settings):
    """Settings for some trainings; later ones win."""

    datasets: Annotated[
        Names | None, Ref("datasets"), Field(description="that it is for; all when absent")
    ] = None
    networks: Annotated[
        Names | None, Ref("networks"), Field(description="that it is for; all when absent")
    ] = None
    modes: Annotated[
        Names | None, Ref("modes"), Field(description="that it is for; all when absent")
    ] = None
    training: Annotated[Options, Part("training"), Field(description="fields of training")] = {}
    diffusion: Annotated[Options, Part("diffusion"), Field(description="fields of diffusion")] = {}

    def covers(self, dataset: str, network: str, mode: str) -> bool:
        """Whether a training is meant."""
        return (
            (self.datasets is None or dataset in self.datasets)
            and (self.networks is None or network in self.networks)
            and (self.modes is None or mode in self.modes)
        )


class Level(Settings):
    """What a level of a factor changes."""

    mode: Annotated[
        str | None, Plugin("mode"), Field(description="another function of the mode")
    ] = None
    training: Annotated[Options, Part("training"), Field(description="fields of training")] = {}
    diffusion: Annotated[Options, Part("diffusion"), Field(description="fields of diffusion")] = {}


class Grid(Settings):
    """What is varied, and which points of the grid are trained, each as a mode."""

    mode: Annotated[str, Ref("modes"), Field(description="mode of the study that is varied")]
    prefix: Annotated[
        Name, Field(description="of the names of new modes that leave the base twice")
    ] = "g"
    design: Annotated[
        Literal["one_at_a_time", "full"],
        Field(description="each factor alone, or all combinations"),
    ] = "one_at_a_time"
    runs: Annotated[
        int | None,
        Field(ge=1, le=10_000, description="points drawn at random beside each factor alone"),
    ] = None
    seed: Annotated[Seed, Field(description="of the points drawn")] = 0
    factors: Annotated[
        dict[str, Annotated[dict[str, Level], Field(min_length=2)]],
        Field(min_length=1, description="factor: level: changes; the first level is the base"),
    ]


# How masks are drawn and scored -----------------------------------------------------------------


class Sampler(Settings):
    """One way to draw masks from a trained network."""

    sampler: Annotated[
        str, Plugin("sampler", options="options"), Field(description="name of the method")
    ]
    steps: Annotated[
        int | Annotated[str, Field(pattern=SPACING)],
        Field(description="visited timesteps: a count, 'ddimN', or counts for equal sections"),
    ] = 1
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
    networks: Networks = None
    options: Annotated[Options, Field(description="options of that method")] = {}


class Reading(Settings):
    """Masks that were drawn already, read in another way; no network is run.

    N of a reading is `seeds` times `draws`: readings of one draw each of five seeds are a deep
    ensemble of five members.
    """

    of: Annotated[str, Ref("samplers"), Field(description="sampler of the study that drew them")]
    draws: Annotated[
        int | None,
        Field(ge=1, le=1000, description="the first so many of each case; all when absent"),
    ] = None
    seeds: Annotated[
        int, Field(ge=1, le=100, description="trainings whose draws are taken together")
    ] = 1
    temperature: Annotated[
        bool, Field(description="scale the fused draws by a temperature fitted on val")
    ] = False
    fusion: Annotated[
        str | None,
        Plugin("fusion"),
        Field(description="of the draws; that of the study when absent"),
    ] = None
    storage: Annotated[
        Literal["float", "jpeg"], Field(description="what draws are kept in before they are fused")
    ] = "float"
    thresholds: Annotated[
        tuple[Annotated[float, Field(gt=0, lt=1)], ...] | None,
        Field(
            min_length=1,
            description="on P over its maximum; metrics of masks are means over them",
        ),
    ] = None
    networks: Networks = None


class Quirk(Settings):
    """Something that published codes do to their own numbers, beside what is done here.

    It is in readings of the same draws, or in datasets of the same cases.
    """

    title: Title
    readings: Annotated[
        dict[Annotated[str, Ref("readings", "samplers")], Annotated[str, Ref("readings")]],
        Field(description="sampler or reading: the reading that has the quirk"),
    ] = {}
    datasets: Annotated[
        dict[Annotated[str, Ref("datasets")], Annotated[str, Ref("datasets")]],
        Field(description="dataset: the dataset that has the quirk"),
    ] = {}


class Evaluation(Settings):
    """How draws are scored."""

    fusion: Annotated[str, Plugin("fusion"), Field(description="of the draws")] = "mean"
    threshold: Annotated[float, Field(gt=0, lt=1, description="on the fused draws")] = 0.5
    metrics: Annotated[
        dict[Annotated[str, Plugin("metric")], Options],
        Field(min_length=1, description="metrics of masks: their options"),
    ] = {"dice": {}, "iou": {}, "nsd": {}, "hd95": {}}
    calibration: Annotated[
        dict[Annotated[str, Plugin("calibration")], Options],
        Field(description="metrics of probabilities: their options"),
    ] = {"ece": {}, "ace": {}, "mce": {}, "brier": {}, "nll": {}, "error_auroc": {}}
    ensemble: Annotated[
        dict[Annotated[str, Plugin("ensemble")], Options],
        Field(description="metrics of the draws together: their options"),
    ] = {"spread": {}, "grey": {}, "ged": {}, "diversity": {}}
    volumes: Annotated[
        dict[Annotated[str, Plugin("metric")], Options],
        Field(description="metrics of whole volumes, whose slices are cases: their options"),
    ] = {}
    band: Annotated[
        int, Field(ge=1, le=4096, description="pixels about the boundary, scored apart")
    ] = 5
    bins: Annotated[int, Field(ge=2, le=1000, description="of reliability diagrams")] = 15
    resamples: Annotated[int, Field(ge=100, le=1_000_000, description="of the bootstrap")] = 9999
    level: Annotated[float, Field(gt=0, lt=1, description="of intervals")] = 0.95


# What is asked ----------------------------------------------------------------------------------


class Pair(Settings):
    """Two modes that differ in one thing: whether the network sees the image."""

    with_image: OfMode
    without_image: OfMode


class Analysis(Settings):
    """What is measured beside the scores; nothing by default."""

    oracles: Annotated[
        tuple[Annotated[str, Plugin("oracle")], ...],
        Field(description="readers of a noisy mask; none: no fingerprints"),
    ] = ()
    oracle_spacing: Annotated[
        float, Field(ge=0.1, le=2, description="of an oracle's levels in log SNR")
    ] = 0.5
    grown: Annotated[
        tuple[Annotated[int, Field(ge=8, le=4096)], ...],
        Field(description="sides, px, at which masks grown by interpolation are measured"),
    ] = ()
    measured: Annotated[
        Names,
        Ref("modes"),
        Field(description="modes whose loss is measured along the noise axis"),
    ] = ()
    pair: Annotated[
        Pair | None, Field(description="measured modes that give the image's information")
    ] = None
    networks: Annotated[
        Names | None, Ref("networks"), Field(description="measured networks; all when absent")
    ] = None
    shorter: Annotated[
        dict[Annotated[str, Ref("networks")], Annotated[str, Ref("networks")]],
        Field(description="network: the same with fewer steps, for the error of its bits"),
    ] = {}
    splits: Annotated[
        tuple[Literal["val", "test"], ...],
        Field(min_length=1, description="measured; weighting `benefit` needs val"),
    ] = ("test",)
    spacing: Annotated[float, Field(ge=0.25, le=2, description="of measured levels in log SNR")] = (
        1.0
    )
    repeats: Annotated[
        int, Field(ge=1, le=100, description="draws of noise for each case and level")
    ] = 1


class Comparisons(Settings):
    """The planned comparisons of diffusion with feed-forward, the former named first.

    With its own loss each is trained as published; with a matched loss both have the same one, so
    that what is left of a difference is the diffusion.
    """

    own: Annotated[
        tuple[str, str] | None,
        Ref("modes"),
        Field(
            description="modes, each with its own loss; `diffusion` and `feed_forward` if absent"
        ),
    ] = None
    matched: Annotated[
        tuple[Annotated[tuple[str, str], Ref("modes")], ...],
        Field(description="pairs of modes with one loss for both"),
    ] = ()


# Where it runs, and what is shown ---------------------------------------------------------------


class Compute(Settings):
    """Where and how a job runs."""

    device: Annotated[Literal["cpu", "cuda"], Field(description="trains and samples")] = "cpu"
    precision: Annotated[Literal["no", "bf16"], Field(description="mixed precision")] = "no"
    threads: Annotated[int, Field(ge=1, le=256, description="of one training or sampling")] = 1
    processes: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="that share the batches of one training, each with its threads and, where "
            "the device is cuda, its GPU; divides training.batch",
        ),
    ] = 1
    batch: Annotated[
        int, Field(ge=1, le=65536, description="draws sampled together; no effect on them")
    ] = 40
    tensorboard: Annotated[
        bool, Field(description="write curves of trainings to work/<study>, for TensorBoard")
    ] = False


class Pictures(Settings):
    """What the report may show."""

    examples: Annotated[
        int, Field(ge=0, le=8, description="cases shown a dataset; 0 shows no image data")
    ] = 2
    figures: Annotated[
        Names,
        Field(description="figures of report.md, that which decides first; by rank when empty"),
    ] = ()


# The whole --------------------------------------------------------------------------------------


class Study(Settings):
    """A study: every combination of its datasets, networks, modes and seeds."""

    description: Annotated[str, Field(max_length=5000, description="one paragraph for the report")]
    question: Annotated[
        str | None,
        Field(
            max_length=1000,
            description="what is asked, in a sentence; that of the paper when absent",
        ),
    ] = None
    resolution: Annotated[int, Field(ge=8, le=4096, description="side of a prepared case, px")]
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, description="a training each")] = (0,)
    shares: Shares = Shares()
    folders: Annotated[
        Folders | None, Field(description="a folder of datasets; written out when it is read")
    ] = None
    datasets: Annotated[
        dict[Name, Dataset], Field(min_length=1, description="where cases come from")
    ]
    networks: Annotated[dict[Name, Network], Field(description="what is trained")] = {}
    modes: Annotated[dict[Name, Mode], Field(description="ways to train and use each of them")] = {}
    grid: Annotated[
        Grid | None, Field(description="what is varied; written out as modes when it is read")
    ] = None
    samplers: Annotated[
        dict[Name, Sampler], Field(description="ways to draw masks; modes name theirs")
    ] = {}
    readings: Annotated[
        dict[Name, Reading], Field(description="the same draws, read otherwise; modes name theirs")
    ] = {}
    baselines: Annotated[
        dict[Name, Baseline], Field(description="implementations of others, beside the networks")
    ] = {}
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
    comparisons: Comparisons = Comparisons()
    contrasts: Annotated[
        tuple[Annotated[tuple[str, str], Ref("modes")], ...],
        Field(description="planned comparisons of two modes"),
    ] = ()
    hypotheses: Annotated[
        dict[Annotated[str, Plugin("prediction")], Options] | None,
        Field(description="predictions written before the runs: their options, modes mostly"),
    ] = None
    pictures: Pictures = Pictures()
    overrides: Annotated[
        tuple[Override, ...], Field(description="settings for some trainings; later ones win")
    ] = ()


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
