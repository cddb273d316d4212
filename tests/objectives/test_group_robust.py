from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pair_setup import prepared
from tiny_runs import make_loop
from torch import Tensor

import charter
from charter.catalogue import lookup
from charter.catalogue.pluralistic import GROUP_SCALE
from charter.config import validate
from charter.data.formats import load_groups
from charter.data.people_groups import MASKED, by_group, for_group, with_group_prefix, with_group_scale
from charter.errors import ConfigError, DataError
from charter.feedback.trained.reward import rewards
from charter.objectives.base import NO_STATS, Layout, Scored, Stats
from charter.objectives.group_robust import GroupRobust, mirror_ascent
from charter.objectives.preference import DPO, IPO
from charter.testing import save_tiny
from charter.training.batch import Columns, MicroBatch
from charter.training.loop import Loop
from charter.types import SampleTarget

PARTS = ("few", "many")


def logratios(seed: int, count: int) -> Tensor:
    return torch.randn(2 * count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def step(
    own_B: Tensor, groups: Sequence[int], parts: Sequence[str] = PARTS, shares: Sequence[float] | None = None
) -> Scored:
    """Pairs of one token each: samples 0..P-1 are the better ones. The reference gives everything 0."""
    count = len(groups)
    index, kind = torch.arange(count), torch.tensor(list(groups))
    sizes = [groups.count(g) / count for g in range(len(parts))] if shares is None else shares
    scale_P = torch.tensor([1 / sizes[g] for g in groups], dtype=torch.float64)
    ones_P = torch.ones(count, dtype=torch.float64)
    layout = Layout(
        sample_N=torch.arange(2 * count),
        num_samples=2 * count,
        group_B=torch.cat([index, index]),
        part_B=torch.cat([kind, kind]),
        parts=tuple(parts),
        value_BZ=torch.cat([scale_P, torch.full_like(scale_P, torch.nan)])[:, None],
        weight_B=torch.ones(2 * count, dtype=torch.float64),
        dimensions=(GROUP_SCALE,),
        pairs_P2=torch.stack([index, index + count], 1),
        probability_P=ones_P,
        margin_P=ones_P,
        weight_P=ones_P,
        dimension_P=torch.zeros(count, dtype=torch.long),
    )
    return Scored(layout, own_B, torch.zeros_like(own_B))


def loss_of(objective: GroupRobust, scored: Scored) -> Tensor:
    (term,) = objective(scored, NO_STATS).values()
    return term.total / term.count


def learn(objective: GroupRobust, scored: Scored) -> None:
    objective.update(prepared(objective, scored))


# -- limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss_type", ["sigmoid", "ipo"])
def test_one_group_is_the_loss_without_groups_exactly(loss_type: str) -> None:
    plain = DPO(beta=0.3) if loss_type == "sigmoid" else IPO(beta=0.3, length_normalize=False)
    objective = GroupRobust(0.3, 0.7, loss_type)  # type: ignore[arg-type]
    for seed in range(3):
        own_B = logratios(seed, 5).requires_grad_()
        scored = step(own_B, [0] * 5, ("all",))
        learn(objective, scored)
        (wanted,) = plain(scored, NO_STATS).values()
        (found,) = objective(scored, NO_STATS).values()
        assert torch.equal(found.total, wanted.total)
        assert found.count == wanted.count
        grads = [torch.autograd.grad(term.total, own_B, retain_graph=True)[0] for term in (found, wanted)]
        assert torch.equal(*grads)


def test_without_a_step_size_every_group_counts_the_same() -> None:
    objective, own_B, groups = GroupRobust(0.1, 0.0), logratios(1, 6), [0, 0, 1, 1, 1, 1]
    scored = step(own_B, groups)
    for _ in range(3):
        learn(objective, scored)
    loss_P = objective.losses(scored)
    balanced = (loss_P[:2].mean() + loss_P[2:].mean()) / 2
    assert float(loss_of(objective, scored)) == pytest.approx(float(balanced), rel=1e-12)


def test_weights_stay_on_the_simplex() -> None:
    objective = GroupRobust(0.1, 50.0, "ipo")
    for seed in range(20):
        learn(objective, step(5 * logratios(seed, 6), [0, 0, 1, 1, 1, 1]))
        weights = objective.log_weights(PARTS).exp()
        assert float(weights.sum()) == pytest.approx(1.0, abs=1e-12)
        assert (weights >= 0).all() and weights.isfinite().all()


@pytest.mark.parametrize("worst", [0, 1])
def test_the_worst_group_gains_weight(worst: int) -> None:
    objective, groups = GroupRobust(0.5, 0.2), [0, 0, 1, 1, 1, 1]
    margin = torch.tensor([-2.0 if g == worst else 2.0 for g in groups], dtype=torch.float64)
    scored = step(torch.cat([margin, torch.zeros(6)]).double(), groups)
    before = objective.log_weights(PARTS)[worst]
    for _ in range(5):
        learn(objective, scored)
        now = objective.log_weights(PARTS)[worst]
        assert now > before
        before = now
    assert before.exp() > 0.5


def test_equal_losses_leave_the_weights_equal() -> None:
    objective = GroupRobust(0.1, 10.0)
    learn(objective, step(torch.zeros(12, dtype=torch.float64), [0, 0, 1, 1, 1, 1]))
    assert objective.log_weights(PARTS).exp().tolist() == pytest.approx([0.5, 0.5])


def test_a_large_step_goes_to_the_worst_group_alone() -> None:
    loss = torch.tensor([0.1, 0.9, 0.3], dtype=torch.float64)
    start = torch.full((3,), -math.log(3), dtype=torch.float64)
    assert mirror_ascent(start, loss, 1e4).exp().tolist() == pytest.approx([0.0, 1.0, 0.0])
    assert torch.equal(mirror_ascent(start, loss, 0.0), start.log_softmax(0))


def test_the_estimate_is_unbiased_whichever_pairs_a_step_holds() -> None:
    """The mean over every step of two of the data's pairs is the weighted sum of the groups' losses."""
    own_B, groups = logratios(3, 6), [0, 0, 1, 1, 1, 1]
    objective = GroupRobust(0.4)
    objective.load_state({"few": math.log(0.7), "many": math.log(0.3)})
    loss_P = objective.losses(step(own_B, groups))
    wanted = 0.7 * loss_P[:2].mean() + 0.3 * loss_P[2:].mean()
    found = []
    for i in range(6):
        for j in range(6):
            own = torch.cat([own_B[[i, j]], own_B[[6 + i, 6 + j]]])
            found.append(float(loss_of(objective, step(own, [groups[i], groups[j]], shares=[1 / 3, 2 / 3]))))
    assert np.mean(found) == pytest.approx(float(wanted), rel=1e-12)


# -- against the paper -------------------------------------------------------------------------


@pytest.mark.parametrize("loss_type", ["sigmoid", "ipo"])
def test_agrees_with_the_algorithm_as_it_is_published(loss_type: str) -> None:
    """2405.20304, algorithm 1 over several steps in NumPy, written apart from ours."""
    beta, rate, share = 0.2, 0.3, np.array([0.25, 0.75])
    objective = GroupRobust(beta, rate, loss_type)  # type: ignore[arg-type]
    alpha = np.array([0.5, 0.5])
    for seed, groups in enumerate(([0, 1, 1, 1], [1, 1, 1, 1], [0, 0, 1, 1], [1, 0, 1, 0])):
        own_B = logratios(seed, 4)
        scored = step(own_B, groups, shares=share.tolist())
        h = (own_B[:4] - own_B[4:]).numpy()
        each = np.log1p(np.exp(-beta * h)) if loss_type == "sigmoid" else (h - 1 / (2 * beta)) ** 2
        estimate = np.array([each[np.array(groups) == g].sum() / 4 / share[g] for g in (0, 1)])
        alpha = alpha * np.exp(rate * estimate)
        alpha /= alpha.sum()
        learn(objective, scored)
        assert objective.log_weights(PARTS).exp().tolist() == pytest.approx(alpha.tolist(), rel=1e-10)
        assert float(loss_of(objective, scored)) == pytest.approx(float(alpha @ estimate), rel=1e-10)


def test_gradient_in_float64() -> None:
    for loss_type in ("sigmoid", "ipo"):
        objective = GroupRobust(0.3, 0.2, loss_type)  # type: ignore[arg-type]
        objective.load_state({"few": -0.2, "many": -1.7})
        own_B = logratios(4, 4).requires_grad_()
        assert torch.autograd.gradcheck(lambda x, o=objective: loss_of(o, step(x, [0, 1, 1, 1])), own_B)  # type: ignore[misc]


# -- memory and metrics --------------------------------------------------------------------------


def test_micro_batches_add_up_to_the_step() -> None:
    own_B, groups = logratios(5, 6), [0, 0, 1, 1, 1, 1]
    whole, split = GroupRobust(0.1, 3.0), GroupRobust(0.1, 3.0)
    learn(whole, step(own_B, groups))
    found = []
    for rows in ([0, 3], [1, 2, 4, 5]):
        own = torch.cat([own_B[rows], own_B[[6 + r for r in rows]]])
        found.append(split.prepare(step(own, [groups[r] for r in rows], shares=[1 / 3, 2 / 3])))
    split.update(Stats({name: torch.cat([one[name] for one in found]) for name in found[0]}))
    assert split.state() == pytest.approx(whole.state(), rel=1e-12)


def test_the_state_goes_by_name_and_comes_back() -> None:
    one, other = GroupRobust(0.1, 3.0), GroupRobust(0.1, 3.0)
    learn(one, step(logratios(6, 6), [0, 0, 1, 1, 1, 1]))
    other.load_state(one.state())
    assert torch.equal(one.log_weights(PARTS), other.log_weights(PARTS))
    assert torch.allclose(one.log_weights(PARTS).flip(0), other.log_weights(PARTS[::-1]))


def test_a_group_that_a_step_lacks_has_no_loss_in_its_metrics() -> None:
    objective = GroupRobust()
    (term,) = objective(step(logratios(7, 2), [1, 1], shares=[0.5, 0.5]), NO_STATS).values()
    assert float(term.ratios["group_loss/few"][1]) == 0.0
    assert float(term.ratios["group_loss/many"][1]) == 2.0
    assert float(term.ratios["group_weight/few"][0]) == 0.5


def test_mistakes() -> None:
    with pytest.raises(ConfigError, match="loss_type"):
        GroupRobust(loss_type="hinge")  # type: ignore[arg-type]
    scored = step(logratios(1, 2), [0, 1])
    bare = replace(scored, layout=replace(scored.layout, dimensions=("",)))
    with pytest.raises(ConfigError, match="how large its group"):
        GroupRobust().prepare(bare)


# -- rows ----------------------------------------------------------------------------------------

ROWS = [
    {"prompt": f"Ask {i}.", "chosen": f" yes {i}", "rejected": " no", "group": "few" if i < 2 else "many"}
    for i in range(6)
]


def options(name: str, **values: object) -> object:
    return validate(lookup(name).options, values, where="test")


def test_rows_are_counted_by_group_and_by_weight() -> None:
    rows = [{**row, "weight": 4.0 if i == 0 else 1.0} for i, row in enumerate(ROWS)]
    groups = with_group_scale(by_group(load_groups(rows, "preference"), None).groups, None)
    scales = [
        {said.value for said in group.judgements if isinstance(said.target, SampleTarget)} for group in groups
    ]
    assert scales == [{9 / 5}, {9 / 5}, {9 / 4}, {9 / 4}, {9 / 4}, {9 / 4}]
    columns = Columns.of(groups, GroupRobust.needs)
    assert columns.parts == PARTS
    assert GROUP_SCALE in columns.dimensions


@pytest.mark.parametrize("bad", [None, " ", True, ["few"]])
def test_a_row_without_a_group_is_named(bad: object) -> None:
    rows = [*ROWS[:3], {**ROWS[3], "group": bad}]
    with pytest.raises(DataError, match="group"):
        by_group(load_groups(rows, "preference"), None)
    missing = [{k: v for k, v in row.items() if k != "group"} | {"groups": "few"} for row in ROWS]
    with pytest.raises(DataError, match="did you mean 'groups'"):
        by_group(load_groups(missing, "preference"), None)


def test_the_prefix_names_the_group_or_nobody() -> None:
    loaded = load_groups(ROWS * 20, "preference")
    made = with_group_prefix(loaded, options("reward-by-group", mask_share=0.25))
    texts = [str(group.samples[0].context.content) for group in made.groups]
    masked = sum("no known group" in text for text in texts)
    assert made.counts[MASKED] == masked
    assert 15 <= masked <= 45
    for text, group in zip(texts, loaded.groups, strict=True):
        assert text.endswith(f"\n\n{group.samples[0].context.content}")
        assert "no known group" in text or f"people: {group.meta['group']}." in text
    again = with_group_prefix(loaded, options("reward-by-group", mask_share=0.25))
    assert again.groups == made.groups
    assert with_group_prefix(loaded, options("reward-by-group", mask_share=0.0)).counts[MASKED] == 0


# -- training --------------------------------------------------------------------------------------


def test_a_small_group_that_disagrees_is_heard(tmp_path: Path) -> None:
    """Robust training lowers the loss of the group that plain balanced training leaves worst off."""
    tiny = save_tiny(str(tmp_path / "tiny"))
    rows = [
        {
            "prompt": f"Group {g}: tea?",
            "chosen": " yes" if g == "many" else " no",
            "rejected": " no" if g == "many" else " yes",
            "group": g,
        }
        for g in ("many",) * 7 + ("few",)
    ]

    def learned(rate: float) -> tuple[Loop, dict[str, float]]:
        loop = make_loop(
            "gr-dpo", rows, tiny, tmp_path / f"{rate}", max_steps=12, learning_rate=1e-3, group_step_size=rate
        )
        return loop, loop.stepper.evaluate([MicroBatch.of(list(loop.groups), loop.columns)])

    _, plain = learned(0.0)
    loop, robust = learned(5.0)
    assert plain["group_weight/few"] == 0.5
    assert robust["group_weight/few"] != 0.5
    assert robust["group_weight/few"] + robust["group_weight/many"] == pytest.approx(1.0)
    worst = max(("few", "many"), key=lambda name: plain[f"group_loss/{name}"])
    assert robust[f"group_loss/{worst}"] < plain[f"group_loss/{worst}"]
    saved = loop.state.memories()
    assert set(saved[0]) == {"few", "many"}


def test_one_reward_model_holds_opposite_preferences_of_two_groups(tmp_path: Path) -> None:
    tiny = save_tiny(str(tmp_path / "tiny"))
    rows = [
        {"prompt": f"Drink {i}?", "chosen": pair[side], "rejected": pair[1 - side], "group": name}
        for i in range(4)
        for pair in [(" tea", " cola")]
        for side, name in enumerate(("nurses", "pilots"))
    ]
    run = charter.train(
        "reward-by-group", tiny, rows, output_dir=tmp_path / "run", max_steps=40, learning_rate=3e-3,
        mask_share=0.0, bf16=False,
    )  # fmt: skip
    (asked, *_) = load_groups(rows, "preference").groups  # tea before cola, as nurses want it
    by_name = {name: rewards(run.policy, [for_group(asked, name)])[0] for name in ("nurses", "pilots")}
    assert by_name["nurses"][0] > by_name["nurses"][1] + 0.5
    assert by_name["pilots"][1] > by_name["pilots"][0] + 0.5
