"""Runs that break are ended in time; healthy ones are left alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from watchdog_runs import FAULTS, HELD_OUT_EVERY, ONSET, Row, broken, healthy, often_cut, soon_learnt

from charter.catalogue import lookup
from charter.data.formats import load_groups
from charter.data.prepare import prepare
from charter.errors import ConfigError
from charter.evaluation.watchdog import SIGNALS, GarbageProbe, Watchdog, garbage, hook, reward_scorer
from charter.models.load import load
from charter.models.policy import Policy
from charter.testing import save_tiny
from charter.training.hooks import NOTHING, HookResult
from charter.training.loop import Loop
from charter.training.terms import terms_of
from charter.types import Completion, Context, Group, Judgement, Message, Sample, SampleTarget

RUN = Path(__file__).with_name("r1_zero_run.jsonl")
NO_POLICY = cast(Policy, None)
CALM: Row = {"reward": 0.5, "reward_std": 0.2, "entropy": 1.0, "completions/mean_length": 50.0}


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the watchdog says."""
    lines: list[str] = []
    monkeypatch.setattr(hook, "say", lines.append)
    monkeypatch.setattr(garbage, "say", lines.append)
    return lines


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("tiny")))


def watch(dog: Watchdog, rows: Iterable[Row], policy: Policy = NO_POLICY, start: int = 1) -> list[HookResult]:
    """What the watchdog finds after each step, until it ends the run."""
    found = []
    for step, row in enumerate(rows, start=start):
        found.append(dog.after_step(policy, step, False, row))
        if found[-1].stop is not None:
            break
    return found


def alarms(dog: Watchdog) -> set[str]:
    return dog.said - {"missing"}


@pytest.mark.parametrize("seed", range(10))
def test_it_is_silent_on_healthy_runs(seed: int, said: list[str]) -> None:
    dog = Watchdog()
    found = watch(dog, healthy(seed))
    assert len(found) == 300 and all(one.stop is None for one in found)
    assert alarms(dog) == set()
    assert said == []  # every metric is written, so nothing is missing either
    assert sum(one.well is True for one in found) > 30  # and it kept weights all along


def test_false_alarms_are_as_rare_as_stated() -> None:
    warned = 0
    for seed in range(10, 110):
        dog = Watchdog()
        assert all(one.stop is None for one in watch(dog, healthy(seed)))
        warned += bool(alarms(dog))
        assert alarms(dog) <= {"heldout_reward"}
    assert warned <= 4


@pytest.mark.parametrize("groups", [4, 16])
def test_a_base_model_whose_completions_are_cut_from_the_start_is_left_alone(groups: int) -> None:
    """Of 64 completions a step, and of 16, whose share of cut ones is four times as noisy."""
    only = [signal for signal in SIGNALS if signal.name == "truncation"]
    warned = 0
    for seed in range(100):
        dog = Watchdog(only)
        assert all(one.stop is None for one in watch(dog, often_cut(seed, groups=groups)))
        warned += bool(alarms(dog))
    assert warned <= (0 if groups == 16 else 3)


def test_entropy_that_buys_reward_is_warned_of_and_not_ended() -> None:
    """What is learned leaves nothing to vary; a run that is ended there would lose what it learned."""
    only = [signal for signal in SIGNALS if signal.name == "entropy_collapse"]
    warned = kept = 0
    for seed in range(100):
        dog = Watchdog(only)
        found = watch(dog, soon_learnt(seed))
        assert len(found) == 60
        kept += any(one.well for one in found[-15:])
        warned += bool(alarms(dog))
    assert warned > 80 and kept > 95


def test_a_run_that_was_is_left_to_its_end() -> None:
    """``recipes/r1-zero.yaml``: 13% to 94% right, while entropy fell to a twentieth of what it was."""
    rows = [json.loads(line) for line in RUN.read_text("utf-8").splitlines()]
    dog = Watchdog()
    found = watch(dog, rows)
    assert len(found) == len(rows) == 24 and any(one.well for one in found[-5:])
    assert alarms(dog) == {"entropy_collapse"}


def test_entropy_that_has_bought_no_reward_ends_the_run() -> None:
    """Also where the reward rose before the fall, or during it and was lost again."""
    only = [signal for signal in SIGNALS if signal.name == "entropy_collapse"]
    for gained in ([0.3] * 60, [0.3] * 20 + [0.6] * 40, [0.3] * 32 + [0.6] * 4 + [0.3] * 24):
        fall = [1.0] * 30 + [0.02] * 30
        rows = [CALM | {"reward": r, "entropy": e} for r, e in zip(gained, fall, strict=True)]
        found = watch(Watchdog(only), rows)
        assert found[-1].stop is not None and "and reward is" in found[-1].stop.reason
        assert 30 < len(found) <= 45


