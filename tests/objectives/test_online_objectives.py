"""P3O, Nash-MD, XPO, PPO-penalty's coefficient, the critic's loss, and IPO with soft labels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rollout_setup import LENGTHS, at_old_policy, gradient, layout_of, loss_of, measured, rollouts

from charter.objectives.base import Scored, Stats
from charter.objectives.nash import NashMD, to_go
from charter.objectives.online_ipo import OnlineIPO
from charter.objectives.p3o import P3O, rewarded_pairs
from charter.objectives.policy_gradient import ClippedSurrogate, Reinforce
from charter.objectives.ppo_penalty import BETA_RANGE, PPOPenalty, adapted
from charter.objectives.preference import DPO
from charter.objectives.value import ValueLoss
from charter.objectives.xpo import XPO

# -- P3O ------------------------------------------------------------------------


def test_pairs_are_all_rewarded_pairs_of_a_group() -> None:
    nan = torch.nan
    made = layout_of([1] * 7, [1.0, 0.0, nan, 0.5, 0.2, nan, 0.1], group=4)
    assert rewarded_pairs(made).tolist() == [[0, 1], [0, 3], [1, 3], [4, 6]]


def test_p3o_is_leave_one_out_before_the_first_step() -> None:
    """The mean over all pairs of groups is the mean over all samples."""
    scored = at_old_policy(rollouts())
    groups = scored.layout.value_B.reshape(-1, 4)
    loo_B = ((groups - groups.mean(1, keepdim=True)) * 4 / 3).flatten()
    credited = replace(scored, advantage_N=loo_B[scored.layout.sample_N])
    wanted = gradient(Reinforce(), credited)
    for clip in ("none", "separate", "joint"):
        torch.testing.assert_close(gradient(P3O(clip), scored), wanted)


@pytest.mark.parametrize("clip", ["separate", "joint"])
def test_p3o_stops_where_it_has_gone_far_enough(clip: str) -> None:
    """Better answers already likelier, worse ones less likely: nothing moves, unless it was the reverse."""
    scored = rollouts(layout=layout_of(value=[1.0, 0.0, 0.2, 0.9] * 2, group=2))
    better_B = torch.tensor([1.0, -1.0, -1.0, 1.0] * 2).double()
    moved_N = (better_B / torch.tensor(LENGTHS))[scored.layout.sample_N]
    old_N = scored.need("old_logps_N")
    far = replace(scored, logps_N=(old_N + moved_N).requires_grad_())
    back = replace(scored, logps_N=(old_N - moved_N).requires_grad_())
    assert gradient(P3O(clip), far).abs().max() == 0
    assert gradient(P3O(clip), back).abs().min() > 0
    assert measured(P3O(clip), [far])[1]["clip_ratio/region_mean"] == 1
    assert measured(P3O(clip), [back])[1]["clip_ratio/region_mean"] == 0


def test_the_kl_of_p3o_is_in_the_reward() -> None:
    scored = rollouts()
    kl_B = scored.sum_B(scored.need("old_logps_N") - scored.need("ref_logps_N"))
    shaped_BZ = scored.layout.value_BZ - 0.3 * kl_B[:, None]
    shaped = replace(scored, layout=replace(scored.layout, value_BZ=shaped_BZ))
    torch.testing.assert_close(loss_of(P3O(beta=0.3), scored), loss_of(P3O(), shaped))


# -- Nash-MD --------------------------------------------------------------------


def test_to_go() -> None:
    x_N = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0])
    assert to_go(x_N, torch.tensor([0, 0, 2, 2, 2]), 4).tolist() == [3.0, 2.0, 28.0, 24.0, 16.0]


@pytest.mark.parametrize("kl_mode", ["reward_to_go", "same_token"])
def test_nash_md_without_kl_is_reinforce_on_win_probabilities(kl_mode: str) -> None:
    scored = rollouts()
    credited = replace(scored, advantage_N=(scored.layout.value_B - 0.5)[scored.layout.sample_N])
    torch.testing.assert_close(gradient(NashMD(0.0, kl_mode), scored), gradient(Reinforce(), credited))


def test_answers_without_a_comparison_are_left_out() -> None:
    scored = rollouts()
    value_BZ = scored.layout.value_BZ.clone()
    value_BZ[2:5] = torch.nan
    found = gradient(NashMD(0.1), replace(scored, layout=replace(scored.layout, value_BZ=value_BZ)))
    out_N = (scored.layout.sample_N >= 2) & (scored.layout.sample_N < 5)
    assert found[out_N].abs().max() == 0
    torch.testing.assert_close(found[~out_N] * 5 / 8, gradient(NashMD(0.1), scored)[~out_N])


def test_reward_to_go_has_the_gradient_of_the_kl_of_answers() -> None:
    """Exact over all answers of two binary tokens; TRL's form drops what the first does to the second."""
    logits = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    ref = torch.tensor([-0.1, 0.4, 0.0], dtype=torch.float64)
    answers = [(0, 0), (0, 1), (1, 0), (1, 1)]

    def logps(x: torch.Tensor) -> torch.Tensor:
        """The second token's logit depends on the first token."""
        signs = torch.tensor([[1 - 2 * a, 1 - 2 * b] for a, b in answers])
        which = torch.tensor([[0, 1 + a] for a, _ in answers])
        return torch.nn.functional.logsigmoid(signs * x[which]).flatten()

    own_N, ref_N = logps(logits), logps(ref)
    made = layout_of([2, 2, 2, 2], torch.full((4,), 0.5))
    scored = Scored(made, own_N, ref_N)
    likely_B = scored.logps_B.exp()
    true = torch.autograd.grad((likely_B * scored.logratios_B).sum(), logits, retain_graph=True)[0]

    def expected(kl_mode: str) -> torch.Tensor:
        total = torch.zeros(3, dtype=torch.float64)
        for b in range(4):
            value_BZ = torch.full((4, 1), torch.nan, dtype=torch.float64)
            value_BZ[b] = 0.5
            one = replace(scored, layout=replace(made, value_BZ=value_BZ))
            loss = loss_of(NashMD(1.0, kl_mode), one)
            total += likely_B[b].detach() * torch.autograd.grad(loss, logits, retain_graph=True)[0]
        return total

    torch.testing.assert_close(expected("reward_to_go"), true)
    assert not torch.allclose(expected("same_token"), true, atol=1e-3)


