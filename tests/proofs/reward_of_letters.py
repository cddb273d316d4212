"""Rewards of short texts, as a person would write them: given to runs as ``FILE.py:function``."""

from __future__ import annotations


def letters(completion: str) -> float:
    """Share of the characters that are letters of the English alphabet: a task that can be learned."""
    found = sum(character.isascii() and character.isalpha() for character in completion)
    return found / max(len(completion), 1)


def remainders(completion: str) -> float:
    """A number from 0 to 1 that two texts hardly ever share, so that every group has a best and a worst."""
    found = sum((ord(character) * (7 + place)) % 97 for place, character in enumerate(completion))
    return found / (97 * max(len(completion), 1))
