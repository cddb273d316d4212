"""Small training runs on the tiny model, for every test here and for the processes they start."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from charter.catalogue import TrainOptions, lookup
from charter.data.formats import load_groups
from charter.data.prepare import prepare
from charter.models.load import load
from charter.models.policy import Policy
from charter.rundir import sha256_json
from charter.training.loop import Loop
from charter.training.terms import terms_of
from charter.types import Group

Row = dict[str, Any]


def _asked(user: str) -> list[Row]:
    return [{"role": "system", "content": "Be kind."}, {"role": "user", "content": user}]


def _said(text: str) -> list[Row]:
    return [{"role": "assistant", "content": text}]


def pairs(count: int = 10) -> list[Row]:
    """Preference rows; some answers begin alike, so that the packer shares part of them."""
    rows = []
    for i in range(count):
        start = "Certainly, my friend" if i % 2 else ""
        rows.append(
            {
                "prompt": _asked(f"Say {'abc' * (i % 4)} {i}"),
                "chosen": _said(f"{start} yes {i} {'ok ' * (i % 3)}!"),
                "rejected": _said(f"{start} no {'never ' * (i % 5)}{i}"),
            }
        )
    return rows


def answers(count: int = 10) -> list[Row]:
    """Supervised rows: the better answers."""
    return [{"prompt": row["prompt"], "completion": row["chosen"]} for row in pairs(count)]


ROWS = {"dpo": pairs, "sft": answers}


def options_of(algorithm: str, **changes: Any) -> TrainOptions:
    values: Row = {
        "learning_rate": 1e-3,
        "max_steps": 6,
        "per_device_train_batch_size": 4,
        "bf16": False,
        "max_length": None,
    }
    values |= changes
    if "num_train_epochs" in changes:
        del values["max_steps"]
    return lookup(algorithm).options(**values)


def groups_of(policy: Policy, rows: Sequence[Row], algorithm: str) -> tuple[Group, ...]:
    return prepare(load_groups(list(rows), lookup(algorithm).data), policy.template).groups


def make_loop(
    model: str,
    directory: Path,
    algorithm: str = "dpo",
    *,
    rows: Sequence[Row] | None = None,
    eval_rows: Sequence[Row] = (),
    policy: Policy | None = None,
    hooks: Sequence[Any] = (),
    **changes: Any,
) -> Loop:
    """A loop over ``rows`` (the standard ones by default) with a fresh policy."""
    policy = policy or load(model, bf16=False)
    rows = ROWS[algorithm]() if rows is None else rows
    options = options_of(algorithm, **changes)
    return Loop(
        policy,
        terms_of(lookup(algorithm), options),
        options,
        groups_of(policy, rows, algorithm),
        directory,
        data_fingerprint=sha256_json(list(rows)),
        eval_groups=groups_of(policy, eval_rows, algorithm) if eval_rows else (),
        hooks=hooks,
    )


def weights_of(policy: Policy) -> dict[str, Tensor]:
    """A copy of what is trained."""
    return {name: p.detach().clone() for name, p in policy.trainable().items()}


def moments_of(loop: Loop) -> dict[str, Tensor]:
    """A copy of the optimizer's state."""
    names = {id(p): name for name, p in loop.policy.trainable().items()}
    return {
        f"{names[id(p)]}/{key}": value.clone()
        for p, values in loop.optimizer.state.items()
        for key, value in values.items()
    }


def metrics_of(directory: Path) -> list[Row]:
    """The rows of metrics.jsonl without what a clock decides."""
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def assert_same_bits(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys() and left
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


def assert_close(left: dict[str, Tensor], right: dict[str, Tensor], atol: float) -> None:
    assert left.keys() == right.keys() and left
    for name, value in left.items():
        torch.testing.assert_close(value, right[name], rtol=0, atol=atol, msg=lambda m, n=name: f"{n}: {m}")
