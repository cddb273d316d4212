"""Versioned, hashed wordings; which principle is drawn; journals."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from planted_models import constitution

from charter.errors import ConfigError, UserError
from charter.feedback.revising.draw import drawn, usable
from charter.feedback.revising.journal import Journal
from charter.feedback.revising.prompts import Wording, statement, titles_of, wordings

NAMES = {
    "critique", "revision", "rule_revision", "minimal_revision", "compare", "compare_thinking",
    "verdict", "rate", "categories", "scenarios", "requests", "twin", "fair",
}  # fmt: skip


def test_all_wordings_are_there_with_their_places() -> None:
    words = wordings()
    assert set(words.by_name) == NAMES
    assert words["compare"].places == words["compare_thinking"].places == {
        "mark", "conversation", "first", "second", "principle",
    }  # fmt: skip
    assert words["verdict"].places == frozenset()
    assert len({one.sha for one in words.by_name.values()}) == len(NAMES)


def test_a_hash_changes_with_text_and_version_alone() -> None:
    one = Wording("critique", 1, "Look at {principle}.")
    assert one.sha == Wording("critique", 1, "Look at {principle}.").sha
    assert len({one.sha, Wording("critique", 2, one.text).sha, Wording("critique", 1, "Look.").sha}) == 3


def test_filled_in_braces_are_left_alone() -> None:
    one = Wording("x", 1, "{answer} and {principle}")
    assert one.fill(answer="{principle}", principle="{answer}") == "{principle} and {answer}"
    with pytest.raises(KeyError):
        one.fill(answer="a")


def test_statements_resolve_links_and_say_what_is_allowed() -> None:
    rules = constitution()
    titles = titles_of(rules)
    assert (
        statement(rules.principle("calm"), titles) == "No shouting. An answer is not in capitals. See Short."
    )
    assert statement(rules.principle("brief"), titles).endswith(
        "It is no violation if: the person asked for detail"
    )


def test_own_wordings_replace_shipped_ones(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("critique: {version: 7, text: 'Find faults under {principle}'}\n")
    own = wordings(file)
    assert own["critique"].version == 7 and own["revision"] == wordings()["revision"]
    assert own.examples == wordings().examples
    for text, words in (
        ("critque: {version: 1, text: x}", "did you mean 'critique'"),
        ("critique: {version: 1, text: no place}", "must have the places {principle}"),
        ("critique: {version: 1, text: '{principle} {x}'}", "and has {principle}, {x}"),
        ("critique: {version: 0, text: '{principle}'}", "version"),
        ("critique: {text: '{principle}'}", "version"),
    ):
        file.write_text(text + "\n")
        with pytest.raises(ConfigError, match=words):
            wordings(file)


def test_principles_are_drawn_evenly_and_none_twice_before_all() -> None:
    principles = usable(constitution())
    assert [one.id for one in principles] == ["calm", "brief", "signed"]
    counts = Counter(drawn(principles, 1, seed=3, key=str(n))[0].id for n in range(900))
    assert all(250 < count < 350 for count in counts.values())
    for key in "abcdef":
        names = [one.id for one in drawn(principles, 7, seed=0, key=key)]
        assert len(set(names[:3])) == 3 and names[:3] == names[3:6] and names[6] == names[0]
    assert drawn([], 3, seed=0, key="x") == []


def test_a_new_principle_moves_no_other() -> None:
    principles = usable(constitution())
    for key in map(str, range(50)):
        before = [one.id for one in drawn(principles[:2], 2, seed=0, key=key)]
        after = [one.id for one in drawn(principles, 3, seed=0, key=key) if one.id != "signed"]
        assert before == after


def test_a_journal_refuses_other_files(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(json.dumps({"prompt": "x"}) + "\n")
    with pytest.raises(UserError, match=r"x\.jsonl:1: not a line of a journal"):
        Journal(file)


def test_examples_show_the_form() -> None:
    turns = wordings().example_turns()
    assert [turn.role for turn in turns[:6]] == ["user", "assistant"] * 3
    assert turns[2].content == wordings()["critique"].fill(principle=wordings().examples[0].principle)
    assert len(wordings().examples_sha) == 64
