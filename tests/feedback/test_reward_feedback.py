from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch

from charter.data.formats import load_groups
from charter.errors import ConfigError, UserError
from charter.feedback.trained.reward import RewardFeedback, measure_scale, raw_rewards, rewards
from charter.models.ensemble import uncertainty_weighted
from charter.models.policy import Policy
from charter.models.reward import name_dimensions, with_reward_head
from charter.models.reward_scale import RewardScale
from charter.testing import tiny_model, tiny_tokenizer
from charter.types import Group, PairTarget, SampleTarget


def reward_model(seed: int = 0, names: tuple[str, ...] = ("",), scale: RewardScale | None = None) -> Policy:
    tokenizer = tiny_tokenizer()
    model = with_reward_head(tiny_model(seed), len(names), seed, tokenizer)
    name_dimensions(model, names)
    return Policy(model, tokenizer, f"model-{seed}", Path(), torch.float32, reward_scale=scale)


def groups(count: int = 3) -> tuple[Group, ...]:
    rows = [
        {"prompt": f"Say {i}.", "responses": [f" yes {i}", " no", " maybe, maybe"], "scores": [3, 1, 2]}
        for i in range(count)
    ]
    return load_groups(rows, "rated").groups


def test_one_model_judges_every_answer() -> None:
    policy = reward_model(scale=RewardScale(("reward",), (0.5,), (2.0,), 9, "test"))
    found = RewardFeedback([policy]).judge(groups())
    raw = raw_rewards(policy, groups())
    for said, raw_BZ in zip(found, raw, strict=True):
        assert [one.target for one in said] == [SampleTarget(i) for i in range(3)]
        expected = ((raw_BZ[:, 0].double() - 0.5) / 2).tolist()
        assert [one.value for one in said] == pytest.approx(expected)
        assert said[0].reason == f"reward {float(raw_BZ[0, 0]):.3f}" and said[0].judge == "reward"
    assert [[one.value for one in said] for said in found] == rewards(policy, groups())
    assert asyncio.run(RewardFeedback([policy])(groups())) == found


def test_pairs_carry_the_probability_of_the_raw_difference() -> None:
    policy = reward_model(scale=RewardScale(("reward",), (7.0,), (3.0,), 9, "test"))
    (said,) = RewardFeedback([policy], pairs=True).judge(groups(1))
    (raw_BZ,) = raw_rewards(policy, groups(1))
    pairs = [one for one in said if isinstance(one.target, PairTarget)]
    assert len(pairs) == 3
    for one in pairs:
        assert isinstance(one.target, PairTarget)
        gap = raw_BZ[one.target.better, 0].double() - raw_BZ[one.target.worse, 0].double()
        assert one.value == pytest.approx(float(gap) / 3) and gap > 0
        assert one.probability == pytest.approx(float(gap.sigmoid()))


def test_several_models_are_normalised_before_they_are_combined() -> None:
    models = [reward_model(seed) for seed in range(3)]
    for policy in models:
        policy.reward_scale = measure_scale(policy, groups(), "test")
    each = torch.tensor([[value for of in rewards(policy, groups()) for value in of] for policy in models])
    flat = {
        how: [one.value for said in RewardFeedback(models, how, 0.3).judge(groups()) for one in said]
        for how in ("mean", "worst", "uncertainty")
    }
    assert flat["mean"] == pytest.approx(each.mean(0).tolist(), abs=1e-6)
    assert flat["worst"] == pytest.approx(each.amin(0).tolist(), abs=1e-6)
    assert flat["uncertainty"] == pytest.approx(uncertainty_weighted(each, 0.3).tolist(), abs=1e-6)
    (first, *_) = RewardFeedback(models, pairs=True).judge(groups())
    assert first[-1].probability is not None


def test_dimensions_are_weighed_or_judged_apart() -> None:
    names = ("harmless", "helpful")
    policy = reward_model(names=names, scale=RewardScale(names, (0.0, 1.0), (1.0, 2.0), 9, "test"))
    (raw_BZ,) = raw_rewards(policy, groups(1))
    (said,) = RewardFeedback([policy], weights={"helpful": 1.0}).judge(groups(1))
    assert [one.value for one in said] == pytest.approx(((raw_BZ[:, 1].double() - 1) / 2).tolist())
    (apart,) = RewardFeedback([policy], per_dimension=True).judge(groups(1))
    assert [(one.target, one.principle) for one in apart[:2]] == [
        (SampleTarget(0), "harmless"),
        (SampleTarget(0), "helpful"),
    ]
    assert apart[2].value == pytest.approx(float(raw_BZ[1, 0]))
    (paired,) = RewardFeedback([policy], pairs=True).judge(groups(1))
    assert {one.probability for one in paired} == {None}  # a sum of ratings is no log-odds


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"policies": []}, "no reward model"),
        ({"combine": "median"}, "combine is one of"),
        ({"combine": "worst"}, "no effect on one reward model"),
        ({"weights": {"reword": 1.0}}, "did you mean 'reward'"),
        ({"per_dimension": True, "pairs": True}, "no effect"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        RewardFeedback(**{"policies": [reward_model()], **options})


def test_models_of_other_dimensions_are_refused() -> None:
    with pytest.raises(UserError, match=r"model-1 has the dimensions a, b, model-0 reward"):
        RewardFeedback([reward_model(), reward_model(1, ("a", "b"))])


def test_large_groups_give_some_of_their_answers_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charter.feedback.trained.reward.MEASURED_ANSWERS", 11)
    some = measure_scale(reward_model(), groups(5), "test", seed=1)
    assert some.samples == 10  # of 15: two of each
    assert some == measure_scale(reward_model(), groups(5), "test", seed=1)
    assert some != measure_scale(reward_model(), groups(5), "test", seed=2)
    monkeypatch.setattr("charter.feedback.trained.reward.MEASURED_ANSWERS", 15)
    assert measure_scale(reward_model(), groups(5), "test", seed=1).samples == 15


def test_the_scale_is_measured_on_a_part_of_much_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charter.feedback.trained.reward.MEASURED_GROUPS", 2)
    first = measure_scale(reward_model(), groups(5), "test", seed=1)
    assert first.samples == 6
    assert first == measure_scale(reward_model(), groups(5), "test", seed=1)
