"""Runs a step of TRPO on golden cases: one state, whose logits are the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from charter.objectives.conjugate_gradient import conjugate_gradient
from charter.objectives.trust_region import Trial, backtrack, step_size

Inputs = Mapping[str, Tensor]
Options = Mapping[str, Any]


def trpo(inputs: Inputs, options: Options) -> dict[str, Any]:
    """The surrogate is the exact expectation over the three answers."""
    logits, advantage = inputs["logits"].requires_grad_(), inputs["advantages"]
    old = logits.log_softmax(0).detach()

    def kl(at: Tensor) -> Tensor:
        return (old.exp() * (old - at.log_softmax(0))).sum()

    def surrogate(at: Tensor) -> Tensor:
        ratio = (at.log_softmax(0) - old).exp()
        return (old.exp() * ratio * advantage).sum()

    (slope,) = torch.autograd.grad(kl(logits), logits, create_graph=True)

    def fisher(v: Tensor) -> Tensor:
        return torch.autograd.grad(slope @ v, logits, retain_graph=True)[0]

    def attempt(share: float) -> Trial:
        at = (logits + share * full_step).detach()
        return Trial(float(kl(at)), float(surrogate(at)))

    (gradient,) = torch.autograd.grad(surrogate(logits), logits)
    damping, max_kl = options["damping"], options["max_kl"]
    asked = {"damping": damping, "tolerance": 0.0, "epsilon": options["cg_eps"]}
    found = conjugate_gradient(fisher, gradient, iterations=options["cg_iters"], **asked)
    size = step_size(found.curvature, max_kl)
    full_step = size * found.x_P
    before = float(surrogate(logits).detach())
    done = backtrack(attempt, before, max_kl, options["backtrack_coef"], options["backtrack_iters"])
    assert done is not None
    matrix = torch.stack([fisher(row) for row in torch.eye(len(logits), dtype=torch.float64)])
    damped = matrix + damping * torch.eye(len(logits), dtype=torch.float64)
    exact = conjugate_gradient(fisher, gradient, damping=damping, tolerance=1e-14, reorthogonalize=True).x_P
    torch.testing.assert_close(exact, torch.linalg.solve(damped, gradient))
    return {
        "gradient": gradient,
        "fisher": matrix,
        "cg_solution": found.x_P,
        "step_size": torch.tensor(size).double(),
        "full_step": full_step,
        "backtrack_steps": done.backtracks,
        "kl": torch.tensor(done.trial.kl).double(),
        "surrogate_old": torch.tensor(before).double(),
        "surrogate_new": torch.tensor(done.trial.surrogate).double(),
        "exact_solution": exact,
    }


RUNNERS = {"trpo": trpo}
