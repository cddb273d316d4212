from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_runs import assert_splits_agree, make_loop, pair_rows, rendered, said
from torch import Tensor, nn

from charter.catalogue import lookup
from charter.config import validate
from charter.errors import ConfigError, DataError
from charter.objectives.base import NO_STATS, Need, Objective, Scored
from charter.objectives.reference_free import (
    CPO,
    ORPONLL,
    ChosenNLL,
    OddsRatio,
    SLiC,
    SLiCNLL,
    alpha_reward,
    cpo_loss,
    log1mexp,
    log_odds,
    odds_ratio_loss,
)
from charter.testing import save_tiny
from charter.training.batch import MicroBatch
from charter.training.terms import terms_of
from charter.types import SampleTarget

Batch = Callable[..., Scored]
LENGTHS = [3, 1, 4, 2, 1, 5]
LOSSES = ["sigmoid", "hinge", "ipo", "simpo", "alphapo"]
OBJECTIVES: dict[str, Callable[[], Objective]] = {
    **{f"cpo-{kind}": partial(CPO, beta=0.7, loss_type=kind) for kind in LOSSES},
    "cpo-smooth": partial(CPO, beta=0.7, loss_type="simpo", label_smoothing=0.2),
    "cpo-shaped": partial(CPO, beta=0.7, loss_type="alphapo", alpha=0.3),
    "odds-ratio": partial(OddsRatio, beta=0.4),
    "slic": partial(SLiC, delta=1.5),
    "nll": ChosenNLL,
    "orpo-nll": ORPONLL,
    "slic-nll": SLiCNLL,
}
each = pytest.mark.parametrize("make", OBJECTIVES.values(), ids=list(OBJECTIVES))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


def logps(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return -0.05 - 2 * torch.rand(sum(LENGTHS), generator=generator, dtype=torch.float64)


def total(objective: Objective, scored: Scored) -> Tensor:
    (term,) = objective(scored, NO_STATS).values()
    return term.total


def mean(objective: Objective, scored: Scored) -> float:
    (term,) = objective(scored, NO_STATS).values()
    return float(term.total.detach()) / term.count


def one(*values: float) -> list[Tensor]:
    return [torch.tensor([value], dtype=torch.float64) for value in values]


# -- gradients and limits -----------------------------------------------------------


@each
def test_gradient_in_float64(make: Callable[[], Objective], batch: Batch) -> None:
    def loss(logps_N: Tensor) -> Tensor:
        soft = {"probability": [1, 0.8, 0.5], "weight": [1, 2, 0.5]}
        return total(make(), batch(logps_N, None, lengths=LENGTHS, **soft))

    assert torch.autograd.gradcheck(loss, logps().requires_grad_())


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (partial(CPO, loss_type="sigmoid"), math.log(2)),
        (partial(CPO, loss_type="hinge"), 1.0),
        (partial(CPO, loss_type="ipo", beta=0.25), 4.0),
        (partial(CPO, loss_type="simpo", simpo_gamma=1.2), math.log1p(math.exp(1.2))),
        (partial(CPO, loss_type="alphapo", simpo_gamma=0.0, alpha=0.5), math.log(2)),
        (partial(OddsRatio, beta=0.3), 0.3 * math.log(2)),
        (partial(SLiC, delta=1.7), 1.7),
    ],
)
def test_equal_sides(make: Callable[[], Objective], expected: float, batch: Batch) -> None:
    side = logps()[:4].requires_grad_()
    scored = batch(side.repeat(2), None, lengths=[4, 4])
    assert mean(make(), scored) == pytest.approx(expected, rel=1e-12)
    (grad,) = torch.autograd.grad(total(make(), scored), side)
    assert grad.abs().max() < 1e-15


@pytest.mark.parametrize("name", [n for n in OBJECTIVES if "nll" not in n])
def test_gradient_raises_the_better_and_lowers_the_worse(name: str, batch: Batch) -> None:
    """Near equality, where no loss has reached its target."""
    logps_N = torch.full((sum(LENGTHS),), -0.4, dtype=torch.float64).requires_grad_()
    lengths = [3, 3, 2, 2, 3, 3]
    (grad,) = torch.autograd.grad(total(OBJECTIVES[name](), batch(logps_N, None, lengths=lengths)), logps_N)
    sides = grad.split(lengths)
    assert all((part < 0).all() for part in sides[0::2])
    assert all((part > 0).all() for part in sides[1::2])


