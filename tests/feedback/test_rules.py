from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.constitution.rule_tree import Check, Combination, read_rules
from charter.constitution.rules import RULES, Contains, JsonValid, Language, Length, ListFree, Regex
from charter.constitution.yaml_block import YamlBlock
from charter.feedback.rules.outcome import Outcome
from charter.feedback.rules.rules import FUNCTIONS, contains, evaluate, json_valid, length, list_free, regex
from charter.feedback.rules.text import ends_a_sentence, sentences, words


def test_every_rule_has_a_function():
    assert set(FUNCTIONS) | {"callable"} == set(RULES)


@pytest.mark.parametrize(
    ("text", "options", "passes"),
    [
        ("one two three", {"min_words": 3}, True),
        ("one two", {"min_words": 3}, False),
        ("one two three", {"max_words": 3}, True),
        ("one two three four", {"max_words": 3}, False),
        ("It's well-known.", {"max_words": 2}, True),
        ("  abc  ", {"max_chars": 3}, True),
        ("abcd", {"max_chars": 3}, False),
        ("ab", {"min_chars": 3}, False),
        ("One. Two! Three?", {"min_sentences": 3, "max_sentences": 3}, True),
        ("One. Two.", {"min_sentences": 3}, False),
        ("One two three. Four five six seven.", {"first_sentence_max_words": 3}, True),
        ("One two three four. Five.", {"first_sentence_max_words": 3}, False),
        ("", {"first_sentence_max_words": 3}, True),
        ("", {"min_words": 1}, False),
    ],
)
def test_length(text, options, passes):
    outcome = length(text, "stop", "", Length(**options))
    assert outcome.passed is passes and outcome.reason


@pytest.mark.parametrize(
    ("text", "finish_reason", "passes"),
    [
        ("It is.", "stop", True),
        ("It is.", "given", True),
        ("It is.", "length", False),
        ("It is", "stop", False),
        ("It is,", "stop", False),
        ("Is it?\n", "stop", True),
        ('He said "it is."', "stop", True),
        ("**It is.**", "stop", True),
        ("It is \u2026", "stop", True),
        ("\u8fd9\u662f\u3002", "stop", True),
        ("", "stop", False),
    ],
)
def test_finished(text, finish_reason, passes):
    assert length(text, finish_reason, "", Length(finished=True)).passed is passes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Smith met J. R. Hart. They ate.", ["Dr. Smith met J. R. Hart.", "They ate."]),
        ("Use tools, e.g. a saw. Or 3.5 of them!", ["Use tools, e.g. a saw.", "Or 3.5 of them!"]),
        ("The answer is no. It is cold.", ["The answer is no.", "It is cold."]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("A title\n\nA sentence.", ["A title", "A sentence."]),
        ("1. One\n2. Two", ["1. One\n2. Two"]),
        ("...", []),
        ("", []),
        ("\u8fd9\u662f\u3002\u90a3\u662f\uff01", ["\u8fd9\u662f\u3002", "\u90a3\u662f\uff01"]),
    ],
)
def test_sentences(text, expected):
    assert sentences(text) == expected


@given(st.text())
def test_sentences_hold_every_word_once(text):
    assert [word for piece in sentences(text) for word in words(piece)] == words(text)


@given(st.text(min_size=1))
def test_a_full_stop_ends_a_sentence(text):
    assert ends_a_sentence(text + ".")


@pytest.mark.parametrize(
    ("text", "options", "passes"),
    [
        ("I am an AI.", {"pattern": "an ai"}, True),
        ("I am an AI.", {"pattern": "an ai", "ignore_case": False}, False),
        ("  Sure, fine", {"pattern": "sure|certainly", "where": "start"}, True),
        ("Oh sure", {"pattern": "sure|certainly", "where": "start"}, False),
        ("Oh surely certainly", {"pattern": "sure|certainly", "where": "end"}, True),
        ("certainly sure not", {"pattern": "sure|certainly", "where": "end"}, False),
        ("Fine?\n ", {"pattern": r"\?", "where": "end"}, True),
        ("yes", {"pattern": "y|yes", "where": "full"}, True),
        ("yes no", {"pattern": "y|yes", "where": "full"}, False),
    ],
)
def test_regex(text, options, passes):
    assert regex(text, "stop", "", Regex(**options)).passed is passes


