"""What the page says of raters: groups, counts, rankings, influence."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from charter.reporting.node import Node
from charter.reporting.section import Setting, Source
from charter.reporting.sections.label_counts import counted_sentence
from charter.reporting.sections.people import SECTION, read
from charter.reporting.sections.rater_groups import split_sentence

DEMO = Path(__file__).resolve().parents[2] / "docs" / "demo" / "people.json"


@pytest.fixture
def value() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DEMO.read_text("utf-8"))
    return copy.deepcopy(found)


def people(value: dict[str, Any]) -> Any:
    return read(Source(Node({}, "report.json"), {"people": Node(value, "people.json")}))


def test_what_is_not_counted_is_said(value: dict[str, Any]) -> None:
    value["totals"] |= {"labels": 10, "counted": 6, "repeats": 1, "decisions": 0}
    value["totals"]["left_out"] = {"skipped": 3}
    said = counted_sentence(people(value).counts)
    assert said == "Of 10 labels 6 are counted; apart are 1 repeats of a question and 3 skipped."
    value["totals"] |= {"labels": 6, "counted": 6, "repeats": 0, "left_out": {}}
    assert counted_sentence(people(value).counts) == ""


def test_groups_differ_only_where_the_permutations_say_so(value: dict[str, Any]) -> None:
    split = value["groups"]["split"]["pair"]
    split |= {"within": 0.7, "between": 0.6, "p": 0.001}
    split["difference"] = {"value": 0.1, "lo": 0.05, "hi": 0.15, "n": 40, "enough": True}
    (found,) = people(value).groups.splits
    assert "70%, two of different groups in 60%" in split_sentence(found)
    assert split_sentence(found).endswith("the groups answer differently, and an average would hide it.")
    split["p"] = 0.2
    (found,) = people(value).groups.splits
    assert split_sentence(found).endswith("no more than groups drawn by lot may show.")


def test_small_groups_are_counted_and_not_shown(value: dict[str, Any]) -> None:
    for rows in value["groups"]["gaps"].values():
        for row in rows:
            row |= {"value": None, "rest": None, "difference": None, "lo": None, "hi": None}
    value["groups"]["split"] = {}
    found = people(value).groups
    assert found.hidden == 2 and found.gaps == () and found.splits == ()


def test_a_loud_rater_is_counted_and_nobody_is_looked_at_alone(value: dict[str, Any]) -> None:
    assert people(value).loud == sum(len(one["loud"]) for one in value["loud"]) > 0
    for one in value["loud"]:
        one["loud"] = []
    assert people(value).loud == 0
    value["loud"] = value["loud"][:1]
    assert people(value).loud is None


def test_the_strongest_model_is_first_and_the_rarest_cell_too(value: dict[str, Any]) -> None:
    found = people(value)
    strengths = [one.value for _, one in found.ranking]
    assert strengths == sorted(strengths, reverse=True) and len(strengths) == 2
    labels = [cell.labels for cell in found.counts.cells]
    assert labels == sorted(labels) and len({cell.stratum for cell in found.counts.cells}) == 3


def test_an_older_file_without_these_parts_is_read(value: dict[str, Any]) -> None:
    for key in ("groups", "loud", "ranking", "coverage"):
        del value[key]
    for row in value["raters"]:
        del row["dawid_skene"], row["followed"]
    found = people(value)
    assert found.groups is None and found.loud is None and found.ranking == ()
    assert all(row.right is None for row in found.rows)
    shown = SECTION.shown(found, Setting({}, "95%", "", True))
    assert shown["suggested"] is False


def test_a_wrong_type_says_where(value: dict[str, Any]) -> None:
    value["groups"]["least_raters"] = "five"
    with pytest.raises(Exception, match=r"groups\.least_raters must be"):
        people(value)
