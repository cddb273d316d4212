"""Prompts with answers to other prompts, and training that reads them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from label_runs import labelled, run_of
from test_resume import At, interrupt_at_once
from training_setup import assert_same_bits, metrics_of, moments_of, weights_of

from charter.catalogue import lookup
from charter.catalogue.options import TrainOptions
from charter.data.packing import Packed, scored_tokens
from charter.errors import DataError, TrainingFault
from charter.models import reference
from charter.training.batch import MicroBatch, split
from charter.training.mismatch import donors, with_mismatched
from charter.types import Completion, Context, Group, Judgement, Sample, SampleTarget


def options(**values: Any) -> TrainOptions:
    return lookup("kto").options(**values)


def group(prompt: tuple[int, ...], *answers: tuple[int, ...], untrained: int = 0) -> Group:
    samples = tuple(
        Sample(
            Context(token_ids=prompt),
            Completion(
                token_ids=answer,
                trained=tuple(i >= untrained for i in range(len(answer))),
                logps=(-1.0,) * len(answer),
            ),
        )
        for answer in answers
    )
    return Group(samples, tuple(Judgement(SampleTarget(i), 1.0) for i in range(len(samples))))


def given(found: Group) -> list[Sample]:
    return [sample for sample in found.samples if sample.role == "mismatched"]


# -- who gets whose answer -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "prompts",
    ["ab", "abcdefgh", "aabbccdd", "aaabcd", "aaaabcde", "aabbb", "abababab", "aaabbbccc", "abbccddeeffgg"],
)
def test_every_answer_is_given_away_once_and_never_to_its_own_prompt(prompts: str, seed: int) -> None:
    found = donors(prompts, seed)
    assert all(prompts[donor] != prompt for donor, prompt in zip(found, prompts, strict=True))
    if max(Counter(prompts).values()) * 2 <= len(prompts):
        assert sorted(found) == list(range(len(prompts)))


@pytest.mark.parametrize("prompts", ["aaaaaab", "aaaaabbc", "aab"])
def test_a_prompt_with_most_rows_shares_the_answers_to_others(prompts: str) -> None:
    for seed in range(20):
        found = donors(prompts, seed)
        assert all(prompts[donor] != prompt for donor, prompt in zip(found, prompts, strict=True))


def test_the_seed_decides() -> None:
    prompts = [str(i // 2) for i in range(40)]
    assert donors(prompts, 1) == donors(prompts, 1)
    assert donors(prompts, 1) != donors(prompts, 2)


def test_many_rows_are_no_trouble() -> None:
    prompts = [i % 40_000 for i in range(60_000)] + [-1] * 70_000
    found = donors(prompts, 0)
    assert all(prompts[donor] != prompts[place] for place, donor in enumerate(found))


# -- what is made of it ---------------------------------------------------------------------------


def test_prompt_and_answer_are_as_they_were_rendered() -> None:
    groups = [group((1, 2), (7, 8, 9)), group((3,), (5,))]
    one, two = with_mismatched(groups, options())
    assert [(s.context.token_ids, s.completion.token_ids) for s in given(one)] == [((1, 2), (5,))]
    assert [(s.context.token_ids, s.completion.token_ids) for s in given(two)] == [((3,), (7, 8, 9))]
    assert one.samples[0] is groups[0].samples[0] and one.judgements == groups[0].judgements
    assert not any(sample.completion.logps for found in (one, two) for sample in given(found))


def test_each_answer_of_a_group_has_its_own() -> None:
    groups = [group((1,), (5,), (6,)), group((2,), (7,), (8,)), group((3,), (9,))]
    found = with_mismatched(groups, options())
    assert [len(given(one)) for one in found] == [2, 2, 1]
    for one in found:
        own = {s.completion.token_ids for s in one.samples if s.role == "policy"}
        assert own.isdisjoint(s.completion.token_ids for s in given(one))


def test_an_answer_too_long_beside_its_new_prompt_loses_its_end() -> None:
    groups = [group((1, 2, 3, 4), (5, 6)), group((9,), (11, 12, 13, 14, 15))]
    one, two = with_mismatched(groups, options(max_length=6))
    assert given(one)[0].completion.token_ids == (11, 12)
    assert given(one)[0].completion.trained == (True, True)
    assert given(two)[0].completion.token_ids == (5, 6)
    whole, _ = with_mismatched(groups, options(max_length=None))
    assert given(whole)[0].completion.token_ids == (11, 12, 13, 14, 15)


def test_an_answer_cut_to_nothing_that_is_trained_gives_way_to_another() -> None:
    long = [group((9, i), tuple(range(20, 28)), untrained=5) for i in range(3)]
    groups = [group((1, 2, 3, 4), (5, 6)), *long, group((7,), (8,))]
    for seed in range(8):
        for found in with_mismatched(groups, options(max_length=8, seed=seed)):
            assert all(scored_tokens(sample) for sample in given(found))


def test_no_answer_that_fits_is_an_error() -> None:
    groups = [group((1, 2, 3, 4), (5, 6)), group((9,), tuple(range(20, 28)), untrained=5)]
    with pytest.raises(DataError, match="leaves a trained token beside a prompt of 4 tokens"):
        with_mismatched(groups, options(max_length=8))


def test_one_prompt_is_an_error() -> None:
    with pytest.raises(DataError, match="these 2 answers have one prompt"):
        with_mismatched([group((1,), (5,)), group((1,), (6,))], options())


def test_other_losses_get_no_mismatched_answers() -> None:
    groups = [group((1,), (5,)), group((1,), (6,))]
    assert with_mismatched(groups, options(loss_type="apo_zero_unpaired")) is groups


def test_labels_and_metrics_are_of_the_groups_own_answers() -> None:
    found = with_mismatched([group((1,), (5, 6)), group((2,), (7,))], options())
    batch = MicroBatch.of(found)
    assert batch.layout.num_samples == 2 and batch.layout.value_B.tolist() == [1.0, 1.0]
    side = batch.sides["mismatched"]
    assert side.layout.num_samples == 2 and not bool(side.layout.judged_B.any())


# -- training ------------------------------------------------------------------------------------------


def test_the_reference_of_mismatched_answers_is_scored_once(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three epochs read the log-probs that one pass over the data has stored."""
    scored: list[int] = []
    inner = reference.score

    def counted(model: Any, packed: Packed, **more: Any) -> Any:
        scored.append(packed.num_samples)
        return inner(model, packed, **more)

    monkeypatch.setattr(reference, "score", counted)
    loop = run_of(tiny, tmp_path, "kto", labelled(), num_train_epochs=3, max_steps=None)
    loop.run()
    assert loop.state.done == 9
    assert sum(scored) == sum(len(one.samples) for one in loop.groups) == 20
    again = run_of(tiny, tmp_path / "again", "kto", labelled())
    assert [given(one) for one in again.groups] == [given(one) for one in loop.groups]


