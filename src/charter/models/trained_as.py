"""What a checkpoint was trained to judge with, kept beside it in ``reward.json``.

Two checkpoints with the same weights' shapes may be read in different ways: a reward model at the end of
an answer, a critique-then-score model at the end of its critique, a process reward model at every step, a
verifier by the probability of a word. Read in another way they give numbers too, and wrong ones. So the
algorithm is written down when it is trained, with the wording it was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from charter.catalogue import ENTRIES, Entry, TrainOptions
from charter.data.questions import BETTER, CORRECT, GOOD, Question
from charter.errors import UserError, did_you_mean
from charter.rundir import read_json, write_json

FILE = "reward.json"

Kind = Literal["outcome", "critique", "process", "verdict", "pairwise"]
"""``outcome``: a reward at the end of an answer; ``critique``: at the end of a critique the model writes;
``process``: at the end of every step; ``verdict``: the probability of a word about one answer;
``pairwise``: of a letter about two."""

_KINDS: Mapping[str, Kind] = {
    "cloud": "critique",
    "process-reward": "process",
    "genrm": "verdict",
    "slic-pointwise": "verdict",
    "genrm-pairwise": "pairwise",
    "slic-pairwise": "pairwise",
}
_QUESTIONS: Mapping[str, Question] = {
    "genrm": CORRECT,
    "slic-pointwise": GOOD,
    "genrm-pairwise": BETTER,
    "slic-pairwise": BETTER,
}
WITH_REASONS = ("genrm", "genrm-pairwise")
"""Algorithms whose verdict may follow reasons."""
_WORDS: Mapping[Kind, str] = {
    "outcome": "a reward at the end of each answer",
    "critique": "a reward at the end of a critique it writes",
    "process": "a reward at the end of each step",
    "verdict": "a verdict on each answer",
    "pairwise": "a comparison of two answers",
}


def kind_of(algorithm: str) -> Kind | None:
    """How a model trained with ``algorithm`` judges; None = it does not."""
    if algorithm in _KINDS:
        return _KINDS[algorithm]
    entry = ENTRIES.get(algorithm)
    return "outcome" if entry is not None and entry.trains == "reward" else None


def judging_algorithms() -> list[str]:
    """Every algorithm whose result judges."""
    return [name for name in ENTRIES if kind_of(name) is not None]


@dataclass(frozen=True, slots=True)
class TrainedAs:
    """How a checkpoint is to be asked.

    Attributes:
        algorithm: that it was trained with.
        asked: the wording it was trained on: the fields of a :class:`Question`, or ``question`` of a
            critique-then-score model, or ``step_separator`` of a process reward model.
        reasons: its verdict follows reasons that it writes.
        since: algorithms it was trained with afterwards, such as ``dpo`` on pairs of its own verdicts.
    """

    algorithm: str
    asked: Mapping[str, str] = field(default_factory=dict)
    reasons: bool = False
    since: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """See :data:`Kind`."""
        found = kind_of(self.algorithm)
        assert found is not None
        return found

    @property
    def has_head(self) -> bool:
        """Whether a reward head is read, not a word."""
        return self.kind not in ("verdict", "pairwise")

    @property
    def question(self) -> Question:
        """What a model that gives verdicts is asked."""
        return Question(**self.asked)

    def words(self) -> str:
        """``genrm, then dpo: a verdict on each answer``."""
        return f"{', then '.join((self.algorithm, *self.since))}: {_WORDS[self.kind]}"

    def save(self, folder: Path) -> None:
        """Write it into the ``reward.json`` of a model folder, beside what is there."""
        asked = {"asked": dict(self.asked), "reasons": self.reasons, "since": list(self.since)}
        write_json(folder / FILE, {**_written(folder), "algorithm": self.algorithm, **asked})

    @classmethod
    def load(cls, folder: Path) -> TrainedAs | None:
        """Read it from a model folder; None where nothing is written.

        Raises:
            UserError: an algorithm that trains no judge, or a wording that is not whole.
        """
        found = _written(folder)
        if "algorithm" not in found:
            return None
        where, algorithm = str(folder / FILE), found["algorithm"]
        if not isinstance(algorithm, str) or kind_of(algorithm) is None:
            raise UserError(
                f"no algorithm {algorithm!r} trains what judges",
                where=where,
                fix=did_you_mean(str(algorithm), judging_algorithms()),
            )
        asked = found.get("asked", {})
        made = cls(
            algorithm,
            asked if isinstance(asked, dict) else {},
            found.get("reasons") is True,
            tuple(str(name) for name in found.get("since", ())),
        )
        if made.asked.keys() != _wording(algorithm).keys():
            raise UserError(
                f"it does not say in whole how a model trained with {algorithm} is asked",
                where=where,
                fix=f"say it again: charter model mark {folder} --trained-with {algorithm}",
            )
        return made


def trained_with(
    algorithm: str, options: TrainOptions | Mapping[str, Any] | None = None, *, reasons: bool = False
) -> TrainedAs:
    """What training with ``algorithm`` makes of a model.

    Args:
        algorithm: one for which :func:`kind_of` knows a kind.
        options: of the training, from which the wording is taken; None = the defaults.
        reasons: the data had reasons before its verdicts.
    """
    entry = ENTRIES[algorithm]
    if options is None or isinstance(options, Mapping):
        options = entry.options(**dict(options or {}))
    asked = _wording(algorithm)
    renamed = {"ask": "question"} if algorithm in _QUESTIONS else {}
    for name in asked:
        value = getattr(options, renamed.get(name, name), None)
        if value is not None:
            asked[name] = value
    return TrainedAs(algorithm, asked, reasons)


def after_training(
    entry: Entry, options: TrainOptions, *, reasons: bool, before: TrainedAs | None
) -> TrainedAs | None:
    """What a model judges with once ``entry`` has trained it.

    What it was before stays where the algorithm trains no judge: preference pairs of its own verdicts, as
    ``dpo`` takes them, make the same judge a better one.
    """
    if kind_of(entry.name) is not None:
        return trained_with(entry.name, options, reasons=reasons)
    return None if before is None else replace(before, since=(*before.since, entry.name))


def _wording(algorithm: str) -> dict[str, str]:
    """The wording that a kind needs, with its defaults."""
    if algorithm in _QUESTIONS:
        return asdict(_QUESTIONS[algorithm])
    names = {"critique": ("question",), "process": ("step_separator",)}.get(kind_of(algorithm) or "", ())
    fields = ENTRIES[algorithm].options.model_fields
    return {name: str(fields[name].default) for name in names}


def _written(folder: Path) -> dict[str, Any]:
    path = folder / FILE
    if not path.exists():
        return {}
    found = read_json(path)
    return found if isinstance(found, dict) else {}
