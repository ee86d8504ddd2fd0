"""What every architecture offers: forward, image features, published checkpoints."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from noise2mask.errors import UserError

COUNTER = "num_batches_tracked"  # of batch norm; has no influence at a fixed momentum


# ruff: noqa: ARG002 - what every architecture takes, some ignore


class Network(nn.Module, ABC):
    """A denoising network of one mask channel, conditioned on an image.

    Attributes:
        calibrated: the network has a second head, a segmentation ("calibration map") of its own.
        published_names: pairs (pattern, replacement) that turn our state-dict keys into those of
            the published checkpoints, applied in order with :func:`re.sub`.
        unpublished: beginnings of published keys that published checkpoints may leave out; the
            weights behind them then keep their values.
    """

    calibrated: bool = False
    published_names: Sequence[tuple[str, str]] = ()
    unpublished: tuple[str, ...] = ()

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """Features that depend on the image alone: (B,C,H,W) -> tensors, each (B, ...).

        Computed once per image and passed to every step of a sampler. The rows of each tensor
        belong to the rows of `image`, so they can be selected and repeated by index.
        """
        return ()

    @abstractmethod
    def forward(
        self, x_t: Tensor, image: Tensor, t: Tensor, features: tuple[Tensor, ...] | None = None
    ) -> Tensor:
        """Output for a noisy mask: (B,1,H,W), (B,C,H,W), (B,) int64 -> (B,output_channels,H,W).

        Args:
            x_t: noisy mask.
            image: the image that the mask belongs to.
            t: timestep, counted in the unshortened diffusion process.
            features: what :meth:`encode` gave for `image`; computed here if None.
        """

    def with_calibration(
        self, x_t: Tensor, image: Tensor, t: Tensor, features: tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Output as :meth:`forward`, and the calibration map (B,1,H,W) with values in (0, 1).

        Raises:
            TypeError: the network is not `calibrated`.
        """
        raise TypeError(f"{type(self).__name__} has no calibration head")

    def published_key(self, key: str) -> str:
        """Name in the published code of a module or state-dict entry of ours."""
        for pattern, replacement in self.published_names:
            key = re.sub(pattern, replacement, key)
        return key

    def to_published(self) -> dict[str, Tensor]:
        """The state dict under the published names (tensors shared, not copied)."""
        return {self.published_key(key): value for key, value in self.state_dict().items()}

    def load_published(self, state_dict: Mapping[str, Tensor]) -> None:
        """Copy weights from a state dict with the published names; counters are ignored.

        Raises:
            UserError: entries are missing, unexpected or of another shape; nothing is loaded.
        """
        ours = {self.published_key(key): key for key in self.state_dict()}
        wanted = {key: self.state_dict()[ours[key]] for key in ours if not key.endswith(COUNTER)}
        given = {key: value for key, value in state_dict.items() if not key.endswith(COUNTER)}
        if not any(key.startswith(self.unpublished) for key in given):
            wanted = {k: v for k, v in wanted.items() if not k.startswith(self.unpublished)}
        complaints = [
            _listed("lacks", wanted.keys() - given.keys()),
            _listed("has the unknown", given.keys() - wanted.keys()),
            *(
                f"has {tuple(given[key].shape)} for {key} where {tuple(wanted[key].shape)} is due"
                for key in sorted(wanted.keys() & given.keys())
                if given[key].shape != wanted[key].shape
            ),
        ]
        said = [complaint for complaint in complaints if complaint]
        if said:
            more = f" and {len(said) - 3} more differences" if len(said) > 3 else ""
            raise UserError(
                f"the published state dict does not fit this {type(self).__name__}: it "
                f"{'; it '.join(said[:3])}{more}; build the network with the options it was "
                "trained with."
            )
        self.load_state_dict({ours[key]: value for key, value in given.items()}, strict=False)


def _listed(verb: str, keys: Iterable[str]) -> str:
    names = sorted(keys)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{verb} {', '.join(names[:3])}{more}" if names else ""
