"""A checkpoint says what it was trained to judge with, and keeps saying it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from charter.catalogue import ENTRIES, lookup
from charter.catalogue.generative import GenRMOptions
from charter.data.questions import BETTER, CORRECT, GOOD
from charter.errors import UserError
from charter.models.reward_scale import RewardScale
from charter.models.trained_as import TrainedAs, after_training, judging_algorithms, kind_of, trained_with


def test_every_reward_algorithm_has_a_kind_and_no_other_has_one() -> None:
    judging = {
        name for name, entry in ENTRIES.items() if entry.family == "reward" or entry.trains == "reward"
    }
    assert set(judging_algorithms()) == judging
    heads = {name for name in judging if ENTRIES[name].trains == "reward"}
    assert {name for name in judging if trained_with(name).has_head} == heads
    assert kind_of("cloud") == "critique" and kind_of("process-reward") == "process"
    assert kind_of("dpo") is None and kind_of("no-such") is None


def test_the_wording_is_that_of_the_training() -> None:
    assert trained_with("genrm").question == CORRECT
    assert trained_with("slic-pointwise").question == GOOD
    assert trained_with("slic-pairwise").question == BETTER
    asked = trained_with("genrm", GenRMOptions(question="Fine?", positive="Aye", negative="Nay")).question
    assert (asked.ask, asked.positive, asked.negative, asked.mark) == ("Fine?", "Aye", "Nay", CORRECT.mark)
    assert trained_with("process-reward", {"step_separator": "\n\n"}).asked == {"step_separator": "\n\n"}
    assert trained_with("cloud", {"question": "Well?"}).asked == {"question": "Well?"}
    assert trained_with("reward").asked == {}


@pytest.mark.parametrize("algorithm", judging_algorithms())
def test_it_is_read_as_it_was_written(algorithm: str, tmp_path: Path) -> None:
    made = TrainedAs(algorithm, trained_with(algorithm).asked, algorithm == "genrm", ("dpo",))
    made.save(tmp_path)
    assert TrainedAs.load(tmp_path) == made
    if not made.has_head:
        assert RewardScale.load(tmp_path) is None  # words have no scale


def test_it_stands_beside_the_scale_whichever_comes_first(tmp_path: Path) -> None:
    scale = RewardScale.of(("reward",), torch.tensor([[1.0], [3.0]]), "test")
    mark = trained_with("cloud")
    orders: tuple[tuple[RewardScale | TrainedAs, ...], ...] = (
        (scale, mark),
        (mark, scale),
        (scale, mark, scale),
    )
    for number, order in enumerate(orders):
        folder = tmp_path / str(number)
        folder.mkdir()
        for one in order:
            one.save(folder)
        assert (RewardScale.load(folder), TrainedAs.load(folder)) == (scale, mark)


def test_nothing_written_is_nothing_known(tmp_path: Path) -> None:
    assert TrainedAs.load(tmp_path) is None
    RewardScale.unmeasured(["reward"]).save(tmp_path)
    assert TrainedAs.load(tmp_path) is None


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"algorithm": "clowd"}, "did you mean 'cloud'"),
        ({"algorithm": "dpo"}, "trains what judges"),
        ({"algorithm": 3}, "trains what judges"),
        ({"algorithm": "genrm", "asked": {"ask": "Fine?"}}, "does not say in whole"),
        ({"algorithm": "process-reward"}, "charter model mark"),
    ],
)
def test_damage_is_refused(written: object, says: str, tmp_path: Path) -> None:
    (tmp_path / "reward.json").write_text(json.dumps(written))
    with pytest.raises(UserError, match=says):
        TrainedAs.load(tmp_path)


def test_further_training_is_noted_and_training_a_judge_anew_replaces_it() -> None:
    dpo, genrm, reward = lookup("dpo"), lookup("genrm"), lookup("reward")
    before = trained_with("genrm-pairwise", reasons=True)
    after = after_training(dpo, dpo.options(), reasons=False, before=before)
    assert after is not None and after.since == ("dpo",) and after.question == before.question
    assert after.reasons and after.words().startswith("genrm-pairwise, then dpo: a comparison")
    assert after_training(genrm, genrm.options(), reasons=True, before=after) == trained_with(
        "genrm", reasons=True
    )
    assert after_training(reward, reward.options(), reasons=False, before=None) == trained_with("reward")
    assert after_training(dpo, dpo.options(), reasons=False, before=None) is None
