"""A constitution written out reads back as the same constitution."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from charter.constitution import Answer, Comparison, Constitution, Example, Principle, Turn
from charter.constitution.canonical import canonical_text
from charter.constitution.document import Heading
from charter.constitution.front_matter import FrontMatter
from charter.constitution.yaml_flow import flow
from charter.errors import ConstitutionError

DATA = Path(__file__).parent / "data"


def built(*principles: Principle) -> Constitution:
    headings = tuple(Heading(2, principle.title, principle.id, {}, 0) for principle in principles)
    return Constitution(FrontMatter(name="x", levels=("user",)), True, principles, headings, (), "x.md")


def plain(**options) -> Principle:
    return Principle(**{"id": "a", "title": "A", "level": "user", "text": "Do.", "line": 0, **options})


@pytest.mark.parametrize("name", ["acme.constitution.md", "model_spec.md"])
def test_round_trip(name):
    meant = Constitution.load(DATA / name)
    found = Constitution.from_text(canonical_text(meant), meant.path)
    assert [p.to_dict() for p in found.principles] == [p.to_dict() for p in meant.principles]
    assert (found.front, found.sha) == (meant.front, meant.sha)
    assert canonical_text(found) == canonical_text(meant)


def test_every_rule_and_kind_of_test_survives(tmp_path):
    (tmp_path / "own.py").write_text("def check(completion, prompt):\n    return True\n")
    text = (
        "---\nname: x\nlevels: [top level, user]\ngates: {top level: {min_lower_bound: 1.0e-7},"
        " regression: {max_drop: 0.02}}\n---\n"
        '## A {#a authority="top level" weight=0.1 hard=true tags="b c,d" status=retired}\n'
        "Do.\n\n!!! why\n    Since:\n\n        code\n\n"
        "```yaml rules\napplies_when: {prompt_regex: 'a: \"b\"', prompt_tag: [t]}\n"
        "any:\n  - callable: own.py:check\n  - language: {code: en, min_probability: 1.0e-05}\n"
        "not: {all: [list_free, {regex: {pattern: '\\s', where: start}}]}\n```\n"
        "```yaml tests\n"
        "- {id: r, kind: rule, prompt: 'P #1: \"x\"', rules: {all: [{contains: {any_of: 'yes'}}]}}\n"
        "- {id: s, kind: steer, prompt: P, stances: {'on': 'yes', '1': 'no'}}\n"
        "- {id: d, kind: distribution, prompt: P, options: [a, b], target: {a: 0.25, b: 0.75}}\n"
        "- {id: m, kind: must_refuse, prompt: 'two\n    lines', tags: [t]}\n```\n"
    )
    meant = Constitution.from_text(text, tmp_path / "x.md")
    found = Constitution.from_text(canonical_text(meant), tmp_path / "x.md")
    assert found.to_dict() == meant.to_dict()
    assert len(found.principle("a").tests) == 4 and found.levels == ("top level", "user")


def test_meta_notes_are_no_part_of_a_principle():
    text = canonical_text(built(plain(), plain(id="b", title="B")), {"a": "See [?](#b)"})
    found = Constitution.from_text(text, "x.md")
    assert [link.target for link in found.links] == ["b"]
    assert found.principle("a").sha == plain().sha


@pytest.mark.parametrize(
    ("principle", "named"),
    [
        (plain(text="## No heading"), "headings"),
        (plain(text="```\nnever closed"), "never closed"),
        (plain(text="Do.   \nNot."), "text"),
        (plain(title="A\nB"), "no principle found"),
        (plain(tags=("a,b",)), "tags"),
        (
            plain(examples=(Example("e", (Turn("user", "a</user>b", 0),), 0),)),
            "text outside a message",
        ),
        (
            plain(examples=(Example("e", (Comparison((Answer("good", "x", 0, "r --> s"),), 0),), 0),)),
            "examples",
        ),
    ],
)
def test_what_cannot_be_written_is_refused(principle, named):
    with pytest.raises(ConstitutionError, match=named):
        canonical_text(built(principle))


def test_tilde_fences_inside_an_answer():
    answer = Answer("good", "~~~\ncode\n~~~~~~\nend", 0)
    meant = plain(examples=(Example("e", (Turn("user", "Q", 0), Comparison((answer,), 0)), 0),))
    found = Constitution.from_text(canonical_text(built(meant)), "x.md")
    assert found.principle("a").answers("good")[0].text == answer.text


def test_flow_yaml_reads_back():
    rng = random.Random(0)
    letters = "aB1 \"'\\:{}[],#&*!|>%@`\n\t\r\x07\x7f\x85\u2028\ufeff\u00e9\U0001f375-?=~"
    texts = ["".join(rng.choices(letters, k=rng.randrange(9))) for _ in range(400)]
    texts += ["yes", "null", "on", "1e-05", "~", "0x1f", "2020-01-01", "=", "<<", ""]
    values = {
        text or "empty": [text, rng.random() * 10.0 ** rng.randrange(-30, 30), None, True, 3]
        for text in texts
    }
    line = flow(values)
    assert "\n" not in line and yaml.safe_load(line) == values


def test_nothing_is_lost_when_the_front_matter_differs():
    meant = built(plain())
    changed = replace(meant, front=FrontMatter(name="x", levels=("user",), licence="MIT", version="1.2.3"))
    assert Constitution.from_text(canonical_text(changed), "x.md").front == changed.front
