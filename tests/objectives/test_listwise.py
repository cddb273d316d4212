from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny_runs import asked, assert_splits_agree, make_loop, rendered, said
from torch import Tensor

from charter.catalogue import lookup
from charter.config import validate
from charter.objectives.base import NO_STATS, Layout, Objective, Scored, Term
from charter.objectives.listwise import EXO, NCA, InfoNCA, group_log_softmax
from charter.objectives.pair_losses import dpo_sigmoid
from charter.testing import save_tiny

GOLDEN = Path(__file__).parents[1] / "golden"
LENGTHS = [3, 1, 2, 2, 1, 4, 2, 3]
GROUPS = [0, 0, 0, 1, 1, 2, 2, 2]
RATINGS = [3.0, 1.0, 2.5, 0.2, 0.9, -1.0, 4.0, 4.0]
OBJECTIVES: dict[str, Callable[[], Objective]] = {
    "infonca": lambda: InfoNCA(beta=0.3, temperature_alpha=1.5),
    "nca": lambda: NCA(beta=0.3, temperature_alpha=1.5),
    "exo": lambda: EXO(beta=0.3, beta_r=1.5),
}
each = pytest.mark.parametrize("name", OBJECTIVES)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


def random(count: int, seed: int) -> Tensor:
    return -5 * torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rated(
    logps_N: Tensor,
    ref_logps_N: Tensor,
    *,
    lengths: list[int] = LENGTHS,
    groups: list[int] = GROUPS,
    ratings: list[float] = RATINGS,
    weight: list[float] | None = None,
) -> Scored:
    """A batch of rated samples; NaN is no rating."""
    count = len(lengths)
    layout = Layout(
        sample_N=torch.repeat_interleave(torch.arange(count), torch.tensor(lengths)),
        num_samples=count,
        group_B=torch.tensor(groups),
        part_B=torch.zeros(count, dtype=torch.long),
        value_BZ=torch.tensor(ratings, dtype=torch.float64)[:, None],
        weight_B=torch.ones(count, dtype=torch.float64)
        if weight is None
        else torch.tensor(weight, dtype=torch.float64),
    )
    return Scored(layout, logps_N, ref_logps_N)


def policy() -> Tensor:
    return random(sum(LENGTHS), 0)


def reference() -> Tensor:
    return random(sum(LENGTHS), 1)


def run(name: str, scored: Scored) -> Term:
    (term,) = OBJECTIVES[name]()(scored, NO_STATS).values()
    return term


def mean(term: Term) -> float:
    return float(term.total.detach()) / term.count


# -- gradients and limits -----------------------------------------------------------


@each
def test_gradient_in_float64(name: str) -> None:
    def loss(logps_N: Tensor) -> Tensor:
        return run(name, rated(logps_N, reference(), weight=[1, 1, 1, 2, 2, 0.5, 0.5, 0.5])).total

    assert torch.autograd.gradcheck(loss, policy().requires_grad_())


def test_at_the_reference_infonca_is_log_k_and_exo_the_kl_to_equal_shares() -> None:
    scored = rated(policy(), policy())
    log_k = torch.tensor([3.0, 2.0, 3.0], dtype=torch.float64).log()
    assert mean(run("infonca", scored)) == pytest.approx(float(log_k.mean()), rel=1e-12)
    assert mean(run("nca", scored)) == pytest.approx(2 * float(torch.tensor(2.0).log()), rel=1e-6)
    ratings = torch.tensor(RATINGS, dtype=torch.float64) / 1.5
    kl = [float(-log_k[g] - ratings[torch.tensor(GROUPS) == g].log_softmax(0).mean()) for g in range(3)]
    assert mean(run("exo", scored)) == pytest.approx(sum(kl) / 3, rel=1e-12)


def test_equal_ratings_at_the_reference_move_nothing() -> None:
    for name in OBJECTIVES:
        logps_N = policy().requires_grad_()
        scored = rated(logps_N, policy(), ratings=[1.0] * len(LENGTHS))
        (grad,) = torch.autograd.grad(run(name, scored).total, logps_N)
        assert grad.abs().max() < 1e-15, name


@each
def test_the_best_rises_and_the_worst_falls(name: str) -> None:
    logps_N = policy().requires_grad_()
    scored = rated(logps_N, policy())
    (grad,) = torch.autograd.grad(run(name, scored).total, logps_N)
    first = grad.split(LENGTHS)[:3]
    assert (first[0] < 0).all() and (first[1] > 0).all()


def test_two_answers_of_which_one_takes_all_are_dpo() -> None:
    logps_B, ref_B = random(2, 0), random(2, 1)
    scored = rated(logps_B, ref_B, lengths=[1, 1], groups=[0, 0], ratings=[1e6, 0.0])
    better, worse = (logps_B - ref_B).split(1)
    expected = dpo_sigmoid(better, worse, 0.3, torch.ones(1, dtype=torch.float64))
    assert mean(run("infonca", scored)) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("margin", [50.0, 1e4])
