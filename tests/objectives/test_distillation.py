"""Divergences between next-token distributions: gradients, limits, and TRL's own functions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from charter.errors import ConfigError
from charter.objectives.base import NO_STATS, Need, Scored
from charter.objectives.distillation import Distillation, Divergence, bucketed, kl

KINDS = [
    Divergence("forward_kl"),
    Divergence("reverse_kl"),
    Divergence("jsd", beta=0.3),
    Divergence("forward_kl", temperature=0.7),
    Divergence("jsd", beta=0.8, temperature=2.0, top_k=4),
    Divergence("forward_kl", top_k=3),
    Divergence("reverse_kl", top_k=3),
]
each = pytest.mark.parametrize("how", KINDS, ids=str)


def logits(seed: int, rows: int = 5, vocabulary: int = 11, scale: float = 3.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(rows, vocabulary, generator=generator, dtype=torch.float64)


@each
def test_gradient_in_float64(how: Divergence) -> None:
    teacher = logits(1)
    assert torch.autograd.gradcheck(lambda s: how(s, teacher), logits(0).requires_grad_())


@each
def test_equal_distributions_are_no_distance_apart(how: Divergence) -> None:
    student = logits(0).requires_grad_()
    # Logits shifted by a constant are the same distribution.
    found = how(student, student.detach() + 5.0)
    assert found.detach().abs().max() < 1e-12
    (gradient,) = torch.autograd.grad(found.sum(), [student])
    assert gradient.abs().max() < 1e-12


@each
def test_never_negative_and_the_teacher_carries_no_gradient(how: Divergence) -> None:
    teacher = logits(1).requires_grad_()
    found = how(logits(0).requires_grad_(), teacher)
    assert (found > 0).all()
    (gradient,) = torch.autograd.grad(found.sum(), [teacher], allow_unused=True)
    assert gradient is None


@each
def test_far_apart_is_finite(how: Divergence) -> None:
    student = (logits(0, scale=1e3)).requires_grad_()
    found = how(student, logits(1, scale=1e3))
    (gradient,) = torch.autograd.grad(found.sum(), [student])
    assert torch.isfinite(found).all()
    assert torch.isfinite(gradient).all()


def test_jsd_tends_to_both_divergences() -> None:
    student, teacher = logits(0, scale=1.0), logits(1, scale=1.0)
    near_0, near_1 = Divergence("jsd", beta=1e-6), Divergence("jsd", beta=1 - 1e-6)
    forward, reverse = Divergence("forward_kl"), Divergence("reverse_kl")
    torch.testing.assert_close(near_0(student, teacher) / 1e-6, forward(student, teacher), rtol=1e-4, atol=0)
    torch.testing.assert_close(near_1(student, teacher) / 1e-6, reverse(student, teacher), rtol=1e-4, atol=0)


def test_even_jsd_is_symmetric_and_at_most_log_two() -> None:
    how = Divergence("jsd", beta=0.5)
    torch.testing.assert_close(how(logits(0), logits(1)), how(logits(1), logits(0)), rtol=1e-12, atol=0)
    assert (how(logits(0, scale=100.0), logits(1, scale=100.0)) <= torch.log(torch.tensor(2.0)) + 1e-9).all()


# -- the teacher's most probable tokens ------------------------------------------------------


@pytest.mark.parametrize("kind", ["forward_kl", "reverse_kl", "jsd"])
def test_merging_tokens_into_a_bucket_only_loses_distance(kind: Any) -> None:
    """Data processing: the more tokens stay apart, the larger the divergence, up to the whole."""
    found = [Divergence(kind, top_k=k)(logits(0), logits(1)) for k in (1, 3, 6, 9, 10, 11, 50)]
    for fewer, more in pairwise(found):
        assert (more >= fewer - 1e-12).all()
    whole = Divergence(kind)(logits(0), logits(1))
    for complete in found[-3:]:  # a bucket of one token is that token
        torch.testing.assert_close(complete, whole, rtol=1e-12, atol=0)
    assert (found[0] < whole - 1e-6).all()


def test_buckets_hold_distributions() -> None:
    logps = logits(0).log_softmax(-1)
    index = logps.topk(3, -1).indices
    sums = bucketed(logps, index).exp().sum(-1)
    torch.testing.assert_close(sums, torch.ones_like(sums), rtol=1e-12, atol=0)


# -- TRL -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trl() -> Iterator[dict[str, Callable[..., Tensor]]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from trl.experimental.gkd import GKDTrainer
        from trl.experimental.sdft.loss_utils import add_tail_bucket, compute_divergence

    yield {
        "jsd": GKDTrainer.generalized_jsd_loss,
        "tail": add_tail_bucket,
        "divergence": compute_divergence,
    }


@pytest.mark.parametrize("temperature", [1.0, 0.9, 2.0])
@pytest.mark.parametrize(
    ("beta", "how"),
    [
        (0.0, Divergence("forward_kl")),
        (0.3, Divergence("jsd", beta=0.3)),
        (0.5, Divergence("jsd", beta=0.5)),
        (1.0, Divergence("reverse_kl")),
    ],
)
def test_agrees_with_trl_gkd(beta: float, how: Divergence, temperature: float, trl: Any, batch: Any) -> None:
    student = logits(0, rows=8).requires_grad_()
    labels = torch.tensor([[-100, 1, 2, 3], [-100, -100, 3, 4]])
    kept = (labels != -100).flatten()
    teacher = logits(1, rows=8)
    theirs = trl["jsd"](
        student.view(2, 4, -1), teacher.view(2, 4, -1), labels, beta=beta, temperature=temperature
    )
    divergence_N = replace(how, temperature=temperature)(student[kept], teacher[kept])
    scored = batch(torch.zeros(5, dtype=torch.float64), None, lengths=[3, 2])
    term = Distillation()(replace(scored, divergence_N=divergence_N), NO_STATS)["divergence"]
    ours = term.total / term.count
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-12)
    for mine, other in zip(
        torch.autograd.grad(ours, [student]), torch.autograd.grad(theirs, [student]), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    ("alpha", "how"),
    [
        (0.0, Divergence("forward_kl", top_k=4)),
        (0.4, Divergence("jsd", beta=0.4, top_k=4)),
        (1.0, Divergence("reverse_kl", top_k=4)),
    ],
)
def test_bucket_agrees_with_trl_sdft(alpha: float, how: Divergence, trl: Any) -> None:
    """TRL takes the student's most probable tokens; given the teacher's, its arithmetic is ours."""
    student, teacher = logits(0, scale=1.0), logits(1, scale=1.0)
    index = teacher.topk(4, -1).indices
    sides = [trl["tail"](side.log_softmax(-1).gather(-1, index)) for side in (student, teacher)]
    torch.testing.assert_close(how(student, teacher), trl["divergence"](*sides, alpha), rtol=1e-6, atol=1e-9)


# -- the objective ---------------------------------------------------------------------------


def test_objective_is_the_mean_over_scored_tokens(batch: Any) -> None:
    scored = batch(torch.zeros(6), None, lengths=[1, 5])
    divergence_N = torch.arange(6.0)
    objective = Distillation()
    term = objective(replace(scored, divergence_N=divergence_N), NO_STATS)["divergence"]
    assert objective.needs == {Need.TEACHER}
    assert objective.counts(scored.layout) == {"divergence": 6.0} == {"divergence": term.count}
    assert float(term.total) == 15.0


def test_objective_without_a_teacher_says_so(batch: Any) -> None:
    scored: Scored = batch(torch.zeros(2), None, lengths=[1, 1])
    with pytest.raises(ConfigError, match="teacher"):
        Distillation()(scored, NO_STATS)


@pytest.mark.parametrize(
    "options",
    [{"kind": "kl"}, {"beta": 0.0}, {"beta": 1.0}, {"temperature": 0.0}, {"top_k": 0}],
)
def test_senseless_divergences_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Divergence(**options)


def test_kl_against_a_hand_computed_case() -> None:
    p, q = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.25, 0.75]])
    expected = 0.5 * torch.log(torch.tensor(2.0)) + 0.5 * torch.log(torch.tensor(2 / 3))
    torch.testing.assert_close(kl(p.log(), q.log())[0], expected)
