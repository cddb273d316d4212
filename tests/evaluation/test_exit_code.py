"""What an evaluation ends with: a flag is not hidden by a gate that is undecided."""

from __future__ import annotations

import pytest

from charter.evaluation.evaluate import Evaluation
from charter.evaluation.rates.card import AdherenceCard, OverallRow
from charter.evaluation.rates.gates import GateResult
from charter.stats.power import Decision


def ended(*gates: Decision, flags: tuple[str, ...] = ()) -> int:
    results = tuple(GateResult(f"l{n}", 0.5, None, 0, one, None, "") for n, one in enumerate(gates))
    card = AdherenceCard(OverallRow(0, {}), (), results)
    return Evaluation(card, (), flags, (), None).exit_code


@pytest.mark.parametrize(
    ("gates", "flags", "code"),
    [
        ((), (), 0),
        (("pass",), (), 0),
        (("pass", "undecided"), (), 6),
        (("undecided", "fail"), (), 1),
        (("pass",), ("KL",), 1),
        (("undecided",), ("KL",), 1),
        (("fail",), ("KL",), 1),
        ((), ("KL",), 1),
    ],
)
def test_exit_code(gates: tuple[Decision, ...], flags: tuple[str, ...], code: int) -> None:
    assert ended(*gates, flags=flags) == code
