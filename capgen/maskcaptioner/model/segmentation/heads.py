"""What is read off a query: a box, whether it is an object, and its class. B clips, T frames, Q queries, D width."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import normalize, relu

from capgen.maskcaptioner.model.position import temporal


class Mlp(nn.Module):  # type: ignore[misc]
    """Linear layers with ReLU between them."""

    def __init__(self, inside: int, hidden: int, outside: int, layers: int) -> None:
        super().__init__()
        widths = [inside, *[hidden] * (layers - 1), outside]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., inside] to [..., outside]."""
        for layer in self.layers[:-1]:
            x = relu(layer(x))
        return self.layers[-1](x)


class BoxHead(nn.Module):  # type: ignore[misc]
    """A box a frame: the clip's query with the frame's position in time, so that boxes differ by frame.

    Source: the paper's head has four layers; the official code copies one box to all frames.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.time = nn.Linear(width, width, bias=False)
        self.mlp = Mlp(width, width, 4, 4)

    def forward(self, queries_BQD: torch.Tensor, frames: int) -> torch.Tensor:
        """Boxes (centre x, centre y, width, height) in 0..1, [B, Q, T, 4]."""
        time_TD = temporal(frames, queries_BQD.shape[-1], queries_BQD.device).to(queries_BQD.dtype)
        return self.mlp(queries_BQD[:, :, None] + self.time(time_TD)).float().sigmoid()


def box_region(boxes_BQT4: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Logits of a box as a mask, [B, Q, T, h, w]: +10 at places whose centre is inside, -10 elsewhere; no gradient."""
    boxes = boxes_BQT4.detach().float()[..., None, None, :]
    height, width = size
    y = ((torch.arange(height, device=boxes.device) + 0.5) / height)[:, None]
    x = (torch.arange(width, device=boxes.device) + 0.5) / width
    inside = ((x - boxes[..., 0]).abs() <= boxes[..., 2] / 2) & ((y - boxes[..., 1]).abs() <= boxes[..., 3] / 2)
    return inside.float() * 20 - 10


class LinearClasses(nn.Module):  # type: ignore[misc]
    """A row of weights for each class; starts at a probability of 5 %, so that rare classes do not drown the rest."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, classes)

    def reset(self) -> None:
        """Start over."""
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.constant_(self.linear.bias, math.log(0.05 / 0.95))

    def forward(self, queries_BQD: torch.Tensor, text_CE: torch.Tensor | None = None) -> torch.Tensor:  # noqa: ARG002
        """Logits [B, Q, C]."""
        return self.linear(queries_BQD)


class OpenClasses(nn.Module):  # type: ignore[misc]
    """Cosine between the projected query and the frozen text embedding of each class, times 50, plus a bias.

    Source: the paper's classifier, without its second look at picture-wide CLIP features, which had to be computed
    beforehand for every frame of every dataset.
    """

    def __init__(self, width: int, text_width: int) -> None:
        super().__init__()
        self.mlp = Mlp(width, width, text_width, 3)
        self.bias = nn.Parameter(torch.empty(()))

    def reset(self) -> None:
        """Start over."""
        nn.init.constant_(self.bias, math.log(0.05 / 0.95))

    def forward(self, queries_BQD: torch.Tensor, text_CE: torch.Tensor | None = None) -> torch.Tensor:
        """Logits [B, Q, C]; ``text_CE`` are unit vectors."""
        if text_CE is None:
            raise ValueError("the open class head needs the text embeddings of its classes")
        return 50 * normalize(self.mlp(queries_BQD).float(), dim=-1) @ text_CE.T.float() + self.bias
