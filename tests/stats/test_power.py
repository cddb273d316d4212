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
from charter.stats.power import planning_level


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


def test_the_planning_level_adds_two_normal_quantiles() -> None:
    assert planning_level(0.95) == pytest.approx(0.9949, abs=1e-4)  # 1.960 + 0.842 = 2.802
    assert planning_level(0.95, power=0.5) == pytest.approx(0.95)


def test_more_pairs() -> None:
    more = more_pairs_to_decide(2, 8, 100)
    # 63 more would do if flips came exactly at their rates: that is half of all studies.
    assert more is not None and more > 63
    total = 100 + more
    assert mcnemar_exact(8 * total // 100, -(-2 * total // 100)) < 1 - planning_level(0.95)
    assert more_pairs_to_decide(0, 6, 40) == 0
    assert more_pairs_to_decide(0, 5, 40) == 32  # nine flips, all one way, of 72 prompts: p < 0.0051
    assert more_pairs_to_decide(3, 3, 40) is None
    assert more_pairs_to_decide(4_500, 4_501, 10_000) is None
    with pytest.raises(ValueError, match="flips"):
        more_pairs_to_decide(3, 3, 5)
