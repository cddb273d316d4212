"""A table of logits as the policy: every entry learns what it says, or does not.

4 prompts with 5 one-token answers each, a pair of answers for each prompt, Adam with rate 0.05 for
300 steps. The outcome is the share of pairs that the implicit reward then orders as the data does.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pair_setup import ENTRIES, step_loss
from torch import Tensor

from charter.catalogue.entry import Entry
from charter.objectives.base import Layout, Scored
from charter.training.terms import terms_of

PROMPTS, ANSWERS = 4, 5
# At the reference the gradient of DiscoPOP lowers the margin.
OUTCOME = {name: 0.0 if name == "discopop" else 1.0 for name in ENTRIES}

GENERATOR = torch.Generator().manual_seed(0)
REFERENCE = torch.randn(PROMPTS, ANSWERS, generator=GENERATOR, dtype=torch.float64).log_softmax(1)
PAIRS = torch.stack([p * ANSWERS + torch.randperm(ANSWERS, generator=GENERATOR)[:2] for p in range(PROMPTS)])
WRONG = REFERENCE.flatten().index_add(0, PAIRS[:, 1], torch.full((PROMPTS,), 4.0).double())
"""Logits of a policy that prefers the worse answer of each pair by 4 nats more than the reference."""


def layout(entry: Entry) -> Layout:
    size = PROMPTS * ANSWERS
    value_B = torch.full((size,), torch.nan, dtype=torch.float64)
    if entry.data == "unpaired":
        value_B[PAIRS[:, 0]], value_B[PAIRS[:, 1]] = 1.0, 0.0
    return Layout(
        sample_N=torch.arange(size),
        num_samples=size,
        group_B=torch.arange(size) // ANSWERS,
        part_B=torch.zeros(size, dtype=torch.long),
        value_BZ=value_B[:, None],
        weight_B=torch.ones(size, dtype=torch.float64),
        pairs_P2=PAIRS,
        probability_P=torch.ones(len(PAIRS), dtype=torch.float64),
        margin_P=torch.zeros(len(PAIRS), dtype=torch.float64),
        weight_P=torch.ones(len(PAIRS), dtype=torch.float64),
        dimension_P=torch.zeros(len(PAIRS), dtype=torch.long),
    )


def scored_of(logits: Tensor, made: Layout) -> Scored:
    logps = logits.log_softmax(1)
    squared = logps.detach().exp().square().sum(1, keepdim=True).expand_as(logps)
    return Scored(made, logps.flatten(), REFERENCE.flatten(), squared_probs_N=squared.flatten())


def trained(entry: Entry, start: Tensor, **options: Any) -> Tensor:
    """Log-ratios of every answer after training."""
    logits, made = start.clone().requires_grad_(), layout(entry)
    terms = terms_of(entry, entry.options(**options))
    optimizer = torch.optim.Adam([logits], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        scored = scored_of(logits, made)
        loss = sum((t.weight * step_loss(t.objective, scored) for t in terms), torch.zeros(()))
        loss.backward()
        optimizer.step()
    return (logits.detach().log_softmax(1) - REFERENCE).flatten()


def accuracy(logratio_B: Tensor) -> float:
    return float((logratio_B[PAIRS[:, 0]] > logratio_B[PAIRS[:, 1]]).double().mean())


@pytest.mark.parametrize("name", OUTCOME)
def test_outcome(name: str) -> None:
    assert accuracy(trained(ENTRIES[name], REFERENCE)) == OUTCOME[name]


@pytest.mark.parametrize("name", ["dpo", "hinge", "exo", "nca", "apo-down", "aot", "discopop"])
def test_outcome_from_a_start_that_ranks_the_pairs_wrong(name: str) -> None:
    start = WRONG.reshape(PROMPTS, ANSWERS)
    assert accuracy((start.log_softmax(1) - REFERENCE).flatten()) == 0
    assert accuracy(trained(ENTRIES[name], start)) == OUTCOME[name]


@pytest.mark.parametrize("name", ["ipo", "psi-po"])
def test_ipo_stops_at_its_target(name: str) -> None:
    """1 / (2 beta) nats, whatever the number of steps."""
    logratio_B = trained(ENTRIES[name], REFERENCE, beta=0.25)
    margin_P = logratio_B[PAIRS[:, 0]] - logratio_B[PAIRS[:, 1]]
    torch.testing.assert_close(margin_P, torch.full_like(margin_P, 2.0), rtol=0, atol=1e-3)


def test_cdpo_stops_where_the_label_is_as_noisy_as_it_says() -> None:
    logratio_B = trained(ENTRIES["cdpo"], REFERENCE, beta=1.0, label_smoothing=0.2)
    margin_P = logratio_B[PAIRS[:, 0]] - logratio_B[PAIRS[:, 1]]
    torch.testing.assert_close(margin_P.sigmoid(), torch.full_like(margin_P, 0.8), rtol=0, atol=1e-3)
