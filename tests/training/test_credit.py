"""What a missing reward, a cut completion and a KL do to the credit of a round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from charter.catalogue import lookup
from charter.training.credit import advantage as credit
from charter.training.credit.nash import against_opponent
from charter.training.credit.pairs import (
    against_reference,
    best_against_worst,
    ranked,
    rejection_sampled,
)
from charter.training.credit.selected import best
from charter.training.experience import Experience
from charter.training.round import Credited, CreditFunction, Memory
from charter.types import Completion, Context, Group, Sample, SampleTarget

GROUPS, EACH, REWARDS = 3, 4, 2
BASE: dict[str, Any] = {
    "per_device_train_batch_size": 12,
    "num_generations": EACH,
    "reward_funcs": ("a", "b"),
}

CREDITS: dict[str, tuple[CreditFunction, str, dict[str, Any]]] = {
    "grpo": (credit.group_relative, "grpo", {}),
    "grpo-batch": (credit.group_relative, "grpo", {"scale_rewards": "batch"}),
    "dr-grpo": (credit.group_relative, "dr-grpo", {}),
    "decoupled": (credit.group_relative, "grpo", {"multi_objective_aggregation": "normalize_then_sum"}),
    "rloo": (credit.leave_one_out, "rloo", {"beta": 0.1}),
    "rloo-white": (credit.leave_one_out, "rloo", {"normalize_advantages": True}),
    "reinforce-ema": (credit.baseline, "reinforce", {"beta": 0.1}),
    "reinforce-loo": (credit.baseline, "reinforce", {"baseline": "leave_one_out"}),
    "reinforce++": (credit.to_go, "reinforce-plus-plus", {}),
    "reinforce++-baseline": (credit.group_baseline, "reinforce-plus-plus-baseline", {}),
    "ppo": (credit.with_critic, "ppo", {}),
    "ppo-terminal": (credit.with_critic, "ppo", {"value_target": "terminal", "target": 3.0}),
    "ppo-white-scores": (credit.with_critic, "ppo", {"whiten_scores": True}),
    "p3o": (credit.rewarded, "p3o", {}),
}
each = pytest.mark.parametrize("name", CREDITS)


def round_of(missing: Sequence[int] = (), cut: Sequence[int] = (), gone: Sequence[int] = ()) -> Experience:
    """A round of random numbers; samples in ``missing`` have no reward, those in ``gone`` are not there.

    One reward failed for the missing ones, the other is known.
    """
    generator = torch.Generator().manual_seed(3)
    count = GROUPS * EACH
    lengths = torch.randint(1, 6, (count,), generator=generator).tolist()
    old, ref, values = (torch.randn(count, 6, generator=generator) for _ in range(3))
    reward_BK = torch.randn(count, REWARDS, generator=generator, dtype=torch.float64)
    reward_BK[list(missing), 0] = math.nan
    groups, kept = [], [i for i in range(count) if i not in gone]
    for group in range(GROUPS):
        samples = tuple(
            Sample(
                Context(f"prompt {group}", (group,)),
                Completion(
                    f"sample {i}",
                    token_ids=(1000 + i,) * lengths[i],
                    trained=(True,) * lengths[i],
                    logps=(-1.0,) * lengths[i],
                    finish_reason="length" if i in cut else "stop",
                    sampled_by="policy",
                ),
            )
            for i in kept
            if i // EACH == group
        )
        groups.append(Group(samples, id=str(group)))

    def tokens(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x[i, : lengths[i]] for i in kept])

    found = reward_BK[kept]
    return Experience(tuple(groups), found.sum(1), found, tokens(old), tokens(ref), tokens(values))


def credited(name: str, experience: Experience, memory: Memory | None = None, **changes: Any) -> Credited:
    assign, algorithm, options = CREDITS[name]
    made = lookup(algorithm).options(**{**BASE, **options, **changes})
    return assign(experience, made, {} if memory is None else memory)


def by_text(found: Credited) -> dict[str, tuple[Any, ...]]:
    """Credit and reward of each trained sample."""
    return {
        sample.completion.text: (
            sample.credit.advantages if sample.credit else (),
            sample.credit.returns if sample.credit else (),
            tuple(j.value for j in group.judgements if j.target == SampleTarget(index)),
        )
        for group in found.groups
        for index, sample in enumerate(group.samples)
    }


def assert_same(found: dict[str, tuple[Any, ...]], expected: dict[str, tuple[Any, ...]]) -> None:
    assert found.keys() == expected.keys()
    for text, parts in expected.items():
        for ours, theirs in zip(found[text], parts, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-9), text


@each
@pytest.mark.parametrize("lost", [(1,), (0, 6), (4, 5, 6, 7), (1, 2, 3, 9)], ids=str)
def test_a_missing_reward_leaves_the_others_as_if_its_sample_had_not_been_there(
    name: str, lost: tuple[int, ...]
) -> None:
    for memory in ({}, {"baseline": 0.3}):
        found = by_text(credited(name, round_of(missing=lost), dict(memory)))
        assert set(found) == {f"sample {i}" for i in range(GROUPS * EACH) if i not in lost}
        assert_same(found, by_text(credited(name, round_of(gone=lost), dict(memory))))


@each
def test_it_would_be_seen(name: str) -> None:
    """A reward of 0 in the place of a missing one changes the others' credit; not in P3O, which has none."""
    experience = round_of(missing=(1, 6))
    zeros = Experience(
        experience.groups,
        experience.reward_B.nan_to_num(),
        experience.reward_BK.nan_to_num(),
        experience.old_logps_N,
        experience.ref_logps_N,
        experience.values_N,
    )
    whole, partial = (by_text(credited(name, one)) for one in (zeros, experience))
    changed = [t for t in partial if whole[t][0] != pytest.approx(partial[t][0], rel=1e-3)]
    assert bool(changed) == (name != "p3o")


