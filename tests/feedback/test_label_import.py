"""Labels from elsewhere: every form that an export has, and everything that cannot become a label."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charter.errors import ConfigError, DataError
from charter.feedback.label_io.formats import import_labels
from charter.feedback.label_io.imported import Imported
from charter.feedback.label_io.revealed import revealed
from charter.feedback.label_io.words import said_by
from charter.label import Label, label_of, latest


def given(tmp_path: Path, rows: Any, name: str = "export.json", **more: Any) -> Imported:
    path = tmp_path / name
    path.write_text(rows if isinstance(rows, str) else json.dumps(rows, indent=1), "utf-8")
    if isinstance(told := more.pop("told", None), str):
        more["question_map"] = tmp_path / "map.yaml"
        more["question_map"].write_text(told, "utf-8")
    return import_labels(path, **more)


def by_id(found: Imported) -> dict[str, Label]:
    for label in found.labels:  # what is written can be read
        assert label_of(json.loads(json.dumps(label.to_json()))) == label_of(label.to_json())
    return {label.id: label for label in found.labels}


def result(name: str, kind: str, to: str = "a1,a2", **value: Any) -> dict[str, Any]:
    return {"from_name": name, "to_name": to, "type": kind, "value": value, "id": "x"}


DATA = {"prompt": "Why?", "a1": "So.", "a2": "Because.", "answer_a": "So.", "answer_b": "Because."}


def task(*annotations: Any, data: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": 7, "data": data or DATA, "annotations": list(annotations), **more}


def annotation(id: int, *results: Any, by: Any = 1, **more: Any) -> dict[str, Any]:
    return {"id": id, "completed_by": by, "result": list(results), "was_cancelled": False, **more}


# -- Label Studio -------------------------------------------------------------


def test_label_studio_pairs_of_several_annotators(tmp_path: Path) -> None:
    rows = [
        task(
            annotation(1, result("pw", "pairwise", selected="left"), lead_time=4.2, created_at="2026-01-01"),
            annotation(
                2,
                result("pw", "pairwise", selected="right"),
                result("why", "textarea", text=["It is", "short."]),
                by={"id": 5, "email": "ada@example.org"},
            ),
            annotation(3, by=9, was_cancelled=True) | {"was_cancelled": True},
            annotation(4, result("pw", "pairwise", selected="none"), by=4),
            annotation(5, by=6),
        )
    ]
    found = given(tmp_path, rows)
    assert found.format == "label-studio"
    one, two = found.labels
    assert (one.value, one.rater, one.seconds, one.at) == (1, "annotator-1", 4.2, "2026-01-01")
    assert (one.shown, one.answers, one.prompt, one.principle) == ((0, 1), ("So.", "Because."), "Why?", "")
    assert (two.value, two.rater, two.rationale) == (-1, "annotator-5", "It is\nshort.")
    assert one.item == two.item
    assert {why: len(places) for why, places in found.reasons.items()} == {
        "cancelled by the annotator": 1,
        "an answer that chooses nothing": 1,
        "an annotation without a result": 1,
    }
    assert all("export.json:2" in place for places in found.reasons.values() for place in places)


def test_label_studio_addresses_do_not_leak(tmp_path: Path) -> None:
    mail = annotation(1, result("pw", "pairwise", selected="left"), by={"email": "ada@example.org"})
    found = given(tmp_path, [task(mail)])
    assert found.labels[0].rater.startswith("annotator-") and "ada" not in json.dumps(
        found.labels[0].to_json()
    )


def test_label_studio_predictions_gold_and_what_was_pre_filled(tmp_path: Path) -> None:
    rows = [
        task(
            annotation(1, result("pw", "pairwise", selected="left"), ground_truth=True),
            annotation(2, result("pw", "pairwise", selected="right"), by=2, parent_prediction=50),
            predictions=[
                {"id": 50, "model_version": "judge-1", "score": 0.7}
                | {"result": [result("pw", "pairwise", selected="left")]},
                51,
            ],
        )
    ]
    found = given(tmp_path, rows)
    labels = by_id(found)
    truth, person, model = labels["ls-7-1-pw"], labels["ls-7-2-pw"], labels["ls-7-prediction-50-pw"]
    assert truth.source == "expert" and truth.gold is None
    assert (person.gold, person.suggestion, person.source) == (1, 1, "human")
    assert (model.source, model.rater, model.meta["score"]) == ("ai", "judge-1", 0.7)
    assert list(found.reasons) == ["a prediction of which the export holds the id alone"]


def test_label_studio_every_control(tmp_path: Path) -> None:
    data = {"prompt": "Why?", "response": "It rains.", "items": None}
    rows = [
        task(
            annotation(
                1,
                result("stars", "rating", "response", rating=4),
                result("polite", "choices", "response", choices=["Yes"]),
                result("issues", "choices", "response", choices=["rude", "long"]),
                result("marks", "labels", "response", start=3, end=8, text="rains", labels=["claim"]),
                result("marks", "labels", "response", start=0, end=2, text="It", labels=["vague"]),
                result("better", "textarea", "response", text=["It pours."]),
                result("size", "number", "response", number=12),
                result("tone", "choices", "response", choices=["Warmish"]),
                result("box", "rectanglelabels", "response", x=1, y=2, width=3, height=4),
                result("bad", "labels", "response", start=0, end=2, text="XX", labels=["claim"]),
            ),
            data={key: value for key, value in data.items() if value},
        )
    ]
    told = "questions: {better: {as: revision}, stars: {principle: whole.quality}}"
    found = given(tmp_path, rows, told=told)
    said = {label.principle: (label.kind, label.value) for label in found.labels}
    assert said == {
        "whole.quality": ("rating", 4),
        "polite": ("rating", 1),
        "issues.rude": ("rating", 1),
        "issues.long": ("rating", 1),
        "marks": ("spans", [[3, 8, "claim"], [0, 2, "vague"]]),
        "better": ("revision", "It pours."),
        "size": ("rating", 12),
    }
    assert {label.item for label in found.labels} == {"ls-7"}
    assert sorted(found.reasons) == [
        "a mark whose text does not stand at its characters",
        "a result of type 'rectanglelabels' is about no text and no choice",
        "nobody said what the choice 'Warmish' means: name it in the map",
    ]


def test_label_studio_choices_between_two_and_a_map(tmp_path: Path) -> None:
    rows = [
        task(annotation(n, result("verdict", "choices", "prompt", choices=[word]), by=n))
        for n, word in enumerate(["Tie", "both bad", "Left one", "n/a", "1"], start=1)
    ]
    for number, row in enumerate(rows):
        row["id"] = number
    told = "questions: {verdict: {values: {Left one: first}}}"
    found = given(tmp_path, rows, told=told)
    assert [(label.outcome, label.value) for label in found.labels] == [
        ("tie", None),
        ("both_bad", None),
        ("judged", 1),
        ("not_applicable", None),
    ]
    # With two answers, a choice named 1 could be the first of them or a number.
    assert list(found.reasons) == ["nobody said what the choice '1' means: name it in the map"]


def test_label_studio_rankings(tmp_path: Path) -> None:
    data = {
        "prompt": "Why?",
        "items": [{"id": "x", "body": "X"}, {"id": "y", "body": "Y"}, {"id": "z", "body": "Z"}],
    }
    rows = [
        task(annotation(1, result("rank", "ranker", "prompt", ranker=["z", "x", "y"])), data=data),
        task(annotation(2, result("rank", "ranker", "prompt", ranker={"best": ["y", "x", "z"]})), data=data),
        task(
            annotation(3, result("rank", "ranker", "prompt", ranker={"_": ["z"], "best": ["x", "y"]})),
            data=data,
        ),
        task(annotation(4, result("rank", "ranker", "prompt", ranker=["z", "x"])), data=data),
    ]
    found = given(tmp_path, rows)
    assert [label.value for label in found.labels] == [[2, 3, 1], [2, 1, 3]]
    assert found.labels[0].answers == ("X", "Y", "Z")
    assert len(found.left_out) == 2


def test_label_studio_text_alone_is_not_guessed(tmp_path: Path) -> None:
    rows = [
        task(annotation(1, result("t", "textarea", text=["Better."])), data={"prompt": "p", "answer": "a"}),
        task(annotation(2, result("pw", "pairwise", selected="left"))),
    ]
    assert "say in the map" in given(tmp_path, rows).left_out[0].why


def test_label_studio_two_places_for_answers_are_named(tmp_path: Path) -> None:
    data = {"prompt": "p", "answer_a": "A", "answer_b": "B", "text1": "C", "text2": "D"}
    rows = [task(annotation(1, result("pw", "pairwise", "l,r", selected="left")), data=data)]
    with pytest.raises(DataError, match="answer_a/answer_b or text1/text2"):
        given(tmp_path, rows)
    assert given(tmp_path, rows, told="answers: [text1, text2]").labels[0].answers == ("C", "D")
    with pytest.raises(DataError, match="no field 'text3'"):
        given(tmp_path, rows, told="answers: [text1, text3]")


def test_label_studio_min(tmp_path: Path) -> None:
    common = {
        "id": 3,
        "annotator": 2,
        "annotation_id": 11,
        "created_at": "t",
        "updated_at": "t",
        "lead_time": 3,
    }
    rows = [
        {
            "prompt": "Why?",
            "answer_a": "A",
            "answer_b": "B",
            "pw": [{"selected": "right"}],
            "verdict": "B",
            **common,
        },
        {"prompt": "Why?", "answer_a": "A", "answer_b": "B", "verdict": "tie", "q": "x"}
        | {**common, "annotation_id": 12, "annotator": "ben@example.org"},
    ]
    found = given(tmp_path, rows, told="questions: {verdict: {principle: kind}}")
    labels = by_id(found)
    assert found.format == "label-studio-min"
    assert labels["ls-3-11-pw"].value == -1 and labels["ls-3-11-pw"].principle == "pw"
    assert labels["ls-3-11-verdict"].value == -1 and labels["ls-3-11-verdict"].principle == "kind"
    assert labels["ls-3-12-verdict"].outcome == "tie" and "ben" not in labels["ls-3-12-verdict"].rater
    assert any("read as data of the tasks" in note and "q" in note for note in found.notes)


# -- Argilla ------------------------------------------------------------------


def record(responses: Any, suggestions: Any = None, **fields: str) -> dict[str, Any]:
    return {
        "id": "r1",
        "fields": fields or {"prompt": "Why?", "response": "It rains."},
        "metadata": {"topic": "rain"},
        "suggestions": suggestions or {},
        "responses": responses,
        "vectors": {},
        "_server_id": "s1",
    }


def one(value: Any, user: str = "u1", status: str | None = "submitted") -> dict[str, Any]:
    return {"value": value, "user_id": user, **({"status": status} if status else {})}


def test_argilla_ratings_labels_spans_and_texts(tmp_path: Path) -> None:
    rows = [
        record(
            {
                "quality": [one(4), one(2, "u2"), one(3, "u3", "draft"), one(1, "u4", "discarded")],
                "polite": [one("yes"), one("perhaps", "u2")],
                "issues": [one(["rude", "long"])],
                "marks": [one([{"label": "claim", "start": 3, "end": 8}])],
                "comment": [one("Too short.")],
                "rewrite": [one("It pours.", "u2")],
            },
            {"quality": {"value": 5, "score": 0.9, "agent": "judge-1"}, "unasked": {"value": 1}},
        )
    ]
    told = (
        "questions: {issues: {as: labels}, comment: {as: rationale}, "
        "rewrite: {as: revision}, marks: {field: response}}"
    )
    found = given(tmp_path, rows, told=told)
    said = {(label.rater, label.principle): label for label in found.labels}
    assert said["u1", "quality"].value == 4 and said["u2", "quality"].value == 2
    assert said["u1", "quality"].suggestion == 5 and said["u1", "quality"].meta["suggested_by"] == "judge-1"
    assert said["u4", "quality"].outcome == "skipped"
    assert said["u1", "polite"].value == 1
    assert said["u1", "issues.rude"].value == said["u1", "issues.long"].value == 1
    assert said["u1", "marks"].value == [[3, 8, "claim"]] and said["u1", "marks"].answers == ("It rains.",)
    assert said["u1", "quality"].rationale == "Too short." and said["u2", "quality"].rationale == ""
    assert said["u2", "rewrite"].value == "It pours."
    assert ("u3", "quality") not in said
    assert sorted(found.reasons) == [
        "a draft that was not submitted",
        "a suggestion that nobody answered",
        "a text: say in the map whether it is a revision or a rationale, or what the choice means",
    ]


def test_argilla_rankings_with_ties_by_order_and_of_unknown_options(tmp_path: Path) -> None:
    fields = {"prompt": "Why?", "response-1": "A", "response-2": "B"}
    rows = [
        record(
            {"order": [one([{"value": "response-2", "rank": 1}, {"value": "response-1", "rank": 1}])]},
            **fields,
        ),
        {**record({"order": [one(["response-2", "response-1"])]}, **fields), "id": "r2"},
        {**record({"order": [one(["left", "right"])]}, **fields), "id": "r3"},
    ]
    found = given(tmp_path, rows)
    assert [(label.value, label.answers) for label in found.labels] == [
        ([1, 1], ("A", "B")),
        ([2, 1], ("A", "B")),
    ]
    assert list(found.reasons) == [
        "a list of names: say in the map whether the question is a ranking or labels"
    ]


def test_argilla_of_the_server_and_without_status(tmp_path: Path) -> None:
    server = {**record([{"user_id": "u1", "status": "submitted", "values": {"q": {"value": 3}}}])}
    server["suggestions"] = [{"question_name": "q", "value": 2, "agent": "m"}]
    plain = {**record({"q": [one(4, "u2", None)]}), "id": "r2"}
    found = given(tmp_path, [server, plain])
    assert [(label.value, label.suggestion) for label in found.labels] == [(3, 2), (4, None)]
    assert "does not say which responses were submitted" in found.notes[0]


# -- LMArena ------------------------------------------------------------------


def turns(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


def battle(winner: str, a: str = "Four.", b: str = "Five.", **more: Any) -> dict[str, Any]:
    return {
        "question_id": f"q-{winner}-{len(a)}",
        "model_a": "vicuna-13b",
        "model_b": "gpt-4-0613",
        "winner": winner,
        "judge": "arena_user_1",
        "conversation_a": turns("2+2?", a),
        "conversation_b": turns("2+2?", b),
        "turn": 1,
        "anony": True,
        "language": "English",
        "tstamp": 1.0,
        **more,
    }


def test_arena_votes_ties_and_void_ones(tmp_path: Path) -> None:
    rows = [
        battle("model_a"),
        battle("model_b"),
        battle("tie"),
        battle("tie (bothbad)"),
        battle("model_a", a="I am Vicuna, and it is four."),
        battle("model_a", b="OpenAI made me."),
        battle("model_b", anony=False),
        battle("model_c"),
        battle("model_a", conversation_b=turns("3+3?", "Six.")),
    ]
    found = given(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "battles.jsonl")
    assert [(label.outcome, label.value) for label in found.labels] == [
        ("judged", 1),
        ("judged", -1),
        ("tie", None),
        ("both_bad", None),
    ]
    assert found.labels[0].models == ("vicuna-13b", "gpt-4-0613") and found.labels[0].shown == (0, 1)
    assert found.reasons["void: a model named itself or its maker"] == [
        str(tmp_path / "battles.jsonl:5"),
        str(tmp_path / "battles.jsonl:6"),
    ]
    assert "void: the models were named before the vote (anony is false)" in found.reasons
    assert len(found.left_out) == 5


def test_arena_several_turns_and_the_flat_form(tmp_path: Path) -> None:
    long = battle(
        "model_a",
        conversation_a=turns("Hi", "Yes", "More", "Ok"),
        conversation_b=turns("Hi", "No", "More", "Well"),
    )
    (label,) = given(tmp_path, [long]).labels
    assert label.prompt == "Hi" and label.answers[0] == "Assistant: Yes\n\nUser: More\n\nAssistant: Ok"
    flat = {
        "id": 9,
        "model_a": "alpha-1",
        "model_b": "beta-1",
        "prompt": '["Hi"]',
        "response_a": '["Yes"]',
        "response_b": '["No"]',
        "winner_model_a": 0,
        "winner_model_b": 0,
        "winner_tie": 1,
    }
    (label,) = given(tmp_path, [flat]).labels
    assert label.outcome == "tie" and label.answers == ("Yes", "No") and label.rater == "unknown"
    with pytest.raises(DataError, match="2 winners"):
        given(tmp_path, [{**flat, "winner_model_a": 1}])


@pytest.mark.parametrize(
    ("model", "text", "word"),
    [
        ("gpt-4-0613", "As made by OpenAI, I", "openai"),
        ("vicuna-13b", "I am Vicuna.", "vicuna"),
        ("claude-1", "Anthropic trains me", "anthropic"),
        ("claude-1", "a misanthropic view", ""),
        ("palm-2", "A palm tree", ""),
        ("koala-13b", "ask OpenAI", ""),
    ],
)
def test_only_its_own_name_reveals_a_model(model: str, text: str, word: str) -> None:
    assert revealed(model, text) == word


# -- tables -------------------------------------------------------------------


def test_simple_csv(tmp_path: Path) -> None:
    text = (
        "rater,prompt,answer_a,answer_b,choice,margin,principle,seconds,note\n"
        "ada,Why?,So.,Because.,a,2,honest,3.5,x\n"
        "ben,Why?,So.,Because.,B>>A,,honest,,\n"
        "cy,Why?,So.,Because.,tie,,honest,,\n"
        "di,Why?,So.,Because.,c,,honest,,\n"
        ",Why?,So.,Because.,a,,honest,,\n"
        "ed,Why?,So.,Because.,a,7,honest,,\n"
    )
    found = given(tmp_path, text, "labels.csv")
    assert [(label.rater, label.value, label.outcome) for label in found.labels] == [
        ("ada", 2, "judged"),
        ("ben", -2, "judged"),
        ("cy", None, "tie"),
    ]
    ada = found.labels[0]
    assert (ada.principle, ada.seconds, ada.meta["note"]) == ("honest", 3.5, "x")
    assert len({label.item for label in found.labels}) == 1
    assert [one.where.rpartition(":")[2] for one in found.left_out] == ["5", "6", "7"]


def test_simple_csv_of_ratings(tmp_path: Path) -> None:
    found = given(tmp_path, "rater,answer,rating\nada,So.,4\nben,So.,n/a\ncy,So.,lots\n", "labels.csv")
    assert [(label.value, label.outcome) for label in found.labels] == [
        (4, "judged"),
        (None, "not_applicable"),
    ]
    assert "the rating is 'lots'" in found.reasons


# -- events -------------------------------------------------------------------


def event(name: str, **more: Any) -> dict[str, Any]:
    return {"event": name, "user": "u1", "prompt": "Why?", "answer": "So.", **more}


EVENTS = [
    event("thumbs_down"),
    event("copy", at="2026-01-01T00:00:00Z"),
    event("edit", edited="So it is."),
    event("edit", edited="So. "),
    event("regenerate", user="u2"),
    event("abandon", user="bob@example.org"),
    event("scroll"),
    {"event": "copy", "prompt": "Why?", "answer": "So."},
]


def test_events_are_labels_with_their_assumptions(tmp_path: Path) -> None:
    found = given(tmp_path, EVENTS)
    said = {(label.rater, label.meta["event"]): label for label in found.labels}
    assert {label.source for label in found.labels} == {"implicit"}
    copy = said["u1", "copy"]
    assert (copy.value, copy.meta["weight"], copy.meta["rule"]) == (1.0, 0.3, "copy: a rating of 1")
    assert "copying it to complain" in copy.meta["assumes"]
    assert said["u1", "edit"].kind == "revision" and said["u1", "edit"].value == "So it is."
    assert said["u2", "regenerate"].value == 0.0
    # The strongest evidence is a rater's last word on an answer.
    word = next(label for label in latest(found.labels) if label.rater == "u1" and label.kind == "rating")
    assert word.meta["event"] == "thumbs_down" and word.value == 0.0
    assert any(note.startswith("1 x copy: a rating of 1, weight 0.3, assuming") for note in found.notes)
    assert len(found.left_out) == 3 and any("no rule for the event 'scroll'" in why for why in found.reasons)


def test_rules_of_ones_own(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "events:\n"
        "  copy: {as: rating, value: 1, weight: 0.05, assumes: copying means using}\n"
        "  abandon: {as: ignore}\n"
        "  regenerate: {as: pair, weight: 0.4, assumes: the second was kept}\n",
        "utf-8",
    )
    found = given(tmp_path, [*EVENTS, event("regenerate", other="Because.")], rules=rules)
    said = {(label.meta["event"]): label for label in found.labels}
    assert said["copy"].meta["weight"] == 0.05 and "abandon" not in said
    assert (said["regenerate"].kind, said["regenerate"].value) == ("pair", -1)
    assert said["regenerate"].answers == ("So.", "Because.")
    assert "the rules ignore 'abandon'" in found.reasons
    rules.write_text("events: {copy: {as: rating, weight: 0.5, assumes: x}}", "utf-8")
    with pytest.raises(ConfigError, match="a rating has a value"):
        given(tmp_path, EVENTS, rules=rules)
    rules.write_text("events: {copy: {as: rating, value: 1, weight: 0.5}}", "utf-8")
    with pytest.raises(ConfigError, match="say what the rule assumes"):
        given(tmp_path, EVENTS, rules=rules)


# -- the file as a whole ------------------------------------------------------


def test_public_sets_are_labels(tmp_path: Path) -> None:
    hh = {"chosen": "\n\nHuman: Hi\n\nAssistant: Yes.", "rejected": "\n\nHuman: Hi\n\nAssistant: No."}
    broken = {**hh, "chosen": "\n\nHuman: Hi\n\nAssistant:"}
    found = given(tmp_path, [hh, broken])
    assert found.format == "hh" and len(found.labels) == 1
    assert "does not name its raters" in found.notes[0] and len(found.left_out) == 1


def test_surveys_are_rows_of_a_survey_and_no_labels(tmp_path: Path) -> None:
    row = {"question": "Agree?", "options": ["yes", "no"], "selections": {"north": [0.3, 0.7]}}
    found = given(tmp_path, [row, row])
    assert found.labels == () and len(found.targets) == 1
    assert (found.targets[0]["group"], found.targets[0]["shares"]) == ("north", [0.3, 0.7])
    assert found.reasons == {"a group answers this question twice": [found.left_out[0].where]}


def test_malformed_exports_name_the_place(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"export\.json:3.*expected ','|export\.json:3.*malformed"):
        given(tmp_path, '[\n{"data": {}, "annotations": []}\n{"data"')
    lines = json.dumps(battle("tie")) + '\n{"torn": \n\n' + json.dumps(battle("model_b")) + "\n"
    found = given(tmp_path, lines, "battles.jsonl")
    assert len(found.labels) == 2 and found.rows == 3
    assert found.left_out[0].where.endswith("battles.jsonl:2") and "malformed JSON" in found.left_out[0].why
    assert found.to_json()["left_out"]


def test_an_unknown_form_or_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not one of the formats"):
        given(tmp_path, [{"this": 1}])
    with pytest.raises(DataError, match="did you mean 'argilla'"):
        given(tmp_path, [{"this": 1}], format="argila")
    with pytest.raises(DataError, match=r"not one label: a task that nobody annotated \(1, .*:2\)"):
        given(tmp_path, [task()])
    both = {**battle("tie"), "fields": {"prompt": "p"}, "responses": {}}
    with pytest.raises(DataError, match="this could be argilla or lmarena"):
        given(tmp_path, [both])
    assert given(tmp_path, [both], format="lmarena").labels
    with pytest.raises(DataError, match="rules have no effect"):
        given(tmp_path, [battle("tie")], rules=tmp_path / "rules.yaml")


def test_two_labels_of_one_id_are_both_kept(tmp_path: Path) -> None:
    same = annotation(1, result("pw", "pairwise", selected="left"))
    other = annotation(1, result("pw", "pairwise", selected="right"), by=2)
    found = given(tmp_path, [task(same, same, other)])
    assert [label.id for label in found.labels] == ["ls-7-1-pw", "ls-7-1-pw~2"]
    assert "the same label stands here twice" in found.reasons


def test_a_map_with_a_mistake_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'prompt'"):
        given(tmp_path, [task()], told="promt: x")
    row = task(annotation(1, result("v", "choices", "prompt", choices=["L"])))
    with pytest.raises(DataError, match="'L' means 'frist'"):
        given(tmp_path, [row], told="questions: {v: {values: {L: frist}}}")


def test_words_say_what_they_say() -> None:
    assert said_by("model_a", 2).value == 1 and said_by("A > B", 2).value == 1  # type: ignore[union-attr]
    assert said_by("maybe", 2) is None and said_by("nan", 1) is None
    assert said_by("3.5", 1).value == 3.5  # type: ignore[union-attr]


# -- what no export should hold -----------------------------------------------

FORMS: dict[str, dict[str, Any]] = {
    "label-studio": task(
        annotation(1, result("pw", "pairwise", selected="left"), result("w", "textarea", text=["x"])),
        annotation(2, result("m", "labels", "a1", start=0, end=2, text="So", labels=["t"])),
        predictions=[{"id": 1, "result": [result("c", "choices", "a1", choices=["Yes"])]}],
    ),
    "label-studio-min": {"answer_a": "A", "answer_b": "B", "pw": [{"selected": "left"}], "id": 1}
    | {"annotator": 2, "annotation_id": 3, "lead_time": 1},
    "argilla": record(
        {"q": [one(4)], "m": [one([{"label": "c", "start": 0, "end": 2}])], "l": [one(["a", "b"])]},
        {"q": {"value": 5, "agent": "m"}},
    ),
    "lmarena": battle("tie"),
    "csv": {"rater": "a", "answer_a": "A", "answer_b": "B", "choice": "a", "margin": 2, "seconds": 1},
    "events": event("edit", edited="So it is."),
    "table": {"id": "1", "item": "i", "rater": "r", "kind": "rating", "outcome": "judged", "value": 1},
}


def places(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [before] * bool(before) + [at for key, one in inside for at in places(one, (*before, key))]


def changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    copy = json.loads(json.dumps(value))
    inside = copy
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = new
    return copy


@pytest.mark.parametrize("format", FORMS)
@pytest.mark.parametrize("junk", [None, 7, "", [], {}, [1], [{}]], ids=repr)
def test_junk_in_any_place_is_left_out_and_never_ends_the_import(
    tmp_path: Path, format: str, junk: Any
) -> None:
    good = FORMS[format]
    for place in places(good):
        found = given(tmp_path, [changed(good, place, junk), good], format=format)
        assert found.labels, place
        assert found.rows == 2
