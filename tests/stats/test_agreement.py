from __future__ import annotations

import numpy as np
import pytest

from charter.stats.agreement import Metric, Rating, krippendorff_alpha

# Krippendorff's own example: four observers, twelve units, some not rated.
TABLE: list[list[int | None]] = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]


def ratings(table: list[list[int | None]]) -> list[Rating]:
    return [
        Rating(who, item, float(value))
        for who, row in enumerate(table)
        for item, value in enumerate(row)
        if value is not None
    ]


@pytest.mark.parametrize(("metric", "value"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_published_values(metric: Metric, value: float) -> None:
    found = krippendorff_alpha(ratings(TABLE), metric)
    assert found.value == pytest.approx(value, abs=5e-4)
    assert (found.items, found.left_out, found.raters) == (11, 1, 4)
    assert found.interval.lo < value < found.interval.hi


@pytest.mark.parametrize("metric", ["nominal", "ordinal", "interval"])
def test_another_implementation_agrees(metric: Metric) -> None:
    import evalica
    from pandas import DataFrame

    rng = np.random.default_rng(0)
    table = rng.integers(1, 6, (5, 40)).astype(float)
    table[rng.random(table.shape) < 0.3] = np.nan
    rows = [[None if np.isnan(v) else int(v) for v in row] for row in table]
    ours = krippendorff_alpha(ratings(rows), metric, resamples=10)
    assert ours.value == pytest.approx(evalica.alpha(DataFrame(table), metric).alpha, abs=1e-9)


def test_two_raters_by_hand() -> None:
    """Ten pairs of yes and no, two of them unequal: 1 - 19 x 2 x 2 / (2 x 10 x 10)."""
    first, second = [1] * 5 + [0] * 5, [1] * 4 + [0] + [0] * 4 + [1]
    found = krippendorff_alpha(
        [
            *(Rating("a", i, float(v)) for i, v in enumerate(first)),
            *(Rating("b", i, float(v)) for i, v in enumerate(second)),
        ]
    )
    assert found.value == pytest.approx(1 - 19 * 4 / 200)


def test_the_planted_alpha_is_covered() -> None:
    """The bootstrap over pairs of ratings covers it four times of five only."""
    rng = np.random.default_rng(1)
    rate, right = 0.6, 0.85
    marked = rate * right + (1 - rate) * (1 - right)
    truth = 1 - (1 - right**2 - (1 - right) ** 2) / (2 * marked * (1 - marked))
    held = 0
    for _ in range(150):
        good = rng.random(50) < rate
        said = np.where(rng.random((4, 50)) < right, good, ~good).astype(int).tolist()
        interval = krippendorff_alpha(ratings(said), resamples=300).interval
        held += interval.lo <= truth <= interval.hi
    assert 134 <= held <= 149


def test_systematic_disagreement_is_below_chance() -> None:
    found = krippendorff_alpha(ratings([[0, 1] * 10, [1, 0] * 10]))
    assert found.value is not None and found.value < -0.9


def test_what_says_nothing() -> None:
    assert krippendorff_alpha([]).value is None
    same = krippendorff_alpha(ratings([[1, 1], [1, 1]]))
    assert same.value is None and same.interval == (-1.0, 1.0)
    lonely = krippendorff_alpha([Rating("a", 1, 1.0), Rating("a", 2, 0.0)])
    assert lonely.value is None and lonely.left_out == 2
    with pytest.raises(ValueError, match="twice"):
        krippendorff_alpha([Rating("a", 1, 1.0), Rating("a", 1, 0.0)])
    with pytest.raises(ValueError, match="nan"):
        krippendorff_alpha([Rating("a", 1, float("nan"))])
