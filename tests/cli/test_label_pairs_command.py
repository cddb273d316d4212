"""``charter label-pairs``: planted judges (right, or always "(A)"), cards, direct scores, Ctrl-C."""

from __future__ import annotations

import json
import math
import os
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from charter.cli.main import app
from charter.constitution import Constitution
from charter.data.formats import load_groups
from charter.errors import CharterError, DataError, Interrupted
from charter.evaluation.judge_card.card import JudgeCard, PrincipleCard
from charter.evaluation.judge_card.criterion import Limits
from charter.feedback.judging.model import Asking, Question, Reply
from charter.feedback.judging.open_judge import open_model
from charter.records import write_groups
from charter.rundir import write_json
from charter.testing import save_tiny
from charter.types import Completion, Context, Group, Judgement, Message, PairTarget, Sample

LAW = """---
constitution: 1
name: planted
version: 0.1.0
---
## No shouting {#calm authority=user}

An answer is not in capitals.

```yaml tests
- {id: t1, kind: judge, prompt: "Tell me about whales, loudly."}
```

## Short {#brief authority=user}

An answer is short.

## Kind {#kind authority=user}

An answer is kind.
"""

Say = Callable[[str], float]


class Planted:
    """Gives (A), or the first of ten scores, the probability that a function of the question says."""

    name = "planted@0"
    family = "none"

    def __init__(self, say: Say) -> None:
        self.say = say
        self.asked: list[str] = []
        self.stop_after = 0

    def option_logps(
        self, questions: Sequence[Question], options: Sequence[Sequence[str]]
    ) -> list[tuple[float, ...]]:
        found = []
        for question, of in zip(questions, options, strict=True):
            text = "\n".join(turn.content for turn in question.turns)
            self.asked.append(text)
            if len(self.asked) == self.stop_after:
                os.kill(os.getpid(), signal.SIGINT)
            found.append(self._one(self.say(text), len(of)))
        return found

    def answer(self, questions: Sequence[Question], asking: Asking) -> list[list[Reply]]:
        return [[Reply("Let me think of it.")] for _ in questions]

    def _one(self, value: float, options: int) -> tuple[float, ...]:
        if math.isnan(value):
            return (math.nan,) * options
        if options == 2:
            return math.log(value), math.log(1 - value)
        low, high = math.log(1 - value), math.log(value)
        return (low, *([-math.inf] * 8), high)


def right(text: str) -> float:
    """Nine parts of ten for the answer that is good, wherever it stands."""
    found = re.search(r"answer \(A\)\n(.*?)\n\[\w+\] answer \(B\)", text, re.DOTALL)
    return (0.9 if "good" in found[1] else 0.1) if found else 0.9 if "good" in text else 0.1


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Planted:
    found = Planted(right)

    def opened(spec: str, **options: Any) -> Any:
        return found if spec == "planted" else open_model(spec, **options)

    monkeypatch.setattr("charter.pipeline.revising.open_model", opened)
    return found


def group(prompt: str, *answers: str, better: int | None = None) -> Group:
    context = Context((Message("user", prompt),))
    samples = tuple(Sample(context, Completion((Message("assistant", one),))) for one in answers)
    said = () if better is None else (Judgement(PairTarget(better, 1 - better), 1.0),)
    return Group(samples, said, id=prompt)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("c.constitution.md").write_text(LAW, "utf-8")
    groups = [group(f"q{i}", "bad one", "good one", better=1) for i in range(5)]
    groups += [
        group("q5", "good one", "bad one", better=1),
        group("alone", "only"),
        group("tell me about whales LOUDLY", "good", "bad"),
        group("same", "as it is", "as  it is"),
    ]
    write_groups(Path("s.jsonl"), groups)
    return tmp_path


def charter(*more: str, spec: str = "planted") -> Result:
    given = ["label-pairs", "s.jsonl", "--constitution", "c.constitution.md", "--out", "p.jsonl"]
    return CliRunner().invoke(app, [*given, "--judge", spec, *more])


