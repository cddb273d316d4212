"""Numbers in words, the same in every table and report."""

from __future__ import annotations


def p_words(p: float) -> str:
    """A p-value for people: ``0.41``, ``0.034``, ``2e-6``, ``< 1e-12``.

    Rounding never moves a value to the other side of 0.05 or 0.01.
    """
    if p < 1e-12:
        return "< 1e-12"
    if p < 0.001:
        mantissa, exponent = f"{p:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    digits = 3 if p < 0.1 else 2
    while any((float(f"{p:.{digits}f}") < bound) != (p < bound) for bound in (0.05, 0.01)):
        digits += 1
    return f"{p:.{digits}f}"


def percent(rate: float) -> str:
    """A rate in whole percent; only none is ``0%`` and only all is ``100%``."""
    if 0 < rate < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= rate < 1 else f"{100 * rate:.0f}%"


def points(change: float) -> str:
    """A change of rates in whole percentage points, with its sign: ``+12``, ``0``, ``-3``."""
    rounded = round(100 * change)
    return f"{rounded:+d}" if rounded else "0"
