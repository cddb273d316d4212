from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from data_shapes import GENERATION, GENERATION_WRONG, byte_tokenizer, chatml, turns

from charter.data.formats import load_groups
from charter.data.prepare import (
    EMPTY,
    EQUAL,
    EQUAL_PAIRS,
    TYPED_SPECIAL,
    UNRENDERED,
    UNTRAINED,
    Prepared,
    prepare,
)
from charter.data.render import Template
from charter.data.truncate import BECAME_EQUAL, NO_ROOM
from charter.errors import DataError
from charter.testing.tiny import CHATML
from charter.types import Completion, PairTarget, Sample


def _prepare(
    rows: list[dict[str, Any]], max_length: int | None = None, wanted: Any = "any", **options: Any
) -> Prepared:
    return prepare(load_groups(rows, wanted), Template(chatml()), max_length, **options)


def _pair(chosen: str, rejected: str, prompt: str = "q") -> dict[str, Any]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


GOOD = [_pair("a", "b"), _pair("c", "d"), _pair("e", "f"), _pair("g", "h")]


def test_every_loss_is_counted_and_placed() -> None:
    bad = [_pair("", "b"), _pair(" \n", "b"), _pair("same", "same"), _pair("x", "y", "long " * 9)]
    prepared = _prepare([*GOOD, *bad, _pair("1234567890-a", "1234567890-b")], 10, max_drop_fraction=0.6)
    assert prepared.report.dropped == {EMPTY: 2, EQUAL: 1, NO_ROOM: 1, BECAME_EQUAL: 1}
    assert prepared.report.first == {EMPTY: "row:5", EQUAL: "row:7", NO_ROOM: "row:8", BECAME_EQUAL: "row:9"}
    assert (prepared.report.groups, prepared.report.kept, len(prepared.groups)) == (9, 4, 4)


def test_report_counts_tokens_and_speaks() -> None:
    report = _prepare([_pair("a", "bcdef"), _pair("", "b"), *GOOD], 5).report
    # Prompt 1 byte; completions 1 byte + end, except one cut from 5 + 1 to 4.
    assert (report.context_tokens, report.completion_tokens, report.trained_tokens) == (10, 22, 22)
    assert report.changed == {"completions cut": 1}
    assert report.lines() == [
        "5 of 6 groups kept",
        "1 dropped: empty completion (first: row:2)",
        "1 completions cut",
        "10 context tokens, 22 completion tokens, 22 of them trained",
    ]


def test_too_many_losses_are_an_error() -> None:
    rows = [*GOOD, *[_pair("s", "s")] * 5]
    with pytest.raises(
        DataError, match=r"5 of 9 groups would be dropped \(56%, allowed 50%\): 5 chosen equals"
    ):
        _prepare(rows)
    assert len(_prepare(rows, max_drop_fraction=0.6).groups) == 4


def test_nothing_left_is_an_error_whatever_is_allowed() -> None:
    with pytest.raises(DataError, match=r"no group is left.*row:1.*\n  fix: raise max_length"):
        _prepare([_pair("a", "b", "a long prompt")], 4, max_drop_fraction=1.0)


def test_an_answer_of_blank_turns_is_empty() -> None:
    rows = [{"messages": turns("user", "q", "assistant", a)} for a in ("a", " ")]
    assert _prepare(rows).report.dropped == {EMPTY: 1}


def test_pairs_equal_only_in_their_ids_are_dropped() -> None:
    tokenizer = chatml(CHATML.replace("message['content']", "message['content'] | trim"))
    rows = [
        {"prompt": turns("user", "q"), "chosen": turns("assistant", a), "rejected": turns("assistant", b)}
        for a, b in (("a", "b"), ("a", " a "))
    ]
    assert prepare(load_groups(rows), Template(tokenizer)).report.dropped == {EQUAL: 1}


def test_larger_groups_lose_only_the_equal_pairs() -> None:
    rows = [{"prompt": "q", "responses": ["a", "a", "b"], "ranks": [1, 2, 3]}]
    prepared = _prepare(rows)
    assert [j.target for j in prepared.groups[0].judgements] == [PairTarget(0, 2), PairTarget(1, 2)]
    assert prepared.report.changed == {EQUAL_PAIRS: 1}


def test_prompts_wait_for_their_completions() -> None:
    rows = [{"prompt": turns("user", text)} for text in ("q", "r", "long " * 20)]
    prepared = _prepare(rows, 80, "prompts")
    assert [bool(g.samples[0].context.token_ids) for g in prepared.groups] == [True, True]
    assert prepared.report.dropped == {NO_ROOM: 1}
    assert prepared.report.trained_tokens == 0


def test_rows_that_cannot_be_rendered_stop_or_are_counted() -> None:
    tokenizer = byte_tokenizer(CHATML, ("<|im_start|>",), merges=(("Ċ", "Ċ"),))
    loaded = load_groups([{"messages": turns("user", "q", "assistant", a)} for a in ("a", "\nb")])
    with pytest.raises(DataError, match="row:2"):
        prepare(loaded, Template(tokenizer))
    report = prepare(loaded, Template(tokenizer), on_bad="skip").report
    assert (report.dropped, report.first) == ({UNRENDERED: 1}, {UNRENDERED: "row:2"})


def test_special_tokens_in_text_columns_are_reported() -> None:
    rows = [{"text": "<|im_start|>user"}, {"text": "plain"}]
    assert _prepare(rows).report.changed == {TYPED_SPECIAL: 1}
    template = Template(chatml(), pre_rendered=True)
    assert prepare(load_groups(rows), template).report.changed == {}


def test_progress_is_told_of_every_group() -> None:
    steps: list[int] = []
    _prepare([*GOOD, _pair("", "b")], advance=steps.append)
    assert sum(steps) == 5


@pytest.mark.parametrize(
    "options", [{"max_drop_fraction": 2.0}, {"truncation_mode": "x"}, {"max_length": -1}]
)
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        prepare(load_groups(GOOD), Template(chatml()), **options)


def test_completions_without_a_trained_token_are_dropped() -> None:
    (fine, other) = load_groups([{"prompt": "q", "completion": c} for c in ("a", "b")]).groups
    tool = Completion("b", token_ids=(1, 2), trained=(False, False))
    other = replace(other, samples=(Sample(other.samples[0].context, tool),))
    loaded = replace(load_groups([{"text": "x"}]), groups=(fine, other))
    assert prepare(loaded, Template(chatml())).report.dropped == {UNTRAINED: 1}


def test_a_template_that_marks_other_turns_is_noted() -> None:
    loaded = load_groups([{"messages": turns("user", "q", "assistant", "a")}])
    assert prepare(loaded, Template(chatml(GENERATION))).report.notes == ()
    report = prepare(loaded, Template(chatml(GENERATION_WRONG))).report
    assert report.notes == (
        "the template's own {% generation %} marks differ from the assistant turns trained here",
    )
    assert report.notes[0] in report.lines()