def test_kl_that_grows_steadily_from_nothing_has_not_leapt() -> None:
    long = CALM | {"completions/mean_length": 400.0}  # so that no answer is far off by the token
    rows = [long | {"kl": 0.8 * max(step - 3, 0)} for step in range(40)]
    assert watch(Watchdog(), rows)[-1].stop is None
    leapt = [*rows, *(long | {"kl": 90.0} for _ in range(8))]
    stop = watch(Watchdog(), leapt)[-1].stop
    assert stop is not None and "kl_surge" in stop.reason


@pytest.mark.parametrize("begun", [0.0, 0.1, 0.3, 0.5])
def test_truncation_that_grows_is_seen_wherever_it_began(begun: float) -> None:
    """By 5 points a step up to nearly all: warned of, then ended."""
    shares = [begun] * ONSET + [min(begun + 0.05 * since, 0.95) for since in range(60)]
    rows = [CALM | {"completions/clipped_ratio": share} for share in shares]
    dog = Watchdog()
    found = watch(dog, rows)
    assert found[-1].stop is not None and "truncation" in found[-1].stop.reason
    assert alarms(dog) == {"truncation"} and len(found) <= ONSET + 25


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("seed", range(3))
def test_a_planted_fault_ends_the_run_in_time(name: str, seed: int) -> None:
    found = watch(Watchdog(), broken(name, seed))
    stop = found[-1].stop
    assert stop is not None and stop.go_back and found[-1].well is False
    assert ONSET < len(found) <= ONSET + FAULTS[name][1]
    assert stop.reason.startswith("watchdog: ") and stop.reason.endswith(f"at step {len(found)}")


@pytest.mark.parametrize("name", FAULTS)
def test_each_signal_sees_its_fault_by_itself(name: str) -> None:
    found = watch(Watchdog([s for s in SIGNALS if s.name == name]), broken(name, 1))
    assert found[-1].stop is not None and found[-1].stop.reason.startswith(f"watchdog: {name}: ")
    assert found[-1].metrics[f"watchdog/{name}"] == 2.0
    assert ONSET < len(found) <= ONSET + FAULTS[name][1]


@pytest.mark.parametrize("name", sorted(set(FAULTS) - {"heldout_reward"}))
def test_weights_from_the_middle_of_a_fault_are_not_kept(name: str) -> None:
    found = watch(Watchdog(keep_steps=1), broken(name, 2))
    kept = max(step for step, one in enumerate(found, start=1) if one.well)
    assert ONSET - 10 <= kept < len(found) - 2


def test_a_warning_is_said_once_and_written_as_long_as_it_holds(said: list[str]) -> None:
    dog = Watchdog(pause=False)
    found = watch(dog, broken("repetition", 4))
    assert len(found) == 300 and all(one.stop is None for one in found)
    assert sum("repetition" in line for line in said) == 1
    assert all(one.metrics.get("watchdog/repetition") == 1.0 for one in found[ONSET + 20 :])
    assert not any("watchdog/repetition" in one.metrics for one in found[:ONSET])


def test_what_was_so_from_the_beginning_is_warned_of_and_not_ended(said: list[str]) -> None:
    """A base model that never ends its turn, which is no news, on prompts that are all too hard."""
    dog = Watchdog()
    rows = [CALM | {"completions/clipped_ratio": 0.97, "frac_reward_zero_std": 0.97}] * 60
    assert watch(dog, rows)[-1].stop is None
    assert alarms(dog) == {"flat_groups"}
    assert "frac_reward_zero_std is 0.97, over 0.8" in said[0]


def test_a_policy_that_says_nothing_from_the_beginning_is_ended() -> None:
    found = watch(Watchdog(), [CALM | {"completions/mean_length": 1.0}] * 20)
    assert found[-1].stop is not None and "empty_completions" in found[-1].stop.reason
    assert len(found) == 5


def test_one_strange_batch_is_no_news(said: list[str]) -> None:
    rows = [*healthy(3)]
    for step in range(60, 300, 20):
        rows[step] = rows[step] | {
            "entropy": 0.0,
            "completions/mean_length": 1.0,
            "completions/repetition": 1.0,
            "frac_reward_zero_std": 1.0,
            "kl": 1e6,
        }
    dog = Watchdog()
    assert watch(dog, rows)[-1].stop is None
    assert alarms(dog) == set()


