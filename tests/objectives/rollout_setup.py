"""What tests of policy-gradient losses share: random rollouts as an objective is given them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from charter.objectives.base import NO_STATS, Layout, Objective, Scored, Stats
from charter.training.tally import Tally

LENGTHS = (3, 1, 4, 2, 1, 5, 2, 2)
GROUP = 4


def layout_of(
    lengths: Sequence[int] = LENGTHS,
    value: Sequence[float] | Tensor | None = None,
    group: int = GROUP,
    part_B: Tensor | None = None,
    parts: tuple[str, ...] = ("",),
) -> Layout:
    """Groups of ``group`` samples one after the other."""
    count = len(lengths)
    value_B = torch.full((count,), torch.nan) if value is None else torch.as_tensor(value)
    return Layout(
        sample_N=torch.repeat_interleave(torch.arange(count), torch.tensor(lengths)),
        num_samples=count,
        group_B=torch.arange(count) // group,
        part_B=torch.zeros(count, dtype=torch.long) if part_B is None else part_B,
        parts=parts,
        value_BZ=value_B.double()[:, None],
        weight_B=torch.ones(count).double(),
        probability_P=torch.empty(0).double(),
        weight_P=torch.empty(0).double(),
        by_reference_B=torch.arange(count) % 2 == 1,
        version_B=torch.zeros(count, dtype=torch.long),
    )


def rollouts(seed: int = 0, spread: float = 0.4, layout: Layout | None = None) -> Scored:
    """Rollouts of a policy that has moved away from the one that they were scored under."""
    generator = torch.Generator().manual_seed(seed)
    layout = layout_of(value=torch.rand(len(LENGTHS), generator=generator)) if layout is None else layout
    count = len(layout.sample_N)

    def noise(scale: float = 1.0) -> Tensor:
        return scale * torch.randn(count, generator=generator, dtype=torch.float64)

    old_N = -3 * torch.rand(count, generator=generator, dtype=torch.float64) - 0.1
    advantage_B = torch.randn(layout.num_samples, generator=generator, dtype=torch.float64)
    return Scored(
        layout,
        (old_N + noise(spread)).requires_grad_(),
        ref_logps_N=old_N + noise(0.3),
        sampler_logps_N=old_N + noise(0.3),
        old_logps_N=old_N,
        advantage_N=advantage_B[layout.sample_N],
        entropy_N=noise().abs().requires_grad_(),
        values_N=noise().requires_grad_(),
        old_values_N=noise(),
        returns_N=noise(),
    )


def at_old_policy(scored: Scored) -> Scored:
    """The same before the first step."""
    return replace(scored, logps_N=scored.need("old_logps_N").clone().requires_grad_())


def pieces(scored: Scored, *bounds: tuple[int, int]) -> list[Scored]:
    """Micro-batches of the samples from each first to below each last, in that order."""
    found = []
    for first, last in bounds:
        layout = scored.layout
        tokens = (layout.sample_N >= first) & (layout.sample_N < last)
        own = slice(first, last)
        cut = replace(
            layout,
            sample_N=layout.sample_N[tokens] - first,
            num_samples=last - first,
            group_B=layout.group_B[own] - layout.group_B[first],
            part_B=layout.part_B[own],
            value_BZ=layout.value_BZ[own],
            weight_B=layout.weight_B[own],
            by_reference_B=layout.by_reference_B[own],
            version_B=layout.version_B[own],
        )
        names = [n for n in vars(scored) if n.endswith("_N") and getattr(scored, n) is not None]
        found.append(replace(scored, layout=cut, **{n: getattr(scored, n)[tokens] for n in names}))
    return found


def measured(objective: Objective, batches: Sequence[Scored], stats: Stats = NO_STATS) -> tuple[Tensor, dict]:
    """Loss of a step that holds ``batches``, and what it reports."""
    counts: dict[str, float] = {}
    for batch in batches:
        for name, count in objective.counts(batch.layout).items():
            counts[name] = counts.get(name, 0.0) + count
    loss, tally = torch.zeros((), dtype=torch.float64), Tally()
    for batch in batches:
        for name, term in objective(batch, stats).items():
            loss = loss + term.total / counts[name]
            tally.add(term)
    return loss, tally.metrics()


def loss_of(objective: Objective, scored: Scored) -> Tensor:
    return measured(objective, [scored])[0]


def gradient(objective: Objective, scored: Scored) -> Tensor:
    # What a batch has summed once is kept, and its graph with it.
    return torch.autograd.grad(loss_of(objective, scored), scored.logps_N, retain_graph=True)[0]
