"""What a study asks beside its scores: what is measured, and which hypotheses it can test."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
Options = dict[str, Any]


class Settings(BaseModel):
    """Base of all settings: no field may be added, changed or misspelt."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Pair(Settings):
    """Two modes that differ in one thing: whether the network sees the image."""

    with_image: Annotated[str, Field(description="mode of the study")]
    without_image: Annotated[str, Field(description="mode of the study")]


class Analysis(Settings):
    """What is measured beside the scores; nothing by default."""

    oracles: Annotated[
        tuple[str, ...], Field(description="of analysis/oracles.py; none: no fingerprints")
    ] = ()
    oracle_spacing: Annotated[
        float, Field(ge=0.1, le=2, description="of an oracle's levels in log SNR")
    ] = 0.5
    grown: Annotated[
        tuple[Annotated[int, Field(ge=8, le=4096)], ...],
        Field(description="sides, px, at which masks grown by interpolation are measured"),
    ] = ()
    measured: Annotated[
        tuple[str, ...], Field(description="modes whose loss is measured along the noise axis")
    ] = ()
    pair: Annotated[
        Pair | None, Field(description="measured modes that give the image's information")
    ] = None
    networks: Annotated[
        tuple[str, ...] | None, Field(description="measured networks; all when absent")
    ] = None
    shorter: Annotated[
        dict[str, str],
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


class Hump(Settings):
    """P1: trained humps sit where the oracle puts them."""

    modes: Annotated[tuple[str, ...], Field(min_length=1, description="one for each coding")]


class Timesteps(Settings):
    """P2: over log SNR the number of timesteps does not matter."""

    first: Annotated[str, Field(description="mode of the study")]
    second: Annotated[str, Field(description="the same with another T")]


class Ranking(Settings):
    """P3: the image's information ranks datasets as feed-forward Dice does."""

    feed_forward: Annotated[str, Field(description="mode of the study")]


class Harder(Settings):
    """P4: a harder schedule raises IoU and needs few steps; larger objects want a smaller b."""

    scales: Annotated[dict[str, float], Field(min_length=2, description="mode: its b; one is 1")]
    samplers: Annotated[
        tuple[str, ...], Field(min_length=1, description="from pure noise, of different steps")
    ]


class Gap(Settings):
    """P5: x_0 with Dice and cross-entropy removes most of the gap to feed-forward."""

    feed_forward: Annotated[str, Field(description="mode of the study")]
    diffusion: Annotated[str, Field(description="mode of the study")]
    improved: Annotated[str, Field(description="mode of the study")]


class Ensemble(Settings):
    """P6: a feed-forward ensemble matches or beats diffusion of as many draws."""

    ensemble: Annotated[str, Field(description="mode of the study")]
    diffusion: Annotated[str, Field(description="mode of the study")]
    samplers: Annotated[
        tuple[str, str] | None,
        Field(description="of the ensemble and of diffusion; the first of each mode when absent"),
    ] = None


class Recycled(Settings):
    """P7: training on the model's own prediction gains most where masks survive longest."""

    recycled: Annotated[str, Field(description="mode of the study")]
    diffusion: Annotated[str, Field(description="mode of the study")]


class Hypotheses(Settings):
    """The hypotheses that a study can test, each with the modes it is tested on."""

    p1: Annotated[
        Hump | None, Field(description="trained humps sit where the oracle puts them")
    ] = None
    p2: Annotated[
        Timesteps | None, Field(description="over log SNR the number of timesteps does not matter")
    ] = None
    p3: Annotated[
        Ranking | None,
        Field(description="the image's information ranks datasets as feed-forward Dice does"),
    ] = None
    p4: Annotated[
        Harder | None, Field(description="a harder schedule raises IoU and needs few steps")
    ] = None
    p5: Annotated[
        Gap | None,
        Field(
            description="x_0 with Dice and cross-entropy removes most of the gap to feed-forward"
        ),
    ] = None
    p6: Annotated[
        Ensemble | None, Field(description="a feed-forward ensemble matches or beats diffusion")
    ] = None
    p7: Annotated[
        Recycled | None,
        Field(description="training on own predictions gains most where masks survive longest"),
    ] = None
