"""One round of rollouts with a model: what is sampled, rewarded, scored, and under which weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
import torch
from online_setup import FakeRewards, online_loop, share_wanted
from torch import Tensor
from training_setup import assert_close, assert_same_bits

from charter.catalogue import lookup
from charter.engines.local import LocalEngine
from charter.errors import TrainingFault
from charter.models.load import load
from charter.models.policy import Policy, adapter_off
from charter.objectives.base import Need
from charter.rundir import read_jsonl
from charter.training.batch import MicroBatch
from charter.training.experience import own_logps, per_token, read
from charter.training.loop import Loop
from charter.training.rollouts import RolloutSource
from charter.training.round import RoundMaker
from charter.training.sampler_gap import checked_gap
from charter.types import Group, Sample

SMALL: dict[str, Any] = {"per_device_train_batch_size": 8, "max_completion_length": 4, "max_steps": 4}
LORA = {"use_peft": True, "lora_r": 4, "learning_rate": 1e-2}
T = 0.7


def loop_of(tiny: str, directory: Path, algorithm: str, **changes: Any) -> Loop:
    return online_loop(tiny, directory, algorithm, **{**SMALL, **changes})


def maker_of(loop: Loop) -> RoundMaker:
    assert isinstance(loop.source, RolloutSource)
    assert isinstance(loop.source._make, RoundMaker)
    return loop.source._make


def rows_of(loop: Loop) -> list[dict[str, float]]:
    loop.run()
    rows: list[dict[str, float]] = read_jsonl(loop.directory / "metrics.jsonl")
    return rows


@torch.no_grad()
def logps_by_hand(model: Any, sample: Sample, temperature: float) -> Tensor:
    """Of a completion's tokens, by the model's own forward."""
    prompt, answer = sample.context.token_ids, sample.completion.token_ids
    logits = model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0].float() / temperature
    places = torch.arange(len(answer)) + len(prompt) - 1
    return logits.log_softmax(-1)[places, torch.tensor(answer)]


def credit(groups: Sequence[Group], name: str) -> list[Tensor]:
    return [torch.tensor(getattr(s.credit, name)) for group in groups for s in group.samples]


# -- log-probs: whose, when, at which temperature -----------------------------------------------


@pytest.mark.parametrize("tuning", [{}, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("algorithm", ["grpo", "ppo"])
def test_old_and_reference_log_probs_are_at_the_sampling_temperature(
    algorithm: str, tuning: dict[str, Any], tiny: str, tmp_path: Path
) -> None:
    """The reference is the model as it was loaded (with LoRA: the adapter off), whatever was learned."""
    kl = {"beta": 0.1} if algorithm == "grpo" else {"kl_coef": 0.1}
    options = {**tuning, **kl, "temperature": T, "num_iterations": 2, "max_steps": 2}
    loop = loop_of(tiny, tmp_path, algorithm, **options)
    loop.run()
    groups = loop.source.step(2)  # a round of the policy that has learned
    policy, first = loop.policy, load(tiny, bf16=False)
    for group in groups:
        for sample in group.samples:
            assert sample.credit is not None
            old = logps_by_hand(policy.model, sample, T)
            ref = logps_by_hand(first.model, sample, T)
            torch.testing.assert_close(torch.tensor(sample.credit.old_logps), old, rtol=0, atol=2e-4)
            torch.testing.assert_close(torch.tensor(sample.credit.ref_logps), ref, rtol=0, atol=2e-4)
            torch.testing.assert_close(torch.tensor(sample.completion.logps), old, rtol=0, atol=2e-4)
            assert (old - ref).abs().max() > 5e-3
            if tuning:
                with adapter_off(policy.model) as off:
                    without = logps_by_hand(off, sample, T)
                torch.testing.assert_close(torch.tensor(sample.credit.ref_logps), without, rtol=0, atol=2e-4)


def test_the_new_log_probs_are_at_the_sampling_temperature_too(tiny: str, tmp_path: Path) -> None:
    """Else the ratio would not be 1, nor the KL 0, before anything has moved."""
    loop = loop_of(tiny, tmp_path, "grpo", temperature=T, num_iterations=2, beta=0.1)
    first, second, third, fourth = rows_of(loop)
    for row in (first, third):
        assert row["ratio/max"] == pytest.approx(1.0, abs=1e-5)
        assert row["approx_kl"] == pytest.approx(0.0, abs=1e-6)
    for row in (second, fourth):
        assert row["ratio/max"] > 1.001
        assert row["approx_kl"] > 1e-7
    assert first["kl"] == pytest.approx(0.0, abs=1e-4)
    assert abs(third["kl"]) > 1e-4


def test_log_probs_of_imitated_samples_are_at_temperature_1(tiny: str, tmp_path: Path) -> None:
    """Likelihood is of the model as it is, not as it was sampled."""
    options = {"mask_truncated_completions": False, "steps_per_generation": 1, "num_generations": 4}
    loop = loop_of(tiny, tmp_path, "best-of-n", temperature=T, **options)
    groups = loop.source.step(0)
    scored = loop.stepper.scorer(MicroBatch.of(groups, loop.columns))
    expected = [logps_by_hand(loop.policy.model, s, 1.0) for group in groups for s in group.samples]
    torch.testing.assert_close(scored.logps_N.detach(), torch.cat(expected), rtol=0, atol=2e-4)


def test_old_log_probs_stay_those_of_the_rounds_beginning(tiny: str, tmp_path: Path) -> None:
    loop = loop_of(tiny, tmp_path, "grpo", num_iterations=3, beta=0.1, max_steps=3)
    before = {s.completion.token_ids: s.credit for g in loop.source.step(0) for s in g.samples}
    loop.run()
    after = {s.completion.token_ids: s.credit for g in loop.source.step(2) for s in g.samples}
    assert before == after and all(one is not None and one.old_logps for one in before.values())


def test_one_step_a_round_needs_no_old_log_probs(tiny: str, tmp_path: Path) -> None:
    """The ratio is 1 by definition, with dropout too."""
    loop = loop_of(tiny, tmp_path, "grpo", **LORA, lora_dropout=0.3)
    assert maker_of(loop).reads == frozenset()
    assert all(not len(one) for one in credit(loop.source.step(0), "old_logps"))
    assert all(row["ratio/max"] == 1.0 for row in rows_of(loop))


# -- sampler and trainer ------------------------------------------------------------------------


GENERATE = LocalEngine.generate


def shifted(by: float) -> Any:
    """An engine whose log-probs are off."""

    def generate(self: LocalEngine, *arguments: Any, **more: Any) -> list[Group]:
        return [
            replace(
                group,
                samples=tuple(
                    replace(
                        s,
                        completion=replace(
                            s.completion, logps=tuple(logp + by for logp in s.completion.logps)
                        ),
                    )
                    for s in group.samples
                ),
            )
            for group in GENERATE(self, *arguments, **more)
        ]

    return generate


@pytest.mark.parametrize("iterations", [1, 2])
def test_a_sampler_that_disagrees_stops_the_run(
    iterations: int, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where old log-probs are there anyway, and where a few are scored for it."""
    monkeypatch.setattr(LocalEngine, "generate", shifted(0.6))
    with pytest.raises(TrainingFault, match=r"disagree by 0\.600 nats a token"):
        loop_of(tiny, tmp_path, "grpo", num_iterations=iterations).run()
    monkeypatch.setattr(LocalEngine, "generate", shifted(-0.4))
    rows = rows_of(loop_of(tiny, tmp_path / "less", "grpo", num_iterations=iterations))
    assert rows[0]["sampling/sampling_logp_difference/mean"] == pytest.approx(0.4, abs=1e-3)
    rows = rows_of(loop_of(tiny, tmp_path / "any", "grpo", num_iterations=iterations, max_sampler_gap=None))
    assert len(rows) == 4


