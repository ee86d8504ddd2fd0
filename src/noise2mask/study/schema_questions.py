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


class Comparisons(Settings):
    """The planned comparisons of diffusion with feed-forward, the former named first.

    With its own loss each is trained as published; with a matched loss both have the same one, so
    that what is left of a difference is the diffusion.
    """

    own: Annotated[
        tuple[str, str] | None,
        Field(
            description="modes, each with its own loss; `diffusion` and `feed_forward` if absent"
        ),
    ] = None
    matched: Annotated[
        tuple[tuple[str, str], ...], Field(description="pairs of modes with one loss for both")
    ] = ()
