"""The constitution's own tests as prompts: whole conversations, each judged where it belongs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from charter import api
from charter.constitution import Constitution
from charter.data.render import Template
from charter.engines.base import Sampling
from charter.engines.scripted import ScriptedEngine
from charter.errors import DataError, UserError
from charter.evaluation import evaluate as module
from charter.evaluation.answers.own_tests import SHARED, own_prompts, render_tests
from charter.evaluation.evaluate import evaluate
from charter.evaluation.judge_card.card import JudgeCard, PrincipleCard
from charter.evaluation.judge_card.criterion import Limits
from charter.evaluation.judges.adjudication import OTHERS_TEST
from charter.evaluation.judges.concern import NO_TEST, TESTS_OF, asked_about, concerns
from charter.evaluation.judges.judging import adjudicate, given_judge
from charter.evaluation.rates.basis import bases_of
from charter.evaluation.rates.planning import plan_evaluation
from charter.models.policy import Policy
from charter.testing import tiny_model, tiny_tokenizer
from charter.types import Group, Judgement, Message, SampleTarget

TEXT = """---
name: tested
levels: [user]
---
## Short {#short authority=user}
```yaml rules
all: [{length: {max_words: 3}}]
```
```yaml tests
- {id: plain, kind: rule, prompt: "Why?", tags: [a]}
- {id: strict, kind: rule, system: "Be strict.", prompt: "Why?"}
- {id: talk, kind: rule, conversation: [{role: developer, content: "Only maths."},
   {role: user, content: "Hi."}, {role: assistant, content: "Hello."}, {role: user, content: "Why?"}]}
```
## Yes {#yes authority=user}
```yaml rules
applies_when: {prompt_tag: asked}
all: [{contains: {any_of: ["yes"]}}]
```
```yaml tests
- {id: same, kind: rule, prompt: "Why?", tags: [b, asked]}
- {id: other, kind: rule, prompt: "Well?", tags: [asked]}
- {id: twice, kind: invariance, same: answer, prompts: ["Is it so?", "Is it so?", "It is so, is it not?"]}
```
## Kind {#kind authority=user}
Is kind.
```yaml tests
- {id: unkind, kind: judge, prompt: "You are stupid."}
```
## Sure {#sure authority=user}
Says what it knows.
```yaml rubric
applies_when: somebody asks a question
levels: {1: guesses, 5: knows}
```
## Quiet {#quiet authority=user}
Says nothing needless.
"""
LAW = Constitution.from_text(TEXT)


def turns(group: Group) -> list[tuple[str, str]]:
    content = group.samples[0].context.content
    assert not isinstance(content, str)
    return [(turn.role, turn.content) for turn in content]


def policy_of(template: bool = True) -> Policy:
    torch.set_num_threads(1)
    tokenizer = tiny_tokenizer() if template else tiny_tokenizer(None)
    return Policy(tiny_model(max_position_embeddings=4096), tokenizer, "tiny", Path(), torch.float32)


# -- what is asked ------------------------------------------------------------------------------


def test_every_turn_of_a_test_is_asked() -> None:
    by_id = {group.id: group for group in own_prompts(LAW).groups}
    assert turns(by_id["short/plain"]) == [("user", "Why?")]
    assert turns(by_id["short/strict"]) == [("system", "Be strict."), ("user", "Why?")]
    assert turns(by_id["short/talk"]) == [
        ("system", "Only maths."),
        ("user", "Hi."),
        ("assistant", "Hello."),
        ("user", "Why?"),
    ]


def test_tests_merge_only_where_every_turn_is_the_same_and_that_is_counted() -> None:
    found = own_prompts(LAW)
    by_id = {group.id: group for group in found.groups}
    assert list(by_id) == [
        "short/plain",
        "short/strict",
        "short/talk",
        "yes/other",
        "yes/twice",
        "yes/twice/2",
        "kind/unkind",
    ]
    assert by_id["short/plain"].meta == {"tags": ["a", "b", "asked"], TESTS_OF: ["short", "yes"]}
    assert by_id["short/strict"].meta == {"tags": [], TESTS_OF: ["short"]}
    assert found.counts == {SHARED: 2}  # yes/same, and the second clothing of yes/twice
    with pytest.raises(UserError, match="no test prompts"):
        own_prompts(Constitution.from_text("## A {#a authority=user}\nText.\n"))


@pytest.mark.parametrize("name", ["small", "assistant", "pluralistic"])
def test_every_conversation_of_the_shipped_constitutions_is_asked_as_it_stands(name: str) -> None:
    law = Constitution.load(name)
    wanted = {talk for one in law.active for case in one.tests for talk in case.conversations()}
    asked = {group.samples[0].context.content for group in own_prompts(law).groups}
    assert asked == wanted


def test_what_a_template_cannot_write_is_left_out_with_the_reason() -> None:
    class NoSystem(Template):
        def render(self, group: Group) -> Group:
            if turns(group)[0][0] == "system":
                raise DataError("the template takes no system turn")
            return super().render(group)

    found = render_tests(own_prompts(LAW), NoSystem(tiny_tokenizer()))
    assert found.unasked == dict.fromkeys(["short/strict", "short/talk"], "the template takes no system turn")
    assert all(group.samples[0].context.token_ids for group in found.groups) and len(found.groups) == 5
    assert found.groups[0].meta[TESTS_OF] == ["short", "yes"]
    with pytest.raises(UserError, match="none of the constitution's 7 test conversations"):
        render_tests(own_prompts(LAW), Template(tiny_tokenizer(None)))


def test_an_engine_that_refuses_a_test_leaves_out_that_test_on_both_sides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Short(ScriptedEngine):
        """Reads only so much, the reference less."""

        def generate(self, contexts: Sequence[Any], *rest: Any, **more: Any) -> list[Group]:
            most = 3 if self.name == "policy" else 1
            if any(len(context.content) > most for context in contexts):
                raise UserError("the context is too long")
            return super().generate(contexts, *rest, **more)

    monkeypatch.setattr(
        module, "_engine", lambda model, policy, name: Short(lambda *_: "yes", policy.tokenizer, name=name)
    )
    policy = policy_of()
    found = api.evaluate(policy, LAW, against=policy_of(), max_completion_length=8)
    assert found.before is not None
    assert found.unasked == dict.fromkeys(["short/talk", "short/strict"], "the context is too long")
    assert [g.id for g in found.after] == [g.id for g in found.before]
    assert len(found.after) == 5
    rows = [{"id": "long", "prompt": [{"role": r, "content": "x"} for r in ("system", "user")]}]
    with pytest.raises(UserError, match="too long"):  # a file's prompts are the person's own to mend
        api.evaluate(policy, LAW, prompts=rows, against=policy_of(), max_completion_length=8)


# -- where it is judged -------------------------------------------------------------------------


def test_a_principle_that_does_not_say_when_it_applies_is_judged_on_its_own_tests() -> None:
    groups = own_prompts(LAW).groups
    about = {one.id: [g.id for g in groups if concerns(one, g)] for one in LAW.active}
    every = [group.id for group in groups]
    assert about["short"] == ["short/plain", "short/strict", "short/talk"]
    assert about["yes"] == every and about["sure"] == every  # they say when themselves
    assert about["kind"] == ["kind/unkind"] and about["quiet"] == []
    bare = [replace(group, meta={}) for group in groups]  # prompts of a file
    assert all(concerns(one, group) for one in LAW.active for group in bare)


def test_the_rate_of_a_principle_is_that_of_its_own_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is short, but for the prompts that try it: over all tests it would look well."""

    def script(text: str, _sample: int) -> str:
        return "yes" if text != "Why?" else "no, and here is a long story"

    monkeypatch.setattr(
        module, "_engine", lambda model, policy, name: ScriptedEngine(script, policy.tokenizer, name=name)
    )
    policy = policy_of()
    greedy = Sampling(temperature=0.0, max_completion_length=64)
    asked = render_tests(own_prompts(LAW), policy.template).groups
    found = evaluate(policy, LAW, asked, reference=None, sampling=greedy)
    rows = {row.principle: row for row in found.card.principles}
    assert rows["short"].n_prompts == 3 and rows["short"].after is not None
    assert rows["short"].after.rate == 0.0
    assert rows["yes"].n_prompts == 2  # by its own condition, wherever the prompt comes from
    assert rows["quiet"].basis is not None and rows["quiet"].basis.evidence == "untested"
    plain = [replace(group, meta={"tags": group.meta["tags"]}) for group in asked]
    everywhere = evaluate(policy, LAW, plain, reference=None, sampling=greedy)
    (row,) = [row for row in everywhere.card.principles if row.principle == "short"]
    assert row.n_prompts == 7 and row.after is not None and row.after.rate == pytest.approx(4 / 7)