def test_hinges_stop_beyond_the_margin(batch: Batch) -> None:
    logps_N = torch.tensor([-0.1, -9.0], dtype=torch.float64).requires_grad_()
    for objective in (SLiC(delta=2.0), CPO(beta=1.0, loss_type="hinge")):
        scored = batch(logps_N, None, lengths=[1, 1])
        assert float(total(objective, scored).detach()) == 0.0
        assert torch.autograd.grad(total(objective, scored), logps_N)[0].abs().max() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("x", [-1e-6, -1e-3, -0.5, -math.log(2), -0.7, -3.0, -20.0, -80.0])
def test_log1mexp_is_exact_at_both_ends(x: float, dtype: torch.dtype) -> None:
    found = log1mexp(torch.tensor([x], dtype=dtype))
    x = float(torch.tensor([x], dtype=dtype))
    exact = math.log(-math.expm1(x)) if x > -0.5 else math.log1p(-math.exp(x))
    assert float(found) == pytest.approx(exact, rel=3e-6 if dtype == torch.float32 else 1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_odds_of_certain_and_of_impossible_answers_stay_finite(dtype: torch.dtype) -> None:
    x = torch.tensor([0.0, -1e-30, -1e-4, -50.0, -2000.0], dtype=dtype).requires_grad_()
    loss = odds_ratio_loss(x, x.flip(0), torch.ones_like(x))
    (grad,) = torch.autograd.grad(loss.sum(), x)
    assert torch.isfinite(loss).all() and torch.isfinite(grad).all()
    assert torch.isfinite(log_odds(x)).all()


def test_the_reward_of_alpha_0_is_the_limit() -> None:
    x = logps()
    assert alpha_reward(x, 0.0) is x
    torch.testing.assert_close(alpha_reward(x, 1e-7), x, rtol=1e-6, atol=1e-6)
    for alpha in (-0.5, 0.25, 1.0):
        torch.testing.assert_close(alpha_reward(x, alpha), (1 - x.exp() ** -alpha) / alpha)


# -- invariances --------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOSSES)
def test_soft_is_the_mixture_of_hard(kind: Any) -> None:
    better, worse, p = one(-1.3, -0.4, 0.7)
    sure, not_at_all = torch.ones_like(p), torch.zeros_like(p)
    mixed = p * cpo_loss(better, worse, 2.0, kind, 0.8, sure)
    mixed = mixed + (1 - p) * cpo_loss(better, worse, 2.0, kind, 0.8, not_at_all)
    torch.testing.assert_close(cpo_loss(better, worse, 2.0, kind, 0.8, p), mixed)


@each
def test_weights_split_and_order(make: Callable[[], Objective], batch: Batch) -> None:
    """Weight 2 is the pair twice; parts add up; the order of pairs does not matter; counts are known."""
    x = logps()
    (weighted,) = make()(batch(x, None, lengths=LENGTHS, weight=[1, 2, 1]), NO_STATS).values()
    repeated = batch(x, None, lengths=LENGTHS, pairs=[(4, 5), (2, 3), (0, 1), (2, 3)])
    (twice,) = make()(repeated, NO_STATS).values()
    assert float(weighted.total) == pytest.approx(float(twice.total), rel=1e-12)
    assert weighted.count == pytest.approx(twice.count)
    assert list(make().counts(repeated.layout).values()) == [twice.count]
    cut = sum(LENGTHS[:2])
    first = make()(batch(x[:cut], None, lengths=LENGTHS[:2], weight=[1]), NO_STATS)
    rest = make()(batch(x[cut:], None, lengths=LENGTHS[2:], weight=[2, 1]), NO_STATS)
    parts = [*first.values(), *rest.values()]
    assert sum(float(part.total) for part in parts) == pytest.approx(float(weighted.total), rel=1e-12)
    assert sum(part.count for part in parts) == pytest.approx(weighted.count)
    for name, value in weighted.metrics.items():
        assert sum(float(p.metrics[name]) for p in parts) == pytest.approx(float(value), rel=1e-12), name


@each
def test_nothing_but_log_probs_is_needed(make: Callable[[], Objective]) -> None:
    assert make().needs == {Need.LOGPS}


def test_means_do_not_know_lengths_and_sums_do(batch: Batch) -> None:
    """A side written twice as long with the same log-prob per token."""
    short = batch(torch.full((4,), -0.5, dtype=torch.float64), None, lengths=[2, 2])
    long = batch(torch.full((6,), -0.5, dtype=torch.float64), None, lengths=[4, 2])
    for make in (partial(CPO, loss_type="simpo"), OddsRatio):
        assert mean(make(), long) == pytest.approx(mean(make(), short), rel=1e-12)
    for make in (CPO, SLiC):
        assert mean(make(), long) > mean(make(), short)


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        ("cpo", {}),
        ("cpo", {"loss_type": "hinge"}),
        ("simpo", {}),
        ("alphapo", {}),
        ("orpo", {}),
        ("orpo", {"completion_only_loss": False}),
        ("slic-hf", {}),
        ("slic-hf", {"nll_target": "target"}),
    ],
    ids=str,
)
def test_splits_of_a_step_change_nothing(
    algorithm: str, options: dict[str, Any], tiny: str, tmp_path: Path
) -> None:
    rows = pair_rows(target=said("The reference answer."))
    assert_splits_agree(make_loop(algorithm, rows, tiny, tmp_path, **options))


