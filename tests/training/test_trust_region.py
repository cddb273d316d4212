"""TRPO: its pieces against dense linear algebra and finite differences, its steps against their promises."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from training_setup import assert_same_bits, weights_of

from charter.data.packing import pack
from charter.errors import ConfigError, TrainingFault
from charter.models import plain
from charter.models.plain_scores import next_token_logps, predictors, summed_kl
from charter.models.policy import Policy
from charter.objectives.base import Need
from charter.objectives.conjugate_gradient import conjugate_gradient
from charter.objectives.trust_region import ImportanceSurrogate, Trial, backtrack
from charter.objectives.value import ValueLoss
from charter.testing import tiny_model, tiny_tokenizer
from charter.training.batch import MicroBatch
from charter.training.fisher import FisherProduct, flat, install
from charter.training.scoring import Scorer
from charter.training.step import StepResult, WeightedTerm
from charter.training.trust_region import TrustRegionStepper
from charter.types import Completion, Context, Credit, Group, Sample

NEEDS = frozenset({Need.LOGPS, Need.OLD_LOGPS, Need.ADVANTAGES})
TINY = {"vocab_size": 24, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}


def rollout(context: Sequence[int], said: Sequence[int], advantage: float | None, seed: int = 0) -> Sample:
    """A completion whose second token is not trained, as a tool's; None = noise for advantages."""
    trained = tuple(i != 1 for i in range(len(said)))
    noise = np.random.default_rng(seed).normal(size=sum(trained))
    advantages = noise.tolist() if advantage is None else [advantage] * sum(trained)
    made = Completion(token_ids=tuple(said), trained=trained)
    return Sample(Context(token_ids=tuple(context)), made, credit=Credit(advantages=tuple(advantages)))


def groups_of(vocab: int = 24, advantage: float | None = None) -> list[Group]:
    """Prompts of unequal lengths, long enough to be shared, with answers of unequal lengths."""
    random = np.random.default_rng(5)
    groups = []
    for index, length in enumerate((9, 3, 14)):
        context = random.integers(2, vocab, length).tolist()
        answers = [random.integers(2, vocab, size).tolist() for size in (4, 1, 6)]
        samples = [rollout(context, said, advantage, 10 * index + k) for k, said in enumerate(answers)]
        groups.append(Group(tuple(samples)))
    return groups


def tiny_policy(trained: str = "", **overrides: Any) -> Policy:
    """A policy of which the parameters with ``trained`` in their names are trained."""
    model = tiny_model(3, **{**TINY, **overrides})
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trained in name)
    model.get_input_embeddings().padding_idx = None
    return Policy(model, tiny_tokenizer(), "tiny", Path("tiny"), torch.float32)


def lora_policy(dropout: float = 0.0) -> Policy:
    policy = tiny_policy()
    policy.model.requires_grad_(False)
    state = torch.random.get_rng_state()
    torch.manual_seed(1)
    policy.model = get_peft_model(
        policy.model, LoraConfig(r=2, lora_alpha=4, lora_dropout=dropout, target_modules="all-linear")
    )
    torch.random.set_rng_state(state)
    return policy


def stepper_of(policy: Policy, temperature: float = 1.0, **options: Any) -> TrustRegionStepper:
    terms = [WeightedTerm(ImportanceSurrogate())]
    unused = torch.optim.SGD(policy.trainable().values(), lr=1.0)
    scorer = Scorer(policy, NEEDS, temperature=temperature)
    return TrustRegionStepper(policy, terms, unused, scorer, **options)


def step(policy: Policy, groups: Sequence[Group], **options: Any) -> dict[str, float]:
    result: StepResult = stepper_of(policy, **options).step([MicroBatch.of(groups)], 1.0)
    return result.metrics


def logps_alone(model: Any, sample: Sample, temperature: float = 1.0) -> Tensor:
    """Whole distributions at the scored tokens of one sample, straight from transformers: no packing."""
    ids = torch.tensor([[*sample.context.token_ids, *sample.completion.token_ids]])
    start = len(sample.context.token_ids)
    rows = [start + i - 1 for i, kept in enumerate(sample.completion.trained) if kept]
    return torch.log_softmax(model(input_ids=ids).logits[0, rows] / temperature, -1)


