"""GOOD and BAD answers as annotated pairs, version 2 (ICAI, 2406.06560), for its viewers.

The constitution is the default annotator. Each principle is an annotator too, and speaks on
the pairs of its own examples. Which side is GOOD is decided by a hash, so that neither side wins.
"""

from __future__ import annotations

from typing import Any

from charter.constitution.constitution import Constitution
from charter.constitution.exchange.example_pairs import ExamplePair, example_pairs
from charter.constitution.principle import Principle
from charter.constitution.prompt import sentence
from charter.errors import ConstitutionError
from charter.rundir import sha256_json

FORMAT_NAME = "annotated-pairs"
DEFAULT = "constitution"
_METADATA = ["principle", "principle_sha", "example", "reason_good", "reason_bad"]


def to_annotated_pairs(constitution: Constitution) -> dict[str, Any]:
    """Every GOOD x BAD pair, annotated by the principle whose example it stands in.

    Raises:
        ConstitutionError: there is no pair.
    """
    pairs = example_pairs(constitution).pairs
    if not pairs:
        raise ConstitutionError(
            "no example has both a GOOD and a BAD answer",
            where=constitution.path,
            fix="add an example with both",
        )
    comparisons = [_comparison(pair) for pair in pairs]
    principles = sorted(constitution.active, key=constitution.rank)
    spoken = {pair.principle.id for pair in pairs}
    for principle in principles:
        # Readers build a column per annotator, and fail on one that is nowhere mentioned.
        if principle.id not in spoken:
            nothing = {"pref": None, "no_pref_reason": "not_judged"}
            comparisons[0]["annotations"][principle.id] = nothing
    return {
        "metadata": {
            "version": "2.0",
            "description": f"GOOD and BAD answers of the constitution {constitution.name}",
            "dataset_name": f"{constitution.name} {constitution.version}",
            "constitution_sha": constitution.sha,
            "levels": list(constitution.levels),
            "default_annotator": DEFAULT,
            "available_metadata_keys_per_comparison": _METADATA,
        },
        "annotators": _annotators(constitution, principles),
        "comparisons": comparisons,
    }


def _annotators(constitution: Constitution, principles: list[Principle]) -> dict[str, Any]:
    found: dict[str, Any] = {
        DEFAULT: {
            "name": DEFAULT,
            "description": "The labels of the constitution's own examples",
            "type": "human",
        }
    }
    for principle in principles:
        said = sentence(principle, constitution.titles)
        found[principle.id] = {
            "name": principle.id,
            "description": f"Select the response that keeps to this principle: {said}",
            "type": "principle",
            "title": principle.title,
            "statement": principle.text,
            "level": principle.level,
        }
    return found


def _comparison(pair: ExamplePair) -> dict[str, Any]:
    messages = [{"role": message.role, "content": message.content} for message in pair.prompt]
    key = sha256_json([messages, pair.good.text, pair.bad.text, pair.principle.id, pair.number])
    good = "a" if int(key[0], 16) < 8 else "b"
    bad = "b" if good == "a" else "a"
    row: dict[str, Any] = {
        "id": key[:16],
        "prompt": prompt_text(messages),
        f"response_{good}": {"text": pair.good.text, "model": "example"},
        f"response_{bad}": {"text": pair.bad.text, "model": "example"},
        "annotations": {DEFAULT: {"pref": good}, pair.principle.id: {"pref": good}},
        "metadata": {
            "principle": pair.principle.id,
            "principle_sha": pair.principle.sha,
            "example": pair.title,
            "reason_good": pair.good.reason,
            "reason_bad": pair.bad.reason,
        },
    }
    plain = len(messages) == 1 and messages[0]["role"] == "user"
    return row if plain else {**row, "messages": messages}


def prompt_text(messages: list[dict[str, str]]) -> str:
    """A question as it is; a longer conversation with the role before each turn."""
    if len(messages) == 1 and messages[0]["role"] == "user":
        return messages[0]["content"]
    return "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in messages)
