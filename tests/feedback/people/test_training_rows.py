from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charter.catalogue.options import TrainOptions
from charter.data.formats import Wanted, load_groups
from charter.data.rankings import ranked
from charter.errors import DataError
from charter.feedback.people.compiled import Compiled, CompileOptions
from charter.feedback.people.heard import hear
from charter.feedback.people.training_rows import compile_labels
from charter.label import Label
from charter.types import Message, PairTarget

COUNT = iter(range(10_000))


def pair(rater: str, value: float | str, item: str = "x", **more: Any) -> Label:
    outcome = value if isinstance(value, str) else "judged"
    said = None if isinstance(value, str) else value
    given: dict[str, Any] = {"prompt": "why?", "answers": ("one", "two"), "principle": "p", **more}
    return Label(f"l{next(COUNT)}", item, rater, "pair", outcome, said, **given)  # type: ignore[arg-type]


def rating(rater: str, value: float, item: str = "x", answer: str = "one", **more: Any) -> Label:
    given: dict[str, Any] = {"prompt": "why?", "answers": (answer,), "principle": "p", **more}
    return Label(f"l{next(COUNT)}", item, rater, "rating", value=value, **given)


def verdict(rater: str, value: float, item: str = "x", answer: str = "one", **more: Any) -> Label:
    return rating(rater, value, item, answer, scale=(0, 1), **more)


def decision(value: float, item: str = "x", **more: Any) -> Label:
    return pair("ed", value, item, source="expert", meta={"adjudication": True}, **more)


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
    made = compile_labels(labels, {}, CompileOptions(by_group=True, least_group=1))
    assert [(row["group"], row["chosen"]) for row in made.rows["preference"]] == [("g", "one"), ("h", "two")]
    total(labels, made)


def test_a_ranking_is_pairs() -> None:
    label = Label("r", "x", "a", "ranking", value=[2, 1, 2], answers=("one", "two", "three"), prompt="why?")
    made = compile_labels([label], {})
    rows = made.rows["preference"]
    assert [(row["chosen"], row["rejected"], row["probability"]) for row in rows] == [
        ("two", "one", 1.0),
        ("one", "three", 0.5),
        ("two", "three", 1.0),
    ]
    (whole,) = made.rows["ranked"]
    assert whole["responses"] == ["one", "two", "three"] and whole["ranks"] == [2, 1, 2]


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
        *[verdict(r, v, f"i{v}", principle="verdict", **more) for r, v in (("a", 1), ("b", 0))],
        *[rating("a", v, f"s{v}", f"answer {v}", principle="score", **more) for v in (2, 4)],
        rating("a", 5, "alone", "alone", principle="other", **more),
    ]
    made = compile_labels(labels, {"a": 0.9, "b": 0.5, "c": 0.5})
    wanted: dict[str, Wanted] = {
        "preference": "preference",
        "unpaired": "unpaired",
        "rated": "rated",
        "attributes": "attributes",
        "sft": "sft",
    }
    assert set(made.rows) == set(wanted)
    for kind, rows in made.rows.items():
        found = load_groups(write(tmp_path / f"{kind}.jsonl", rows), wanted[kind])
        assert len(found.groups) == len(rows)
        for group, row in zip(found.groups, rows, strict=True):
            assert group.meta["raters"] == row["raters"]
            if kind == "sft":
                assert group.meta["weight"] == row["weight"] and group.samples[0].completion.text == "better"
                continue
            said = group.judgements[0]
            assert said.judge == "+".join(row["raters"])
            assert said.weight == pytest.approx(row["weight"]) and said.principle == row["principle"]
            assert said.probability == row.get("probability")
    total(labels, made)


def test_last_words_count() -> None:
    first = pair("a", 1)
    again = pair("a", 1, repeat_of=first.id)
    heard = hear([first, pair("a", -1, "x"), again, pair("a", 1, repeat_of="gone", item="z")])
    assert [label.value for label in heard.labels] == [-1]
    assert [(a.value, b.value) for a, b in heard.repeats] == [(1, 1)]
    assert sum(heard.left_out.values()) == 2 and heard.total == 4


@pytest.mark.parametrize(("scale", "worst", "best"), [((1, 5), 1, 5), ((0, 4), 0, 1), ((), 0, 1)])
def test_ratings_that_look_like_verdicts_are_none(scale: Any, worst: float, best: float) -> None:
    """The worst of 1 to 5 was read as a yes; the two lowest of 0 to 4 as no and yes."""
    labels = [rating("a", worst, "x", scale=scale), rating("b", best, "y", "two", prompt="how?", scale=scale)]
    only_worst = labels[:1]
    for said in (labels, only_worst):
        made = compile_labels(said, {})
        assert "unpaired" not in made.rows
        assert made.rows["attributes"][0]["scores"] == {"p": worst}
        assert made.rows["attributes"][0].get("scale", []) == list(scale)
        assert made.without_scale == (0 if scale else len(said))
        total(said, made)


