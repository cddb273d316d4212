"""An ensemble of adapters: each learns as if it were alone, and their average is the policy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from online_setup import online_loop

from charter.catalogue import lookup
from charter.models.load import load
from charter.rundir import read_jsonl
from charter.training.batch import split
from charter.training.loop import Loop
from charter.training.members import MembersStepper
from charter.types import Group

RANK = 2
FREE: dict[str, Any] = {"max_grad_norm": 1e9, "adam_epsilon": 1e-12, "num_generations": 2, "max_steps": 3}


def loop_of(tiny: str, directory: Path, members: int, **changes: Any) -> Loop:
    return online_loop(
        tiny,
        directory,
        "bpo",
        use_peft=True,
        lora_r=RANK,
        lora_members=members,
        **{**FREE, **changes},
    )


def same(left: torch.Tensor, right: torch.Tensor, atol: float) -> None:
    torch.testing.assert_close(left, right, rtol=0, atol=atol)


def factors(loop: Loop) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """First and second factor of every adapted layer."""
    trained = loop.policy.trainable()
    return {
        name: (first, trained[name.replace(".lora_A.", ".lora_B.")])
        for name, first in trained.items()
        if ".lora_A." in name
    }


def steps(loop: Loop, groups: list[list[Group]]) -> list[dict[str, float]]:
    return [loop.stepper.step(split(part, 10_000, loop.columns), 1e-2).metrics for part in groups]


def test_each_member_learns_as_if_it_were_alone(tiny: str, tmp_path: Path) -> None:
    both = loop_of(tiny, tmp_path / "both", 2)
    assert isinstance(both.stepper, MembersStepper)
    alone = [loop_of(tiny, tmp_path / f"{member}", 1) for member in (0, 1)]
    with torch.no_grad():
        for name, (first, second) in factors(both).items():
            second.normal_(std=0.02, generator=torch.Generator().manual_seed(len(name)))
            for member, loop in enumerate(alone):
                own = slice(member * RANK, (member + 1) * RANK)
                factors(loop)[name][0].copy_(first[own])
                factors(loop)[name][1].copy_(second[:, own])
    groups = [list(both.source.step(0))] * 3
    found = [steps(loop, groups) for loop in (both, *alone)]
    for step in range(3):
        each = [rows[step]["loss"] for rows in found[1:]]
        assert found[0][step]["loss"] == pytest.approx(sum(each) / 2, rel=1e-5)
        norms = [rows[step]["grad_norm"] for rows in found]
        assert norms[0] == pytest.approx(math.hypot(*norms[1:]), rel=1e-3)
    for name, (first, second) in factors(both).items():
        for member, loop in enumerate(alone):
            own = slice(member * RANK, (member + 1) * RANK)
            same(first[own], factors(loop)[name][0], 1e-4)
            same(second[:, own], factors(loop)[name][1], 1e-4)
    assert not torch.equal(*(factors(loop)[name][1] for loop in alone))


def test_the_policy_is_the_average_of_its_members(tiny: str, tmp_path: Path) -> None:
    both, one = loop_of(tiny, tmp_path / "both", 2), loop_of(tiny, tmp_path / "one", 1)
    changes = {}
    for name, (first, second) in factors(both).items():
        with torch.no_grad():
            second.normal_(std=0.1, generator=torch.Generator().manual_seed(len(name)))
        blocks = [second[:, :RANK] @ first[:RANK], second[:, RANK:] @ first[RANK:]]
        changes[name] = sum(blocks) / 2 * both.options.lora_alpha / RANK
    for loop in (both, one):
        loop.policy.model = loop.policy.model.merge_and_unload()
    first = dict(load(tiny, bf16=False).model.named_parameters())
    merged = dict(both.policy.model.named_parameters())
    for name, change in changes.items():
        plain = name.removeprefix("base_model.model.").replace(".lora_A.default", "")
        same(merged[plain] - first[plain], change, 1e-4)


def test_a_step_that_fails_leaves_the_average_in_place(tiny: str, tmp_path: Path) -> None:
    loop = loop_of(tiny, tmp_path, 3)
    before = {name: tensor.clone() for name, tensor in loop.policy.trainable().items()}
    groups = list(loop.source.step(0))

    def fails(*_: Any) -> Any:
        raise KeyError("torn")

    loop.stepper.scorer = fails  # type: ignore[assignment]
    with pytest.raises(KeyError):
        steps(loop, [groups])
    for name, tensor in loop.policy.trainable().items():
        assert torch.equal(tensor, before[name])


def test_it_trains_and_saves_one_adapter(tiny: str, tmp_path: Path) -> None:
    loop = loop_of(tiny, tmp_path, 3)
    loop.run()
    rows = read_jsonl(tmp_path / "metrics.jsonl")
    assert rows[0]["loss"] == pytest.approx(0.6931, abs=1e-3)  # members begin as the policy
    saved = load(str(tmp_path / "model"), bf16=False)
    assert any(
        tensor.shape[0] == 3 * RANK for name, tensor in saved.model.named_parameters() if "lora_A" in name
    )


def test_members_are_adapters() -> None:
    with pytest.raises(ValueError, match="use_peft"):
        lookup("bpo").options(lora_members=2)
