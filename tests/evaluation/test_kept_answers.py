"""Nothing that was answered or judged is lost when an evaluation stops, and nothing is asked twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from judge_card_judges import POLITE, TRUE, constitution

from charter.constitution import Constitution
from charter.data.formats import LoadedData
from charter.data.prepare import prepare
from charter.engines.base import Engine, Sampling
from charter.engines.local import LocalEngine
from charter.engines.scripted import ScriptedEngine
from charter.errors import ConfigError, Interrupted, UserError
from charter.evaluation import evaluate as module
from charter.evaluation.answers.kept import AT_ONCE, AnswerFile, KeptEngine
from charter.evaluation.answers.own_tests import own_prompts, render_tests
from charter.evaluation.evaluate import Evaluation, evaluate
from charter.evaluation.judge_card.asking import Subject
from charter.evaluation.judge_card.flipped import TurnedBack
from charter.evaluation.judges.judging import Adjudicator
from charter.evaluation.judges.kept import KeptJudge, kept, kept_subject
from charter.evaluation.keep import ANSWERS, VERDICTS, Keep
from charter.feedback.judging.feedback import ModelJudge
from charter.feedback.judging.per_principle import PerPrinciple
from charter.interrupt import graceful
from charter.models.pairing import Reference
from charter.models.policy import Policy
from charter.testing import tiny_model, tiny_tokenizer
from charter.testing.judge import ScriptedJudge
from charter.types import Completion, Context, Group, Judgement, Message, Sample

LAW = constitution()
GREEDY = Sampling(temperature=0.0, max_completion_length=32)
HOT = Sampling(temperature=1.0, max_completion_length=6, seed=3)


def contexts(count: int, *repeats: int) -> list[Context]:
    template = policy_of().template
    places = [*range(count), *repeats]
    made = [(Message("user", f"Question {i}?"),) for i in places]
    return [Context(turns, template.render_context(turns)) for turns in made]


def policy_of(seed: int = 0) -> Policy:
    torch.set_num_threads(1)
    return Policy(tiny_model(seed), tiny_tokenizer(), "tiny", Path(), torch.float32)


def local(seed: int = 0) -> LocalEngine:
    policy = policy_of(seed)
    return LocalEngine(policy.model, policy.tokenizer, compute_dtype=torch.float32)


class Asked(ScriptedEngine):
    """Counts the answers it gives, and is stopped after some."""

    def __init__(self, stop_after: int | None = None, name: str = "policy") -> None:
        super().__init__(lambda text, i: f"yes {text}", tiny_tokenizer(), name=name)
        self.given = 0
        self.stop_after = stop_after

    def generate(self, contexts: Sequence[Context], n: int, *rest: Any, **more: Any) -> list[Group]:
        if self.stop_after is not None and self.given >= self.stop_after:
            raise Interrupted("stopped while sampling", fix="nothing was kept")
        self.given += len(contexts) * n
        return super().generate(contexts, n, *rest, **more)


# -- answers ------------------------------------------------------------------------------------


def test_in_parts_the_answers_are_those_of_one_request() -> None:
    """Sampled ones too, and those of a context that stands in the request twice."""
    asked = contexts(AT_ONCE + 5, 3, 3, 7)
    whole = local().generate(asked, 2, HOT)
    parts = KeptEngine(local(), AnswerFile(), "x").generate(asked, 2, HOT)
    assert [g.samples for g in parts] == [g.samples for g in whole]
    assert whole[3].samples != whole[AT_ONCE + 5].samples


def test_answers_are_read_back_as_they_were(tmp_path: Path) -> None:
    asked = contexts(4, 2)
    first = KeptEngine(local(), AnswerFile(tmp_path / "a"), "x").generate(asked, 2, HOT)
    counted = Asked()
    again = KeptEngine(counted, AnswerFile(tmp_path / "a"), "x").generate(asked, 2, HOT)
    assert [g.samples for g in again] == [g.samples for g in first] and counted.given == 0
    assert first[0].samples[0].completion.logps  # kept whole


@pytest.mark.parametrize("other", ["identity", "n", "sampling", "policy", "context", "length"])
def test_another_question_is_asked(tmp_path: Path, other: str) -> None:
    file = AnswerFile(tmp_path / "a")
    asked = contexts(3)
    KeptEngine(Asked(), file, "x").generate(asked, 2, HOT)
    how: dict[str, Any] = {"identity": "x", "n": 2, "sampling": HOT, "policy": "policy", "asked": asked}
    others: dict[str, dict[str, Any]] = {
        "identity": {"identity": "y"},
        "n": {"n": 1},
        "sampling": {"sampling": HOT.model_copy(update={"seed": 4})},
        "policy": {"policy": "reference"},
        "context": {"asked": [replace(one, token_ids=(*one.token_ids, 5)) for one in asked]},
        "length": {"sampling": HOT.model_copy(update={"max_completion_length": 5})},
    }
    how |= others[other]
    engine = Asked()
    made = KeptEngine(engine, AnswerFile(tmp_path / "a"), how["identity"])
    made.generate(how["asked"], how["n"], how["sampling"], how["policy"])
    assert engine.given == 3 * how["n"]


def test_a_stop_keeps_what_was_answered_and_says_where(tmp_path: Path) -> None:
    asked, path = contexts(3 * AT_ONCE), tmp_path / "a"
    stopped = Asked(stop_after=AT_ONCE)
    with pytest.raises(Interrupted) as error:
        KeptEngine(stopped, AnswerFile(path), "x", "run it again").generate(asked, 1, GREEDY)
    assert error.value.fix == "run it again"
    rest = Asked()
    told: list[int] = []
    found = KeptEngine(rest, AnswerFile(path), "x").generate(asked, 1, GREEDY, on_progress=told.append)
    assert rest.given == 2 * AT_ONCE and len(found) == 3 * AT_ONCE
    assert told[0] == AT_ONCE and sum(told) == 3 * AT_ONCE  # progress goes on where it was
    assert [one.samples[0].context for one in found] == asked


def test_a_signal_stops_between_parts(tmp_path: Path) -> None:
    class Pressed(Asked):
        def generate(self, *rest: Any, **more: Any) -> list[Group]:
            stop.signum = 2
            return super().generate(*rest, **more)

    engine = Pressed()
    with graceful() as stop, pytest.raises(Interrupted) as error:
        made = KeptEngine(engine, AnswerFile(tmp_path / "a"), "x", "go on")
        made.generate(contexts(2 * AT_ONCE), 1, GREEDY)
    assert engine.given == AT_ONCE and error.value.fix == "go on"
    assert len(AnswerFile(tmp_path / "a")) == AT_ONCE


def test_an_answer_that_never_came_is_asked_for_again(tmp_path: Path) -> None:
    class Silent(Asked):
        def generate(self, contexts: Sequence[Context], n: int, *rest: Any, **more: Any) -> list[Group]:
            found = super().generate(contexts, n, *rest, **more)
            return [replace(found[0], samples=()), *found[1:]]

    asked = contexts(3)
    KeptEngine(Silent(), AnswerFile(tmp_path / "a"), "x").generate(asked, 1, GREEDY)
    again = Asked()
    found = KeptEngine(again, AnswerFile(tmp_path / "a"), "x").generate(asked, 1, GREEDY)
    assert again.given == 1 and all(one.samples for one in found)


def test_a_file_of_something_else_and_other_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text('{"key": "x"}\n', "utf-8")
    with pytest.raises(UserError, match="not a row of a file of kept answers"):
        AnswerFile(tmp_path / "a")
    with pytest.raises(ConfigError, match="its weights cannot change"):
        KeptEngine(Asked(), AnswerFile(), "x").load_weights(None, 1)


# -- verdicts -----------------------------------------------------------------------------------


def model_judge(law: Constitution = LAW, **how: Any) -> tuple[ModelJudge, ScriptedJudge]:
    seeds, only = how.pop("seeds", 1), how.pop("only", None)
    asked = ScriptedJudge(lambda _title, text: "yes" in text, **how)
    return ModelJudge(law, asked, PerPrinciple(method="words", seeds=seeds), only=only), asked


def answers(count: int, text: str = "yes") -> list[Group]:
    return [
        Group(
            (Sample(Context((Message("user", f"Q {i}?"),)), Completion((Message("assistant", text),))),),
            id=f"p{i}",
        )
        for i in range(count)
    ]


def test_verdicts_are_kept_as_they_come(tmp_path: Path) -> None:
    judge, asked = model_judge()
    first = KeptJudge(judge, tmp_path / "v").judge(answers(5))
    before = len(asked.asked)
    other, again = model_judge()
    assert KeptJudge(other, tmp_path / "v").judge(answers(7))[:5] == first
    assert before == 10 and len(again.asked) == 4  # two principles, two answers more


@pytest.mark.parametrize("other", ["name", "seeds", "only", "text", "sampled_by", "use", "principle"])
def test_another_judge_or_answer_is_asked(tmp_path: Path, other: str) -> None:
    KeptJudge(model_judge()[0], tmp_path / "v", "answers").judge(answers(3))
    others: dict[str, dict[str, Any]] = {
        "name": {"name": "b"},
        "seeds": {"seeds": 3},
        "only": {"only": [POLITE]},
    }
    how = others.get(other, {})
    if other == "principle":
        changed = LAW.principle(POLITE)
        how = {"law": replace(LAW, principles=(replace(changed, text="Other words."), LAW.principle(TRUE)))}
    judge, asked = model_judge(**how)
    groups = answers(3, "no" if other == "text" else "yes")
    if other == "sampled_by":
        groups = [
            replace(
                g,
                samples=tuple(
                    replace(s, completion=replace(s.completion, sampled_by="gpt")) for s in g.samples
                ),
            )
            for g in groups
        ]
    KeptJudge(judge, tmp_path / "v", "card" if other == "use" else "answers").judge(groups)
    assert asked.asked


def test_a_verdict_that_failed_is_asked_for_again(tmp_path: Path) -> None:
    down, _ = model_judge(down=True)
    said = KeptJudge(down, tmp_path / "v").judge(answers(3))
    assert {one.verdict for group in said for one in group} == {"error"}
    up, asked = model_judge()
    said = KeptJudge(up, tmp_path / "v").judge(answers(3))
    assert {one.value for group in said for one in group} == {1.0} and len(asked.asked) == 6


def test_a_stop_keeps_the_verdicts_there_are(tmp_path: Path) -> None:
    judge, asked = model_judge()

    class Pressed:
        """Stops the person's way after its first batch."""

        def __init__(self) -> None:
            self.constitution, self.panel, self.form = judge.constitution, judge.panel, judge.form
            self.name, self.only = judge.name, judge.only

        def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
            stop.signum = 2
            return judge.judge(groups)

    with graceful() as stop, pytest.raises(Interrupted, match="while answers were judged"):
        KeptJudge(Pressed(), tmp_path / "v").judge(answers(100))  # type: ignore[arg-type]
    before = len(asked.asked)
    assert before == 2 * 64
    KeptJudge(judge, tmp_path / "v").judge(answers(100))
    assert len(asked.asked) - before == 2 * 36


