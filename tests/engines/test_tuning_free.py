"""Naming what is put around a model, and measuring it like any model."""

from pathlib import Path

import pytest
import torch

from charter import api
from charter.constitution import Constitution
from charter.engines.demonstrations import Demonstration
from charter.engines.icdpo import IcdpoEngine
from charter.engines.in_context import InContextEngine, InContextPrompt, as_text, as_turns, urial_prompt
from charter.engines.prompted import PromptedEngine
from charter.engines.scripted import ScriptedEngine
from charter.engines.tuning_free import METHODS, TuningFree
from charter.errors import ConfigError, DataError, UserError
from charter.evaluation import evaluate as module
from charter.models.policy import Policy
from charter.testing import tiny_model, tiny_tokenizer
from charter.types import Context, Message

TEXT = """---
name: tested
levels: [user]
---
## Brief {#brief authority=user}
Answers have at most three words.

```yaml rules
all: [{length: {max_words: 3}}]
```
"""
PAIRS = [{"prompt": "cats?", "chosen": "soft", "rejected": "hard"}]


def policy_of(template=True):
    tokenizer = tiny_tokenizer() if template else tiny_tokenizer(None)
    return Policy(tiny_model(max_position_embeddings=8192), tokenizer, "tiny", Path(), torch.float32)


def scripted(text="yes"):
    return ScriptedEngine(lambda asked, sample: text, tiny_tokenizer())


def test_nothing_asked_for_is_nothing():
    assert TuningFree.named() is None


def test_every_name_makes_its_engine():
    policy = policy_of()
    made = {name: TuningFree.named(name, PAIRS).around(scripted(), policy) for name in METHODS}
    assert {name: type(engine) for name, engine in made.items()} == {
        "urial": InContextEngine,
        "urial-plain": InContextEngine,
        "urial-chat": InContextEngine,
        "icdpo": IcdpoEngine,
    }
    assert made["urial-plain"].label == "urial-plain"
    own = made["urial"].reframe(Context((Message("user", "q"),))).content
    assert own == as_text(
        urial_prompt().preamble, (Demonstration((Message("user", "cats?"),), "soft", "hard"),), "q"
    )
    shipped = TuningFree.named("urial-plain").around(scripted(), policy)
    plain = urial_prompt("plain")
    assert shipped.reframe(Context("q")).content == as_text(plain.preamble, plain.examples, "q")


def test_a_system_prompt_is_a_constitution_a_file_or_words(tmp_path):
    (tmp_path / "house.constitution.md").write_text(TEXT, encoding="utf-8")
    (tmp_path / "prompt.txt").write_text(" Be kind.\n", encoding="utf-8")
    said = Constitution.from_text(TEXT).system_prompt()
    assert "at most three words" in said
    for given in (Constitution.from_text(TEXT), tmp_path / "house.constitution.md"):
        assert TuningFree.named(system_prompt=given).system_prompt == said
    assert TuningFree.named(system_prompt=str(tmp_path / "prompt.txt")).system_prompt == "Be kind."
    assert TuningFree.named(system_prompt="Be kind.").system_prompt == "Be kind."
    assert isinstance(TuningFree.named(system_prompt="x").around(scripted(), policy_of()), PromptedEngine)


def test_a_system_prompt_stands_before_the_examples():
    policy, turns = policy_of(), (Message("user", "q"),)
    both = TuningFree.named("urial-chat", None, "Be kind.")
    shipped = urial_prompt()
    expected = as_turns(shipped.preamble, shipped.examples, (Message("system", "Be kind."), *turns))
    assert both.reframe(policy)(Context(turns)).content == expected
    assert both.label == "system prompt+urial-chat"
    seen = []

    class Listening(ScriptedEngine):
        def generate(self, contexts, *rest):
            seen.extend(contexts)
            return super().generate(contexts, *rest)

    engine = both.around(Listening(lambda text, sample: "x", policy.tokenizer), policy)
    context = Context(turns, policy.template.render_context(turns))
    (group,) = engine.generate([context], 1, api.Sampling())
    assert [one.content for one in seen] == [expected]
    assert group.samples[0].context is context
    assert group.samples[0].completion.sampled_by == "prompted:urial-chat:scripted"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("urail",), "did you mean 'urial'"),
        (("icdpo",), "there are none"),
        ((None, PAIRS), "do nothing by themselves"),
        ((None, PAIRS, "Be kind."), "beside a system prompt alone"),
        ((None, None, " "), "system_prompt is empty"),
        ((None, None, "missing.md"), "system_prompt cannot be read"),
    ],
)
def test_mistakes_are_found_before_a_model_loads(given, words):
    with pytest.raises(ConfigError, match=words):
        TuningFree.named(*given)