@each
def test_no_number_is_missing(name: str) -> None:
    for missing in ((), (0,), (0, 1, 2), (0, 1, 2, 3, 4, 5, 6)):
        for advantages, returns, rewards in by_text(credited(name, round_of(missing=missing))).values():
            assert all(math.isfinite(x) for x in (*advantages, *returns, *rewards))


@each
def test_cut_completions_are_left_out_where_asked_for(name: str) -> None:
    cut = (2, 5, 8, 9, 10, 11)
    masked = by_text(credited(name, round_of(cut=cut), mask_truncated_completions=True))
    assert set(masked) == {f"sample {i}" for i in range(GROUPS * EACH) if i not in cut}
    kept = by_text(credited(name, round_of(cut=cut)))
    assert len(kept) == GROUPS * EACH
    if name in ("grpo", "grpo-batch", "dr-grpo", "decoupled", "rloo", "reinforce-loo"):
        assert_same(masked, {text: kept[text] for text in masked})  # they still count in their group's mean


def test_the_greedy_sample_is_the_baseline_and_is_not_trained() -> None:
    experience = round_of(missing=(1, 7))
    options = lookup("remax").options(**BASE)
    found = by_text(credit.against_greedy(experience, options, {}))
    trained = {0, 2, 8, 9, 10}  # 3, 7 and 11 are greedy; of the second group nothing can be compared
    assert set(found) == {f"sample {i}" for i in trained}
    for i in trained:
        gap = float(experience.reward_B[i] - experience.reward_B[i // EACH * EACH + EACH - 1])
        assert found[f"sample {i}"][0] == pytest.approx([gap] * len(found[f"sample {i}"][0]))


def test_the_running_mean_is_of_earlier_rounds() -> None:
    memory: Memory = {}
    first = credited("reinforce-ema", round_of(), memory, beta=0.0)
    mean = float(round_of().reward_B.mean())
    assert memory["baseline"] == pytest.approx(mean)
    assert "baseline" not in first.metrics
    rewards = round_of().reward_B
    own = by_text(first)["sample 0"][0][0]
    assert own == pytest.approx(float(rewards[0] - rewards[1:].mean()))
    memory["baseline"] = 0.25
    second = credited("reinforce-ema", round_of(), memory, beta=0.0)
    assert second.metrics["baseline"] == 0.25
    assert by_text(second)["sample 0"][0][0] == pytest.approx(float(rewards[0]) - 0.25)
    assert memory["baseline"] == pytest.approx(0.9 * 0.25 + 0.1 * mean)


def test_the_kl_coefficient_adapts_to_the_kl_of_whole_answers_once_a_round() -> None:
    memory: Memory = {}
    experience = round_of()
    gap = (experience.need("old_logps") - experience.need("ref_logps")).double()
    kl = float(gap.sum()) / len(experience.samples)
    found = credited("ppo", experience, memory, target=2.0, horizon=100.0)
    assert found.metrics["kl_coef"] == 0.05
    error = min(max(kl / 2.0 - 1, -0.2), 0.2)
    assert memory["kl"]["coef"] == pytest.approx(0.05 * (1 + error * 12 / 100))
    moved = memory["kl"]["coef"]
    again = credited("ppo", experience, memory, target=2.0, horizon=100.0)
    assert again.metrics["kl_coef"] == moved
    assert credited("ppo", experience, {}).metrics["kl_coef"] == 0.05


def test_kl_in_the_reward_is_of_the_round_not_of_the_step() -> None:
    """Leave-one-out of ``r - beta sum(old - ref)``."""
    experience = round_of()
    gap_B = [
        float((experience.need("old_logps") - experience.need("ref_logps"))[experience.sample_N == i].sum())
        for i in range(12)
    ]
    shaped = [float(r) - 0.1 * g for r, g in zip(experience.reward_B, gap_B, strict=True)]
    found = by_text(credited("rloo", experience))
    for i in range(12):
        others = [shaped[j] for j in range(12) if j // EACH == i // EACH and j != i]
        assert found[f"sample {i}"][0][0] == pytest.approx(shaped[i] - sum(others) / 3, rel=1e-5)


def test_pairs_and_choices_do_not_fall_on_samples_without_a_reward() -> None:
    experience = round_of(missing=(0, 4, 5, 6), cut=(9,))
    options = lookup("online-dpo").options(**{**BASE, "mask_truncated_completions": True})
    made = best_against_worst(experience, options, {})
    trained = {s.completion.text for group in made.groups for s in group.samples}
    assert len(made.groups) == 2 and made.metrics["pairs"] == 2
    assert not trained & {"sample 0", "sample 9", *(f"sample {i}" for i in range(4, 8))}
    rewards = experience.reward_B
    for group in made.groups:
        said = group.judgements[0]
        assert said.value is not None and said.value > 0
    chosen = best(experience, lookup("best-of-n").options(**BASE), {})
    usable = [[1, 2, 3], [7], [8, 10, 11]]
    expected = [max(group, key=rewards.tolist().__getitem__) for group in usable]
    assert [g.samples[0].completion.text for g in chosen.groups] == [f"sample {i}" for i in expected]


def test_nothing_is_won_against_an_opponent_without_a_reward() -> None:
    experience = round_of(missing=(3, 4))
    made = against_opponent(experience, lookup("nash-md").options(**BASE), {})
    assert set(by_text(made)) == {"sample 5", "sample 6", "sample 8", "sample 9", "sample 10"}
    rewards = experience.reward_B
    for text, (_, _, (won,)) in by_text(made).items():
        i = int(text.split()[1])
        gap = float(rewards[i] - rewards[i // EACH * EACH + EACH - 1])
        assert won == pytest.approx(1 / (1 + math.exp(-gap)))


def written_by_reference(experience: Experience) -> Experience:
    """The last sample of each group is the reference's."""
    groups = []
    for group in experience.groups:
        last = group.samples[-1]
        other = replace(last, completion=replace(last.completion, sampled_by="reference"))
        groups.append(replace(group, samples=(*group.samples[:-1], other)))
    return replace(experience, groups=tuple(groups))


def test_the_bonus_of_xpo_keeps_every_sample_of_the_reference() -> None:
    """One has no reward, one ties with all, one says what the policy says, and one is in pairs."""
    experience = written_by_reference(round_of(missing=(3,)))
    experience.reward_B[4:8] = 0.5
    options = lookup("xpo").options(**BASE)
    made = against_reference(experience, options, {})
    by_group = [[s.completion.text for s in group.samples] for group in made.groups]
    assert by_group == [["sample 3"], ["sample 7"], [f"sample {i}" for i in range(8, 12)]]
    assert [len(group.judgements) for group in made.groups] == [0, 0, 3]
    pairs = {(j.target.better, j.target.worse) for j in made.groups[2].judgements}  # type: ignore[union-attr]
    rewards = experience.reward_B[8:12].tolist()
    assert pairs == {(i, 3) if rewards[i] > rewards[3] else (3, i) for i in range(3)}
    assert all(j.value is not None and j.value > 0 for j in made.groups[2].judgements)
    assert made.metrics == {"pairs": 3.0, "pairs/left_out": 3.0, "exploration/without_pair": 2.0}
    # Online DPO, which has no bonus, leaves the tied group out whole.
    dropped = best_against_worst(experience, lookup("online-dpo").options(**BASE), {})
    assert "sample 7" not in {s.completion.text for group in dropped.groups for s in group.samples}


def test_the_references_sample_is_kept_where_it_is_the_policys_very_words() -> None:
    experience = written_by_reference(round_of())
    first, *rest, last = experience.groups[0].samples
    same = replace(last, completion=replace(first.completion, sampled_by="reference"))
    groups = (replace(experience.groups[0], samples=(first, *rest, same)), *experience.groups[1:])
    made = against_reference(
        Experience(groups, experience.reward_B, experience.reward_BK), lookup("xpo").options(**BASE), {}
    )
    assert [s.completion.sampled_by for s in made.groups[0].samples] == ["reference"]
    assert made.groups[0].judgements == () and made.metrics["exploration/without_pair"] == 1


def test_the_references_sample_that_was_cut_is_left_out_where_those_are() -> None:
    experience = written_by_reference(round_of(cut=(7,)))
    for masked, kept in ((True, 2), (False, 3)):
        options = lookup("xpo").options(**BASE, mask_truncated_completions=masked)
        made = against_reference(experience, options, {})
        written = [s for g in made.groups for s in g.samples if s.completion.sampled_by == "reference"]
        assert len(written) == kept


def test_whitened_scores_forget_the_scale_of_the_reward_but_not_the_kl() -> None:
    experience = round_of(missing=(2,))
    scaled = replace(experience, reward_B=50 * experience.reward_B + 7)
    plain = {"whiten_advantages": False, "kl_coef": 0.1}
    white = [by_text(credited("ppo-white-scores", one, **plain)) for one in (experience, scaled)]
    assert_same(white[0], {t: (a, r, white[0][t][2]) for t, (a, r, _) in white[1].items()})
    raw = [by_text(credited("ppo", one, **plain)) for one in (experience, scaled)]
    assert raw[0]["sample 0"][0] != pytest.approx(raw[1]["sample 0"][0], rel=1e-2)
    # Mean 0 and deviation 1 of the rewards that are there, as the last token's reward without KL or values.
    bare = {"whiten_advantages": False, "kl_coef": 0.0, "lam": 1.0, "value_target": "terminal"}
    found = by_text(credited("ppo-white-scores", experience, **bare))
    scores = torch.tensor([returns[-1] for _, returns, _ in found.values()])
    assert len(scores) == 11 and float(scores.mean()) == pytest.approx(0, abs=1e-6)
    assert float(scores.std()) == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("algorithm", ["rso", "slic-rank"])
def test_pairs_that_are_drawn_do_not_depend_on_where_the_prompts_came_from(algorithm: str) -> None:
    """Ids of prompts hold the place of their file."""
    options = lookup(algorithm).options(**BASE)
    assign = {"rso": rejection_sampled, "slic-rank": ranked}[algorithm]
    experience = round_of()
    elsewhere = replace(experience, groups=tuple(replace(g, id=f"/there/{g.id}") for g in experience.groups))
    found = [assign(one, options, {}) for one in (experience, elsewhere)]
    assert [g.judgements for g in found[0].groups] == [g.judgements for g in found[1].groups]
    assert found[0].metrics["pairs"] > 0
    memory: Memory = {}
    rounds = [assign(experience, options, memory) for _ in range(4)]
    assert len({str(one.groups) for one in rounds}) > 1
