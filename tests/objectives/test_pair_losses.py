"""What every pair loss has in common: gradients, limits, extremes, soft labels, weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pair_setup import ENTRIES, SMOOTHING, prepared, step_loss
from torch import Tensor

from charter.catalogue.preference import LossType
from charter.objectives.base import NO_STATS, Need, Scored
from charter.objectives.f_divergence import FDivergence, f_score
from charter.objectives.pair_objective import PairLogps, Sides
from charter.objectives.preference import DPO, IPO, PAIR_LOSSES, TRANSPORTED, Knobs
from charter.objectives.psi_po import Psi, PsiPO
from charter.training.terms import terms_of

Batch = Callable[..., Scored]
LENGTHS = [3, 1, 4, 2, 1, 5]
LN2 = math.log(2)


def random(seed: int, count: int = sum(LENGTHS)) -> Tensor:
    return -3 * torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def full(batch: Batch, logps_N: Tensor, ref_N: Tensor, **more: Any) -> Scored:
    """With squared probabilities too."""
    squared_N = torch.linspace(0.1, 0.9, len(logps_N), dtype=logps_N.dtype)
    lengths = more.pop("lengths", LENGTHS)
    return replace(batch(logps_N, ref_N, lengths=lengths, **more), squared_probs_N=squared_N)


def made(loss_type: str, **options: Any) -> DPO:
    return DPO(
        **{"loss_type": loss_type, "label_smoothing": SMOOTHING.get(loss_type, 0.0), "beta": 0.3, **options}
    )


VARIANTS: dict[str, Any] = {
    **{name: made(name) for name in get_args(LossType)},
    "wpo": made("sigmoid", use_weighting=True),
    "ld": made("sigmoid", ld_alpha=0.4),
    "ld-ipo": made("ipo", ld_alpha=0.0),
    **{f"f-{name}": made("sigmoid", f_divergence_type=name) for name in get_args(FDivergence)},
    "ipo-sums": IPO(0.3, length_normalize=False),
    **{f"psi-{name}": PsiPO(0.3, name) for name in get_args(Psi)},
    "sum": DPO(0.3, ("sigmoid", "sft", "aot"), (0.5, 2.0, 1.5)),
}
every = pytest.mark.parametrize("name", VARIANTS)


def test_the_catalogue_names_every_loss() -> None:
    assert set(get_args(LossType)) == {*PAIR_LOSSES, *TRANSPORTED, "sppo", "sft"}


# -- gradients ---------------------------------------------------------------------------


@every
@pytest.mark.parametrize("probability", [[1, 1, 1], [1, 0.8, 0.5]], ids=["hard", "soft"])
def test_gradient_in_float64(batch: Batch, name: str, probability: list[float]) -> None:
    """WPO's weights are constants to the gradient, so they are held fixed here."""
    objective = VARIANTS[name]
    frozen = full(batch, random(0), random(1)).detached()

    def loss(logps_N: Tensor) -> Tensor:
        scored = full(batch, logps_N, random(1), probability=probability, weight=[1, 2, 0.5])
        if name == "wpo":
            aligned = frozen.squared_probs_N * torch.exp(logps_N.detach() - frozen.logps_N)
            scored = replace(scored, squared_probs_N=aligned)
        return step_loss(objective, scored)

    assert torch.autograd.gradcheck(loss, random(0).requires_grad_())


EXPECTED_SIGNS: dict[str, tuple[int, int]] = {
    # At the reference APO-down leaves the better answer; DiscoPOP goes the wrong way.
    "apo_down": (0, 1),
    "discopop": (1, -1),
    "sft": (-1, 0),
}