@each
def test_extreme_log_ratios_stay_finite(name: str, margin: float) -> None:
    logps_B = torch.tensor([-margin, 0.0, -1.0], dtype=torch.float64).requires_grad_()
    scored = rated(
        logps_B, logps_B.detach().flip(0), lengths=[1] * 3, groups=[0] * 3, ratings=[9.0, 1.0, 2.0]
    )
    term = run(name, scored)
    (grad,) = torch.autograd.grad(term.total, logps_B)
    assert torch.isfinite(term.total) and torch.isfinite(grad).all()


# -- independent implementations ----------------------------------------------------


def golden_cases() -> list[dict[str, Any]]:
    cases = json.loads((GOLDEN / "cases.json").read_text("utf-8"))
    return [case for case in cases if case["name"] in ("nca_pair", "exo_pair")]


@pytest.mark.parametrize("case", golden_cases(), ids=lambda c: f"{c['name']}-{c['variant']}")
def test_two_answers_give_the_golden_pair_losses(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(GOLDEN))
    runner = importlib.import_module("golden_listwise").RATED[case["name"]]
    wanted = case["expected"]["grads"]
    inputs = {
        name: torch.tensor(value, dtype=torch.float64).requires_grad_(name in wanted)
        for name, value in case["inputs"].items()
    }
    loss = runner(inputs, case["options"])["loss"]
    assert float(loss.detach()) == pytest.approx(case["expected"]["loss"], rel=1e-6)
    grads = torch.autograd.grad(loss, [inputs[name] for name in wanted])
    for name, grad in zip(wanted, grads, strict=True):
        torch.testing.assert_close(
            grad, torch.tensor(wanted[name], dtype=torch.float64), rtol=1e-6, atol=1e-9
        )


def test_agrees_with_the_authors_nca() -> None:
    """The lines of ``reward_trainer.py``, ``nca_loss``, in the repository of 2402.05369 (K = 4)."""
    logps, ref, scores = random(8, 0).reshape(2, 4), random(8, 1).reshape(2, 4), random(8, 2).reshape(2, 4)
    model_rewards, softlabel = 0.3 * (logps - ref), (scores / 1.5).softmax(-1)
    info = -(softlabel * model_rewards.log_softmax(dim=-1)).sum(dim=-1).mean()
    nca = -F.logsigmoid(-model_rewards).mean() - (softlabel * F.logsigmoid(model_rewards)).sum(-1).mean()
    scored = rated(
        logps.flatten(),
        ref.flatten(),
        lengths=[1] * 8,
        groups=[0] * 4 + [1] * 4,
        ratings=scores.flatten().tolist(),
    )
    for name, theirs in (("infonca", info), ("nca", nca)):
        assert mean(run(name, scored)) == pytest.approx(float(theirs), rel=1e-12)


def test_agrees_with_the_authors_exo() -> None:
    """The lines of ``src/align_stage/loss.py``, ``exact_loss`` with "rw", in the repository of 2402.00856."""
    logps, ref, scores = random(3, 0), random(3, 1), random(3, 2)
    labels = (scores / 1.5).log_softmax(0)
    estimated = (0.3 * (logps - ref)).log_softmax(0)
    theirs = (estimated.exp() * (estimated - labels)).sum(0)
    scored = rated(logps, ref, lengths=[1] * 3, groups=[0] * 3, ratings=scores.tolist())
    assert mean(run("exo", scored)) == pytest.approx(float(theirs), rel=1e-12)


# -- invariances --------------------------------------------------------------------


def test_log_softmax_of_groups_is_that_of_each() -> None:
    x = random(8, 3) * 100
    found = group_log_softmax(x, torch.tensor(GROUPS), 3)
    for g in range(3):
        own = torch.tensor(GROUPS) == g
        torch.testing.assert_close(found[own], x[own].log_softmax(0))


@each
def test_order_of_answers_and_split_change_nothing(name: str) -> None:
    whole = run(name, rated(policy(), reference()))
    order = [2, 0, 1, 4, 3, 7, 5, 6]
    pick = [policy().split(LENGTHS)[i] for i in order], [reference().split(LENGTHS)[i] for i in order]
    turned = rated(
        torch.cat(pick[0]),
        torch.cat(pick[1]),
        lengths=[LENGTHS[i] for i in order],
        ratings=[RATINGS[i] for i in order],
    )
    assert float(run(name, turned).total) == pytest.approx(float(whole.total), rel=1e-12)
    cut = sum(LENGTHS[:5])
    parts = [
        run(
            name,
            rated(
                policy()[a:b],
                reference()[a:b],
                lengths=LENGTHS[i:j],
                groups=[g - GROUPS[i] for g in GROUPS[i:j]],
                ratings=RATINGS[i:j],
            ),
        )
        for a, b, i, j in ((0, cut, 0, 5), (cut, None, 5, 8))
    ]
    assert sum(float(part.total) for part in parts) == pytest.approx(float(whole.total), rel=1e-12)
    assert sum(part.count for part in parts) == whole.count == 3
    for metric, value in whole.metrics.items():
        both = sum(float(part.metrics[metric]) for part in parts)
        assert both == pytest.approx(float(value), rel=1e-12), metric


