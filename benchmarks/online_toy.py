"""DPO against PPO where the pairs say nothing: 8 prompts with 8 answers, some of them in no pair.

After section 3 of Xu et al. 2024 (2404.10719). A small network maps a prompt to the logits of its 8
answers; as every prompt shares the hidden layer, training on some answers moves the others. Of each
prompt a few answers are seen: every two of them are compared, with the probability that Bradley-Terry
gives by their true worth. DPO sees the pairs alone. PPO sees a reward model that was fitted to the same
pairs, samples every answer, and pays for the KL to the reference with the same beta. The optimum of that
reward model and the optimum of the true worth are computed exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from charter.objectives.surrogate_losses import clipped_surrogate

PROMPTS = ANSWERS = 8
COVERAGES = (2, 4, 6)
"""Answers of a prompt that are in pairs."""

HIDDEN, SHARPNESS, BETA, SEEDS = 32, 4.0, 0.5, 10
FIT_STEPS, FIT_RATE = 400, 1e-2
ROUNDS, ROUND_SAMPLES, EPOCHS, PPO_RATE, EPSILON = 120, 64, 4, 5e-3, 0.2

Row = dict[str, Any]


def run_toy(seeds: int = SEEDS) -> list[Row]:
    """One row for each coverage and seed: of each policy ``unseen``, ``raised``, ``worth`` and ``kl``.

    ``unseen`` is the probability of answers that are in no pair, ``raised`` the share of those of less than
    middling worth that became likelier than under the reference, ``worth`` the mean true worth, ``kl`` the
    distance to the reference in nats; means over prompts.
    """
    with torch.random.fork_rng(devices=[]):
        return [
            {"seen": seen, "seed": seed, "policies": _one(seen, seed)}
            for seen in COVERAGES
            for seed in range(seeds)
        ]


def _one(seen: int, seed: int) -> Row:
    torch.manual_seed(seed)
    worth_XY = _worth()
    seen_XY = torch.zeros(PROMPTS, ANSWERS, dtype=torch.bool)
    for x in range(PROMPTS):
        seen_XY[x, torch.randperm(ANSWERS)[:seen]] = True
    pairs_P3 = _pairs(seen_XY)
    holds_P = torch.sigmoid(SHARPNESS * _gaps(worth_XY, pairs_P3))
    reference = _network()
    ref_XY = _log_policy(reference).detach()
    reward = _fitted(_network(), lambda logits_XY: _bradley_terry(logits_XY, pairs_P3, holds_P))
    reward_XY = _table(reward).detach()
    dpo = _fitted(
        _copy(reference),
        lambda logits_XY: _bradley_terry(BETA * (logits_XY.log_softmax(-1) - ref_XY), pairs_P3, holds_P),
    )
    policies = {
        "reference": ref_XY,
        "dpo": _log_policy(dpo).detach(),
        "ppo": _log_policy(_ppo(_copy(reference), ref_XY, reward_XY)).detach(),
        "optimum of the reward model": (ref_XY + reward_XY / BETA).log_softmax(-1),
        "optimum of the true worth": (ref_XY + SHARPNESS * worth_XY / BETA).log_softmax(-1),
    }
    poor_XY = ~seen_XY & (worth_XY < 0.5)
    return {
        name: {
            "raised": float((logp_XY > ref_XY + 1e-6)[poor_XY].float().mean()),
            "unseen": float((logp_XY.exp() * ~seen_XY).sum(-1).mean()),
            "worth": float((logp_XY.exp() * worth_XY).sum(-1).mean()),
            "kl": float((logp_XY.exp() * (logp_XY - ref_XY)).sum(-1).mean()),
        }
        for name, logp_XY in policies.items()
    }


def _worth() -> Tensor:
    """1 for the prompt's own answer, falling to 0 for the one farthest from it on a circle."""
    gap_XY = (torch.arange(ANSWERS)[None] - torch.arange(PROMPTS)[:, None]) % ANSWERS
    return 1 - torch.minimum(gap_XY, ANSWERS - gap_XY) / (ANSWERS // 2)


def _pairs(seen_XY: Tensor) -> Tensor:
    """Rows of prompt and two seen answers, ``(P, 3)``."""
    rows = [
        (x, a, b)
        for x in range(PROMPTS)
        for a, b in combinations(torch.nonzero(seen_XY[x]).flatten().tolist(), 2)
    ]
    return torch.tensor(rows)


def _gaps(score_XY: Tensor, pairs_P3: Tensor) -> Tensor:
    x, first, second = pairs_P3.unbind(1)
    return score_XY[x, first] - score_XY[x, second]


def _network() -> nn.Module:
    return nn.Sequential(nn.Linear(PROMPTS, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, ANSWERS))


def _copy(network: nn.Module) -> nn.Module:
    made = _network()
    made.load_state_dict(network.state_dict())
    return made


def _table(network: nn.Module) -> Tensor:
    """Outputs for every prompt, ``(X, Y)``."""
    found: Tensor = network(torch.eye(PROMPTS))
    return found


def _log_policy(network: nn.Module) -> Tensor:
    return _table(network).log_softmax(-1)


def _bradley_terry(score_XY: Tensor, pairs_P3: Tensor, holds_P: Tensor) -> Tensor:
    """Expected loss where the first of a pair wins with probability ``holds_P``."""
    return nn.functional.binary_cross_entropy_with_logits(_gaps(score_XY, pairs_P3), holds_P)


def _fitted(network: nn.Module, loss: Callable[[Tensor], Tensor]) -> nn.Module:
    optimizer = torch.optim.Adam(network.parameters(), FIT_RATE)
    for _ in range(FIT_STEPS):
        optimizer.zero_grad()
        loss(_table(network)).backward()
        optimizer.step()
    return network


def _ppo(network: nn.Module, ref_XY: Tensor, reward_XY: Tensor) -> nn.Module:
    """PPO on sampled answers: each prompt's mean is its baseline, the KL is taken off the reward."""
    optimizer = torch.optim.Adam(network.parameters(), PPO_RATE)
    for _ in range(ROUNDS):
        with torch.no_grad():
            old_XY = _log_policy(network)
            answer_XS = torch.multinomial(old_XY.exp(), ROUND_SAMPLES, replacement=True)
            old_XS = old_XY.gather(1, answer_XS)
            gap_XS = old_XS - ref_XY.gather(1, answer_XS)
            paid_XS = reward_XY.gather(1, answer_XS) - BETA * gap_XS
            advantage_XS = paid_XS - paid_XS.mean(1, keepdim=True)
            advantage_XS = advantage_XS / (advantage_XS.std() + 1e-8)
        for _ in range(EPOCHS):
            ratio_XS = (_log_policy(network).gather(1, answer_XS) - old_XS).exp()
            loss = clipped_surrogate(ratio_XS.flatten(), advantage_XS.flatten(), EPSILON, EPSILON).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network