def samples_of(groups: Sequence[Group]) -> list[Sample]:
    return [sample for group in groups for sample in group.samples]


@torch.no_grad()
def distributions(policy: Policy, groups: Sequence[Group], temperature: float = 1.0) -> Tensor:
    return torch.cat([logps_alone(policy.model, s, temperature) for s in samples_of(groups)])


def mean_kl(old_NV: Tensor, new_NV: Tensor) -> float:
    return float((old_NV.exp() * (old_NV - new_NV)).double().sum(-1).mean())


# -- conjugate gradient --------------------------------------------------------


def random_system(size: int, rank: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    half = torch.randn(size, rank, generator=random, dtype=torch.float64)
    return half @ half.T / rank, torch.randn(size, generator=random, dtype=torch.float64)


@pytest.mark.parametrize("reorthogonalize", [False, True])
@pytest.mark.parametrize("rank", [30, 7])
def test_conjugate_gradient_solves_a_dense_system(rank: int, reorthogonalize: bool) -> None:
    matrix, b = random_system(30, rank)
    damped = matrix + 0.1 * torch.eye(30, dtype=torch.float64)
    found = conjugate_gradient(
        matrix.mv, b, damping=0.1, iterations=200, tolerance=1e-13, reorthogonalize=reorthogonalize
    )
    expected = torch.linalg.solve(damped, b)
    torch.testing.assert_close(found.x_P, expected, rtol=1e-9, atol=1e-10)
    assert found.curvature == pytest.approx(float(expected @ damped @ expected), rel=1e-10)
    assert found.residual <= 1e-13
    if rank == 7:  # as many iterations as there are distinct eigenvalues, and rounding
        assert found.iterations <= 9


@pytest.mark.parametrize("reorthogonalize", [False, True])
def test_conjugate_gradient_says_how_far_it_got(reorthogonalize: bool) -> None:
    matrix, b = random_system(30, 30)
    damped = matrix + 0.1 * torch.eye(30, dtype=torch.float64)
    found = conjugate_gradient(matrix.mv, b, damping=0.1, iterations=4, reorthogonalize=reorthogonalize)
    assert found.iterations == 4
    assert found.residual == pytest.approx(float((b - damped @ found.x_P).norm() / b.norm()), rel=1e-9)
    assert found.curvature == pytest.approx(float(found.x_P @ damped @ found.x_P), rel=1e-9)
    assert 1e-3 < found.residual < 1


def test_reorthogonalized_it_forgives_rounding() -> None:
    """A few large eigenvalues and many small ones, float32: what a change of the last digit does to x."""
    random = torch.Generator().manual_seed(0)
    eigenvalues = torch.cat([torch.tensor([160.0, 40.0, 10.0]), torch.rand(197, generator=random)])
    basis = torch.linalg.qr(torch.randn(200, 200, generator=random))[0]
    matrix = basis @ torch.diag(eigenvalues) @ basis.T
    b = torch.randn(200, generator=random)
    other = b * (1 + 1e-7 * torch.randn(200, generator=random))

    def off(reorthogonalize: bool) -> float:
        x, y = (
            conjugate_gradient(matrix.mv, v, iterations=10, reorthogonalize=reorthogonalize).x_P
            for v in (b, other)
        )
        return float((x - y).norm() / x.norm())

    assert off(True) < 5e-6
    assert off(False) > 4 * off(True)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_the_scale_of_the_right_hand_side_is_the_scale_of_the_solution(scale: float) -> None:
    matrix, b = random_system(30, 30)
    one = conjugate_gradient(matrix.mv, b, iterations=12)
    other = conjugate_gradient(matrix.mv, b * scale, iterations=12)
    torch.testing.assert_close(other.x_P / scale, one.x_P, rtol=1e-7, atol=1e-12)
    assert other.iterations == one.iterations == 12


def test_conjugate_gradient_at_its_edges() -> None:
    matrix, b = random_system(5, 5)
    assert conjugate_gradient(matrix.mv, b * 0).iterations == 0
    nothing = conjugate_gradient(torch.zeros_like, b, damping=0.0)
    assert nothing.curvature == 0 and nothing.residual == 1 and not nothing.x_P.any()
    broken = conjugate_gradient(lambda v: v * math.nan, b)
    assert not math.isfinite(broken.residual) and not math.isfinite(broken.curvature)
    with pytest.raises(ValueError, match="do not go together"):
        conjugate_gradient(matrix.mv, b, reorthogonalize=True, epsilon=1e-8)


# -- the Fisher matrix ---------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma2", "qwen3"])
def test_distributions_equal_each_sample_alone(family: str) -> None:
    """Tool tokens and padding are in none of them; positions shared by answers are computed once."""
    model = tiny_model(2, family, **TINY)
    samples = samples_of(groups_of())
    packed = pack(samples)
    positions_D, counts_D = predictors(packed)
    assert counts_D.sum() == len(packed.sample_N) and len(positions_D) < len(packed.sample_N)
    before = model.config._attn_implementation
    with torch.no_grad():
        logps_DV = next_token_logps(model, packed, temperature=0.7)
        alone_NV = torch.cat([logps_alone(model, s, 0.7) for s in samples])
    assert model.config._attn_implementation == before
    at_N = torch.from_numpy(np.searchsorted(positions_D, packed.predictor_U[packed.unique_N]))
    torch.testing.assert_close(logps_DV[at_N], alone_NV, rtol=1e-5, atol=1e-5)


def test_logits_at_some_rows_are_those_of_the_whole_forward() -> None:
    model = tiny_model(2, **TINY)
    packed = pack(samples_of(groups_of()))
    with torch.no_grad():
        found = plain.logits_at(model, packed, packed.predictor_U)
        torch.testing.assert_close(found, plain.logits(model, packed), rtol=1e-6, atol=1e-6)


def explicit_fisher(policy: Policy, groups: Sequence[Group], temperature: float = 1.0) -> Tensor:
    """``E[grad log p grad log p^T]``: every token of the vocabulary at every position, one by one."""
    parameters = list(policy.trainable().values())
    size = sum(p.numel() for p in parameters)
    total, count = torch.zeros(size, size, dtype=torch.float64), 0
    for sample in samples_of(groups):
        logps_NV = logps_alone(policy.model, sample, temperature)
        for logps_V in logps_NV:
            for logp in logps_V:
                slope = flat(torch.autograd.grad(logp, parameters, retain_graph=True)).double()
                total += logp.detach().double().exp() * torch.outer(slope, slope)
        count += len(logps_NV)
    return total / count


def dense(product: FisherProduct, size: int) -> Tensor:
    return torch.stack([product(row) for row in torch.eye(size)]).double()


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_fisher_product_equals_the_explicit_matrix(temperature: float) -> None:
    policy, groups = tiny_policy("layers.0.input_layernorm"), groups_of()[:2]
    expected = explicit_fisher(policy, groups, temperature)
    parameters = list(policy.trainable().values())
    packed = pack(samples_of(groups))
    found = dense(FisherProduct(policy.model, [packed], parameters, temperature), 48)
    scale = float(expected.abs().max())
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=1e-5)
    torch.testing.assert_close(found / scale, found.T / scale, rtol=0, atol=1e-5)
    assert float(torch.linalg.eigvalsh((found + found.T) / 2)[0]) > -1e-5 * scale


