"""The figures of the analysis in a report: captions, and what to look at."""

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from noise2mask.evaluation.labels import Labels, metric_of
from noise2mask.report.markdown import escaped


class Picture(NamedTuple):
    """What a figure shows, and what to look at; both are formats of the parts of its name."""

    caption: str
    look: str


LOSSES: Mapping[str, Picture] = {
    r"loss_(?P<quantity>eps|x_0|v)_log_snr": Picture(
        "Loss of {quantity} along log SNR, little noise on the left: mean squared error per pixel "
        "over test cases with {interval}.",
        "Look at whether a curve turns: one that rises and falls has its hump where the noise "
        "hides what is hardest to guess.",
    ),
    r"loss_(?P<quantity>eps|x_0|v)_t": Picture(
        "Loss of {quantity} along the timestep t: the same curves as along log SNR.",
        "Look at where schedules differ: they stretch this axis, not the one of log SNR.",
    ),
}
INFORMATION: Mapping[str, Picture] = {
    r"integrand": Picture(
        "Image information along log SNR: bits per mask and unit of log SNR (covariance "
        "estimate), with its 10, 50 and 90 % quantiles.",
        "Look at where the area lies: timesteps outside of it teach the network little about the "
        "image.",
    ),
}
MASKS: Mapping[str, Picture] = {
    r"noising": Picture(
        "A mask and a photograph under the same noise: what the best Gaussian filter recovers of "
        "each; its width is chosen with the truth known.",
        "Look at the columns in which the mask is still read and the photograph is not.",
    ),
    r"masks_beside_images": Picture(
        "Recovered share of variance along log SNR: best Gaussian filter on noisy masks and on "
        "noisy images of the same signal-to-noise ratio, with {interval}.",
        "Look at the distance of the two lines: what masks keep longer than images.",
    ),
    r"readability": Picture(
        "Dice of the oracles along log SNR: estimates without the image; dashed, the Dice of all "
        "foreground.",
        "Look at how far to the right a line stays near 1: so long the mask is read off x_t.",
    ),
    r"atlas": Picture(
        "Atlas of datasets: Dice of the best Gaussian filter along log SNR, a row a dataset, "
        "ordered by likeness of these rows, with the masks' geometry.",
        "Look at the boundary per area beside the place where a row turns dark.",
    ),
    r"widths": Picture(
        "Best width of the Gaussian filter along log SNR: pixels, a line a dataset.",
        "Look at how early a line leaves 0 and how high it climbs: large objects allow wide "
        "filters.",
    ),
    r"geometry_against_death": Picture(
        "Log SNR at which Dice falls to one half, against boundary per area: a point a dataset.",
        "Look at the rank correlation in the title; each point is a dataset, not a case.",
    ),
}
ABLATION: Mapping[str, Picture] = {
    r"heat_maps_(?P<metric>\w+)": Picture(
        "{metric} of the levels of two factors at a time: mean over the trainings that have both.",
        "Look at the small number in a cell before its colour: it says how many trainings it is "
        "the mean of.",
    ),
    r"steps_(?P<metric>\w+)": Picture(
        "{metric} against the number of sampling steps: mean over test cases with {interval}.",
        "Look at the mark on each line: more steps than there gain less than a Dice point.",
    ),
    r"starts_(?P<metric>\w+)": Picture(
        "{metric} against the timestep at which sampling starts from pure noise: mean over test "
        "cases with {interval}.",
        "Look at the least timestep up to which a line stays level: those above it do not decide "
        "the mask.",
    ),
}
CONTRASTS: Mapping[str, Picture] = {
    r"contrasts_(?P<metric>\w+)": Picture(
        "{metric}, first minus second mode: difference with {interval}; filled where significant "
        "after Holm's correction. Axes differ between panels.",
        "Look at which intervals exclude 0 and how wide the others are: a wide one is no proof of "
        "equality.",
    ),
}
QUIRKS: Mapping[str, Picture] = {
    r"quirks_(?P<metric>\w+)": Picture(
        "What published codes do to their own {metric}: published minus proper in points, with "
        "{interval}; filled where that excludes 0.",
        "Look at quirks that move a score by as much as papers report between methods.",
    ),
}
DRAWS: Mapping[str, Picture] = {
    r"draws_all": Picture(
        "Pooled ECE over all pixels against N, the draws whose mean is scored, with {interval}; "
        "dashed, what a perfect sampler of N draws would show. Level lines: the best calibrated of "
        "the other modes.",
        "Look at how far a line stays above its dashed floor: that part is not for want of draws. "
        "The floor is for draws that are masks; a line below it has grey draws, each a probability "
        "already.",
    ),
    r"draws_band": Picture(
        "The same in the band about the reference boundary.",
        "Look at whether the order of the lines is that over all pixels.",
    ),
}
COSTS: Mapping[str, Picture] = {
    r"quality_against_cost": Picture(
        "Dice and ECE against seconds per mask; the grey step is the best within that time.",
        "Look at which marks lie on the step: the others cost more for no more.",
    ),
}
_ALL = (LOSSES, INFORMATION, MASKS, ABLATION, CONTRASTS, QUIRKS, DRAWS, COSTS)


def pictures(known: Mapping[str, Picture], labels: Labels, figures: Collection[str]) -> list[str]:
    """Every figure of `known` that exists, with its caption and what to look at."""
    parts = []
    for pattern, picture in known.items():
        for name in sorted(figures):
            found = re.fullmatch(pattern, name)
            if found:
                words = {"interval": labels.interval(), **found.groupdict()}
                words |= {"metric": metric_of(words["metric"]).title} if "metric" in words else {}
                parts.append(linked(name, picture.caption.format(**words)))
                parts.append(f"{escaped(picture.look)}\n")
    return parts


def linked(name: str, caption: str) -> str:
    """A figure that leads to its scalable version, with its caption."""
    text = escaped(caption)
    short = text.partition(":")[0].partition(";")[0]
    return f"[![{short}](figures/{name}.png)](figures/{name}.svg)\n\n*{text}*\n"


def others(figures: Collection[str]) -> list[str]:
    """Names of the figures that have no caption here."""
    known = [pattern for group in _ALL for pattern in group]
    return [
        name
        for name in sorted(figures)
        if not any(re.fullmatch(pattern, name) for pattern in known)
    ]