def test_a_whole_data_set_is_no_prompt():
    many = [{"prompt": f"q{i}", "completion": "a"} for i in range(40)]
    with pytest.raises(UserError, match="too many"):
        TuningFree.named("urial", many)
    assert len(TuningFree.named("icdpo", many).demonstrations) == 40
    with pytest.raises(DataError):
        TuningFree.named("icdpo", [{"prompt": "q"}])


def test_icdpo_is_no_context_to_read_in():
    with pytest.raises(ConfigError, match="no context to read them in"):
        TuningFree.named("icdpo", PAIRS).reframe(policy_of())


# -- evaluation ------------------------------------------------------------------------------


def test_evaluation_measures_it_against_the_same_model_asked_plainly(monkeypatch):
    """The script is brief only where it is told to be."""

    def script(text, sample):
        return "yes" if "Be brief." in text else "yes yes yes yes yes"

    class Obedient(ScriptedEngine):
        def _answer(self, text, sample, index):
            return script(self.asked[index], sample)

        def generate(self, contexts, *rest):
            self.asked = ["".join(turn.content for turn in one.content) for one in contexts]
            return super().generate(contexts, *rest)

    monkeypatch.setattr(
        module, "_engine", lambda model, policy, name: Obedient(script, policy.tokenizer, name=name)
    )
    prompts = [f"Question {i}?" for i in range(8)]
    policy = policy_of()
    found = api.evaluate(
        policy, Constitution.from_text(TEXT), prompts=prompts, system_prompt="Be brief.", temperature=0.5
    )
    assert found.before is not None
    (row,) = found.card.principles
    assert (row.before.rate, row.after.rate) == (0.0, 1.0)
    assert [g.samples[0].context for g in found.after] == [g.samples[0].context for g in found.before]
    assert all(len(g.samples[0].context.content) == 1 for g in found.after)  # no system turn is left in it
    assert {g.samples[0].completion.sampled_by for g in found.after} == {"prompted:policy"}
    assert {g.samples[0].completion.sampled_by for g in found.before} == {"reference"}
    # The sampler's distribution is not the policy's under these contexts, so no KL is claimed.
    assert [r["measure"] for r in found.health] == ["words", "finished", "distinct", "nll"]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_measured_end_to_end(name):
    found = api.evaluate(
        policy_of(),
        Constitution.from_text(TEXT),
        prompts=["Why?", "How are cats?"],
        in_context=name,
        demonstrations=PAIRS,
        max_completion_length=6,
    )
    assert found.card.principles[0].n_prompts == 2
    assert {g.samples[0].completion.sampled_by for g in found.after} == {f"{name}:policy"}
    assert "kl" not in [r["measure"] for r in found.health]


@pytest.mark.parametrize("name", ["urial", "icdpo"])
def test_a_base_model_without_a_template_is_measured_alone(name):
    options = {"prompts": ["Why?"], "in_context": name, "demonstrations": PAIRS, "max_completion_length": 6}
    found = api.evaluate(policy_of(template=False), Constitution.from_text(TEXT), **options)
    assert found.before is None
    assert found.after[0].samples[0].context.content == (Message("user", "Why?"),)
    with pytest.raises(UserError, match="nothing compares with it"):
        api.evaluate(
            policy_of(template=False), Constitution.from_text(TEXT), against=policy_of(False), **options
        )


def test_an_own_preamble_of_examples_alone_is_a_prompt():
    assert InContextPrompt("", (Demonstration((Message("user", "a"),), "b"),)).examples[0].answer == "b"
