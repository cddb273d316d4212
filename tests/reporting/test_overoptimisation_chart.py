from __future__ import annotations

import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from charter.reporting.overoptimisation import Measured, Peak, overoptimisation_chart

finite = st.floats(-1e4, 1e4)
POINTS = [Measured(0.0, 0.1, 0.2), Measured(1.0, 0.5, 0.6), Measured(3.0, 0.9, 0.4)]
CURVE = [(0.0, 0.1, 0.2, 0.3), (1.5, 0.5, 0.6, 0.7), (3.0, 0.3, 0.4, 0.5)]


def test_it_stands_alone_and_says_what_it_shows() -> None:
    svg = overoptimisation_chart(POINTS, CURVE, Peak(1.5, 1.2, 1.9), 'peaks at "1.5" <')
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg") and root.get("aria-label") == 'peaks at "1.5" <'
    assert svg.count('class="proxy-dot"') == svg.count('class="gold-dot"') == 3
    assert "held-out peak, √KL 1.5" in svg
    (line,) = [e for e in root if e.get("class") == "peak"]
    (shade,) = [e for e in root if e.get("class") == "peak-range"]
    at, left, width = float(line.get("x1", "")), float(shade.get("x", "")), float(shade.get("width", ""))
    assert at == 600 * 1.5 / 3  # in the middle of an axis from 0 to 3
    assert left < at < left + width


def test_without_a_peak_no_line_is_drawn() -> None:
    svg = overoptimisation_chart(POINTS, CURVE, None, "rises")
    assert 'class="peak"' not in svg and "peak-range" not in svg.split("</style>")[1]


@given(st.lists(st.tuples(st.floats(0, 100), finite, finite), min_size=1, max_size=20))
def test_marks_stay_inside(found: list[tuple[float, float, float]]) -> None:
    points = [Measured(*one) for one in sorted(found)]
    svg = overoptimisation_chart(points, [], None, "x")
    assert "nan" not in svg and "inf" not in svg
    for x, y in re.findall(r'<circle class="[a-z-]+" cx="([-\d.]+)" cy="([-\d.]+)"', svg):
        assert -0.01 <= float(x) <= 600.01 and -0.01 <= float(y) <= 426.01