def rows(path: str = "p.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def card(uses: dict[str, str], *, name: str = "planted (pairwise)", sha: str = "") -> str:
    law = Constitution.load("c.constitution.md")
    cards = tuple(
        PrincipleCard(id, "", sha or law.principle(id).sha, use, "planted", ())  # type: ignore[arg-type]
        for id, use in uses.items()
    )
    write_json(Path("card.json"), JudgeCard(name, law.name, law.sha, Limits(), (), cards).to_json())
    return "card.json"


# -- labels ---------------------------------------------------------------------------------


def test_the_planted_probability_is_the_label(project: Path, judge: Planted) -> None:
    found = charter()
    assert found.exit_code == 0, found.output
    made = rows()
    assert [row["chosen"][0]["content"] for row in made] == ["good one"] * 6
    assert [row["probability"] for row in made] == pytest.approx([0.9] * 6)
    assert {row["judge"] for row in made} == {"planted@0"}
    assert len(judge.asked) == 12 and not any("whales" in text for text in judge.asked)
    trained = [one.judgements[0].probability for one in load_groups("p.jsonl", "preference").groups]
    assert trained == pytest.approx([0.9] * 6)
    for line in (
        "1 prompts that are a test of the constitution",
        "1 prompts with a single answer",
        "1 pairs of equal answers",
        "6 pairs labelled",
        "both orders agree in 100% of 6 comparisons",
        "got 0.50 on average",
        "agrees with the data's own choice in 83%",
        "NO CARD",
    ):
        assert line in found.stdout
    assert found.stdout.index("both orders agree") < found.stdout.index("charter train reward")
    assert "WARNING" not in found.stdout


def test_a_judge_that_always_says_a_is_seen_before_anybody_trains(project: Path, judge: Planted) -> None:
    judge.say = lambda text: 0.95
    found = charter()
    assert "both orders agree in 0%" in found.stdout and "0.95 on average" in found.stdout
    assert "WARNING: the order decides" in found.stdout
    assert {row["probability"] for row in rows()} == {0.5}
    again = charter("--min-confidence", "0.1", "--out", "q.jsonl")
    assert isinstance(again.exception, DataError) and "nothing was labelled" in str(again.exception)
    assert "6 pairs closer than 0.1 to one half" in again.stdout and not Path("q.jsonl").exists()


def test_principles_are_averaged(project: Path, judge: Planted) -> None:
    judge.say = lambda text: right(text) if "No shouting" in text else 1 - right(text)
    assert charter("--principles-per-pair", "3").exit_code == 0
    # Good gets 0.9 under one principle and 0.1 under two: (0.9 + 0.1 + 0.1) / 3.
    assert [row["probability"] for row in rows()] == pytest.approx([1 - 1.1 / 3] * 6)
    assert rows()[0]["chosen"][0]["content"] == "bad one"
    assert sorted(rows()[0]["principles"]) == ["brief", "calm", "kind"]


def test_a_chain_of_thought_clamps(project: Path, judge: Planted) -> None:
    found = charter("--chain-of-thought", "--json")
    assert {row["probability"] for row in rows()} == {0.6}
    assert all("Let me think of it." in text for text in judge.asked)
    assert set(json.loads(found.stdout)["prompt_shas"]) == {"compare_thinking", "verdict"}


def test_what_was_not_answered_has_no_label(project: Path, judge: Planted) -> None:
    judge.say = lambda text: math.nan if "q3" in text else right(text)
    found = charter("--json")
    said = json.loads(found.stdout)
    assert len(rows()) == 5 and said["counts"]["pairs without any answer"] == 1
    assert said["orders_agree"] == 1.0 and said["method"] == "pairs" and said["judge"]["card"] is None
    assert json.loads(Path("p.jsonl.journal/summary.json").read_text())["counts"] == said["counts"]


# -- the card ---------------------------------------------------------------------------------


def test_a_card_decides_what_is_asked(project: Path, judge: Planted) -> None:
    file = card({"calm": "refused", "brief": "uncalibrated"})
    found = charter("--card", file, "--principles-per-pair", "3")
    assert found.exit_code == 0, found.output
    assert {name for row in rows() for name in row["principles"]} == {"brief"}
    assert all("Short." in text for text in judge.asked)
    for line in ("not asked about calm: refused", "not asked about kind: not on the card", "examples alone"):
        assert line in found.stdout
    assert "NO CARD" not in found.stdout and "made on single answers" not in found.stdout
    other = charter("--card", card({"brief": "calibrated"}, name="planted (per_principle)"))
    assert "the card was made on single answers" in other.stdout


@pytest.mark.parametrize(
    ("uses", "more", "words"),
    [
        ({"calm": "refused"}, {}, "for no principle here: 1 refused; 2 not on the card"),
        ({"calm": "calibrated"}, {"name": "other (pairwise)"}, "the card is of other (pairwise)"),
        ({"calm": "calibrated"}, {"sha": "0" * 64}, "about no principle of this constitution"),
    ],
)
def test_a_card_that_vouches_for_nothing(
    project: Path, judge: Planted, uses: dict[str, str], more: dict[str, str], words: str
) -> None:
    found = charter("--card", card(uses, **more))
    assert isinstance(found.exception, CharterError) and words in str(found.exception)
    assert not judge.asked


# -- direct -------------------------------------------------------------------------------------


def test_direct_scores_are_rated_rows(project: Path, judge: Planted) -> None:
    found = charter("--direct")
    assert found.exit_code == 0, found.output
    by_id = {row["id"]: row for row in rows()}
    # 0.9 on "10" and 0.1 on "1": 9.1 of 10, which is 0.8 on the scale from -1 to 1.
    assert by_id["q0"]["scores"] == pytest.approx([-0.8, 0.8])
    assert by_id["q0"]["responses"][1] == [{"role": "assistant", "content": "good one"}]
    law = Constitution.load("c.constitution.md")
    for row in by_id.values():
        assert row["principle_shas"] == [law.principle(id).sha for id in row["principles"]]
        assert len(row["principles"]) == 1
    pairs = load_groups("p.jsonl", "preference").groups
    assert pairs[0].judgements[-1].target == PairTarget(1, 0)
    assert "answers to a prompt differ by 7.20 points (median); in 1 of 7 prompts" in found.stdout
    assert "100% of the probability went to a score" in found.stdout and "NO CARD" in found.stdout


def test_a_missing_score_is_not_zero(project: Path, judge: Planted) -> None:
    judge.say = lambda text: math.nan if "q3" in text and "good" in text else right(text)
    said = json.loads(charter("--direct", "--json").stdout)
    assert said["counts"]["answers without a score"] == 1
    assert "q3" not in {row["id"] for row in rows()} and said["prompts_told_apart"] == 5


# -- stopping, mistakes, and the real thing -----------------------------------------------------


@pytest.mark.parametrize("more", [(), ("--direct",)])
def test_stopped_by_ctrl_c_it_goes_on_and_asks_nothing_twice(
    project: Path, judge: Planted, more: tuple[str, ...]
) -> None:
    write_groups(Path("s.jsonl"), [group(f"q{i}", f"bad {i}", f"good {i}") for i in range(50)])
    judge.stop_after = 5
    stopped = charter(*more)
    assert isinstance(stopped.exception, Interrupted) and stopped.exception.code == 130
    assert len(judge.asked) == 64 and not Path("p.jsonl").exists()
    found = charter(*more)
    assert found.exit_code == 0, found.output
    assert len(judge.asked) == 100 == len(set(judge.asked)) and len(rows()) == 50
    before = Path("p.jsonl").read_bytes()
    assert charter(*more).exit_code == 0 and len(judge.asked) == 100
    assert Path("p.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--principle", "clam"), "did you mean 'calm'"),
        (("--direct", "--chain-of-thought"), "without reasons"),
        (("--direct", "--min-confidence", "0.1"), "have no probability"),
        (("--min-confidence", "0.5"), "at most 0.5"),
        (("--out", "s.jsonl"), "would be written over"),
        (("--card", "none.json"), "no such judge card"),
        (("--card", "s.jsonl"), "judge card"),
        (("--judge", "endpoint:m@http://127.0.0.1:9/v1"), "gives no log-probs"),
        (("--judge", "no-such-model"), "no-such-model"),
    ],
)
def test_mistakes_are_found_before_anything_is_asked(
    project: Path, judge: Planted, more: tuple[str, ...], words: str
) -> None:
    found = charter(*more)
    assert isinstance(found.exception, CharterError) and words in str(found.exception)
    assert not judge.asked and not Path("p.jsonl").exists()


def test_single_answers_cannot_be_compared(project: Path, judge: Planted) -> None:
    write_groups(Path("s.jsonl"), [group("q", "one")])
    found = charter()
    assert isinstance(found.exception, DataError) and "--num-generations 2" in str(found.exception)


def test_a_real_model_labels_and_is_loaded_last(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tiny("tiny", max_position_embeddings=4096)
    write_groups(Path("s.jsonl"), [group("q", "one word", "another text"), group("r", "yes", "no")])
    found = charter("--json", spec="tiny")
    assert found.exit_code == 0, found.output
    said = json.loads(found.stdout)
    assert len(rows()) == 2 and said["judge"]["name"].startswith("tiny@")
    assert all(0.5 <= row["probability"] < 1 for row in rows()) and 0 < said["option_mass"] < 1

    def load(name: str, **options: Any) -> Any:
        raise AssertionError("loaded before --out was looked at")

    monkeypatch.setattr("charter.models.load.load", load)
    assert isinstance(charter("--out", "q.txt", spec="tiny").exception, CharterError)
