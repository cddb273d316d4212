"""The scale of a rating comes from who knows it: the format, the map, the rule; never from the ratings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charter.errors import ConfigError
from charter.feedback.label_io.check import check_labels
from charter.feedback.label_io.exported import export_labels
from charter.feedback.label_io.formats import import_labels
from charter.feedback.label_io.imported import Imported
from charter.feedback.label_io.show import counts_of
from charter.feedback.people.training_rows import compile_labels
from charter.label import Label


def given(tmp_path: Path, rows: Any, told: str = "", rules: str = "", name: str = "in.json") -> Imported:
    path = tmp_path / name
    path.write_text(rows if isinstance(rows, str) else json.dumps(rows), "utf-8")
    more: dict[str, Path] = {}
    for key, text in (("question_map", told), ("rules", rules)):
        if text:
            more[key] = tmp_path / f"{key}.yaml"
            more[key].write_text(text, "utf-8")
    return import_labels(path, **more)


def scales(found: Imported) -> dict[str, tuple[float, ...]]:
    return {label.principle: label.scale for label in found.labels}


def stars(value: float) -> dict[str, Any]:
    said = [
        {"from_name": "stars", "to_name": "answer", "type": "rating", "value": {"rating": value}},
        {"from_name": "polite", "to_name": "answer", "type": "choices", "value": {"choices": ["Yes"]}},
        {"from_name": "tags", "to_name": "answer", "type": "choices", "value": {"choices": ["a", "b"]}},
        {"from_name": "mood", "to_name": "answer", "type": "choices", "value": {"choices": ["Fine"]}},
    ]
    return {
        "id": value,
        "data": {"prompt": "Why?", "answer": "So."},
        "annotations": [{"id": 1, "completed_by": 1, "result": said}],
    }


def test_label_studio(tmp_path: Path) -> None:
    told = "questions: {mood: {values: {Poor: 1, Fine: 2, Great: 3}}, stars: {scale: [1, 5]}}"
    assert scales(given(tmp_path, [stars(1)], told)) == {
        "stars": (1, 5),
        "polite": (0, 1),
        "tags.a": (0, 1),
        "tags.b": (0, 1),
        "mood": (1, 3),
    }
    bare = given(tmp_path, [stars(1)], "questions: {mood: {values: {Fine: 2}}}")
    assert scales(bare)["stars"] == scales(bare)["mood"] == ()
    assert any("2 ratings whose scale nobody declared" in note for note in bare.notes)
    over = given(tmp_path, [stars(7)], told)
    assert "stars" not in scales(over) and "from 1 to 5" in next(iter(over.reasons))
    for wrong in ("scale: [5, 1]", "scale: [1]", "questions: {stars: {scale: [2, 2]}}"):
        with pytest.raises(ConfigError, match="scale"):
            given(tmp_path, [stars(1)], wrong)


def test_argilla_and_one_scale_for_all(tmp_path: Path) -> None:
    record = {
        "id": "r",
        "fields": {"prompt": "Why?", "response": "So."},
        "responses": {
            "quality": [{"value": 1, "user_id": "u", "status": "submitted"}],
            "polite": [{"value": "no", "user_id": "u", "status": "submitted"}],
        },
        "suggestions": {},
    }
    assert scales(given(tmp_path, [record], "scale: [1, 7]")) == {"quality": (1, 7), "polite": (0, 1)}


def test_tables(tmp_path: Path) -> None:
    text = "rater,answer,rating,lowest,highest\nada,So.,2,1,5\nben,So.,yes,,\ncy,So.,3,,\ndi,So.,3,1,\n"
    found = given(tmp_path, text, name="in.csv")
    assert [label.scale for label in found.labels] == [(1, 5), (0, 1), ()]
    assert "without the other end" in next(iter(found.reasons))
    (tmp_path / "long.csv").write_text(export_labels(found.labels, "csv").text, "utf-8")
    assert [label.scale for label in import_labels(tmp_path / "long.csv").labels] == [(1, 5), (0, 1), ()]
    assert counts_of(found.labels)["by"]["scale"] == {"(no scale)": 1, "0 to 1": 1, "1 to 5": 1}


def event(name: str, user: str = "u", **more: Any) -> dict[str, Any]:
    return {"event": name, "user": user, "prompt": "Why?", "answer": "So.", **more}


def test_events_are_verdicts_whose_weight_counts(tmp_path: Path) -> None:
    """Four who left and one who praised: the praise stands."""
    rows = [*(event("abandon", f"u{i}") for i in range(4)), event("thumbs_up", "fan")]
    found = given(tmp_path, rows)
    assert {label.scale for label in found.labels} == {(0, 1)}
    (row,) = compile_labels(found.labels, {}).rows["unpaired"]
    assert row["label"] is True and row["probability"] == pytest.approx(1 / 1.4)
    rules = "events: {stars: {as: rating, value: 4, scale: [1, 5], weight: 0.5, assumes: x}}"
    (label,) = given(tmp_path, [event("stars")], rules=rules).labels
    assert (label.value, label.scale, label.meta["weight"]) == (4, (1, 5), 0.5)
    for wrong in (
        "{as: rating, value: 4, assumes: x}",
        "{as: rating, value: 0.5, assumes: x}",
        "{as: revision, scale: [1, 5], assumes: x}",
    ):
        with pytest.raises(ConfigError, match="scale"):
            given(tmp_path, [event("stars")], rules=f"events: {{stars: {wrong}}}")


def test_public_sets_say_their_scale(tmp_path: Path) -> None:
    names = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
    steer = {"prompt": "Why?", "response": "So.", **dict.fromkeys(names, 1)}
    found = given(tmp_path, [steer])
    assert set(scales(found).values()) == {(0, 4)}
    # The second lowest of five, on every attribute: a low score, and no yes.
    made = compile_labels(found.labels, {})
    assert set(made.rows) == {"attributes"} and made.without_scale == 0
    safe = {"prompt": "Why?", "response": "So.", "category": {}, "is_safe": True}
    (label,) = given(tmp_path, [safe]).labels
    assert label.scale == (0, 1)


def test_readers_votes_stay_soft_through_labels(tmp_path: Path) -> None:
    shp = {
        "history": "Why?",
        "human_ref_A": "So.",
        "human_ref_B": "Because.",
        "labels": 0,
        "score_A": 5,
        "score_B": 15,
    }
    (row,) = compile_labels(given(tmp_path, [shp]).labels, {}).rows["preference"]
    assert (row["chosen"], row["probability"]) == ("Because.", 0.75)


def test_a_decision_is_no_second_word_of_its_rater(tmp_path: Path) -> None:
    more: dict[str, Any] = {"prompt": "Why?", "answers": ("A", "B")}
    own = Label("1", "i", "ed", "pair", value=1, **more)
    decided = Label("2", "i", "ed", "pair", value=-1, meta={"adjudication": True}, **more)
    unclear = Label("3", "j", "ed", "pair", value=-1, meta={"unclear": True}, **more)
    labels = [own, decided, unclear]
    path = tmp_path / "l.jsonl"
    path.write_text("".join(json.dumps(one.to_json()) + "\n" for one in labels), "utf-8")
    assert check_labels(path).problems == ()
    pairs = json.loads(export_labels(labels, "annotated-pairs").text)
    assert pairs["comparisons"][0]["annotations"] == {
        "ed": {"pref": "a", "margin": 1},
        "ed/decision": {"pref": "b", "margin": 1},
    }
    counts = counts_of(labels)
    assert (counts["decisions"], counts["text_unclear"], counts["last_words"]) == (1, 1, 3)
