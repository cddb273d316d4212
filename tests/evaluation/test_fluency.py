from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.errors import UserError
from charter.evaluation.health import fluency
from charter.models.pairing import Reference
from charter.models.policy import Policy
from charter.testing import tiny_model, tiny_tokenizer
from charter.types import Completion, Context, FinishReason, Group, Message, Sample


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy(tiny_model(), tiny_tokenizer(), "tiny", Path(), torch.float32)


def answer(text: str, reason: FinishReason = "stop") -> Sample:
    return Sample(Context("ask"), Completion((Message("assistant", text),), finish_reason=reason))


def test_words_are_a_mean_over_answers() -> None:
    groups = [Group((answer("one two  three"), answer(""))), Group((answer("a\nb"),))]
    assert fluency.words(groups) == pytest.approx(5 / 3)


def test_finished_is_the_share_the_model_ended_itself() -> None:
    groups = [
        Group((answer("a"), answer("b", "length"))),
        Group((answer("c", "given"), answer("d", "length"))),
    ]
    assert fluency.finished(groups) == 0.5


def test_distinct_counts_different_answers() -> None:
    groups = [Group((answer("a"), answer(" a "))), Group((answer("b"), answer("a")))]
    assert fluency.distinct(groups) == 0.5


def rendered(policy: Policy, *texts: str) -> list[Group]:
    made = []
    for text in texts:
        sample = Sample(Context((Message("user", "Hi"),)), Completion((Message("assistant", text),)))
        made.append(policy.template.render(Group((sample,))))
    return made


def test_nll_is_transformers_own_loss(policy: Policy) -> None:
    groups = rendered(policy, "Hello there", "No", "A somewhat longer answer than the others")
    total = count = 0.0
    for group in groups:
        (s,) = group.samples
        ids = torch.tensor([[*s.context.token_ids, *s.completion.token_ids]])
        labels = ids.clone()
        labels[0, : len(s.context.token_ids)] = -100
        with torch.no_grad():
            total += float(policy.model(input_ids=ids, labels=labels).loss) * len(s.completion.token_ids)
        count += len(s.completion.token_ids)
    assert fluency.nll_under(policy, None, groups) == pytest.approx(total / count, rel=1e-5)


def test_nll_of_batches_is_the_nll_of_all(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = rendered(policy, *(f"answer {i} " * (1 + i % 4) for i in range(9)))
    whole = fluency.nll_under(policy, None, groups)
    monkeypatch.setattr(fluency, "_TOKENS_PER_BATCH", 60)
    assert fluency.nll_under(policy, None, groups) == pytest.approx(whole, rel=1e-6)


def test_nll_without_a_token_is_not_zero(policy: Policy) -> None:
    assert math.isnan(fluency.nll_under(policy, None, []))


@pytest.mark.parametrize("adapter", [True, False])
def test_nll_under_the_reference(adapter: bool, policy: Policy) -> None:
    groups = rendered(policy, "Hello there", "No")
    base = fluency.nll_under(policy, None, groups)
    changed = (
        adapted() if adapter else Policy(tiny_model(1), policy.tokenizer, "other", Path(), torch.float32)
    )
    reference = Reference(None) if adapter else Reference(policy.model)
    assert fluency.nll_under(changed, reference, groups) == pytest.approx(base, rel=1e-5)
    assert abs(fluency.nll_under(changed, None, groups) - base) > 0.01


def adapted(vocab: int = 258, scale: float = 0.2) -> Policy:
    """The tiny model with an adapter that changes it."""
    base = tiny_model() if vocab == 258 else enumerable_model(0, vocab)
    torch.manual_seed(3)
    model = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=scale)
    return Policy(model.eval(), tiny_tokenizer(), "adapted", Path(), torch.float32)


def test_perplexity_is_transformers_own_loss(policy: Policy) -> None:
    text = "The quick brown fox jumps over the lazy dog."
    ids = torch.tensor([policy.tokenizer(text)["input_ids"]])
    with torch.no_grad():
        expected = math.exp(float(policy.model(input_ids=ids, labels=ids).loss))
    assert fluency.perplexity(policy, None, text) == pytest.approx(expected, rel=1e-4)


def test_perplexity_in_windows(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fluency, "_WINDOW", 10)
    text = "abcdefghijklmnopqrstu"  # 10 + 10 + 1: the last alone has nothing to predict
    ids = policy.tokenizer(text)["input_ids"]
    assert len(ids) == 21
    total = 0.0
    for window in (ids[:10], ids[10:20]):
        row = torch.tensor([window])
        with torch.no_grad():
            total += 9 * float(policy.model(input_ids=row, labels=row).loss)
    assert fluency.perplexity(policy, None, text) == pytest.approx(math.exp(total / 18), rel=1e-4)


@pytest.mark.parametrize("text", ["", "a"])
def test_perplexity_of_nothing_is_refused(text: str, policy: Policy) -> None:
    with pytest.raises(UserError, match="at least two tokens"):
        fluency.perplexity(policy, None, text)


