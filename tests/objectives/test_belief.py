from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import assert_splits_agree, make_loop, pair_rows, rendered
from torch import Tensor

from charter.catalogue import lookup
from charter.catalogue.pluralistic import BELIEF, P_STAR
from charter.config import validate
from charter.errors import ConfigError, DataError
from charter.models.load import load
from charter.objectives.base import NO_STATS, Layout, Need, Scored, Term
from charter.objectives.belief import BeliefKL, BeliefNLL, belief_kl
from charter.testing import save_tiny
from charter.training.batch import MicroBatch
from charter.types import Group, PairTarget, SampleTarget

GROUPS = [0, 0, 0, 1, 1]
TARGET = [0.6, 0.3, 0.1, 0.0, 1.0]
HELD = [1.0, 0.0, 0.0, 0.0, 1.0]
ROW = {"beliefs": ["1", "2", "3"], "p_star": [0.5, 0.3, 0.2], "belief": 1}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


def random(count: int, seed: int) -> Tensor:
    return -0.1 - 3 * torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def beliefs(
    logps_B: Tensor,
    target: list[float] = TARGET,
    *,
    weight: list[float] | None = None,
    lengths: list[int] | None = None,
) -> Scored:
    """Five beliefs of two rows, one token each unless ``lengths`` says more."""
    values = torch.tensor([[math.nan, h, t] for h, t in zip(HELD, target, strict=True)], dtype=torch.float64)
    ones = [1.0] * 5 if weight is None else weight
    layout = Layout(
        sample_N=torch.repeat_interleave(torch.arange(5), torch.tensor(lengths or [1] * 5)),
        num_samples=5,
        group_B=torch.tensor(GROUPS),
        value_BZ=values,
        weight_B=torch.tensor(ones, dtype=torch.float64),
        dimensions=("", BELIEF, P_STAR),
    )
    return Scored(layout, logps_B)


def run(objective: BeliefKL | BeliefNLL, scored: Scored) -> Term:
    (term,) = objective(scored, NO_STATS).values()
    return term


# -- the maths ------------------------------------------------------------------------


@pytest.mark.parametrize("renormalize", [False, True])
def test_gradient_in_float64(renormalize: bool) -> None:
    def loss(logps_B: Tensor) -> Tensor:
        return run(BeliefKL(renormalize), beliefs(logps_B, weight=[1, 1, 1, 2, 2])).total

    assert torch.autograd.gradcheck(loss, random(5, 0).requires_grad_())
    assert torch.autograd.gradcheck(
        lambda x: run(BeliefNLL(), beliefs(x)).total, random(5, 0).requires_grad_()
    )


def test_where_the_model_is_the_people_there_is_nothing_to_learn() -> None:
    logits = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64).log().requires_grad_()
    group_B, target = torch.zeros(3, dtype=torch.long), torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    for renormalize in (False, True):
        loss = belief_kl(logits.log_softmax(0), target, group_B, 1, renormalize=renormalize)
        (grad,) = torch.autograd.grad(loss.sum(), logits)
        assert float(loss.detach()) == pytest.approx(0.0, abs=1e-15)
        assert grad.abs().max() < 1e-15


def test_without_renormalising_lost_mass_costs() -> None:
    """The same ratios at a hundredth of the probability: log 100 more, and nothing when renormalised."""
    log_p = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64).log()
    group_B, target = torch.zeros(3, dtype=torch.long), log_p.exp()
    thin = log_p - math.log(100)
    assert float(belief_kl(thin, target, group_B, 1)) == pytest.approx(math.log(100))
    assert float(belief_kl(thin, target, group_B, 1, renormalize=True)) == pytest.approx(0.0, abs=1e-12)


def test_a_belief_nobody_holds_costs_nothing_by_itself() -> None:
    log_p = torch.tensor([-2000.0, -0.5], dtype=torch.float64).requires_grad_()
    target = torch.tensor([0.0, 1.0], dtype=torch.float64)
    loss = belief_kl(log_p, target, torch.zeros(2, dtype=torch.long), 1)
    (grad,) = torch.autograd.grad(loss.sum(), log_p)
    assert float(loss.detach()) == 0.5
    assert grad.tolist() == [0.0, -1.0]


def test_agrees_with_torch_kl_div() -> None:
    """The authors call ``F.kl_div(log_probs, p_star, reduction="batchmean")``."""
    log_p, target = random(6, 1).reshape(2, 3), random(6, 2).reshape(2, 3).softmax(1)
    theirs = torch.nn.functional.kl_div(log_p, target, reduction="batchmean")
    group_B = torch.tensor([0, 0, 0, 1, 1, 1])
    ours = belief_kl(log_p.flatten(), target.flatten(), group_B, 2).mean()
    torch.testing.assert_close(ours, theirs)


