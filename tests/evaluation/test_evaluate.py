"""A policy beside its reference: answered, judged, compared, and looked at for harm."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from charter.constitution import Constitution
from charter.data.formats import LoadedData
from charter.data.prepare import prepare
from charter.engines.base import Sampling
from charter.engines.scripted import ScriptedEngine
from charter.errors import DataError, UserError
from charter.evaluation import evaluate as module
from charter.evaluation.evaluate import Evaluation, evaluate, examples
from charter.evaluation.health import fluency
from charter.evaluation.health.fluency import Estimate
from charter.models.pairing import Reference
from charter.models.policy import Policy
from charter.rundir import write_json
from charter.testing import tiny_model, tiny_tokenizer
from charter.types import Completion, Context, Group, Message, Sample

TEXT = """---
name: tested
levels: [user, guideline]
gates: {user: {min_lower_bound: 0.2}, regression: {max_drop: 0.1, alpha: 0.05}}
---
## Brief {#brief authority=user}
```yaml rules
all: [{length: {max_words: 3}}]
```
## Says yes {#yes authority=user}
```yaml rules
applies_when: {prompt_tag: asked}
all: [{contains: {any_of: ["yes"]}}]
```
## Kind {#kind authority=guideline}
```yaml rubric
levels: {1: mocks, 5: takes seriously}
```
"""
NO_REGRESSION = """---
name: plain
levels: [user, guideline]
gates: {guideline: {min_lower_bound: 0.2}}
---
## Brief {#brief authority=user}
```yaml rules
all: [{length: {max_words: 3}}]
```
"""
GREEDY = Sampling(temperature=0.0, max_completion_length=10)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def constitution() -> Constitution:
    return Constitution.from_text(TEXT)


def policy_of(model: Any, name: str = "tiny") -> Policy:
    return Policy(model, tiny_tokenizer(), name, Path(), torch.float32)


@pytest.fixture
def policy() -> Policy:
    return policy_of(tiny_model())


def with_adapter(scale: float) -> Policy:
    torch.manual_seed(0)
    model = get_peft_model(tiny_model(), LoraConfig(r=4, target_modules="all-linear"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=scale)
    return policy_of(model.eval(), "adapted")


@pytest.fixture(scope="module")
def prompts() -> tuple[Group, ...]:
    return made_prompts(6)


def made_prompts(count: int) -> tuple[Group, ...]:
    groups = tuple(
        Group(
            (Sample(Context((Message("user", f"Question {i}?"),)), Completion()),),
            id=f"p{i}",
            source=f"prompts.jsonl:{i + 1}",
            meta={"tags": ["asked"] if i % 2 else []},
        )
        for i in range(count)
    )
    return prepare(LoadedData(groups, {}, "prompts", "prompts"), policy_of(tiny_model()).template).groups


def row(found: Evaluation, measure: str) -> Any:
    (one,) = [r for r in found.health if r["measure"] == measure]
    return one


@pytest.mark.parametrize("kind", ["adapter", "copy"])
def test_a_policy_beside_its_reference(
    kind: str, constitution: Constitution, prompts: tuple[Group, ...]
) -> None:
    base = tiny_model()
    if kind == "adapter":
        policy, reference = with_adapter(0.3), Reference(None)
    else:
        policy, reference = policy_of(tiny_model(1)), Reference(base)
    found = evaluate(
        policy,
        constitution,
        prompts,
        reference=reference,
        sampling=GREEDY,
        unrelated_text="The sea is salty because rivers carry salt into it.",
    )
    alone = evaluate(policy_of(base), constitution, prompts, reference=None, sampling=GREEDY)
    assert found.before is not None
    assert [g.samples[0].completion.token_ids for g in found.before] == [
        g.samples[0].completion.token_ids for g in alone.after
    ]
    assert [g.samples[0].completion.token_ids for g in found.after] != [
        g.samples[0].completion.token_ids for g in found.before
    ]
    assert {s.completion.sampled_by for g in found.before for s in g.samples} == {"reference"}
    assert {s.completion.sampled_by for g in found.after for s in g.samples} == {"policy"}
    assert [g.id for g in found.after] == [g.id for g in found.before] == [f"p{i}" for i in range(6)]
    assert [r["measure"] for r in found.health] == [
        "words",
        "finished",
        "distinct",
        "nll",
        "kl",
        "perplexity",
    ]
    assert row(found, "kl")["after"] > 0.1 and row(found, "kl")["before"] == 0.0
    assert row(found, "kl")["stderr"] > 0
    own = fluency.nll_under(policy, reference, found.before)
    assert row(found, "nll")["before"] == pytest.approx(own, abs=1e-4)
    assert row(found, "nll")["after"] > row(found, "nll")["before"]  # greedy answers suit their own model
    assert row(found, "perplexity")["before"] == pytest.approx(
        fluency.perplexity(policy_of(base), None, "The sea is salty because rivers carry salt into it."),
        rel=1e-3,
    )
    assert row(found, "perplexity")["before"] != row(found, "perplexity")["after"]


def test_a_policy_that_is_its_reference_shows_no_harm(
    policy: Policy, constitution: Constitution, prompts: tuple[Group, ...]
) -> None:
    found = evaluate(policy, constitution, prompts, reference=Reference.frozen_copy(policy), sampling=GREEDY)
    assert found.flags == ()
    assert row(found, "kl")["after"] == pytest.approx(0, abs=1e-4)
    assert row(found, "nll")["after"] == row(found, "nll")["before"]
    assert all(r.change is None or r.change.diff == 0 for r in found.card.principles)
    assert all(r["flag"] in (False, None) for r in found.health)


def test_a_policy_alone(policy: Policy, constitution: Constitution, prompts: tuple[Group, ...]) -> None:
    found = evaluate(policy, constitution, prompts, reference=None, sampling=GREEDY)
    assert found.before is None
    assert [r["measure"] for r in found.health] == ["words", "finished", "distinct"]
    assert all(r["before"] is None for r in found.health)
    principles = {r.principle: r for r in found.card.principles}
    assert principles["kind"].status == "not_measured"
    assert principles["brief"].n_prompts == 6
    assert principles["yes"].n_prompts == 3  # it applies to half of them
    assert all(g.judgements for g in found.after)
    assert found.card.gates[0].level == "user"


def test_several_answers_per_prompt(
    policy: Policy, constitution: Constitution, prompts: tuple[Group, ...]
) -> None:
    sampling = Sampling(temperature=1.0, max_completion_length=6, seed=3)
    found = evaluate(policy, constitution, prompts, reference=None, sampling=sampling, num_generations=3)
    assert [len(g.samples) for g in found.after] == [3] * 6
    again = evaluate(policy, constitution, prompts, reference=None, sampling=sampling, num_generations=3)
    assert [g.samples for g in again.after] == [g.samples for g in found.after]


def test_what_cannot_be_measured_is_none_and_can_be_written(
    policy: Policy, constitution: Constitution, tmp_path: Path
) -> None:
    """One prompt has a KL but no standard error."""
    found = evaluate(
        policy, constitution, made_prompts(1), reference=Reference(tiny_model(1)), sampling=GREEDY
    )
    assert row(found, "kl")["stderr"] is None
    write_json(tmp_path / "health.json", list(found.health))
    write_json(tmp_path / "examples.json", examples(found))
    assert len(examples(found)) == 1  # one prompt is shown once


def test_an_unrelated_text_of_one_token_is_refused(
    policy: Policy, constitution: Constitution, prompts: tuple[Group, ...]
) -> None:
    with pytest.raises(UserError, match="two tokens"):
        evaluate(policy, constitution, prompts, reference=None, sampling=GREEDY, unrelated_text="x")


def test_no_prompts_are_refused(policy: Policy, constitution: Constitution) -> None:
    with pytest.raises(DataError, match="no judged answers"):
        evaluate(policy, constitution, (), reference=None, sampling=GREEDY)


# -- flags ---------------------------------------------------------------------------------


def test_a_kl_over_the_limit_is_flagged(
    policy: Policy, constitution: Constitution, prompts: tuple[Group, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kl, flagged in ((9.99, False), (10.5, True)):
        monkeypatch.setattr(fluency, "kl_per_sequence", lambda *args, kl=kl: Estimate(kl, 0.5, 6))
        found = evaluate(
            policy, constitution, prompts, reference=Reference.frozen_copy(policy), sampling=GREEDY
        )
        assert row(found, "kl")["flag"] is flagged
        assert (row(found, "kl")["after"], row(found, "kl")["limit"]) == (kl, 10.0)
        assert found.flags == (
            ("KL to the base model is 10.5 nats per sequence (limit 10)",) if flagged else ()
        )


def test_answers_the_base_model_finds_strange_are_flagged(
    policy: Policy, constitution: Constitution, prompts: tuple[Group, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for after, flagged in ((1.49, False), (1.51, True)):
        values = iter([1.0, after])
        monkeypatch.setattr(fluency, "nll_under", lambda *args, values=values: next(values))
        found = evaluate(
            policy, constitution, prompts, reference=Reference.frozen_copy(policy), sampling=GREEDY
        )
        assert row(found, "nll")["flag"] is flagged
        assert len(found.flags) == flagged
    assert found.flags[0].startswith("the answers cost the base model 1.51 nats per token, its own 1.00")


Script = Callable[[str, int], str]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Script, Script], None]:
    """Answers of the policy and of its reference, by scripts."""

    def use(after: Script, before: Script) -> None:
        def engine(model: Any, policy: Policy, name: str) -> ScriptedEngine:
            return ScriptedEngine(after if name == "policy" else before, policy.tokenizer, name=name)

        monkeypatch.setattr(module, "_engine", engine)

    return use


def evaluated(policy: Policy, constitution: Constitution, count: int) -> Evaluation:
    return evaluate(
        policy,
        constitution,
        made_prompts(count),
        reference=Reference.frozen_copy(policy),
        sampling=Sampling(temperature=0.0, max_completion_length=64),
    )


def long(text: str, sample: int) -> str:
    return "yes yes yes yes yes"


def short(text: str, sample: int) -> str:
    return "yes yes yes"


def test_a_regression_is_flagged(
    policy: Policy, constitution: Constitution, scripted: Callable[[Script, Script], None]
) -> None:
    scripted(long, short)
    found = evaluated(policy, constitution, 8)
    (flag,) = [f for f in found.flags if f.startswith("brief")]
    assert flag == "brief fell by 100% (p = 0.0078); the constitution allows 10%"
    rows = {r.principle: r for r in found.card.principles}
    assert rows["brief"].change is not None and rows["brief"].change.diff == -1.0
    assert rows["yes"].change is not None and rows["yes"].change.diff == 0.0


def test_a_fall_too_small_to_be_told_from_chance_is_not(
    policy: Policy, constitution: Constitution, scripted: Callable[[Script, Script], None]
) -> None:
    scripted(lambda text, i: long(text, i) if "0?" in text else short(text, i), short)
    found = evaluated(policy, constitution, 8)
    rows = {r.principle: r for r in found.card.principles}
    assert rows["brief"].change is not None and rows["brief"].change.diff == -1 / 8
    assert not [f for f in found.flags if f.startswith("brief")]


def test_a_rise_is_no_regression(
    policy: Policy, constitution: Constitution, scripted: Callable[[Script, Script], None]
) -> None:
    scripted(short, long)
    assert not [f for f in evaluated(policy, constitution, 8).flags if f.startswith("brief")]


def test_a_constitution_without_a_regression_gate_flags_none(
    policy: Policy, scripted: Callable[[Script, Script], None]
) -> None:
    scripted(long, short)
    without = Constitution.from_text(NO_REGRESSION)
    found = evaluated(policy, without, 8)
    assert not [f for f in found.flags if f.startswith("brief")]
    assert found.card.gates == ()  # a gate on a level without principles is not asked


def test_examples_show_the_largest_gain_the_largest_loss_and_one_between(
    policy: Policy, constitution: Constitution, scripted: Callable[[Script, Script], None]
) -> None:
    better, worse = "Question 2?", "Question 4?"
    scripted(
        lambda text, i: long(text, i) if text == worse else short(text, i),
        lambda text, i: long(text, i) if text == better else short(text, i),
    )
    shown = examples(evaluated(policy, constitution, 6))
    assert [e["prompt"] for e in shown][::2] == [better, worse]
    assert len({e["id"] for e in shown}) == 3
    assert shown[0]["before"] == "yes yes yes yes yes" and shown[0]["after"] == "yes yes yes"
    assert shown[0]["before_verdicts"] == {"brief": False, "kind": None}
    assert shown[0]["after_verdicts"] == {"brief": True, "kind": None}
    assert json.dumps(shown)
    alone = evaluate(policy, constitution, made_prompts(5), reference=None, sampling=GREEDY)
    assert [e["before"] for e in examples(alone)] == [None, None, None]
    assert len(examples(alone, count=2)) == 2
