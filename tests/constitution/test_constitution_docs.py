"""The guide's example is a constitution that lints clean, and its tables are complete."""

import re
from pathlib import Path

from charter.constitution import Constitution
from charter.constitution.cases import KINDS
from charter.constitution.front_matter import FrontMatter
from charter.constitution.lint import lint
from charter.constitution.rules import READABILITY_METRICS, RULES
from charter.feedback.rules.lint import lint_rules

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "constitution.md").read_text(encoding="utf-8")


def rows(after: str) -> dict[str, str]:
    """First column -> whole row, of the table under the heading ``after``."""
    section = GUIDE.split(f"## {after}\n")[1].split("\n## ")[0]
    return {name: row for row in section.split("\n") if row.startswith("| `") for name in [row.split("`")[1]]}


def test_the_example_lints_clean():
    [example] = re.findall(r"`{5}markdown\n(.*?)\n`{5}", GUIDE, re.DOTALL)
    constitution = Constitution.from_text(example, "guide.md")
    assert [finding.message for finding in lint(constitution) + lint_rules(constitution)] == []
    assert len(constitution.active) == 2


def test_front_matter_table():
    assert set(rows("The parts")) == set(FrontMatter.model_fields)


def test_rules_table():
    table = rows("Rules")
    assert set(RULES) <= set(table)
    for name, config in RULES.items():
        for option in config.model_fields:
            assert f"`{option}`" in table[name], f"{name}.{option} is not in the guide"
    assert all(metric in table["readability"] for metric in READABILITY_METRICS)


def test_test_kinds_are_named():
    assert all(f"`{kind}`" in GUIDE for kind in KINDS)


def test_every_finding_is_explained():
    names = (
        "constitution/lint.py",
        "constitution/lint_cycles.py",
        "constitution/lint_training.py",
        "feedback/rules/lint.py",
    )
    sources = [ROOT / "src/charter" / name for name in names]
    code = "".join(path.read_text(encoding="utf-8") for path in sources)
    used = set(
        re.findall(
            r'"((?:no|not|vague|bad|good|rule|example|test|retired|conflict|duplicate|precedence|definition)'
            r'-[a-z-]+)"',
            code,
        )
    )
    assert len(used) >= 19 and "| `contradiction` |" in GUIDE
    assert used == set(re.findall(r"`([a-z]+-[a-z-]+)`", GUIDE.split("## What lint says")[1]))
