"""ICDPO's score is two plain forwards, and its answer the candidate that has the highest."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from charter import interrupt
from charter.engines import icdpo
from charter.engines.base import Mixture, Sampling
from charter.engines.demonstrations import Demonstration
from charter.engines.icdpo import IcdpoEngine
from charter.engines.in_context import as_text, as_turns
from charter.engines.local import LocalEngine
from charter.errors import Interrupted, UserError
from charter.models.policy import Policy, adapter_off
from charter.testing import tiny_model, tiny_tokenizer
from charter.types import Context, Message

SAMPLING = Sampling(temperature=0.9, max_completion_length=7, seed=3)


def user(text):
    return (Message("user", text),)


DEMONSTRATIONS = [
    Demonstration(user("cats?"), "soft", "no"),
    Demonstration(user("cats and dogs?"), "both", "none"),
    Demonstration(user("birds?"), "sing"),
    Demonstration(user("fish?"), "swim", "fly"),
]


def policy_of(model, template=True):
    tokenizer = tiny_tokenizer() if template else tiny_tokenizer(None)
    return Policy(model, tokenizer, "tiny", Path(), torch.float32)


def engine_of(policy, **options):
    inner = LocalEngine(policy.model, policy.tokenizer, compute_dtype=torch.float32)
    return IcdpoEngine(inner, policy, DEMONSTRATIONS, **{"candidates": 3, "k": 2, **options})


def plain_logp(model, context, ids):
    """One forward of transformers, one sample at a time."""
    whole = torch.tensor([[*context.token_ids, *ids]])
    with torch.no_grad():
        logps = model(whole).logits[0, :-1].float().log_softmax(-1)
    labels = whole[0, 1:]
    start = len(context.token_ids) - 1
    return float(logps[start:].gather(1, labels[start:, None]).sum())


def asked(policy, *texts):
    if policy.tokenizer.chat_template is None:
        return [Context(user(text)) for text in texts]
    return [Context(user(text), policy.template.render_context(user(text))) for text in texts]


@pytest.fixture(scope="module")
def model():
    return tiny_model(4)


@pytest.mark.parametrize("contrast", ["without", "worse"])
@pytest.mark.parametrize("template", [True, False], ids=["turns", "text"])
def test_the_score_is_two_plain_forwards_and_the_best_is_returned(model, contrast, template):
    policy = policy_of(model, template)
    engine = engine_of(policy, contrast=contrast, preamble="Be kind.")
    contexts = asked(policy, "big cats?", "old fish?")
    groups = engine.generate(contexts, 2, SAMPLING)
    forms = engine.asked(contexts)
    write = as_turns if template else as_text
    near = [DEMONSTRATIONS[1], DEMONSTRATIONS[0]]  # "cats?" is closest to "big cats?", so it stands last
    assert forms[0].good.content == write("Be kind.", near, user("big cats?"))
    worse = [Demonstration(one.turns, one.worse) for one in near]
    expected = write("", worse if contrast == "worse" else (), user("big cats?"))
    assert forms[0].other.content == expected
    drawn = LocalEngine(model, policy.tokenizer, compute_dtype=torch.float32).generate(
        [form.good for form in forms], 6, engine._drawn(SAMPLING)
    )
    for group, context, form, candidates in zip(groups, contexts, forms, drawn, strict=True):
        assert [s.context for s in group.samples] == [context] * 2
        for index, (sample, told) in enumerate(zip(group.samples, group.meta["icdpo"], strict=True)):
            mine = [s.completion for s in candidates.samples[3 * index : 3 * index + 3]]
            by_hand = [
                plain_logp(model, form.good, one.token_ids) - plain_logp(model, form.other, one.token_ids)
                for one in mine
            ]
            assert told["scores"] == pytest.approx(by_hand, abs=2e-4)
            best = max(range(3), key=lambda at: by_hand[at])
            assert told["chosen"] == best
            assert told["per_token"][best] == pytest.approx(
                by_hand[best] / len(mine[best].token_ids), abs=1e-4
            )
            assert sample.completion.text == (mine[best].text if template else mine[best].text.strip())
            if template:
                assert sample.completion.token_ids == mine[best].token_ids
                assert sample.completion.logps == mine[best].logps
            assert sample.completion.sampled_by == "icdpo:policy"


def test_a_greedy_request_is_the_best_of_sampled_candidates_and_repeats(model):
    policy = policy_of(model)
    greedy = Sampling(temperature=0.0, max_completion_length=7, seed=3)
    contexts = asked(policy, "big cats?")
    (one,) = engine_of(policy).generate(contexts, 1, greedy)
    (again,) = engine_of(policy).generate(contexts, 1, greedy)
    (warm,) = engine_of(policy).generate(contexts, 1, SAMPLING.model_copy(update={"temperature": 1.0}))
    assert one == again == warm
    assert len(set(one.meta["icdpo"][0]["scores"])) == 3  # they differ, so there was a choice
    with pytest.raises(UserError, match="all be the same"):
        engine_of(policy).generate(contexts, 2, greedy)


def test_sums_and_means_may_choose_differently(model):
    policy = policy_of(model)
    contexts = asked(policy, *(f"{word} cats?" for word in "abcdefgh"))
    options = Sampling(temperature=1.5, max_completion_length=12, stop=tuple("abcdefghijklmnop"), seed=3)
    sums = engine_of(policy, candidates=4).generate(contexts, 1, options)
    means = engine_of(policy, candidates=4, per_token=True).generate(contexts, 1, options)
    assert [g.samples for g in sums] != [g.samples for g in means]
    for a, b in zip(sums, means, strict=True):
        told, other = a.meta["icdpo"][0], b.meta["icdpo"][0]
        assert told["scores"] == other["scores"]
        assert told["chosen"] == max(range(4), key=lambda at, told=told: told["scores"][at])
        assert other["chosen"] == max(range(4), key=lambda at, told=told: told["per_token"][at])


def test_the_reference_samples_and_scores_with_its_adapter_off():
    torch.manual_seed(0)
    adapted = get_peft_model(tiny_model(4), LoraConfig(r=4, target_modules="all-linear")).eval()
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.2)
    policy = policy_of(adapted)
    engine = engine_of(policy)
    contexts = asked(policy, "big cats?")
    (group,) = engine.generate(contexts, 1, SAMPLING, policy="reference")
    (plain,) = engine_of(policy_of(tiny_model(4))).generate(contexts, 1, SAMPLING)
    assert group.samples[0].completion.token_ids == plain.samples[0].completion.token_ids
    assert group.meta["icdpo"][0]["scores"] == pytest.approx(plain.meta["icdpo"][0]["scores"], abs=1e-4)
    (own,) = engine.generate(contexts, 1, SAMPLING)
    assert own.meta != group.meta
    with adapter_off(adapted):
        pass  # and the adapter is on again afterwards
    assert engine.generate(contexts, 1, SAMPLING) == [own]


def test_batches_change_nothing(model, monkeypatch):
    policy = policy_of(model)
    contexts = asked(policy, *(f"{word} cats?" for word in "abcdef"))
    whole = engine_of(policy).generate(contexts, 1, SAMPLING)
    monkeypatch.setattr(icdpo, "TOKENS", 60)
    parts = engine_of(policy).generate(contexts, 1, SAMPLING)
    for a, b in zip(whole, parts, strict=True):
        assert a.samples == b.samples
        assert a.meta["icdpo"][0]["scores"] == pytest.approx(b.meta["icdpo"][0]["scores"], abs=1e-4)


def test_new_weights_reach_the_sampler_and_the_scorer(model):
    engine, contexts = engine_of(policy_of(model)), asked(policy_of(model), "big cats?")
    engine.load_weights(policy_of(tiny_model(9)), 3)
    (group,) = engine.generate(contexts, 1, SAMPLING)
    (fresh,) = engine_of(policy_of(tiny_model(9))).generate(contexts, 1, SAMPLING)
    assert group.meta == fresh.meta
    assert group.samples[0].completion.weight_version == 3
    with pytest.raises(UserError, match="one policy"):
        engine.load_weights(tiny_model(1), 4)


def test_progress_counts_answers_not_candidates(model):
    seen = []
    policy = policy_of(model)
    engine_of(policy).generate(asked(policy, "cats?", "x"), 2, SAMPLING, on_progress=seen.append)
    assert sum(seen) == 4


def test_a_stop_request_ends_the_scoring(model, monkeypatch):
    policy = policy_of(model)
    engine = engine_of(policy)
    forms = engine.asked(asked(policy, "cats?"))
    (drawn,) = engine._engine.generate([forms[0].good], 2, SAMPLING)
    with interrupt.graceful() as stop:
        stop.signum = 2
        with pytest.raises(Interrupted, match="scoring"):
            engine.scores(forms, [[s.completion for s in drawn.samples]])


def test_what_it_cannot_do_is_refused(model):
    policy = policy_of(model)
    inner = LocalEngine(model, policy.tokenizer)
    with pytest.raises(UserError, match="at least 2 candidates"):
        IcdpoEngine(inner, policy, DEMONSTRATIONS, candidates=1)
    with pytest.raises(UserError, match="which answer is worse"):
        IcdpoEngine(inner, policy, DEMONSTRATIONS[2:3], contrast="worse")
    with pytest.raises(UserError, match="nothing to retrieve"):
        IcdpoEngine(inner, policy, [])
    for who in ("ema", Mixture(0.5)):
        with pytest.raises(UserError, match="policy or its reference"):
            engine_of(policy).generate(asked(policy, "x"), 1, SAMPLING, policy=who)
