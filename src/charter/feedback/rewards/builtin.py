"""Rewards that come with Charter: length, repetition, endings, format, sentiment, tasks.

Lengths are in tokens of the model's own writing: those that are trained. Task rewards grade in a
sandbox, because what they parse or evaluate was written by a model.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from charter.config import Config
from charter.environments.base import REWARD
from charter.environments.tasks import TASK
from charter.errors import EnvironmentFault
from charter.feedback.rewards.base import RecordedReward, Reward, SampleReward
from charter.feedback.rewards.functions import SandboxedReward
from charter.feedback.rewards.gate import GATE, GateOptions, GateReward
from charter.feedback.rewards.outcome import Missing, Said, error, not_applicable
from charter.feedback.rewards.sandbox import MEMORY_MB, SECONDS, Sandbox
from charter.feedback.rewards.signature import Rollout
from charter.feedback.rules.text import words
from charter.types import Group, Sample


class NoOptions(Config):
    """A reward without options."""


class Limits(Config):
    """Limits of a sandbox."""

    seconds: float = Field(SECONDS, gt=0)
    """Most wall time of one grade."""
    memory_mb: int = Field(MEMORY_MB, gt=0)
    """Most memory a grade may add."""


class LengthOptions(Config):
    """How long an answer should be."""

    target: int | None = Field(None, gt=0)
    """Exactly this long."""
    min: int | None = Field(None, gt=0)
    """At least this long."""
    max: int | None = Field(None, gt=0)
    """At most this long."""
    unit: Literal["tokens", "words", "chars"] = "tokens"

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.target is None and self.min is None and self.max is None:
            raise ValueError("length needs target, min or max")
        if self.target is not None and (self.min is not None or self.max is not None):
            raise ValueError("length takes target, or min and max, not both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class RepetitionOptions(Config):
    """Which repetitions count (names of TRL's get_repetition_penalty_reward)."""

    ngram_size: int = Field(3, ge=1)
    """Tokens of a run."""
    max_penalty: float = Field(-1.0, le=0)
    """The reward where everything repeats."""


class EosOptions(Config):
    """What a missing end costs."""

    penalty: float = Field(1.0, gt=0)
    """Taken off where the answer was cut by a limit."""


class OverlongOptions(Config):
    """Where an answer is too long."""

    max_completion_length: int = Field(gt=0)
    """From here on the reward is -1."""
    overlong_buffer: int = Field(gt=0)
    """Over the last this many tokens it falls from 0."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.overlong_buffer > self.max_completion_length:
            raise ValueError("overlong_buffer is longer than max_completion_length")
        return self


class FormatOptions(Config):
    """Which parts an answer must have."""

    answer: bool = True
    """``<think>`` and then ``<answer>``, nothing else; off = ``<think>`` and then any text."""
    partial: bool = False
    """The share of the tags that are there just once, in place of all or nothing: something to climb for a
    model that never has them all by chance."""


class AccuracyOptions(Limits):
    """Where the right answer is."""

    column: str = "answer"
    """Column of the prompts that holds it."""


def length(options: LengthOptions) -> Callable[[Sample, Group], Said]:
    """0 at the wanted length; below and above ``-distance / wanted``, at worst -1."""
    low = options.target or options.min
    high = options.target or options.max

    def score(sample: Sample, _: Group) -> Said:
        size = _size(sample, options.unit)
        if low is not None and size < low:
            return -(low - size) / low
        if high is not None and size > high:
            return -min((size - high) / high, 1.0)
        return 0.0

    return score


def repetition(options: RepetitionOptions) -> Callable[[Sample, Group], Said]:
    """``max_penalty`` times the share of n-grams that were there before (2502.03373, C.2); 0 when short."""

    def score(sample: Sample, _: Group) -> Said:
        ids = own_tokens(sample)
        total = len(ids) - options.ngram_size + 1
        if total < 1:
            return 0.0
        unique = len({ids[i : i + options.ngram_size] for i in range(total)})
        return options.max_penalty * (1.0 - unique / total)

    return score


def eos(options: EosOptions) -> Callable[[Sample, Group], Said]:
    """``-penalty`` for an answer that was cut by a limit, else 0."""
    return lambda sample, _: -options.penalty if sample.completion.finish_reason == "length" else 0.0


def soft_overlong(options: OverlongOptions) -> Callable[[Sample, Group], Said]:
    """:func:`overlong` of the answer's own tokens."""
    most, buffer = options.max_completion_length, options.overlong_buffer
    return lambda sample, _: overlong(len(own_tokens(sample)), most, buffer)


def overlong(length: float, most: int, buffer: int) -> float:
    """0 up to ``most - buffer`` tokens, linear to -1 at ``most``, -1 beyond (DAPO 2503.14476, eq. 13)."""
    over = length - (most - buffer)
    return -min(over / buffer, 1.0) if over > 0 else 0.0


def layout(options: FormatOptions) -> Callable[[Sample, Group], Said]:
    """1 where the answer has the parts of R1-Zero's template (2501.12948), each once, else 0.

    With ``partial`` the share of tags that are there once, in any order; the whole template is 1 still.
    """
    tags = ("think", "answer") if options.answer else ("think",)
    end = r"<answer>.*\S.*</answer>" if options.answer else r"\S.*"
    pattern = re.compile(rf"<think>.*?</think>\s*{end}", re.DOTALL)
    marks = [mark for tag in tags for mark in (f"<{tag}>", f"</{tag}>")]

    def score(sample: Sample, _: Group) -> Said:
        text = sample.completion.text.strip()
        once = [text.count(mark) == 1 for mark in marks]
        if options.partial:
            return sum(once) / len(once)
        return float(all(once) and pattern.fullmatch(text) is not None)

    return score


def vader(_: NoOptions) -> Callable[[Sample, Group], Said]:
    """The compound sentiment of the answer, -1 to 1 (Hutto and Gilbert, ICWSM 2014)."""
    require("vaderSentiment")
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    scores = SentimentIntensityAnalyzer().polarity_scores
    return lambda sample, _: float(scores(sample.completion.text)["compound"])


def accuracy(name: str, options: AccuracyOptions) -> Reward:
    """1 for the right mathematical answer, else 0, by math-verify; no reward where it cannot be read."""
    require("math_verify", "math-verify")
    sandbox = Sandbox(
        f"{Path(__file__).with_name('math_answer.py')}:verified",
        seconds=options.seconds,
        memory_mb=options.memory_mb,
        preload=("math_verify",),
    )

    def payload(rollout: Rollout) -> dict[str, Any] | Missing:
        answer = rollout.group.meta.get(options.column)
        if answer is None:
            return error("no right answer", f"the prompt's column {options.column!r} is empty")
        return {"completion": rollout.sample.completion.text, "answer": str(answer)}

    return SandboxedReward(name, sandbox, payload, columns=frozenset({options.column}))


def reasoning_gym(name: str, options: Limits) -> Reward:
    """The task's own score of the answer, 0 to 1; see :mod:`charter.environments.tasks`."""
    require("reasoning_gym", "reasoning-gym")
    sandbox = Sandbox(
        "charter.environments.tasks:score",
        seconds=options.seconds,
        memory_mb=options.memory_mb,
        preload=("reasoning_gym",),
    )

    def payload(rollout: Rollout) -> dict[str, Any] | Missing:
        task = rollout.group.meta.get(TASK)
        if task is None:
            return not_applicable("no task", "the prompt is not from reasoning-gym")
        return {"completion": rollout.sample.completion.text, "task": dict(task)}

    return SandboxedReward(name, sandbox, payload, columns=frozenset({TASK}))


@dataclass(frozen=True, slots=True)
class Builtin:
    """A built-in reward.

    Attributes:
        options: their schema.
        make: from its name and options.
    """

    options: type[Config]
    make: Callable[[str, Any], Reward]


def _of(score: Callable[[Any], Callable[[Sample, Group], Said]]) -> Callable[[str, Any], Reward]:
    return lambda name, options: SampleReward(name, score(options))


BUILTIN: Mapping[str, Builtin] = {
    "length": Builtin(LengthOptions, _of(length)),
    "repetition": Builtin(RepetitionOptions, _of(repetition)),
    "eos": Builtin(EosOptions, _of(eos)),
    "soft_overlong": Builtin(OverlongOptions, _of(soft_overlong)),
    "format": Builtin(FormatOptions, _of(layout)),
    "vader": Builtin(NoOptions, _of(vader)),
    "accuracy": Builtin(AccuracyOptions, accuracy),
    "reasoning-gym": Builtin(Limits, reasoning_gym),
    GATE: Builtin(GateOptions, GateReward),
    REWARD: Builtin(NoOptions, lambda name, _: RecordedReward(name)),
}
"""By the name a person writes; ``environment`` is what the environment that was played said."""


def own_tokens(sample: Sample) -> tuple[int, ...]:
    """Ids the model wrote itself."""
    completion = sample.completion
    if not completion.trained:
        return completion.token_ids
    return tuple(token for token, own in zip(completion.token_ids, completion.trained, strict=True) if own)


def require(module: str, package: str = "") -> None:
    """Refuse to go on without an optional package.

    Raises:
        EnvironmentFault: it is not installed.
    """
    if importlib.util.find_spec(module) is None:
        package = package or module
        raise EnvironmentFault(
            f"this reward needs the package {package}",
            fix="install the extra `charter[tasks]`, or the package itself",
        )


def _size(sample: Sample, unit: str) -> int:
    text = sample.completion.text
    if unit == "tokens":
        return len(own_tokens(sample))
    return len(words(text)) if unit == "words" else len(text)
