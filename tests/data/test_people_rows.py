"""Rows of people's labels keep the principle's text and the people behind them, in what is judged."""

from __future__ import annotations

from typing import Any

import pytest

from charter.data.formats import load_groups
from charter.types import Judgement

SHA = "a" * 64
COMMON = {"prompt": "q", "principle": "p", "principle_sha": SHA, "weight": 0.5}
ROWS: dict[str, dict[str, Any]] = {
    "preference": {"chosen": "a", "rejected": "b", "probability": 0.9},
    "ranked": {"responses": ["a", "b", "c"], "ranks": [2, 1, 2]},
    "rated": {"responses": ["a", "b"], "scores": [1, 4]},
    "attributes": {"response": "a", "scores": {"p": 3}},
    "unpaired": {"completion": "a", "label": True},
}


def judgements(kind: str, wanted: Any = "any", **more: Any) -> list[Judgement]:
    loaded = load_groups([{**COMMON, **ROWS[kind], **more}], wanted)
    return [one for group in loaded.groups for one in group.judgements]


@pytest.mark.parametrize("kind", ROWS)
def test_sha_and_rater_reach_the_judgement(kind: str) -> None:
    for said in judgements(kind, rater="ada"):
        assert (said.principle, said.principle_sha, said.judge, said.weight) == ("p", SHA, "ada", 0.5)
    assert {said.judge for said in judgements(kind, raters=["ada"])} == {"ada"}
    assert {said.judge for said in judgements(kind, raters=["ada", "bo"])} == {"ada+bo"}
    assert {said.judge for said in judgements(kind)} == {"dataset"}


def test_a_pair_split_into_two_labelled_answers_keeps_them() -> None:
    said = judgements("preference", "unpaired", raters=["ada"])
    assert [one.value for one in said] == [1.0, 0.0] and {one.probability for one in said} == {None}
    assert {(one.principle, one.principle_sha, one.judge) for one in said} == {("p", SHA, "ada")}


def test_a_score_of_another_principle_has_another_text() -> None:
    said = judgements("attributes", scores={"p": 3, "other": 2}, rater="ada")
    assert {one.principle: one.principle_sha for one in said} == {"p": SHA, "other": ""}


@pytest.mark.parametrize("more", [{"rater": 7}, {"raters": 3}, {"raters": [1, 2]}, {"principle_sha": 4}])
def test_columns_of_the_same_name_in_other_data_say_nothing(more: dict[str, Any]) -> None:
    assert {one.judge for one in judgements("preference", **more)} == {"dataset"}
