"""Constitutions: written principles, read from one Markdown file, each with a fingerprint."""

from charter.constitution.constitution import Constitution
from charter.constitution.examples import Answer, Comparison, Example, Turn
from charter.constitution.principle import Principle, Rubric
from charter.constitution.rule_tree import Check, Combination, Rule, Rules

__all__ = [
    "Answer",
    "Check",
    "Combination",
    "Comparison",
    "Constitution",
    "Example",
    "Principle",
    "Rubric",
    "Rule",
    "Rules",
    "Turn",
]