@every
def test_at_the_reference_the_better_goes_up_and_the_worse_down(batch: Batch, name: str) -> None:
    logps_N = random(0).requires_grad_()
    loss = step_loss(VARIANTS[name], full(batch, logps_N, random(0)))
    (grad_N,) = torch.autograd.grad(loss, logps_N)
    better, worse = EXPECTED_SIGNS.get(name, (-1, 1))
    parts = grad_N.round(decimals=12).split(LENGTHS)
    signs = [set(part.sign().tolist()) for part in parts]
    if name in ("ld", "ld-ipo"):  # the tail of the longer answer may weigh nothing
        signs = [found - {0.0} for found in signs]
    assert all(found == {better} for found in signs[0::2]), signs
    assert all(found == {worse} for found in signs[1::2]), signs


AT_REFERENCE = {
    **dict.fromkeys(("sigmoid", "sigmoid_norm", "cdpo", "robust", "aot", "aot_unpaired"), LN2),
    "hinge": 1.0,
    "ipo": (0.5 / 0.3) ** 2,
    "exo_pair": -LN2 - (math.log(1e-3) + math.log(1 - 1e-3)) / 2,
    "nca_pair": 2 * LN2,
    "bco_pair": 2 * LN2,
    "sppo_hard": 2 * (0.5 / 0.3) ** 2,
    "sppo": (0.5 / 0.3) ** 2,
    "apo_zero": 1.0,
    "apo_down": 1.0,
    "discopop": LN2 / 2 + 0.5,
    **{f"psi-{name}": LN2 for name in ("logit", "probit")},
    "psi-identity": (0.5 / 0.3) ** 2,
    "ld": LN2,
    **{f"f-{name}": LN2 for name in get_args(FDivergence)},
}


@pytest.mark.parametrize("name", AT_REFERENCE)
def test_value_at_the_reference(batch: Batch, name: str) -> None:
    loss = step_loss(VARIANTS[name], full(batch, random(0), random(0)))
    assert float(loss) == pytest.approx(AT_REFERENCE[name], rel=1e-12)


@pytest.mark.parametrize("name", [n for n in VARIANTS if n not in {"sft", "sum"}])
def test_an_equal_pair_moves_nothing(batch: Batch, name: str) -> None:
    """Where both answers are the same text, up and down cancel; APO-down pushes both down."""
    logps_N = random(2, 4).requires_grad_()
    scored = full(batch, logps_N.repeat(2), random(2, 4).repeat(2), lengths=[4, 4])
    (grad_N,) = torch.autograd.grad(step_loss(VARIANTS[name], scored), logps_N)
    pull = 0.3 / 4 if name == "apo_down" else 0.0
    torch.testing.assert_close(grad_N, torch.full_like(grad_N, pull))


# -- extremes ----------------------------------------------------------------------------


@every
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("margin", [50.0, -50.0])
@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_extreme_margins_are_finite(
    batch: Batch, name: str, margin: float, beta: float, dtype: torch.dtype
) -> None:
    logps_N = torch.tensor([margin - 60, -60.0, -1.0, -2.0], dtype=dtype).requires_grad_()
    ref_N = torch.tensor([-60.0, -60.0 + margin, -1.0, -2.0], dtype=dtype)
    objective = VARIANTS[name]
    if isinstance(objective, DPO):
        objective = DPO(
            beta,
            objective.types,
            objective.weights,
            objective.knobs.label_smoothing,
            objective.divergence,
            objective.alpha,
            objective.ld_alpha,
            objective.use_weighting,
        )
    loss = step_loss(objective, full(batch, logps_N, ref_N, lengths=[1, 1, 1, 1]))
    (grad_N,) = torch.autograd.grad(loss, logps_N)
    assert torch.isfinite(loss) and torch.isfinite(grad_N).all()


@pytest.mark.parametrize("tau", [0.05, 1.0])
def test_discopop_far_on_the_wrong_side_is_the_logistic_loss(tau: float) -> None:
    """exp(-h) overflows there; times its vanishing weight it is nothing (tau < 1), or 1 (tau = 1)."""
    sides = of(torch.tensor([-5000.0, -200.0, -100.0]), torch.zeros(3))
    found = PAIR_LOSSES["discopop"](sides, Knobs(beta=1.0, discopop_tau=tau))
    torch.testing.assert_close(found, -sides.better_P + (1.0 if tau == 1 else 0.0))