@pytest.mark.parametrize("lora", [False, True])
def test_fisher_product_equals_finite_differences_of_the_gradient_of_the_kl(lora: bool) -> None:
    policy, packed = lora_policy() if lora else tiny_policy(), pack(samples_of(groups_of()))
    parameters = list(policy.trainable().values())
    random = torch.Generator().manual_seed(0)
    if lora:  # both matrices of the adapter away from 0
        for parameter in parameters:
            parameter.data = torch.randn(parameter.shape, generator=random) * 0.1
    old_P = flat([p.detach() for p in parameters])
    v_P = torch.randn(len(old_P), generator=random)
    v_P /= v_P.norm()
    with torch.no_grad():
        old_DV = next_token_logps(policy.model, packed)

    def slope(at_P: Tensor) -> Tensor:
        install(parameters, at_P)
        kl = summed_kl(old_DV, next_token_logps(policy.model, packed), packed) / len(packed.sample_N)
        return flat(torch.autograd.grad(kl, parameters)).double()

    found = FisherProduct(policy.model, [packed], parameters)(v_P).double()
    eps = 0.01
    expected = (slope(old_P + eps * v_P) - slope(old_P - eps * v_P)) / (2 * eps)
    assert float(expected.norm()) > 1e-3
    assert float((found - expected).norm() / expected.norm()) < 3e-3


