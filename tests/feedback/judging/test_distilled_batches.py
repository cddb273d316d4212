"""A principle's words are computed once for the answers that are read together."""

from __future__ import annotations

import numpy as np
import pytest
from planted_principles import tiny_policy

from charter.data.packing import pack
from charter.feedback.judging.distilled import features
from charter.feedback.judging.distilled.features import Reader, Reading, Rendered
from charter.feedback.judging.distilled.rows import Item

PRINCIPLES = ("Answers are brief, and " + "so " * 200 + "on.", "Answers are kind, and " + "so " * 200 + "on.")


def rendered(reader: Reader, many: int) -> list[Rendered]:
    """Answers of two principles in turn, the worst order for sharing."""
    found = []
    for number in range(many):
        seen = Item.of("p", f"Why {number}?", f"Because of {number}.").seen
        found.append(reader.render(PRINCIPLES[number % 2], seen))
    return found


def test_a_batch_is_full_by_what_is_new_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(tiny_policy(), Reading())
    answers = rendered(reader, 40)
    longest = max(len(one.ids) for one in answers)
    budget = 2 * longest
    monkeypatch.setattr(features, "_TOKENS", budget)
    batches = features._batches(answers)
    assert sorted(one.key for batch in batches for one in batch) == sorted(one.key for one in answers)
    streams = [pack([one.sample for one in batch]) for batch in batches if batch]
    assert all(len(stream.input_ids_T) <= budget for stream in streams)  # what is computed keeps the budget
    logical = sum(len(one.ids) for one in answers)
    computed = sum(len(stream.input_ids_T) for stream in streams)
    assert computed < logical / 3 and len(batches) < logical / budget / 2


def test_an_answer_longer_than_the_budget_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(tiny_policy(), Reading())
    answers = rendered(reader, 3)
    monkeypatch.setattr(features, "_TOKENS", 10)
    assert [len(batch) for batch in features._batches(answers)] == [1, 1, 1]


def test_features_are_those_of_each_answer_alone_and_in_the_order_given() -> None:
    policy = tiny_policy()
    reader = Reader(policy, Reading(depth=0.5))
    answers = rendered(reader, 6)
    found = reader.read(answers)
    for one, row in zip(answers, found, strict=True):
        assert np.allclose(Reader(policy, Reading(depth=0.5)).read([one])[0], row, atol=1e-5)
