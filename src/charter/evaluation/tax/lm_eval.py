"""Tasks of the lm-evaluation-harness, where it is installed; nothing else imports it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from charter.errors import ConfigError, EnvironmentFault
from charter.models.policy import Policy

_PREFERRED = ("acc", "exact_match", "acc_norm", "mc2", "f1")
"""Which of several metrics of a task is compared; else its first."""


def check_installed() -> None:
    """Say so before a model loads.

    Raises:
        EnvironmentFault: the package is not there.
    """
    _module("lm_eval")


def lm_eval_items(
    policy: Policy, tasks: Sequence[str], *, limit: int | None = None, seed: int = 0
) -> dict[str, dict[str, list[float]]]:
    """Of each task the score of every document, by its number; tasks of a group are listed one by one.

    Args:
        policy: the model, evaluated as it is in memory.
        tasks: names in the harness.
        limit: documents of each task; None = all.
        seed: of few-shot examples and sampling; both models must get the same.

    Raises:
        EnvironmentFault: the package is not there, or its data cannot be fetched.
        ConfigError: no such task, or one that scores no single documents.
    """
    harness, models = _module("lm_eval"), _module("lm_eval.models.huggingface")
    model = models.HFLM(pretrained=policy.model, tokenizer=policy.tokenizer)
    seeds = dict.fromkeys(
        ("random_seed", "numpy_random_seed", "torch_random_seed", "fewshot_random_seed"), seed
    )
    try:
        found = harness.simple_evaluate(
            model=model, tasks=list(tasks), limit=limit, log_samples=True, bootstrap_iters=0, **seeds
        )
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"lm-eval refuses these tasks: {error}", where="--lm-eval", fix="lm-eval ls tasks lists them"
        ) from None
    except (OSError, ConnectionError) as error:
        raise EnvironmentFault(
            f"lm-eval could not get its data: {error}",
            where="--lm-eval",
            fix="fetch it while there is a network",
        ) from None
    samples: Mapping[str, Sequence[Mapping[str, Any]]] = (found or {}).get("samples") or {}
    if not samples:
        raise ConfigError(
            "lm-eval returned no documents", where="--lm-eval", fix="name tasks that score documents"
        )
    return {task: _items(task, rows) for task, rows in samples.items()}


def _items(task: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    metric = _metric(task, rows[0])
    found: dict[str, list[float]] = {}
    for row in rows:
        # A document passes through several filters; the first one listed counts.
        found.setdefault(str(row["doc_id"]), [float(row[metric])])
    return found


def _metric(task: str, row: Mapping[str, Any]) -> str:
    named = [name for name in row.get("metrics") or row if _is_score(row.get(name))]
    for name in (*_PREFERRED, *named):
        if name in named:
            return name
    raise ConfigError(f"task {task!r} scores no single documents between 0 and 1", where="--lm-eval")


def _is_score(value: Any) -> bool:
    return isinstance(value, bool | int | float) and 0.0 <= float(value) <= 1.0


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as fault:
        raise EnvironmentFault(
            f"--lm-eval needs the package lm-eval ({fault})",
            where="--lm-eval",
            fix="install the extra `charter[lm-eval]`, or the package itself; or leave the option out",
        ) from None