# -- soft labels -------------------------------------------------------------------------


def of(better_P: Tensor, worse_P: Tensor) -> Sides:
    ones_P = torch.ones_like(better_P)
    return Sides(better_P, worse_P, ones_P, ones_P, ones_P)


@pytest.mark.parametrize("name", [n for n in VARIANTS if n not in {"sft", "sum", "sppo", "psi-identity"}])
def test_a_soft_pair_is_part_itself_and_part_its_opposite(batch: Batch, name: str) -> None:
    """So says every loss, sorted ones included; the NLL of ``sft`` takes the data at its word."""
    p = [0.9, 0.6, 0.75]
    soft_loss = step_loss(VARIANTS[name], full(batch, random(0), random(1), probability=p))
    both_ways = [(0, 1), (2, 3), (4, 5), (1, 0), (3, 2), (5, 4)]
    repeated = full(batch, random(0), random(1), pairs=both_ways, weight=[*p, *(1 - value for value in p)])
    assert float(soft_loss) == pytest.approx(float(step_loss(VARIANTS[name], repeated)), rel=1e-9)


@pytest.mark.parametrize(("soft_name", "hard_name"), [("sppo", "sppo_hard"), ("psi-identity", "ipo-sums")])
def test_regression_on_soft_labels_has_the_gradient_of_the_mixture(
    batch: Batch, soft_name: str, hard_name: str
) -> None:
    """Values differ by a constant, ``p (1 - p) / beta ** 2``."""
    grads = []
    for name, scale in ((soft_name, 2.0 if soft_name == "sppo" else 1.0), (hard_name, 1.0)):
        logps_N = random(0).requires_grad_()
        loss = scale * step_loss(
            VARIANTS[name], full(batch, logps_N, random(1), probability=[0.9, 0.6, 0.75])
        )
        grads.append(torch.autograd.grad(loss, logps_N)[0])
    torch.testing.assert_close(grads[0], grads[1])


@pytest.mark.parametrize("psi", get_args(Psi))
@given(p=st.floats(0.05, 0.95), beta=st.floats(0.1, 2))
def test_psi_po_has_its_optimum_where_it_says(psi: Psi, p: float, beta: float) -> None:
    """``h = (Psi(p) - Psi(1/2)) / beta``."""
    normal = torch.distributions.Normal(0.0, 1.0)
    mapped = {
        "identity": p - 0.5,
        "logit": math.log(p / (1 - p)),
        "probit": float(normal.icdf(torch.tensor(p, dtype=torch.float64))),
    }
    h = torch.tensor([mapped[psi] / beta], dtype=torch.float64).requires_grad_()
    sides = replace(of(h, torch.zeros_like(h)), probability_P=torch.tensor([p], dtype=torch.float64))
    (grad,) = torch.autograd.grad(PsiPO(beta, psi).losses(sides).sum(), h)
    assert abs(float(grad)) < 1e-6 * max(1.0, 1 / beta)


def test_the_family_of_psi_po_holds_ipo_and_dpo(batch: Batch) -> None:
    scored = full(batch, random(0), random(1))
    pairs = [(PsiPO(0.3, "identity"), IPO(0.3, length_normalize=False)), (PsiPO(0.3, "logit"), DPO(0.3))]
    for family, known in pairs:
        assert float(step_loss(family, scored)) == pytest.approx(float(step_loss(known, scored)), rel=1e-12)


def test_robust_is_dpo_on_clean_labels_in_the_mean() -> None:
    """Its loss over labels flipped with rate e, averaged, is DPO's on the true ones."""
    sides, e = of(random(3, 5), random(4, 5)), 0.2
    knobs = Knobs(beta=0.7, label_smoothing=e)
    flipped = (1 - e) * PAIR_LOSSES["robust"](sides, knobs) + e * PAIR_LOSSES["robust"](
        sides.swapped(), knobs
    )
    torch.testing.assert_close(flipped, PAIR_LOSSES["sigmoid"](sides, knobs))


