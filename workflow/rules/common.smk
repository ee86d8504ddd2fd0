# The study, checked before anything runs, and the functions that rules ask for their parameters.
import re
import shlex
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

from noise2mask.data import catalogue
from noise2mask.data.raw_files import content_digest, files_read
from noise2mask.errors import UserError
from noise2mask.study import code_hash, paths
from noise2mask.study.code_hash import hash_code
from noise2mask.study.plan import (
    PREDICTION,
    REFERENCE,
    analysis_tables,
    trainings_of,
    trainings_read,
    described_datasets,
    fusion_of,
    grown_datasets,
    measured_modes,
    most_draws,
    needs_measurement,
    priced_trainings,
    priced_baselines,
    proper_masks,
    baseline_trainings,
    run_settings,
    samplers_of,
    scored_datasets,
    thresholds_of,
)
from noise2mask.study.schema import Training, Measured, digest
from noise2mask.study.load import check_data, load_study


def given(key):
    """What --config or a configuration file says, as it was written; None if it says nothing."""
    value = config.get(key) or None
    # On its way to a job --config is read as YAML, where 2024_05 is a number, and by a shell.
    told = key in workflow.config_settings.config
    if value is not None and not isinstance(value, str):
        raise WorkflowError(
            f"--config {key}: it was read as {value!r}, not as text; run `noise2mask reproduce`, "
            f"which hands it on as it is written."
        )
    if value and told and re.search(r"[^\w ./~+,:@%=-]", value):
        raise WorkflowError(
            f"--config {key}={value!r} holds a character that a shell may read; run `noise2mask "
            "reproduce`, which hands it on as it is written."
        )
    return value


if asked := workflow.deployment_settings.deployment_method:
    raise WorkflowError(
        f"--software-deployment-method {' '.join(sorted(str(each) for each in asked))}: every rule "
        "runs in the environment that `make setup` installs from envs/, no other is made for it; "
        "leave the option out."
    )

STUDY_FILE = paths.study_file(given("study") or "quick")
DATA = given("data")

try:
    NAME = paths.check_name(STUDY_FILE)
    STUDY = load_study(STUDY_FILE, DATA)
    check_data(STUDY, NAME)
except UserError as error:
    raise WorkflowError(str(error)) from None

# In the command of every stage, quoted for the shell.
STUDY_OPTIONS = shlex.join(
    ["--study", str(STUDY_FILE), *(["--data", DATA] if DATA else [])]
)


def study_options(wildcards, input):
    """The parameter that names the study and its data.

    What is made from `input` is no reason to run again: a folder of data may be moved.
    """
    return STUDY_OPTIONS


TRAININGS = list(trainings_of(STUDY))
COMPARED = list(baseline_trainings(STUDY))
PRICED = priced_trainings(STUDY)
PREPARED = str(paths.prepared(NAME, "{dataset}"))
TRAINING = f"{paths.RESULTS}/{NAME}/{{dataset}}/{{network}}/{{mode}}/seed{{seed}}"
JOB = f"logs/{NAME}/{{dataset}}.{{network}}.{{mode}}.seed{{seed}}"
COMPARISON = f"{paths.RESULTS}/{NAME}/{{dataset}}/{{baseline}}/{REFERENCE}/seed{{seed}}"
MEASURED = str(paths.measured_file(NAME, Measured("{dataset}", "{network}", "{seed}")))
MEASURED_PICTURES = str(Path(MEASURED).with_name(paths.PICTURES))
DESCRIBED = str(paths.described_folder(NAME, "{dataset}"))
BLIND = str(paths.blind_folder(NAME, "{dataset}"))
# Likelihoods are clipped by the largest number of draws of the study.
SCORING = digest(
    [
        STUDY.evaluation.model_dump(mode="json"),
        most_draws(STUDY),
    ]
)
REPORT = str(paths.Paths(NAME).report())
PAGE = f"{REPORT}/index.html"
# All datasets are prepared: nothing that takes long begins before.
READY = str(paths.PREPARED / NAME / "ready")
# Says what software a rule needs, as Snakemake's linter asks; nothing is installed from it.
ENVIRONMENT = "../../envs/core.yaml"
PREPARING = {
    "kind",
    "aspect",
    "shrink",
    "tile",
    "stride",
    "masks",
    "validation",
    "leaks",
    "options",
}
GPUS = int(STUDY.compute.device == "cuda")


wildcard_constraints:
    dataset="[a-z0-9_]+",
    network="[a-z0-9_]+",
    mode="[a-z0-9_]+",
    seed="[0-9]+",
    sampler="[a-z0-9_]+",
    raw="[a-z0-9_]+",
    baseline="[a-z0-9_]+",
    kind="[a-z0-9]+",


def whole_machine(_):
    """Every core of this machine; on a cluster the profile asks for a node of its own."""
    return workflow.cores if workflow.local_exec else STUDY.compute.threads


def training_of(wildcards):
    return Training(
        wildcards.dataset, wildcards.network, wildcards.mode, int(wildcards.seed)
    )


