"""One person's word on one item: what every source of human feedback is read into.

A file of labels is JSON Lines, one :class:`Label` a line, only ever appended to. Nothing is averaged
here: disagreement is kept until somebody decides, in the open, what to make of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from charter.errors import DataError, did_you_mean
from charter.strict_json import DECODER
from charter.types import Content, Message

Kind = Literal["pair", "ranking", "rating", "revision", "spans"]
"""``pair``: which of two answers is better. ``ranking``: K answers in order. ``rating``: one number.
``revision``: a better answer, written by the person. ``spans``: marked places of an answer."""

KINDS: tuple[Kind, ...] = ("pair", "ranking", "rating", "revision", "spans")

Outcome = Literal["judged", "tie", "both_bad", "not_applicable", "skipped"]
"""``judged``: ``value`` says it. Ties and two bad answers are said apart; a skip says nothing."""

OUTCOMES: tuple[Outcome, ...] = ("judged", "tie", "both_bad", "not_applicable", "skipped")

Source = Literal["human", "expert", "ai", "implicit"]
"""Who spoke. ``implicit``: read from what people did (regenerate, copy, edit), not from what they said."""

SOURCES: tuple[Source, ...] = ("human", "expert", "ai", "implicit")

VERDICT = (0.0, 1.0)
"""The scale of a rating that says no or yes, with nothing between."""


@dataclass(frozen=True, slots=True)
class Label:
    """One rater's word on one item under one principle.

    Attributes:
        id: unique in its file.
        item: what was labelled; labels of the same item by several raters share it.
        rater: pseudonym.
        kind: see :data:`Kind`.
        outcome: see :data:`Outcome`.
        value: with ``judged``: a pair's margin in [-3, 3], above 0 where the FIRST of ``answers`` is better
            (stored order, not the order shown); a rating's number; a ranking's ranks, 1 = best, ties equal;
            a revision's text; spans as ``[start, end, tag]`` in characters.
        principle: id, or "" for the answer as a whole.
        principle_sha: sha256 of the principle that was read.
        prompt: what was asked.
        answers: the answers' texts, in stored order.
        models: who wrote each answer; "" = not known. Never shown to a rater.
        shown: positions of ``answers`` in the order in which the rater saw them; () = not recorded.
        group: the rater's group, where the rater gave one.
        source: see :data:`Source`.
        gold: the right value where the item is a test of the rater; None = an ordinary item.
        repeat_of: id of this rater's earlier label of the same item.
        suggestion: value that was shown to the rater before the label; None = none was.
        seconds: from showing to submitting; None = not recorded.
        at: UTC time, ISO 8601.
        rationale: why, in the rater's words.
        scale: of a rating: the lowest and the highest that could be given, :data:`VERDICT` where it is no or
            yes; () = nobody said, and then no reader guesses it from the ratings.
        meta: what else the source knew. Read here and there: ``weight`` (above 0, beside an explicit label's
            1), ``probability`` (that what is said holds), ``adjudication`` (a decision, not one more voice),
            ``unclear`` (the principle's text was found not to decide the item), ``stratum``.

    Raises:
        DataError: parts that do not fit together.
    """

    id: str
    item: str
    rater: str
    kind: Kind
    outcome: Outcome = "judged"
    value: Any = None
    principle: str = ""
    principle_sha: str = ""
    prompt: Content = ""
    answers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    shown: tuple[int, ...] = ()
    group: str = ""
    source: Source = "human"
    gold: Any = None
    repeat_of: str = ""
    suggestion: Any = None
    seconds: float | None = None
    at: str = ""
    rationale: str = ""
    scale: tuple[float, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value, known in (
            ("kind", self.kind, KINDS),
            ("outcome", self.outcome, OUTCOMES),
            ("source", self.source, SOURCES),
        ):
            if value not in known:
                raise DataError(f"{name} is {value!r}", fix=did_you_mean(str(value), known))
        for name, said in (("id", self.id), ("item", self.item), ("rater", self.rater)):
            if not said:
                raise DataError(f"a label without {name}")
        if self.outcome in ("tie", "both_bad") and self.kind not in ("pair", "ranking"):
            raise DataError(f"{self.outcome!r} is said of several answers, not of a {self.kind}")
        if (self.outcome == "judged") == (self.value is None):
            raise DataError(f"outcome {self.outcome!r} does not fit value {self.value!r}")
        if self.outcome == "judged":
            _check_value(self.kind, self.value, len(self.answers))
        if self.scale:
            _check_scale(self)
        if self.shown and sorted(self.shown) != list(range(len(self.answers))):
            raise DataError(f"shown {list(self.shown)} is no order of {len(self.answers)} answers")
        if self.models and len(self.models) != len(self.answers):
            raise DataError(f"{len(self.models)} models for {len(self.answers)} answers")
        if self.seconds is not None and not self.seconds >= 0:
            raise DataError(f"seconds is {self.seconds!r}")

    def to_json(self) -> dict[str, Any]:
        """As one line of a labels file; empty parts are left out."""
        found = asdict(self)
        if not isinstance(self.prompt, str):
            found["prompt"] = [{"role": turn.role, "content": turn.content} for turn in self.prompt]
        empty: tuple[Any, ...] = (None, "", (), [], {})
        always = {"id", "item", "rater", "kind"} | ({"value"} if self.outcome == "judged" else set())
        return {k: v for k, v in found.items() if k in always or v not in empty}


def label_of(values: Mapping[str, Any], where: str = "") -> Label:
    """A label from its JSON object.

    Raises:
        DataError: an unknown key, or values that make no label; with ``where``.
    """
    known = {one.name for one in fields(Label)}
    for name in values:
        if name not in known:
            raise DataError(f"unknown key {name!r} in a label", where=where, fix=did_you_mean(name, known))
    given = dict(values)
    try:
        if isinstance(prompt := given.get("prompt"), list):
            given["prompt"] = tuple(Message(turn["role"], turn["content"]) for turn in prompt)
        for name in ("answers", "models", "shown", "scale"):
            if name in given:
                given[name] = tuple(given[name])
        return Label(**given)
    except DataError as error:
        raise DataError(error.what, where=where, fix=error.fix) from None
    except (TypeError, KeyError) as error:
        raise DataError(f"this is no label: {error}", where=where) from None


def read_labels(path: str | Path) -> list[Label]:
    """Every label of a file.

    Raises:
        DataError: no such file, a line that is no label (with its number), or an id used twice.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read: {error}", where=str(path)) from None
    found: list[Label] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            value = DECODER.decode(line)
        except ValueError as error:
            raise DataError(f"malformed JSON: {error}", where=where) from None
        if not isinstance(value, dict):
            raise DataError("a line must be one object", where=where)
        label = label_of(value, where)
        if label.id in seen:
            raise DataError(f"label id {label.id!r} stands on line {seen[label.id]} too", where=where)
        seen[label.id] = number
        found.append(label)
    return found


def is_decision(label: Label) -> bool:
    """Whether it is an adjudicator's decision on what others disagree about."""
    return bool(label.meta.get("adjudication"))


def word_of(label: Label) -> tuple[Any, ...]:
    """What a rater has one word on: a later label of equal words takes an earlier one's place."""
    again = bool(label.repeat_of), is_decision(label)
    return (label.rater, label.item, label.principle, label.kind, *again)


def latest(labels: Iterable[Label]) -> list[Label]:
    """The last word of each rater on each item and principle; repeats, gold and decisions stay beside it."""
    kept: dict[tuple[Any, ...], Label] = {}
    for label in labels:
        key = word_of(label)
        kept.pop(key, None)
        kept[key] = label
    return list(kept.values())


def side_of(value: float, scale: tuple[float, ...]) -> float:
    """Where a rating lies on its scale: 1 = in the upper half, 0 = in the lower, 0.5 = in the middle."""
    middle = (scale[0] + scale[1]) / 2
    return 0.5 if value == middle else float(value > middle)


def is_right(label: Label) -> bool | None:
    """Whether a test of the rater was passed; None where it is no test, or nothing was said.

    A pair: the right side, however strongly; a tie where gold is 0. A rating: in the half of its scale in
    which gold lies, how far in is a matter of taste; without a scale the very rating. A ranking: every two
    answers that gold sets apart stand in gold's order. Any other tie, two bad answers and "not applicable"
    are wrong.
    """
    gold, value = label.gold, label.value
    if gold is None or label.outcome == "skipped":
        return None
    if label.kind == "pair" and _number(gold):
        if gold == 0 or label.outcome != "judged":
            return bool(gold == 0) and label.outcome == "tie"
        return bool((value > 0) == (gold > 0))
    if label.kind == "rating" and _number(gold):
        if label.outcome != "judged":
            return False
        if not label.scale:
            return bool(value == gold)
        return side_of(value, label.scale) == side_of(gold, label.scale)
    if label.kind == "ranking" and isinstance(gold, list | tuple) and len(gold) == len(label.answers):
        return label.outcome == "judged" and all(
            value[a] < value[b] for a, rank in enumerate(gold) for b, other in enumerate(gold) if rank < other
        )
    return None


def _check_value(kind: Kind, value: Any, answers: int) -> None:
    if kind == "pair":
        if answers != 2:
            raise DataError(f"a pair has two answers, not {answers}")
        if not _number(value) or not -3 <= value <= 3 or value == 0:
            raise DataError(
                f"a pair's margin is {value!r}", fix="from -3 to 3 without 0; a tie is an outcome"
            )
    elif kind == "rating" and not _number(value):
        raise DataError(f"a rating is a number, not {value!r}")
    elif kind == "ranking":
        if not isinstance(value, list | tuple) or len(value) != answers or answers < 2:
            raise DataError(
                f"a ranking of {answers} answers is {value!r}", fix="one rank an answer, 1 = best"
            )
        if not all(isinstance(rank, int) and not isinstance(rank, bool) and rank >= 1 for rank in value):
            raise DataError(f"ranks are whole numbers from 1, not {value!r}")
    elif kind == "revision" and not (isinstance(value, str) and value.strip()):
        raise DataError("a revision is a text")
    elif kind == "spans" and not all(
        isinstance(one, list | tuple) and len(one) == 3 and 0 <= one[0] < one[1] for one in value
    ):
        raise DataError("spans are [start, end, tag] in characters")


def _check_scale(label: Label) -> None:
    if label.kind != "rating":
        raise DataError(f"a {label.kind} has no scale")
    scale = tuple(label.scale)
    if len(scale) != 2 or not all(_number(end) and math.isfinite(end) for end in scale):
        raise DataError(f"scale is {list(scale)}", fix="[lowest, highest], such as [1, 5]")
    if not scale[0] < scale[1]:
        raise DataError(f"scale is {list(scale)}", fix="the lowest first: [1, 5]")
    for name, value in (("rating", label.value), ("rating's gold", label.gold)):
        if value is None:
            continue
        between = scale == VERDICT and value not in VERDICT
        if not _number(value) or not scale[0] <= value <= scale[1] or between:
            told = "a verdict is 0 or 1" if between else f"its scale goes from {scale[0]:g} to {scale[1]:g}"
            raise DataError(f"a {name} is {value!r}, and {told}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