# -- SPPO's win rates ----------------------------------------------------------------------


def test_win_rates_come_from_scores_or_from_the_pair(batch: Batch) -> None:
    scored = batch(random(0), random(1), lengths=LENGTHS, probability=[0.9, 0.8, 0.7])
    rates = torch.tensor([0.6, 0.3, 0.7, torch.nan, torch.nan, torch.nan], dtype=torch.float64)
    scored = replace(scored, layout=replace(scored.layout, value_BZ=rates[:, None]))
    ratio = scored.logratios_B
    targets = torch.tensor([0.1, -0.2, 0.3, -0.3, 0.2, -0.2], dtype=torch.float64) / 0.3
    wanted = 0.5 * (ratio - targets).square().sum() / 3
    assert float(step_loss(made("sppo"), scored)) == pytest.approx(float(wanted), rel=1e-12)


# -- weights, order, reports -----------------------------------------------------------------


@every
def test_weight_two_is_the_pair_twice(batch: Batch, name: str) -> None:
    weighted = full(batch, random(0), random(1), weight=[1, 2, 1])
    repeated = full(batch, random(0), random(1), pairs=[(0, 1), (2, 3), (2, 3), (4, 5)])
    objective = VARIANTS[name]
    assert float(step_loss(objective, weighted)) == pytest.approx(
        float(step_loss(objective, repeated)), rel=1e-9
    )
    assert objective.counts(weighted.layout) == objective.counts(repeated.layout)


@every
def test_the_order_of_pairs_changes_nothing(batch: Batch, name: str) -> None:
    one = full(batch, random(0), random(1), weight=[1, 2, 3])
    other = full(batch, random(0), random(1), pairs=[(4, 5), (0, 1), (2, 3)], weight=[3, 1, 2])
    assert float(step_loss(VARIANTS[name], one)) == pytest.approx(
        float(step_loss(VARIANTS[name], other)), rel=1e-9
    )


@every
def test_counts_are_known_before_the_forward(batch: Batch, name: str) -> None:
    objective, scored = VARIANTS[name], full(batch, random(0), random(1), weight=[1, 0.5, 2])
    terms = objective(scored, prepared(objective, scored))
    assert objective.counts(scored.layout) == {key: term.count for key, term in terms.items()}


REPORTED = {
    f"{what}/{side}" for what in ("rewards", "logps", "length") for side in ("chosen", "rejected")
} | {"rewards/margins", "rewards/accuracies"}


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_reports_rewards_log_probs_and_lengths(batch: Batch, name: str) -> None:
    entry = ENTRIES[name]
    (first, *_) = terms_of(entry, entry.options())
    scored = full(batch, random(0).requires_grad_(), random(1))
    labels = torch.tensor([1.0, 0.0] * 3, dtype=torch.float64)[:, None]
    scored = replace(scored, layout=replace(scored.layout, value_BZ=labels))
    objective: Any = first.objective
    terms = objective(scored, prepared(objective, scored))
    found = {key: value for term in terms.values() for key, value in term.metrics.items()}
    found |= {key: pair[0] for term in terms.values() for key, pair in term.ratios.items()}
    missing = {"rewards/margins", "rewards/accuracies"} if entry.data == "unpaired" else set()
    assert set(found) == REPORTED - missing
    assert not any(value.requires_grad for value in found.values())


def test_sft_alone_reports_too(batch: Batch) -> None:
    scored = full(batch, random(0), random(1), weight=[1, 2, 1])
    (term,) = made("sft")(scored, NO_STATS).values()
    (dpo,) = made("sigmoid")(scored, NO_STATS).values()
    assert term.count == 3 + 2 * 4 + 1
    assert {k: float(a) for k, (a, _) in term.ratios.items()} == {k: float(v) for k, v in dpo.metrics.items()}
    assert {float(weight) for _, weight in term.ratios.values()} == {4.0}