@cache
def settings_for(training):
    return run_settings(STUDY, training)


def settings_of(wildcards):
    return settings_for(training_of(wildcards))


def environment_of(wildcards):
    return paths.environment(STUDY.baselines[wildcards.baseline].kind)


def place_of(wildcards):
    return Measured(wildcards.dataset, wildcards.network, int(wildcards.seed))


def measured_runs(wildcards):
    """The settings of the trainings that are measured together."""
    place = place_of(wildcards)
    return [
        settings_for(Training(place.dataset, place.network, mode, place.seed))
        for mode in measured_modes(STUDY)[place]
    ]


def measured_trainings(file):
    """A function that gives `file` of the trainings that are measured together."""

    def files(wildcards):
        place = place_of(wildcards)
        return [
            str(
                paths.training_folder(
                    paths.RESULTS,
                    NAME,
                    Training(place.dataset, place.network, mode, place.seed),
                )
                / file
            )
            for mode in measured_modes(STUDY)[place]
        ]

    return files


def needed_measurement(wildcards):
    """What a training takes from others before it begins."""
    if not needs_measurement(settings_of(wildcards).diffusion):
        return []
    return [str(paths.measured_file(NAME, training_of(wildcards).measured()))]


def fetched(wildcards):
    """The record of what was fetched, of a dataset that has archives."""
    dataset = STUDY.datasets[wildcards.dataset]
    if dataset.named and catalogue.entry(dataset.named).archives:
        return [f"{dataset.options['root']}/record.json"]
    return []


def raw_content(wildcards):
    """What the raw files hold that a dataset is made of; nothing else in their folders counts.

    As a parameter, not as input files: their names may hold what Snakemake takes for wildcards.
    """
    dataset = STUDY.datasets[wildcards.dataset]
    if fetched(wildcards):
        return ""
    try:
        files = files_read(dataset.kind, dataset.options)
        return content_digest(files, paths.PREPARED / ".raw_files.json")
    except UserError as error:
        from noise2mask.workflow.data_add import explained  # slow, and rarely needed

        error = explained(dataset.kind, dataset.options, error)
        raise WorkflowError(f"datasets.{wildcards.dataset}: {error}") from None


def prepared_as(dataset):
    """The settings of a dataset that its prepared cases depend on; not where its files lie."""
    found = dataset.model_dump(mode="json", include=PREPARING)
    return found | {"options": {**found["options"], "root": None}}


def fetched_for(raw):
    """A dataset of the study that is made of this raw data."""
    root = str(paths.RAW / raw)
    return next(
        name
        for name, entry in STUDY.datasets.items()
        if entry.options.get("root") == root
    )


def drawn_for(wildcards, split):
    """The draws that a reading takes together."""
    return [
        str(
            paths.training_folder(paths.RESULTS, NAME, training)
            / STUDY.readings[wildcards.reading].of
            / paths.DRAWS[split]
        )
        for training in trainings_read(STUDY, training_of(wildcards), wildcards.reading)
    ]


SPLIT_OF = {Path(file).stem: split for split, file in paths.DRAWS.items()}


def proper_cases(wildcards):
    """The prepared test cases with proper masks of a dataset whose masks have a quirk."""
    proper = proper_masks(STUDY).get(wildcards.dataset)
    if proper is None:
        return []
    files = ("manifest.json", "test.images.npy", "test.masks.npy")
    return [str(paths.prepared(NAME, proper) / file) for file in files]


def named(names):
    """A pattern of these names, or of none."""
    return "|".join(names) or "(?!)"


def trained(file):
    """`file` of every training of the study."""
    return [
        str(paths.training_folder(paths.RESULTS, NAME, training) / file)
        for training in TRAININGS
    ]


def scored(file):
    """`file` of every training and sampler of the study."""
    return [
        str(paths.training_folder(paths.RESULTS, NAME, training) / sampler / file)
        for training in [*TRAININGS, *COMPARED]
        for sampler in samplers_of(STUDY, training)
    ]


def of_dataset(files, dataset):
    """Those among the results of a study that belong to one dataset."""
    folder = Path(paths.RESULTS, NAME, dataset)
    return [file for file in files if folder in Path(file).parents]


def costs():
    """Measured costs of networks and references, where the study asks for them."""
    if not STUDY.costs:
        return []
    own = [str(paths.cost_file(NAME))] if PRICED else []
    return own + [
        str(paths.baseline_cost_file(NAME, training))
        for training in priced_baselines(STUDY)
    ]


def analysed():
    """Tables of the analysis: fingerprints of datasets, and losses along the noise axis."""
    described = [
        str(paths.described_folder(NAME, dataset) / f"{table}.csv")
        for dataset in described_datasets(STUDY)
        for table in paths.FINGERPRINT_TABLES
    ]
    grown = [str(paths.grown_file(NAME, each)) for each in grown_datasets(STUDY)]
    return [
        *described,
        *grown,
        *(str(paths.measured_file(NAME, place)) for place in measured_modes(STUDY)),
    ]
