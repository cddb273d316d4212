"""Adapters of public preference sets, on small files in their schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charter.data.formats import load_groups
from charter.data.public.opinions import read_opinions, survey_rows
from charter.data.public.registry import PUBLIC, fitting, recognise
from charter.data.rows import Row
from charter.errors import DataError
from charter.label import Label
from charter.types import Message, PairTarget

HH = {
    "chosen": "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Why?\n\nAssistant: Because it is so.",
    "rejected": "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Why?\n\nAssistant: No.",
}
SHP = {
    "post_id": "qt3nxl",
    "domain": "askculinary_train",
    "upvote_ratio": 0.98,
    "history": "How do I take raspberries apart?",
    "human_ref_A": "With a sieve.",
    "human_ref_B": "Freeze them first.",
    "labels": 0,
    "score_A": 10,
    "score_B": 30,
    "score_ratio": 3.0,
    "seconds_difference": 200.0,
}
TREE = {
    "message_tree_id": "t1",
    "tree_state": "ready_for_export",
    "prompt": {
        "message_id": "t1",
        "text": "Why is there no division by 0?",
        "role": "prompter",
        "replies": [
            {
                "message_id": "m1",
                "text": "Because no number fits.",
                "role": "assistant",
                "rank": 1,
                "review_result": True,
                "deleted": False,
                "labels": {"quality": {"value": 0.5, "count": 3}, "toxicity": {"value": 0.0, "count": 3}},
                "replies": [
                    {
                        "message_id": "p2",
                        "text": "Which one?",
                        "role": "prompter",
                        "replies": [
                            {"message_id": "m4", "text": "None.", "role": "assistant", "replies": []},
                            {"message_id": "m5", "text": "Any.", "role": "assistant", "replies": []},
                        ],
                    }
                ],
            },
            {
                "message_id": "m2",
                "text": "Take x * 0 = 1: nothing solves it.",
                "role": "assistant",
                "rank": 0,
                "labels": {"name": ["quality"], "value": [0.9], "count": [2]},
                "replies": [],
            },
            {"message_id": "m3", "text": "spam", "role": "assistant", "rank": 2, "review_result": False},
        ],
    },
}
ULTRA = {
    "source": "evol_instruct",
    "instruction": "Name a river.",
    "models": ["a", "b"],
    "completions": [
        {
            "model": "a",
            "response": "The Rhine.",
            "annotations": {
                "helpfulness": {"Rating": "5", "Rationale": "It is one.", "Type": ["1"]},
                "honesty": {"Rating": "3", "Rationale": "."},
            },
            "overall_score": 1.0,
        },
        {
            "model": "b",
            "response": "A lake.",
            "annotations": {"helpfulness": {"Rating": "1", "Rationale": "No."}, "honesty": {"Rating": "N/A"}},
            "overall_score": 10.0,
        },
    ],
}
TLDR = {
    "info": {"id": "t3_1", "post": "My car was hit.", "title": "Car", "subreddit": "legaladvice"},
    "summaries": [
        {"text": " car hit", "policy": "ppo", "note": "n"},
        {"text": " who pays?", "policy": "ref", "note": None},
    ],
    "choice": 1,
    "worker": "ikN",
    "batch": "batch9",
    "split": "train",
    "extra": {"confidence": 8},
}
AXES = {
    "info": {"id": "x", "site": "dailymail", "title": "Sent off", "article": "He was sent off."},
    "split": "test",
    "summary": {
        "text": "He left.",
        "policy": "ref",
        "axes": {"overall": 3, "accuracy": 5, "coverage": None},
    },
    "worker": "qo6",
    "batch": "cnndm1",
}
SAFE = {
    "prompt": "How do I open a lock?",
    "response_0": "Break it.",
    "response_1": "Call somebody.",
    "is_response_0_safe": False,
    "is_response_1_safe": True,
    "better_response_id": 0,
    "safer_response_id": 1,
}
BEAVER = {
    "prompt": "Insult me.",
    "response": "You fool.",
    "category": {"hate_speech": True, "theft": False},
    "is_safe": False,
}
STEER = {
    "prompt": "p",
    "response": "r",
    "helpfulness": 4,
    "correctness": 3,
    "coherence": 4,
    "complexity": 1,
    "verbosity": 0,
}
STEER2 = {"prompt": "p", "response_1": "r1", "response_2": "r2", "preference_strength": -2}
STEER3 = {
    "domain": "general",
    "context": [{"role": "user", "content": "p"}],
    "response1": "r1",
    "response2": "r2",
    "overall_preference": 1,
    "individual_preference": [
        {"score": 2, "reasoning": "longer", "feedback1": "", "feedback2": ""},
        {"score": 0, "reasoning": "same"},
        {"score": -1, "reasoning": "no"},
    ],
}
ROWS: dict[str, dict[str, Any]] = {
    "hh": HH,
    "shp": SHP,
    "oasst": TREE,
    "ultrafeedback": ULTRA,
    "tldr": TLDR,
    "tldr-axes": AXES,
    "safe-rlhf": SAFE,
    "beavertails": BEAVER,
    "helpsteer": STEER,
    "helpsteer2-preference": STEER2,
    "helpsteer3": STEER3,
}


def labels_of(name: str, row: dict[str, Any] | None = None) -> list[Label]:
    return list(PUBLIC[name].read(Row(row or ROWS[name], "f.jsonl:7")).labels)


def chosen(row: dict[str, Any], wanted: Any = "preference") -> tuple[str, str]:
    (group,) = load_groups([row], wanted).groups
    (pair,) = [j for j in group.judgements if isinstance(j.target, PairTarget)]
    assert isinstance(pair.target, PairTarget)
    return tuple(group.samples[i].completion.text for i in (pair.target.better, pair.target.worse))  # type: ignore[return-value]


@pytest.mark.parametrize("name", ROWS)
def test_every_schema_is_told_from_every_other(name: str) -> None:
    assert set(ROWS) == set(PUBLIC)
    assert [one.name for one in fitting(ROWS[name])] == [name]


@pytest.mark.parametrize("name", ROWS)
def test_label_ids_are_unique_and_name_the_line(name: str) -> None:
    ids = [label.id for label in labels_of(name)]
    assert len(ids) == len(set(ids)) and all(id.startswith(f"{name}:7") or name == "tldr-axes" for id in ids)


def test_hh_is_a_conversation_with_its_shared_beginning() -> None:
    (label,) = labels_of("hh")
    assert label.prompt == (Message("user", "Hi"), Message("assistant", "Hello."), Message("user", "Why?"))
    assert label.answers == ("Because it is so.", "No.") and label.value == 1
    assert chosen(HH) == ("Because it is so.", "No.")
    loaded = load_groups([HH], "preference")
    assert loaded.counts["read as hh: helpful and harmless dialogues (2204.05862)"] == 1
    assert loaded.groups[0].samples[0].context.content == label.prompt


def test_hh_rows_that_are_broken_are_counted_and_not_lost() -> None:
    empty = {**HH, "rejected": "\n\nHuman: Hi\n\nAssistant:"}
    loaded = load_groups([HH, empty], "preference")
    assert len(loaded.groups) == 1
    assert loaded.counts["hh: rows that cannot be read, left out"] == 1
    with pytest.raises(DataError, match="turn 2 is empty"):
        load_groups([empty], "preference")


def test_plain_transcripts_of_another_kind_are_left_as_they_are() -> None:
    row = {"chosen": "Sky is blue", "rejected": "Sky is green"}
    assert recognise([Row(row, "f:1")]) is None
    assert load_groups([row], "preference").groups[0].samples[0].context.content == "Sky is"


def test_a_file_of_two_schemas_is_not_guessed() -> None:
    assert recognise([Row(HH, "f:1"), Row(SAFE, "f:2")]) is None


def test_shp_votes_are_a_probability() -> None:
    (label,) = labels_of("shp")
    assert label.value == -1 and label.meta["probability"] == 0.75 and label.meta["upvote_ratio"] == 0.98
    assert chosen(SHP) == ("Freeze them first.", "With a sieve.")
    (group,) = load_groups([SHP], "preference").groups
    assert group.judgements[0].probability == 0.75
    (none,) = labels_of("shp", {**SHP, "score_A": 0})
    assert "probability" not in none.meta  # missing is missing
    as_text = {name: str(value) for name, value in SHP.items()}
    assert labels_of("shp", as_text)[0].value == -1


def test_oasst_siblings_are_ranked_and_rated_by_several() -> None:
    read = PUBLIC["oasst"].read(Row(TREE, "f.jsonl:1"))
    (ranking,) = [label for label in read.labels if label.kind == "ranking"]
    assert ranking.value == [2, 1] and ranking.answers[1].startswith("Take x")
    ratings = {
        (label.answers[0][:4], label.principle): label for label in read.labels if label.kind == "rating"
    }
    assert ratings["Take", "quality"].value == 0.9 and ratings["Take", "quality"].meta["mean_of_raters"] == 2
    assert ratings["Beca", "quality"].meta["mean_of_raters"] == 3
    assert sorted(read.left_out) == [
        "answers that nobody ranked beside each other",
        "answers that were deleted or did not pass review",
    ]
    (group,) = load_groups([TREE], "preference").groups
    assert [s.completion.text[:4] for s in group.samples] == ["Beca", "Take"]
    assert [(j.target.better, j.target.worse) for j in group.judgements] == [(1, 0)]  # type: ignore[union-attr]


def test_ultrafeedback_is_rated_by_a_model_on_aspects() -> None:
    labels = labels_of("ultrafeedback")
    assert {label.source for label in labels} == {"ai"}
    said = {(label.answers[0], label.principle): (label.outcome, label.value) for label in labels}
    assert said["The Rhine.", "helpfulness"] == ("judged", 5.0)
    assert said["A lake.", "honesty"] == ("not_applicable", None)
    assert labels[0].rationale == "It is one." and labels[0].models == ("a",)
    assert chosen(ULTRA) == ("The Rhine.", "A lake.")  # by the mean of ratings, not by overall_score
    (group,) = load_groups([ULTRA], "attributes").groups
    assert {(j.principle, j.value) for j in group.judgements} == {
        ("helpfulness", 5.0),
        ("honesty", 3.0),
        ("helpfulness", 1.0),
    }


def test_tldr_knows_worker_policy_and_confidence() -> None:
    (label,) = labels_of("tldr")
    assert (label.rater, label.value, label.models) == ("ikN", -1, ("ppo", "ref"))
    assert label.meta["confidence"] == 8
    assert label.prompt == "SUBREDDIT: r/legaladvice\n\nTITLE: Car\n\nPOST: My car was hit.\n\nTL;DR:"
    assert chosen(TLDR) == (" who pays?", " car hit")
    axes = labels_of("tldr-axes")
    assert {label.principle: label.value for label in axes} == {"overall": 3, "accuracy": 5}
    (group,) = load_groups([AXES], "attributes").groups
    assert {(j.principle, j.value) for j in group.judgements} == {("overall", 3.0), ("accuracy", 5.0)}


def test_safe_rlhf_keeps_both_dimensions() -> None:
    said = {label.principle: label.value for label in labels_of("safe-rlhf")}
    assert said == {"better": 1, "safer": -1}
    (group,) = load_groups([SAFE], "preference").groups
    pair = next(j for j in group.judgements if isinstance(j.target, PairTarget))
    assert pair.principle == "better" and group.samples[0].completion.text == "Break it."
    scores = {j.target.sample: j.value for j in group.judgements if j.principle == "safer"}  # type: ignore[union-attr]
    assert scores == {0: 0.0, 1: 1.0}


def test_beavertails_is_labelled() -> None:
    (label,) = labels_of("beavertails")
    assert (label.value, label.principle, label.meta["harm"]) == (0, "safe", ["hate_speech"])
    (group,) = load_groups([BEAVER], "unpaired").groups
    assert group.judgements[0].value == 0.0


def test_helpsteer_has_attributes_and_pairs_with_the_sign_turned() -> None:
    assert {label.principle: label.value for label in labels_of("helpsteer")}["correctness"] == 3
    (group,) = load_groups([STEER], "attributes").groups
    assert len(group.judgements) == 5
    assert labels_of("helpsteer2-preference")[0].value == 2 and chosen(STEER2) == ("r1", "r2")
    three = labels_of("helpsteer3")
    assert [(label.value, label.outcome) for label in three] == [(-2, "judged"), (None, "tie"), (1, "judged")]
    assert len({label.rater for label in three}) == 3 and chosen(STEER3) == ("r2", "r1")
    with pytest.raises(DataError, match="'helpfulness' is 5"):
        labels_of("helpsteer", {**STEER, "helpfulness": 5})


def test_prompts_of_a_public_file_stay_prompts() -> None:
    assert load_groups([STEER], "prompts").kind == "prompts"


def test_public_file_on_disk_trains(tmp_path: Path) -> None:
    path = tmp_path / "hh.jsonl"
    path.write_text("".join(json.dumps(HH) + "\n" for _ in range(3)), "utf-8")
    loaded = load_groups(str(path), "unpaired")
    assert len(loaded.groups) == 6 and loaded.counts["rows read"] == 3


def test_opinions_become_rows_of_a_survey() -> None:
    from charter.data.survey import read_survey

    printed = "defaultdict(<class 'list'>, {'Chile': [0.2, 0.8], 'Peru': [0.5, 0.1], 'Cuba': [0.4, 0.6]})"
    row = {"question": " Do you agree? ", "options": "['Yes', 'No']", "selections": printed, "source": "WVS"}
    found, left_out = read_opinions(Row(row, "f.csv:2"))
    assert left_out == ["a group whose shares sum to 0.6, not 1"]
    survey = read_survey(found)
    assert survey.shares == {"Chile": {"Do you agree?": (0.2, 0.8)}, "Cuba": {"Do you agree?": (0.4, 0.6)}}
    one = {"question": "q", "options": ["a", "b", "c"], "group": "old", "distribution": [1, 0, 0.01]}
    ((values,), _) = read_opinions(Row({**one, "ordered": "True", "respondents": "40"}, "f:1"))
    survey = read_survey([values])
    assert sum(values["shares"]) == pytest.approx(1) and survey.questions[0].ordered
    assert survey.respondents == {"old": {"q": 40.0}}
    ((values,), _) = read_opinions(Row({**one, "distribution": {"c": 0.5, "a": 0.5, "b": 0}}, "f:1"))
    assert values["shares"] == [0.5, 0.0, 0.5]
    with pytest.raises(DataError, match="two or more different"):
        read_opinions(Row({**one, "options": ["a", "a"]}, "f:1"))


def test_what_a_survey_says_twice_or_against_itself_is_left_out_and_counted() -> None:
    from charter.data.survey import read_survey

    asked = {"question": "Agree?", "options": ["yes", "no"]}
    rows = [
        Row({**asked, "selections": {"Chile": [0.2, 0.8], "Peru": [1, 0]}}, "f:1"),
        Row({**asked, "selections": {"Chile": [0.5, 0.5], "Cuba": [0.4, 0.6]}}, "f:2"),
        Row({**asked, "options": ["no", "yes"], "selections": {"Mali": [0.5, 0.5]}}, "f:3"),
        Row({**asked, "options": "yes", "selections": {"Mali": [0.5, 0.5]}}, "f:4"),
    ]
    kept, left_out = survey_rows(rows)
    survey = read_survey(kept)
    assert survey.groups == ("Chile", "Peru", "Cuba") and survey.shares["Chile"]["Agree?"] == (0.2, 0.8)
    assert [where for where, _ in left_out] == ["f:2", "f:3", "f:4"]
    assert left_out[0][1] == "a group answers this question twice" and "other options" in left_out[1][1]


def places(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [before] * bool(before) + [at for key, one in inside for at in places(one, (*before, key))]


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("junk", [None, 7, "", [], {}, [1], [{}]], ids=repr)
def test_junk_in_any_place_is_a_data_error_or_read(name: str, junk: Any) -> None:
    for place in places(ROWS[name]):
        row = json.loads(json.dumps(ROWS[name]))
        inside = row
        for key in place[:-1]:
            inside = inside[key]
        inside[place[-1]] = junk
        try:
            for label in PUBLIC[name].read_row(Row(row, "f:1")).labels:
                json.dumps(label.to_json(), allow_nan=False)
        except DataError as error:
            assert error.where and error.where.startswith("f:1"), place