@pytest.mark.parametrize(
    ("text", "options", "passes"),
    [
        ("I like tea.", {"any_of": "tea"}, True),
        ("I like team sports.", {"any_of": "tea"}, False),
        ("I like TEA", {"any_of": ["coffee", "tea"]}, True),
        ("green\n  tea", {"any_of": "green tea"}, True),
        ("tea", {"all_of": ["tea", "milk"]}, False),
        ("milk tea", {"all_of": ["tea", "milk"]}, True),
        ("I\u2019m sorry", {"none_of": "I'm sorry"}, False),
        ("steam", {"none_of": "tea"}, True),
        ("C++ is fine", {"any_of": "C++"}, True),
        ("tea, no milk", {"any_of": "tea", "none_of": "milk"}, False),
    ],
)
def test_contains(text, options, passes):
    assert contains(text, "stop", "", Contains.model_validate(options)).passed is passes


@pytest.mark.parametrize(
    "text",
    [
        "- a",
        "Text:\n* a",
        "1. a",
        "  2) a",
        "(3) a",
        "# Title",
        "a\n### b\nc",
        "|a|b|",
        "a | b\n--- | ---",
        "\u2022 a",
    ],
)
def test_lists_are_found(text):
    assert list_free(text, "stop", "", ListFree()).passed is False


@pytest.mark.parametrize(
    "text",
    [
        "Plain text.",
        "In 1990. It was",
        "-5 degrees",
        "a - b",
        "#hashtag",
        "1.5 litres",
        "x | y",
        "3.\n",
        "**bold** text",
    ],
)
def test_plain_text_is_list_free(text):
    assert list_free(text, "stop", "", ListFree()).passed is True


@pytest.mark.parametrize(
    ("text", "required", "passes"),
    [
        ('{"a": 1}', (), True),
        (" [1, 2]\n", (), True),
        ('{"a": 1}', ("a",), True),
        ('{"a": 1}', ("a", "b"), False),
        ("[1]", ("a",), False),
        ("{'a': 1}", (), False),
        ('Here: {"a": 1}', (), False),
        ("NaN", (), False),
        ("", (), False),
        ("[" * 100_000, (), False),
    ],
)
def test_json_valid(text, required, passes):
    assert json_valid(text, "stop", "", JsonValid(required=required)).passed is passes


# -- combinations -------------------------------------------------------------

VERDICTS = [True, False, None]


def leaf(verdict):
    """A rule whose verdict on "x" is known."""
    if verdict is None:
        return Check("language", Language(code="en"), 1)
    return Check("regex", Regex(pattern="x" if verdict else "y"), 1)


@pytest.mark.parametrize("one", VERDICTS)
@pytest.mark.parametrize("two", VERDICTS)
def test_combinations_are_three_valued(one, two):
    def judged(combine, *parts):
        return evaluate(Combination(combine, tuple(map(leaf, parts))), "x", "stop", "", Path()).passed

    pair = (one, two)
    assert judged("all", *pair) is (False if False in pair else None if None in pair else True)
    assert judged("any", *pair) is (True if True in pair else None if None in pair else False)
    assert judged("not", one) is (None if one is None else not one)


def judge(rules_text, text):
    block = YamlBlock(rules_text, "x", 1)
    return evaluate(read_rules(block, block.value).rule, text, "stop", "", Path())


def test_nested_combinations():
    text = "all:\n  - length: {min_words: 2}\n  - any:\n      - not: list_free\n      - regex: tea\n"
    assert judge(text, "green tea").passed is True
    assert judge(text, "- green milk").passed is True
    assert judge(text, "green milk").passed is False
    assert judge(text, "tea").passed is False


def test_all_and_any_side_by_side_must_both_hold():
    text = "all: [{length: {min_words: 2}}]\nany: [{regex: tea}, {regex: milk}]"
    assert [judge(text, said).passed for said in ("hot tea", "hot milk", "hot soup", "tea")] == [
        True,
        True,
        False,
        False,
    ]


def test_reasons_name_what_failed():
    outcome = judge("all: [{length: {min_words: 9}}, list_free, {regex: tea}]", "- hot milk")
    assert outcome == Outcome(
        False, "2 words, fewer than 9; list, heading or table at '- h'; does not match /tea/"
    )
