"""Arithmetic that a model wrote, computed exactly and without running it."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from fractions import Fraction

MAX_LENGTH = 200
"""Most characters of an expression."""

MAX_BITS = 1024
"""Most bits of a numerator or denominator, in between too."""

MAX_EXPONENT = 64
"""Largest exponent, in magnitude."""

_SIGNS: Mapping[str, str] = {"×": "*", "·": "*", "÷": "/", "\N{MINUS SIGN}": "-", "^": "**"}  # noqa: RUF001
_ONLY = "only numbers, + - * / // % ** and parentheses can be computed"
_WRITTEN = re.compile(r"[\d.+\-*/%()\s]*")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_OPERATIONS: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: lambda a, b: Fraction(a // b),
    ast.Mod: operator.mod,
}


class ArithmeticFault(ValueError):
    """What is written is no arithmetic, or too large."""


def evaluate(expression: str) -> Fraction:
    """The exact value of an expression of numbers, ``+ - * / // % **`` and parentheses.

    Raises:
        ArithmeticFault: anything else is written, a division by zero, a number that gets too large.
    """
    if len(expression) > MAX_LENGTH:
        raise ArithmeticFault("the expression is too long")
    for written, meant in _SIGNS.items():
        expression = expression.replace(written, meant)
    plain = " ".join(_THOUSANDS.sub("", expression).split()).rstrip("=? ")
    if not _WRITTEN.fullmatch(plain):
        raise ArithmeticFault(_ONLY)
    try:
        tree = ast.parse(plain, mode="eval")
        return _value(tree.body)
    except ArithmeticFault:
        raise
    except ZeroDivisionError:
        raise ArithmeticFault("division by zero") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        raise ArithmeticFault("this is not an arithmetic expression") from None


def shown(value: Fraction) -> str:
    """A value as a calculator shows it: whole, or ten significant digits."""
    if value.denominator == 1:
        return str(value.numerator)
    try:
        return f"{float(value):.10g}"
    except OverflowError:
        return str(value.numerator // value.denominator)


def number_in(text: str) -> Fraction | None:
    """The number that ``text`` is: ``42``, ``-1,234.5``, ``3/4``; None when it is none."""
    plain = text.strip().strip("$").rstrip(".").replace(",", "").replace("_", "").strip()
    if not plain or len(plain) > MAX_LENGTH or "e" in plain.lower():
        return None
    try:
        return Fraction(plain.replace("\N{MINUS SIGN}", "-").replace(" ", ""))
    except (ValueError, ZeroDivisionError):
        return None


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant):
        return _constant(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        value = _value(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow):
            return _bounded(_power(left, right))
        if type(node.op) in _OPERATIONS:
            return _bounded(_OPERATIONS[type(node.op)](left, right))
    raise ArithmeticFault(_ONLY)


def _constant(value: object) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ArithmeticFault("only numbers can be computed")
    # The digits as they were written: 0.1 is a tenth here, and not the nearest binary number.
    return _bounded(Fraction(repr(value)) if isinstance(value, float) else Fraction(value))


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1 or abs(exponent) > MAX_EXPONENT:
        raise ArithmeticFault(f"exponents are whole numbers up to {MAX_EXPONENT}")
    return Fraction(base ** int(exponent))


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise ArithmeticFault("the number is too large")
    return value
