"""Tokens are drawn from exactly the distribution transformers would draw from."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from charter.engines.base import Sampling
from charter.engines.sampling import TokenChooser
from charter.errors import TrainingFault

CPU = torch.device("cpu")
DRAWS = 4000


def chooser(sampling: Sampling, vocab: int, rows: int = DRAWS) -> TokenChooser:
    return TokenChooser(sampling, vocab, rows, CPU)


def expected(logits_V, options: Sampling):
    warpers = LogitsProcessorList([TemperatureLogitsWarper(options.temperature)])
    if options.top_k:
        warpers.append(TopKLogitsWarper(options.top_k))
    if options.top_p < 1:
        warpers.append(TopPLogitsWarper(options.top_p))
    if options.min_p:
        warpers.append(MinPLogitsWarper(options.min_p))
    return torch.softmax(warpers(None, logits_V[None]), -1)[0]


def drawn(logits_V, options: Sampling):
    """Share of each token when the uniform runs evenly through [0, 1): exact to 1 / DRAWS per token."""
    grid = (np.arange(DRAWS) + 0.5) / DRAWS
    tokens, logps = chooser(options, len(logits_V)).choose(logits_V.expand(DRAWS, -1), grid)
    return torch.bincount(tokens, minlength=len(logits_V)) / DRAWS, tokens, logps


OPTIONS = [
    {},
    {"temperature": 0.6},
    {"temperature": 1.7},
    {"top_k": 1},
    {"top_k": 5},
    {"top_k": 5000},
    {"top_p": 0.3},
    {"top_p": 0.95},
    {"top_p": 1e-6},
    {"min_p": 0.05},
    {"min_p": 1.0},
    {"min_p": 1e-9},
    {"temperature": 0.8, "top_k": 40, "top_p": 0.9},
    {"temperature": 1.3, "top_k": 200, "top_p": 0.8, "min_p": 0.02},
    {"top_p": 0.9, "min_p": 0.001},
]


@pytest.mark.parametrize("values", OPTIONS, ids=str)
@pytest.mark.parametrize("vocab", [3, 258, 1000])
@pytest.mark.parametrize("spread", [0.2, 3.0])
def test_the_distribution_is_that_of_transformers(values, vocab, spread):
    options = Sampling(**values)
    logits = torch.randn(vocab, generator=torch.Generator().manual_seed(vocab)) * spread
    want = expected(logits, options)
    got, tokens, logps = drawn(logits, options)
    assert (got - want).abs().max() <= 1.5 / DRAWS
    assert (want[tokens] > 0).all()
    full = torch.log_softmax(logits / options.temperature, -1)
    torch.testing.assert_close(logps, full[tokens], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("values", [{"top_k": 3}, {"top_k": 3, "top_p": 0.99}, {"min_p": 0.5}])
def test_ties_of_the_last_token_stay_as_in_transformers(values):
    logits = torch.tensor([2.0] + [1.0] * 90 + [0.0] * 30)
    options = Sampling(temperature=1.0, **values)
    got, *_ = drawn(logits, options)
    want = expected(logits, options)
    if "top_p" not in values:  # which of equal tokens top_p keeps is not defined; how many is
        assert (got - want).abs().max() <= 1.5 / DRAWS
    assert int((got > 0).sum()) == int((want > 0).sum())


def test_a_row_never_depends_on_its_neighbours():
    flat, peaked = torch.zeros(2000), torch.randn(2000, generator=torch.Generator().manual_seed(0)) * 5
    options = Sampling(top_p=0.9)
    grid = np.linspace(0, 1, 50, endpoint=False)
    alone, _ = chooser(options, 2000).choose(peaked.expand(50, -1), grid)
    rows = torch.stack([peaked, flat]).repeat(50, 1)
    mixed, _ = chooser(options, 2000).choose(rows, grid.repeat(2))
    assert torch.equal(mixed[::2], alone)


@given(
    u=st.floats(0, 1, exclude_max=True),
    logits=st.lists(st.floats(-80, 80, width=32), min_size=1, max_size=150),
)
@settings(max_examples=150, deadline=None)
def test_any_uniform_gives_a_token_that_has_probability(u, logits):
    row = torch.tensor([logits])
    tokens, logps = chooser(Sampling(), len(logits), 1).choose(row, np.array([u]))
    assert 0 <= int(tokens) < len(logits)
    assert torch.softmax(row, -1)[0, int(tokens)] > 0
    assert torch.isfinite(logps).all()


def test_forbidden_tokens_are_never_drawn():
    logits = torch.full((300,), float("-inf"))
    logits[[5, 77, 299]] = 0.0
    for options in (Sampling(), Sampling(top_k=10), Sampling(top_p=0.99)):
        got, *_ = drawn(logits, options)
        assert set(got.nonzero()[:, 0].tolist()) == {5, 77, 299}


def test_greedy_takes_the_first_most_probable_token():
    logits = torch.tensor([[0.0, 3.0, 3.0, 1.0], [9.0, 0.0, 0.0, 0.0]])
    tokens, logps = chooser(Sampling(temperature=0), 4, 2).choose(logits, np.zeros(2))
    assert tokens.tolist() == [1, 0]
    torch.testing.assert_close(logps, torch.log_softmax(logits, -1)[[0, 1], [1, 0]])


def test_the_work_buffer_carries_nothing_over():
    choose = chooser(Sampling(), 70, 2).choose
    peak = torch.full((2, 70), -50.0)
    peak[:, 69] = 50.0
    assert choose(peak, np.array([0.999999, 0.001]))[0].tolist() == [69, 69]
    peak[:, 69], peak[:, 0] = -50.0, 50.0
    assert choose(peak, np.array([0.999999, 0.001]))[0].tolist() == [0, 0]


@pytest.mark.parametrize("options", [Sampling(), Sampling(top_k=3), Sampling(temperature=0)])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_no_distribution_are_an_error(options, bad):
    logits = torch.zeros(3, 100)
    logits[1, 50] = bad
    with pytest.raises(TrainingFault, match="not a distribution"):
        chooser(options, 100, 3).choose(logits, np.full(3, 0.5))
