"""The divergence in chunks equals the plain one: values, and gradients of hidden states and head."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from charter.data.packing import pack
from charter.models import distil, plain
from charter.models.distil import NextToken, divergence, next_token
from charter.objectives.distillation import Divergence
from charter.testing import tiny_model
from charter.types import Completion, Context, Sample

ROWS, WIDTH, VOCABULARY = 37, 16, 211
KINDS = [
    Divergence("forward_kl"),
    Divergence("reverse_kl"),
    Divergence("jsd", beta=0.3),
    Divergence("jsd", beta=0.7, temperature=0.9),
    Divergence("forward_kl", top_k=50),
    Divergence("reverse_kl", temperature=2.0, top_k=5),
    Divergence("jsd", beta=0.5, top_k=5),
    Divergence("forward_kl", top_k=VOCABULARY),
]
each = pytest.mark.parametrize("how", KINDS, ids=str)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight rows at a time, so that a chunk ends inside the batch."""
    monkeypatch.setattr(distil, "_CELLS", 8 * VOCABULARY)


def matrix(seed: int, rows: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(rows, WIDTH, generator=generator, dtype=torch.float64).to(dtype)


def bent(hidden: Tensor, weight: Tensor, softcap: float | None) -> Tensor:
    logits = hidden @ weight.T
    return logits if softcap is None else softcap * torch.tanh(logits / softcap)


@pytest.mark.parametrize("caps", [(None, None), (3.0, 3.0), (None, 2.0)])
@each
def test_values_and_gradients_equal_the_plain_computation(
    how: Divergence, caps: tuple[float | None, float | None]
) -> None:
    inputs = [matrix(0, ROWS), matrix(1, VOCABULARY, 0.5), matrix(2, ROWS), matrix(3, VOCABULARY, 0.5)]
    hidden, weight = (x.requires_grad_() for x in inputs[:2])
    teacher = NextToken(inputs[2], inputs[3], caps[1])
    every = torch.arange(ROWS)
    found = divergence(NextToken(hidden, weight, caps[0]), teacher, every, every, how)
    # A loss that weighs every row differently: the gradient must not suppose a mean.
    row_weights = torch.linspace(-1.0, 2.0, ROWS)
    ours = found.detach(), *torch.autograd.grad((found * row_weights).sum(), [hidden, weight])

    def plainly(dtype: torch.dtype) -> tuple[Tensor, ...]:
        own, head, theirs, other = (x.detach().to(dtype).requires_grad_() for x in inputs)
        value = how(bent(own, head, caps[0]), bent(theirs, other, caps[1]))
        return value.detach(), *torch.autograd.grad((value * row_weights).sum(), [own, head])

    for mine, rounded, exact in zip(ours, plainly(torch.float32), plainly(torch.float64), strict=True):
        scale = max(float(exact.abs().max()), 1.0)
        assert exact.abs().max() > 1e-3
        # Where the plain computation in float32 is off by more than 1e-6, so may this be.
        allowed = max(1e-6, 4 * float((rounded - exact).abs().max()) / scale)
        assert float((mine - exact).abs().max()) / scale < allowed


@each
def test_gradient_in_float64(how: Divergence) -> None:
    theirs, other = matrix(2, 5, dtype=torch.float64), matrix(3, 13, 0.5, torch.float64)
    every = torch.arange(5)

    def value(hidden: Tensor, weight: Tensor) -> Tensor:
        return divergence(NextToken(hidden, weight), NextToken(theirs, other), every, every, how)

    inputs = matrix(0, 5, dtype=torch.float64), matrix(1, 13, 0.5, torch.float64)
    assert torch.autograd.gradcheck(value, tuple(x.requires_grad_() for x in inputs))


def test_rows_may_be_taken_in_any_order_and_more_than_once() -> None:
    hidden, weight = matrix(0, ROWS).requires_grad_(), matrix(1, VOCABULARY)
    theirs = matrix(2, ROWS)
    student_K, teacher_K = torch.tensor([4, 4, 0, 30]), torch.tensor([1, 9, 9, 2])
    how = Divergence("forward_kl")
    found = divergence(NextToken(hidden, weight), NextToken(theirs, weight), student_K, teacher_K, how)
    wanted = how(hidden[student_K] @ weight.T, theirs[teacher_K] @ weight.T)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
    (mine,), (expected,) = (torch.autograd.grad(x.sum(), [hidden]) for x in (found, wanted))
    torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-6)