def test_a_batch_of_one_row_has_a_reference_point_of_another_prompt(tiny: str, tmp_path: Path) -> None:
    """Shifted within the batch, the answer would be the prompt's own, and z0 its reward."""
    loop = run_of(tiny, tmp_path, "kto", labelled(), per_device_train_batch_size=1, max_steps=8)
    loop.run()
    rows = metrics_of(tmp_path)
    own = [row.get("logps/chosen", row.get("logps/rejected")) for row in rows]
    assert len(rows) == 8 and all(x is not None for x in own)
    for row in rows[1:]:
        reward = row.get("rewards/chosen", row.get("rewards/rejected"))
        assert row["kl/mismatched"] != pytest.approx(reward / 0.1, rel=1e-3)
    assert any(row["kl/mismatched"] > 0 for row in rows[1:])


RUNS = {
    "kto": {"algorithm": "kto"},
    "kto-moving": {"algorithm": "kto", "sync_ref_model": True, "ref_model_sync_steps": 2},
    "bco": {"algorithm": "bco", "delta_decay": 0.6},
    "bco-udm": {"algorithm": "bco", "udm": True, "use_peft": True},
}


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("name", RUNS)
def test_a_run_killed_and_continued_is_the_unbroken_run(
    name: str, step: int, tiny: str, tmp_path: Path
) -> None:
    values: dict[str, Any] = {"rows": labelled(), "save_steps": 2, **RUNS[name]}
    whole = run_of(tiny, tmp_path / "whole", hooks=[At()], **values)
    whole.run()
    with pytest.raises(KeyboardInterrupt):
        run_of(tiny, tmp_path / "parts", hooks=[At(step, interrupt_at_once)], **values).run()
    parts = run_of(tiny, tmp_path / "parts", hooks=[At()], **values)
    parts.run()
    assert_same_bits(weights_of(parts.policy), weights_of(whole.policy))
    assert_same_bits(moments_of(parts), moments_of(whole))
    assert metrics_of(tmp_path / "parts") == metrics_of(tmp_path / "whole")
    memories = [[o.state() for o in loop.state.remembering] for loop in (parts, whole)]
    assert memories[0] == memories[1]
    assert bool(memories[0]) == name.startswith("bco")


def test_a_step_that_fails_leaves_no_trace_in_the_shift(tiny: str, tmp_path: Path) -> None:
    """The statistics of the step are taken in before its loss is known."""
    whole = run_of(tiny, tmp_path / "whole", "bco", labelled())
    whole.run()
    broken = run_of(tiny, tmp_path / "broken", "bco", labelled(), hooks=[At(2, lambda: spoil(broken))])
    with pytest.raises(TrainingFault, match="step 3"):
        broken.run()
    fixed = run_of(tiny, tmp_path / "broken", "bco", labelled(), hooks=[At()])
    fixed.run()
    assert_same_bits(weights_of(fixed.policy), weights_of(whole.policy))
    assert [o.state() for o in fixed.state.remembering] == [o.state() for o in whole.state.remembering]


def spoil(loop: Any) -> None:
    """The next loss is not finite, after the shift has been updated."""
    (objective,) = loop.state.remembering
    inner = type(objective).__call__

    class Spoilt(type(objective)):  # type: ignore[misc]
        def __call__(self, scored: Any, stats: Any) -> Any:
            (term,) = inner(self, scored, stats).values()
            return {"bco": type(term)(term.total * float("nan"), term.count)}

    objective.__class__ = Spoilt


def test_splits_train_the_same_weights(tiny: str, tmp_path: Path) -> None:
    for algorithm in ("kto", "bco"):
        runs = []
        for tokens in (100_000, 1):
            directory = tmp_path / f"{algorithm}-{tokens}"
            loop = run_of(
                tiny, directory, algorithm, labelled(), tokens_per_microbatch=tokens, learning_rate=1e-3
            )
            loop.run()
            runs.append((weights_of(loop.policy), metrics_of(directory)))
        for name, value in runs[0][0].items():
            assert (value - runs[1][0][name]).abs().max() < 1e-5, name
        for one, other in zip(runs[0][1], runs[1][1], strict=True):
            assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert len(split(loop.groups, 1)) == len(loop.groups)
