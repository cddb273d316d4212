"""``charter clair``: losers revised behind a fake endpoint, judged by a script, stopped and continued."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
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
from charter.testing.endpoint import Act, FakeEndpoint, Request, say
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
"""


def lower(request: Request) -> Act:
    """The answer without capitals, unless it is stubborn."""
    answer = request.body["messages"][-2]["content"]
    return say(answer if "stubborn" in answer else answer.lower())


class Likes:
    """Gives an answer without capitals nine parts of ten, unless it is of cats; keeps what it was asked."""

    name = "likes"
    family = "none"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def option_logps(
        self, questions: Sequence[Question], options: Sequence[Sequence[str]]
    ) -> list[tuple[float, ...]]:
        return [self._one(question.turns[-1].content) for question in questions]

    def _one(self, text: str) -> tuple[float, ...]:
        self.asked.append(text)
        found = re.search(r"answer \(A\)\n(.*?)\n\[\w+\] answer \(B\)\n(.*?)\n\[\w+\] end", text, re.DOTALL)
        assert found
        first = 0.1 if found[1].islower() == ("cats" in text) else 0.9
        return math.log(first), math.log(1 - first)


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Likes:
    found = Likes()

    def opened(spec: str, **options: Any) -> Any:
        return found if spec == "likes" else open_model(spec, **options)

    monkeypatch.setattr("charter.pipeline.revising.open_model", opened)
    return found


@pytest.fixture
def fake() -> Iterator[FakeEndpoint]:
    with FakeEndpoint(lower) as found:
        yield found


def group(prompt: str, *answers: str, said: tuple[Judgement, ...] = ()) -> Group:
    context = Context((Message("user", prompt),))
    samples = tuple(Sample(context, Completion((Message("assistant", one),))) for one in answers)
    return Group(samples, said, id=prompt)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("c.constitution.md").write_text(LAW, "utf-8")
    groups = [
        group("dogs", "Dogs BARK loudly at night", ""),
        group("cats", "Cats MEOW"),
        group("tell me about whales LOUDLY", "WHALES"),
        group("mules", "Mules are stubborn"),
        group("birds", "Sing softly", "SING NOW", said=(Judgement(PairTarget(0, 1), 1.0, principle="calm"),)),
    ]
    write_groups(Path("s.jsonl"), groups)
    return tmp_path


def charter(url: str, *more: str) -> Result:
    given = ["clair", "s.jsonl", "--constitution", "c.constitution.md", "--out", "p.jsonl"]
    return CliRunner().invoke(app, [*given, "--reviser", f"endpoint:m@{url},concurrency=1", *more])


