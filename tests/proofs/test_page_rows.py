"""The rows on the page of an algorithm are rows it trains on, and its command line fits them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from running import Workshop

from charter.catalogue import ENTRIES
from charter.errors import CharterError

PAGES = Path(__file__).parents[2] / "docs" / "algorithms"
SAMPLED_BY_CHARTER = "dpo-behaviour"
"""Its data hold log-probs, which nobody writes by hand."""

WITH_ROWS = [name for name in ENTRIES if name != SAMPLED_BY_CHARTER]

CONTEXT_OF_ROWS = {"teacher_context": None}
"""The teacher's context comes from the rows."""

BY_OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("slic-hf", {"nll_target": "target"}),
    ("reward-margin", {"margin_set": "large"}),
    ("cpo-triplets", {"systems": "systems"}),
]
"""Algorithms that read a column of their page only where an option says so."""

Rows = Sequence[Mapping[str, Any]]


def rows_on(name: str) -> list[dict[str, Any]]:
    """The example rows in the section about data."""
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    section = page.partition("\n## Data\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```json\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
    return [json.loads(line) for block in blocks for line in block.splitlines()]


def train_on(workshop: Workshop, tmp_path: Path, name: str, rows: Rows, **changes: Any) -> int:
    """How many groups of such rows are trained on; every score that the first step needs is computed."""
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return len(workshop.loop(name, {**CONTEXT_OF_ROWS, **changes}, path).groups)


def test_what_charter_samples_itself_has_no_example() -> None:
    assert rows_on(SAMPLED_BY_CHARTER) == [] and not ENTRIES[SAMPLED_BY_CHARTER].reads().rows


@pytest.mark.parametrize("name", WITH_ROWS)
def test_the_rows_of_a_page_are_those_of_its_entry(name: str) -> None:
    assert rows_on(name) == [dict(row) for row in ENTRIES[name].reads().rows] != []


@pytest.mark.parametrize("name", WITH_ROWS)
def test_a_page_names_every_column_of_its_rows(name: str) -> None:
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8").partition("\n## Data\n")[2]
    columns = {column for row in rows_on(name) for column in row}
    assert all(f"`{column}`" in text for column in columns)


@pytest.mark.parametrize("name", WITH_ROWS)
def test_an_algorithm_trains_on_the_rows_of_its_page(name: str, workshop: Workshop, tmp_path: Path) -> None:
    groups = train_on(workshop, tmp_path, name, rows_on(name))
    assert groups or ENTRIES[name].data == "prompts"


@pytest.mark.parametrize(("name", "changes"), BY_OPTIONS)
def test_columns_that_an_option_asks_for_are_in_them(
    name: str, changes: dict[str, Any], workshop: Workshop, tmp_path: Path
) -> None:
    train_on(workshop, tmp_path, name, rows_on(name), **changes)


@pytest.mark.parametrize(
    ("name", "column", "changes"),
    [
        ("cloud", "chosen_critique", {}),
        ("cloud", "rejected_critique", {}),
        ("modpo", "chosen_scores", {}),
        ("modpo", "rejected_scores", {}),
        ("gdpo", "beliefs", {}),
        ("gdpo", "p_star", {}),
        ("gdpo", "belief", {}),
        ("gr-dpo", "group", {}),
        ("gr-ipo", "group", {}),
        ("reward-by-group", "group", {}),
        ("reward-margin", "margin", {}),
        ("context-distillation", "privileged_context", {}),
        ("on-policy-distillation", "privileged_context", {}),
        *(
            (name, column, changes)
            for (name, changes), column in zip(BY_OPTIONS, ("target", "strength", "systems"), strict=True)
        ),
    ],
)
def test_without_a_column_that_must_be_there_the_rows_are_refused(
    name: str, column: str, changes: dict[str, Any], workshop: Workshop, tmp_path: Path
) -> None:
    rows = [{key: value for key, value in row.items() if key != column} for row in rows_on(name)]
    with pytest.raises(CharterError):
        train_on(workshop, tmp_path, name, rows, **changes)


@pytest.mark.parametrize("column", ["critique", "rationale"])
def test_reasons_are_in_every_row_or_in_none(column: str, workshop: Workshop, tmp_path: Path) -> None:
    name = {"critique": "genrm", "rationale": "genrm-pairwise"}[column]
    rows = rows_on(name)
    assert all(column in row for row in rows)
    bare = {key: value for key, value in rows[0].items() if key != column}
    train_on(workshop, tmp_path, name, [{**row, column: ""} for row in rows])
    with pytest.raises(CharterError, match=column):
        train_on(workshop, tmp_path, name, [*rows, bare])