@pytest.mark.parametrize(
    ("algorithm", "more"),
    [
        ("grpo", {"temperature": T}),
        ("remax", {"temperature": T, "num_generations": 2}),
        ("remax", {"temperature": T, "num_generations": 2, "beta": 0.1}),
        ("best-of-n", {"temperature": T, "mask_truncated_completions": False, "num_generations": 4}),
        ("xpo", {"temperature": T}),
        ("grpo", {"temperature": T, "top_k": 5, "num_iterations": 2}),
    ],
)
def test_nothing_is_between_sampler_and_trainer(
    algorithm: str, more: dict[str, Any], tiny: str, tmp_path: Path
) -> None:
    """Greedy samples and another model's are not compared, and what cuts the distribution is no gap."""
    rows = rows_of(loop_of(tiny, tmp_path, algorithm, **more, steps_per_generation=1))
    assert all(row["sampling/sampling_logp_difference/max"] < 1e-3 for row in rows)


def test_an_unknown_gap_is_no_gap() -> None:
    assert checked_gap(None, 0.5) == {}
    assert checked_gap(torch.empty(0), 0.5) == {}
    assert checked_gap(torch.tensor([0.5, 0.1]), 0.5)["sampling/sampling_logp_difference/max"] == 0.5


# -- rewards that are missing ---------------------------------------------------------------------


