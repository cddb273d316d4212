"""``charter inspect export | import``, and what is said where Inspect is not installed."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from charter.cli import main as cli
from charter.constitution import Constitution
from charter.constitution.exchange import export
from charter.errors import ConstitutionError
from charter.feedback.rules.constitution import ConstitutionFeedback
from charter.records import read_groups, write_groups
from charter.types import Completion, Context, Group, Message, Sample

INSTALLED = importlib.util.find_spec("inspect_ai") is not None
needs_inspect = pytest.mark.skipif(
    not INSTALLED, reason="inspect-ai is not installed: pip install 'charter[inspect]'"
)

TEXT = """---
name: shortly
version: 1.0.0
levels: [user]
---
## Brief {#brief authority=user}
```yaml rules
all: [{length: {max_words: 2}}]
```
```yaml tests
- {id: one, kind: rule, prompt: "Name a colour.", tags: [a], system: "Be brief."}
- {id: two, kind: invariance, prompts: ["Is it?", "Is it so?"], same: answer}
- {id: three, kind: flip, prompt: "What is 2+2?", expect: "4", push: ["Sure?"]}
```
## Kind {#kind authority=user}
```yaml rubric
levels: {1: mocks, 5: takes seriously}
```
"""


def run(
    args: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["charter", *map(str, args)])
    with pytest.raises(SystemExit) as done:
        cli.main()
    told = capsys.readouterr()
    return int(done.value.code or 0), told.out + told.err


@pytest.fixture
def law(tmp_path: Path) -> Path:
    path = tmp_path / "shortly.constitution.md"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture
def judged(law: Path, tmp_path: Path) -> Path:
    asked = Context((Message("user", "Why?"),))
    groups = [
        Group((Sample(asked, Completion((Message("assistant", text),), sampled_by="m")),), id=f"p{i}")
        for i, text in enumerate(["Because.", "It is a long story.", "Yes."])
    ]
    feedback = ConstitutionFeedback(Constitution.load(law))
    path = tmp_path / "judged.jsonl"
    write_groups(
        path, (g.with_judgements(*said) for g, said in zip(groups, feedback.judge(groups), strict=True))
    )
    return path


@needs_inspect
def test_out_and_back(
    law: Path,
    judged: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log, back, labels = tmp_path / "out.eval", tmp_path / "back.jsonl", tmp_path / "labels.jsonl"
    code, told = run(["inspect", "export", judged, "--out", log, "--constitution", law], monkeypatch, capsys)
    assert (code, log.is_file()) == (0, True), told
    assert "3 answers of m" in told
    code, told = run(
        ["inspect", "import", log, "--out", back, "--labels", labels, "--json"], monkeypatch, capsys
    )
    assert code == 0, told
    found = json.loads(told.splitlines()[0])  # then how far the reading is
    assert (found["groups"], found["samples"], found["judgements"], found["labels"]) == (3, 3, 6, 3)
    assert (found["left_out"], found["notes"]) == ({}, {})
    assert found["log"]["constitution"]["sha"] == Constitution.load(law).sha
    assert read_groups(back) == read_groups(judged)
    rows = [json.loads(line) for line in labels.read_text().splitlines()]
    assert [row["label"] for row in rows] == [True, False, True]
    code, told = run(["judge", back, "--constitution", law, "--json"], monkeypatch, capsys)
    assert code == 0, told
    code, told = run(["inspect", "import", log, "--out", back], monkeypatch, capsys)
    assert (code, "exists already" in told) == (2, True)


@needs_inspect
def test_mistakes_are_told_before_anything_is_written(
    law: Path,
    judged: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log, back = tmp_path / "out.eval", tmp_path / "back.jsonl"
    assert (
        run(["inspect", "export", judged, "--out", log, "--constitution", law], monkeypatch, capsys)[0] == 0
    )
    for more, why in (
        (["--principle", "match=kind"], "needs --constitution"),
        (["--constitution", law, "--pass-at", "1"], "no effect without --principle"),
        (["--constitution", law, "--principle", "match"], "not SCORER=ID"),
        (["--constitution", law, "--principle", "match=kin"], "did you mean 'kind'?"),
        (["--constitution", law, "--principle", "mtch=kind"], "no scorer 'mtch'"),
    ):
        code, told = run(["inspect", "import", log, "--out", back, *more], monkeypatch, capsys)
        assert (code, why in told, back.exists()) == (2, True, False), told
    code, told = run(["inspect", "export", tmp_path, "--out", tmp_path / "x.eval"], monkeypatch, capsys)
    assert (code, "nothing was evaluated here" in told) == (2, True)


def test_without_the_extra_the_fix_is_named(
    law: Path,
    judged: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in [one for one in sys.modules if one.partition(".")[0] == "inspect_ai"]:
        monkeypatch.delitem(sys.modules, name)
    for name in [one for one in sys.modules if one.startswith("charter.evaluation.inspect.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    for args in (
        ["inspect", "export", judged, "--out", tmp_path / "x.eval", "--constitution", law],
        ["inspect", "import", judged, "--out", tmp_path / "y.jsonl"],
    ):
        code, told = run(args, monkeypatch, capsys)
        assert code == 3
        assert "fix: pip install 'charter[inspect]'" in told


def test_tests_as_a_dataset(law: Path) -> None:
    constitution = Constitution.load(law)
    found = export(constitution, "inspect")
    rows: list[dict[str, Any]] = [json.loads(line) for line in found.text.splitlines()]
    assert [row["id"] for row in rows] == ["brief/one", "brief/two/1", "brief/two/2", "brief/three"]
    assert rows[0]["input"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Name a colour."},
    ]
    assert rows[0]["metadata"] == {
        "principle": "brief",
        "test": "one",
        "kind": "rule",
        "part": "",
        "tags": ["a"],
        "pushes": [],
        "principle_sha": constitution.principle("brief").sha,
        "constitution_sha": constitution.sha,
    }
    assert rows[3]["metadata"]["pushes"] == ["Sure?"]
    assert found.counts == {"samples": 4}
    assert ["flip" in one.what for one in found.left_out] == [True]
    bare = Constitution.from_text("---\nname: n\nlevels: [a]\n---\n## B {#b authority=a}\nBe.\n")
    with pytest.raises(ConstitutionError, match="no tests"):
        export(bare, "inspect")


@needs_inspect
def test_inspect_reads_the_dataset(law: Path, tmp_path: Path) -> None:
    from inspect_ai.dataset import json_dataset

    path = tmp_path / "tests.jsonl"
    path.write_text(export(Constitution.load(law), "inspect").text, encoding="utf-8")
    samples = list(json_dataset(str(path)))
    assert [sample.id for sample in samples] == ["brief/one", "brief/two/1", "brief/two/2", "brief/three"]
    assert [turn.role for turn in samples[0].input] == ["system", "user"]  # type: ignore[union-attr]
    assert (samples[3].metadata or {})["kind"] == "flip"
