"""Rounds of rollouts: which steps they feed, what is kept of them, and that a broken run goes on alike."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from online_setup import FakeRewards, online_loop
from test_resume import At, interrupt_at_once
from torch import Tensor
from training_setup import assert_same_bits, weights_of

from charter.engines.local import LocalEngine
from charter.errors import Interrupted, UserError
from charter.models.policy import Policy
from charter.rundir import read_jsonl
from charter.training.hooks import NOTHING, HookResult
from charter.training.loop import Loop
from charter.training.rollouts import RolloutSource
from charter.training.round import Memory, Round
from charter.types import Context, Group, Sample

STEPS = 7
SMALL: dict[str, Any] = {
    "max_steps": STEPS,
    "save_steps": 2,
    "per_device_train_batch_size": 8,
    "max_completion_length": 4,
}
LORA = {"use_peft": True, "lora_r": 4, "lora_dropout": 0.3, "learning_rate": 1e-2}
VARIANTS: dict[str, dict[str, Any]] = {
    "grpo": {"algorithm": "grpo", "steps_per_generation": 2, "num_iterations": 2, "beta": 0.04},
    "grpo-dropout": {"algorithm": "grpo", "num_iterations": 3, "beta": 0.04, **LORA},
    "dapo": {"algorithm": "dapo", "steps_per_generation": 2},
    "ppo": {"algorithm": "ppo", "num_iterations": 3, "target": 0.5, "horizon": 20.0, "target_kl": 1e-3},
    "ppo-dropout": {"algorithm": "ppo", "num_iterations": 2, "target": 0.5, "horizon": 20.0, **LORA},
    "ppo-ptx": {"algorithm": "ppo-ptx", "num_iterations": 2, "ptx_data": "given", "texts": 5},
    "ppo-penalty": {"algorithm": "ppo-penalty", "num_iterations": 3},
    "reinforce": {"algorithm": "reinforce"},
    "rest-em": {
        "algorithm": "rest-em",
        "steps_per_generation": 2,
        "reward_threshold": 0.2,
        "mask_truncated_completions": False,
    },
    "rest": {
        "algorithm": "rest",
        "steps_per_generation": 2,
        "reward_thresholds": (0.1, 0.2, 0.3),
        "mask_truncated_completions": False,
    },
    "bpo": {"algorithm": "bpo", "steps_per_generation": 3, "num_generations": 2},
    "nash-ema": {"algorithm": "nash-ema", "ema_decay": 0.5},
    "rso": {"algorithm": "rso", "num_generations": 4, "num_accepted": 4, "steps_per_generation": 2},
    "rso-dropout": {
        "algorithm": "rso",
        "num_generations": 4,
        "num_accepted": 4,
        "steps_per_generation": 2,
        **LORA,
    },
    "trpo": {"algorithm": "trpo", "cg_iters": 2, "learning_rate": None},
}
each = pytest.mark.parametrize("variant", VARIANTS)


def loop_of(variant: str, tiny: str, directory: Path, *hooks: Any, **changes: Any) -> Loop:
    values = {**SMALL, **VARIANTS[variant], **changes}
    return online_loop(tiny, directory, hooks=hooks or [At()], **values)


def rows_of(directory: Path) -> list[dict[str, float]]:
    """The rows of metrics.jsonl without what a clock decides."""
    rows = read_jsonl(directory / "metrics.jsonl")
    return [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in rows]


Result = tuple[dict[str, Tensor], dict[str, Tensor], list[Any], str]


def result_of(loop: Loop) -> Result:
    """Weights of policy and critic, the optimizer's moments, metrics, and every rollout."""
    names = {id(p): name for name, p in loop.state.parameters().items()}
    moments = {
        f"{names[id(p)]}/{key}": value.clone()
        for p, values in loop.optimizer.state.items()
        for key, value in values.items()
    }
    samples = (loop.directory / "samples.jsonl").read_text()
    return loop.state.weights(), moments, rows_of(loop.directory), samples


def assert_same_run(found: Result, expected: Result) -> None:
    assert found[2] == expected[2]
    assert found[3] == expected[3]
    assert_same_bits(found[0], expected[0])
    assert_same_bits(found[1], expected[1])