def test_fisher_product_is_the_same_for_any_split() -> None:
    policy, groups = tiny_policy(), groups_of()
    parameters = list(policy.trainable().values())
    v_P = torch.randn(sum(p.numel() for p in parameters), generator=torch.Generator().manual_seed(0))
    whole = FisherProduct(policy.model, [pack(samples_of(groups))], parameters)(v_P)
    parts = [pack(g.samples) for g in groups]
    split = FisherProduct(policy.model, parts, parameters)
    torch.testing.assert_close(split(v_P), whole, rtol=1e-4, atol=1e-6 * float(whole.abs().max()))
    torch.testing.assert_close(
        split(2 * v_P), 2 * split(v_P), rtol=1e-4, atol=1e-6 * float(whole.abs().max())
    )


# -- the step ------------------------------------------------------------------


def test_direction_equals_an_exact_dense_solve() -> None:
    """In float64 from the explicit Fisher matrix and the gradient that transformers gives."""
    policy, groups = tiny_policy("layers.1.post_attention_layernorm"), groups_of()
    damping, max_kl = 0.01, 1e-3
    (parameter,) = policy.trainable().values()
    fisher = explicit_fisher(policy, groups)
    gained, count = torch.zeros(()), 0
    for sample in samples_of(groups):
        assert sample.credit is not None
        ids = torch.tensor(sample.completion.token_ids)[torch.tensor(sample.completion.trained)]
        logps = logps_alone(policy.model, sample).gather(1, ids[:, None])[:, 0]
        gained = gained + ((logps - logps.detach()).exp() * torch.tensor(sample.credit.advantages)).sum()
        count += len(ids)
    gradient = torch.autograd.grad(gained / count, parameter)[0].double()
    damped = fisher + damping * torch.eye(len(gradient), dtype=torch.float64)
    x = torch.linalg.solve(damped, gradient)
    expected = math.sqrt(2 * max_kl / float(x @ damped @ x)) * x
    before = parameter.detach().clone()
    said = step(policy, groups, damping=damping, max_kl_step=max_kl, cg_iters=60, cg_tolerance=1e-6)
    moved = (parameter.detach() - before).double() / 0.8 ** said["trust_region/backtracks"]
    assert said["trust_region/accepted"] == 1
    assert said["trust_region/cg_residual"] <= 1e-6
    assert float((moved - expected).norm() / expected.norm()) < 1e-3
    assert float(torch.nn.functional.cosine_similarity(moved, gradient, 0)) < 0.99  # not the gradient itself
    assert said["grad_norm"] == pytest.approx(float(gradient.norm()), rel=1e-4)


@pytest.mark.parametrize("max_kl_step", [0.001, 0.01, 0.1])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_a_step_keeps_to_the_bound_and_gains(max_kl_step: float, temperature: float) -> None:
    policy, groups = tiny_policy(), groups_of()
    old_NV = distributions(policy, groups, temperature)
    said = step(policy, groups, max_kl_step=max_kl_step, temperature=temperature)
    kl = mean_kl(old_NV, distributions(policy, groups, temperature))
    assert said["trust_region/accepted"] == 1 and said["trust_region/backtracks"] < 10
    assert said["trust_region/kl"] == pytest.approx(kl, rel=1e-3, abs=1e-7)
    assert 0.2 * max_kl_step < kl <= max_kl_step * (1 + 1e-4)
    assert said["trust_region/surrogate_after"] > said["trust_region/surrogate_before"]


def surrogate(policy: Policy, groups: Sequence[Group], old_NV: Tensor) -> float:
    new_NV = distributions(policy, groups)
    samples = samples_of(groups)
    ids = [torch.tensor(s.completion.token_ids)[torch.tensor(s.completion.trained)] for s in samples]
    advantage_N = torch.cat([torch.tensor(s.credit.advantages) for s in samples if s.credit is not None])
    gap_N = (new_NV - old_NV).gather(1, torch.cat(ids)[:, None])[:, 0]
    return float((gap_N.exp() * advantage_N).double().mean())