@each
def test_never_more_rows_at_once_than_a_chunk(how: Divergence, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    original = distil._compare

    def watched(logits: Tensor, *rest: Any, **options: Any) -> tuple[Tensor, Tensor]:
        seen.append(len(logits))
        return original(logits, *rest, **options)

    monkeypatch.setattr(distil, "_compare", watched)
    hidden, weight = matrix(0, ROWS).requires_grad_(), matrix(1, VOCABULARY).requires_grad_()
    every = torch.arange(ROWS)
    teacher = NextToken(matrix(2, ROWS), matrix(3, VOCABULARY))
    divergence(NextToken(hidden, weight), teacher, every, every, how).sum().backward()
    assert max(seen) == 8
    assert sum(seen) == 2 * ROWS  # once forward, and once more for the head's own gradient


def test_a_frozen_head_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []
    original = distil._compare
    monkeypatch.setattr(
        distil, "_compare", lambda *a, gradient: calls.append(gradient) or original(*a, gradient=gradient)
    )
    hidden, weight = matrix(0, 8).requires_grad_(), matrix(1, VOCABULARY)
    every = torch.arange(8)
    found = divergence(NextToken(hidden, weight), NextToken(matrix(2, 8), weight), every, every, KINDS[0])
    found.sum().backward()
    assert calls == [True]
    assert hidden.grad is not None


@each
def test_bf16_is_near_float32(how: Divergence) -> None:
    hidden, weight = matrix(0, ROWS), matrix(1, VOCABULARY, 0.5)
    theirs, other = matrix(2, ROWS), matrix(3, VOCABULARY, 0.5)
    every = torch.arange(ROWS)
    exact = how(hidden @ weight.T, theirs @ other.T)
    rounded = divergence(
        NextToken(hidden.bfloat16(), weight), NextToken(theirs.bfloat16(), other), every, every, how
    )
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=5e-2, atol=5e-2)


@each
def test_far_apart_is_finite(how: Divergence) -> None:
    hidden, weight = matrix(0, ROWS, 100.0).requires_grad_(), matrix(1, VOCABULARY, 10.0).requires_grad_()
    every = torch.arange(ROWS)
    teacher = NextToken(matrix(2, ROWS, 100.0), matrix(3, VOCABULARY, 10.0))
    found = divergence(NextToken(hidden, weight), teacher, every, every, how)
    gradients = torch.autograd.grad(found.sum(), [hidden, weight])
    assert torch.isfinite(found).all()
    assert all(torch.isfinite(g).all() for g in gradients)


# -- whole models ----------------------------------------------------------------------------


def samples(context: list[int]) -> list[Sample]:
    generator = torch.Generator().manual_seed(3)
    completions = [torch.randint(0, 250, (n,), generator=generator).tolist() for n in (4, 9, 1)]
    return [
        Sample(Context(token_ids=tuple(context)), Completion(token_ids=tuple(c), trained=(True,) * len(c)))
        for c in completions
    ]


@pytest.mark.parametrize("tied", [True, False])
def test_every_weight_of_a_model_gets_the_plain_gradient(tied: bool) -> None:
    """The embedding that is also the head gets both of its gradients."""
    model = tiny_model(tie_word_embeddings=tied).requires_grad_(True)
    teacher_model = tiny_model(seed=1)
    ours, theirs = pack(samples([7, 8, 9])), pack(samples([1, 2, 7, 8, 9]))
    how = Divergence("jsd", beta=0.4)
    every = torch.arange(len(ours.label_U))
    teacher = next_token(teacher_model, theirs, torch.float32).detached()
    found = divergence(next_token(model, ours, torch.float32), teacher, every, every, how)
    found.sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    wanted = how(plain.logits(model, ours), plain.logits(teacher_model, theirs))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
    wanted.sum().backward()
    assert gradients.keys() == {name for name, _ in model.named_parameters()}
    for name, p in model.named_parameters():
        torch.testing.assert_close(gradients[name], p.grad, rtol=1e-4, atol=2e-6, msg=name)


def test_a_model_the_one_forward_does_not_know_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, teacher_model = tiny_model().requires_grad_(True), tiny_model(seed=1)
    packed = pack(samples([7, 8, 9]))
    every = torch.arange(len(packed.label_U))

    def both() -> Tensor:
        sides = (next_token(m, packed, torch.float32) for m in (model, teacher_model))
        return divergence(*sides, every, every, Divergence("reverse_kl", top_k=9))

    fast = both()
    monkeypatch.setattr(distil, "is_llama_style", lambda model: False)
    slow = both()
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-6)
    slow.sum().backward()
    assert model.model.layers[0].self_attn.q_proj.weight.grad.abs().max() > 0
    assert all(p.grad is None for p in teacher_model.parameters())
