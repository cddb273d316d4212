"""What people said of answers: rows that calibrate a judge."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from charter.constitution import Constitution
from charter.data.columns import as_content, label, optional_text, require
from charter.data.read import Source, read_rows
from charter.data.rows import Row
from charter.errors import ConstitutionError, DataError
from charter.evaluation.judge_card.calibration import GoldAnswer, GoldPair, asked
from charter.rundir import sha256_json
from charter.stats.agreement import Agreement, Rating, krippendorff_alpha
from charter.types import Content, text_of

SPLIT = "answers on which raters are split evenly"

RANDOM = "random"
"""Value of the column ``assigned`` of an answer that was drawn at random to be labelled."""


@dataclass(frozen=True)
class Labels:
    """Human labels.

    Attributes:
        answers: one for each answer, by majority of its raters; ``share`` says how many passed it.
        pairs: preferred answers over others.
        raters: of each rater the labels by item, by principle.
        share: share of raters that passed an answer, by item.
        left_out: rows or answers that are not used, by reason.
    """

    answers: tuple[GoldAnswer, ...] = ()
    pairs: tuple[GoldPair, ...] = ()
    raters: Mapping[str, Mapping[Hashable, Mapping[Hashable, float]]] = field(default_factory=dict)
    share: Mapping[str, float] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)

    def agreement(self, principle: str, level: float = 0.95) -> Agreement | None:
        """Krippendorff's alpha of the raters; None with fewer than two of them."""
        raters = self.raters.get(principle, {})
        if len(raters) < 2:
            return None
        rated = [Rating(who, item, value) for who, said in raters.items() for item, value in said.items()]
        return krippendorff_alpha(rated, level=level)

    def drawn_at_random(self) -> Labels:
        """The same, declared to be of answers that were drawn at random from those that are measured."""
        return replace(self, answers=tuple(replace(one, random=True) for one in self.answers))


def read_labels(source: Source, constitution: Constitution) -> Labels:
    """Read rows of ``principle``, ``prompt``, ``completion``, ``label``; ``rater`` and ``model`` where known.

    ``label`` is true where the answer keeps to the principle. A row with ``chosen`` and ``rejected`` in
    place of ``completion`` and ``label`` is a pair. ``assigned`` says how an answer came to be labelled:
    ``random`` = it was drawn at random from the answers of its model; anything else is no such record.

    Args:
        source: a file, or rows in memory.
        constitution: has the principles.

    Raises:
        DataError: a column is missing or wrong, an unknown principle, or one rater twice on one answer.
    """
    read = read_rows(source)
    said: dict[str, dict[str, bool]] = {}
    answers: dict[str, GoldAnswer] = {}
    drawn: set[str] = set()
    pairs = []
    for number, row in enumerate(read.rows):
        principle = _principle(row, constitution)
        prompt = as_content(require(row, "prompt")[1], where=row.source, column="prompt")
        if "chosen" in row.values or "rejected" in row.values:
            good, bad = (_answer(row, name) for name in ("chosen", "rejected"))
            # Pairs of one conversation hang together, whatever principle they are about.
            cluster = f"human/{sha256_json(asked(prompt))[:16]}"
            pairs.append(GoldPair(principle, prompt, good, bad, cluster, "human"))
            continue
        text, model = _answer(row, "completion", "answer", "response"), optional_text(row, "model")
        id = _id(principle, prompt, text)
        rater = optional_text(row, "rater") or f"row {number + 1}"
        if rater in said.setdefault(id, {}):
            raise DataError(f"rater {rater!r} labels this answer twice", where=row.source)
        said[id][rater] = label(row)
        # Drawn once at random is drawn: that another rater was given it for a reason changes nothing.
        if optional_text(row, "assigned") == RANDOM:
            drawn.add(id)
        answers.setdefault(id, GoldAnswer(id, principle, prompt, text, True, "human", model))
    answers = {id: replace(one, random=id in drawn) for id, one in answers.items()}
    return _labels(answers, said, pairs)


def _labels(
    answers: Mapping[str, GoldAnswer], said: Mapping[str, Mapping[str, bool]], pairs: Sequence[GoldPair]
) -> Labels:
    found, split = [], 0
    raters: dict[str, dict[Hashable, dict[Hashable, float]]] = {}
    share = {id: fmean(votes.values()) for id, votes in said.items()}
    for id, one in answers.items():
        for rater, good in said[id].items():
            raters.setdefault(one.principle, {}).setdefault(rater, {})[id] = float(good)
        if share[id] == 0.5:
            split += 1
        else:
            found.append(replace(one, good=share[id] > 0.5))
    named = {
        principle: {who: items for who, items in by.items() if not str(who).startswith("row ")}
        for principle, by in raters.items()
    }
    return Labels(tuple(found), tuple(pairs), named, share, {SPLIT: split} if split else {})


def _principle(row: Row, constitution: Constitution) -> str:
    name, id = require(row, "principle")
    try:
        return constitution.principle(str(id)).id
    except ConstitutionError as error:
        raise DataError(f"column {name!r}: {error.what}", where=row.source, fix=error.fix) from None


def _answer(row: Row, *names: str) -> str:
    name, value = require(row, *names)
    return text_of(as_content(value, where=row.source, column=name))


def _id(principle: str, prompt: Content, text: str) -> str:
    plain = prompt if isinstance(prompt, str) else [[turn.role, turn.content] for turn in prompt]
    return sha256_json([principle, plain, text])[:16]