@pytest.fixture(scope="module")
def unbroken(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Result]:
    """The result of a variant's run, made once."""
    found: dict[str, Result] = {}

    def get(variant: str) -> Result:
        if variant not in found:
            loop = loop_of(variant, tiny, tmp_path_factory.mktemp(variant))
            before = loop.state.weights()
            loop.run()
            found[variant] = result_of(loop)
            after = found[variant][0]
            assert any(not torch.equal(after[name], before[name]) for name in after)
        return found[variant]

    return get


# -- broken and continued ----------------------------------------------------------------------


@each
def test_stopped_at_once_in_the_middle_of_a_round(
    variant: str, tiny: str, tmp_path: Path, unbroken: Callable[[str], Result]
) -> None:
    """Nothing is saved then: the run goes on from the checkpoint before, with the rollouts it had."""
    with pytest.raises(KeyboardInterrupt):
        loop_of(variant, tiny, tmp_path, At(5, interrupt_at_once)).run()
    loop = loop_of(variant, tiny, tmp_path)
    loop.run()
    assert_same_run(result_of(loop), unbroken(variant))


@pytest.mark.parametrize(
    "variant", ["grpo", "grpo-dropout", "ppo", "ppo-dropout", "reinforce", "rest-em", "bpo", "nash-ema"]
)
def test_ctrl_c_while_sampling(
    variant: str,
    tiny: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    unbroken: Callable[[str], Result],
) -> None:
    """In the last request of the second round: its rollouts so far are dropped and sampled again."""
    requests = 4 if variant == "nash-ema" else 2
    before = LocalEngine.generate
    calls: list[int] = []

    def signalled(self: LocalEngine, contexts: list[Context], *rest: Any, **more: Any) -> list[Group]:
        calls.append(len(contexts))
        if len(calls) == requests:
            os.kill(os.getpid(), signal.SIGINT)
        return before(self, contexts, *rest, **more)

    with monkeypatch.context() as patched, pytest.raises(Interrupted, match=f"of {STEPS}, saved"):
        patched.setattr(LocalEngine, "generate", signalled)
        loop_of(variant, tiny, tmp_path).run()
    assert len(calls) == requests
    assert {row["round"] for row in read_jsonl(tmp_path / "samples.jsonl")} == {1}
    loop = loop_of(variant, tiny, tmp_path)
    loop.run()
    assert_same_run(result_of(loop), unbroken(variant))


@pytest.mark.parametrize("step", range(1, STEPS))
@pytest.mark.parametrize("variant", ["grpo", "ppo"])
def test_ctrl_c_after_any_step(
    variant: str, step: int, tiny: str, tmp_path: Path, unbroken: Callable[[str], Result]
) -> None:
    with pytest.raises(Interrupted, match=f"stopped at step {step} of {STEPS}, saved"):
        loop_of(variant, tiny, tmp_path, At(step, lambda: os.kill(os.getpid(), signal.SIGINT))).run()
    loop = loop_of(variant, tiny, tmp_path)
    loop.run()
    assert_same_run(result_of(loop), unbroken(variant))


