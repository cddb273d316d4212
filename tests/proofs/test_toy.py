"""A table of probabilities learns from each loss what its entry declares."""

from __future__ import annotations

import pytest
from declared import DECLARED, LEARNS, PROVED, REVERSED
from toy import PROMPTS, WORDS, agreement, word_of, worth

from charter.catalogue import ENTRIES


def names(outcome: str) -> list[str]:
    """What writes its own data learns in test_learning.py."""
    return [n for n in PROVED if DECLARED[n].toy == outcome and ENTRIES[n].rollouts is None]


@pytest.mark.parametrize("name", names(LEARNS))
def test_learns_what_the_data_says(name: str) -> None:
    assert agreement(name) == 1.0


@pytest.mark.parametrize("name", names(REVERSED))
def test_moves_against_the_data_from_its_reference(name: str) -> None:
    assert agreement(name) == 0.0


def test_every_worth_is_one_word() -> None:
    for prompt in range(PROMPTS):
        assert [worth(prompt, word_of(prompt, value)) for value in range(WORDS)] == list(range(WORDS))
