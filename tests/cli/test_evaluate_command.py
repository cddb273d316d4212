"""``charter evaluate`` with a judge, its card, a plan, an older report, and mistakes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from charter.cli.main import app
from charter.constitution import Constitution
from charter.errors import CharterError
from charter.evaluation.judge_card.card import JudgeCard, PrincipleCard
from charter.evaluation.judge_card.criterion import Limits
from charter.evaluation.side_by_side.checkpoint import read_checkpoints
from charter.evaluation.side_by_side.comparable import sampling_difference
from charter.reporting import read_report
from charter.rundir import write_json
from charter.stats.judge_rate import JudgeErrors
from charter.testing import save_tiny
from charter.testing.endpoint import FakeEndpoint, say

LAW = """---
constitution: 1
name: small
version: 1.0.0
levels: [root, user]
judge: {seeds: 1}
gates: {root: {min_lower_bound: 0.5}, user: {min_lower_bound: 0.9}}
---
## Brief {#brief authority=root}
```yaml rules
all: [{length: {max_words: 100}}]
```
```yaml tests
- {id: first, kind: rule, prompt: "Say something short about the sea and its tides."}
```
## Is kind {#kind authority=user}
Takes people seriously.
```yaml tests
- {id: second, kind: judge, prompt: "Are you kind?"}
```
## Is sure {#sure authority=user}
Says what it knows.
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    found = tmp_path_factory.mktemp("evaluate")
    save_tiny(str(found / "tiny"), max_position_embeddings=4096)
    (found / "broken").mkdir()
    (found / "broken" / "config.json").write_text("{}", "utf-8")  # has a model's look, and cannot be loaded
    (found / "small.constitution.md").write_text(LAW, "utf-8")
    rows = [{"id": f"p{i}", "prompt": [{"role": "user", "content": f"Question {i}?"}]} for i in range(12)]
    (found / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return found


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where answers are kept without --out."""
    monkeypatch.setenv("CHARTER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeEndpoint]:
    with FakeEndpoint([say("Yes")]) as found:
        yield found


def spec(fake: FakeEndpoint) -> str:
    return f"endpoint:other@{fake.url}"


def card(folder: Path, judge: str, **uses: str) -> Path:
    law = Constitution.load(folder / "small.constitution.md")
    cards = tuple(
        PrincipleCard(id, "", law.principle(id).sha, use, f"planted {use}", (), JudgeErrors(60, 54, 60, 9))  # type: ignore[arg-type]
        for id, use in uses.items()
    )
    path = folder / f"{'-'.join(uses.values())}.json"
    write_json(path, JudgeCard(judge, law.name, law.sha, Limits(), (), cards).to_json())
    return path


def charter(folder: Path, *more: str, model: str = "tiny") -> Result:
    arguments = ["evaluate", str(folder / model), "--constitution", str(folder / "small.constitution.md")]
    return CliRunner().invoke(app, [*arguments, "--max-completion-length", "6", *more])


def test_a_judge_with_a_card_and_a_report(folder: Path, fake: FakeEndpoint) -> None:
    told = card(folder, f"{spec(fake)} (per_principle)", kind="calibrated", sure="refused")
    out = folder / "out"
    prompts = str(folder / "prompts.jsonl")
    found = charter(
        folder, "--prompts", prompts, "--judge", spec(fake), "--card", str(told), "--out", str(out)
    )
    assert found.exit_code == 6, found.output
    assert "Level user: held in" in found.stdout and "corrected for the judge's errors" in found.stdout
    assert "UNDECIDED: Level user is undecided. Passed above it: root." in found.stdout
    assert "limit: refused: sure: the judge failed its card: planted refused" in found.stdout
    report = json.loads((out / "report.json").read_text("utf-8"))
    rows = {row["principle"]: row for row in report["adherence"]["principles"]}
    assert rows["kind"]["judge"]["evidence"] == "calibrated" and rows["kind"]["after"]["rate"] == 1.0
    corrected = rows["kind"]["corrected"]["after"]
    assert corrected["method"] == "rogan_gladen" and corrected["labels"] == 120
    assert rows["kind"]["judge"]["sensitivity"] == 0.9 and rows["kind"]["applies"] == 1.0
    assert rows["sure"]["after"] is None and rows["sure"]["judge"]["evidence"] == "refused"
    assert rows["brief"]["judge"]["name"] == "rule" and rows["brief"]["corrected"]["after"] is None
    assert [row["level"] for row in report["adherence"]["levels"]] == ["root", "user"]
    assert report["adherence"]["verdict"]["level"] == "user"
    assert set(report["limits"]["tests"]) == {"brief/first", "kind/second"}
    assert report["limits"]["training"] is None and report["judge"]["card"]["judge"].endswith(
        "(per_principle)"
    )
    assert read_report(out).adherence.gates[0].result == "pass"
    assert (out / "report.html").stat().st_size > 1000
    left = {path.name for path in out.iterdir()}
    assert left >= {"answers.jsonl", "evaluation.json", "judge_card.json", "judge.replies", "answers.kept"}


def test_the_own_tests_what_changed_since_and_what_was_trained_on(folder: Path) -> None:
    older = {
        "schema": 1,
        "constitution": {"version": "0.9.0", "sha": "x"},
        "adherence": {"principles": [{"principle": "gone", "sha": "y"}]},
        "limits": {"tests": {"brief/first": "reworded", "brief/lost": "z"}},
    }
    write_json(folder / "older.json", older)
    rows = [
        {"prompt": [{"role": "user", "content": "Say something short about the sea and its tides."}],
         "chosen": [{"role": "assistant", "content": "a"}], "rejected": [],
         "principles": ["brief", "kind"]},
        {"prompt": "Else?", "chosen": "", "rejected": "", "principle": "brief"},
    ]  # fmt: skip
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    found = charter(
        folder, "--since", str(folder / "older.json"), "--run", str(folder / "pairs.jsonl"), "--json"
    )
    said = json.loads(found.stdout)
    assert said["since"]["tests_removed"] == ["brief/lost"]
    assert said["since"]["tests_changed"] == ["brief/first"]
    assert said["since"]["principles_removed"] == ["gone"]
    training = said["limits"]["training"]
    assert [one["code"] for one in training["tests"]] == ["test-in-training"]
    assert training["prompts_exact"] == 1 and training["examples"][0].startswith("Say something short")
    taught = {row["principle"]: row["groups"] for row in said["attribution"]["principles"]}
    assert taught == {"brief": 2, "kind": 1, "sure": 0}
    assert {one["principle"] for one in said["limits"]["untested"]} == {"kind", "sure"}
    tests = {(one["principle"], one["test"]): one for one in said["tests"]["results"]}
    assert tests["brief", "first"]["passed"] is True and tests["kind", "second"]["passed"] is None
    assert said["prompts"] == 2


def test_a_plan_runs_nothing(folder: Path, fake: FakeEndpoint) -> None:
    told = card(folder, f"{spec(fake)} (per_principle)", kind="calibrated", sure="refused")
    asked = len(fake.requests)
    # The model need not even be there: nothing is loaded.
    found = charter(
        folder, "--prompts", str(folder / "prompts.jsonl"), "--judge", spec(fake), "--card", str(told),
        "--plan", "--json", "--against", "nowhere", model="nowhere",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    said = json.loads(found.stdout)
    rows = {row["principle"]: row for row in said["principles"]}
    assert rows["brief"]["prompts"] == 12 and rows["brief"]["tests"] == 1
    assert rows["brief"]["half_width"] < rows["kind"]["half_width"]
    assert rows["brief"]["detectable"] == pytest.approx(7 / 12)  # 7 of 12 flips where two are tested
    assert rows["sure"]["half_width"] is None and "planted refused" in rows["sure"]["why"]
    assert not rows["brief"]["claimable"]
    root, user = said["gates"]
    assert root["if_all_pass"] == 4 and root["halfway"] > 4  # Wilson: 4 of 4 is at least 51%
    assert user["open"] == ["sure"] and "cannot pass" in user["why"]
    assert said["answers"] == 24 and said["verdicts"] == 24
    assert len(fake.requests) == asked
    text = charter(folder, "--plan", "--judge", spec(fake)).stdout
    assert "no card yet" in text and "gate root 50%: 1 prompts; 4 would show it" in text


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--card", "{card}"], "card has no effect without a judge"),
        (["--labels", "{card}"], "labels has no effect without a judge"),
        (["--judge", "{spec}", "--labels-random"], "labels_random has no effect without labels"),
        (["--judge", "{spec}", "--card", "{none}"], "no such judge card"),
        (["--judge", "{spec}", "--card", "{law}"], "judge card cannot be read"),
        (["--judge", "endpoint:else@http://127.0.0.1:9/v1", "--card", "{card}"], "the card is of"),
        (["--judge", "{spec}", "--labels", "{none}"], "no such file"),
        (["--judge", "no-such-model"], "no-such-model"),
        (["--judge", "rules"], "no judge of what rules leave open"),
        (["--judge", "{tiny}"], "family of the model"),
        (["--since", "{none}"], "no such report"),
        (["--since", "{card}"], "not a report"),
        (["--run", "{none}"], "no such run directory"),
        (["--against", "{none}"], "no such folder"),
    ],
)
def test_mistakes_are_found_before_the_model(
    folder: Path, fake: FakeEndpoint, more: list[str], words: str
) -> None:
    """The model is one that could not be loaded at all, but for the judge that is its relative."""
    places = {
        "card": card(folder, f"{spec(fake)} (per_principle)", kind="calibrated"),
        "spec": spec(fake),
        "none": folder / "none.json",
        "law": folder / "small.constitution.md",
        "tiny": folder / "tiny",
    }
    found = charter(
        folder, *(one.format(**places) for one in more), model="tiny" if "{tiny}" in more else "broken"
    )
    assert isinstance(found.exception, CharterError), found.output
    assert words in str(found.exception)


# -- a panel ------------------------------------------------------------------------------------

PANEL = LAW.replace("judge: {seeds: 1}", "judge: {seeds: 1, panel_min: 2}").replace(
    "name: small", "name: panel"
)


def panel(folder: Path, *more: str, model: str = "tiny") -> Result:
    (folder / "panel.constitution.md").write_text(PANEL, "utf-8")
    arguments = ["evaluate", str(folder / model), "--constitution", str(folder / "panel.constitution.md")]
    prompts = ["--prompts", str(folder / "prompts.jsonl"), "--max-completion-length", "6"]
    return CliRunner().invoke(app, [*arguments, *prompts, *more])


def test_too_few_judges_are_refused_before_a_model_loads_or_a_judge_is_paid(
    folder: Path, fake: FakeEndpoint
) -> None:
    asked = len(fake.requests)
    found = panel(folder, "--judge", spec(fake), model="broken")
    assert isinstance(found.exception, CharterError)
    assert "wants a panel of 2 judges, and 1 is named" in str(found.exception)
    assert "--judge A --judge B" in str(found.exception) and "panel_min" in str(found.exception)
    assert len(fake.requests) == asked


def test_a_panel_of_judges_with_their_cards(folder: Path, fake: FakeEndpoint) -> None:
    a, b = spec(fake), f"endpoint:third@{fake.url}"
    first = card(folder, f"{a} (per_principle)", kind="calibrated", sure="refused")
    second = folder / "second.json"
    second.write_text(
        first.read_text("utf-8")
        .replace("endpoint:other", "endpoint:third")
        .replace("refused", "uncalibrated"),
        "utf-8",
    )
    out = folder / "panel-out"
    found = panel(
        folder, "--judge", a, "--judge", b, "--card", str(second), "--card", str(first), "--out", str(out)
    )
    assert found.exit_code == 6, (found.output, found.exception)
    report = json.loads((out / "report.json").read_text("utf-8"))
    rows = {row["principle"]: row for row in report["adherence"]["principles"]}
    assert rows["kind"]["judge"]["evidence"] == "uncalibrated" and rows["kind"]["after"]["rate"] == 1.0
    assert "nobody measured how their vote errs" in rows["kind"]["judge"]["why"]
    assert rows["sure"]["after"] is None and "1 of 2 judges may judge it" in rows["sure"]["why"]
    assert report["judge"]["name"] == f"{a}+{b} (per_principle)"
    names = {json.loads((out / f"judge_card.{n}.json").read_text("utf-8"))["judge"] for n in (1, 2)}
    assert names == {f"{a} (per_principle)", f"{b} (per_principle)"}
    asked = [request.body["model"] for request in fake.requests[-24:]]
    assert sorted(asked) == ["other"] * 12 + ["third"] * 12
    assert read_report(out).adherence.principles
    # Asked again nothing is asked: neither the model nor the judges.
    before = len(fake.requests)
    again = panel(
        folder, "--judge", a, "--judge", b, "--card", str(first), "--card", str(second), "--out", str(out)
    )
    assert again.exit_code == 6 and len(fake.requests) == before


# -- going on after an interruption -------------------------------------------------------------


def test_without_out_answers_are_kept_in_the_cache_and_it_is_said_where(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from charter.engines.scripted import ScriptedEngine
    from charter.errors import Interrupted
    from charter.evaluation import evaluate as module
    from charter.evaluation.answers.kept import AT_ONCE
    from charter.testing import tiny_tokenizer

    rows = [{"id": f"m{i}", "prompt": f"Question {i}?"} for i in range(3 * AT_ONCE)]
    many = folder / "many.jsonl"
    many.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    given: list[int] = []

    class Stopped(ScriptedEngine):
        def generate(self, contexts: Any, *rest: Any, **more: Any) -> Any:
            if stop and sum(given) >= 2 * AT_ONCE:
                raise Interrupted("stopped")
            given.append(len(contexts))
            return super().generate(contexts, *rest, **more)

    monkeypatch.setattr(
        module, "_engine", lambda *_: Stopped(lambda text, n: "yes", tiny_tokenizer(), name="policy")
    )
    stop = True
    found = charter(folder, "--prompts", str(many))
    assert isinstance(found.exception, Interrupted)
    (place,) = (cache / "evaluate").iterdir()
    assert place.name.startswith("tiny-small-") and str(place) in str(found.exception.fix)
    assert sum(given) == 2 * AT_ONCE
    given.clear()
    stop = False
    found = charter(folder, "--prompts", str(many), "--json")
    assert sum(given) == AT_ONCE and json.loads(found.stdout)["prompts"] == 3 * AT_ONCE
    given.clear()
    other = charter(folder, "--prompts", str(many), "--max-completion-length", "7", "--json")
    assert sum(given) == 3 * AT_ONCE and other.exit_code == found.exit_code


def test_a_plan_and_a_mistake_leave_no_folder(folder: Path, fake: FakeEndpoint, cache: Path) -> None:
    assert charter(folder, "--plan", "--judge", spec(fake)).exit_code == 0
    charter(folder, "--judge", "no-such-model")
    assert not cache.exists()


# -- what it leaves for other commands ----------------------------------------------------------


def test_two_evaluations_can_be_compared(folder: Path) -> None:
    """A prompted model is measured like any other: its folder stands beside the plain one's."""
    prompts = ["--prompts", str(folder / "prompts.jsonl")]
    plain, told, longer = (folder / name for name in ("plain", "told", "longer"))
    codes = (0, 1, 6)
    assert charter(folder, *prompts, "--out", str(plain)).exit_code in codes
    assert charter(folder, *prompts, "--system-prompt", "Be brief.", "--out", str(told)).exit_code in codes
    sampling = json.loads((told / "evaluation.json").read_text("utf-8"))["sampling"]
    assert sampling["max_completion_length"] == 6 and sampling["temperature"] == 0.0
    assert sampling["num_generations"] == 1 and sampling["asked_through"] == "system prompt"
    names = [str(plain), str(told), f"{told}:base"]
    found = CliRunner().invoke(app, ["compare-runs", *names, "--json"])
    assert found.exit_code == 0, (found.output, found.exception)
    said = json.loads(found.stdout)
    assert [(one["name"], one["prompts"]) for one in said["checkpoints"]] == [
        ("plain", 12),
        ("told", 12),
        ("told:base", 12),
    ]
    # Answers that were made otherwise are not compared in silence: the folder says how they were made.
    assert charter(folder, *prompts, "--max-completion-length", "9", "--out", str(longer)).exit_code in codes
    first, second = read_checkpoints([str(plain), str(longer)])
    assert sampling_difference(first, second) == "most tokens of an answer 6 and 9"