def test_a_round_that_is_gone_is_said(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        loop_of("grpo", tiny, tmp_path, At(3, interrupt_at_once)).run()
    (tmp_path / "rollouts" / "round-000000.jsonl").unlink()
    with pytest.raises(UserError, match="the rollouts of round 1 are gone"):
        loop_of("grpo", tiny, tmp_path).run()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": 0.5}, "temperature was 1.0, now 0.5"),
        ({"num_generations": 2}, "num_generations was 4, now 2"),
        ({"num_iterations": 3}, "num_iterations was 2, now 3"),
        ({"beta": 0.1}, "beta was 0.04, now 0.1"),
    ],
)
def test_resuming_with_other_options_is_refused(
    changes: dict[str, Any], message: str, tiny: str, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        loop_of("grpo", tiny, tmp_path, At(3, interrupt_at_once)).run()
    before = (tmp_path / "samples.jsonl").read_bytes()
    with pytest.raises(UserError, match=message):
        loop_of("grpo", tiny, tmp_path, **changes).run()
    assert (tmp_path / "samples.jsonl").read_bytes() == before


def test_a_run_that_starts_over_forgets_its_rollouts(
    tiny: str, tmp_path: Path, unbroken: Callable[[str], Result]
) -> None:
    loop_of("grpo", tiny, tmp_path, seed=1).run()
    loop = loop_of("grpo", tiny, tmp_path)
    loop.run(resume="never")
    assert_same_run(result_of(loop), unbroken("grpo"))


# -- what is kept, and whose weights sampled ------------------------------------------------------


class Files:
    """A hook that looks at the rounds on disk after every step."""

    name = "files"

    def __init__(self, directory: Path) -> None:
        self.directory, self.seen = directory, list[set[int]]()

    def after_step(self, policy: Policy, step: int, last: bool, metrics: Mapping[str, float]) -> HookResult:
        found = (self.directory / "rollouts").glob("round-*.jsonl")
        self.seen.append({int(path.stem[6:]) for path in found})
        return NOTHING

    def state(self) -> Any:
        return None

    def restore(self, state: Any) -> None:
        pass


def test_rounds_are_kept_as_long_as_a_checkpoint_needs_them(tiny: str, tmp_path: Path) -> None:
    files = Files(tmp_path)
    options: dict[str, Any] = {"num_iterations": 1, "steps_per_generation": 2, "save_total_limit": 1}
    loop_of("grpo", tiny, tmp_path, files, save_steps=3, **options).run()
    assert files.seen == [{0}, {0}, {0, 1}, {1}, {1, 2}, {1, 2}, {2, 3}]


def test_rounds_of_checkpoints_of_an_earlier_process_are_kept_too(tiny: str, tmp_path: Path) -> None:
    """Rounds of two steps; saved in the middle of the first, the second and the third."""
    options: dict[str, Any] = {"num_iterations": 1, "steps_per_generation": 2, "save_steps": 3}
    with pytest.raises(KeyboardInterrupt):
        loop_of("grpo", tiny, tmp_path, At(4, interrupt_at_once), **options).run()
    with pytest.raises(KeyboardInterrupt):
        loop_of("grpo", tiny, tmp_path, At(7, interrupt_at_once), **options).run()
    (tmp_path / "checkpoints" / "step-6" / "weights.safetensors").write_bytes(b"damaged")
    loop = loop_of("grpo", tiny, tmp_path, **options)
    loop.run()  # from step 3, in the middle of the second round
    whole = loop_of("grpo", tiny, tmp_path / "whole", **options)
    whole.run()
    assert_same_run(result_of(loop), result_of(whole))


@pytest.mark.parametrize("variant", ["grpo", "rest-em", "reinforce"])
def test_completions_know_the_weights_that_wrote_them(variant: str, tiny: str, tmp_path: Path) -> None:
    loop = loop_of(variant, tiny, tmp_path)
    loop.run()
    assert isinstance(loop.source, RolloutSource)
    steps = loop.source.steps_per_round
    found = {(row["round"], row["weight_version"]) for row in read_jsonl(tmp_path / "samples.jsonl")}
    assert found == {(1 + version // steps, version) for version in range(0, STEPS, steps)}


def test_a_round_of_rest_em_is_sampled_before_its_weights_are_put_back(tiny: str, tmp_path: Path) -> None:
    """The sampler's log-probs are those of the weights the round before ended with."""
    seen: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []
    loop = loop_of("rest-em", tiny, tmp_path)
    source = loop.source
    assert isinstance(source, RolloutSource)
    make = source._make

    def looked_at(*arguments: Any) -> Round:
        seen.append((weights_of(loop.policy), dict(loop.first)))
        return make(*arguments)

    source._make = looked_at
    loop.run()
    assert len(seen) == 4
    assert_same_bits(*seen[0])
    for before, first in seen[1:]:
        assert any(not torch.equal(before[name], first[name]) for name in first)


def test_steps_with_nothing_to_learn_are_said_and_skipped(tiny: str, tmp_path: Path) -> None:
    """All rewards are equal: no pair, no step, no change."""
    rewards = FakeRewards({"same": lambda sample: 0.5})
    loop = online_loop(tiny, tmp_path, "online-dpo", rewards=rewards, **{**SMALL, "max_steps": 2})
    before = weights_of(loop.policy)
    loop.run()
    assert_same_bits(weights_of(loop.policy), before)
    rows = rows_of(tmp_path)
    assert [(row["skipped"], row["pairs"], row["pairs/left_out"] > 0) for row in rows] == [(1, 0, True)] * 2
    assert all("loss" not in row for row in rows)


# -- the source by itself -------------------------------------------------------------------------


def prompts_of(count: int) -> list[Group]:
    return [Group((Sample(Context(f"prompt {i}", (i,)), None),), id=str(i)) for i in range(count)]  # type: ignore[arg-type]


class Maker:
    """Rounds without a model: the groups are the prompts."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.seeds: list[int] = []

    def __call__(self, prompts: Iterator[Group], count: int, seed: int, memory: Memory) -> Round:
        groups = [next(prompts) for _ in range(count)]
        self.asked.append([group.id or "" for group in groups])
        self.seeds.append(seed)
        memory["rounds"] = memory.get("rounds", 0) + 1
        return Round([_plain(group) for group in groups], [], {"asked": float(count)})


def _plain(group: Group) -> Group:
    return Group((), id=group.id)


def source_of(directory: Path, maker: Maker, count: int = 5, **changes: Any) -> RolloutSource:
    values: dict[str, Any] = {
        "prompts_per_round": 4,
        "steps_per_generation": 2,
        "num_iterations": 3,
        "seed": 1,
        **changes,
    }
    return RolloutSource(prompts_of(count), maker, directory, **values)


def ids(groups: Any) -> list[str]:
    return [group.id for group in groups]


def test_every_group_is_trained_on_once_an_iteration_each_time_in_another_order(tmp_path: Path) -> None:
    maker = Maker()
    source = source_of(tmp_path, maker, count=40, prompts_per_round=12)
    assert (source.steps_per_round, source.steps_per_epoch) == (6, 24)
    steps = [ids(source.step(number)) for number in range(12)]
    passes = [steps[i] + steps[i + 1] for i in range(0, 12, 2)]
    assert all(sorted(one) == sorted(maker.asked[i // 3]) for i, one in enumerate(passes))
    assert len({tuple(one) for one in passes[:3]}) == 3
    assert [len(one) for one in steps] == [6] * 12
    again = source_of(tmp_path / "again", Maker(), count=40, prompts_per_round=12)
    assert [ids(again.step(number)) for number in range(12)] == steps


def test_every_prompt_is_asked_as_often_as_every_other(tmp_path: Path) -> None:
    """Five prompts in rounds of four: an epoch ends in the middle of a round."""
    maker = Maker()
    source = source_of(tmp_path, maker)
    for number in range(0, 30, 6):
        source.step(number)
    asked = [one for found in maker.asked for one in found]
    epochs = [asked[i : i + 5] for i in range(0, 20, 5)]
    assert all(sorted(epoch) == list("01234") for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    assert len(set(maker.seeds)) == 5
    assert Counter(asked) == dict.fromkeys("01234", 4)


def test_a_round_is_left_once_the_policy_went_too_far(tmp_path: Path) -> None:
    maker = Maker()
    source = source_of(tmp_path, maker, target_kl=0.02)
    assert source.step(0)
    source.policy_updated(1, {"approx_kl": 0.0299})
    assert source.step(1)
    source.policy_updated(2, {"approx_kl": 0.0301})
    assert [source.step(number) for number in range(2, 6)] == [[]] * 4
    state = source.state()
    again = source_of(tmp_path, maker, target_kl=0.02)
    again.load_state(json.loads(json.dumps(state)), 3)
    assert again.step(3) == []
    assert again.step(6) and len(maker.asked) == 2
    assert again.memory == {"rounds": 2}


def test_a_round_that_fails_leaves_no_trace(tmp_path: Path) -> None:
    class Fails(Maker):
        def __call__(self, *arguments: Any) -> Round:
            made = super().__call__(*arguments)
            if len(self.asked) == 2:
                raise Interrupted("sampling was stopped", signum=2)
            return made

    maker = Fails()
    source = source_of(tmp_path, maker)
    source.step(0)
    state = json.loads(json.dumps(source.state()))
    with pytest.raises(Interrupted):
        source.step(6)
    assert json.loads(json.dumps(source.state())) == state
    source.step(6)
    assert maker.asked[1] == maker.asked[2] and maker.seeds[1] == maker.seeds[2]
    assert source.memory == {"rounds": 2}


def test_no_prompts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no prompts"):
        source_of(tmp_path, Maker(), count=0)
