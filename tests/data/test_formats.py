from __future__ import annotations

from typing import Any

import pytest
from data_shapes import turns
from hypothesis import given
from hypothesis import strategies as st

from charter.data.formats import load_groups
from charter.data.shared_prompt import split_shared
from charter.errors import DataError
from charter.types import Group, Judgement, Message, PairTarget, SampleTarget

U, A = ("user", "q"), ("assistant", "a")


def _one(row: dict[str, Any], wanted: Any = "any") -> Group:
    (group,) = load_groups([row], wanted).groups
    return group


def _messages(*pairs: str) -> tuple[Message, ...]:
    return tuple(Message(r, c) for r, c in zip(pairs[::2], pairs[1::2], strict=True))  # type: ignore[arg-type]


def test_text() -> None:
    group = _one({"text": "hello", "lang": "en"})
    assert (group.samples[0].context.content, group.samples[0].completion.content) == ("", "hello")
    assert group.meta == {"lang": "en"}
    assert group.judgements == ()
    assert group.source == group.id == "row:1"


def test_messages_split_before_the_first_answer() -> None:
    row = {"messages": turns("system", "s", *U, *A, "user", "more", "assistant", "b"), "id": 7}
    group = _one(row)
    assert group.samples[0].context.content == _messages("system", "s", *U)
    assert group.samples[0].completion.content == _messages(*A, "user", "more", "assistant", "b")
    assert group.id == "7"


def test_messages_after_the_last_answer_are_cut_and_counted() -> None:
    loaded = load_groups([{"messages": turns(*U, *A, "user", "thanks")}], "sft")
    assert loaded.groups[0].samples[0].completion.content == _messages(*A)
    assert loaded.counts["conversations with turns after the last answer, which were cut"] == 1


def test_prompt_only_keeps_answers_in_meta() -> None:
    group = _one({"prompt": turns(*U), "answer": 4}, "prompts")
    assert group.samples[0].context.content == _messages(*U)
    assert group.samples[0].completion.content == ""
    assert group.meta == {"answer": 4}


@pytest.mark.parametrize("conversational", [False, True])
def test_prompt_completion(conversational: bool) -> None:
    row = (
        {"prompt": turns(*U), "completion": turns(*A)}
        if conversational
        else {"prompt": "q", "completion": "a"}
    )
    sample = _one(row, "sft").samples[0]
    assert sample.context.content == (_messages(*U) if conversational else "q")
    assert sample.completion.content == (_messages(*A) if conversational else "a")


def test_preference_with_all_options() -> None:
    row = {"prompt": "q", "chosen": "a", "rejected": "b", "margin": 2, "weight": 0.5, "probability": 0.9}
    group = _one(row | {"principle": "be-kind", "tags": ["x", "y"], "id": "r1"})
    assert [s.completion.content for s in group.samples] == ["a", "b"]
    assert group.judgements == (
        Judgement(PairTarget(0, 1), 2.0, probability=0.9, principle="be-kind", weight=0.5),
    )
    assert (group.id, group.meta) == ("r1", {"tags": ("x", "y"), "margin": 2.0})


def test_preference_defaults() -> None:
    group = _one({"prompt": "q", "chosen": "a", "rejected": "b", "margin": None, "weight": None})
    assert group.judgements == (Judgement(PairTarget(0, 1), 1.0),)


def test_implicit_prompt_is_the_shared_turns() -> None:
    row = {
        "chosen": turns("system", "s", *U, "assistant", "a"),
        "rejected": turns("system", "s", *U, "assistant", "b"),
    }
    group = _one(row, "preference")
    assert (
        group.samples[0].context.content == group.samples[1].context.content == _messages("system", "s", *U)
    )
    assert [s.completion.text for s in group.samples] == ["a", "b"]


def test_text_prompt_beside_whole_conversations() -> None:
    row = {"prompt": "q", "chosen": turns(*U, *A), "rejected": turns(*U, "assistant", "b")}
    assert _one(row).samples[0].context.content == _messages(*U)
    with pytest.raises(DataError, match="'prompt' is text but 'chosen' is turns"):
        load_groups([row | {"prompt": "something else"}])


@pytest.mark.parametrize(
    ("chosen", "rejected", "prompt"),
    [
        ("Sky is blue.", "Sky is green.", "Sky is"),
        ("Q: hi\nA: yes", "Q: hi\nA: no", "Q: hi\nA:"),
        ("Q\nblue", "Q\nblack", "Q\n"),
        ("one two three", "one two three four", "one two"),
        ("same old thing", "same old thing", "same old"),
    ],
)
def test_implicit_text_prompt_ends_at_a_word(chosen: str, rejected: str, prompt: str) -> None:
    shared, left, right = split_shared(chosen, rejected, where="x")
    assert shared == prompt
    assert (str(shared) + str(left), str(shared) + str(right)) == (chosen, rejected)


