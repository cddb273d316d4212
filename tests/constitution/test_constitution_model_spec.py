"""OpenAI's Model Spec (CC0), read as it is."""

from collections import Counter
from pathlib import Path

import pytest

from charter.constitution import Constitution
from charter.constitution.lint import lint

PATH = Path(__file__).parent / "data" / "model_spec.md"


@pytest.fixture(scope="module")
def spec() -> Constitution:
    return Constitution.load(PATH)


def test_headings_and_levels(spec):
    assert len(spec.headings) == 80
    levels = Counter(principle.level for principle in spec.principles)
    assert levels == {"root": 22, "guideline": 18, "user": 15, "system": 3, "developer": 1, "": 1}
    assert sum(bool(principle.level) for principle in spec.principles) == 59


def test_answers_and_pairs(spec):
    assert sum(len(principle.answers("good")) for principle in spec.principles) == 193
    assert sum(len(principle.answers("bad")) for principle in spec.principles) == 196
    assert sum(len(principle.answers("ok")) for principle in spec.principles) == 8
    assert sum(len(principle.pairs()) for principle in spec.principles) == 199
    assert sum(len(principle.examples) for principle in spec.principles) == 183


def test_links(spec):
    assert len(spec.links) == 110


def test_a_hash_inside_an_example_is_not_a_heading(spec):
    titles = {heading.title for heading in spec.headings}
    assert "functions" not in titles
    assert "[...] imports" not in titles


def test_a_block_with_two_comparisons(spec):
    [example] = [
        example
        for principle in spec.principles
        for example in principle.examples
        if example.line <= 1848 <= example.line + 3
    ]
    (first, one), (second, two) = example.conversations()
    assert [message.role for message in first] == ["system", "user"]
    assert [message.role for message in second] == ["system", "user", "assistant", "user"]
    assert second[2].content == one.labelled("good")[0].text
    assert len(one.answers) == len(two.answers) == 2


def test_commentary_is_not_part_of_a_principle(spec):
    text = "".join(principle.text for principle in spec.principles)
    assert "!!!" not in text
    assert '"Rail free" models' not in text


def test_prompt_has_no_links_or_footnotes(spec):
    prompt = spec.system_prompt(["letter_and_spirit", "avoid_sycophancy"])
    assert "](#" not in prompt and "[^" not in prompt
    assert "Assume best intentions" in prompt  # [?](#assume_best_intentions) became its title


def test_lint_runs_and_finds_what_the_spec_lacks(spec):
    found = Counter(finding.code for finding in lint(spec))
    assert found["no-test"] == found["not-measurable"] == 60
    assert found["no-front-matter"] == 1
    assert not any(finding.level == "error" for finding in lint(spec))
