"""A small convolutional network that learns close-ups several times faster than a transformer does, and guides it.

A vision tower without convolutions has to find out from examples alone that neighbouring pixels belong together. For
the first part of the training its layers are therefore asked, at every patch, to hold what the network holds there.
The network is thrown away afterwards.

Source: the idea is that of Li et al., Locality Guidance for Improving Vision Transformers on Tiny Datasets, ECCV 2022;
here both learn the same labels, and two depths are matched by linear maps and mean squared errors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that torch's own documentation gives it

from experiments.embedded.config import Config
from experiments.embedded.model import Heads

_MIDDLE = 64


def _block(width_in: int, width: int, kernel: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(width_in, width, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU())


class Teacher(nn.Module):  # type: ignore[misc]
    """Six convolutions from pixels to the tower's grid of patches; strides 3, 2, 2 make a patch of 12."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        if config.vision.patch != 12:
            raise ValueError("the guiding network is made for patches of 12 pixels")
        width, self.grid = config.vision.width, config.grid
        self.near = nn.Sequential(_block(3, 32, 5, 3), _block(32, _MIDDLE, 3, 2), _block(_MIDDLE, _MIDDLE, 3, 1))
        self.far = nn.Sequential(_block(_MIDDLE, width, 3, 2), _block(width, width, 3, 1), _block(width, width, 3, 1))
        self.heads = Heads(config)

    def forward(self, x_PCHW: Tensor) -> tuple[Tensor, Tensor]:
        """What it holds at every patch: early on, [P, patches, 4 x 64], and at the end, [P, patches, width]."""
        near = self.near(x_PCHW.contiguous(memory_format=torch.channels_last))
        far = self.far(near)
        count, g = len(near), self.grid
        split = near.reshape(count, _MIDDLE, g, 2, g, 2).permute(0, 2, 4, 1, 3, 5).reshape(count, g * g, -1)
        return split, far.flatten(2).transpose(1, 2)


class Guide(nn.Module):  # type: ignore[misc]
    """Linear maps from the tower's layers to what the teacher holds."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.vision.width
        self.near, self.far = nn.Linear(width, 4 * _MIDDLE), nn.Linear(width, width)

    def loss(self, layers: list[Tensor], near: Tensor, far: Tensor) -> Tensor:
        """How much of the teacher's variance the tower's layers leave unexplained, the mean of both depths.

        Args:
            layers: the tower's hidden states after each layer, [P, patches, width] each.
        """
        early, late = layers[1], layers[min(3, len(layers) - 1)]
        return (_unexplained(self.near(_normed(early)), near) + _unexplained(self.far(_normed(late)), far)) / 2


def _normed(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


def _unexplained(guess: Tensor, truth: Tensor) -> Tensor:
    flat = truth.flatten(0, 1)
    scale = flat.std(0) + 0.1
    return ((guess.flatten(0, 1) - flat + flat.mean(0)) / scale).square().mean()