# -- XPO ------------------------------------------------------------------------


def xpo_batch(seed: int = 0) -> Scored:
    """Pairs of neighbours, the second of which the reference wrote; it won every other time."""
    scored = rollouts(seed)
    pairs_P2 = torch.tensor([[0, 1], [3, 2], [4, 5], [7, 6]])
    ones = torch.ones(4, dtype=torch.float64)
    made = replace(scored.layout, pairs_P2=pairs_P2, probability_P=ones, weight_P=ones)
    return replace(scored, layout=made)


@pytest.mark.parametrize("loss_type", ["sigmoid", "ipo"])
def test_xpo_lowers_the_references_answers(loss_type: str) -> None:
    scored = xpo_batch()
    extra = gradient(XPO(0.1, 0.5, loss_type), scored) - gradient(DPO(0.1, loss_type), scored)
    theirs_N = scored.layout.by_reference_B[scored.layout.sample_N]
    torch.testing.assert_close(extra, 0.5 / 4 * theirs_N.double())


def test_xpo_without_the_bonus_is_dpo() -> None:
    torch.testing.assert_close(loss_of(XPO(0.1, 0.0), xpo_batch()), loss_of(DPO(0.1), xpo_batch()))


def test_xpo_refuses() -> None:
    with pytest.raises(ValueError, match="loss_type 'hinge'"):
        XPO(loss_type="hinge")  # type: ignore[arg-type]


# -- PPO-penalty ----------------------------------------------------------------