@each
def test_answers_without_a_rating_take_no_part(name: str) -> None:
    nan = float("nan")
    missing = run(name, rated(policy(), reference(), ratings=[3.0, nan, 2.5, nan, 0.9, nan, nan, nan]))
    kept = [0, 2]
    parts = [policy().split(LENGTHS), reference().split(LENGTHS)]
    alone = rated(
        *(torch.cat([part[i] for i in kept]) for part in parts),
        lengths=[LENGTHS[i] for i in kept],
        groups=[0, 0],
        ratings=[3.0, 2.5],
    )
    assert float(missing.total) == pytest.approx(float(run(name, alone).total), rel=1e-12)
    assert missing.count == 1  # one answer, or none, is no comparison
    assert all(torch.isfinite(value) for value in missing.metrics.values())


@each
def test_counts_are_known_before_the_forward(name: str) -> None:
    scored = rated(policy(), reference(), weight=[1, 1, 1, 2, 2, 0.5, 0.5, 0.5])
    assert list(OBJECTIVES[name]().counts(scored.layout).values()) == [run(name, scored).count] == [3.5]


def test_metrics_are_of_the_best_rated_and_the_rest() -> None:
    term = run("nca", rated(policy(), reference()))
    rewards = [0.3 * float((p - r).sum()) for p, r in zip(*PARTS, strict=True)]
    best, rest = [0, 4, 6], [[1, 2], [3], [5, 7]]  # of equal ratings the first
    expected_best = sum(rewards[i] for i in best)
    expected_rest = sum(sum(rewards[i] for i in ids) / len(ids) for ids in rest)
    right = sum(rewards[b] >= max(rewards[i] for i in ids) for b, ids in zip(best, rest, strict=True))
    assert float(term.metrics["rewards/best"]) == pytest.approx(expected_best, rel=1e-9)
    assert float(term.metrics["rewards/rest"]) == pytest.approx(expected_rest, rel=1e-9)
    assert float(term.metrics["rewards/margins"]) == pytest.approx(expected_best - expected_rest, rel=1e-9)
    assert float(term.metrics["rewards/accuracies"]) == right
    assert float(term.metrics["length/best"]) == sum(LENGTHS[i] for i in best)


PARTS = (policy().split(LENGTHS), reference().split(LENGTHS))


# -- a tabular toy ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["infonca", "exo"])
def test_all_answers_rated_lead_to_the_optimal_policy(name: str) -> None:
    """``ref * exp(r / (alpha * beta))``, normalised, whichever the direction of the KL."""
    reward = torch.tensor([0.0, 0.5, -0.7, 1.2, 0.3], dtype=torch.float64)
    ref = torch.tensor([0.1, -0.4, 0.6, -1.0, 0.2], dtype=torch.float64).log_softmax(0)
    made = InfoNCA(0.7, 1.5) if name == "infonca" else EXO(0.7, 1.5)
    logits = ref.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=300, tolerance_grad=1e-11, tolerance_change=1e-15, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        scored = rated(logits.log_softmax(0), ref, lengths=[1] * 5, groups=[0] * 5, ratings=reward.tolist())
        (term,) = made(scored, NO_STATS).values()
        term.total.backward()
        return term.total

    optimizer.step(closure)
    optimal = (ref + reward / (0.7 * 1.5)).softmax(0)
    torch.testing.assert_close(logits.detach().softmax(0), optimal, rtol=0, atol=1e-6)
    assert float((optimal - ref.exp()).abs().sum()) > 0.4


# -- through the loop ---------------------------------------------------------------


def rows(count: int = 5) -> list[dict[str, Any]]:
    texts = ["yes, certainly", "no", "maybe so", "yes, certainly not"]
    return [
        {
            "prompt": asked(f"Question {i}?"),
            "responses": [said(f"{text} {i}") for text in texts[: 2 + i % 3]],
            "scores": [3.0, 1.0, 2.0, 0.5][: 2 + i % 3],
        }
        for i in range(count)
    ]


@pytest.mark.parametrize("algorithm", ["infonca", "nca-k", "exo-k"])
def test_splits_of_a_step_change_nothing(algorithm: str, tiny: str, tmp_path: Path) -> None:
    loop = make_loop(algorithm, rows(), tiny, tmp_path, beta=0.2)
    assert [len(group.samples) for group in loop.groups] == [2, 3, 4, 2, 3]
    assert_splits_agree(loop)


@pytest.mark.parametrize("algorithm", ["infonca", "nca-k", "exo-k"])
def test_published_settings_are_options(algorithm: str, tiny: str) -> None:
    entry = lookup(algorithm)
    validate(entry.options, dict(entry.paper_settings), where="test")
    assert all(len(group.judgements) == len(group.samples) for group in rendered(algorithm, rows(), tiny))
