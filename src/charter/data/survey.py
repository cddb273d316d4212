"""Multiple-choice surveys: how the answers of groups of people are spread over the options.

A row is one question as one group answered it::

    {"question": "...", "options": ["...", "..."], "group": "nurses", "counts": [31, 9], "ordered": true}

``shares`` may stand for ``counts``; ``ordered`` says that the options are a scale (default false).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charter.data.columns import items, numbers, optional_number, text
from charter.data.read import Source, read_rows
from charter.data.rows import Row
from charter.errors import DataError, UserError, did_you_mean

_TOLERANCE = 1e-3
"""How far from 1 shares may sum; they are divided by their sum."""

MOST_OPTIONS = 26
"""Options are named by letters."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a survey.

    Attributes:
        text: as people read it.
        options: two or more different answers.
        ordered: they are a scale, so that near misses are smaller than far ones.
    """

    text: str
    options: tuple[str, ...]
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Survey:
    """What groups of people answered.

    Attributes:
        questions: in the order they were first met.
        shares: of each group, for each question's text that it was asked, the share of each option.
        respondents: of each group and question, how many people answered; missing where the file says
            shares only.
        name: what it is called in messages.
    """

    questions: tuple[Question, ...]
    shares: Mapping[str, Mapping[str, tuple[float, ...]]]
    respondents: Mapping[str, Mapping[str, float]]
    name: str = ""

    @property
    def groups(self) -> tuple[str, ...]:
        """In the order they were first met."""
        return tuple(self.shares)

    def asked(self, group: str) -> tuple[Question, ...]:
        """The questions that a group answered."""
        return tuple(one for one in self.questions if one.text in self.shares[group])

    def only(
        self, groups: Iterable[str] | None = None, questions: Iterable[Question] | None = None
    ) -> Survey:
        """Some groups, and some questions; None = all.

        Raises:
            UserError: no such group.
        """
        names = list(self.groups if groups is None else groups)
        for name in names:
            if name not in self.shares:
                raise UserError(f"no group {name!r}; {did_you_mean(name, self.groups)}", where=self.name)
        kept = self.questions if questions is None else tuple(questions)
        texts = {one.text for one in kept}

        def of(table: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, Any]:
            return {key: value for key, value in table[name].items() if key in texts}

        return Survey(
            kept,
            {name: of(self.shares, name) for name in names},
            {name: of(self.respondents, name) for name in names},
            self.name,
        )

    def mean_shares(self, question: Question) -> tuple[float, ...] | None:
        """Mean over the groups that were asked, each counting the same; None where none was."""
        found = [of[question.text] for of in self.shares.values() if question.text in of]
        if not found:
            return None
        return tuple(sum(column) / len(found) for column in zip(*found, strict=True))

    def rows(self) -> list[dict[str, Any]]:
        """As rows of a file; see :func:`read_survey`."""
        made: list[dict[str, Any]] = []
        for group in self.groups:
            for one in self.asked(group):
                row = {"question": one.text, "options": list(one.options), "ordered": one.ordered}
                row |= {"group": group, "shares": list(self.shares[group][one.text])}
                if one.text in self.respondents[group]:
                    row["respondents"] = self.respondents[group][one.text]
                made.append(row)
        return made


def read_survey(source: Source) -> Survey:
    """A survey from a file or from rows.

    Raises:
        DataError: a row that makes no sense, or contradicts another, with its place.
    """
    rows, made = read_rows(source), SurveyBuilder()
    for row in rows.rows:
        made.add(row)
    return made.survey(rows.name)


class SurveyBuilder:
    """A survey made row by row; a row that is refused changes nothing."""

    def __init__(self) -> None:
        self._questions: dict[str, Question] = {}
        self._shares: dict[str, dict[str, tuple[float, ...]]] = {}
        self._respondents: dict[str, dict[str, float]] = {}

    def add(self, row: Row) -> None:
        """Take a row.

        Raises:
            DataError: it makes no sense, or contradicts one before.
        """
        question = _question(row)
        if self._questions.get(question.text, question) != question:
            raise DataError(
                "this question has other options, or another order, in a row before", where=row.source
            )
        group = text(row, "group").strip()
        if not group:
            raise DataError("'group' is empty", where=row.source)
        found, count = _answers(row, len(question.options))
        if question.text in self._shares.get(group, {}):
            raise DataError(f"{group!r} answers this question twice", where=row.source, fix="remove one row")
        self._questions[question.text] = question
        self._shares.setdefault(group, {})[question.text] = found
        counted = self._respondents.setdefault(group, {})
        if count is not None:
            counted[question.text] = count

    def survey(self, name: str = "") -> Survey:
        """What was taken so far."""
        shares = {group: dict(of) for group, of in self._shares.items()}
        respondents = {group: dict(of) for group, of in self._respondents.items()}
        return Survey(tuple(self._questions.values()), shares, respondents, name)


def read_questions(source: Source) -> tuple[Question, ...]:
    """Questions with their options, each once; what else a row holds is not read.

    Raises:
        DataError: a row that makes no sense, or contradicts another, with its place.
    """
    found: dict[str, Question] = {}
    for row in read_rows(source).rows:
        question = _question(row)
        if found.setdefault(question.text, question).options != question.options:
            raise DataError("this question has other options in a row before", where=row.source)
    return tuple(found.values())


def _question(row: Row) -> Question:
    asked = text(row, "question").strip()
    if not asked:
        raise DataError("'question' is empty", where=row.source)
    _, values = items(row, "options")
    options = tuple(value.strip() for value in values if isinstance(value, str) and value.strip())
    if len(options) < len(values) or len(set(options)) < len(options):
        raise DataError("'options' are not all different texts", where=row.source)
    if not 2 <= len(options) <= MOST_OPTIONS:
        raise DataError(f"{len(options)} options, wanted 2 to {MOST_OPTIONS}", where=row.source)
    ordered = row.values.get("ordered")
    if ordered not in (None, True, False):
        raise DataError(f"'ordered' is {ordered!r}, wanted true or false", where=row.source)
    return Question(asked, options, bool(ordered))


def _answers(row: Row, options: int) -> tuple[tuple[float, ...], float | None]:
    """Shares, and how many people they are of."""
    if row.values.get("counts") is not None:
        if row.values.get("shares") is not None:
            raise DataError("'counts' and 'shares': give one of them", where=row.source)
        counts = numbers(row, "counts", options)
        total = sum(counts)
        if min(counts) < 0 or total <= 0:
            raise DataError("'counts' are below 0, or nobody answered", where=row.source)
        return tuple(count / total for count in counts), total
    shares = numbers(row, "shares", options)
    total = sum(shares)
    if min(shares) < 0 or abs(total - 1) > _TOLERANCE:
        raise DataError(
            f"'shares' is no distribution: it sums to {total:g}",
            where=row.source,
            fix="shares of people, each at least 0, that sum to 1; or give counts",
        )
    return tuple(share / total for share in shares), optional_number(row, "respondents", low=0.0)


def split_groups(survey: Survey, held_out: Sequence[str]) -> tuple[Survey, Survey]:
    """The survey without some groups, and with them alone.

    Raises:
        UserError: no such group, or none is left on one side.
    """
    test = survey.only(dict.fromkeys(held_out))
    train = survey.only([name for name in survey.groups if name not in test.shares])
    if not train.groups or not test.groups:
        raise UserError("both sides of a split need a group", where=survey.name, fix="hold out some, not all")
    return train, test
