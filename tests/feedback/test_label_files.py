"""Files of labels: checked, merged, counted, and written for others."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
from pathlib import Path
from typing import Any

import pytest

from charter.constitution import Constitution
from charter.errors import DataError
from charter.feedback.label_io.check import check_labels
from charter.feedback.label_io.exported import export_labels
from charter.feedback.label_io.formats import import_labels
from charter.feedback.label_io.merge import merge_labels
from charter.feedback.label_io.show import counts_of
from charter.label import Label, read_labels
from charter.types import Message

LAW = """---
constitution: 1
name: tiny
version: 0.1.0
---
## Plain {#plain authority=user}

An answer is plain.
"""


def label(id: str, rater: str = "ada", item: str = "i1", **more: Any) -> Label:
    given: dict[str, Any] = {"kind": "pair", "value": 1, "prompt": "Why?", "answers": ("A", "B"), **more}
    if given.get("outcome", "judged") != "judged":
        given["value"] = None
    return Label(id=id, rater=rater, item=item, **given)


def rating(id: str, value: float, rater: str = "ada", item: str = "r1", **more: Any) -> Label:
    return Label(
        id=id, rater=rater, item=item, kind="rating", value=value, prompt="Why?", answers=("A",), **more
    )


def write(path: Path, *labels: Label) -> Path:
    path.write_text("".join(json.dumps(one.to_json()) + "\n" for one in labels), "utf-8")
    return path


# -- check --------------------------------------------------------------------


def test_check_finds_everything_at_once(tmp_path: Path) -> None:
    law = Constitution.from_text(LAW, tmp_path / "house.constitution.md")
    good = label("1", principle="plain", principle_sha="0" * 64).to_json()
    lines = [
        json.dumps(good),
        '{"id": "2", ',
        json.dumps({**good, "id": "1", "rater": "ben"}),
        json.dumps({**good, "id": "3", "rater": "cy", "valeu": 3}),
        json.dumps({**good, "id": "4", "rater": "di", "value": 9}),
        json.dumps({**good, "id": "5", "rater": "ed", "repeat_of": "50"}),
        json.dumps({**good, "id": "6", "rater": "fi", "repeat_of": "1"}),
        json.dumps({**good, "id": "7", "rater": "gu", "answers": ["A", "C"]}),
        json.dumps({**good, "id": "8"}),
        json.dumps({**good, "id": "9", "rater": "hi", "principle": "plian"}),
        "[]",
    ]
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    found = check_labels(path, law)
    said = {(one.line, one.severity): one.what for one in found.problems if "changed since" not in one.what}
    assert not found.ok and found.labels == 7
    assert "malformed" in said[2, "error"]
    assert said[3, "error"] == "id '1' stands on line 1 too"
    assert "unknown key 'valeu'" in said[4, "error"]
    assert "a pair's margin is 9" in said[5, "error"]
    assert said[6, "error"] == "repeat_of names no label: '50'"
    assert "another rater's" in said[7, "error"]
    assert "other answers than on line 1" in said[8, "error"]
    assert "on line 1 too; the last word counts" in said[9, "warning"]
    assert "no principle 'plian'" in said[10, "warning"]
    assert said[11, "error"] == "a line must be one object"
    changed = [one.line for one in found.problems if "changed since this was labelled" in one.what]
    assert changed == [1, 3, 6, 7, 8, 9]
    assert any("did you mean 'plain'" in one.fix for one in found.problems)


def test_check_of_a_sound_file_and_of_a_torn_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", label("1"), label("2", "ben"), label("3", repeat_of="1"))
    assert check_labels(path).ok and check_labels(path).problems == ()
    path.write_bytes(path.read_bytes() + b'{"id": "4", "ra\xc3')
    (torn,) = check_labels(path).problems
    assert torn.line == 4 and "cut off" in torn.fix
    with pytest.raises(DataError, match="cannot be read"):
        check_labels(tmp_path / "none.jsonl")


# -- merge --------------------------------------------------------------------


def test_merge_tells_ids_apart_and_keeps_duplicates_once(tmp_path: Path) -> None:
    one = write(
        tmp_path / "one.jsonl", label("1"), label("2", "ben"), label("2r", "ben", repeat_of="2", value=-1)
    )
    two = write(
        tmp_path / "two.jsonl",
        label("9"),  # the same word of the same rater: a duplicate of one:1
        label("2", "cy"),
        label("3", "cy", repeat_of="2"),
        label("4", repeat_of="9", value=-1),
    )
    found = merge_labels([one, two])
    ids = {(one.rater, one.repeat_of): one.id for one in found.labels}
    assert found.duplicates == (("two:9", "one:1"),)
    assert [one.id for one in found.labels] == ["1", "one:2", "2r", "two:2", "3", "4"]
    assert ids["ben", "one:2"] == "2r" and ids["cy", "two:2"] == "3"
    assert ids["ada", "1"] == "4"  # repeats the label that was kept
    assert found.renamed == (("one", "2", "one:2"), ("two", "2", "two:2"))
    again = merge_labels([write(tmp_path / "out.jsonl", *found.labels), one])
    assert len(again.labels) == 6 and len(again.duplicates) == 3


def test_two_equal_labels_of_one_file_are_both_kept(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", label("1"), label("2"))
    two = write(tmp_path / "two.jsonl", label("3", "ben"))
    assert [one.id for one in merge_labels([one, two]).labels] == ["1", "2", "3"]


def test_merge_of_files_with_one_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one = write(tmp_path / "a" / "labels.jsonl", label("1"))
    two = write(tmp_path / "b" / "labels.jsonl", label("1", "ben"))
    assert [one.id for one in merge_labels([one, two]).labels] == ["a/labels:1", "b/labels:1"]
    with pytest.raises(DataError, match="named twice"):
        merge_labels([one, one])


# -- show ---------------------------------------------------------------------


def test_counts() -> None:
    labels = [
        label("1", group="north", shown=(1, 0), gold=1),
        label("2", "ben", outcome="tie", rationale="same"),
        label("3", "ben", repeat_of="2", outcome="both_bad"),
        rating("4", 3, principle="plain", source="ai", suggestion=2, seconds=1.5),
        rating("5", 4, principle="plain", source="ai"),
    ]
    found = counts_of(labels)
    assert (found["labels"], found["items"], found["raters"], found["last_words"]) == (5, 2, 2, 4)
    assert found["items_by_raters"] == {"1": 1, "2": 1}
    assert found["by"]["rater"] == {"ada": 3, "ben": 2}
    assert found["by"]["principle"] == {"(whole answer)": 3, "plain": 2}
    assert found["by"]["outcome"] == {"judged": 3, "both_bad": 1, "tie": 1}
    assert found["by"]["group"] == {"(no group)": 4, "north": 1}
    assert (found["gold"], found["repeats"], found["with_suggestion"], found["timed"]) == (1, 1, 1, 1)


# -- export -------------------------------------------------------------------

ALL = [
    label("1", shown=(1, 0), models=("m1", "m2"), value=-2, meta={"n": 1}, at="2026-01-01T00:00:00Z"),
    label("2", "ben", outcome="both_bad", group="north", rationale='He said "no",\nand left.'),
    label("3", "ben", principle="plain", prompt=(Message("system", "s"), Message("user", "Why?")), item="i2"),
    rating("4", 3.5, gold=4, suggestion=3, seconds=0.0, source="implicit", principle_sha="ab"),
    Label(id="5", item="s", rater="cy", kind="spans", value=[[0, 1, "x"]], answers=("A",)),
    Label(id="6", item="k", rater="cy", kind="ranking", value=[2, 1], answers=("A", "B")),
    Label(id="7", item="v", rater="cy", kind="revision", value="=A better one", answers=("A",)),
    label("8", "di", repeat_of="1", value=1),
]


def test_the_long_table_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(export_labels(ALL, "csv").text, "utf-8")
    back = import_labels(path)
    assert back.format == "table" and not back.left_out
    assert [json.dumps(one.to_json()) for one in back.labels] == [json.dumps(one.to_json()) for one in ALL]
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
    assert rows[0]["value"] == "-2" and rows[1]["outcome"] == "both_bad" and rows[1]["value"] == ""


def test_annotated_pairs_average_nobody() -> None:
    found = export_labels([*ALL, label("9", "di")], "annotated-pairs", title="t")
    value = json.loads(found.text)
    assert value["metadata"]["version"] == "2.0" and value["metadata"]["default_annotator"] in (
        "ada",
        "ben",
        "di",
    )
    first, second = value["comparisons"]
    assert first["annotations"] == {
        "ada": {"pref": "b", "margin": 2},
        "ben": {"pref": None, "no_pref_reason": "both_bad"},
        "di": {"pref": "a", "margin": 1},
    }
    assert first["response_a"] == {"text": "A", "model": "m1"}
    assert second["annotations"] == {"ben/plain": {"pref": "a", "margin": 1}}
    assert second["messages"][0] == {"role": "system", "content": "s"} and "[user]" in second["prompt"]
    assert value["annotators"]["ben/plain"]["type"] == "human"
    assert set(value["annotators"]) == {"ada", "ben", "ben/plain", "di"}
    assert sum(found.left_out.values()) == 5  # four of other kinds, one repeat
    with pytest.raises(DataError, match="no label compares two"):
        export_labels([rating("1", 2)], "annotated-pairs")


def test_inspect_scores_of_one_rater_are_numbers() -> None:
    labels = [rating("1", 3, item="s1"), label("2", item="s2", outcome="tie", rationale="equal")]
    rows = json.loads(
        export_labels(
            [*labels, rating("3", 1, item="s1", meta={"epoch": 2}, rater="x")], "inspect-scores"
        ).text
    )
    assert [(row["id"], row["value"], row.get("epoch")) for row in rows] == [
        ("s1", 3, None),
        ("s2", 0, None),
        ("s1", 1, 2),
    ]
    assert rows[1]["explanation"] == "ada: equal" and rows[0]["answer"] == "A"


def test_inspect_scores_of_several_raters_are_all_there() -> None:
    labels = [rating("1", 3), rating("2", 5, "ben"), rating("3", 1, "ben", principle="plain")]
    found = export_labels([*labels, *ALL[4:7], label("8", outcome="skipped")], "inspect-scores")
    (row,) = json.loads(found.text)
    assert row["value"] == {"ada": 3, "ben": 5, "ben/plain": 1}
    assert row["metadata"]["raters"] == ["ada", "ben"]
    assert found.left_out == {"of kind spans": 1, "of kind ranking": 1, "of kind revision": 1, "skipped": 1}


def test_inspect_reads_what_is_written(tmp_path: Path) -> None:
    if importlib.util.find_spec("inspect_ai") is None:
        pytest.skip("inspect-ai is not installed")
    scorer = pytest.importorskip("inspect_ai.scorer")
    if not hasattr(scorer, "precomputed_scores"):
        pytest.skip("this inspect-ai has no precomputed_scores")
    path = tmp_path / "scores.json"
    path.write_text(export_labels([rating("1", 3), rating("2", 5, "ben")], "inspect-scores").text, "utf-8")
    scorer.precomputed_scores(str(path))  # reads the file, and refuses what it cannot use


def test_an_unknown_export(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="use one of annotated-pairs"):
        export_labels(ALL, "xml")
    assert read_labels(write(tmp_path / "all.jsonl", *ALL)) == ALL
