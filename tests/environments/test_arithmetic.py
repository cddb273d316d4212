"""Arithmetic a model wrote: exact, bounded, and never run."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.environments.arithmetic import ArithmeticFault, evaluate, number_in, shown


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("12*7", 84),
        (" 2 + 3 * 4 ", 14),
        ("(2 + 3) * -4", -20),
        ("2^10", 1024),
        ("2**-2", Fraction(1, 4)),
        ("7 // 2", 3),
        ("-7 % 3", 2),
        ("0.1 + 0.2", Fraction(3, 10)),
        ("6 × 7 ÷ 2 − 1", 20),  # noqa: RUF001
        ("1,234,567 * 2", 2469134),
        ("3 +\n 4 =", 7),
    ],
)
def test_values(written, value):
    assert evaluate(written) == value


@pytest.mark.parametrize(
    "written",
    [
        "",
        "2 +",
        "__import__('os').system('true')",
        "x + 1",
        "(1).__class__",
        "[1]",
        "1 if 1 else 2",
        "1 < 2",
        "1, 2",
        "1 / 0",
        "0 ** -1",
        "9 ** 9 ** 9",
        "2 ** 0.5",
        "(2**64)**17",
        "9" * 201,
        "(" * 99 + ")" * 99,
        "1e9",
        "0x10",
        "True",
        "1j",
        "1 @ 2",
        "~1",
        "1 << 9",
        "1or 2",
        "0" * 3 + "7",
    ],
)
def test_what_is_refused(written):
    with pytest.raises(ArithmeticFault):
        evaluate(written)


@given(st.text(alphabet="0123456789+-*/%().^ ,=", max_size=60))
def test_nothing_else_is_raised(written):
    try:
        value = evaluate(written)
    except ArithmeticFault:
        return
    assert isinstance(value, Fraction)
    assert shown(value)


@given(st.lists(st.integers(1, 999), min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_agrees_with_python(numbers, rng):
    written = " ".join(f"{number} {rng.choice('+-*')}" for number in numbers)[:-2]
    assert evaluate(written) == eval(written)
    assert number_in(shown(evaluate(written))) == evaluate(written)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (" 42 ", 42),
        ("-1,234.50", Fraction(-2469, 2)),
        ("3/4", Fraction(3, 4)),
        ("$5.", 5),
        ("42 apples", None),
        ("", None),
        ("1/0", None),
        ("nan", None),
        ("inf", None),
        ("1e999999999", None),
    ],
)
def test_numbers(text, value):
    assert number_in(text) == value


def test_shown():
    assert [shown(Fraction(v)) for v in ("84", "1/3", "-5/2")] == ["84", "0.3333333333", "-2.5"]
    assert shown(Fraction(10**400 * 3, 2) + Fraction(1, 3)).startswith("15")
