"""Every algorithm trains through its own command; what it saves loads; its losses are as recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from declared import DECLARED, PROVED
from running import STEPS, Workshop

from charter.catalogue import ENTRIES
from charter.models.load import load

RECORDED = Path(__file__).parent / "golden_runs.json"
SAMPLED = Path(__file__).parent / "golden_samples.json"
"""Digests of what each round of those runs sampled."""
ROUNDS = Path(__file__).parent / "golden_rounds.json"
"""Of each algorithm that samples: groups of a first round, and the loss on them near the first weights."""

each = pytest.mark.parametrize("name", PROVED)


@each
def test_trains_saves_and_loads(name: str, workshop: Workshop) -> None:
    directory = workshop.run(name)
    assert len(workshop.losses(name)) > 1
    before, after = load(workshop.model, bf16=False), load(str(directory / "model"), bf16=False)
    assert hasattr(after.model, "score") == (ENTRIES[name].trains == "reward")
    old, new = (dict(policy.model.named_parameters()) for policy in (before, after))
    shared = old.keys() & new.keys()
    assert shared and any(not torch.equal(old[key], new[key]) for key in shared)
    assert all(torch.isfinite(parameter).all() for parameter in new.values())


@each
def test_losses_are_as_recorded(name: str, workshop: Workshop) -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert name in recorded, "run: python tests/proofs/record.py"
    losses = workshop.losses(name)
    assert len(losses) == STEPS
    steps = workshop.comparable(name, json.loads(SAMPLED.read_text(encoding="utf-8")).get(name, []))
    assert steps == STEPS or ENTRIES[name].data == "prompts"
    assert losses[:steps] == pytest.approx(recorded[name][:steps], rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("name", [name for name in PROVED if ENTRIES[name].data == "prompts"])
def test_the_loss_of_a_recorded_round_is_as_recorded(name: str, workshop: Workshop) -> None:
    """Whatever this processor samples itself: the tokens are the recorded ones."""
    found = json.loads(ROUNDS.read_text(encoding="utf-8"))
    assert name in found, "run: python tests/proofs/record.py"
    assert found[name]["groups"]
    loss = workshop.loss_of(name, found[name]["groups"])
    assert loss == pytest.approx(found[name]["loss"], rel=1e-3, abs=1e-5)


@each
def test_first_loss_is_the_declared_constant(name: str, workshop: Workshop) -> None:
    expected, first = DECLARED[name].at_reference, workshop.losses(name)[0]
    if isinstance(expected, str):
        assert first != pytest.approx(0.6931, abs=1e-4), "looks like a constant: declare it"
    else:
        assert first == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_nothing_is_recorded_that_is_not_run() -> None:
    for file in (RECORDED, SAMPLED, ROUNDS):
        assert set(json.loads(file.read_text(encoding="utf-8"))) <= set(ENTRIES)
