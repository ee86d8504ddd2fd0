"""SegFormer networks of the published sizes, built with the library transformers.

Xie, Wang, Yu, Anandkumar, Alvarez & Luo, "SegFormer: simple and efficient design for semantic
segmentation with transformers" (2021), arXiv:2105.15203, table 6: the Mix Transformer encoders
MiT-B0 to MiT-B5, each with a head of linear layers on its four levels. transformers is imported
when a network is built, so this module can be read without it.
"""

import importlib
from typing import Any, Literal, NamedTuple

from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F

from noise2mask.errors import UserError

Size = Literal["b0", "b1", "b2", "b3", "b4", "b5"]


class Published(NamedTuple):
    """What differs between the sizes; a number for each of the four levels.

    Attributes:
        depths: transformer blocks.
        widths: channels.
        head: channels of the head.
    """

    depths: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]
    head: int


PUBLISHED: dict[str, Published] = {
    "b0": Published((2, 2, 2, 2), (32, 64, 160, 256), 256),
    "b1": Published((2, 2, 2, 2), (64, 128, 320, 512), 256),
    "b2": Published((3, 4, 6, 3), (64, 128, 320, 512), 768),
    "b3": Published((3, 4, 18, 3), (64, 128, 320, 512), 768),
    "b4": Published((3, 8, 27, 3), (64, 128, 320, 512), 768),
    "b5": Published((3, 6, 40, 3), (64, 128, 320, 512), 768),
}
SMALLEST = 32
"""Side in pixels of the smallest image: the first level looks at the mean of 8 x 8 features."""
LOGITS = 4
"""Pixels of the image to one logit, along each side."""


def library() -> Any:
    """The package transformers, silent below errors.

    Raises:
        UserError: it is not installed.
    """
    try:
        transformers = importlib.import_module("transformers")
    except ModuleNotFoundError as error:
        raise UserError(
            f"SegFormer needs the package {error.name}, which this environment does not have: "
            "use the environment made of envs/segformer.txt, or take the reference out of the "
            "study."
        ) from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def configuration(size: Size, channels: int) -> Any:
    """The configuration of one size for images of `channels`, with one logit a pixel.

    Attention is spelt out in matrix products, because torch's counter of multiply-adds does not
    see into its fused form on the CPU; both take the same time at these sizes.
    """
    published = PUBLISHED[size]
    return library().SegformerConfig(
        num_channels=channels,
        num_labels=1,
        depths=list(published.depths),
        hidden_sizes=list(published.widths),
        decoder_hidden_size=published.head,
        num_attention_heads=[1, 2, 5, 8],
        sr_ratios=[8, 4, 2, 1],
        mlp_ratios=[4, 4, 4, 4],
        drop_path_rate=0.1,
        attn_implementation="eager",
    )


def build(size: Size, channels: int) -> nn.Module:
    """An untrained network, drawn from torch's global generator."""
    network: nn.Module = library().SegformerForSemanticSegmentation(configuration(size, channels))
    return network


def build_pretrained(size: Size, weights: str) -> nn.Module:
    """A network for three channels whose encoder, and head where it fits, are pretrained.

    What the weights do not hold (of an encoder alone: the head) is drawn from torch's global
    generator. Weights are read from safetensors only, which execute nothing.

    Args:
        size: of the network.
        weights: a folder, or a name on the hub of transformers, of a MiT or a SegFormer.

    Raises:
        UserError: the weights cannot be had, or are of another size or architecture.
    """
    model = library().SegformerForSemanticSegmentation
    try:
        network, found = model.from_pretrained(
            weights,
            config=configuration(size, 3),
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(
            f"no pretrained weights of SegFormer could be read from '{weights}', neither from a "
            "folder of that name nor from the hub; give a local folder that holds "
            "model.safetensors, or pretrained: null."
        ) from error
    lacking = [*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])]
    if any(name.startswith("segformer.") for name in lacking):
        raise UserError(
            f"the weights in '{weights}' do not fit the encoder MiT-{size.upper()}; give those of "
            "the same size, or change size, or give pretrained: null."
        )
    trained: nn.Module = network
    return trained


def channels_of(network: nn.Module) -> int:
    """Channels of the images that a network takes."""
    config: Any = network.config
    return int(config.num_channels)


def logits_of(network: nn.Module, image: Tensor, side: int | None) -> Tensor:
    """Logits of the foreground at the resolution of the images, (B, 1, H, W).

    Args:
        network: one that is built here.
        image: (B, C, H, W), standardised; a single channel is repeated for a network of three.
        side: the network sees the images bilinearly resized to this side; None: as they are.
    """
    shown = image.expand(-1, channels_of(network), -1, -1)
    if side is not None:
        shown = F.interpolate(shown, size=(side, side), mode="bilinear", align_corners=False)
    logits = network(pixel_values=shown).logits  # B,1,side/4,side/4
    return F.interpolate(logits, size=image.shape[-2:], mode="bilinear", align_corners=False)