# -- TRL ----------------------------------------------------------------------------


def sums(batch_logps: Tensor, *, average: bool) -> tuple[Tensor, Tensor]:
    rows = [part.mean() if average else part.sum() for part in batch_logps.split(LENGTHS)]
    return torch.stack(rows[0::2]), torch.stack(rows[1::2])


@pytest.mark.parametrize("alpha", [0.0, 0.25])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kind", LOSSES)
def test_agrees_with_trl_cpo(kind: Any, smoothing: float, alpha: float, batch: Batch) -> None:
    """Calls ``CPOTrainer.cpo_loss`` of the installed TRL; its config turns alphapo into simpo."""
    if smoothing and kind in ("hinge", "ipo"):
        pytest.skip("TRL ignores label_smoothing there; here the combination is refused")
    trl = pytest.importorskip("trl.experimental.cpo", reason="TRL is a development dependency")
    trainer = SimpleNamespace(
        alpha=alpha,
        beta=0.6,
        simpo_gamma=0.9,
        label_smoothing=smoothing,
        loss_type="simpo" if kind == "alphapo" else kind,
        accelerator=SimpleNamespace(device="cpu"),
    )
    chosen, rejected = sums(logps(), average=kind in ("ipo", "simpo", "alphapo"))
    losses, chosen_rewards, _ = trl.CPOTrainer.cpo_loss(trainer, chosen, rejected)
    ours = CPO(beta=0.6, loss_type=kind, label_smoothing=smoothing, simpo_gamma=0.9, alpha=alpha)
    (term,) = ours(batch(logps(), None, lengths=LENGTHS), NO_STATS).values()
    assert float(term.total) / term.count == pytest.approx(float(losses.mean()), rel=1e-9)
    found = float(term.metrics["rewards/chosen"]) / term.count
    assert found == pytest.approx(float(chosen_rewards.mean()), rel=1e-9)


def test_agrees_with_trl_orpo(batch: Batch) -> None:
    """Calls ``ORPOTrainer.odds_ratio_loss``, which computes in float32."""
    trl = pytest.importorskip("trl.experimental.orpo", reason="TRL is a development dependency")
    trainer = SimpleNamespace(beta=0.3, accelerator=SimpleNamespace(device="cpu"))
    losses, *_, ratio, odds = trl.ORPOTrainer.odds_ratio_loss(trainer, *sums(logps(), average=True))
    (term,) = OddsRatio(beta=0.3)(batch(logps(), None, lengths=LENGTHS), NO_STATS).values()
    assert float(term.total) / term.count == pytest.approx(-float(losses.mean()), rel=1e-6)
    assert float(term.metrics["log_odds_ratio"]) / term.count == pytest.approx(float(ratio), rel=1e-6)
    assert float(term.metrics["log_odds_chosen"]) / term.count == pytest.approx(float(odds), rel=1e-6)


@pytest.mark.parametrize("completion_only", [True, False])
def test_nll_of_orpo_is_trl_cross_entropy(completion_only: bool, tiny: str, tmp_path: Path) -> None:
    """``trl/experimental/orpo/orpo_trainer.py``, ``concatenated_forward``: cross-entropy of the chosen
    texts, shifted, over prompt and answer; CPO's is the same over labels that mask the prompt.
    """
    rows = pair_rows(4)
    loop = make_loop("orpo", rows, tiny, tmp_path, completion_only_loss=completion_only)
    batch = MicroBatch.of(loop.groups, loop.columns)
    found = mean(ORPONLL(completion_only), loop.stepper.scorer(batch))
    logits, labels = [], []
    with torch.no_grad():
        for group in rendered("cpo", rows, tiny):
            chosen = group.samples[0]
            ids = torch.tensor([[*chosen.context.token_ids, *chosen.completion.token_ids]])
            label = ids.clone()
            if completion_only:
                label[:, : len(chosen.context.token_ids)] = -100
            logits.append(loop.policy.model(ids).logits[0, :-1])
            labels.append(label[0, 1:])
    theirs = nn.CrossEntropyLoss()(torch.cat(logits), torch.cat(labels))
    assert found == pytest.approx(float(theirs), rel=1e-5)
    of_answers = mean(ChosenNLL(), loop.stepper.scorer(batch))
    assert (found == pytest.approx(of_answers, rel=1e-6)) is completion_only