def test_the_papers_rule() -> None:
    steps = (0.005, 0.0066, 0.0067, 0.01, 0.015, 0.0151)
    assert [adapted(1.0, kl, 0.01) for kl in steps] == [0.5, 0.5, 1.0, 1.0, 1.0, 2.0]
    assert adapted(BETA_RANGE[0], 0.0, 0.01) == BETA_RANGE[0]
    assert adapted(BETA_RANGE[1], 1.0, 0.01) == BETA_RANGE[1]


def seen(kl: float, version: int) -> Stats:
    return Stats({"kl": torch.full((3,), kl), "version": torch.full((3,), version)})


def test_the_coefficient_changes_once_a_round() -> None:
    penalty = PPOPenalty(1.0, kl_target=0.01)
    for kl, version, beta in [
        (0.0, 0, 1.0),
        (0.002, 0, 1.0),
        (0.3, 0, 1.0),
        (0.0, 3, 2.0),  # the round before went 0.3
        (0.001, 3, 2.0),
        (0.0, 5, 1.0),  # it went 0.001
        (0.0, 6, 1.0),  # a round of one step says nothing
        (0.0, 7, 1.0),
    ]:
        penalty.update(seen(kl, version))
        assert penalty.beta == beta
    other = PPOPenalty(9.0, kl_target=0.01)
    other.load_state(penalty.state())
    assert other.state() == penalty.state()


def test_the_rounds_kl_is_that_of_the_whole_step() -> None:
    scored = rollouts()
    found = PPOPenalty().prepare(scored.detached())
    gap_N = (scored.logps_N - scored.need("old_logps_N")).detach()
    torch.testing.assert_close(found["kl"], gap_N.exp() - 1 - gap_N)
    assert len(found["version"]) == len(gap_N)


def test_the_coefficient_is_reported_and_used() -> None:
    scored = rollouts()
    low, said = measured(PPOPenalty(0.5, kl_target=None), [scored])
    high, _ = measured(PPOPenalty(1.5, kl_target=None), [scored])
    assert said["kl_coef"] == 0.5
    assert float((high - low).detach()) == pytest.approx(said["approx_kl"])


def golden(name: str, variant: str) -> tuple[Scored, dict[str, Any]]:
    """Rollouts of a golden case without their padding, and the case."""
    cases = json.loads((Path(__file__).parents[1] / "golden" / "cases.json").read_text("utf-8"))
    (case,) = [one for one in cases if (one["name"], one["variant"]) == (name, variant)]
    given = {key: torch.tensor(value, dtype=torch.float64) for key, value in case["inputs"].items()}
    used = given["mask"].bool()
    scored = Scored(
        layout_of(used.sum(1).tolist()),
        given["logps"][used].requires_grad_(),
        old_logps_N=given["old_logps"][used],
        advantage_N=given["advantages"][used],
    )
    case["expected"]["grads"] = torch.tensor(case["expected"]["grads"]["logps"], dtype=torch.float64)[used]
    return scored, case


def test_clip_and_penalty_are_the_golden_clip_and_the_golden_penalty() -> None:
    """On PPO-clip's golden rollouts: its loss and gradient, plus beta times the KL and its gradient."""
    scored, case = golden("ppo_clip", "default")
    epsilon, beta = case["options"]["cliprange"], 0.5
    both = PPOPenalty(beta, kl_target=None, epsilon=epsilon)
    ratio_N = (scored.logps_N - scored.need("old_logps_N")).detach().exp()
    count = len(ratio_N)
    kl = float((ratio_N - 1 - ratio_N.log()).mean())
    assert kl == pytest.approx(0.0511095368, rel=1e-6)  # the golden case's approx_kl_k3
    loss, said = measured(both, [scored])
    assert float(loss.detach()) == pytest.approx(case["expected"]["loss"] + beta * kl, rel=1e-6)
    wanted = case["expected"]["grads"] + beta * (ratio_N - 1) / count
    torch.testing.assert_close(gradient(both, scored), wanted, rtol=1e-6, atol=1e-9)
    assert said["clip_ratio/region_mean"] == pytest.approx(1 / count) and said["kl_coef"] == beta


