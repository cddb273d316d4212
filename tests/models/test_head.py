"""The head at scored positions equals the plain softmax of all logits: values and gradients."""

from __future__ import annotations

import pytest
import torch

from charter.models import head

CASES = [(1.0, None), (0.7, None), (1.0, 2.5), (1.3, 2.5)]


def inputs(rows: int = 70, width: int = 12, vocab: int = 37) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(rows, width, generator=generator)
    weight = torch.randn(vocab, width, generator=generator)
    labels = torch.randint(0, vocab, (rows,), generator=generator)
    return hidden, weight, labels


def plain(
    hidden: torch.Tensor, weight: torch.Tensor, temperature: float, softcap: float | None
) -> torch.Tensor:
    logits = hidden @ weight.T
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    return torch.log_softmax(logits / temperature, -1)


@pytest.fixture(params=["as it is", "small chunks", "whole chunks"])
def chunking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU, in several chunks, and as elsewhere."""
    if request.param == "small chunks":
        monkeypatch.setattr(head, "_CHUNK_CELLS", 37 * 11)
        monkeypatch.setattr(head, "_ROWS", 4)
    if request.param == "whole chunks":
        monkeypatch.setattr(head, "_rows_at_once", lambda _: head.CHUNK)


@pytest.mark.usefixtures("chunking")
@pytest.mark.parametrize("frozen", [None, "head", "hidden"])
@pytest.mark.parametrize(("temperature", "softcap"), CASES)
def test_log_probs_and_their_gradients(temperature: float, softcap: float | None, frozen: str | None) -> None:
    hidden, weight, labels = inputs()
    hidden.requires_grad_(frozen != "hidden")
    weight.requires_grad_(frozen != "head")
    trained = [x for x in (hidden, weight) if x.requires_grad]
    rows = torch.randn(len(labels), generator=torch.Generator().manual_seed(1))
    expected = plain(hidden, weight, temperature, softcap).gather(1, labels[:, None])[:, 0]
    found = head.log_probs(hidden, weight, labels, temperature, softcap)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    wanted = torch.autograd.grad((expected * rows).sum(), trained)
    for one, other in zip(torch.autograd.grad((found * rows).sum(), trained), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("chunking")
@pytest.mark.parametrize(("temperature", "softcap"), CASES)
def test_what_carries_no_gradient(temperature: float, softcap: float | None) -> None:
    hidden, weight, _ = inputs()
    p = plain(hidden, weight, temperature, softcap)
    close = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(
        head.entropy(hidden, weight, temperature, softcap), -(p.exp() * p).sum(-1), **close
    )
    torch.testing.assert_close(
        head.squared_probs(hidden, weight, temperature, softcap), p.exp().square().sum(-1), **close
    )
    logps, ids = head.top(hidden, weight, 6, temperature, softcap)
    torch.testing.assert_close(logps, p.topk(6, -1).values, **close)
    torch.testing.assert_close(p.gather(1, ids), logps, **close)


@pytest.mark.usefixtures("chunking")
@pytest.mark.parametrize(("softcap", "other"), [(None, None), (2.5, None), (None, 1.5), (2.5, 1.5)])
def test_divergence_of_two_heads(softcap: float | None, other: float | None) -> None:
    hidden, weight, _ = inputs()
    second, wider = torch.randn(70, 20, generator=torch.Generator().manual_seed(3)), torch.ones(37, 20)
    p, q = plain(hidden, weight, 1.0, softcap), plain(second, wider, 1.0, other)
    found = head.kl_divergence(hidden, second, weight, wider, softcap, other)
    torch.testing.assert_close(found, (p.exp() * (p - q)).sum(-1), rtol=1e-4, atol=1e-5)


def test_no_rows_are_no_error() -> None:
    _, weight, _ = inputs()
    nothing = torch.empty(0, 12)
    assert head.log_probs(nothing, weight, torch.empty(0, dtype=torch.long), 1.0, 2.0).shape == (0,)
    assert head.top(nothing, weight, 3)[0].shape == (0, 3)


def test_a_large_vocabulary_is_read_in_smaller_chunks() -> None:
    assert head._chunk_rows(torch.empty(49152, 1)) == head.CHUNK
    assert head._chunk_rows(torch.empty(262144, 1)) == 256
