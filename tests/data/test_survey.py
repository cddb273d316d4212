from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charter.data.survey import Question, Survey, read_questions, read_survey, split_groups
from charter.errors import DataError, UserError
from charter.evaluation.suite.distance import between
from charter.testing.survey import PEOPLE, questions, synthetic_survey, true_shares, write_survey

ROW = {"question": "Tea?", "options": ["no", "yes"], "group": "nurses", "counts": [1, 3]}


def rows(*changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**ROW, **change} for change in changes]


# -- reading ---------------------------------------------------------------------------------------


def test_counts_and_shares_are_read() -> None:
    other = {"question": "Rain?", "options": ["a", "b", "c"], "ordered": True, "group": "pilots"}
    found = read_survey([ROW, {**other, "shares": [0.2, 0.3, 0.5], "respondents": 40}])
    assert found.questions == (Question("Tea?", ("no", "yes")), Question("Rain?", ("a", "b", "c"), True))
    assert found.groups == ("nurses", "pilots")
    assert found.shares["nurses"]["Tea?"] == (0.25, 0.75)
    assert found.respondents == {"nurses": {"Tea?": 4.0}, "pilots": {"Rain?": 40.0}}
    assert found.asked("pilots") == found.questions[1:]
    assert found.mean_shares(Question("Snow?", ("a", "b"))) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"question": " "}, "'question' is empty"),
        ({"options": ["yes"]}, "wanted 2 to 26"),
        ({"options": ["yes", "yes"]}, "not all different"),
        ({"options": ["yes", 3]}, "not all different"),
        ({"group": ""}, "'group' is empty"),
        ({"counts": [1]}, "1 entries for 2"),
        ({"counts": [0, 0]}, "nobody answered"),
        ({"counts": [3, -1]}, "nobody answered"),
        ({"counts": None, "shares": [0.5, 0.4]}, "sums to 0.9"),
        ({"shares": [0.5, 0.5]}, "give one of them"),
        ({"ordered": "yes"}, "'ordered' is 'yes'"),
        ({}, "twice"),
        ({"group": "pilots", "options": ["yes", "no"]}, "other options"),
    ],
)
def test_rows_that_make_no_sense_are_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said) as found:
        read_survey(rows({}, change))
    assert "2" in str(found.value.where)


def test_a_misspelt_column_is_named() -> None:
    with pytest.raises(DataError, match="did you mean 'optins'"):
        read_survey([{"question": "Tea?", "optins": ["a", "b"], "group": "x", "counts": [1, 2]}])


def test_questions_alone() -> None:
    assert read_questions([ROW, {"question": "Rain?", "options": ["a", "b"]}, ROW]) == (
        Question("Tea?", ("no", "yes")),
        Question("Rain?", ("a", "b")),
    )
    with pytest.raises(DataError, match="other options"):
        read_questions([ROW, {**ROW, "options": ["a", "b"]}])


def test_groups_are_held_out() -> None:
    survey = read_survey(rows({}, {"group": "pilots"}, {"group": "cooks"}))
    train, test = split_groups(survey, ["pilots"])
    assert (train.groups, test.groups) == (("nurses", "cooks"), ("pilots",))
    with pytest.raises(UserError, match="did you mean 'pilots'"):
        split_groups(survey, ["pilot"])
    with pytest.raises(UserError, match="both sides"):
        split_groups(survey, survey.groups)


# -- the synthetic survey ----------------------------------------------------------------------------


def test_the_synthetic_survey_is_what_it_says(tmp_path: Path) -> None:
    survey = synthetic_survey()
    assert len(survey.questions) == 60 and len(survey.groups) == 12
    assert {len(one.options) for one in survey.questions} == {2, 3, 4, 5}
    assert {one.text for one in survey.questions} == {one.text for one in questions()}
    path = write_survey(tmp_path / "survey.jsonl")
    again = read_survey(path)
    assert again.questions == survey.questions
    for group in survey.groups:
        for text, shares in survey.shares[group].items():
            assert again.shares[group][text] == pytest.approx(shares)
    first = json.loads(path.read_text("utf-8").splitlines()[0])
    assert first["respondents"] == PEOPLE[0].size


def test_it_is_the_same_every_time_and_another_by_seed() -> None:
    assert synthetic_survey(1).shares == synthetic_survey(1).shares
    assert synthetic_survey(1).shares != synthetic_survey(2).shares


def test_what_was_answered_is_near_the_truth_and_nearer_in_large_groups() -> None:
    survey, true = synthetic_survey(), true_shares()
    off = {
        people.name: np.mean(
            [between(survey.shares[people.name][t], s).js for t, s in true[people.name].items()]
        )
        for people in PEOPLE
    }
    sizes = {people.name: people.size for people in PEOPLE}
    assert off["artists who live together"] > 2 * off["young people in a large city"]
    assert np.corrcoef([n**-0.5 for n in sizes.values()], list(off.values()))[0, 1] > 0.9


def test_groups_differ_by_more_than_chance() -> None:
    survey = synthetic_survey()
    apart = [
        between(survey.shares[g][q.text], survey.mean_shares(q) or ()).js
        for g in survey.groups
        for q in survey.questions
    ]
    assert 0.15 < float(np.mean(apart)) < 0.4


# -- the page --------------------------------------------------------------------------------------


def test_the_rows_that_the_page_shows_are_read() -> None:
    from types import SimpleNamespace

    from charter.data.beliefs import with_beliefs
    from charter.data.formats import load_groups

    page = (Path(__file__).parents[2] / "docs" / "pluralism.md").read_text("utf-8")
    answer, belief = (json.loads(block.split("```")[0]) for block in page.split("```json\n")[1:])
    assert read_survey([answer]).respondents == {"nurses and carers": {answer["question"]: 40.0}}
    loaded = with_beliefs(load_groups([belief], "preference"), SimpleNamespace(belief_suffix="\n"))
    (group,) = loaded.groups
    assert len(group.samples) == 2 + len(belief["beliefs"])


def test_a_row_that_is_refused_changes_nothing() -> None:
    from charter.data.rows import Row
    from charter.data.survey import SurveyBuilder

    made = SurveyBuilder()
    made.add(Row(ROW, "f:1"))
    for bad in ({"counts": [0, 0], "question": "Rain?"}, {"group": "pilots", "counts": [1]}, {}):
        with pytest.raises(DataError):
            made.add(Row({**ROW, **bad}, "f:2"))
    assert made.survey() == Survey(
        (Question("Tea?", ("no", "yes")),), {"nurses": {"Tea?": (0.25, 0.75)}}, {"nurses": {"Tea?": 4.0}}
    )