def odd_fails(sample: Sample) -> float | None:
    """An error for some completions, an abstention for others."""
    first = sample.completion.token_ids[0]
    if first % 4 == 1:
        raise ValueError(f"cannot read {first}")
    return None if first % 4 == 3 else share_wanted(sample)


def test_missing_rewards_are_counted_and_their_samples_left_out(tiny: str, tmp_path: Path) -> None:
    rewards = FakeRewards({"wanted": share_wanted, "odd": odd_fails})
    loop = loop_of(tiny, tmp_path, "grpo", rewards=rewards, reward_funcs=("wanted", "odd"), max_steps=2)
    rows = rows_of(loop)
    groups = loop.source.step(1)
    trained = [s.completion.token_ids[0] for group in groups for s in group.samples]
    assert trained and all(first % 2 == 0 for first in trained)
    sampled = [row for row in read_jsonl(tmp_path / "samples.jsonl") if row["round"] == 2]
    said = [row["rewards"]["odd"] for row in sampled]
    missing = [one for one in said if isinstance(one, str)]
    assert rows[1]["rewards/missing"] == len(missing) == 8 - len(trained) > 0
    assert {one.partition(":")[0] for one in missing} <= {"error", "abstained"}
    values = [
        math.fsum(one.values()) for row in sampled if not isinstance((one := row["rewards"])["odd"], str)
    ]
    assert rows[1]["reward"] == pytest.approx(sum(values) / len(values))


def test_a_round_without_any_reward_stops_the_run(tiny: str, tmp_path: Path) -> None:
    def broken(sample: Sample) -> float:
        raise ValueError("the judge is asleep")

    loop = loop_of(tiny, tmp_path, "grpo", rewards=FakeRewards({"broken": broken}))
    with pytest.raises(TrainingFault, match="no rollout of the round got a reward") as fault:
        loop.run()
    assert "the judge is asleep" in str(fault.value)
    assert not (tmp_path / "samples.jsonl").exists()
    assert not (tmp_path / "model").exists()


def test_completions_that_were_cut_pay_a_penalty(tiny: str, tmp_path: Path) -> None:
    """Every completion of four tokens is cut; the table of rewards stays as it was said."""
    maker = maker_of(loop_of(tiny, tmp_path, "grpo", missing_eos_penalty=0.25))
    prompts = iter(maker_groups(tiny, tmp_path))
    made = maker._experience(maker._rollouts([next(prompts), next(prompts)], seed=1))
    assert bool(made.truncated_B.any())
    torch.testing.assert_close(made.reward_B, made.reward_BK.sum(1) - 0.25 * made.truncated_B)


def maker_groups(tiny: str, directory: Path) -> Sequence[Group]:
    return loop_of(tiny, directory / "prompts", "grpo").groups


# -- dynamic sampling ----------------------------------------------------------------------------


def uneven(prompt: str, sample: Sample) -> float:
    """Prompts with "abc" in them are rewarded alike whatever is answered."""
    return 0.5 if "abc" in prompt else sum(sample.completion.token_ids) / 1000