def test_the_surrogate_is_held_against_the_policy_before_the_step() -> None:
    policy, groups = tiny_policy(), groups_of()
    old_NV = distributions(policy, groups)
    said = step(policy, groups)
    after = surrogate(policy, groups, old_NV)
    assert said["trust_region/surrogate_before"] == pytest.approx(-said["loss"])
    assert said["trust_region/surrogate_after"] == pytest.approx(after, rel=1e-4)


def test_old_log_probs_that_rollouts_carry_are_used() -> None:
    """Twice as likely under the policy that sampled: every ratio is a half, and so is the surrogate."""
    policy, groups = tiny_policy(), groups_of(advantage=1.0)
    logps = [
        logps_alone(policy.model, s).gather(
            1, torch.tensor(s.completion.token_ids)[torch.tensor(s.completion.trained)][:, None]
        )[:, 0]
        for s in samples_of(groups)
    ]
    older = iter([tuple((x.detach() + math.log(2)).tolist()) for x in logps])

    def carrying(s: Sample) -> Sample:
        assert s.credit is not None
        return replace(s, credit=replace(s.credit, old_logps=next(older)))

    carried = [Group(tuple(carrying(s) for s in g.samples)) for g in groups]
    said = step(policy, carried)
    assert said["trust_region/surrogate_before"] == pytest.approx(0.5, rel=1e-4)
    assert step(tiny_policy(), groups)["trust_region/surrogate_before"] == pytest.approx(1.0, rel=1e-4)


def test_zero_advantage_leaves_the_weights_as_they_were() -> None:
    policy = tiny_policy()
    before = weights_of(policy)
    said = step(policy, groups_of(advantage=0.0))
    assert_same_bits(before, weights_of(policy))
    assert said["trust_region/accepted"] == said["trust_region/kl"] == said["grad_norm"] == 0
    assert all(math.isfinite(value) for value in said.values())


def test_where_no_trial_is_good_enough_the_weights_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_policy()
    before = weights_of(policy)
    stepper = stepper_of(policy, backtrack_iters=3)
    seen = []

    def worse(batches: Sequence[MicroBatch]) -> dict[str, float]:
        seen.append(weights_of(policy))
        return {"loss": 1e9}

    monkeypatch.setattr(stepper, "evaluate", worse)
    said = stepper.step([MicroBatch.of(groups_of())], 1.0).metrics
    assert said["trust_region/accepted"] == 0 and said["trust_region/backtracks"] == 3
    assert seen and any(not torch.equal(seen[0][name], before[name]) for name in before)
    assert_same_bits(before, weights_of(policy))


