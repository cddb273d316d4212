from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.stats import p_words, percent, points


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (1.0, "1.00"),
        (0.412, "0.41"),
        (0.0344, "0.034"),
        (0.04996, "0.04996"),
        (2.1e-6, "2e-6"),
        (0.0, "< 1e-12"),
    ],
)
def test_p_words(p: float, words: str) -> None:
    assert p_words(p) == words


@given(st.floats(1e-11, 1))
def test_p_words_read_back_near(p: float) -> None:
    shown = float(p_words(p))
    assert shown == pytest.approx(p, rel=0.5)
    assert (shown < 0.05, shown < 0.01) == (p < 0.05, p < 0.01)


def test_percent_keeps_the_ends_for_none_and_all() -> None:
    assert [percent(x) for x in (0, 0.001, 0.126, 0.997, 1)] == ["0%", "<1%", "13%", ">99%", "100%"]
    assert [points(x) for x in (0.124, -0.001, -0.3)] == ["+12", "0", "-30"]
