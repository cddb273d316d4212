"""``charter labels``: import, show, merge, check, export, end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charter.cli import main as cli
from charter.label import read_labels


@pytest.fixture
def labels(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["charter", "labels", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out + said.err

    return call


def test_from_an_export_to_another_tool(labels, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "people.csv").write_text(
        "rater,prompt,answer_a,answer_b,choice\nada,q,A,B,a\nben,q,A,B,b\ncy,q,A,B,what\n", "utf-8"
    )
    code, said = labels("import", "people.csv", "--out", "one.jsonl", "--left-out", "lost.jsonl")
    assert code == 0 and "read as csv, 3 rows: 2 labels of 2 raters in one.jsonl" in said
    assert "left out, the choice is 'what': 1" in said and "people.csv:4" in said
    assert json.loads((tmp_path / "lost.jsonl").read_text("utf-8"))["where"] == "people.csv:4"
    assert [one.value for one in read_labels("one.jsonl")] == [1, -1]
    code, said = labels("import", "people.csv", "--out", "one.jsonl")
    assert code == 2 and "is there already" in said and "charter labels merge" in said
    code, said = labels("show", "one.jsonl")
    assert (
        code == 0
        and "2 labels of 1 items by 2 raters" in said
        and "items by their number of raters: 1 by 2" in said
    )
    assert labels("import", "people.csv", "--out", "two.jsonl")[0] == 0
    code, said = labels("merge", "one.jsonl", "two.jsonl", "--out", "all.jsonl")
    assert code == 0 and "duplicates, kept once: 2" in said and "two:csv-2 is one:csv-2" in said
    code, said = labels("check", "all.jsonl")
    assert code == 0 and "2 labels, 0 errors, 0 warnings" in said
    code, said = labels("export", "all.jsonl", "--to", "annotated-pairs", "--out", "pairs.json")
    assert code == 0 and "2 of 2 labels as annotated-pairs" in said
    assert len(json.loads((tmp_path / "pairs.json").read_text("utf-8"))["comparisons"]) == 1


def test_mistakes(labels, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "bad.jsonl").write_text('{"id": "1"}\n{"x"\n', "utf-8")
    code, said = labels("check", "bad.jsonl")
    assert code == 1 and "bad.jsonl:1: error" in said and "bad.jsonl:2: error" in said
    code, said = labels("check", "bad.jsonl", "--json")
    assert code == 1 and json.loads(said)["ok"] is False
    code, said = labels("import", "none.csv", "--out", "x.jsonl")
    assert code == 2 and "no such file" in said and not (tmp_path / "x.jsonl").exists()
    code, said = labels("import", "bad.jsonl", "--out", "no/where/x.jsonl")
    assert code == 2 and "does not exist" in said
    assert labels("merge", "bad.jsonl", "--out", "x.jsonl")[0] == 2


def test_surveys_and_json(labels, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from charter.data.survey import read_survey

    shares = {"north": [0.25, 0.75], "south": [0.5, 0.5]}
    row = {"question": "Agree?", "options": ["yes", "no"], "selections": shares}
    (tmp_path / "survey.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    code, said = labels("import", "survey.jsonl", "--out", "targets.jsonl")
    assert code == 0 and "2 survey rows in targets.jsonl" in said and "no person's labels" in said
    found = read_survey(tmp_path / "targets.jsonl")  # what charter pluralism and charter gpo read
    assert {group: list(of["Agree?"]) for group, of in found.shares.items()} == shares
    code, said = labels(
        "import", "survey.jsonl", "--format", "opinions", "--out", "targets.jsonl", "--force", "--json"
    )
    assert json.loads(said)["targets"] == 2
