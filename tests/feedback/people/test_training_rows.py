from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charter.data.formats import Wanted, load_groups
from charter.feedback.people.heard import hear
from charter.feedback.people.training_rows import Compiled, CompileOptions, compile_labels
from charter.label import Label
from charter.types import Message

COUNT = iter(range(10_000))


def pair(rater: str, value: float | str, item: str = "x", **more: Any) -> Label:
    outcome = value if isinstance(value, str) else "judged"
    said = None if isinstance(value, str) else value
    given: dict[str, Any] = {"prompt": "why?", "answers": ("one", "two"), "principle": "p", **more}
    return Label(f"l{next(COUNT)}", item, rater, "pair", outcome, said, **given)  # type: ignore[arg-type]


def rating(rater: str, value: float, item: str = "x", answer: str = "one", **more: Any) -> Label:
    given: dict[str, Any] = {"prompt": "why?", "answers": (answer,), "principle": "p", **more}
    return Label(f"l{next(COUNT)}", item, rater, "rating", value=value, **given)


def total(labels: list[Label], made: Compiled) -> None:
    """Every label is in a row or counted."""
    assert made.used + sum(made.dropped.values()) == len(labels)


def test_votes_weigh_their_raters() -> None:
    labels = [pair("a", 1), pair("b", -1), pair("c", -1)]
    made = compile_labels(labels, {"a": 0.9, "b": 0.3, "c": 0.3})
    (row,) = made.rows["preference"]
    assert (row["chosen"], row["rejected"]) == ("one", "two")
    assert row["probability"] == pytest.approx(0.9 / 1.5)
    assert row["votes"] == {"chosen": 1, "rejected": 2, "tie": 0, "both_bad": 0}
    assert row["disagreement"] == pytest.approx(1 / 3) and row["raters"] == ["a", "b", "c"] and row["n"] == 3
    assert (row["weight"], row["reliability"]) == (1.0, pytest.approx(0.5))
    total(labels, made)


def test_nobody_is_silenced_and_the_unknown_are_named() -> None:
    made = compile_labels([pair("zero", 1), pair("new", 1, "y")], {"zero": 0.0})
    assert made.unknown == ("new",) and len(made.rows["preference"]) == 2
    assert all(row["weight"] > 0 for row in made.rows["preference"])


@pytest.mark.parametrize(("ties", "p", "dropped"), [("half", 0.75, 0), ("drop", 1.0, 1)])
def test_ties(ties: Any, p: float, dropped: int) -> None:
    labels = [pair("a", 1), pair("b", "tie")]
    made = compile_labels(labels, {}, CompileOptions(ties=ties))
    assert made.rows["preference"][0]["probability"] == p
    assert made.dropped.total() == dropped
    total(labels, made)


def test_only_ties_are_indifference() -> None:
    made = compile_labels([pair("a", "tie"), pair("b", "tie")], {})
    assert made.rows["preference"][0]["probability"] == 0.5
    assert compile_labels([pair("a", "tie")], {}, CompileOptions(ties="drop")).rows == {}


def test_both_bad() -> None:
    labels = [pair("a", "both_bad"), pair("b", "both_bad"), pair("c", 2)]
    made = compile_labels(labels, {})
    assert made.rows["preference"][0]["probability"] == 1.0 and made.dropped.total() == 2
    total(labels, made)
    made = compile_labels(labels, {}, CompileOptions(both_bad="tie"))
    assert made.rows["preference"][0]["probability"] == pytest.approx(2 / 3)
    made = compile_labels(labels, {}, CompileOptions(both_bad="unpaired"))
    assert "preference" not in made.rows
    rows = made.rows["unpaired"]
    assert [row["completion"] for row in rows] == ["one", "two"]
    assert all(row["label"] is False and row["probability"] == pytest.approx(2 / 3) for row in rows)
    total(labels, made)