def test_an_interrupt_in_the_line_search_puts_the_weights_back(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_policy()
    before = weights_of(policy)
    stepper = stepper_of(policy)

    def stopped(batches: Sequence[MicroBatch]) -> dict[str, float]:
        raise KeyboardInterrupt

    monkeypatch.setattr(stepper, "evaluate", stopped)
    with pytest.raises(KeyboardInterrupt):
        stepper.step([MicroBatch.of(groups_of())], 1.0)
    assert_same_bits(before, weights_of(policy))


def test_backtracking_takes_the_first_that_is_good_enough() -> None:
    trials = {
        1.0: Trial(0.02, 5.0),
        0.5: Trial(0.009, 0.9),
        0.25: Trial(math.nan, 9.0),
        0.125: Trial(0.01, 1.0),
    }
    found = backtrack(trials.__getitem__, 1.0, 0.01, 0.5, 4)
    assert found is not None and found.backtracks == 3 and found.trial == trials[0.125]
    assert backtrack(trials.__getitem__, 1.0, 0.01, 0.5, 3) is None


def test_the_split_into_micro_batches_changes_nothing() -> None:
    groups = groups_of()
    moved, said = [], []
    for parts in ([groups], [[g] for g in groups], [groups[:1], groups[1:]]):
        policy = tiny_policy()
        result = stepper_of(policy).step([MicroBatch.of(part) for part in parts], 1.0)
        moved.append(weights_of(policy))
        said.append(result.metrics)
    for other, words in zip(moved[1:], said[1:], strict=True):
        for name, value in moved[0].items():
            torch.testing.assert_close(other[name], value, rtol=0, atol=1e-6)
        for name in ("kl", "surrogate_after", "accepted", "backtracks"):
            expected = said[0][f"trust_region/{name}"]
            assert words[f"trust_region/{name}"] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_advantages_of_any_scale_give_the_same_step() -> None:
    moved = []
    for scale in (1.0, 2.0**-16):  # exact in binary
        policy, groups = tiny_policy(), groups_of()
        scaled = [
            Group(
                tuple(
                    replace(s, credit=Credit(advantages=tuple(a * scale for a in s.credit.advantages)))
                    for s in g.samples
                    if s.credit is not None
                )
            )
            for g in groups
        ]
        step(policy, scaled)
        moved.append(weights_of(policy))
    for name, value in moved[0].items():
        torch.testing.assert_close(moved[1][name], value, rtol=0, atol=1e-7)


def test_only_the_adapter_changes_and_dropout_is_off() -> None:
    policy, plainly = lora_policy(dropout=0.5), lora_policy()
    policy.model.train()
    before = {name: p.detach().clone() for name, p in policy.model.named_parameters()}
    said = step(policy, groups_of())
    assert said["trust_region/accepted"] == 1 and said["trust_region/kl"] > 1e-3
    assert policy.model.training
    after = dict(policy.model.named_parameters())
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all("lora_" in name for name in changed)
    step(plainly, groups_of())
    assert_same_bits(weights_of(policy), weights_of(plainly))


def test_a_bandit_is_solved() -> None:
    """Answers of one token; one of eight is rewarded."""
    policy = tiny_policy(vocab_size=8)
    context, best = (2, 3, 4), 5
    stepper = stepper_of(policy, max_kl_step=0.02)
    random = torch.Generator().manual_seed(0)
    nothing = Group((Sample(Context(token_ids=context), Completion(token_ids=(0,), trained=(True,))),))

    def likely() -> Tensor:
        return distributions(policy, [nothing])[0].exp()

    first = float(likely()[best])
    for _ in range(40):
        before = likely()
        drawn = torch.multinomial(before, 48, replacement=True, generator=random)
        reward = (drawn == best).float()
        advantage = (reward - reward.mean()).tolist()
        samples = [
            Sample(
                Context(token_ids=context),
                Completion(token_ids=(token,), trained=(True,)),
                credit=Credit(advantages=(a,)),
            )
            for token, a in zip(drawn.tolist(), advantage, strict=True)
        ]
        said = stepper.step([MicroBatch.of([Group(tuple(samples))])], 1.0).metrics
        assert mean_kl(before.log()[None], likely().log()[None]) <= 0.02 * 1.001
        if not reward.std():  # all the same: nothing to learn from
            assert said["trust_region/accepted"] == 0
    assert first < 0.5 < 0.9 < float(likely()[best])
    assert policy.version == 40


# -- what goes wrong -----------------------------------------------------------


def test_numbers_that_are_not_finite_stop_it_with_the_old_weights() -> None:
    policy = tiny_policy()
    before = weights_of(policy)
    with pytest.raises(TrainingFault, match="as before this step"):
        step(policy, groups_of(advantage=math.nan))
    assert_same_bits(before, weights_of(policy))
    assert all(p.grad is None for p in policy.trainable().values())


def test_a_fisher_matrix_that_is_not_finite_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_policy()
    before = weights_of(policy)
    monkeypatch.setattr(FisherProduct, "__call__", lambda self, v: v * math.inf)
    with pytest.raises(TrainingFault, match="residual"):
        step(policy, groups_of())
    assert_same_bits(before, weights_of(policy))


def test_what_it_cannot_do_is_refused() -> None:
    policy = tiny_policy()
    scorer = Scorer(policy, NEEDS)
    unused = torch.optim.SGD(policy.trainable().values(), lr=1.0)
    with pytest.raises(ConfigError, match="critic"):
        TrustRegionStepper(policy, [WeightedTerm(ValueLoss())], unused, scorer)
    for bad in ({"max_kl_step": 0.0}, {"damping": -1.0}, {"cg_iters": 0}, {"backtrack_coeff": 1.0}):
        with pytest.raises(ValueError, match="must be"):
            stepper_of(policy, **bad)
    policy.compute_dtype = torch.bfloat16
    with pytest.raises(ConfigError, match="float32"):
        stepper_of(policy)