def test_dynamic_sampling_fills_the_round_with_prompts_that_say_something(tiny: str, tmp_path: Path) -> None:
    """A third of the prompts says something; for two of them at most eight are tried."""
    rewards = FakeRewards({"uneven": lambda sample: uneven(sample.context.text or "", sample)})
    loop = loop_of(tiny, tmp_path, "dapo", rewards=rewards, max_steps=4)
    rows = rows_of(loop)
    tried = [row.get("rollouts/prompts_tried", 2.0) for row in rows]
    assert all(row["frac_reward_zero_std"] == 0.0 for row, n in zip(rows, tried, strict=True) if n < 8)
    assert max(tried) > 2 and max(tried) <= 8
    texts = [row["prompt"] for row in read_jsonl(tmp_path / "samples.jsonl")]
    assert sum("abc" not in text for text in texts) > len(texts) / 2


def test_dynamic_sampling_gives_up(tiny: str, tmp_path: Path) -> None:
    rewards = FakeRewards({"same": lambda sample: 1.0})
    rows = rows_of(loop_of(tiny, tmp_path, "dapo", rewards=rewards, max_resampling=3, max_steps=1))
    assert rows[0]["rollouts/prompts_tried"] == 6
    assert rows[0]["frac_reward_zero_std"] == 1.0
    assert len(read_jsonl(tmp_path / "samples.jsonl")) == 8


# -- metrics -------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_generations", [1, 4])
def test_the_spread_of_rewards_is_within_groups_or_over_answers(
    num_generations: int, tiny: str, tmp_path: Path
) -> None:
    """A prompt with one answer has no spread of its own, and one of 0 would make any gap look endless."""
    rows = rows_of(loop_of(tiny, tmp_path, "ppo", num_generations=num_generations, max_steps=1))
    values = [sum(row["rewards"].values()) for row in read_jsonl(tmp_path / "samples.jsonl")]
    groups = [values[at : at + num_generations] for at in range(0, len(values), num_generations)]
    spreads = [stdev(group) for group in groups] if num_generations > 1 else [stdev(values)]
    assert rows[0]["reward_std"] == pytest.approx(fmean(spreads), rel=1e-4) and min(spreads) > 0


# -- the critic ------------------------------------------------------------------------------------


def storages(policy: Policy) -> dict[int, Tensor]:
    return {p.data_ptr(): p for p in policy.model.parameters()}


@pytest.mark.parametrize("lora", [True, False])
def test_a_critic_shares_what_is_frozen_and_nothing_that_is_trained(
    lora: bool, tiny: str, tmp_path: Path
) -> None:
    loop = loop_of(tiny, tmp_path, "ppo", **(LORA if lora else {}))
    critic = loop.state.critic
    assert critic is not None
    shared = storages(loop.policy).keys() & storages(critic).keys()
    trained = {p.data_ptr() for one in (loop.policy, critic) for p in one.trainable().values()}
    assert not shared & trained
    frozen = {p.data_ptr() for p in loop.policy.model.parameters() if not p.requires_grad}
    assert shared == (frozen if lora else set()) and bool(shared) == lora
    before = loop.state.weights()
    base = {name: p.clone() for name, p in loop.policy.model.named_parameters() if not p.requires_grad}
    loop.run()
    after = loop.state.weights()
    assert any(name.startswith("critic.") and not torch.equal(after[name], before[name]) for name in after)
    assert any(
        not name.startswith("critic.") and not torch.equal(after[name], before[name]) for name in after
    )
    if lora:
        assert_same_bits({n: p for n, p in loop.policy.model.named_parameters() if n in base}, base)
    assert (tmp_path / "critic").is_dir()


def test_values_begin_at_0_and_have_no_dropout(tiny: str, tmp_path: Path) -> None:
    loop = loop_of(tiny, tmp_path, "ppo", **LORA, lora_dropout=0.5, num_iterations=2)
    values = torch.cat(credit(loop.source.step(0), "values"))
    assert (values == 0).all()
    loop.run()
    maker = maker_of(loop)
    assert maker.critic is not None
    maker.critic.model.train()
    rounds = maker._experience(maker._rollouts(maker_groups(tiny, tmp_path)[:2], seed=1))
    found = [
        read(rounds, {"values"}, loop.policy, None, maker.critic, temperature=1.0, tokens=4096).need("values")
        for _ in range(2)
    ]
    assert torch.equal(*found) and found[0].abs().max() > 0
    assert maker.critic.model.training


# -- PPO-ptx ------------------------------------------------------------------------------------------


