"""What a study compares its networks with: other readings of draws, references, quirks."""

from typing import Annotated, Literal

from pydantic import Field

from noise2mask.study.schema_questions import Options, Settings


class Reading(Settings):
    """Masks that were drawn already, read in another way; no network is run.

    N of a reading is `seeds` times `draws`: readings of one draw each of five seeds are a deep
    ensemble of five members.
    """

    of: Annotated[str, Field(description="sampler of the study that drew them")]
    draws: Annotated[
        int | None, Field(ge=1, description="the first so many of each case; all when absent")
    ] = None
    seeds: Annotated[
        int, Field(ge=1, le=100, description="trainings whose draws are taken together")
    ] = 1
    temperature: Annotated[
        bool, Field(description="scale the fused draws by a temperature fitted on val")
    ] = False
    fusion: Annotated[
        str | None, Field(description="a function of fusion.py; that of the study when absent")
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
    networks: Annotated[
        tuple[str, ...] | None, Field(description="networks it applies to; all when absent")
    ] = None


class Quirk(Settings):
    """Something that published codes do to their own numbers, beside what is done here.

    It is in readings of the same draws, or in datasets of the same cases.
    """

    title: Annotated[str, Field(description="how tables and figures call it")]
    readings: Annotated[
        dict[str, str], Field(description="sampler or reading: the reading that has the quirk")
    ] = {}
    datasets: Annotated[
        dict[str, str], Field(description="dataset: the dataset that has the quirk")
    ] = {}


class Baseline(Settings):
    """An implementation of others, in an environment of its own, on the same cases and splits."""

    kind: Annotated[str, Field(description="a file in references/ that defines `fit`")]
    title: Annotated[str, Field(description="how tables and figures call it")]
    datasets: Annotated[
        tuple[str, ...] | None, Field(description="datasets it is trained on; all when absent")
    ] = None
    options: Annotated[Options, Field(description="options of that kind")] = {}