def test_each_of_clip_and_penalty_is_there_without_the_other() -> None:
    """A clip that never binds leaves the penalty; a coefficient of next to nothing leaves the clip."""
    scored = rollouts()
    alone = PPOPenalty(0.5, kl_target=None)
    wide = PPOPenalty(0.5, kl_target=None, epsilon=1e6)
    torch.testing.assert_close(gradient(wide, scored), gradient(alone, scored))
    clip = PPOPenalty(1e-9, kl_target=None, epsilon=0.2)
    wanted = gradient(ClippedSurrogate("dapo", 0.2), scored)
    torch.testing.assert_close(gradient(clip, scored), wanted, rtol=1e-6, atol=1e-8)
    assert not torch.allclose(gradient(alone, scored), wanted)


def test_the_coefficient_beside_a_clip_adapts_as_it_does_alone() -> None:
    alone, both = PPOPenalty(1.0, kl_target=0.01), PPOPenalty(1.0, kl_target=0.01, epsilon=0.2)
    for kl, version in [(0.0, 0), (0.3, 0), (0.0, 2), (0.001, 2), (0.0, 4)]:
        alone.update(seen(kl, version))
        both.update(seen(kl, version))
        assert both.state() == alone.state()
    assert both.beta == 1.0 and both.needs == alone.needs


# -- the critic -----------------------------------------------------------------


def test_values_that_went_too_far_stop_and_may_come_back() -> None:
    old_N = torch.zeros(4, dtype=torch.float64)
    values_N = torch.tensor([0.5, 0.5, 0.1, -0.5], dtype=torch.float64, requires_grad=True)
    returns_N = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    scored = Scored(layout_of([4]), old_N, values_N=values_N, old_values_N=old_N, returns_N=returns_N)
    (grad,) = torch.autograd.grad(loss_of(ValueLoss(0.2), scored) * 4, values_N)
    assert grad.tolist() == [0.0, 1.5, -0.9, 0.0]
    (free,) = torch.autograd.grad(loss_of(ValueLoss(None), scored) * 4, values_N)
    torch.testing.assert_close(free, (values_N - returns_N).detach())


def test_explained_variance_can_be_read() -> None:
    scored = rollouts()
    _, said = measured(ValueLoss(), [scored])
    values_N, returns_N = scored.need("values_N").detach(), scored.need("returns_N")
    wanted = 1 - (returns_N - values_N).var() / returns_N.var()
    assert 1 - (said["value/error/std"] / said["returns/std"]) ** 2 == pytest.approx(float(wanted))
    assert said["value/mean"] == pytest.approx(float(values_N.mean()))


# -- online IPO -----------------------------------------------------------------


def soft_pairs(turned: bool = False) -> Scored:
    scored = xpo_batch()
    p_P = torch.tensor([0.8, 0.3, 0.5, 1.0], dtype=torch.float64)
    pairs_P2 = scored.layout.pairs_P2
    made = replace(scored.layout, probability_P=p_P)
    if turned:
        made = replace(made, pairs_P2=pairs_P2.flip(1), probability_P=1 - p_P)
    return replace(scored, layout=made)


@pytest.mark.parametrize("loss_type", ["soft", "regression"])
def test_a_pair_turned_round_is_the_same_pair(loss_type: str) -> None:
    objective = OnlineIPO(0.7, loss_type)
    torch.testing.assert_close(loss_of(objective, soft_pairs()), loss_of(objective, soft_pairs(turned=True)))


def test_online_ipo_refuses() -> None:
    with pytest.raises(ValueError, match="loss_type 'hard'"):
        OnlineIPO(loss_type="hard")  # type: ignore[arg-type]


def test_soft_labels_and_regression_have_one_gradient() -> None:
    scored = soft_pairs()
    torch.testing.assert_close(
        gradient(OnlineIPO(0.7, "soft"), scored), gradient(OnlineIPO(0.7, "regression"), scored)
    )