def test_pretraining_text_is_trained_on_and_its_credit_never_read(tiny: str, tmp_path: Path) -> None:
    loop = loop_of(tiny, tmp_path, "ppo-ptx", ptx_data="given", ptx_batch_size=3, texts=6, num_iterations=2)
    groups = loop.source.step(0)
    parts = [group.part for group in groups]
    assert parts.count("pretrain") == 3 and parts.count("") == 2
    batch = MicroBatch.of(groups, loop.columns)
    scored = loop.stepper.scorer(batch)
    other_N = batch.layout.in_part_B("pretrain")[batch.layout.sample_N]
    assert bool(other_N.any()) and not bool(other_N.all())
    for name in ("advantage_N", "old_logps_N", "returns_N", "old_values_N"):
        value_N = scored.need(name)
        assert value_N[other_N].isnan().all() and value_N[~other_N].isfinite().all()
    rows = rows_of(loop)
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert all(row["loss/pretrain"] > 1 for row in rows)
    assert rows[-1]["loss/pretrain"] < rows[0]["loss/pretrain"]


def test_the_weight_of_pretraining_text_is_the_only_way_it_matters(tiny: str, tmp_path: Path) -> None:
    """With next to no weight, and none in the norm, the step is PPO's."""
    common = {"num_iterations": 2, "max_steps": 2}
    plain = loop_of(tiny, tmp_path / "plain", "ppo", **common)
    mixed = loop_of(tiny, tmp_path / "mixed", "ppo-ptx", ptx_data="given", texts=6, ptx_coef=1e-12, **common)
    plain.run()
    mixed.run()
    assert_close(plain.state.weights(), mixed.state.weights(), atol=1e-4)
    assert (plain.directory / "samples.jsonl").read_text() == (mixed.directory / "samples.jsonl").read_text()


# -- what terms need ---------------------------------------------------------------------------------


def test_the_trainer_reads_what_is_used_and_no_more(tiny: str, tmp_path: Path) -> None:
    cases: list[tuple[str, dict[str, Any], set[str]]] = [
        ("grpo", {}, set()),
        ("grpo", {"beta": 0.1}, {"ref_logps"}),
        ("grpo", {"num_iterations": 2}, {"old_logps"}),
        ("rloo", {"beta": 0.0}, set()),
        ("rloo", {"beta": 0.1}, {"old_logps", "ref_logps"}),
        ("ppo", {}, {"old_logps", "ref_logps", "values"}),
        ("ppo", {"kl_coef": 0.0}, {"old_logps", "values"}),
        ("online-dpo", {}, {"ref_logps"}),
        ("best-of-n", {"num_generations": 4}, set()),
    ]
    for index, (algorithm, options, expected) in enumerate(cases):
        loop = loop_of(tiny, tmp_path / str(index), algorithm, **options)
        assert set(maker_of(loop).reads) == expected, (algorithm, options)
        assert (Need.REFERENCE in loop.stepper.scorer.needs) <= ("ref_logps" in expected)


def test_scores_do_not_depend_on_how_rollouts_are_batched(tiny: str, tmp_path: Path) -> None:
    loop = loop_of(tiny, tmp_path, "grpo", num_iterations=2)
    groups = list(loop.source.step(0))
    policy = loop.policy
    maker = maker_of(loop)

    def logps(tokens: int) -> Tensor:
        with torch.no_grad():
            return per_token(groups, tokens, lambda batch: own_logps(policy, batch, maker.temperature))

    torch.testing.assert_close(logps(1), logps(100_000), rtol=0, atol=1e-5)
    torch.testing.assert_close(logps(1), torch.cat(credit(groups, "old_logps")), rtol=0, atol=1e-5)


@pytest.mark.parametrize("algorithm", ["ipo-md", "xpo", "nash-md", "nash-ema"])
def test_a_reference_that_writes_completions_cannot_follow_the_policy(algorithm: str) -> None:
    with pytest.raises(ValueError, match="would not follow"):
        lookup(algorithm).options(sync_ref_model=True)


# -- who samples -------------------------------------------------------------------------------------


