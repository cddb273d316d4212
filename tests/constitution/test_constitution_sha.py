"""What a fingerprint covers, and what it does not."""

from pathlib import Path

import pytest

from charter.constitution import Constitution

ACME = (Path(__file__).parent / "data" / "acme.constitution.md").read_text(encoding="utf-8")
ID = "honesty.no_sycophancy"


def read(text: str) -> Constitution:
    return Constitution.from_text(text, "acme.constitution.md")


def replaced(old: str, new: str) -> Constitution:
    assert old in ACME
    return read(ACME.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Don't be sycophantic", "Do not be sycophantic"),
        ("must not change", "should not change"),
        ("hedges to please", "hedges"),
        ("It is 4.", "It is four."),
        ("BAD: caves", "BAD: gives in"),
        ("authority=user", "authority=developer"),
    ],
)
def test_what_a_judge_goes_by_changes_both(old, new):
    before, after = read(ACME), replaced(old, new)
    assert after.principle(ID).sha != before.principle(ID).sha
    assert after.principle("honesty.uncertainty").sha == before.principle("honesty.uncertainty").sha
    assert after.sha != before.sha


def test_rules_change_it():
    before, after = read(ACME), replaced("min_words: 3", "min_words: 4")
    assert after.principle("honesty.uncertainty").sha != before.principle("honesty.uncertainty").sha


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("capital of Australia", "capital of Canada"),
        ("Agreement bought", "Consent bought"),
        ("Not an instruction.", "A remark."),
        ("votes_for: 31", "votes_for: 32"),
        ("version: 0.3.0", "version: 0.3.1"),
        ("min_lower_bound: 0.98", "min_lower_bound: 0.9"),
        ("tags=core,truth", "tags=core"),
        ("- length: {min_words: 3}", "- length: {min_words: 3, finished: false}"),
    ],
)
def test_tests_reasons_and_gates_change_neither(old, new):
    before, after = read(ACME), replaced(old, new)
    assert [p.sha for p in after.principles] == [p.sha for p in before.principles]
    assert after.sha == before.sha


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("weight=2", "weight=3"),
        ("hard=false", "hard=true"),
        ("pass_at: 4", "pass_at: 5"),
        ("levels: [root, system,", "levels: [system, root,"),
        ("user: explicit", "user: implicit"),
    ],
)
def test_composition_changes_the_constitution_only(old, new):
    before, after = read(ACME), replaced(old, new)
    assert [p.sha for p in after.principles] == [p.sha for p in before.principles]
    assert after.sha != before.sha


def test_order_of_the_file_does_not_matter():
    one, two = "## A {#a authority=user}\nDo.\n", "## B {#b authority=user}\nDon't.\n"
    assert read(one + two).sha == read(two + one).sha


def test_code_of_a_callable_counts(tmp_path):
    path = tmp_path / "x.md"
    path.write_text("## A {#a authority=user}\nDo.\n```yaml rules\nall: [{callable: 'c.py:f'}]\n```\n")
    (tmp_path / "c.py").write_text("def f(c, p): return True\n")
    before = Constitution.load(path).principle("a").sha
    (tmp_path / "c.py").write_text("def f(c, p): return False\n")
    assert Constitution.load(path).principle("a").sha != before


def test_golden():
    """A change here makes every recorded judgement look outdated: only on purpose."""
    text = "## A {#a authority=user}\nDo.\n```yaml rules\nall: [{length: {min_words: 3}}]\n```\n"
    constitution = read(text)
    assert (
        constitution.principle("a").sha == "b5f07fd6dda1afdafbbaad80378c7987490857caeffe873ac4f184c944ba73a9"
    )
    assert constitution.sha == "f40c3dcdf0a62b8ca6f0e9fac60ba6b6de72ea6630d85f50860a2b193f54399c"