def rows(path: str = "p.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def pairs(path: str = "p.jsonl") -> list[tuple[str, str]]:
    return [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows(path)]


def card(uses: dict[str, str], name: str = "likes (pairwise)", file: str = "card.json") -> str:
    law = Constitution.load("c.constitution.md")
    cards = tuple(
        PrincipleCard(id, "", law.principle(id).sha, use, "planted", ())  # type: ignore[arg-type]
        for id, use in uses.items()
    )
    write_json(Path(file), JudgeCard(name, law.name, law.sha, Limits(), (), cards).to_json())
    return file


def test_pairs_with_the_contrast_told(project: Path, fake: FakeEndpoint) -> None:
    found = charter(fake.url)
    assert found.exit_code == 0, found.output
    assert pairs() == [
        ("dogs bark loudly at night", "Dogs BARK loudly at night"),
        ("cats meow", "Cats MEOW"),
        ("sing now", "SING NOW"),
    ]
    first, _, third = rows()
    assert first["levenshtein_ratio"] == pytest.approx(3 / 5) and first["jaccard"] == pytest.approx(3 / 7)
    assert third["principle"] == "calm", "a judged pair is revised under the principle it was judged on"
    for line in (
        "1 prompts that are a test of the constitution",
        "1 empty answers",
        "3 minimal revisions kept",
        "1 revisions that change nothing",
        "Levenshtein ratio 0.00",
        "no judge compared",
    ):
        assert line in found.stdout
    assert all("whales" not in text.lower() for text in fake.texts)
    assert load_groups("p.jsonl", "preference").groups[0].meta["jaccard"] == pytest.approx(3 / 7)


def test_json_has_the_contrast_and_where_it_came_from(project: Path, fake: FakeEndpoint) -> None:
    said = json.loads(charter(fake.url, "--json").stdout)
    assert said["counts"]["losing answers"] == 4 and said["counts"]["minimal revisions kept"] == 3
    ratio = said["contrast"]["levenshtein_ratio"]
    assert (ratio["lowest"], ratio["highest"]) == (0.0, pytest.approx(0.6))
    assert said["judge"] is None and said["reviser"].startswith("m@")
    assert "minimal_revision" in said["prompt_shas"]


def test_revisions_that_change_too_much_are_left_out(project: Path, fake: FakeEndpoint) -> None:
    found = charter(fake.url, "--min-levenshtein-ratio", "0.5")
    assert found.exit_code == 0 and len(pairs()) == 1
    assert "2 revisions that change too much" in found.stdout


def test_a_judge_without_a_card_is_shown_as_one(project: Path, fake: FakeEndpoint, judge: Likes) -> None:
    found = charter(fake.url, "--judge", "likes")
    assert found.exit_code == 0, found.output
    assert [one for one, _ in pairs()] == ["dogs bark loudly at night", "sing now"]
    assert "1 revisions a judge does not prefer" in found.stdout and "NO CARD" in found.stdout
    assert len(judge.asked) == 6, "each pair in both orders"


def test_a_judge_that_revises_too_is_opened_once_and_shown(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Both(Likes):
        def answer(self, questions: Sequence[Question], asking: Asking) -> list[list[Reply]]:
            return [[Reply(one.turns[-2].content.lower())] for one in questions]

    opened: list[str] = []

    def open_one(spec: str, **options: Any) -> Both:
        opened.append(spec)
        return Both()

    monkeypatch.setattr("charter.pipeline.revising.open_model", open_one)
    found = charter("", "--reviser", "both", "--judge", "both")
    assert found.exit_code == 0, found.output
    assert opened == ["both"] and "the judge is the reviser itself" in found.stdout
    assert "1 revisions a judge does not prefer" in found.stdout


def test_a_card_decides_which_principles_are_drawn(project: Path, fake: FakeEndpoint, judge: Likes) -> None:
    file = card({"calm": "refused", "brief": "calibrated"})
    found = charter(fake.url, "--judge", "likes", "--card", file)
    assert found.exit_code == 0, found.output
    assert {row["principle"] for row in rows()} == {"brief"}
    assert all("Short." in text for text in [*fake.texts, *judge.asked])
    assert "not asked about calm: refused" in found.stdout and "NO CARD" not in found.stdout


def test_stopped_by_ctrl_c_it_goes_on_and_asks_nothing_twice(project: Path) -> None:
    def stopping(request: Request) -> Act:
        if request.number == 1:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)  # the command's own thread hears it before this answer lets it go on
        return lower(request)

    with FakeEndpoint(stopping) as fake:
        stopped = charter(fake.url)
        assert isinstance(stopped.exception, Interrupted) and stopped.exception.code == 130
        assert 0 < len(fake.requests) < 4 and not Path("p.jsonl").exists()
        assert charter(fake.url).exit_code == 0
        assert len(fake.requests) == 4 == len({str(one.body["messages"]) for one in fake.requests})
        before = Path("p.jsonl").read_bytes()
        assert charter(fake.url).exit_code == 0 and len(fake.requests) == 4
    assert Path("p.jsonl").read_bytes() == before and len(pairs()) == 3


def test_comparisons_lose_once_and_ties_never(project: Path, fake: FakeEndpoint) -> None:
    def beats(better: int, worse: int, value: float = 1.0, principle: str = "calm") -> Judgement:
        return Judgement(PairTarget(better, worse), value, principle=principle)

    said = (beats(0, 2), beats(1, 2), beats(0, 1, 0.0), beats(0, 2, principle="brief"))
    write_groups(Path("s.jsonl"), [group("q", "one", "two", "THREE Words", said=said)])
    found = charter(fake.url)
    assert found.exit_code == 0, found.output
    assert "1 answers that lost before on the same principle" in found.stdout
    assert "1 comparisons that nobody won" in found.stdout
    assert [row["principle"] for row in rows()] == ["calm", "brief"]
    assert len({row["id"] for row in rows()}) == 2


def test_nothing_left_is_an_error_that_says_why(project: Path) -> None:
    with FakeEndpoint([say(None)]) as fake:
        found = charter(fake.url)
    assert isinstance(found.exception, DataError) and "no revision is left" in str(found.exception)
    assert "4 revisions that failed" in found.stdout and not Path("p.jsonl").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--principle", "clam"), "did you mean 'calm'"),
        (("--out", "s.jsonl"), "would be written over"),
        (("--out", "p.csv"), "ending in .jsonl"),
        (("--card", "card.json"), "no effect without a judge"),
        (("--judge", "likes", "--card", "none.json"), "no such judge card"),
        (("--judge", "likes", "--card", "{other}"), "the card is of somebody (pairwise), the judge is likes"),
        (("--judge", "likes", "--card", "{refused}"), "for no principle here: 1 refused; 1 undecided"),
        (("--judge", "likes", "--card", "{half}", "--principle", "calm"), "may not be used for 'calm'"),
        (("--judge", "endpoint:m@http://127.0.0.1:9/v1"), "gives no log-probs"),
        (("--judge", "no-such-model"), "no-such-model"),
        (("--reviser", "no-such-model"), "no-such-model"),
        (("--wording", "none.yaml"), "no such file"),
    ],
)
def test_mistakes_are_found_before_anything_is_asked(
    project: Path, fake: FakeEndpoint, judge: Likes, more: tuple[str, ...], words: str
) -> None:
    cards = {
        "other": card({"calm": "calibrated"}, "somebody (pairwise)", "other.json"),
        "refused": card({"calm": "refused", "brief": "undecided"}, file="refused.json"),
        "half": card({"calm": "refused", "brief": "calibrated"}, file="half.json"),
    }
    found = charter(fake.url, *(one.format(**cards) for one in more))
    assert isinstance(found.exception, CharterError) and words in str(found.exception)
    assert not fake.requests and not judge.asked and not Path("p.jsonl").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"prompt": "q"}\n', "wanted answers to prompts"),
        ('{"prompt": "Tell me about whales, loudly.", "completion": "x"}\n', "all of them tests"),
        ("", "s.jsonl"),
    ],
)
def test_files_without_answers(project: Path, fake: FakeEndpoint, text: str, words: str) -> None:
    Path("s.jsonl").write_text(text, "utf-8")
    found = charter(fake.url)
    assert isinstance(found.exception, CharterError) and words in str(found.exception)
    assert not fake.requests