def test_verdicts_are_verdicts_by_their_scale() -> None:
    labels = [verdict("a", 1), verdict("b", 1), verdict("a", 0, "y", "two")]
    made = compile_labels(labels, {})
    assert [(row["completion"], row["label"]) for row in made.rows["unpaired"]] == [
        ("one", True),
        ("two", False),
    ]
    mixed = [verdict("a", 1), rating("b", 4, scale=(1, 5)), rating("c", 30, scale=(0, 100))]
    made = compile_labels(mixed, {})
    assert made.rows["unpaired"][0]["n"] == 1
    assert [(row["scores"], row["scale"]) for row in made.rows["attributes"]] == [
        ({"p": 4.0}, [1, 5]),
        ({"p": 30.0}, [0, 100]),
    ]
    assert len({row["id"] for row in made.rows["attributes"]}) == 2
    total(mixed, made)


def test_a_label_counts_as_much_as_its_source_says() -> None:
    """An answer that four left and one praised: leaving says little."""
    left = [verdict(f"u{i}", 0, meta={"weight": 0.1}, source="implicit") for i in range(4)]
    made = compile_labels([*left, verdict("a", 1)], {})
    (row,) = made.rows["unpaired"]
    assert row["label"] is True and row["probability"] == pytest.approx(1 / 1.4)
    assert row["reliability"] == 1.0
    made = compile_labels([verdict("a", 1, "x"), verdict("u", 0, "y", "two", meta={"weight": 0.1})], {})
    strong, weak = made.rows["unpaired"]
    assert weak["weight"] / strong["weight"] == pytest.approx(0.1)
    made = compile_labels(
        [pair("a", 1), pair("u", -1, meta={"weight": 0.25}), pair("u", 1, "y", meta={"weight": 0.25})],
        {"a": 0.4, "u": 0.8},
    )
    assert made.rows["preference"][0]["probability"] == pytest.approx(0.4 / (0.4 + 0.8 * 0.25))
    assert made.rows["preference"][1]["reliability"] == 0.8
    posterior = compile_labels(
        [pair("a", 1), pair("u", 1, "y", meta={"weight": 0.25})],
        {},
        CompileOptions(soft="posterior"),
        posterior={("p", "x"): 0.9, ("p", "y"): 0.9},
    ).rows["preference"]
    assert posterior[1]["weight"] / posterior[0]["weight"] == pytest.approx(0.25)
    edited = Label("r", "z", "a", "revision", value="b", answers=("a",), prompt="q", meta={"weight": 0.7})
    made = compile_labels([edited, pair("a", 1)], {})
    pairs = {row["item"]: row["weight"] for row in made.rows["preference"]}
    assert pairs["z"] / pairs["x"] == pytest.approx(0.7)


@pytest.mark.parametrize("weight", [0, -1, "much", True, float("inf")])
def test_a_weight_that_is_none_is_named(weight: Any) -> None:
    label = pair("a", 1, meta={"weight": weight})
    with pytest.raises(DataError, match=f"label {label.id}"):
        compile_labels([label], {})


def test_a_label_that_is_only_probable_is_a_soft_label() -> None:
    """Votes of readers (SHP): three quarters for the second answer."""
    made = compile_labels([pair("reddit", -1, meta={"probability": 0.75})], {})
    (row,) = made.rows["preference"]
    assert (row["chosen"], row["probability"], row["disagreement"]) == ("two", 0.75, 0.0)
    assert row["votes"]["chosen"] == 1
    made = compile_labels([verdict("a", 1, meta={"probability": 0.6})], {})
    assert made.rows["unpaired"][0]["probability"] == 0.6 and made.rows["unpaired"][0]["label"] is True
    with pytest.raises(DataError, match="0 to 1"):
        compile_labels([pair("a", 1, meta={"probability": 7})], {})