def test_counts_metrics_and_weights() -> None:
    scored = beliefs(random(5, 0), weight=[1, 1, 1, 3, 3], lengths=[1] * 5)
    kl, nll = run(BeliefKL(), scored), run(BeliefNLL(), scored)
    assert BeliefKL().counts(scored.layout) == {"belief_kl": kl.count} == {"belief_kl": 4.0}
    assert BeliefNLL().counts(scored.layout) == {"belief_nll": nll.count} == {"belief_nll": 4.0}
    x = random(5, 0)
    assert float(nll.total) == pytest.approx(float(-x[0] - 3 * x[4]))
    mass = float(x[:3].exp().sum() + 3 * x[3:].exp().sum())
    assert float(kl.metrics["belief/mass"]) == pytest.approx(mass)
    p, q = x[:3].softmax(0), torch.tensor(TARGET[:3], dtype=torch.float64)
    m = (p + q) / 2
    first = float((p * (p / m).log()).sum() + (q * (q / m).log()).sum()) / 2
    only_first = run(BeliefKL(), beliefs(x, weight=[1, 1, 1, 0, 0]))
    assert float(only_first.metrics["belief/jsd"]) == pytest.approx(first)
    assert float(only_first.metrics["belief/accuracy"]) == float(p.argmax() == 0)


def test_the_nll_is_a_mean_over_tokens() -> None:
    logps_N = random(8, 3)
    term = run(BeliefNLL(), beliefs(logps_N, lengths=[3, 1, 1, 1, 2]))
    assert term.count == 5.0
    assert float(term.total) == pytest.approx(float(-logps_N[:3].sum() - logps_N[6:].sum()))


def test_data_without_beliefs_say_nothing() -> None:
    scored = beliefs(random(5, 0))
    plain = Layout(**{**vars(scored.layout), "dimensions": ("", "x", "y")})
    for objective in (BeliefKL(), BeliefNLL()):
        term = run(objective, Scored(plain, scored.logps_N))
        assert float(term.total) == 0.0 == term.count
        assert objective.needs == {Need.LOGPS, Need.DIMENSIONS}


# -- from rows to tokens --------------------------------------------------------------


def kinds(group: Group) -> tuple[list[int], list[int]]:
    """Indices of the answers and of the beliefs."""
    of_beliefs = {s.target.sample for s in group.judgements if isinstance(s.target, SampleTarget)}
    return [i for i in range(len(group.samples)) if i not in of_beliefs], sorted(of_beliefs)


@pytest.mark.parametrize("suffix", ["\n", "", ": "])
@pytest.mark.parametrize("text", [False, True])
def test_a_row_is_its_answers_after_the_belief_and_the_beliefs(suffix: str, text: bool, tiny: str) -> None:
    rows = pair_rows(2, **ROW)
    if text:
        rows = [{"prompt": f"Q{i}: ", "chosen": "yes", "rejected": "no", **ROW} for i in range(2)]
    template = load(tiny, bf16=False).template
    plain = rendered("cpo", rows, tiny)
    for group, alone in zip(rendered("gdpo", rows, tiny, belief_suffix=suffix), plain, strict=True):
        answers, given = kinds(group)
        prompt = alone.samples[0].context.token_ids
        assert [template.decode(group.samples[i].completion.token_ids) for i in given] == [
            f"{n}{suffix}" for n in "123"
        ]
        assert all(group.samples[i].context.token_ids == prompt for i in given)
        held = group.samples[given[1]].completion.token_ids
        for i in answers:
            assert group.samples[i].context.token_ids == prompt + held
            assert group.samples[i].completion.token_ids == alone.samples[i].completion.token_ids
        assert [s.target for s in group.judgements if isinstance(s.target, PairTarget)] == [PairTarget(0, 1)]


def test_the_probability_of_a_belief_is_the_models(tiny: str, tmp_path: Path) -> None:
    """One byte is one token here: the softmax over the vocabulary at the prompt's last position."""
    rows = pair_rows(3, **ROW)
    loop = make_loop("gdpo", rows, tiny, tmp_path, belief_suffix="", learning_rate=1e-5)
    scored = loop.stepper.scorer(MicroBatch.of(loop.groups, loop.columns))
    term = run(BeliefKL(), scored)
    tokens = [load(tiny).tokenizer.convert_tokens_to_ids(n) for n in "123"]
    target = torch.tensor(ROW["p_star"])
    losses = []
    with torch.no_grad():
        for group in rendered("cpo", rows, tiny):
            logits = loop.policy.model(torch.tensor([group.samples[0].context.token_ids])).logits[0, -1]
            losses.append((target * (target.log() - logits.log_softmax(-1)[tokens])).sum())
    assert float(term.total.detach()) == pytest.approx(float(sum(losses)), rel=1e-4)


