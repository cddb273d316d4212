from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from charter.stats import Interval, newcombe_paired, square_and_add, wilson

counts = st.integers(0, 80)


@given(n=st.integers(1, 400), data=st.data(), level=st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_agrees_with_scipy(n: int, data: st.DataObject, level: float) -> None:
    k = data.draw(st.integers(0, n))
    want = stats.binomtest(k, n).proportion_ci(level, method="wilson")
    got = wilson(k, n, level)
    assert got.lo == pytest.approx(want.low, abs=1e-12)
    assert got.hi == pytest.approx(want.high, abs=1e-12)
    assert 0 <= got.lo <= k / n <= got.hi <= 1


def test_nothing_measured_is_nothing_known() -> None:
    assert wilson(0, 0) == Interval(0.0, 1.0)
    assert newcombe_paired(0, 0, 0, 0) == Interval(-1.0, 1.0)


@pytest.mark.parametrize(
    ("table", "lo", "hi"),
    [
        # Published values, with the sign of second minus first.
        ((1, 1, 7, 12), 0.026, 0.507),  # Bentur et al. 2009, in Fagerland, Lydersen and Laake 2014
        ((59, 6, 16, 80), 0.0046, 0.1186),  # Cavo et al. 2012, same source
    ],
)
def test_newcombe_method_10_published(table: tuple[int, int, int, int], lo: float, hi: float) -> None:
    got = newcombe_paired(*table)
    digits = 5e-4 if lo == 0.026 else 5e-5
    assert got.lo == pytest.approx(lo, abs=digits)
    assert got.hi == pytest.approx(hi, abs=digits)


@given(a=counts, b=counts, c=counts, d=counts)
def test_newcombe_properties(a: int, b: int, c: int, d: int) -> None:
    got = newcombe_paired(a, b, c, d)
    n = a + b + c + d
    change = (c - b) / n if n else 0.0
    assert -1 <= got.lo <= change + 1e-12
    assert change - 1e-12 <= got.hi <= 1
    swapped = newcombe_paired(a, c, b, d)  # before and after exchanged: the mirror image
    assert (swapped.lo, swapped.hi) == pytest.approx((-got.hi, -got.lo), abs=1e-12)
    wider = newcombe_paired(a, b, c, d, level=0.99)
    assert wider.lo <= got.lo + 1e-12
    assert wider.hi >= got.hi - 1e-12


def test_correlation_narrows_the_change() -> None:
    paired = newcombe_paired(40, 2, 8, 50)
    loose = square_and_add(0.42, wilson(42, 100), 0.48, wilson(48, 100))
    assert paired.hi - paired.lo < loose.hi - loose.lo


def test_intervals_cover_the_truth() -> None:
    """At 200 draws a 95% method covers 182 or more with probability over 0.99."""
    rng = np.random.default_rng(0)
    cells = np.array([0.3, 0.05, 0.25, 0.4])
    tables = rng.multinomial(60, cells, size=200)
    change = cells[2] - cells[1]
    hits = sum(lo <= change <= hi for lo, hi in (newcombe_paired(*map(int, row)) for row in tables))
    assert hits >= 182
    draws = rng.binomial(30, 0.93, size=200)
    assert sum(lo <= 0.93 <= hi for lo, hi in (wilson(int(k), 30) for k in draws)) >= 182


@pytest.mark.parametrize(("k", "n"), [(-1, 3), (4, 3), (0, -1)])
def test_wilson_refuses_nonsense(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="successes"):
        wilson(k, n)


def test_other_refusals() -> None:
    with pytest.raises(ValueError, match="level"):
        wilson(1, 2, level=95)
    with pytest.raises(ValueError, match="negative"):
        newcombe_paired(1, -1, 0, 0)
    assert math.isclose(wilson(5, 10).lo, 1 - wilson(5, 10).hi)
