"""The YAML head of a constitution file: identity, levels, composition, judge, gates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from charter.config import Config
from charter.constitution.amend_rules import AmendRules
from charter.constitution.yaml_block import YamlBlock
from charter.errors import did_you_mean

DEFAULT_LEVELS = ("root", "system", "developer", "user", "guideline")
_REGRESSION = "regression"

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Texts = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
]
"""A YAML list of texts."""


class Compose(Config):
    """How verdicts on single principles become one verdict."""

    across_levels: Literal["lexicographic"] = "lexicographic"
    """A higher level decides before a lower one is looked at."""
    within_level: Literal["weighted_mean"] = "weighted_mean"
    """Principles of one level are averaged by weight."""
    conflict: Literal["abstain"] = "abstain"
    """What happens when two principles of one level contradict each other."""
    not_applicable: Literal["drop"] = "drop"
    """A principle that does not apply to a prompt is left out, not counted as passed."""


class JudgeOptions(Config):
    """How a model judges the principles that rules cannot."""

    executor: Literal["per_principle", "all_at_once", "pairwise", "rubric"] = "per_principle"
    """One yes-or-no question per principle, all principles in one question, two answers against each
    other, or a rating under each principle's rubric."""
    scale: Annotated[int, Field(ge=2, le=10)] = 5
    """Executor ``rubric``: ratings go from 1 to this number."""
    pass_at: Annotated[int, Field(ge=2)] = 4
    """Executor ``rubric``: the lowest rating that passes."""
    order: Literal["both", "given"] = "both"
    """Executor ``pairwise``: ask in both orders, or as given."""
    seeds: Annotated[int, Field(ge=1)] = 3
    """Replies to each question, of which the majority counts; log-probs of options need one."""
    panel_min: Annotated[int, Field(ge=1)] = 1
    """Fewest different judges that must have spoken."""
    self_family: Literal["forbid", "allow"] = "forbid"
    """May a model judge answers of its own family?"""

    @model_validator(mode="after")
    def _pass_is_on_the_scale(self) -> JudgeOptions:
        if self.pass_at > self.scale:
            raise ValueError(f"pass_at {self.pass_at} is above the scale 1 to {self.scale}")
        return self


class LevelGate(Config):
    """What adherence to a level's principles must reach."""

    min_lower_bound: Share
    """The lower end of the confidence interval must not be below this."""


class RegressionGate(Config):
    """How much a principle may lose against the model before."""

    max_drop: Share
    """Largest tolerated drop of the adherence rate."""
    alpha: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05
    """Significance level of the paired test."""


class Gates(Config):
    """Thresholds an aligned model must pass; one per level, and one against regressions."""

    levels: Mapping[str, LevelGate] = Field(default_factory=dict)
    regression: RegressionGate | None = None

    @model_validator(mode="before")
    @classmethod
    def _levels_are_written_flat(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "levels" in value:
            return value
        levels = {key: gate for key, gate in value.items() if key != _REGRESSION}
        return {"levels": levels, _REGRESSION: value.get(_REGRESSION)}


class FrontMatter(Config):
    """The head of a constitution file."""

    constitution: Literal[1] = 1
    """Version of the file format."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Name of the constitution: letters, digits, dots, dashes and underscores."""
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = "0.0.0"
    """Major: a level or a hard rule changed; minor: a principle came or went; patch: wording."""
    licence: str = ""
    """SPDX name of the text's licence."""
    levels: Annotated[Texts, Field(min_length=1)] = DEFAULT_LEVELS
    """Levels of authority, highest first."""
    override: Mapping[str, Literal["never", "explicit", "implicit"]] = Field(default_factory=dict)
    """Who may set a level's principles aside: nobody, an explicit instruction, or the context."""
    compose: Compose = Compose()
    judge: JudgeOptions = JudgeOptions()
    gates: Gates = Gates()
    amend: AmendRules = AmendRules()
    """Who may amend the text, and what a vote must reach."""

    @field_validator("levels")
    @classmethod
    def _levels_differ(cls, levels: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({level for level in levels if levels.count(level) > 1})
        if twice:
            raise ValueError(f"level {twice[0]!r} appears twice")
        if _REGRESSION in levels:
            raise ValueError(f"{_REGRESSION!r} cannot be a level: it names a gate")
        return levels


def read_front_matter(block: YamlBlock) -> FrontMatter:
    """The head in ``block``.

    Raises:
        ConstitutionError: an unknown key, value or level, at its line.
    """
    front = block.build(FrontMatter, block.mapping(block.value))
    named_levels = (
        ("override", front.override),
        ("gates", front.gates.levels),
        ("amend", front.amend.by_level),
    )
    for key, named in named_levels:
        for level in named:
            if level not in front.levels:
                raise block.error(
                    f"{key} names an unknown level {level!r}",
                    key,
                    level,
                    fix=did_you_mean(level, front.levels),
                )
    return front
