"""What differs between the methods compared with TRL; everything else is shared.

Nothing heavy is imported until a worker asks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Ids = tuple[Sequence[int], ...]
"""Token ids of one row, part by part, as both sides report them."""
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Method:
    """One method on both sides.

    Attributes:
        name: of the benchmark, and of its results file.
        entry: our entry in the catalogue.
        data: what our reader is told the rows are.
        trainer: TRL's trainer and config, by name.
        first_loss: what the first loss must be; None = only equal on both sides.
        weight: what rows are made of the pairs (prompt, chosen, rejected).
        ours: token ids of one of our rendered groups.
        theirs: token ids of one row of TRL's prepared data.
        logical: tokens of one row that count, padding and helper sequences not.
        precomputes: the tuned peer scores its reference before the first step.
        options: options that both sides are given, beside the common ones.
        peer_options: options that only TRL needs for the same work.
        gap: allowed distance of loss curves in bf16 and in float32.
        first_gap: the same for the first loss, where the weights are still equal.
        micro_losses: how the losses TRL reports for micro-batches make that of the step (its SFT
            divides each by the tokens of the whole step already).
    """

    name: str
    entry: str
    data: Literal["sft", "preference", "unpaired"]
    trainer: tuple[str, str]
    first_loss: float | None
    rows: Callable[[Row, int], Row]
    ours: Callable[[Any], Ids]
    theirs: Callable[[Row], Ids]
    logical: Callable[[Ids], int]
    precomputes: bool
    options: Mapping[str, Any]
    peer_options: Mapping[str, Any]
    gap: Mapping[str, float]
    first_gap: Mapping[str, float] = field(default_factory=lambda: {"bf16": 1e-2, "fp32": 1e-5})
    micro_losses: Literal["mean", "sum"] = "mean"


def _pair_ids(group: Any) -> Ids:
    first, second = group.samples[:2]
    return first.context.token_ids, first.completion.token_ids, second.completion.token_ids


def _sample_ids(group: Any) -> Ids:
    sample = group.samples[0]
    return sample.context.token_ids, sample.completion.token_ids


def _whole_pair_ids(group: Any) -> Ids:
    return tuple((*s.context.token_ids, *s.completion.token_ids) for s in group.samples[:2])


def _cut(row: Row) -> Ids:
    """TRL's supervised rows: one list of ids, and where the completion starts."""
    start = next(index for index, label in enumerate(row["labels"]) if label != -100)
    return row["input_ids"][:start], row["input_ids"][start:]


def _alternating(row: Row, number: int) -> Row:
    """A labelled answer of a pair: better and worse ones in turn."""
    good = number % 2 == 0
    return {
        "prompt": row["prompt"],
        "completion": row["chosen" if good else "rejected"],
        "label": good,
    }


DPO = Method(
    name="dpo",
    entry="dpo",
    data="preference",
    trainer=("DPOTrainer", "DPOConfig"),
    first_loss=math.log(2),
    rows=lambda row, number: row,
    ours=_pair_ids,
    theirs=lambda row: (row["prompt_ids"], row["chosen_ids"], row["rejected_ids"]),
    logical=lambda ids: 2 * len(ids[0]) + len(ids[1]) + len(ids[2]),
    precomputes=True,
    options={"beta": 0.1},
    peer_options={},
    gap={"bf16": 8e-2, "fp32": 1e-4},
)

SFT = Method(
    name="sft",
    entry="sft",
    data="sft",
    trainer=("SFTTrainer", "SFTConfig"),
    first_loss=None,
    rows=lambda row, number: {"prompt": row["prompt"], "completion": row["chosen"]},
    ours=_sample_ids,
    theirs=_cut,
    logical=lambda ids: len(ids[0]) + len(ids[1]),
    precomputes=False,
    options={},
    peer_options={},
    gap={"bf16": 5e-2, "fp32": 1e-4},
    micro_losses="sum",
)

KTO = Method(
    name="kto",
    entry="kto",
    data="unpaired",
    trainer=("KTOTrainer", "KTOConfig"),
    first_loss=0.5,
    rows=_alternating,
    ours=_sample_ids,
    theirs=lambda row: (row["prompt_ids"], row["completion_ids"]),
    logical=lambda ids: len(ids[0]) + len(ids[1]),
    precomputes=True,
    options={"beta": 0.1},
    peer_options={},
    # Both draw mismatched answers, but not the same ones: the baseline differs a little from step 2 on.
    gap={"bf16": 5e-2, "fp32": 2e-2},
)

RM = Method(
    name="rm",
    entry="reward",
    data="preference",
    trainer=("RewardTrainer", "RewardConfig"),
    first_loss=None,
    rows=lambda row, number: row,
    ours=_whole_pair_ids,
    theirs=lambda row: (row["chosen_ids"], row["rejected_ids"]),
    logical=lambda ids: len(ids[0]) + len(ids[1]),
    precomputes=False,
    options={},
    peer_options={},
    gap={"bf16": 8e-2, "fp32": 1e-4},
    # The random head's margins are several nats; bf16 rounds each reward to 1 part in 256.
    first_gap={"bf16": 5e-2, "fp32": 1e-5},
)

METHODS = {method.name: method for method in (DPO, SFT, KTO, RM)}
