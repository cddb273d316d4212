"""Numbers and statuses in words, as every section writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from charter.stats import p_words, percent, points

STATUS_WORDS: Mapping[str, str] = {
    "rose": "rose",
    "fell": "fell",
    "kept": "kept",
    "measured": "measured",
    "not_measured": "not measured",
}

_MINUS, _SPACE = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"


def signed(change: float) -> str:
    """Percentage points with a true minus sign."""
    return points(change).replace("-", _MINUS)


def of_100(rate: float) -> str:
    """A rate as a count of 100; only none is 0 and only all is 100."""
    return percent(rate).removesuffix("%").replace("<", "under ").replace(">", "over ")


def span(lo: float, hi: float, interval: str) -> str:
    """``95% interval 76 to 90``."""
    return f"{interval} interval {of_100(lo)} to {of_100(hi)}"


def equals(p: float) -> str:
    """``= 0.03`` or ``< 0.001``, not to be broken over lines."""
    return ("< 0.001" if p < 0.001 else f"= {p_words(p)}").replace(" ", _SPACE)


def p_short(p: float) -> str:
    """A p-value that nobody has to count the zeros of."""
    return "<\N{NO-BREAK SPACE}0.001" if p < 0.001 else p_words(p)


def duration(seconds: float | None) -> str:
    """``2 min 05 s``; a dash when not recorded."""
    if seconds is None:
        return "\N{EN DASH}"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min {rest:02d} s"


def capital(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]


def count(n: int, noun: str, plural: str = "") -> str:
    """``1 prompt``, ``1,200 prompts``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {plural or noun + 's'}"


def listed(parts: Sequence[str], last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def ended(text: str) -> str:
    """As a sentence: with a full stop where it has no end of its own."""
    stripped = text.strip()
    return stripped if not stripped or stripped[-1] in ".!?:" else f"{stripped}."
