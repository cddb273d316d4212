"""A judge whose verdicts are written down as they come, so that nothing is judged twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import charter
from charter.errors import DataError
from charter.evaluation.judge_card.asking import GROUPS_AT_ONCE, Judge, Subject
from charter.evaluation.judge_card.flipped import TurnedBack
from charter.feedback.journal import KEY, JournalFile
from charter.feedback.judging.feedback import ModelJudge
from charter.interrupt import graceful
from charter.records import judgement_from_json, judgement_to_json
from charter.rundir import sha256_json
from charter.types import Content, Group, Judgement

_STOPPED = "stopped while answers were judged"
_CARD = "card"


class VerdictFile(JournalFile[tuple[Judgement, ...]]):
    """What was said of one group, by everything that decides it."""

    line = "row of a file of kept verdicts"

    def add(self, key: str, said: Sequence[Judgement]) -> None:
        """Keep what was said of a group.

        Raises:
            EnvironmentFault: the disk refuses.
        """
        self._answers[key] = tuple(said)
        self._write({KEY: key, "judgements": [judgement_to_json(one) for one in said]})

    def _take(self, row: Mapping[str, Any]) -> None:
        self._answers[row[KEY]] = tuple(judgement_from_json(one) for one in row["judgements"])


class KeptJudge:
    """Asks a judge only what it was not asked before. What failed is asked again.

    Args:
        judge: language models under a constitution, or under a part of one.
        path: file of the verdicts.
        use: what it is asked for; verdicts given for another use are not taken.
        fix: what a person is told to do after an interruption.
    """

    def __init__(self, judge: ModelJudge, path: Path, use: str = "", fix: str = "") -> None:
        self.inner = judge
        self._file = VerdictFile(path)
        self._use = use
        self._fix = fix

    @property
    def panel(self) -> Any:
        """The models that judge."""
        return self.inner.panel

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """As :meth:`charter.feedback.judging.feedback.ModelJudge.judge`.

        Raises:
            Interrupted: the person asked to stop; what was judged is kept.
            DataError: the judge does not answer with one list a group.
        """
        who = identity_of(self.inner) if groups else []
        keys = [sha256_json([who, self._use, _seen(group)]) for group in groups]
        found = [self._file.get(key) for key in keys]
        todo = [place for place, said in enumerate(found) if said is None]
        with graceful() as stop:
            for start in range(0, len(todo), GROUPS_AT_ONCE):
                stop.check(_STOPPED, fix=self._fix or None)
                part = todo[start : start + GROUPS_AT_ONCE]
                answers = self.inner.judge([groups[place] for place in part])
                if len(answers) != len(part):
                    raise DataError(f"the judge answered {len(answers)} of {len(part)} groups")
                for place, said in zip(part, answers, strict=True):
                    found[place] = tuple(said)
                    if not any(one.verdict == "error" for one in said):
                        self._file.add(keys[place], said)
        return [list(said or ()) for said in found]


def kept(judge: Judge, path: Path | None, use: str = "", fix: str = "") -> Judge:
    """``judge`` with its verdicts kept; a judge of a person's own stays as it is.

    Nothing tells what such a judge does, so nothing would tell whether a kept verdict is still its own.
    """
    if path is None:
        return judge
    if isinstance(judge, TurnedBack):
        return TurnedBack(kept(judge.judge_, path, use, fix))
    return KeptJudge(judge, path, use, fix) if isinstance(judge, ModelJudge) else judge


def kept_subject(subject: Subject, path: Path | None, fix: str = "") -> Subject:
    """A judge that is examined, with its verdicts kept."""
    if path is None:
        return subject
    found = replace(subject, open=lambda law, only: kept(subject.open(law, only), path, _CARD, fix))
    flipped = subject.open_flipped
    if flipped is None:
        return found
    return replace(found, open_flipped=lambda law, only: kept(flipped(law, only), path, _CARD, fix))


def identity_of(judge: ModelJudge) -> list[Any]:
    """Everything about a judge that decides its verdict on an answer, its models' weights included."""
    law, panel = judge.constitution, judge.panel
    return [
        charter.__version__,
        judge.name,
        panel.self_family,
        panel.minimum,
        panel.how,
        _plain(judge.form),
        law.judge.model_dump(mode="json"),
        [[one.id, one.sha] for one in law.active],
        None if judge.only is None else sorted(judge.only),
    ]


def _plain(form: Any) -> dict[str, Any]:
    """A form's own settings, as far as they are plain values."""
    if not is_dataclass(form):
        return {}
    values = {one.name: getattr(form, one.name) for one in fields(form)}
    return {
        name: _plain(value) if is_dataclass(value) else value
        for name, value in values.items()
        if is_dataclass(value) or isinstance(value, str | int | float | bool | None)
    }


def _seen(group: Group) -> list[Any]:
    """What a judge reads of a group."""
    samples = [
        [
            _turns(one.context.content),
            _turns(one.completion.content),
            one.completion.finish_reason,
            one.completion.sampled_by,
        ]
        for one in group.samples
    ]
    return [samples, group.meta.get("tags")]


def _turns(content: Content) -> Any:
    return content if isinstance(content, str) else [[turn.role, turn.content] for turn in content]
