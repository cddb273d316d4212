"""Votes of candidates on pairs: A, B, neither, or not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from charter.constitution import Constitution
from charter.feedback.recovering.answer_text import AnswerText, content_words
from charter.feedback.recovering.candidate import Candidate
from charter.feedback.recovering.features import FEATURES
from charter.feedback.recovering.pairs import LabelledPair
from charter.feedback.rules.constitution import ConstitutionFeedback
from charter.types import Sample, SampleTarget

Ballots = NDArray[np.int8]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Votes:
    """Votes of C candidates on N pairs.

    Attributes:
        cast_CN: 1 = for A, -1 = for B, 0 = neither.
        known_CN: False where the vote is missing: a judge failed, or a rule broke.
        graded_CN: how strongly, on [-1, 1]; the vote itself where nothing finer is known.
        abstained: why candidates that a judge votes for had no vote, by reason, with how many.
    """

    cast_CN: Ballots
    known_CN: Flags
    graded_CN: Floats
    abstained: Mapping[str, int]

    @classmethod
    def of(cls, cast_CN: Ballots, known_CN: Flags | None = None) -> Votes:
        """Votes of which nothing finer is known."""
        known = np.ones(cast_CN.shape, bool) if known_CN is None else known_CN
        return cls(cast_CN, known, cast_CN.astype(float), {})

    def rows(self, wanted: Sequence[int]) -> Votes:
        """Only these candidates."""
        at = list(wanted)
        return replace(
            self, cast_CN=self.cast_CN[at], known_CN=self.known_CN[at], graded_CN=self.graded_CN[at]
        )

    def columns(self, wanted_N: NDArray[np.int64]) -> Votes:
        """Only these pairs."""
        return replace(
            self,
            cast_CN=self.cast_CN[:, wanted_N],
            known_CN=self.known_CN[:, wanted_N],
            graded_CN=self.graded_CN[:, wanted_N],
        )

    def share(self, wanted: int) -> float:
        """Share of the pairs on which a candidate's vote is known."""
        return float(self.known_CN[wanted].mean()) if self.known_CN.shape[1] else 0.0


def joined(parts: Sequence[Votes]) -> Votes:
    """The candidates of all parts, one after the other."""
    abstained: dict[str, int] = {}
    for part in parts:
        for why, n in part.abstained.items():
            abstained[why] = abstained.get(why, 0) + n
    return Votes(
        np.concatenate([part.cast_CN for part in parts]),
        np.concatenate([part.known_CN for part in parts]),
        np.concatenate([part.graded_CN for part in parts]),
        abstained,
    )


class Measured:
    """Every feature of both answers of every pair; each answer is read once.

    Args:
        pairs: what is measured.
    """

    def __init__(self, pairs: Sequence[LabelledPair]) -> None:
        found: dict[int, list[float]] = {}
        chars: dict[int, float] = {}
        asked: dict[str, frozenset[str]] = {}

        def read(pair: LabelledPair, sample: Sample) -> int:
            if id(sample) not in found:
                if pair.prompt not in asked:
                    asked[pair.prompt] = content_words(pair.asked)
                answer = AnswerText(sample, asked[pair.prompt])
                found[id(sample)] = [feature.score(answer) for feature in FEATURES]
                chars[id(sample)] = float(len(answer.text))
            return id(sample)

        places = [(read(pair, pair.a), read(pair, pair.b)) for pair in pairs]
        shape = (2, len(pairs), len(FEATURES))
        values = np.array([[found[two[side]] for two in places] for side in (0, 1)], float).reshape(shape)
        self._difference_FN = _differences(values[0].T, values[1].T)
        sizes = np.array([[chars[a], chars[b]] for a, b in places], float).reshape(len(pairs), 2)
        self.longer_N = np.log1p(sizes[:, 0]) - np.log1p(sizes[:, 1])
        """Log of how many times longer A is than B, in characters."""

    def votes(self, candidates: Sequence[Candidate]) -> Votes:
        """Votes of candidates that a feature decides."""
        rows = {feature.name: at for at, feature in enumerate(FEATURES)}
        at = [rows[candidate.feature] for candidate in candidates]
        turn_C1 = np.array([candidate.direction for candidate in candidates], float).reshape(-1, 1)
        margin_C1 = np.array([FEATURES[row].margin for row in at], float).reshape(-1, 1)
        apart_CN = self._difference_FN[at] * turn_C1
        cast = np.where(np.abs(apart_CN) > margin_C1, np.sign(apart_CN), 0).astype(np.int8)
        # Several margins apart is as sure as it gets.
        graded = np.clip(apart_CN / (4 * margin_C1), -1, 1)
        return Votes(cast, np.ones(cast.shape, bool), graded, {})


def rule_votes(
    candidates: Sequence[Candidate], constitution: Constitution, pairs: Sequence[LabelledPair]
) -> Votes:
    """Votes of principles with rules: for the answer that passes where the other fails."""
    row = {candidate.principle: at for at, candidate in enumerate(candidates)}
    passed_2CN = np.full((2, len(candidates), len(pairs)), np.nan)
    known_CN = np.ones((len(candidates), len(pairs)), bool)
    if candidates:
        said = ConstitutionFeedback(constitution).judge([pair.group() for pair in pairs])
        for column, judgements in enumerate(said):
            for one in judgements:
                if one.principle not in row or not isinstance(one.target, SampleTarget):
                    continue
                known_CN[row[one.principle], column] &= one.verdict != "error"
                if one.value is not None:
                    passed_2CN[one.target.sample, row[one.principle], column] = one.value >= 0.5
    # A rule that does not speak of one of the answers has no vote on the two.
    cast_CN = np.nan_to_num(passed_2CN[0] - passed_2CN[1], nan=0.0).astype(np.int8)
    cast_CN[~known_CN] = 0
    return Votes.of(cast_CN, known_CN)


def labels_of(pairs: Sequence[LabelledPair]) -> NDArray[np.int8]:
    """1 where A is preferred, -1 where B is."""
    return np.array([pair.label for pair in pairs], np.int8)


def prompts_of(pairs: Sequence[LabelledPair]) -> NDArray[np.int64]:
    """A number for each pair's prompt."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(pair.prompt, len(numbers)) for pair in pairs], np.int64)


def _differences(a_FN: Floats, b_FN: Floats) -> Floats:
    """A less B; of the logarithms where the feature is relative; 0 where one is not known."""
    relative = np.array([feature.relative for feature in FEATURES])
    gap = a_FN - b_FN
    gap[relative] = np.log1p(a_FN[relative]) - np.log1p(b_FN[relative])
    return np.nan_to_num(gap, nan=0.0)