def test_a_round_of_several_steps_is_read_once() -> None:
    flat = CALM | {"frac_reward_zero_std": 0.1}
    rows: list[Row] = [flat | {"rollouts/round": float(i // 4)} for i in range(44)]
    rows += [flat | {"frac_reward_zero_std": 1.0, "rollouts/round": 11.0}] * 12
    assert watch(Watchdog(), rows)[-1].stop is None
    without = [{k: v for k, v in row.items() if k != "rollouts/round"} for row in rows]
    assert watch(Watchdog(), without)[-1].stop is not None


def test_the_clip_fraction_is_read_at_every_step_of_a_round() -> None:
    rows = [
        CALM | {"clip_ratio/region_mean": 0.05 if i < 20 else 0.9, "rollouts/round": 0.0} for i in range(40)
    ]
    assert "clip_fraction" in str(watch(Watchdog(), rows)[-1].stop)


def test_what_is_not_a_number_is_left_out_and_counted() -> None:
    dog = Watchdog()
    rows = [row | ({"entropy": math.nan} if step % 2 else {}) for step, row in enumerate(healthy(5))]
    found = watch(dog, rows)
    assert found[0].metrics == {} and found[1].metrics == {"watchdog/unreadable": 1.0}
    assert alarms(dog) == set() and dog.memory.series["entropy"].count == 150


def test_infinite_kl_ends_the_run() -> None:
    rows = [CALM | {"kl": 1.0 if step < 30 else math.inf} for step in range(60)]
    found = watch(Watchdog(), rows)
    assert found[-1].stop is not None and len(found) < 40


def test_it_says_once_what_it_cannot_watch(said: list[str]) -> None:
    watch(Watchdog(), [CALM] * 100)
    assert len(said) == 1
    assert said[0].startswith(
        "watchdog: not watched, as the run writes no such metric: truncation, repetition"
    )
    assert "heldout_reward" in said[0] and "entropy" not in said[0]


def test_training_without_rollouts_is_not_watched(said: list[str]) -> None:
    dog = Watchdog()
    assert all(one == NOTHING for one in watch(dog, [{"loss": 0.7, "kl_stderr": 0.1}] * 50))
    assert said == [] and dog.state()["memory"] == {}


@pytest.mark.parametrize("name", ["length_explosion", "heldout_reward", "flat_groups"])
def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(name: str) -> None:
    rows = [*broken(name, 6)]
    whole = watch(Watchdog(), rows)
    for cut in (7, ONSET + 4):
        first = Watchdog()
        head = watch(first, rows[:cut])
        second = Watchdog()
        second.restore(json.loads(json.dumps(first.state())))
        tail = watch(second, rows[cut:], start=cut + 1)
        assert head + tail == whole


def test_signals_can_be_left_out() -> None:
    found = watch(Watchdog(ignore=["flat_groups"]), broken("flat_groups", 7))
    assert len(found) == 300
    with pytest.raises(ConfigError, match=r"no signal 'flat_group'.*flat_groups"):
        Watchdog(ignore=["flat_group"])


def test_the_held_out_reward_alone_may_fall_with_the_proxy() -> None:
    """Both falling is no over-optimisation."""
    rows = [*healthy(8)]
    for step in range(ONSET, 300):
        rows[step]["reward"] -= 0.01 * (step - ONSET)
        if step % HELD_OUT_EVERY == 0:
            rows[step]["heldout_reward"] -= 0.01 * (step - ONSET)
    only = [s for s in SIGNALS if s.name == "heldout_reward"]
    assert watch(Watchdog(only), rows)[-1].stop is None


# -- garbage ------------------------------------------------------------------


class Rewards:
    """Rewards of a function of the text."""

    names = ("mine",)

    def __init__(self, value: Any) -> None:
        self.value, self.seen = value, list[Group]()

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        self.seen += groups
        return [
            [
                Judgement(SampleTarget(i), found)
                if (found := self.value(sample.context.text, sample.completion.text)) is not None
                else Judgement(SampleTarget(i), verdict="error", reason="no")
                for i, sample in enumerate(group.samples)
            ]
            for group in groups
        ]

    def combined(self, groups: Sequence[Group]) -> list[list[float]]:
        return [
            [math.nan if said.value is None else said.value for said in group.judgements] for group in groups
        ]

    def table(self, groups: Sequence[Group]) -> list[list[list[float]]]:
        return [[[value] for value in row] for row in self.combined(groups)]


def probe(rewards: Rewards, policy: Policy, every: int = 10) -> GarbageProbe:
    questions = [Context((Message("user", f"What is {i} plus {i}?"),)) for i in range(6)]
    groups = [
        Group((Sample(c, Completion()),), id=str(i), meta={"answer": 2 * i}) for i, c in enumerate(questions)
    ]
    return GarbageProbe(reward_scorer(rewards), [policy.template.render(g) for g in groups], every)


@pytest.fixture(scope="module")
def policy(tiny: str) -> Policy:
    return load(tiny, bf16=False)


PAID = {
    "empty": lambda prompt, text: float(not text),
    "repeated": lambda prompt, text: 1.0 - len(set(text.split())) / 10 if text else 0.0,
    "echo": lambda prompt, text: float("plus" in text),
    "mash": lambda prompt, text: len(set(text)) / 40 if text != prompt else 0.0,
}


@pytest.mark.parametrize("kind", PAID)
def test_a_reward_that_pays_for_garbage_is_found(kind: str, policy: Policy, said: list[str]) -> None:
    rewards = Rewards(PAID[kind])
    dog = Watchdog(garbage=probe(rewards, policy))
    found = watch(dog, [CALM] * 40, policy)
    assert len(found) == 11  # warned of at the first probe, ended at the second
    assert found[0].metrics[f"garbage/{kind}"] > 0.5 and found[0].metrics[f"watchdog/garbage_{kind}"] == 1.0
    assert found[-1].stop is not None and f"garbage_{kind}" in found[-1].stop.reason
    assert any("the reward can be had without doing the task" in line for line in said)
    assert len(rewards.seen) == 2 * garbage.PROMPTS
    group = rewards.seen[1]
    assert group.id == "1" and group.meta == {"answer": 2}
    texts = dict(zip(garbage.GARBAGE, (s.completion.text for s in group.samples), strict=True))
    assert texts["empty"] == "" and texts["echo"] == "What is 1 plus 1?"
    assert all(s.completion.finish_reason == "stop" and s.completion.token_ids for s in group.samples)


def test_a_sound_reward_passes(policy: Policy) -> None:
    dog = Watchdog(garbage=probe(Rewards(lambda prompt, text: float(text == "2")), policy, every=7))
    found = watch(dog, [CALM] * 30, policy)
    assert alarms(dog) == set() and found[-1].stop is None
    probed = [step for step, one in enumerate(found, start=1) if one.metrics]
    assert probed == [1, 8, 15, 22, 29]
    assert found[0].metrics == {f"garbage/{kind}": 0.0 for kind in garbage.GARBAGE}


def test_a_reward_that_fails_on_garbage_says_nothing_about_it(policy: Policy, said: list[str]) -> None:
    missing = Watchdog(garbage=probe(Rewards(lambda prompt, text: 9.0 if text == "2" else None), policy))
    assert watch(missing, [CALM] * 12, policy)[0].metrics == {}

    def raises(prompt: str, text: str) -> float:
        raise ZeroDivisionError("no words")

    dog = Watchdog(garbage=probe(Rewards(raises), policy))
    assert watch(dog, [CALM] * 5, policy)[-1].stop is None
    assert said == ["watchdog: rewarding garbage failed (ZeroDivisionError: no words)"]


def test_probes_go_on_where_they_were(policy: Policy) -> None:
    first = Watchdog(garbage=probe(Rewards(PAID["empty"]), policy))
    watch(first, [CALM] * 4, policy)
    second = Watchdog(garbage=probe(Rewards(PAID["empty"]), policy))
    second.restore(json.loads(json.dumps(first.state())))
    found = watch(second, [CALM] * 20, policy, start=5)
    assert len(found) == 7 and found[-1].stop is not None


# -- in the loop --------------------------------------------------------------


class Fed(Watchdog):
    """Reads the rows of a made-up run in place of the loop's own metrics."""

    def __init__(self, rows: Sequence[Row]) -> None:
        super().__init__(keep_steps=1)
        self.rows, self.weights = rows, dict[int, torch.Tensor]()

    def after_step(self, policy: Policy, step: int, last: bool, metrics: Mapping[str, float]) -> HookResult:
        assert metrics["loss"] > 0  # the loop hands over the step's own metrics
        self.weights[step] = next(iter(policy.trainable().values())).detach().clone()
        return super().after_step(policy, step, last, self.rows[step - 1])


def test_the_loop_goes_back_to_the_last_good_weights(tiny: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    rows = [CALM] * 12 + [CALM | {"completions/repetition": 0.1}] * 12
    rows += [CALM | {"completions/repetition": 0.9}] * 12
    values: dict[str, Any] = {
        "bf16": False,
        "max_steps": 36,
        "per_device_train_batch_size": 1,
        "max_length": None,
    }
    options = lookup("sft").options(**values)
    policy = load(tiny, bf16=False)
    data = [{"prompt": f"Say {i}", "completion": f"yes {i}"} for i in range(6)]
    groups = prepare(load_groups(data, "sft"), policy.template).groups
    dog = Fed(rows)
    loop = Loop(
        policy, terms_of(lookup("sft"), options), options, groups, tmp_path, data_fingerprint="x", hooks=[dog]
    )
    result = loop.run()
    assert result.steps == 30
    assert "watchdog: repetition: completions/repetition is 0.9" in result.stopped_by
    assert result.stopped_by.endswith("kept the weights of step 25")
    assert torch.equal(next(iter(policy.trainable().values())), dog.weights[25])
    written = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert written[-1]["watchdog/repetition"] == 2.0
    assert SimpleNamespace(**written[0]).step == 1
