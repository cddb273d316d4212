from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.stats import (
    flips_needed,
    gate_decision,
    mcnemar_exact,
    more_pairs_to_decide,
    more_prompts_for_gate,
    wilson,
)


def test_flips_needed() -> None:
    assert flips_needed(0.05) == 6
    assert flips_needed(0.01) == 8
    assert flips_needed(0.05 / 8) == 9


@given(n=st.integers(1, 120), data=st.data(), bound=st.sampled_from([0.5, 0.8, 0.9, 0.98]))
def test_gate_is_decided_by_what_it_asks_for(n: int, data: st.DataObject, bound: float) -> None:
    k = data.draw(st.integers(0, n))
    more = more_prompts_for_gate(k, n, bound)
    decision = gate_decision(k, n, bound)
    if decision != "undecided":
        assert more == 0
    elif more is not None:
        total = n + more
        assert more > 0
        assert any(
            gate_decision(min(q, total), total, bound) != "undecided"
            for q in (k * total // n, -(-k * total // n))
        )


def test_gate_examples() -> None:
    assert gate_decision(50, 50, 0.9) == "pass"
    assert gate_decision(10, 50, 0.9) == "fail"
    assert gate_decision(45, 50, 0.8) == "undecided"
    assert more_prompts_for_gate(45, 50, 0.8) == 18
    assert wilson(61, 68).lo >= 0.8  # 45/50 kept up over 18 more prompts: floor(0.9 x 68) = 61
    assert more_prompts_for_gate(40, 50, 0.8) is None  # on the bound itself: no number decides
    assert gate_decision(0, 0, 0.5) == "undecided"
    assert more_prompts_for_gate(0, 0, 0.5) is None


def test_more_pairs() -> None:
    more = more_pairs_to_decide(2, 8, 100)
    assert more == 63
    assert mcnemar_exact(8 * 163 // 100, -(-2 * 163 // 100)) < 0.05
    assert more_pairs_to_decide(0, 6, 40) == 0
    assert more_pairs_to_decide(0, 5, 40) == 8  # one more flip is due after 8 more prompts
    assert more_pairs_to_decide(3, 3, 40) is None
    assert more_pairs_to_decide(4_500, 4_501, 10_000) is None
    with pytest.raises(ValueError, match="flips"):
        more_pairs_to_decide(3, 3, 5)
