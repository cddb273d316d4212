"""``charter constitution lint --judge``: findings with both texts, and what is refused."""

import json
import math

import pytest
from typer.testing import CliRunner

from charter.cli.constitution import app
from charter.errors import ConfigError, UserError

LAW = """---
name: house
---
## Short {#short authority=user}
Answers have at most twenty words.

## Long {#long authority=user}
Answers have at least two hundred words.

## Kind {#kind authority=user}
Nobody is mocked.
"""

PLANTED = ("at most thirty", "at least three hundred", "never tells anybody its name", "assistant tells it")


class Weigher:
    """Yes where the material holds two of the words that contradict each other."""

    name, family = "weigher@1", "none"

    def __init__(self, right=True):
        self.right = right

    def option_logps(self, questions, options):
        return [self.logps(one.turns[-1].content) for one in questions]

    def logps(self, text):
        both = (PLANTED[:2], PLANTED[2:], ("at most twenty", "at least two hundred"))
        yes = any(all(words in text for words in pair) for pair in both) == self.right
        return (math.log(0.8), math.log(0.2)) if yes else (math.log(0.2), math.log(0.8))


@pytest.fixture
def law(tmp_path):
    path = tmp_path / "house.constitution.md"
    path.write_text(LAW)
    return path


def run(monkeypatch, law, *more, judge=None):
    opened = []

    def open_model(spec, **options):
        opened.append((spec, options))
        return judge or Weigher()

    monkeypatch.setattr("charter.feedback.judging.open_judge.open_model", open_model)
    return CliRunner().invoke(app, ["lint", str(law), *map(str, more)]), opened


def test_both_texts_are_printed(monkeypatch, law):
    found, opened = run(monkeypatch, law, "--judge", "any")
    assert found.exit_code == 0, found.output
    assert opened == [("any", {"journal": None})]
    assert "long: contradicts 'short' on line 4, says weigher@1 in both orders" in found.output
    assert "  | Short\n  |   Answers have at most twenty words." in found.output
    assert "  | Long\n  |   Answers have at least two hundred words." in found.output
    assert "weigher@1 was asked about 1 of 3 pairs, in both orders (1 yes)" in found.output
    assert "not asked about: 2 nothing in common" in found.output


def test_json_has_the_findings_and_what_was_asked(monkeypatch, law):
    found, _ = run(monkeypatch, law, "--judge", "any", "--json")
    said = json.loads(found.stdout)
    [one] = [finding for finding in said["findings"] if finding["code"] == "contradiction"]
    assert one["texts"][0].startswith("Short\n") and said["warnings"] == len(said["findings"])
    assert said["contradictions"]["judge"] == "weigher@1"
    assert said["contradictions"]["pairs"]["asked"] == 1
    assert all("texts" not in finding for finding in said["findings"] if finding is not one)
    assert "contradictions" not in json.loads(run(monkeypatch, law, "--json")[0].stdout)


def test_a_judge_that_cannot_tell_is_refused(monkeypatch, law):
    found, _ = run(monkeypatch, law, "--judge", "any", judge=Weigher(right=False))
    assert isinstance(found.exception, UserError) and "4 of 4 wrong" in str(found.exception)
    assert "contradicts" not in found.output


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--max-pairs", 3), "has no effect without a judge"),
        (("--journal", "j.jsonl"), "has no effect without a judge"),
        (("--judge", "rules"), "rules read answers"),
        (("--judge", "any", "--journal", "j.jsonl"), "only an endpoint's replies"),
    ],
)
def test_options_without_effect_are_refused(monkeypatch, law, more, words):
    found, opened = run(monkeypatch, law, *more)
    assert isinstance(found.exception, ConfigError) and words in str(found.exception)
    assert opened == []


def test_an_endpoint_keeps_its_replies(monkeypatch, law, tmp_path):
    journal = tmp_path / "j.jsonl"
    _, opened = run(monkeypatch, law, "--judge", "endpoint:m@http://localhost:1/v1", "--journal", journal)
    assert opened == [("endpoint:m@http://localhost:1/v1", {"journal": journal})]


def test_a_judge_of_answers_compares_no_principles(monkeypatch, law):
    class Grader:
        name, family = "grader", "distilled"

    found, _ = run(monkeypatch, law, "--judge", "folder", judge=Grader())
    assert isinstance(found.exception, ConfigError) and "compares none" in str(found.exception)
