"""What a writer is asked where an answer fails a rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from charter.constitution import Constitution
from charter.feedback.rules.advice import advice
from charter.feedback.rules.rules import evaluate
from charter.types import FinishReason

SENTENCE = "The cat sat on the mat and looked at the moon for a while."
HEAVY = "Institutional infrastructure facilitates multidimensional environmental considerations " * 2


def asked(rules: str, text: str, ended: FinishReason = "stop") -> list[str]:
    """The advice, after a look whether the rules fail at all where there is any."""
    constitution = Constitution.from_text(
        f"---\nconstitution: 1\nname: x\nversion: 0.1.0\nlevels: [user]\n---\n"
        f"# All {{#all}}\n\n## One {{#one authority=user}}\n\nSo.\n\n```yaml rules\n{rules}\n```\n",
        "x.constitution.md",
    )
    found = constitution.principle("one").rules
    assert found is not None
    said = advice(found.rule, text, ended, "why?", Path())
    assert not said or evaluate(found.rule, text, ended, "why?", Path()).passed is False
    return said


@pytest.mark.parametrize(
    ("rules", "text", "wanted"),
    [
        ("all: [length: {max_words: 60}]", SENTENCE * 9, ["in two or three short sentences"]),
        ("all: [length: {max_words: 10}]", SENTENCE, ["in one short sentence"]),
        ("all: [length: {max_words: 200}]", SENTENCE * 40, ["in at most 10 short sentences"]),
        ("all: [length: {max_chars: 250}]", SENTENCE * 9, ["in one or two short sentences"]),
        ("all: [length: {min_words: 15}]", "Yes.", ["in one or two full sentences"]),
        ("all: [length: {min_sentences: 6}]", "Yes.", ["in at least 7 full sentences"]),
        ("all: [length: {first_sentence_max_words: 5}]", SENTENCE, ["with a short first sentence"]),
        ("all: [length: {finished: true}]", "The cat", ["in a few short sentences that come to an end"]),
        (
            "all: [length: {max_words: 3, first_sentence_max_words: 5, finished: true}]",
            "The cat sat on the mat and",
            ["in one short sentence", "with a short first sentence"],
        ),
        ("all: [list_free]", "- a\n- b", ["as plain text without a list"]),
        (
            "all: [readability: {metric: coleman_liau_index, max: 10}]",
            HEAVY,
            ["with short, simple words"],
        ),
        (
            "all: [readability: {metric: words_per_sentence, max: 5}]",
            SENTENCE,
            ["in short sentences"],
        ),
        (
            "all: [readability: {metric: words_per_sentence, min: 50}]",
            SENTENCE,
            ["in longer, richer sentences"],
        ),
        ("all: [profanity]", "What the fuck.", ["without swear words"]),
        ("all: [language: de]", SENTENCE, ['in the language "de"']),
        ("all: [json_valid: {required: [k]}]", "no", ['as JSON with the keys "k" and nothing else']),
        ("all: [contains: {none_of: [cat, dog, mat]}]", SENTENCE, ['without "cat" or "mat"']),
        ("all: [contains: {all_of: [owl], any_of: [a, owl]}]", SENTENCE, ['with the words "owl"']),
        ("all: [contains: {any_of: [owl, eel]}]", SENTENCE, ['with the words "owl" or "eel"']),
        (
            "all: [not: {regex: {pattern: 'sure\\W*', where: start}}]",
            "Sure! Cats sit.",
            ['without "Sure!" at the beginning'],
        ),
        (
            "all: [not: {regex: {pattern: '\\?\\W*', where: end}}]",
            "Cats sit. Why? ",
            ["without a question at the end"],
        ),
        # What no words can be made of.
        ("all: [regex: 'as an AI']", SENTENCE, []),
        ("all: [not: {regex: '\\s'}]", SENTENCE, []),
        # Passed: nothing to ask.
        ("all: [list_free, length: {max_words: 60}]", SENTENCE, []),
    ],
)  # fmt: skip
def test_each_rule_says_what_to_do(rules: str, text: str, wanted: list[str]) -> None:
    assert asked(rules, text) == wanted


def test_an_answer_that_was_cut_off_is_asked_to_end() -> None:
    assert asked("all: [length: {finished: true}]", SENTENCE, "length") == [
        "in a few short sentences that come to an end"
    ]


def test_all_that_fail_are_asked_for_and_of_several_ways_out_one() -> None:
    both = "all: [list_free, contains: {none_of: [cat]}, length: {max_words: 99}]"
    assert asked(both, "- a cat") == ["as plain text without a list", 'without "cat"']
    assert asked("any: [regex: 'owl', contains: {all_of: [eel]}, json_valid]", SENTENCE) == [
        'with the words "eel"'
    ]
    twice = "all: [list_free, any: [list_free, json_valid]]"
    assert asked(twice, "- a cat") == ["as plain text without a list"]


def test_not_turns_all_and_any_round() -> None:
    """Both must go, or one of them."""
    neither = "all: [not: {any: [{regex: cat}, {regex: mat}]}]"
    assert asked(neither, SENTENCE) == ['without "cat"', 'without "mat"']
    not_both = "all: [not: {all: [{regex: cat}, {regex: mat}]}]"
    assert asked(not_both, SENTENCE) == ['without "cat"']
    assert asked("all: [not: {not: {contains: {any_of: [owl]}}}]", SENTENCE) == ['with the words "owl"']
    assert asked("all: [not: {contains: {any_of: [cat, owl]}}]", SENTENCE) == ['without "cat"']
    assert asked("all: [not: {contains: {none_of: [owl]}}]", SENTENCE) == []
