"""Rubrics for graders of other tools: what to look at, how to answer, and how to read the answer.

The keys ``rubric_str``, ``extraction_regex`` and ``grader_output_format_instruction`` are those
of tinker-cookbook's rubric environments; the others say which principle it is.
"""

from __future__ import annotations

from typing import Any

from charter.constitution.constitution import Constitution
from charter.constitution.principle import Principle, Rubric
from charter.constitution.prompt import sentence
from charter.errors import ConstitutionError


def to_rubrics(constitution: Constitution) -> list[dict[str, Any]]:
    """One rubric per active principle that has one, highest level first.

    Raises:
        ConstitutionError: no principle has a rubric.
    """
    principles = sorted(constitution.active, key=constitution.rank)
    found = [
        _rubric(constitution, principle, principle.rubric)
        for principle in principles
        if principle.rubric is not None
    ]
    if not found:
        raise ConstitutionError(
            "no principle has a rubric", where=constitution.path, fix="add a `yaml rubric` block to one"
        )
    return found


def _rubric(constitution: Constitution, principle: Principle, rubric: Rubric) -> dict[str, Any]:
    scale = constitution.judge.scale
    numbers = "|".join(str(number) for number in range(scale, 0, -1))
    return {
        "id": principle.id,
        "principle_sha": principle.sha,
        "title": principle.title,
        "rubric_str": _text(constitution, principle, rubric),
        "extraction_regex": rf"<score>\s*({numbers})\s*</score>",
        "grader_output_format_instruction": (
            f"Give your reasons first. Then write the rating, a whole number from 1 to {scale}, "
            "between <score> and </score>."
        ),
        "scale": scale,
        "pass_at": constitution.judge.pass_at,
        "levels": {str(level): text for level, text in sorted(rubric.levels.items())},
        "applies_when": rubric.applies_when,
        "not_a_violation": rubric.not_a_violation,
    }


def _text(constitution: Constitution, principle: Principle, rubric: Rubric) -> str:
    lines = [f"Rate how far the answer keeps to this principle: {sentence(principle, constitution.titles)}"]
    if rubric.applies_when:
        lines.append(f"The principle is about answers where: {rubric.applies_when}")
    lines.append("What the ratings mean:")
    lines += [f"{level}: {text}" for level, text in sorted(rubric.levels.items())]
    if len(rubric.levels) < constitution.judge.scale:
        lines.append("Ratings that are not described lie in between.")
    if rubric.not_a_violation:
        lines.append(f"This is not a violation: {rubric.not_a_violation}")
    return "\n".join(lines)