def test_a_decision_takes_the_place_of_what_others_said() -> None:
    labels = [pair("a", 1), pair("b", 1), decision(-2), pair("a", 1, "y")]
    made = compile_labels(labels, {"a": 0.5, "b": 0.5})
    decided, other = made.rows["preference"]
    assert (decided["chosen"], decided["probability"], decided["raters"]) == ("two", 1.0, ["ed"])
    assert decided["adjudicated"] is True and decided["replaced"] == 2 and decided["reliability"] == 1.0
    assert "adjudicated" not in other and decided["weight"] > other["weight"]
    assert made.dropped == {"labels of items that somebody decided": 2} and made.decided == 1
    assert made.unknown == ()
    total(labels, made)
    posterior = {("p", "x"): 0.99, ("p", "y"): 0.99}
    made = compile_labels(labels, {}, CompileOptions(soft="posterior"), posterior=posterior)
    assert made.rows["preference"][0]["chosen"] == "two"
    # Without experts there is no decision, and the contested labels stand.
    made = compile_labels(labels, {}, CompileOptions(sources=("human",)))
    assert made.rows["preference"][0]["chosen"] == "one" and made.decided == 0
    outcome = [pair("a", 1), pair("ed", "not_applicable", meta={"adjudication": True})]
    made = compile_labels(outcome, {})
    assert made.rows == {} and made.dropped.total() == 2


def test_a_decided_rating_and_rows_by_group() -> None:
    labels = [
        verdict("a", 1, group="g"),
        verdict("b", 1, group="g"),
        verdict("ed", 0, source="expert", meta={"adjudication": True}),
    ]
    (row,) = compile_labels(labels, {}).rows["unpaired"]
    assert row["label"] is False and row["replaced"] == 2
    made = compile_labels(labels, {}, CompileOptions(by_group=True, least_group=2))
    assert [(row["group"], row["label"]) for row in made.rows["unpaired"]] == [("g", True)]
    assert made.dropped == {"decisions, which are of no group": 1}


def test_items_whose_text_is_unclear_teach_nothing() -> None:
    labels = [pair("a", 1, meta={"unclear": True}), pair("b", -1, meta={"unclear": True}), pair("a", 1, "y")]
    made = compile_labels(labels, {})
    assert [row["item"] for row in made.rows["preference"]] == ["y"]
    assert made.dropped == {"labels of items whose principle's text was found unclear": 2}
    total(labels, made)


def test_a_group_of_one_has_no_rows_and_is_named_in_none() -> None:
    labels = [pair(f"r{i}", 1, group="north") for i in range(5)] + [pair("lone", -1, group="south")]
    made = compile_labels(labels, {}, CompileOptions(by_group=True))
    assert [row["group"] for row in made.rows["preference"]] == ["north"]
    assert made.dropped == {"of a group with fewer than 5 raters": 1}
    total(labels, made)
    alone = compile_labels([*labels[:5], pair("lone", -1, "y", group="south")], {}).rows["preference"]
    assert [row.get("group") for row in alone] == ["north", None]
    few = CompileOptions(by_group=True, least_group=6)
    assert compile_labels(labels, {}, few).rows == {}


def test_rankings_train_as_rankings(tmp_path: Path) -> None:
    more: dict[str, Any] = {"answers": ("one", "two", "three"), "prompt": "why?", "principle": "p"}
    labels = [
        Label("r1", "x", "a", "ranking", value=[2, 1, 3], principle_sha="s" * 64, **more),
        Label("r2", "x", "b", "ranking", value=[1, 2, 3], **more),
        Label("r3", "x", "c", "ranking", outcome="tie", **more),
    ]
    made = compile_labels(labels, {"a": 0.9, "b": 0.3})
    loaded = ranked(
        load_groups(write(tmp_path / "r.jsonl", made.rows["ranked"]), "preference"), TrainOptions()
    )
    first, second = loaded.groups  # one a rater: nobody is averaged away, and a tie ranks nothing
    assert {one.target for one in first.judgements} == {PairTarget(1, 0), PairTarget(0, 2), PairTarget(1, 2)}
    assert {one.judge for one in first.judgements} == {"a"}
    assert {one.principle_sha for one in first.judgements} == {"s" * 64}
    assert first.judgements[0].weight / second.judgements[0].weight == pytest.approx(3.0)


def test_marks_stand_beside_the_rows_of_their_answers() -> None:
    mark = Label(
        "s", "z", "m", "spans", value=[[0, 2, "bad"]], answers=("two",), prompt="why?", principle="p"
    )
    other = Label("t", "w", "m", "spans", value=[[0, 1, "bad"]], answers=("else",), prompt="why?")
    labels = [pair("a", 1), mark, other]
    made = compile_labels(labels, {})
    (row,) = made.rows["preference"]
    said = {"answer": "rejected", "start": 0, "end": 2, "tag": "bad", "rater": "m", "principle": "p"}
    assert row["spans"] == [said] and made.marked == 1
    assert made.dropped == {"spans: no row holds the marked answer": 1}
    total(labels, made)
