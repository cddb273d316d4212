from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from charter.catalogue import lookup
from charter.catalogue.options import TrainOptions
from charter.data.formats import LoadedData, load_groups
from charter.data.labels import SEVERAL, UNLABELLED, one_label_each
from charter.errors import DataError
from charter.types import Group, Judgement, SampleTarget


def options(name: str = "kto", **values: Any) -> TrainOptions:
    return lookup(name).options(**values)


def loaded(labels: Sequence[bool], prompts: int = 3) -> LoadedData:
    rows = [{"prompt": f"p{i % prompts}", "completion": f"c{i}", "label": x} for i, x in enumerate(labels)]
    return load_groups(rows, "unpaired")


def judged(group: Group, *said: tuple[str, float | None]) -> Group:
    """The group with one verdict for each principle."""
    found = [
        Judgement(SampleTarget(0), value, principle=name, verdict="judged" if value is not None else "error")
        for name, value in said
    ]
    return replace(group, judgements=tuple(found))


def lines(data: LoadedData) -> list[str]:
    """What a person is told beyond what reading the rows says."""
    return [f"{count} {what}" for what, count in data.counts.items() if count and not what.startswith("rows")]


def test_labelled_rows_stay_as_they_are() -> None:
    data = loaded([True, False, True, False])
    found = one_label_each(data, options())
    assert found.groups == data.groups
    assert lines(found) == []


def test_an_answer_is_desirable_where_every_principle_says_so() -> None:
    first, second, third = loaded([True, True, True]).groups
    groups = (
        judged(first, ("a", 1.0), ("b", 0.0), ("c", 0.0)),
        judged(second, ("a", 1.0), ("b", 1.0), ("c", None)),
        judged(third, ("a", 0.0)),
    )
    found = one_label_each(replace(loaded([True]), groups=groups), options("bco"))
    kept = [[(said.principle, said.value) for said in group.judgements] for group in found.groups]
    assert kept == [[("b", 0.0)], [("a", 1.0)], [("a", 0.0)]]
    assert found.counts[SEVERAL] == 2


def test_answers_without_a_label_are_dropped_and_counted() -> None:
    data = loaded([True, False, True])
    groups = (data.groups[0], judged(data.groups[1], ("a", None)), data.groups[2])
    found = one_label_each(replace(data, groups=groups), options("bco"))
    assert found.groups == (data.groups[0], data.groups[2])
    assert found.counts[UNLABELLED] == 1


def test_nothing_labelled_is_an_error() -> None:
    data = loaded([True])
    with pytest.raises(DataError, match="no answer has a label"):
        one_label_each(replace(data, groups=(judged(data.groups[0], ("a", None)),)), options())


def test_a_score_is_not_a_label() -> None:
    data = loaded([True, False])
    with pytest.raises(DataError, match=r"label 0.5 is neither 1") as caught:
        one_label_each(replace(data, groups=(judged(data.groups[0], ("a", 0.5)), data.groups[1])), options())
    assert caught.value.where == data.groups[0].source


def test_kto_with_one_prompt_is_an_error_and_the_others_are_not() -> None:
    data = loaded([True, False, True], prompts=1)
    with pytest.raises(DataError, match="at least two different prompts"):
        one_label_each(data, options("kto"))
    for other in (
        options("kto", loss_type="apo_zero_unpaired"),
        options("apo-zero-unpaired"),
        options("bco"),
    ):
        assert len(one_label_each(data, other).groups) == 3


# -- balance --------------------------------------------------------------------------------------


def told(good: int, bad: int, name: str = "kto", **weights: float) -> list[str]:
    return lines(one_label_each(loaded([True] * good + [False] * bad), options(name, **weights)))


@pytest.mark.parametrize(("good", "bad"), [(4, 4), (4, 3)])
def test_balanced_labels_are_not_remarked_on(good: int, bad: int) -> None:
    assert told(good, bad) == []


def test_more_desirable_answers_than_advised() -> None:
    (line,) = told(8, 2)
    assert line == (
        "8 desirable answers to 2 undesirable ones: better balanced with "
        "desirable_weight 0.25 to 0.333 or undesirable_weight 3 to 4"
    )


def test_fewer_desirable_answers_than_undesirable_ones() -> None:
    (line,) = told(2, 4)
    assert "desirable_weight 2 to 2.67 or undesirable_weight 0.375 to 0.5" in line


@pytest.mark.parametrize(
    "weights",
    [
        {"desirable_weight": 0.25},
        {"desirable_weight": 0.33},
        {"undesirable_weight": 3.0},
        {"undesirable_weight": 4.0},
        {"desirable_weight": 0.5, "undesirable_weight": 2.0},
    ],
)
def test_the_weights_that_are_advised_are_enough(weights: dict[str, float]) -> None:
    assert told(8, 2, **weights) == []


def test_weights_that_overshoot_are_remarked_on() -> None:
    assert told(8, 2, undesirable_weight=4.1) and told(8, 2, desirable_weight=0.34)
    assert told(4, 4, undesirable_weight=1.5)


def test_one_kind_alone_is_said() -> None:
    assert told(3, 0) == ["3 answers, all of them desirable: nothing is held against them"]
    assert told(0, 3) == ["3 answers, all of them undesirable: nothing is held against them"]


def test_bco_has_no_weights_to_balance() -> None:
    assert told(8, 2, "bco") == []
