"""TRL's names: what each field of its configs is here.

Every field of the configs of TRL 1.16 whose trainers do what an algorithm here
does, of those it removed (:mod:`charter.catalogue.from_trl.trainers`), of
transformers' ``TrainingArguments`` beneath them, and of the ``ModelConfig`` and
``ScriptArguments`` of its command line has a row: the *same* name with the same
meaning, *renamed*, or *refused* with the reason. Nothing is accepted and then
ignored. ``docs/from-trl.md`` is generated from this table.
"""

from __future__ import annotations

from dataclasses import replace

from charter.catalogue.from_trl import (
    bco,
    cpo,
    distillation,
    dpo,
    grpo,
    kto,
    model,
    online_dpo,
    ppo,
    prm,
    reward,
    rollouts,
    sft,
    shared,
    training,
)
from charter.catalogue.from_trl.field import ALL, Trainer, TrlField
from charter.catalogue.from_trl.trainers import TRAINERS, TrlTrainer, trainers_of

__all__ = [
    "COMMAND_NAMES",
    "FIELDS",
    "TRAINERS",
    "TRL_VERSION",
    "Trainer",
    "TrlField",
    "TrlTrainer",
    "explain_trl",
    "trainers_of",
    "trl_fields",
]

TRL_VERSION = "1.16.0"

COMMAND_NAMES = ("model", "data", "eval_data", "output_dir", "objective", "resume")
"""What ``charter train`` takes beside the options of the algorithm."""

_TABLES = (
    *(training, model, shared, sft, dpo, cpo, kto, bco, reward, prm, distillation),
    *(rollouts, grpo, ppo, online_dpo),
)

FIELDS: tuple[TrlField, ...] = tuple(
    replace(row, group=group) for table in _TABLES for group, rows in table.SECTIONS.items() for row in rows
)

_BY_NAME: dict[str, tuple[TrlField, ...]] = {
    row.name: tuple(other for other in FIELDS if other.name == row.name) for row in FIELDS
}


def trl_fields(algorithm: str) -> dict[str, TrlField]:
    """TRL's fields that matter to ``algorithm``, by name.

    Those that every trainer has where TRL has no such algorithm.
    """
    trainers = set(trainers_of(algorithm))
    return {row.name: row for row in FIELDS if row.trainers == ALL or trainers & set(row.trainers)}


def explain_trl(name: str, algorithm: str = "") -> str | None:
    """Why TRL's ``name`` is not an option here, in words for the person who typed it.

    Args:
        name: as typed, without dashes in front; ``-`` and ``_`` are the same.
        algorithm: which algorithm's option was meant, where that is known.

    Returns:
        The reason, to stand behind the name; None when it is an option here or not a name of TRL's.
    """
    name = name.lstrip("-").replace("-", "_")
    rows = _BY_NAME.get(name, ())
    mine = set(trainers_of(algorithm))
    row = next((row for row in rows if mine & set(row.trainers)), None)
    if row is None:
        # Without an algorithm, a name that is an option of any of them is an option.
        row = min(rows, key=lambda row: row.status != "same", default=None)
        if row is None:
            return None
    if row.status == "same":
        return _elsewhere(row, algorithm)
    if row.status == "renamed":
        return f"called {row.to} here" + (f": {row.note}" if row.note else "")
    return row.note


def _elsewhere(row: TrlField, algorithm: str) -> str | None:
    """That ``row`` is an option of another algorithm."""
    owners = list(dict.fromkeys(TRAINERS[trainer].algorithm for trainer in row.trainers))
    if not algorithm or algorithm in owners:
        return None
    return f"an option of {' and '.join(owners)}, not of {algorithm}"
