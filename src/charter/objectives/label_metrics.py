"""What every method on labelled answers with a reference reports.

Shapes: B samples.
"""

from __future__ import annotations

from torch import Tensor

from charter.objectives.base import Layout, Scored


def labelled(layout: Layout) -> tuple[Tensor, Tensor]:
    """Which samples are desirable (label 1) and which undesirable (label 0), ``(B,)`` bool each."""
    return layout.value_B == 1, layout.value_B == 0


def label_metrics(scored: Scored, beta: float) -> dict[str, tuple[Tensor, Tensor]]:
    """Weighted sums with the weights they are divided by, each kind by its own.

    Rewards (``beta`` times the summed log-ratio), log-probs and lengths of desirable (``chosen``) and
    undesirable (``rejected``) answers, under TRL's names.
    """
    scored = scored.detached()  # sums that `scored` keeps must not be made here without gradient
    per_sample = {
        "rewards": beta * scored.logratios_B,
        "logps": scored.logps_B,
        "length": scored.lengths_B,
    }
    found = {}
    for kind, of_B in zip(("chosen", "rejected"), labelled(scored.layout), strict=True):
        weight_B = scored.layout.weight_B * of_B
        for name, x_B in per_sample.items():
            found[f"{name}/{kind}"] = ((weight_B * x_B).sum(), weight_B.sum())
    return found
