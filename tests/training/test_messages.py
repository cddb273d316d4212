"""The line a person reads while a run goes on."""

from __future__ import annotations

from charter.training.messages import note


def test_a_data_set_shows_its_loss() -> None:
    values = {"loss": 0.6931, "rewards/accuracies": 0.5, "kl": 1.25, "entropy": 2.0}
    assert note(values) == "loss 0.693  accuracy 0.500  KL 1.250"


def test_rollouts_show_reward_kl_and_entropy_and_no_loss() -> None:
    values = {"loss": -0.0123, "reward": 0.4567, "reward_std": 0.1, "kl": 3.0, "entropy": 1.5}
    assert note(values) == "reward 0.457  KL 3.000  entropy 1.500"
    assert note({**values, "heldout_reward": 0.25}) == "reward 0.457  held out 0.250  KL 3.000  entropy 1.500"


def test_what_is_not_measured_is_not_shown() -> None:
    assert note({"reward": 1.0}) == "reward 1.000" and note({}) == ""
