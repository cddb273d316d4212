"""What an event is taken to say, how much it weighs, and why: each assumption by its name.

These are assumptions. Nobody who copied an answer said that it is good. A file of one's own replaces rules:

    events:
      copy: {as: rating, value: 1, weight: 0.2, assumes: copying means using}
      share: {as: rating, value: 1, weight: 0.5, assumes: people share what they like}
      abandon: {as: ignore}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from charter.config import Config, read_yaml, validate
from charter.feedback.label_io.scales import Scale
from charter.label import VERDICT


class Rule(Config):
    """What one kind of event says."""

    as_: Literal["rating", "pair", "revision", "ignore"] = Field(alias="as")
    """``rating``: of the answer. ``pair``: the other answer beside it is better. ``revision``: the edited
    text is better. ``ignore``: nothing."""
    value: float | None = None
    """Of a rating."""
    scale: Scale | None = None
    """Of a rating: the lowest and the highest there is; None = a verdict, 0 or 1."""
    weight: float = Field(1.0, gt=0, le=1)
    """How much it counts beside an explicit verdict, which is 1: in rows for trainers it is multiplied with
    the rater's reliability."""
    assumes: str = ""
    """What has to hold for it, in words."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.as_ == "rating") != (self.value is not None):
            raise ValueError("a rating has a value, and nothing else has one")
        if self.as_ != "ignore" and not self.assumes:
            raise ValueError("say what the rule assumes: assumes: ...")
        if self.value is None and self.scale is not None:
            raise ValueError("only a rating has a scale")
        low, high = self.on
        if self.value is not None and (
            not low <= self.value <= high or (self.on == VERDICT and self.value not in VERDICT)
        ):
            raise ValueError(f"a value of {self.value:g} is not on the scale; say scale: [lowest, highest]")
        return self

    @property
    def on(self) -> tuple[float, float]:
        """The scale of its ratings."""
        return self.scale or VERDICT


class _Rules(Config):
    events: Mapping[str, Rule]


def _rule(**values: object) -> Rule:
    return Rule.model_validate(values)


RULES: Mapping[str, Rule] = {
    "thumbs_up": _rule(
        **{"as": "rating", "value": 1.0, "weight": 1.0},
        assumes="the person meant the answer as a whole",
    ),
    "thumbs_down": _rule(
        **{"as": "rating", "value": 0.0, "weight": 1.0},
        assumes="the person meant the answer, not the product or its speed",
    ),
    "edit": _rule(
        **{"as": "revision", "weight": 0.7},
        assumes="what the person made of the answer is better to them, and was meant to stay",
    ),
    "regenerate": _rule(
        **{"as": "rating", "value": 0.0, "weight": 0.3},
        assumes="the answer did not serve; wanting variety looks the same",
    ),
    "copy": _rule(
        **{"as": "rating", "value": 1.0, "weight": 0.3},
        assumes="what is copied is used; copying it to complain looks the same",
    ),
    "abandon": _rule(
        **{"as": "rating", "value": 0.0, "weight": 0.1},
        assumes="who leaves was not served; who leaves content looks the same",
    ),
}
"""The rules without a file."""


def read_rules(path: Path | None) -> dict[str, Rule]:
    """The rules, with those of the file at ``path`` in place of the ones of the same event.

    Raises:
        ConfigError: what is wrong in the file.
    """
    if path is None:
        return dict(RULES)
    return {**RULES, **validate(_Rules, read_yaml(path), where=str(path)).events}