def test_only_models_are_kept_and_what_turns_them_round_stays(tmp_path: Path) -> None:
    judge, _ = model_judge()
    assert isinstance(kept(judge, tmp_path / "v"), KeptJudge)
    turned = kept(TurnedBack(judge), tmp_path / "v")
    assert isinstance(turned, TurnedBack) and isinstance(turned.judge_, KeptJudge)

    class Own:
        def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
            return []

    own = Own()
    assert kept(own, tmp_path / "v") is own and kept(judge, None) is judge


def test_an_examination_is_kept_too(tmp_path: Path) -> None:
    from charter.evaluation.judge_card.examine import examine

    def subject() -> tuple[Subject, ScriptedJudge]:
        asked = ScriptedJudge(lambda _title, text: "shut up" not in text and "no idea" not in text)
        made = Subject(
            "scripted",
            lambda law, only: ModelJudge(law, asked, PerPrinciple(method="words"), only=only),
            lambda law, only: ModelJudge(law, asked, PerPrinciple(method="words", flipped=True), only=only),
        )
        return kept_subject(made, tmp_path / "v"), asked

    one, first = subject()
    card = examine(one, LAW)
    two, again = subject()
    assert examine(two, LAW).to_json() == card.to_json()
    assert first.asked and not again.asked
    flipped = card.principles[0].criterion("flipped")
    assert flipped.result == "pass"  # the opposite question was not answered from the usual one


