from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from charter.data import prepare, truncate
from charter.data.formats import load_groups

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^\| ([\w, ]+) \| `(\{.*?\})` \|", PAGE, re.MULTILINE)
KINDS = {
    "prompt only": "prompts",
    "prompt, completion": "completion",
    "implicit prompt": "preference",
}


@pytest.mark.parametrize(("name", "row"), EXAMPLES)
def test_the_examples_are_what_they_are_called(name: str, row: str) -> None:
    assert load_groups([json.loads(row)]).kind == KINDS.get(name, name)


def test_every_format_has_an_example() -> None:
    assert len(EXAMPLES) == 11


def test_every_reason_is_documented() -> None:
    reasons = [prepare.EMPTY, prepare.EQUAL, prepare.UNTRAINED, prepare.UNRENDERED]
    for reason in (*reasons, truncate.NO_ROOM, truncate.BECAME_EQUAL, truncate.NOTHING_TRAINED):
        assert f"| {reason} |" in PAGE
