"""Gates among rewards that do not exist yet: what can be said of them before an earlier stage has run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from charter.config import validate
from charter.errors import DataError, did_you_mean
from charter.feedback.rewards.gate import GATE, GateOptions, GateReward, check_reads
from charter.feedback.rewards.parsed import parse
from charter.types import Group


def check_gates(specs: Sequence[str], base: Path, prompts: Sequence[Group]) -> None:
    """Refuse gates whose options, rewards or column do not fit; the rewards need not be there yet.

    Raises:
        ConfigError: unknown options, or no reward of the name that a gate reads.
        DataError: a gate goes by a tag, and no prompt has tags.
    """
    parsed = [parse(spec, base) for spec in specs]
    gates = [
        GateReward(one.name, validate(GateOptions, dict(one.options), where=one.spec))
        for one in parsed
        if one.target == GATE
    ]
    check_reads(gates, [one.name for one in parsed])
    have = {name for group in prompts for name in group.meta}
    for column in sorted({name for gate in gates for name in gate.needs} - have):
        raise DataError(
            f"a gate reads the prompts' column {column!r}, and none has it",
            where=prompts[0].source if prompts else None,
            fix=did_you_mean(column, have) if have else "the prompts have no further columns",
        )
