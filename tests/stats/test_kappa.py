from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.stats.kappa import cohen_kappa


def test_cohen_by_hand() -> None:
    found = cohen_kappa(["y"] * 25 + ["n"] * 25, ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15)
    assert (found.observed, found.expected) == (pytest.approx(0.7), pytest.approx(0.5))
    assert found.value == pytest.approx(0.4)
    assert found.interval.lo < 0.4 < found.interval.hi


def test_near_misses_cost_less_with_weights() -> None:
    first, second = [1, 2, 3, 4, 5] * 6, [1, 2, 3, 5, 4] * 6
    values = [
        cohen_kappa(first, second, order=[1, 2, 3, 4, 5], weights=w).value
        for w in ("none", "linear", "quadratic")
    ]
    assert values[0] == pytest.approx(0.5)
    assert values[0] < values[1] < values[2]  # type: ignore[operator]
    # Linear by hand: disagreement 2/5 of 1/4, chance's 1.6/4.
    assert values[1] == pytest.approx(1 - (0.4 / 4) / (1.6 / 4))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=3, max_size=40))
def test_two_raters_and_their_order(said: list[tuple[int, int]]) -> None:
    first, second = [a for a, _ in said], [b for _, b in said]
    found, turned = cohen_kappa(first, second), cohen_kappa(second, first)
    if found.value is None:
        assert found.interval == (-1.0, 1.0)
        return
    assert found.value == pytest.approx(turned.value)
    assert found.interval == pytest.approx(turned.interval)
    assert -1 <= found.interval.lo <= found.value + 1e-9 and found.value - 1e-9 <= found.interval.hi <= 1


def test_agreement_that_chance_gives_too_is_no_agreement() -> None:
    assert cohen_kappa([1, 1, 1], [1, 1, 1]).value is None
    assert cohen_kappa([1], [0]).value is None


def test_complete_agreement_on_few_items_is_no_proof() -> None:
    few, many = cohen_kappa([0, 1] * 3, [0, 1] * 3), cohen_kappa([0, 1] * 50, [0, 1] * 50)
    assert few.value == many.value == 1.0 and few.interval.hi == 1.0
    assert few.interval.lo < 0.5 < 0.9 < many.interval.lo


def test_the_planted_kappa_is_covered() -> None:
    rng = np.random.default_rng(0)
    rate, right = 0.7, 0.9
    marked = rate * right + (1 - rate) * (1 - right)
    truth = 1 - (1 - right**2 - (1 - right) ** 2) / (2 * marked * (1 - marked))
    held = 0
    for _ in range(300):
        good = rng.random(40) < rate
        a, b = (np.where(rng.random(40) < right, good, ~good).astype(int) for _ in range(2))
        one = cohen_kappa(a.tolist(), b.tolist()).interval
        held += one.lo <= truth <= one.hi
    assert 275 <= held <= 298


def test_items_that_hang_together_are_left_out_together() -> None:
    """Both raters are right, or wrong, on all six items of a conversation: 20 items, not 120."""
    rng = np.random.default_rng(0)
    rate, right = 0.7, 0.85
    marked = rate * right + (1 - rate) * (1 - right)
    truth = 1 - (1 - right**2 - (1 - right) ** 2) / (2 * marked * (1 - marked))
    alone = together = 0
    for _ in range(300):
        good = rng.random(20) < rate
        a, b = (
            np.where(rng.random(20) < right, good, ~good).repeat(6).astype(int).tolist() for _ in range(2)
        )
        plain = cohen_kappa(a, b).interval
        wide = cohen_kappa(a, b, clusters=np.arange(20).repeat(6).tolist()).interval
        alone += plain.lo <= truth <= plain.hi
        together += wide.lo <= truth <= wide.hi
    assert alone < 210 and together >= 270


def test_clusters_of_one_change_nothing() -> None:
    first, second = [0, 1, 1, 0, 1, 0], [0, 1, 0, 0, 1, 1]
    assert cohen_kappa(first, second, clusters="abcdef") == cohen_kappa(first, second)
    assert cohen_kappa(first, second, clusters="aaaaaa").value is None


def test_refusals() -> None:
    with pytest.raises(ValueError, match="ratings"):
        cohen_kappa([1], [1, 2])
    with pytest.raises(ValueError, match="order"):
        cohen_kappa([1], [1], weights="linear")
    with pytest.raises(ValueError, match="not in the order"):
        cohen_kappa([1, 9], [1, 1], order=[0, 1])
    with pytest.raises(ValueError, match="ratings"):
        cohen_kappa([1, 0], [1, 1], clusters=["a"])