# -- KL on a policy small enough to enumerate ------------------------------------------------

VOCAB, LENGTH, END = 4, 3, 3
PROMPT = Context(token_ids=(0, 1, 2))


def enumerable_model(seed: int, vocab: int = VOCAB) -> nn.Module:
    model: nn.Module = tiny_model(
        seed,
        vocab_size=vocab,
        hidden_size=12,
        intermediate_size=16,
        bos_token_id=0,
        eos_token_id=END,
        pad_token_id=END,
    )
    return model


def every_answer() -> list[tuple[int, ...]]:
    """All answers of at most LENGTH tokens that end with END or at the limit."""
    found = [(*body, END) for n in range(LENGTH) for body in itertools.product(range(VOCAB - 1), repeat=n)]
    return found + list(itertools.product(range(VOCAB - 1), repeat=LENGTH))


def log_prob(model: nn.Module, completion: tuple[int, ...]) -> float:
    ids = torch.tensor([[*PROMPT.token_ids, *completion]])
    with torch.no_grad():
        logps = torch.log_softmax(model(input_ids=ids).logits[0, :-1], -1)
    return float(logps.gather(1, ids[0, 1:, None])[len(PROMPT.token_ids) - 1 :].sum())


def exact_kl(model: nn.Module, reference: nn.Module) -> float:
    """``sum_y p(y) (log p(y) - log q(y))`` over every answer."""
    pairs = [(log_prob(model, y), log_prob(reference, y)) for y in every_answer()]
    assert sum(math.exp(p) for p, _ in pairs) == pytest.approx(1, abs=1e-5)
    return sum(math.exp(p) * (p - q) for p, q in pairs)


@pytest.mark.parametrize("by_adapter", [False, True], ids=["copy", "adapter"])
def test_kl_per_sequence_is_the_exact_expectation(by_adapter: bool) -> None:
    if by_adapter:
        policy, reference = adapted(VOCAB, 0.3), Reference(None)
        with policy.model.disable_adapter():
            base = {y: log_prob(policy.model, y) for y in every_answer()}
        pairs = [(log_prob(policy.model, y), q) for y, q in base.items()]
        expected = sum(math.exp(p) * (p - q) for p, q in pairs)
    else:
        policy = Policy(enumerable_model(0), tiny_tokenizer(), "small", Path(), torch.float32)
        reference = Reference(enumerable_model(1))
        expected = exact_kl(policy.model, reference.model)  # type: ignore[arg-type]
    engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=torch.float32, stop_ids=(END,))
    sampled = engine.generate([PROMPT], 2000, Sampling(max_completion_length=LENGTH, seed=1))
    found = fluency.kl_per_sequence(policy, reference, sampled)
    assert found.n == 2000
    assert expected > 0.2
    assert abs(found.mean - expected) < 4 * found.stderr
    assert found.stderr < 0.06 * expected


def test_the_expectation_weighted_by_hand_is_exact() -> None:
    """Every answer once, weighted by its probability: no sampling noise left."""
    policy = Policy(enumerable_model(0), tiny_tokenizer(), "small", Path(), torch.float32)
    other = enumerable_model(1)
    weighted = 0.0
    for y in every_answer():
        group = Group((Sample(PROMPT, Completion(token_ids=y, trained=(True,) * len(y))),))
        kl = fluency.kl_per_sequence(policy, Reference(other), [group]).mean
        weighted += math.exp(log_prob(policy.model, y)) * kl
    assert weighted == pytest.approx(exact_kl(policy.model, other), rel=1e-4)


def test_the_standard_error_is_that_of_a_mean(policy: Policy) -> None:
    groups = rendered(policy, "Hello there", "No", "Yes, certainly")
    other = Reference(tiny_model(1))
    alone = [fluency.kl_per_sequence(policy, other, [g]) for g in groups]
    assert all(math.isnan(e.stderr) and e.n == 1 for e in alone)
    found = fluency.kl_per_sequence(policy, other, groups)
    values = torch.tensor([e.mean for e in alone], dtype=torch.float64)
    assert found.mean == pytest.approx(float(values.mean()), rel=1e-5)
    assert found.stderr == pytest.approx(float(values.std() / math.sqrt(3)), rel=1e-4)


def test_the_kls_come_in_the_order_of_the_groups(policy: Policy) -> None:
    """They are computed with like lengths together, here longest first."""
    groups = rendered(policy, "Hello there, how are you all today", "No", "Yes, certainly")
    other = Reference(tiny_model(1))
    alone = [fluency.kl_per_sequence(policy, other, [g]).mean for g in groups]
    assert len(set(alone)) == 3
    assert fluency.kl_of_each(policy, other, groups) == pytest.approx(alone, rel=1e-5)


def test_kl_of_a_policy_to_itself_is_zero(policy: Policy) -> None:
    groups = rendered(policy, "Hello there", "No")
    assert fluency.kl_per_sequence(policy, Reference.frozen_copy(policy), groups).mean == pytest.approx(
        0, abs=1e-6
    )
