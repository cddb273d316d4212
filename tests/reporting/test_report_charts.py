from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.reporting.charts import forest_row, line_chart, nice_ticks, number
from charter.reporting.content import Rate

finite = st.floats(-1e6, 1e6)


@given(finite, finite)
def test_ticks_are_few_even_and_cover(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 6
    assert ticks == sorted(set(ticks))
    span = ticks[-1] - ticks[0]
    assert ticks[0] <= low + 1e-6 * span and ticks[-1] >= high - 1e-6 * span


def test_ticks_are_round() -> None:
    assert nice_ticks(0, 10.8) == [0, 5, 10, 15]
    assert nice_ticks(0.25, 0.69) == pytest.approx([0.2, 0.4, 0.6, 0.8])


@given(st.lists(st.tuples(st.floats(0, 1e4), finite), min_size=1, max_size=40))
def test_lines_stay_inside(points: list[tuple[float, float]]) -> None:
    chart = line_chart(sorted(points), "loss", limit=3.0)
    assert all(-1e-6 <= at <= 100 + 1e-6 for at, _ in chart.y_ticks)
    assert chart.limit and 0 <= chart.limit[0] <= 100
    assert "nan" not in chart.svg


def test_line_chart_words() -> None:
    chart = line_chart([(5, 0.4), (10, 1.3), (30, 5.83)], "KL", floor=0.0, limit=10.0)
    assert "KL: 0.4 at step 5, 5.83 at step 30; lowest 0.4, highest 5.83; limit 10" in chart.svg
    assert chart.limit == (pytest.approx(100 * 10 / 15), "stop at 10")
    assert chart.svg.count('class="dot"') == 3


def test_forest_row_places_marks_by_rate() -> None:
    svg = forest_row(
        Rate(0.1, 0.05, 0.2, 4, 40), Rate(0.5, 0.35, 0.65, 20, 40), label='Be "brief" <', status="rose"
    )
    assert 'cx="10.00%"' in svg and 'cx="50.00%"' in svg
    assert 'x1="35.00%"' in svg and 'x2="65.00%"' in svg
    assert "Be &#34;brief&#34; &lt;: before 10%, interval 5% to 20%; after 50%" in svg
    assert "not measured" in forest_row(None, None, label="x", status="not_measured")


def test_numbers_for_people() -> None:
    assert [number(x) for x in (0, 0.5, 1, 5.834, 28.04, 12345.6, 2e-5)] == [
        "0", "0.5", "1", "5.83", "28", "12,346", "2.0e-05",
    ]  # fmt: skip
    assert (number(0.72, like=2.43), number(28.0, like=28.8)) == ("0.72", "28.0")
