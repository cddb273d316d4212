"""Rewards of rollouts: a person's functions, constitutions, reward models, built-in ones."""

from charter.feedback.rewards.combine import MissingCount
from charter.feedback.rewards.rewards import Rewards
from charter.feedback.rewards.spec import open_rewards

__all__ = ["MissingCount", "Rewards", "open_rewards"]
