"""No window holds more than the limit, and nothing waits longer than that takes."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.errors import UserError
from charter.feedback.judging.limits import Limits, Pace, Window


def admitted(limits, amounts, settle=None):
    """Moments at which calls of these sizes are let through, one after another."""
    now = [0.0]

    async def sleep(seconds):
        assert seconds > 0
        now[0] += seconds

    async def whole():
        pace = Pace(limits, lambda: now[0])
        moments = []
        for amount in amounts:
            entry = await pace.admit(amount, sleep)
            if settle is not None:
                pace.settle(entry, settle)
            moments.append(now[0])
        return moments

    return asyncio.run(whole())


def test_requests_in_any_minute():
    assert admitted(Limits(requests_per_minute=3), [1] * 7) == [0, 0, 0, 60, 60, 60, 120]


def test_tokens_in_any_minute():
    assert admitted(Limits(tokens_per_minute=100), [60, 40, 30, 80]) == [0, 0, 60, 120]


def test_what_a_call_really_took_makes_room():
    assert admitted(Limits(tokens_per_minute=100), [60] * 4, settle=20) == [0, 0, 0, 60]


def test_one_call_beyond_the_limit_goes_alone_and_not_never():
    assert admitted(Limits(tokens_per_minute=100), [500, 10, 500]) == [0, 60, 120]


def test_no_limits_no_waits():
    assert admitted(Limits(), [10**9] * 50) == [0.0] * 50


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(50, 120))
def test_no_window_ever_holds_more_than_the_limit(amounts, limit):
    moments = admitted(Limits(tokens_per_minute=limit), amounts)
    assert moments == sorted(moments)
    for start in moments:
        inside = sum(a for a, m in zip(amounts, moments, strict=True) if start <= m < start + 60 - 1e-6)
        assert inside <= limit


def test_a_service_that_wants_quiet_gets_it():
    now = [0.0]

    async def sleep(seconds):
        now[0] += seconds

    pace = Pace(Limits(), lambda: now[0])
    pace.quiet(7)
    pace.quiet(3)  # the longer wish stands
    asyncio.run(pace.admit(1, sleep))
    assert now[0] == 7


def test_a_correction_that_comes_too_late_changes_nothing():
    window = Window(10, 60)
    entry = window.take(10, 0)
    assert window.wait(5, 30) == 30
    assert window.wait(5, 61) == 0  # the entry has left
    window.correct(entry, 3)
    window.take(10, 61)
    assert window.wait(1, 62) == 59


@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_minute", "concurrency"])
def test_limits_that_let_nothing_through_are_refused(name):
    with pytest.raises(UserError, match="at least 1"):
        Limits(**{name: 0})
    with pytest.raises(UserError, match="positive"):
        Limits(period_s=0)
