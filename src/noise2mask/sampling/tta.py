"""The eight views of a square image: four turns, each as it is and mirrored.

For test-time augmentation: a network sees an image in several views, and its masks are turned back.
"""

import torch
from torch import Tensor


def view(image: Tensor, number: int) -> Tensor:
    """An image (..., H, W) in view 0 (as it is) to 7.

    View 1 is mirrored left-right, 2 turned by half, 3 both, 4 to 7 the same after a quarter turn:
    the first two and the first four are groups of their own.
    """
    quarter, half, mirrored = number // 4, number // 2 % 2, number % 2
    turned = torch.rot90(image, quarter + 2 * half, (-2, -1))
    return turned.flip(-1) if mirrored else turned


def unview(mask: Tensor, number: int) -> Tensor:
    """A mask (..., H, W) in a view, as the image was."""
    quarter, half, mirrored = number // 4, number // 2 % 2, number % 2
    turned = mask.flip(-1) if mirrored else mask
    return torch.rot90(turned, -(quarter + 2 * half), (-2, -1))
