"""Prices, and a limit that calls under way cannot exceed together."""

import pytest

from charter.errors import ServiceFault, UserError
from charter.feedback.judging.cost import BudgetReached, Prices, Spending, about_tokens

PRICES = Prices(read=1.0, written=4.0, read_again=0.5)


def test_prices_are_per_million_tokens():
    assert PRICES.of(1_000_000, 500_000) == 3.0
    assert PRICES.of(1_000_000, 0, again=400_000) == pytest.approx(0.6 + 0.2)
    assert Prices(1.0, 4.0).of(1_000_000, 0, again=400_000) == 1.0
    assert Prices(0, 0).of(10, 10) == 0.0


def test_what_is_set_aside_is_given_back_when_the_answer_cost_less():
    spending = Spending(PRICES, max_cost=10.0)
    first = spending.reserve(0, 1_500_000)
    assert first == 6.0
    assert spending.reserve(0, 1_500_000) is None  # both at once might cost 12
    assert spending.settle(first, 1_000_000, 500_000) == 3.0
    second = spending.reserve(0, 1_500_000)
    assert second == 6.0
    spending.release(second)
    assert spending.reserve(0, 1_750_000) == 7.0
    assert (spending.calls, spending.tokens_in, spending.tokens_out) == (1, 1_000_000, 500_000)
    assert spending.cost == 3.0


def test_the_limit_itself_may_be_spent():
    spending = Spending(Prices(1, 1), max_cost=1.0)
    assert spending.reserve(500_000, 500_000) == 1.0


def test_without_prices_tokens_are_counted_and_money_is_not():
    spending = Spending()
    assert spending.settle(spending.reserve(5, 5), 5, 5) == 0.0
    assert spending.note == "10 tokens"
    assert "1.5000 of 2 spent" in _spent(1.5, 2.0).note
    assert _spent(1.5, None).note == "1.5000 spent"


def _spent(cost, limit):
    spending = Spending(Prices(1, 1), limit)
    spending.settle(0.0, int(cost * 1e6), 0)
    return spending


def test_the_error_says_how_far_it_came_and_how_to_go_on():
    error = _spent(1.5, 2.0).reached(3, 8)
    assert isinstance(error, BudgetReached) and isinstance(error, ServiceFault)
    assert "1.5000 of 2 spent, 3 of 8" in str(error) and "raise max_cost" in error.fix


def test_limits_that_cannot_be_kept_are_refused():
    with pytest.raises(UserError, match="needs prices"):
        Spending(None, 1.0)
    with pytest.raises(UserError, match="positive"):
        Spending(PRICES, 0.0)
    with pytest.raises(UserError, match="negative"):
        Prices(-1, 1)


@pytest.mark.parametrize(
    "text", ["Is the sky blue?", "def f(x):\n    return x", "Grüße aus Köln", "天気はどうですか"]
)
def test_tokens_are_guessed_rather_high(text):
    assert about_tokens([text]) >= len(text.split()) + 1
    assert about_tokens([text]) <= len(text.encode()) + 8