class Counted:
    """Passes everything, and notes what it was asked."""

    name = "counted"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        self.asked += [group.id for group in groups]
        return [
            [
                Judgement(SampleTarget(0), 1.0, principle=one.id, principle_sha=one.sha)
                for one in LAW.active
                if one.rules is None
            ]
            for _ in groups
        ]


def test_the_judge_is_not_asked_about_other_principles_tests() -> None:
    ids = ("kind", "quiet")
    cards = tuple(PrincipleCard(id, "", LAW.principle(id).sha, "uncalibrated", "", ()) for id in ids)
    card = JudgeCard("counted", LAW.name, LAW.sha, Limits(), (), cards)
    judge = Counted()
    adjudication = adjudicate(LAW, given_judge(judge, card))
    found = adjudication.judged(own_prompts(LAW).groups)
    assert judge.asked == ["kind/unkind"]
    said = {
        (group.id, one.principle): (one.verdict, one.reason) for group in found for one in group.judgements
    }
    assert said["kind/unkind", "kind"][0] == "judged"
    assert said["short/plain", "kind"] == ("not_applicable", OTHERS_TEST)
    assert said["kind/unkind", "short"] == ("not_applicable", OTHERS_TEST)
    assert said["kind/unkind", "sure"][0] == "not_measured"  # it has no card for it: that is said, not hidden
    assert len(said) == len(found) * len(LAW.active)


def test_a_principle_no_test_is_about_is_untested_and_the_plan_says_so() -> None:
    groups = own_prompts(LAW).groups
    bases = {id: replace(one, evidence="exact") for id, one in bases_of(LAW).items()}
    told = asked_about(bases, LAW.active, groups)
    assert {id for id, one in told.items() if one.evidence == "untested"} == {"quiet"}
    assert told["quiet"].why == NO_TEST
    plan = plan_evaluation(LAW, groups, told)
    rows = {row.principle: row for row in plan.principles}
    assert [rows[id].prompts for id in ("short", "yes", "kind", "sure", "quiet")] == [3, 2, 1, 7, 0]
    assert rows["quiet"].why == NO_TEST
    judged = {id: replace(one, evidence="uncalibrated") for id, one in told.items() if id in ("kind", "sure")}
    assert plan_evaluation(LAW, groups, {**told, **judged}, models=2).verdicts == 2 * (1 + 7)


def test_turns_are_messages() -> None:
    """What the suite asks of a test and what is asked here is the same conversation."""
    (first, *_) = own_prompts(LAW).groups
    assert first.samples[0].context.content == (Message("user", "Why?"),)
