"""Runs on labelled answers and on pairs, prepared as ``charter train`` does, with any reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charter.catalogue import lookup
from charter.config import validate
from charter.models.load import load
from charter.models.policy import Policy
from charter.pipeline.training import _reference_plan
from charter.pipeline.training_data import arranged, read_data, rendered
from charter.rundir import sha256_json
from charter.training.loop import Loop
from charter.training.references import ReferencePlan
from charter.training.terms import terms_of

Row = dict[str, Any]


def labelled(count: int = 10) -> list[Row]:
    """Answers of both kinds; two rows share each prompt."""
    return [
        {
            "prompt": [{"role": "user", "content": f"Say {'abc' * (i // 2 % 4)} {i // 2}"}],
            "completion": [
                {"role": "assistant", "content": f"{'yes' if i % 2 else 'never'} {i} {'ok ' * (i % 3)}!"}
            ],
            "label": i % 3 != 1,
        }
        for i in range(count)
    ]


def run_of(
    model: str,
    directory: Path,
    algorithm: str,
    rows: Sequence[Row],
    *,
    hooks: Sequence[Any] = (),
    plan: ReferencePlan | None = None,
    policy: Policy | None = None,
    **changes: Any,
) -> Loop:
    """A loop over ``rows`` with a fresh policy; ``plan`` in place of the options' reference.

    A change to None takes an option away.
    """
    entry = lookup(algorithm)
    values: Row = {"learning_rate": 1e-2, "max_steps": 5, "per_device_train_batch_size": 4, "bf16": False}
    given = {name: value for name, value in {**values, **changes}.items() if value is not None}
    options = validate(entry.options, given, where="test")
    policy = policy or load(model, bf16=False)
    groups = rendered(read_data(list(rows), entry, options), policy, options).groups
    return Loop(
        policy,
        terms_of(entry, options),
        options,
        arranged(groups, entry, options, policy),
        directory,
        data_fingerprint=sha256_json(list(rows)),
        hooks=hooks,
        reference=plan or _reference_plan(entry, options),
    )