# -- data ---------------------------------------------------------------------------


def test_the_target_of_slic_is_a_sample_of_its_own(tiny: str, tmp_path: Path) -> None:
    rows = pair_rows(3, target=said("A reference answer."))
    (group, *_) = rendered("slic-hf", rows, tiny, nll_target="target")
    assert len(group.samples) == 3
    assert [j.target for j in group.judgements if isinstance(j.target, SampleTarget)] == [SampleTarget(2)]
    loop = make_loop("slic-hf", rows, tiny, tmp_path, nll_target="target", nll_coef=1.0)
    batch = MicroBatch.of(loop.groups, loop.columns)
    scored = loop.stepper.scorer(batch)
    expected = -scored.logps_B[scored.layout.judged_B].mean()
    assert mean(SLiCNLL("target"), scored) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert len(rendered("slic-hf", rows, tiny)[0].samples) == 2


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (pair_rows(2), "no column 'target'"),
        (pair_rows(2, target="text"), "not both text or both turns"),
        (pair_rows(2, target=None), "'target' is null"),
    ],
)
def test_a_bad_target_names_its_row(rows: list[dict[str, Any]], words: str, tiny: str) -> None:
    with pytest.raises(DataError, match=words):
        rendered("slic-hf", rows, tiny, nll_target="target")


def test_the_whole_text_is_scored_from_its_second_token(tiny: str) -> None:
    (group, *_) = rendered("orpo", pair_rows(2), tiny, completion_only_loss=False)
    chosen, _, whole = group.samples
    assert whole.context.token_ids == ()
    assert whole.completion.token_ids == chosen.context.token_ids + chosen.completion.token_ids
    assert whole.completion.trained == (False, *[True] * (len(whole.completion.token_ids) - 1))
    layout = MicroBatch.of([group]).layout
    assert layout.judged_B.tolist() == [False, False, True]


# -- options ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "options", "words"),
    [
        ("cpo", {"simpo_gamma": 1.0}, "simpo_gamma has no effect"),
        ("cpo", {"loss_type": "hinge", "label_smoothing": 0.1}, "label_smoothing has no effect"),
        ("cpo", {"loss_type": "alphapo", "cpo_alpha": 1.0}, "cpo_alpha is 0 with"),
        ("alphapo", {"alpha": 0.0}, "that is simpo"),
        ("slic-hf", {"nll_coef": 0.0, "nll_target": "chosen"}, "nll_target has no effect"),
        ("simpo", {"cpo_alpha": 0.5}, "unknown key 'cpo_alpha'"),
    ],
)
def test_options_without_effect_are_errors(algorithm: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        validate(lookup(algorithm).options, options, where="test")


def test_alphapo_as_a_loss_type_has_no_nll() -> None:
    made: Any = validate(lookup("cpo").options, {"loss_type": "alphapo", "alpha": 0.25}, where="test")
    assert made.cpo_alpha == 0.0
    assert [term.weight for term in terms_of(lookup("cpo"), made)] == [1.0]


@pytest.mark.parametrize("name", ["cpo", "simpo", "alphapo", "orpo"])
def test_trl_defaults_and_published_settings(name: str) -> None:
    entry = lookup(name)
    validate(entry.options, dict(entry.paper_settings), where="test")
    if name in ("cpo", "orpo"):
        trl = pytest.importorskip(f"trl.experimental.{name}")
        config = getattr(trl, f"{name.upper()}Config")(output_dir="unused", bf16=False)
        for option in entry.own_options():
            if hasattr(config, option):
                assert getattr(config, option) == entry.options.model_fields[option].default, option


def test_orpo_trains_on_text_columns(tiny: str, tmp_path: Path) -> None:
    rows = [{"prompt": f"Q{i}: ", "chosen": f"yes {i}", "rejected": f"no {i}"} for i in range(4)]
    loop = make_loop("orpo", rows, tiny, tmp_path, completion_only_loss=False)
    assert loop.last["tokens_scored"] == sum(
        sum(sample.completion.trained) for group in loop.groups for sample in group.samples
    )
