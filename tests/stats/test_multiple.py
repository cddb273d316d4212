from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.stats import holm

ps = st.lists(st.floats(0, 1), max_size=12)


def test_known_values() -> None:
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.2]) == [0.2]


@given(ps)
def test_between_raw_and_bonferroni_and_in_order(values: list[float]) -> None:
    adjusted = holm(values)
    for p, q in zip(values, adjusted, strict=True):
        assert p <= q <= min(1.0, len(values) * p) + 1e-12
    order = sorted(range(len(values)), key=values.__getitem__)
    assert [adjusted[i] for i in order] == sorted(adjusted)


@given(ps, st.randoms(use_true_random=False))
def test_order_does_not_matter(values: list[float], random: object) -> None:
    shuffled = list(range(len(values)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    adjusted = holm(values)
    assert holm([values[i] for i in shuffled]) == pytest.approx([adjusted[i] for i in shuffled])


def test_refuses_what_is_no_p_value() -> None:
    with pytest.raises(ValueError, match="p-value"):
        holm([0.1, float("nan")])
