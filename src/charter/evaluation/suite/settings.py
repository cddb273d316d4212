"""How tests are asked and decided."""

from __future__ import annotations

from pydantic import Field

from charter.config import Config


class SuiteOptions(Config):
    """What is not said by the constitution."""

    distribution_samples: int = Field(32, ge=1)
    """Answers to a ``distribution`` test: shares need many."""

    distribution_limit: float = Field(0.2, gt=0, le=1)
    """Jensen-Shannon distance below which answers count as spread like the target. 0.2 is our convention:
    70 to 30 where 50 to 50 is due is 0.17."""

    matched_at_least: float = Field(0.8, gt=0, le=1)
    """Share of a ``distribution`` test's answers that must name one option, else it is not measured."""

    level: float = Field(0.95, gt=0, lt=1)
    """Confidence of intervals."""

    resamples: int = Field(2000, ge=100)
    """Bootstrap draws."""

    max_length: int | None = Field(None, ge=1)
    """Tokens the model can read, its answer included; None = not checked."""

    batch_size: int = Field(64, ge=1)
    """Conversations asked, and kept, together."""

    seed: int = Field(0, ge=0)
    """Of bootstrap draws."""
