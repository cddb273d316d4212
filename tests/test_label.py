"""A label says what was said, by whom, and nothing that does not fit together."""

from __future__ import annotations

import json

import pytest

from charter.errors import DataError
from charter.label import Label, is_right, label_of, latest, read_labels
from charter.types import Message


def pair(**changes):
    return Label(
        **{"id": "1", "item": "i", "rater": "r", "kind": "pair", "value": 2, "answers": ("a", "b")} | changes
    )


@pytest.mark.parametrize(
    "label",
    [
        pair(),
        pair(outcome="tie", value=None, shown=(1, 0), models=("m", ""), seconds=2.5, gold=-1),
        pair(outcome="both_bad", value=None, prompt=(Message("user", "Why?"),), group="g"),
        Label("2", "i", "r", "rating", value=4, answers=("a",), principle="style.brief", suggestion=3),
        Label("3", "i", "r", "ranking", value=[1, 2, 2], answers=("a", "b", "c")),
        Label("4", "i", "r", "revision", value="better", answers=("a",), source="expert"),
        Label("5", "i", "r", "spans", value=[[0, 3, "false"]], answers=("abcdef",)),
        Label("7", "i", "r", "spans", value=[], answers=("abcdef",)),
        Label("6", "i", "r", "rating", outcome="not_applicable", answers=("a",), scale=(1, 5)),
        Label("8", "i", "r", "rating", value=0, answers=("a",), scale=(0, 1), gold=1),
    ],
)
def test_a_label_written_and_read_is_the_same(label):
    assert label_of(json.loads(json.dumps(label.to_json()))) == label


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"value": None}, "does not fit"),
        ({"value": 0}, "margin"),
        ({"value": 4}, "margin"),
        ({"value": True}, "margin"),
        ({"value": float("nan")}, "margin"),
        ({"answers": ("a",)}, "two answers"),
        ({"outcome": "tie"}, "does not fit"),
        ({"outcome": "tied", "value": None}, "outcome is 'tied'"),
        ({"kind": "pairs"}, "kind is 'pairs'"),
        ({"shown": (0, 0)}, "no order"),
        ({"models": ("m",)}, "1 models for 2"),
        ({"rater": ""}, "without rater"),
        ({"kind": "rating", "outcome": "tie", "value": None}, "several answers"),
        ({"kind": "ranking", "value": [0, 1]}, "whole numbers from 1"),
        ({"kind": "ranking", "value": [1]}, "ranking of 2"),
        ({"kind": "revision", "value": " "}, "a text"),
        ({"kind": "spans", "value": [[3, 1, "x"]]}, "spans"),
        ({"seconds": -1.0}, "seconds"),
        ({"scale": (1, 5)}, "a pair has no scale"),
        ({"kind": "rating", "scale": (5, 1)}, "lowest first"),
        ({"kind": "rating", "scale": (1,)}, r"\[1, 5\]"),
        ({"kind": "rating", "scale": (3, 5)}, "from 3 to 5"),
        ({"kind": "rating", "scale": (1, 5), "gold": 0}, "gold is 0"),
        ({"kind": "rating", "value": 0.5, "scale": (0, 1)}, "a verdict is 0 or 1"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, told):
    with pytest.raises(DataError, match=told):
        pair(**changes)


def test_a_file_names_its_bad_line(tmp_path):
    file = tmp_path / "labels.jsonl"
    good = json.dumps(pair().to_json())
    for bad, told in (
        ("{", r"labels.jsonl:2: malformed JSON"),
        ("[]", r"labels.jsonl:2: a line must be one object"),
        ('{"id": "2"}', r"labels.jsonl:2: this is no label"),
        (good, r"labels.jsonl:2: label id '1' stands on line 1 too"),
        (good.replace('"rater"', '"ratter"').replace('"1"', '"2"'), r"unknown key 'ratter'"),
        (good.replace('"value": 2', '"value": 9').replace('"1"', '"2"'), r"labels.jsonl:2: a pair's margin"),
    ):
        file.write_text(f"{good}\n{bad}\n")
        with pytest.raises(DataError, match=told):
            read_labels(file)
    file.write_text(f"{good}\n\n")
    assert read_labels(file) == [pair()]
    with pytest.raises(DataError, match="cannot be read"):
        read_labels(tmp_path / "none.jsonl")


def test_the_last_word_counts_and_repeats_stay():
    first, again = pair(), pair(id="2", value=-1)
    repeat, other = pair(id="3", repeat_of="1"), pair(id="4", rater="s")
    assert latest([first, repeat, other, again]) == [repeat, other, again]


def test_a_decision_stands_beside_the_same_raters_own_word():
    own, decided = pair(), pair(id="2", value=-1, meta={"adjudication": True})
    assert latest([own, decided]) == [own, decided]
    assert latest([decided, own, pair(id="3", meta={"adjudication": True})])[1].id == "3"


def rated(value, gold, scale=(1, 5)):
    return Label("1", "i", "r", "rating", value=value, answers=("a",), gold=gold, scale=scale)


@pytest.mark.parametrize(
    ("label", "right"),
    [
        (rated(4, 5), True),
        (rated(5, 5), True),
        (rated(3, 5), False),
        (rated(2, 5), False),
        (rated(2, 1), True),
        (rated(3, 3), True),
        (rated(4, 3), False),
        (rated(1, 1, (0, 1)), True),
        (rated(0, 1, (0, 1)), False),
        (rated(4, 5, ()), False),  # nobody said where the middle is
        (rated(5, 5, ()), True),
        (rated(5, None), None),
        (Label("1", "i", "r", "rating", outcome="not_applicable", answers=("a",), gold=5), False),
        (Label("1", "i", "r", "rating", outcome="skipped", answers=("a",), gold=5), None),
        (pair(value=2, gold=1), True),
        (pair(value=-1, gold=1), False),
        (pair(outcome="tie", value=None, gold=1), False),
        (pair(outcome="tie", value=None, gold=0), True),
        (pair(value=1, gold=0), False),
        (pair(outcome="both_bad", value=None, gold=0), False),
        (Label("1", "i", "r", "spans", value=[[0, 1, "x"]], answers=("ab",), gold=1), None),
    ],
)
def test_a_test_is_passed_on_the_right_side(label, right):
    assert is_right(label) is right


@pytest.mark.parametrize(
    ("value", "right"),
    [([3, 1, 2], True), ([4, 1, 2], True), ([2, 1, 3], False), ([1, 2, 3], False), ([2, 1, 1], True)],
)
def test_a_ranking_is_right_where_gold_sets_answers_apart(value, right):
    label = Label("1", "i", "r", "ranking", value=value, answers=("bad", "x", "y"), gold=[2, 1, 1])
    assert is_right(label) is right
    tied = Label("1", "i", "r", "ranking", outcome="tie", answers=("bad", "x", "y"), gold=[2, 1, 1])
    assert is_right(tied) is False