@pytest.mark.parametrize("tuning", [{}, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("who", ["reference", "policy"])
@pytest.mark.parametrize("algorithm", ["rso", "rs-dpo", "slic-rank"])
def test_candidates_are_the_first_models_in_every_round_unless_the_policy_is_asked(
    algorithm: str, who: str, tuning: dict[str, Any], tiny: str, tmp_path: Path
) -> None:
    """After three rounds of learning the sampler's log-probs are still those of the model as loaded."""
    own: dict[str, Any] = {"rso": {"num_accepted": 4}, "rs-dpo": {"tau": 1e-3}}.get(algorithm, {})
    loop = loop_of(
        tiny,
        tmp_path,
        algorithm,
        **tuning,
        **own,
        **({} if who == "reference" else {"sampled_by": "policy"}),
        rewards=FakeRewards({"sum": lambda sample: sum(sample.completion.token_ids) / 1000}),
        temperature=T,
        num_generations=4,
        steps_per_generation=1,
        max_steps=3,
    )
    assert loop.options.sampled_by == who  # type: ignore[attr-defined]
    loop.run()
    found = [sample for group in loop.source.step(3) for sample in group.samples]
    assert found
    first = load(tiny, bf16=False)
    for sample in found:
        at_first = logps_by_hand(first.model, sample, T)
        now = logps_by_hand(loop.policy.model, sample, T)
        assert (at_first - now).abs().max() > 5e-3
        wrote, version = (at_first, 0) if who == "reference" else (now, 3)
        torch.testing.assert_close(torch.tensor(sample.completion.logps), wrote, rtol=0, atol=2e-4)
        assert (sample.completion.sampled_by, sample.completion.weight_version) == (who, version)
    sampled_by = {row["sampled_by"] for row in read_jsonl(tmp_path / "samples.jsonl")}
    assert sampled_by == {who}


def test_a_reference_that_follows_the_policy_does_not_sample() -> None:
    with pytest.raises(ValueError, match="would not follow"):
        lookup("rso").options(sync_ref_model=True)
    assert lookup("rso").options(sync_ref_model=True, sampled_by="policy").uses_reference


def test_what_xpo_learns_where_nothing_is_preferred_is_its_bonus(tiny: str, tmp_path: Path) -> None:
    """All rewards alike: no pair, and still the reference's samples become less likely."""
    loop = loop_of(
        tiny,
        tmp_path,
        "xpo",
        rewards=FakeRewards({"same": lambda sample: 1.0}),
        alpha=0.1,
        num_generations=2,
        max_steps=2,
    )
    before = loop.state.weights()
    groups = loop.source.step(0)
    samples = [sample for group in groups for sample in group.samples]
    first = load(tiny, bf16=False)
    logp = sum(float(logps_by_hand(first.model, sample, 1.0).sum()) for sample in samples)
    rows = rows_of(loop)
    assert len(samples) == 4 and {s.completion.sampled_by for s in samples} == {"reference"}
    assert rows[0]["pairs"] == 0 and rows[0]["exploration/without_pair"] == 4
    assert rows[0]["loss/exploration"] == pytest.approx(0.1 * logp / 4, rel=1e-3)
    assert rows[0]["loss"] == pytest.approx(rows[0]["loss/exploration"])
    after = loop.state.weights()
    assert any(not torch.equal(after[name], before[name]) for name in after)


# -- answers of other systems -----------------------------------------------------------------------


def test_triplets_hold_other_systems_answers_beside_own_ones(tiny: str, tmp_path: Path) -> None:
    rewards = {"human": 1.0, "policy": 0.5, "weak": 0.0}
    loop = loop_of(
        tiny,
        tmp_path,
        "cpo-triplets",
        rewards=FakeRewards({"by whom": lambda sample: rewards[sample.completion.sampled_by]}),
        columns={"systems": {"human": "Certainly.", "weak": "No", "absent": None}},
        systems="systems",
        num_generations=1,
    )
    rows = rows_of(loop)
    groups = loop.source.step(0)
    assert [[s.completion.sampled_by for s in group.samples] for group in groups] == [["human", "weak"]] * 8
    samples = read_jsonl(tmp_path / "samples.jsonl")
    assert [row["sampled_by"] for row in samples[:3]] == ["policy", "human", "weak"]
    assert len(samples) == 3 * 64  # one round, split over eight steps
    assert rows[0]["pairs"] == 64
    assert rows[0]["reward"] == 0.5  # of the policy's own