@given(st.text("ab \n", max_size=12), st.text("ab \n", max_size=12), st.text("ab \n", max_size=12))
def test_implicit_text_prompt_loses_nothing(common: str, left: str, right: str) -> None:
    chosen, rejected = common + left, common + right
    try:
        prompt, a, b = split_shared(chosen, rejected, where="x")
    except DataError:
        return
    assert isinstance(prompt, str) and isinstance(a, str) and isinstance(b, str)
    assert (prompt + a, prompt + b) == (chosen, rejected)
    assert a.strip() and b.strip() and prompt
    assert prompt[-1].isspace() or (a[0].isspace() and b[0].isspace())


def test_unpaired_labels() -> None:
    groups = load_groups(
        [{"prompt": "q", "completion": "a", "label": True}, {"prompt": "q", "completion": "b", "label": 0}]
    ).groups
    assert [g.judgements[0] for g in groups] == [
        Judgement(SampleTarget(0), 1.0),
        Judgement(SampleTarget(0), 0.0),
    ]


def test_preference_rows_as_unpaired() -> None:
    loaded = load_groups([{"prompt": "q", "chosen": "a", "rejected": "b", "margin": 3}], "unpaired")
    assert [(g.samples[0].completion.content, g.judgements[0].value, g.id) for g in loaded.groups] == [
        ("a", 1.0, "row:1:chosen"),
        ("b", 0.0, "row:1:rejected"),
    ]
    assert loaded.counts["preference rows split into two labelled answers"] == 1
    assert loaded.groups[0].meta["margin"] == 3


def test_ranks_become_strictly_ordered_pairs() -> None:
    group = _one({"prompt": "q", "responses": ["a", "b", "c"], "ranks": [2, 1, 2]})
    assert {j.target for j in group.judgements} == {PairTarget(1, 0), PairTarget(1, 2)}


def test_scores_become_sample_judgements_and_pairs_when_wanted() -> None:
    row = {"prompt": "q", "completions": ["a", "b"], "scores": [1.5, 4]}
    assert [(j.target, j.value) for j in _one(row).judgements] == [
        (SampleTarget(0), 1.5),
        (SampleTarget(1), 4.0),
    ]
    assert _one(row, "preference").judgements[-1] == Judgement(PairTarget(1, 0), 2.5)


P = {"prompt": "q", "chosen": "a", "rejected": "b"}