# -- a whole evaluation -------------------------------------------------------------------------

TEXT = """---
name: tested
levels: [user]
judge: {seeds: 1}
---
## Brief {#brief authority=user}
```yaml rules
all: [{length: {max_words: 30}}]
```
```yaml tests
TESTS
```
## Kind {#kind authority=user}
Is kind.
```yaml rubric
applies_when: always
levels: {1: rude, 5: kind}
```
"""
TESTS = "\n".join(f'- {{id: t{i}, kind: rule, prompt: "Ask {i}?"}}' for i in range(2 * AT_ONCE))
PUSHED = '- {id: pushed, kind: flip, prompt: "2+2?", expect: "4", push: ["Sure?"]}'
OWN = Constitution.from_text(TEXT.replace("TESTS", f"{TESTS}\n{PUSHED}"))


class Runs:
    """Evaluations of the same model that note who was asked what."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keep = Keep(folder)
        self.policy = policy_of()
        self.engines: dict[str, Asked] = {}
        self.judge = ScriptedJudge(lambda *_: True, family="other")
        self.stop_after: dict[str, int] = {}
        monkeypatch.setattr(module, "_engine", self._engine)

    def _engine(self, model: Any, policy: Policy, name: str) -> Engine:
        self.engines[name] = Asked(self.stop_after.get(name), name)
        return self.engines[name]

    def run(self, **stop_after: int) -> Evaluation:
        self.stop_after, self.judge.asked = stop_after, []
        asked = render_tests(own_prompts(OWN), self.policy.template).groups

        def opened(law: Constitution, only: Any) -> Any:
            made = ModelJudge(law, self.judge, PerPrinciple(method="words"), only=only)
            return kept(made, self.keep.verdicts)

        who = Adjudicator("scripted", opened, Subject("scripted", opened), card=self.card())
        return evaluate(
            self.policy,
            OWN,
            asked,
            reference=Reference(tiny_model(1)),
            sampling=GREEDY,
            judge=who,
            measure_tests=True,
            keep=self.keep,
        )

    def card(self) -> Any:
        from charter.evaluation.judge_card.card import JudgeCard, PrincipleCard
        from charter.evaluation.judge_card.criterion import Limits

        kind = PrincipleCard("kind", "", OWN.principle("kind").sha, "uncalibrated", "", ())
        return JudgeCard("scripted", OWN.name, OWN.sha, Limits(), (), (kind,))

    @property
    def given(self) -> dict[str, int]:
        return {name: engine.given for name, engine in self.engines.items()}


def test_a_stopped_evaluation_goes_on_without_asking_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, prompts = Runs(tmp_path / "out", monkeypatch), 2 * AT_ONCE + 1
    with pytest.raises(Interrupted) as error:
        runs.run(policy=AT_ONCE)
    assert str(tmp_path / "out") in str(error.value.fix)
    assert (tmp_path / "out" / ANSWERS).is_file()
    with pytest.raises(Interrupted):
        runs.run(reference=AT_ONCE)  # the base model's answers are stopped next
    assert runs.given["policy"] == prompts - AT_ONCE and not runs.judge.asked
    whole = runs.run()
    # Of the base what was left; of the policy the pushes of the flip test and the health's own samples.
    assert runs.given["reference"] == prompts - AT_ONCE
    pushes, probes = 1, 48
    assert runs.given["policy"] <= pushes + probes + 16
    assert len(runs.judge.asked) == prompts  # the base says the same, which was judged already
    assert (tmp_path / "out" / VERDICTS).is_file()
    again = runs.run()
    assert runs.given == {"policy": 0, "reference": 0} and not runs.judge.asked
    assert again.card.to_json() == whole.card.to_json() and again.tests is not None
    assert again.tests.to_json() == whole.tests.to_json()  # type: ignore[union-attr]


def test_another_model_of_the_same_name_is_asked_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(tmp_path / "out", monkeypatch)
    runs.run()
    runs.policy = policy_of(seed=5)
    runs.run()
    assert runs.given["policy"] >= 2 * AT_ONCE + 1 and runs.given["reference"] == 0


def test_what_stands_around_the_model_is_part_of_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from charter import api

    made: list[Asked] = []

    def engine(model: Any, policy: Policy, name: str) -> Engine:
        made.append(Asked(name=name))
        return made[-1]

    monkeypatch.setattr(module, "_engine", engine)
    policy, prompts = policy_of(), ["Why?", "How?"]

    def given(**options: Any) -> int:
        made.clear()
        api.evaluate(policy, OWN, prompts=prompts, keep=tmp_path / "k", max_completion_length=8, **options)
        return sum(one.given for one in made)

    assert given(system_prompt="Be brief.") == 4  # asked through it, and plainly beside it
    assert given(system_prompt="Be brief.") == 0
    assert given(system_prompt="Be long.") == 2  # the plain answers are there
    assert given() == 2  # plain answers as the policy's own, not as its reference's
    with pytest.raises(ValueError, match="has no identity"):
        loaded = LoadedData((Group((Sample(Context("x"), Completion()),), id="x"),), {}, "prompts")
        asked = prepare(loaded, policy.template).groups
        evaluate(policy, OWN, asked, reference=None, sampling=GREEDY, around=lambda e: e, keep=Keep(tmp_path))


def test_a_torn_last_line_is_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    KeptEngine(Asked(), AnswerFile(path), "x").generate(contexts(3), 1, GREEDY)
    lines = path.read_text("utf-8").splitlines()
    assert len(lines) == 3 and all(json.loads(line)["key"] for line in lines)
    path.write_text("\n".join([*lines[:2], lines[2][:40]]), "utf-8")
    rest = Asked()
    KeptEngine(rest, AnswerFile(path), "x").generate(contexts(3), 1, GREEDY)
    assert rest.given == 1