def test_only_what_is_read_is_needed() -> None:
    base = {Need.LOGPS, Need.REFERENCE}
    assert made("hinge").needs == base
    assert made("sigmoid", use_weighting=True).needs == base | {Need.SQUARED_PROBS}
    assert DPO(loss_type=("sigmoid", "aot")).needs == base | {Need.STEP_STATISTICS}


# -- variants ------------------------------------------------------------------------------


def test_wpo_weighs_a_pair_as_the_policy_would_write_it(batch: Batch) -> None:
    scored = full(batch, random(0), random(1))
    aligned_N = scored.logps_N - scored.squared_probs_N.log()
    weights = [part.mean().exp() for part in aligned_N.split(LENGTHS)]
    knobs = Knobs(beta=0.3)
    loss_P = PAIR_LOSSES["sigmoid"](Sides.of(scored, PairLogps.of(scored)), knobs)
    wanted = sum(float(loss * a * b) for loss, a, b in zip(loss_P, weights[0::2], weights[1::2], strict=True))
    assert float(step_loss(VARIANTS["wpo"], scored)) == pytest.approx(wanted / 3, rel=1e-12)


def test_ld_alpha_from_the_shared_length_to_plain_sums(batch: Batch) -> None:
    scored = full(batch, random(0), random(1))
    nothing, whole = PairLogps.of(scored, 0.0), PairLogps.of(scored, 1.0)
    for plain_P, found_P in zip(vars_of(PairLogps.of(scored)), vars_of(whole), strict=True):
        torch.testing.assert_close(found_P, plain_P)
    rows = scored.logps_N.split(LENGTHS)
    shared = [min(a, b) for a, b in zip(LENGTHS[0::2], LENGTHS[1::2], strict=True)]
    for found_P, side in ((nothing.better_P, rows[0::2]), (nothing.worse_P, rows[1::2])):
        wanted = torch.stack([row[:n].sum() for row, n in zip(side, shared, strict=True)])
        torch.testing.assert_close(found_P, wanted)


def test_an_answer_in_several_pairs_is_cut_to_each_partner(batch: Batch) -> None:
    scored = full(batch, random(0), random(1), pairs=[(2, 1), (2, 5), (2, 0)])
    found_P = PairLogps.of(scored, 0.0).better_P
    row = scored.logps_N.split(LENGTHS)[2]
    torch.testing.assert_close(found_P, torch.stack([row[:1].sum(), row[:4].sum(), row[:3].sum()]))


def vars_of(logps: PairLogps) -> list[Tensor]:
    return [logps.better_P, logps.worse_P, logps.ref_better_P, logps.ref_worse_P]


@given(d=st.floats(-20, 20))
def test_the_alpha_divergence_lies_between_forward_and_reverse_kl(d: float) -> None:
    x = torch.tensor([d], dtype=torch.float64)
    near_0 = f_score(x, "alpha_divergence", 1e-9)
    near_1 = f_score(x, "alpha_divergence", 1 - 1e-5)
    torch.testing.assert_close(near_0, f_score(x, "forward_kl"), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(near_1, x, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("divergence", get_args(FDivergence))
def test_scores_rise_with_the_ratio_and_are_flat_far_out(divergence: FDivergence) -> None:
    """f' of a convex f; the clamp keeps float32 finite."""
    x = torch.linspace(-30, 30, 200, dtype=torch.float64)
    assert (f_score(x, divergence).diff() > 0).all()
    far = torch.tensor([-1e4, 1e4]).requires_grad_()
    found = f_score(far, divergence)
    assert torch.isfinite(found).all()
    assert torch.isfinite(torch.autograd.grad(found.sum(), far)[0]).all()
