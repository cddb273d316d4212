"""Circles of precedence and of meaning are found; cross references may point both ways."""

import pytest

from charter.constitution import Constitution
from charter.constitution.lint import lint
from charter.constitutions import path_of, shipped

CODES = ("precedence-cycle", "definition-cycle")


def law(*principles):
    parts = [f"## {id.upper()} {{#{id} authority=user}}\n\n{text}\n" for id, text in principles]
    return Constitution.from_text("---\nname: x\n---\n" + "\n".join(parts), "x.md")


def found(*principles):
    return [finding for finding in lint(law(*principles)) if finding.code in CODES]


def conflict(id, against, winner):
    said = f"{{id: {id}, kind: conflict, with: {against}, prompt: 'Why {id}?', expect_winner: {winner}}}"
    return f"Do.\n\n```yaml tests\n- {said}\n```\n"


def test_cross_references_both_ways_are_no_fault():
    assert found(("a", "See [b](#b), and unless it rains."), ("b", "See [a](#a) and [itself](#b).")) == []


def test_two_that_override_each_other():
    [one] = found(("a", "This overrides [b](#b)."), ("b", "It takes\nprecedence over the rule [a](#a)."))
    assert (one.code, one.level, one.principle, one.where) == ("precedence-cycle", "error", "a", "x.md:4")
    assert "'a' over 'b'" in one.message and "'b' over 'a'" in one.message and "on line 8" in one.message


def test_unless_and_subject_to_point_the_other_way():
    # a overrides b, and b holds unless a does: both say that a wins.
    assert found(("a", "Overrides [b](#b)."), ("b", "Be brief unless [a](#a) wants more.")) == []
    [one] = found(
        ("a", "Overrides [b](#b)."),
        ("b", "Fine."),
        ("c", "Unless [a](#a)."),
        ("d", "Overrides [c](#c), subject to [c](#c)."),
    )
    assert one.principle == "d" and "'c' over 'd'" in one.message


def test_a_longer_circle_is_told_once_and_in_order():
    [one] = found(
        ("a", "Overrides [b](#b)."),
        ("b", "Wins over [c](#c)."),
        ("c", "Comes before [a](#a)."),
        ("d", "Overrides [a](#a)."),
    )
    steps = [one.message.index(step) for step in ("'a' over 'b'", "'b' over 'c'", "'c' over 'a'")]
    assert steps == sorted(steps) and "'d'" not in one.message


def test_two_circles_are_two_findings():
    ids = [
        one.principle for one in found(*((x, f"Overrides [{y}](#{y}).") for x, y in ("ab", "ba", "cd", "dc")))
    ]
    assert ids == ["a", "c"]


def test_meaning_that_leans_on_itself():
    [one] = found(("a", "Harm as described in [b](#b)."), ("b", "Danger in the sense of [a](#a)."))
    assert (one.code, one.level) == ("definition-cycle", "error")
    [alone] = found(("a", "Good is defined by [this](#a)."))
    assert "'a' leans on 'a'" in alone.message
    # Who wins and what is meant are two questions.
    assert found(("a", "Overrides [b](#b)."), ("b", "Depends on [a](#a).")) == []


def test_conflict_tests_that_go_round_are_a_warning():
    circle = (("a", conflict("t", "b", "a")), ("b", conflict("u", "c", "b")), ("c", conflict("v", "a", "c")))
    [one] = found(*circle)
    assert (one.code, one.level) == ("precedence-cycle", "warning")
    assert "test 't'" in one.message and "test 'v'" in one.message
    assert found(*circle[:2], ("c", "Do.")) == []
    assert found(("a", conflict("t", "b", "b")), ("b", conflict("u", "a", "b"))) == []


def test_words_far_from_the_link_rank_nothing():
    assert found(("a", "Nothing overrides kindness. See [b](#b)."), ("b", "Overrides [a](#a).")) == []


def test_retired_principles_and_plain_headings_are_in_no_circle():
    text = "---\nname: x\n---\n# All {#all}\n\n## A {#a authority=user}\n\n"
    text += "Overrides [all](#all), overrides [b](#b).\n\n## B {#b authority=user status=retired}\n\n"
    text += "Overrides [a](#a).\n"
    assert [one for one in lint(Constitution.from_text(text, "x.md")) if one.code in CODES] == []


@pytest.mark.parametrize("name", shipped())
def test_shipped_constitutions_have_none(name):
    assert [one for one in lint(Constitution.load(path_of(name))) if one.code in CODES] == []
