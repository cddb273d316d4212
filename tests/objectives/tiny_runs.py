"""An algorithm of the catalogue on the tiny model and a few rows, as ``charter train`` prepares it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from charter.catalogue import lookup
from charter.config import validate
from charter.data.prepare import prepare
from charter.models.load import load
from charter.pipeline.training_data import read_data
from charter.training.batch import split
from charter.training.loop import Loop
from charter.training.terms import by_name, terms_of
from charter.types import Group

Row = dict[str, Any]


def said(text: str) -> list[Row]:
    return [{"role": "assistant", "content": text}]


def asked(text: str) -> list[Row]:
    return [{"role": "user", "content": text}]


def pair_rows(count: int = 6, **more: Any) -> list[Row]:
    """Pairs of different lengths; some answers begin alike."""
    return [
        {
            "prompt": asked(f"Say {'ab ' * (i % 3)}{i}"),
            "chosen": said(f"{'Certainly, ' * (i % 2)}yes {i}{'!' * (i % 4)}"),
            "rejected": said(f"{'Certainly, ' * (i % 2)}no {'never ' * (i % 3)}{i}"),
            **more,
        }
        for i in range(count)
    ]


def rendered(algorithm: str, rows: Sequence[Mapping[str, Any]], model: str, **options: Any) -> list[Group]:
    """The groups an algorithm trains on."""
    entry = lookup(algorithm)
    made = validate(entry.options, options, where="test")
    loaded = read_data([dict(row) for row in rows], entry, made)
    groups: Sequence[Group] = prepare(loaded, load(model, bf16=False).template, made.max_length).groups
    if entry.arrange:
        groups = by_name(entry.arrange)(groups, made)
    return list(groups)


def make_loop(
    algorithm: str, rows: Sequence[Mapping[str, Any]], model: str, directory: Path, **options: Any
) -> Loop:
    """A loop whose reference log-probs are there and whose policy has moved away from them."""
    made = validate(
        lookup(algorithm).options,
        {"bf16": False, "max_steps": 1, "learning_rate": 1e-3, **options},
        where="test",
    )
    groups = rendered(algorithm, rows, model, **options)
    terms = terms_of(lookup(algorithm), made)
    loop = Loop(load(model, bf16=False), terms, made, groups, directory, data_fingerprint="test")
    loop.run()
    return loop


def step_of(loop: Loop, tokens: int) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Metrics and gradient of one optimizer step over all groups, split into micro-batches."""
    batches = split(loop.groups, tokens, loop.columns)
    metrics = loop.stepper._accumulate(batches)
    found = {n: p.grad.clone() for n, p in loop.policy.trainable().items() if p.grad is not None}
    loop.optimizer.zero_grad()
    return metrics, found


def assert_splits_agree(loop: Loop) -> None:
    """One micro-batch for each group, or one for all: the same loss, metrics and gradient."""
    whole, whole_grad = step_of(loop, 100_000)
    parts, parts_grad = step_of(loop, 1)
    assert whole.keys() == parts.keys()
    for name in whole.keys() - {"tokens_computed"}:
        assert abs(whole[name] - parts[name]) <= 2e-5 * abs(whole[name]) + 2e-5, name
    assert whole_grad.keys() == parts_grad.keys() and whole_grad
    for name, grad in whole_grad.items():
        assert (grad - parts_grad[name]).abs().max() <= 2e-5 * grad.abs().max() + 1e-7, name