@pytest.mark.parametrize(
    ("row", "wanted", "reason"),
    [
        (
            {"prompt": "q", "chosen": "a", "rejcted": "b"},
            "any",
            "no column 'rejected'.*did you mean 'rejcted'",
        ),
        (
            {"promt": "q", "chosen": "a b", "rejected": "a c"},
            "any",
            "no column 'prompt'.*did you mean 'promt'",
        ),
        ({"prompt": "q", "complete": "a"}, "sft", "did you mean 'complete'"),
        ({"mesages": []}, "any", "did you mean 'mesages'"),
        ({"prompt": "q", "completion": "a"}, "unpaired", "no column 'label'"),
        ({"prompt": "q", "completion": None}, "sft", "column 'completion' is null"),
        ({"prompt": "q", "completion": 3}, "sft", "'completion' is int, wanted text or a list of turns"),
        ({"prompt": "q", "completion": turns(*A)}, "sft", "'prompt' is text but 'completion' is turns"),
        ({"prompt": turns(*U), "completion": "a"}, "sft", "'prompt' is turns but 'completion' is text"),
        ({"text": ["a"]}, "sft", "'text' is list, wanted text"),
        ({"messages": []}, "sft", "'messages' is an empty list"),
        ({"messages": turns("user", "q")}, "sft", "no assistant turn"),
        (
            {"messages": turns(*A, *U)},
            "sft",
            "turn 1 is assistant: a conversation starts with system or user",
        ),
        ({"messages": turns(*U, *U, *A)}, "sft", "turn 2: two user turns in a row"),
        ({"messages": turns(*U, *A, *A)}, "sft", "turn 3: two assistant turns in a row"),
        ({"messages": turns(*U, "system", "s", *A)}, "sft", "turn 2: system after user"),
        (
            {"messages": turns(*U, "asistant", "a")},
            "sft",
            "turn 2 has the unknown role.*did you mean 'assistant'",
        ),
        ({"messages": [{"from": "human", "value": "q"}]}, "sft", "turn 1 has no role.*rename 'from'"),
        ({"messages": [{"role": "user", "content": None}]}, "sft", "turn 1 has no content"),
        ({"messages": ["user: q"]}, "sft", "'messages' turn 1 is str"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "sft", "part of type 'image'"),
        (
            {"messages": [*turns(*U), {"role": "assistant", "content": "", "tool_calls": [1]}]},
            "sft",
            "tool_calls",
        ),
        ({"prompt": turns(*U, *A), "completion": turns(*A)}, "sft", "last turn of 'prompt' is assistant"),
        ({"prompt": turns(*U), "completion": turns(*U)}, "sft", "an answer starts with assistant"),
        ({"prompt": turns(*U), "completion": turns(*A, *U)}, "sft", "last turn of 'completion' is user"),
        ({"prompt": turns(*U), "completion": []}, "sft", "'completion' has no turns"),
        ({"messages": turns(*U, *A), "tools": [{"name": "f"}]}, "sft", "column 'tools' is not rendered"),
        (P | {"margin": "big"}, "any", "'margin' is str, wanted a number"),
        (P | {"margin": float("nan")}, "any", "'margin' is nan"),
        (P | {"weight": -1}, "any", "'weight' is -1"),
        (P | {"probability": 1.5}, "any", "'probability' is 1.5, wanted 0 to 1"),
        (P | {"tags": 3}, "any", "'tags' is not"),
        (
            {"prompt": "q", "completion": "a", "label": "yes"},
            "unpaired",
            "'label' is 'yes', wanted true or false",
        ),
        ({"chosen": turns(*A), "rejected": turns(*A)}, "any", "turn 1 is assistant"),
        ({"chosen": turns(*U, *A), "rejected": turns("user", "other", *A)}, "any", "share no turn"),
        (
            {"chosen": turns(*U, *A, "user", "x", *A), "rejected": turns(*U, *A, "user", "y", *A)},
            "any",
            "'chosen' turn 3 is user and differs",
        ),
        ({"chosen": "abc", "rejected": "xyz"}, "any", "share no beginning"),
        ({"prompt": "q", "responses": ["a", "b"], "ranks": [1]}, "any", "1 entries for 2 responses"),
        ({"prompt": "q", "responses": ["a", "b"], "ranks": [1, True]}, "any", "'ranks' entry 2 is bool"),
        ({"prompt": "q", "responses": ["a"], "ranks": [1]}, "any", "wanted two or more"),
        ({"prompt": "q", "responses": "ab", "ranks": [1, 2]}, "any", "'responses' is str, wanted a list"),
    ],
)
def test_bad_rows_are_named(row: dict[str, Any], wanted: Any, reason: str) -> None:
    import re

    with pytest.raises(DataError) as caught:
        load_groups([row], wanted)
    assert caught.value.where == "row:1"
    assert re.search(reason, str(caught.value), re.DOTALL), str(caught.value)


def test_columns_of_all_rows_decide_the_format() -> None:
    rows = [{"prompt": "q", "chosen": "a"}, {"prompt": "q", "chosen": "a", "rejected": "b"}]
    loaded = load_groups(rows, on_bad="skip")
    assert (loaded.kind, len(loaded.groups), loaded.counts["rows of the wrong shape"]) == ("preference", 1, 1)
    assert loaded.bad[0].where == "row:1"
    with pytest.raises(DataError, match="row:1: no column 'rejected'"):
        load_groups(rows)


def test_no_usable_row_is_an_error_even_with_skip() -> None:
    with pytest.raises(DataError, match="no usable row"):
        load_groups([{"prompt": None, "completion": "a"}], on_bad="skip")


def test_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    group = _one({"messages": [{"role": "user", "content": parts}, *turns(*A)]})
    assert group.samples[0].context.text == "ab"


def test_tool_turns_may_stand_between() -> None:
    group = _one({"messages": turns(*U, *A, "tool", "4", "assistant", "b")})
    assert [turn.role for turn in group.samples[0].completion.content] == ["assistant", "tool", "assistant"]  # type: ignore[union-attr]


def test_unknown_kind_of_data() -> None:
    with pytest.raises(DataError, match="unknown kind of data 'dpo'\n  fix: use one of sft"):
        load_groups([{"text": "a"}], "dpo")  # type: ignore[arg-type]


def test_one_side_text_the_other_turns() -> None:
    with pytest.raises(DataError, match="one of 'chosen' and 'rejected' is text"):
        load_groups([{"chosen": turns(*U, *A), "rejected": "b"}])
