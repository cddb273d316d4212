"""One row of the table of TRL's names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Status = Literal["same", "renamed", "refused"]
Trainer = Literal[
    "sft",
    "dpo",
    "reward",
    "kto",
    "cpo",
    "orpo",
    "gkd",
    "distillation",
    "sdft",
    "bco",
    "prm",
    "grpo",
    "rloo",
    "online-dpo",
    "ppo",
    "nash-md",
    "xpo",
]

ALL: tuple[Trainer, ...] = get_args(Trainer)

ONLINE: tuple[Trainer, ...] = ("grpo", "rloo", "online-dpo", "ppo", "nash-md", "xpo")
"""Those whose model writes its own training data."""


@dataclass(frozen=True, slots=True)
class TrlField:
    """One field of a TRL config.

    Attributes:
        name: TRL's name.
        group: section of the documentation.
        status: ``same`` name and meaning; ``renamed``; ``refused``, with the reason in ``note``.
        to: our name, when renamed.
        note: why it is refused; else what to know about it.
        default: why our default differs from TRL's; empty = it is equal.
        trainers: the trainers whose config has it, as far as this row goes.
    """

    name: str
    group: str
    status: Status
    to: str = ""
    note: str = ""
    default: str = ""
    trainers: tuple[Trainer, ...] = ALL


def without(*trainers: Trainer) -> tuple[Trainer, ...]:
    """All trainers but these."""
    return tuple(trainer for trainer in ALL if trainer not in trainers)


Rows = tuple[TrlField, ...]


def same(names: str, note: str = "", *, default: str = "", of: tuple[Trainer, ...] = ALL) -> Rows:
    """Options of the same name and meaning."""
    return tuple(
        TrlField(name, "", "same", note=note, default=default, trainers=of) for name in names.split()
    )


def renamed(name: str, to: str, note: str = "", *, of: tuple[Trainer, ...] = ALL) -> Rows:
    """An option with another name here."""
    return (TrlField(name, "", "renamed", to=to, note=note, trainers=of),)


def refused(names: str, why: str, *, of: tuple[Trainer, ...] = ALL) -> Rows:
    """Fields that are errors here, with the reason."""
    return tuple(TrlField(name, "", "refused", note=why, trainers=of) for name in names.split())


MEMORY = "does nothing here: lower tokens_per_microbatch if memory runs out; the result stays the same"
NO_PADDING = "does nothing here: samples are packed, not padded, and masks come from spans, never from ids"
