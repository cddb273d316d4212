"""ReST: a round is sampled once and improved on several times, each time above a higher threshold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from online_setup import FakeRewards, online_loop

from charter.catalogue import lookup
from charter.engines.local import LocalEngine
from charter.rundir import read_jsonl
from charter.training.improve import Improve
from charter.types import Completion, Context, Group, Judgement, Sample, SampleTarget

THRESHOLDS = (0.1, 0.5, 0.8)


def planted(sample: Sample) -> float:
    """A reward that anyone can compute again: the first token's last digit, in tenths."""
    return sample.completion.token_ids[0] % 10 / 10


def group(*rewards: float) -> Group:
    samples = tuple(
        Sample(Context("x", (1,)), Completion(str(i), token_ids=(i,))) for i in range(len(rewards))
    )
    said = tuple(Judgement(SampleTarget(i), reward) for i, reward in enumerate(rewards))
    return Group(samples, judgements=said)


def test_an_improve_step_keeps_what_reaches_its_threshold() -> None:
    groups = [group(0.2, 0.9, 0.55, 0.7), group(0.0, 0.59), group(0.8)]
    kept = {0.5: [["1", "2", "3"], ["1"], ["0"]], 0.6: [["1", "3"], ["0"]], 0.8: [["1"], ["0"]], 0.95: []}
    for number, (threshold, texts) in enumerate(kept.items()):
        found = Improve.of(number, groups, threshold)
        assert [[s.completion.text for s in one.samples] for one in found.groups] == texts
        for one in found.groups:  # what was said goes with its sample
            assert [j.target for j in one.judgements] == [SampleTarget(i) for i in range(len(one.samples))]
            assert all(j.value is not None and j.value >= threshold for j in one.judgements)
        said = found.metrics()
        assert said["selected"] == sum(map(len, texts)) and said["selected/improve_step"] == number + 1
    assert "selected/reward" not in said  # nobody reached the last
    assert Improve.of(0, groups, 0.8).metrics()["selected/reward"] == pytest.approx((0.9 + 0.8) / 2)


def rest(tiny: str, directory: Path, **changes: Any) -> Any:
    options: dict[str, Any] = {
        "reward_thresholds": THRESHOLDS,
        "steps_per_generation": 1,
        "mask_truncated_completions": False,
        "rewards": FakeRewards({"planted": planted}),
        **changes,
    }
    return online_loop(tiny, directory, "rest", **options)


def test_a_round_is_sampled_once_and_gone_over_once_for_each_threshold(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate, calls = LocalEngine.generate, list[int]()

    def counted(self: LocalEngine, contexts: Any, *rest: Any, **more: Any) -> list[Group]:
        calls.append(len(contexts))
        return generate(self, contexts, *rest, **more)

    monkeypatch.setattr(LocalEngine, "generate", counted)
    loop = rest(tiny, tmp_path, max_steps=6)
    loop.run()
    assert len(calls) == 2  # six steps are two rounds of three improve steps
    rows = read_jsonl(tmp_path / "metrics.jsonl")
    assert [row["rollouts/round"] for row in rows] == [1, 1, 1, 2, 2, 2]
    assert [row["selected/threshold"] for row in rows] == [*THRESHOLDS, *THRESHOLDS]
    counts = [row["selected"] for row in rows]
    assert counts[0] > counts[1] > counts[2] > 0 and counts[3] > counts[4]
    rewards = [row["selected/reward"] for row in rows]
    assert rewards[0] < rewards[1] < rewards[2]


def test_each_improve_step_trains_on_every_planted_sample_above_its_threshold_and_no_other(
    tiny: str, tmp_path: Path
) -> None:
    loop = rest(tiny, tmp_path, steps_per_generation=2, num_iterations=2)
    sampled = None
    for step in range(2 * 2 * len(THRESHOLDS)):  # one round
        threshold = THRESHOLDS[step // 4]
        if step % 2 == 0:
            seen: set[tuple[int, ...]] = set()  # over the two steps of a pass
        found = [s for one in loop.source.step(step) for s in one.samples]
        assert all(planted(sample) >= threshold for sample in found)
        seen |= {sample.completion.token_ids for sample in found}
        if sampled is None:
            stored = read_jsonl(tmp_path / "rollouts" / "round-000000.jsonl")
            assert stored
            sampled = {s.completion.token_ids for one in loop.source._groups for s in one.samples}
        if step % 2 == 1:
            assert seen == {ids for ids in sampled if ids[0] % 10 / 10 >= threshold}


def test_a_threshold_that_nobody_reaches_takes_no_step(tiny: str, tmp_path: Path) -> None:
    loop = rest(tiny, tmp_path, reward_thresholds=(0.1, 5.0), max_steps=2)
    loop.run()
    first, second = read_jsonl(tmp_path / "metrics.jsonl")
    assert "skipped" not in first and second["skipped"] == 1.0
    assert second["selected"] == 0.0 and second["selected/threshold"] == 5.0


def test_thresholds_must_rise() -> None:
    with pytest.raises(ValueError, match="rise from one improve step to the next"):
        lookup("rest").options(reward_thresholds=(0.5, 0.5))
