"""GPO's network: from a few answers of a group of people to what it would answer elsewhere.

A transformer over points, one for each option of a question: what the language model makes of the option,
and for the context points the share of the group that chose it. Points attend to context points alone, and
have no positions: the order of the context says nothing, and targets do not depend on each other.
Zhao et al. 2023 (2310.11523). Ours differs in two things: a learned point is always there to be attended to,
so that a group of which nothing is known gets a prediction too, and a share scales the features of its option
where the paper puts it beside them, where it is one number of a thousand.

Shapes: B groups, R points, d features, w width.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from charter.errors import ConfigError
from charter.models.random_state import seeded

_FLOOR = 0.01
"""Least standard deviation of a share: with none, a group that is of one mind has an infinite likelihood."""

_STD_AT_FIRST = 0.2


@dataclass(frozen=True)
class GPOShape:
    """Sizes of the network; the paper's, but for the features.

    Attributes:
        features: d.
        width: of the transformer.
        layers: of the transformer.
        heads: of its attention; divides the width.
        feed_forward: width of its feed-forward blocks.
        depth: layers of the network that reads a point, after the first.

    Raises:
        ConfigError: sizes that do not fit together.
    """

    features: int
    width: int = 128
    layers: int = 6
    heads: int = 4
    feed_forward: int = 128
    depth: int = 3

    def __post_init__(self) -> None:
        small = sorted(name for name, size in asdict(self).items() if size < 1)
        if small:
            raise ConfigError(f"{', '.join(small)} must be at least 1", where="gpo")
        if self.width % self.heads:
            raise ConfigError(f"width {self.width} is no multiple of heads {self.heads}", where="gpo")


class GPONetwork(nn.Module):
    """See the top of this file.

    Args:
        shape: its sizes.
        seed: of the first weights.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, shape: GPOShape, seed: int = 0) -> None:
        super().__init__()
        self.shape = shape
        with seeded(seed):
            self.feature = nn.Linear(shape.features, shape.width)
            self.said = nn.Linear(2, 2 * shape.width)
            self.read = _mlp([shape.width] * (shape.depth + 1))
            self.nobody = nn.Parameter(0.02 * torch.randn(shape.width))
            self.blocks = nn.ModuleList(_Block(shape) for _ in range(shape.layers))
            self.norm = nn.LayerNorm(shape.width)
            self.head = nn.Linear(shape.width, 2)
            for module in self.modules():
                if isinstance(module, nn.Linear):  # PyTorch's first weights shrink a signal at every layer
                    nn.init.normal_(module.weight, std=module.in_features**-0.5)
                    nn.init.zeros_(module.bias)
        first = _inverse_softplus(float(torch.tensor(_STD_AT_FIRST / _FLOOR).log()))
        nn.init.zeros_(self.head.weight)
        self.head.bias.data = torch.tensor([0.0, first])
        self.register_buffer("centre", torch.zeros(shape.features))
        self.register_buffer("scale", torch.ones(shape.features))

    def standardize(self, x_Rd: Tensor) -> None:
        """Take mean and deviation of features to read them by; features that do not vary count as 0."""
        self.centre = x_Rd.mean(0)
        deviation = x_Rd.std(0, unbiased=False)
        self.scale = torch.where(deviation > 0, deviation, torch.full_like(deviation, torch.inf))

    def forward(self, x_BRd: Tensor, share_BR: Tensor, context_BR: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of each point, ``(B, R)`` each.

        Args:
            x_BRd: features.
            share_BR: shares; read at context points alone.
            context_BR: which points those are, bool.
        """
        known_BR = context_BR.to(x_BRd.dtype)
        said = torch.stack([torch.where(context_BR, share_BR, torch.zeros_like(share_BR)), known_BR], -1)
        # A share is one number beside many features: it scales and moves them, or it would go unheard.
        times, plus = self.said(said).chunk(2, -1)
        hidden = self.read(self.feature((x_BRd - self.centre) / self.scale) * (1 + times) + plus)
        nobody = self.nobody.expand(len(hidden), 1, -1)
        for block in self.blocks:
            hidden, nobody = block(hidden, nobody, context_BR)
        mean_BR, raw_BR = self.head(self.norm(hidden)).unbind(-1)
        floor = torch.log(torch.tensor(_FLOOR, dtype=x_BRd.dtype, device=x_BRd.device))
        return mean_BR, floor + functional.softplus(raw_BR)


class _Block(nn.Module):
    """Attention to the context, then a feed-forward block; both read a normed stream."""

    def __init__(self, shape: GPOShape) -> None:
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.kv, self.o = (
            nn.Linear(width, width),
            nn.Linear(width, 2 * width),
            nn.Linear(width, width),
        )
        self.feed_forward = _mlp([width, shape.feed_forward, width])

    def forward(self, x: Tensor, nobody: Tensor, context_BR: Tensor) -> tuple[Tensor, Tensor]:
        """``x`` ``(B, R, w)`` and the point that is always there, ``(B, 1, w)``."""
        rows = torch.cat([nobody, x], 1)
        always = torch.ones_like(context_BR[:, :1])
        rows = rows + self._attend(self.before(rows), torch.cat([always, context_BR], 1))
        rows = rows + self.feed_forward(self.after(rows))
        return rows[:, 1:], rows[:, :1]

    def _attend(self, rows: Tensor, seen: Tensor) -> Tensor:
        def heads(x: Tensor) -> Tensor:
            return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

        k, v = self.kv(rows).chunk(2, -1)
        mixed = functional.scaled_dot_product_attention(
            heads(self.q(rows)), heads(k), heads(v), attn_mask=seen[:, None, None, :]
        )
        out: Tensor = self.o(mixed.transpose(1, 2).flatten(2))
        return out


def _mlp(sizes: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width, following in pairwise(sizes):
        layers += [nn.Linear(width, following), nn.GELU()]
    return nn.Sequential(*layers[:-1])


def _inverse_softplus(value: float) -> float:
    return float(torch.tensor(value, dtype=torch.float64).expm1().log())


def shape_json(shape: GPOShape) -> dict[str, Any]:
    """The shape as plain data."""
    return asdict(shape)