def test_everything_left_out_is_counted() -> None:
    labels = [
        pair("a", "skipped"),
        pair("b", "not_applicable"),
        pair("c", 1, gold=1),
        pair("d", 1, source="ai"),
        pair("e", 1),
        pair("f", 1, answers=("one", "three")),
        Label("s", "x", "g", "spans", value=[[0, 1, "bad"]], answers=("one",)),
    ]
    made = compile_labels(labels, {}, CompileOptions(sources=("human",)))
    assert made.used == 1 and len(made.dropped) == 6
    total(labels, made)


def test_posterior_takes_the_place_of_votes() -> None:
    made = compile_labels(
        [pair("a", 1)], {"a": 0.2}, CompileOptions(soft="posterior"), posterior={("p", "x"): 0.1}
    )
    (row,) = made.rows["preference"]
    assert (row["chosen"], row["probability"], row["weight"]) == ("two", 0.9, 1.0)


def test_margins_are_kept() -> None:
    made = compile_labels([pair("a", 3), pair("b", -1), pair("c", 1)], {})
    assert made.rows["preference"][0]["margin"] == pytest.approx(1.0)


def test_groups_apart() -> None:
    labels = [pair("a", 1, group="g"), pair("b", -1, group="h"), pair("c", 1)]
    made = compile_labels(labels, {}, CompileOptions(by_group=True))
    assert [(row["group"], row["chosen"]) for row in made.rows["preference"]] == [("g", "one"), ("h", "two")]
    total(labels, made)


def test_a_ranking_is_pairs() -> None:
    label = Label("r", "x", "a", "ranking", value=[2, 1, 2], answers=("one", "two", "three"), prompt="why?")
    rows = compile_labels([label], {}).rows["preference"]
    assert [(row["chosen"], row["rejected"], row["probability"]) for row in rows] == [
        ("two", "one", 1.0),
        ("one", "three", 0.5),
        ("two", "three", 1.0),
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("turns", [False, True])
def test_trainers_read_the_rows(tmp_path: Path, turns: bool) -> None:
    prompt: Any = (Message("user", "why?"),) if turns else "why?"
    more = {"prompt": prompt}
    labels = [
        pair("a", 1, **more),
        pair("b", -2, **more),
        pair("c", 1, **more),
        Label("rev", "y", "a", "revision", value="better", answers=("worse",), principle="p", **more),
        *[rating(r, v, f"i{v}", principle="verdict", **more) for r, v in (("a", 1), ("b", 0))],
        *[rating("a", v, f"s{v}", f"answer {v}", principle="score", **more) for v in (2, 4)],
        rating("a", 5, "alone", "alone", principle="other", **more),
    ]
    made = compile_labels(labels, {"a": 0.9, "b": 0.5, "c": 0.5})
    wanted: dict[str, Wanted] = {
        "preference": "preference",
        "unpaired": "unpaired",
        "rated": "rated",
        "attributes": "attributes",
    }
    assert set(made.rows) == set(wanted)
    for kind, rows in made.rows.items():
        found = load_groups(write(tmp_path / f"{kind}.jsonl", rows), wanted[kind])
        assert len(found.groups) == len(rows)
        for group, row in zip(found.groups, rows, strict=True):
            said = group.judgements[0]
            assert said.weight == pytest.approx(row["weight"]) and said.principle == row["principle"]
            assert said.probability == row.get("probability")
            assert group.meta["raters"] == row["raters"]
    total(labels, made)


def test_last_words_count() -> None:
    first = pair("a", 1)
    again = pair("a", 1, repeat_of=first.id)
    heard = hear([first, pair("a", -1, "x"), again, pair("a", 1, repeat_of="gone", item="z")])
    assert [label.value for label in heard.labels] == [-1]
    assert [(a.value, b.value) for a, b in heard.repeats] == [(1, 1)]
    assert sum(heard.left_out.values()) == 2 and heard.total == 4
