"""How prompts are answered, and how answers are criticised and revised."""

from __future__ import annotations

from pydantic import Field

from charter.config import Config

STOP = ("\nHuman:", "\nUser:", "\n###", "\nCritique request", "\nRevision request")
"""Texts with which a model begins to write the next turn itself."""


class ReviseOptions(Config):
    """How prompts are answered and answers revised."""

    rounds: int = Field(1, ge=1, le=16)
    """Critiques and revisions of each answer; the paper takes four."""
    principles: tuple[str, ...] = ()
    """Ids of the principles to draw from; empty = all that are active."""
    seed: int = Field(0, ge=0)
    """Decides which principle is drawn where, and what is sampled."""
    temperature: float = Field(1.0, ge=0)
    """Of answers, critiques and revisions."""
    max_completion_length: int = Field(256, ge=1)
    """Most tokens of an answer and of a revision."""
    max_critique_length: int = Field(192, ge=1)
    """Most tokens of a critique."""
    few_shot: bool = True
    """Show worked examples of critique and revision before each request."""
    stop: tuple[str, ...] = STOP
    """Texts that end a reply and are cut off."""
