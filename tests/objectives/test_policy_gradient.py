"""The clipped surrogate, REINFORCE and RLOO: identities, invariances, limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from rollout_setup import (
    LENGTHS,
    at_old_policy,
    gradient,
    layout_of,
    loss_of,
    measured,
    pieces,
    rollouts,
)
from torch import Tensor

from charter.objectives.base import Need, Scored
from charter.objectives.entropy_bonus import EntropyBonus
from charter.objectives.kl_penalty import kl_penalty
from charter.objectives.nash import NashMD
from charter.objectives.p3o import P3O
from charter.objectives.policy_gradient import RLOO, ClippedSurrogate, Reinforce
from charter.objectives.ppo_penalty import PPOPenalty
from charter.objectives.surrogate_losses import clipped_surrogate, importance_ratio
from charter.objectives.value import ValueLoss

LOSS_TYPES = ("grpo", "dapo", "bnpo", "dr_grpo", "cispo")
LEVELS = ("token", "sequence", "sequence_token")


def surrogate(loss_type: str = "dapo", **options: Any) -> ClippedSurrogate:
    return ClippedSurrogate(loss_type, max_completion_length=6, **options)


POLICY: dict[str, Any] = {
    **{f"{t}-{level}": surrogate(t, importance_sampling_level=level) for t in LOSS_TYPES for level in LEVELS},
    "two-sided": surrogate(delta=1.5),
    "dual-clip": surrogate(dual_clip=3.0),
    "kl-k2": surrogate("grpo", beta=0.1, kl_estimator="k2"),
    "kl-k3": surrogate("grpo", beta=0.1, use_bias_correction_kl=False),
    "kl-k3-ratio": surrogate(beta=0.1),
    "corrected": surrogate(importance_sampling_correction=True, importance_sampling_clip_max=1.2),
    "corrected-sequence": surrogate(
        importance_sampling_correction=True, importance_sampling_mode="sequence_mask"
    ),
    "reinforce": Reinforce(),
    "reinforce-token": Reinforce("token_mean"),
    "rloo": RLOO(),
    "penalty": PPOPenalty(0.5, kl_target=None),
    "penalty-clipped": PPOPenalty(0.5, kl_target=None, epsilon=0.2),
    "p3o": P3O("none"),
    "p3o-separate": P3O("separate", beta=0.1),
    "p3o-joint": P3O("joint"),
    "nash": NashMD(0.1),
    "nash-same-token": NashMD(0.1, "same_token"),
}
ALL: dict[str, Any] = {**POLICY, "value": ValueLoss(), "entropy": EntropyBonus()}


@pytest.fixture(params=ALL)
def objective(request: pytest.FixtureRequest) -> Any:
    return ALL[request.param]


def inputs_of(objective: Any) -> str:
    return {"value": "values_N", "entropy_bonus": "entropy_N"}.get(objective.name, "logps_N")


# -- before the first step ------------------------------------------------------


@pytest.mark.parametrize(
    "name", [n for n in POLICY if n.split("-")[0] in (*LOSS_TYPES, "two", "dual", "rloo")]
)
def test_the_loss_is_minus_the_mean_advantage(name: str) -> None:
    """Ratio 1, nothing clipped, and the gradient of REINFORCE with the same divisor."""
    scored, objective = at_old_policy(rollouts()), POLICY[name]
    loss, said = measured(objective, [scored])
    advantage_N, lengths_B = scored.need("advantage_N"), torch.tensor(LENGTHS).double()
    weight_N = torch.full_like(advantage_N, 1 / len(advantage_N))
    if name.startswith(("grpo", "rloo")):
        weight_N = 1 / lengths_B[scored.layout.sample_N] / len(LENGTHS)
    if name.startswith("dr_grpo"):
        weight_N = torch.full_like(advantage_N, 1 / 6 / len(LENGTHS))
    wanted = -(weight_N * advantage_N).sum()
    if name.startswith("cispo"):
        wanted = -(weight_N * advantage_N * scored.logps_N.detach()).sum()
    assert float(loss.detach()) == pytest.approx(float(wanted), rel=1e-12)
    assert said["ratio/mean"] == said["ratio/max"] == 1.0
    assert said["approx_kl"] == 0.0
    assert said.get("clip_ratio/region_mean", said.get("cispo_clip_ratio")) == 0.0
    pulled_N = lengths_B[scored.layout.sample_N] * weight_N if name == "rloo" else weight_N
    torch.testing.assert_close(gradient(objective, scored), -pulled_N * advantage_N)


def test_rloo_before_the_first_step_is_reinforce() -> None:
    scored = at_old_policy(rollouts())
    torch.testing.assert_close(gradient(RLOO(), scored), gradient(Reinforce(), scored))


def test_the_penalty_begins_without_force() -> None:
    scored = at_old_policy(rollouts())
    torch.testing.assert_close(
        gradient(PPOPenalty(50.0, kl_target=None), scored), gradient(Reinforce("token_mean"), scored)
    )


# -- what must not matter --------------------------------------------------------


@pytest.mark.parametrize("bounds", [((0, 4), (4, 8)), ((4, 8), (0, 4))])
def test_splits_and_order_change_nothing(objective: Any, bounds: tuple[tuple[int, int], ...]) -> None:
    scored = rollouts()
    whole, said = measured(objective, [scored])
    split, said_split = measured(objective, pieces(scored, *bounds))
    torch.testing.assert_close(split, whole)
    assert said_split == pytest.approx(said, rel=1e-9, abs=1e-12)
    source = getattr(scored, inputs_of(objective))
    ours, theirs = (torch.autograd.grad(loss, source)[0] for loss in (whole, split))
    torch.testing.assert_close(ours, theirs)
    assert ours.abs().max() > 0


def test_other_parts_of_the_data_are_not_touched(objective: Any) -> None:
    """What stands at the tokens of another part may be anything."""
    scored = rollouts()
    alone, said = measured(objective, [scored])
    more = layout_of([*LENGTHS, 3, 2], part_B=torch.tensor([0] * 8 + [1] * 2), parts=("", "pretraining"))
    value_BZ = torch.cat([scored.layout.value_BZ, torch.full((2, 1), 7.0)])
    names = [n for n in vars(scored) if n.endswith("_N") and getattr(scored, n) is not None]
    junk = torch.tensor([torch.nan, torch.inf, 1e9, -1e9, 0.0], dtype=torch.float64)
    wide = {n: torch.cat([getattr(scored, n), junk]) for n in names}
    mixed = replace(scored, layout=replace(more, value_BZ=value_BZ), **wide)
    loss, said_mixed = measured(objective, [mixed])
    torch.testing.assert_close(loss, alone)
    assert said_mixed == pytest.approx(said)
    source = getattr(scored, inputs_of(objective))
    found = torch.autograd.grad(loss, source)[0]
    torch.testing.assert_close(found, torch.autograd.grad(alone, source)[0])


@pytest.mark.parametrize("loss_type", ["grpo", "dr_grpo"])
def test_an_answer_without_tokens_counts_nowhere(loss_type: str) -> None:
    scored = rollouts()
    longer = replace(scored.layout, num_samples=9)
    torch.testing.assert_close(
        loss_of(surrogate(loss_type), replace(scored, layout=longer)), loss_of(surrogate(loss_type), scored)
    )


# -- gradients --------------------------------------------------------------------

AWAY_FROM_KINKS = 3  # a seed where no ratio is near a bound
DETACHING = ("cispo", "nash", "p3o-", "kl-k2")
"""Where a factor carries no gradient, by design: the gradient is not that of the value."""


@pytest.mark.parametrize(
    "name", [n for n in ALL if not n.startswith(DETACHING) and not n.endswith("sequence_token")]
)
def test_gradients_are_of_the_loss(name: str) -> None:
    objective = ALL[name]
    scored, source = rollouts(AWAY_FROM_KINKS), inputs_of(objective)

    def f(x: Tensor) -> Tensor:
        return loss_of(objective, replace(scored, **{source: x}))

    assert torch.autograd.gradcheck(f, getattr(scored, source).detach().requires_grad_(), atol=1e-6)


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo", "cispo"])
def test_sequence_token_is_sequence_for_constant_advantages(loss_type: str) -> None:
    scored = rollouts()
    first, second = (
        surrogate(loss_type, importance_sampling_level=level) for level in ("sequence", "sequence_token")
    )
    torch.testing.assert_close(loss_of(first, scored), loss_of(second, scored))
    if loss_type == "grpo":  # the ratio's gradient is spread evenly over the answer only there
        torch.testing.assert_close(gradient(first, scored), gradient(second, scored))


def test_nothing_overflows() -> None:
    """A ratio that is infinite in float32 beside a gradient that the clip made 0."""
    scored = rollouts()
    old_N = scored.need("old_logps_N")
    far = replace(scored, logps_N=(old_N + 500 * torch.sign(scored.need("advantage_N"))).requires_grad_())
    far = replace(far, **{n: getattr(far, n).float() for n in ("logps_N", "old_logps_N", "advantage_N")})
    for objective in (surrogate(), surrogate("grpo", importance_sampling_level="sequence"), RLOO()):
        loss = loss_of(objective, far)
        assert torch.isfinite(loss)
        assert torch.autograd.grad(loss, far.logps_N)[0].abs().max() == 0


def test_dual_clip_is_a_bound_on_the_ratio() -> None:
    scored = rollouts(spread=3.0)
    torch.testing.assert_close(
        loss_of(surrogate(dual_clip=3.0), scored), loss_of(surrogate(delta=3.0), scored)
    )
    assert loss_of(surrogate(dual_clip=3.0), scored) < loss_of(surrogate(), scored)


@pytest.mark.parametrize("estimator", ["k2", "k3"])
def test_kl_with_the_ratio_has_the_gradient_of_the_reverse_kl_off_policy_too(estimator: str) -> None:
    """Exact expectations under an old policy that is neither the policy nor the reference."""
    logits = torch.tensor([0.2, -0.3, 0.5], dtype=torch.float64, requires_grad=True)
    old = torch.tensor([0.3, 0.3, 0.4], dtype=torch.float64).log()
    ref = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log()

    def expected(with_ratio: bool) -> Tensor:
        logps = logits.log_softmax(0)
        ratio = importance_ratio(logps, old, torch.arange(3), 3) if with_ratio else None
        loss = (old.exp() * kl_penalty(logps, ref, estimator, ratio)).sum()
        return torch.autograd.grad(loss, logits)[0]

    logps = logits.log_softmax(0)
    true = torch.autograd.grad((logps.exp() * (logps - ref)).sum(), logits)[0]
    torch.testing.assert_close(expected(True), true)
    assert not torch.allclose(expected(False), true, atol=1e-3)


def test_sign() -> None:
    """A step down the loss makes what was better than expected likelier."""
    scored = at_old_policy(rollouts())
    for name in ("grpo-token", "cispo-token", "reinforce", "rloo", "penalty"):
        assert (gradient(POLICY[name], scored) * scored.need("advantage_N")).max() < 0, name


# -- clips and weights -------------------------------------------------------------


def test_clip_fractions_are_where_the_gradient_is_gone() -> None:
    scored = rollouts(spread=0.6)
    objective = surrogate(epsilon=0.1, epsilon_high=0.3)
    _, said = measured(objective, [scored])
    gone = gradient(objective, scored) == 0
    advantage_N = scored.need("advantage_N")
    assert said["clip_ratio/low_mean"] == float((gone & (advantage_N < 0)).double().mean()) > 0
    assert said["clip_ratio/high_mean"] == float((gone & (advantage_N > 0)).double().mean()) > 0
    assert said["clip_ratio/region_mean"] == pytest.approx(
        said["clip_ratio/low_mean"] + said["clip_ratio/high_mean"]
    )


def test_metrics() -> None:
    scored = rollouts()
    _, said = measured(surrogate(beta=0.1), [scored])
    gap_N = (scored.logps_N - scored.need("old_logps_N")).detach()
    from_ref_N = (scored.logps_N - scored.need("ref_logps_N")).detach()
    advantage_N = scored.need("advantage_N")
    wanted = {
        "ratio/mean": gap_N.exp().mean(),
        "ratio/max": gap_N.exp().max(),
        "approx_kl": (gap_N.exp() - 1 - gap_N).mean(),
        "kl": from_ref_N.sum() / len(LENGTHS),
        "kl/k3": ((-from_ref_N).exp() - 1 + from_ref_N).mean(),
        "entropy": scored.need("entropy_N").mean().detach(),
        "advantages/mean": advantage_N.mean(),
        "advantages/std": advantage_N.std(correction=0),
    }
    assert {k: said[k] for k in wanted} == pytest.approx({k: float(v) for k, v in wanted.items()})


def test_the_correction_weighs_what_the_clip_made_and_not_the_kl() -> None:
    scored = rollouts()
    gap_N = scored.need("old_logps_N") - scored.need("sampler_logps_N")
    weight_N = gap_N.exp().clamp(max=1.1)
    objective = surrogate(beta=0.2, importance_sampling_correction=True, importance_sampling_clip_max=1.1)
    loss, said = measured(objective, [scored])
    ratio_N = (scored.logps_N - scored.need("old_logps_N")).exp()
    own_N = weight_N * clipped_surrogate(ratio_N, scored.need("advantage_N"), 0.2, 0.2)
    kl_N = kl_penalty(scored.logps_N, scored.need("ref_logps_N"), "k3", ratio_N)
    torch.testing.assert_close(loss, (own_N + 0.2 * kl_N).mean())
    assert said["sampling/importance_sampling_ratio/max"] == pytest.approx(1.1)
    assert said["sampling/kept"] == 1.0


def test_masked_sequences_teach_nothing() -> None:
    scored = rollouts()
    shift_B = torch.tensor([3.0] + [0.0] * 7).double()
    scored = replace(scored, sampler_logps_N=scored.need("old_logps_N") - shift_B[scored.layout.sample_N])
    objective = surrogate(
        importance_sampling_correction=True,
        importance_sampling_mode="sequence_mask",
        importance_sampling_clip_max=3.0,
    )
    found = gradient(objective, scored)
    assert found[: LENGTHS[0]].abs().max() == 0
    assert found[LENGTHS[0] :].abs().max() > 0
    assert measured(objective, [scored])[1]["sampling/kept"] == pytest.approx(1 - LENGTHS[0] / sum(LENGTHS))


# -- options -----------------------------------------------------------------------


def test_only_what_is_used_is_needed() -> None:
    assert surrogate().needs == {Need.LOGPS, Need.OLD_LOGPS, Need.ADVANTAGES}
    assert Need.REFERENCE in surrogate(beta=0.01).needs
    assert Need.SAMPLER in surrogate(importance_sampling_correction=True).needs
    assert Need.STEP_STATISTICS not in PPOPenalty(kl_target=None).needs
    assert Need.REFERENCE in P3O(beta=0.1).needs


def test_cispo_has_a_bound_of_its_own() -> None:
    assert surrogate("cispo").epsilon_high == 5.0
    assert surrogate("cispo", epsilon_high=2.0).epsilon_high == 2.0
    assert surrogate(epsilon=0.3).epsilon_high == 0.3


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ClippedSurrogate("ppo"), "loss_type 'ppo'"),
        (lambda: ClippedSurrogate("dr_grpo"), "max_completion_length"),
        (lambda: ClippedSurrogate(kl_estimator="k1"), "kl_estimator 'k1'"),
        (lambda: ClippedSurrogate(importance_sampling_level="word"), "importance_sampling_level 'word'"),
        (lambda: ClippedSurrogate(importance_sampling_mode="cut"), "importance_sampling_mode 'cut'"),
        (lambda: ClippedSurrogate("cispo", delta=2.0), "cispo has one bound"),
        (lambda: ClippedSurrogate(delta=2.0, dual_clip=3.0), "give one"),
        (lambda: Reinforce("mean"), "aggregation 'mean'"),
        (lambda: P3O("both"), "clip 'both'"),
        (lambda: NashMD(kl_mode="none"), "kl_mode 'none'"),
    ],
)
def test_what_is_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_a_batch_without_rollouts() -> None:
    layout = layout_of([2, 2], part_B=torch.tensor([1, 1]), parts=("", "pretraining"))
    scored: Scored = rollouts(layout=layout)
    for name, objective in ALL.items():
        assert sum(objective.counts(layout).values()) == 0, name
        (term,) = objective(scored, None).values()
        assert float(term.total.detach()) == 0, name