@pytest.mark.parametrize("options", [{}, {"renormalize": True, "belief_suffix": ""}], ids=str)
def test_splits_of_a_step_change_nothing(options: dict[str, Any], tiny: str, tmp_path: Path) -> None:
    rows = [{**row, "belief": i % 3} for i, row in enumerate(pair_rows(5, **ROW))]
    loop = make_loop("gdpo", rows, tiny, tmp_path, **options)
    assert {
        "loss/belief_kl",
        "loss/dpo",
        "loss/belief_nll",
        "belief/jsd",
        "rewards/margins",
    } <= loop.last.keys()
    assert loop.last["loss/dpo"] == pytest.approx(math.log(2), rel=1e-6)
    assert_splits_agree(loop)


def test_training_brings_the_beliefs_to_the_people(tiny: str, tmp_path: Path) -> None:
    loop = make_loop(
        "gdpo",
        pair_rows(2, **ROW),
        tiny,
        tmp_path,
        max_steps=40,
        learning_rate=3e-3,
        belief_suffix="",
        belief_nll_weight=0.0,
    )
    term = run(BeliefKL(), loop.stepper.scorer(MicroBatch.of(loop.groups, loop.columns)))
    assert float(term.metrics["belief/jsd"]) / term.count < 0.01
    assert float(term.metrics["belief/mass"]) / term.count > 0.9


def test_truncated_answers_that_end_within_their_belief_are_dropped(tiny: str) -> None:
    rows = pair_rows(3, **ROW)
    rows[0] = {**rows[0], "prompt": [{"role": "user", "content": "x" * 40}]}
    whole = rendered("gdpo", rows, tiny)
    longest = len(whole[0].samples[0].context.token_ids)  # prompt and belief: no room for an answer
    assert len(rendered("gdpo", rows, tiny, max_length=longest)) == 2
    assert len(rendered("gdpo", rows, tiny, max_length=longest + 2)) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"beliefs": None}, "'beliefs' is null"),
        ({"beliefs": ["1"], "p_star": [1.0]}, "two or more different texts"),
        ({"beliefs": ["1", "1", "2"]}, "two or more different texts"),
        ({"beliefs": ["1", 2, "3"]}, "two or more different texts"),
        ({"p_star": [0.5, 0.5]}, "'p_star' has 2 entries for 3"),
        ({"p_star": [5, 3, 2]}, "sums to 10"),
        ({"p_star": [1.2, -0.2, 0.0]}, "no distribution"),
        ({"belief": 3}, "'belief' is 3, wanted an index from 0 to 2"),
        ({"belief": "1"}, "wanted an index"),
        ({"belief": True}, "wanted an index"),
    ],
)
def test_bad_rows_are_named(change: dict[str, Any], words: str, tiny: str) -> None:
    with pytest.raises(DataError, match=words) as error:
        rendered("gdpo", pair_rows(2, **{**ROW, **change}), tiny)
    assert "row 1" in str(error.value) or ":1" in str(error.value)


def test_beliefs_that_do_not_exclude_each_other_are_refused(tiny: str) -> None:
    row = {"beliefs": ["1", "10", "3"], "p_star": ROW["p_star"], "belief": 0}
    with pytest.raises(DataError, match="one belief is the beginning of another"):
        rendered("gdpo", pair_rows(2, **row), tiny, belief_suffix="")
    assert rendered("gdpo", pair_rows(2, **row), tiny)


def test_rows_without_beliefs_are_refused(tiny: str) -> None:
    with pytest.raises(DataError, match="no column 'beliefs'"):
        rendered("gdpo", pair_rows(2), tiny)


def test_renormalising_nothing_is_refused() -> None:
    given = {"renormalize": True, "calibration_weight": 0}
    with pytest.raises(ConfigError, match="renormalize has no effect with calibration_weight: 0"):
        validate(lookup("gdpo").options, given, where="test")
    assert validate(lookup("gdpo").options, {"calibration_weight": 0}, where="test")


def test_published_settings_are_options() -> None:
    entry = lookup("gdpo")
    validate(entry.options, dict(entry.paper_settings), where="test")
    assert "NVIDIA" in entry.title
