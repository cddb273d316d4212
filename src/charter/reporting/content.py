"""What a report holds, once read and checked. ``None`` always means not measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate in [0, 1] with its interval; ``k`` of ``n`` answers where it is a count."""

    rate: float
    lo: float
    hi: float
    k: int | None
    n: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """After minus before, in [-1, 1]."""

    diff: float
    lo: float
    hi: float
    p: float
    p_holm: float | None
    test: str


@dataclass(frozen=True, slots=True)
class Row:
    """One principle's evidence, or that of all together (``id`` is '')."""

    id: str
    title: str
    level: str
    sha: str
    text: str
    applicable: int | None
    n: int | None
    before: Rate | None
    after: Rate | None
    change: Change | None
    status: str
    why: str
    missing_before: Mapping[str, int]
    missing_after: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean fraction of applicable principles passed."""

    before: Rate | None
    after: Rate | None
    change: Change | None


@dataclass(frozen=True, slots=True)
class Gate:
    """A bound on a level and what the data say about it."""

    level: str
    bound: float
    result: str
    why: str
    rate: Rate | None


@dataclass(frozen=True, slots=True)
class Adherence:
    """The adherence card."""

    overall: Row
    left_out: Mapping[str, int]
    fraction: Mean
    principles: tuple[Row, ...]
    gates: tuple[Gate, ...]
    alpha: float
    min_prompts: int
    ceiling: float
    level: float
    base_only: int
    aligned_only: int


@dataclass(frozen=True, slots=True)
class Health:
    """A measure of the model beside adherence; ``flag`` None where no limit applies."""

    measure: str
    label: str
    unit: str
    before: float | None
    after: float | None
    limit: str
    limit_number: float | None
    flag: bool | None


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt with both answers; verdict None where a principle was not judged."""

    id: str
    prompt: str
    before: str | None
    after: str | None
    before_verdicts: Mapping[str, bool | None]
    after_verdicts: Mapping[str, bool | None]


@dataclass(frozen=True, slots=True)
class Data:
    """What the model was trained and tested on."""

    prompts: tuple[tuple[str, str], ...]
    samples: int | None
    pairs: int | None
    pairs_per_principle: Mapping[str, int] | None
    dropped: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class Training:
    """How the model was trained. ``curves`` hold (step, value) points."""

    algorithm: str
    steps: int | None
    stopped_by: str
    options: tuple[tuple[str, str], ...]
    curves: Mapping[str, tuple[tuple[float, float], ...]]
    kl_limit: float | None


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the run."""

    number: int | None
    name: str
    seconds: float | None
    summary: str
    skipped: bool


@dataclass(frozen=True, slots=True)
class Constitution:
    """Which constitution, to the byte."""

    name: str
    version: str
    sha: str
    path: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything one page shows."""

    title: str
    created: str
    constitution: Constitution
    base: str
    aligned: str
    aligned_path: str
    algorithm: str
    adherence: Adherence
    health: tuple[Health, ...]
    flags: tuple[str, ...]
    examples: tuple[Example, ...]
    data: Data
    training: Training | None
    stages: tuple[Stage, ...]
    command: str
    machine: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    seed: str
    manifest: tuple[tuple[str, str], ...]
