"""A principle that might explain the preferences, and how it casts its votes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from charter.feedback.recovering.features import BY_NAME, FEATURES, Feature
from charter.feedback.revising.near_duplicates import normalised

Source = Literal["declared", "supplied", "proposed", "catalogue"]
"""``declared``: of the constitution that is held against the pairs; ``supplied``: of the person's own list;
``proposed``: by a model; ``catalogue``: comes with Charter."""

Means = Literal["feature", "rules", "judge", "nothing"]
"""What casts its votes; ``nothing`` = it cannot be measured here."""

SOURCES: tuple[Source, ...] = ("declared", "supplied", "proposed", "catalogue")
SELECT = "Select the answer that "


@dataclass(frozen=True)
class Candidate:
    """A candidate.

    Attributes:
        id: unique among the candidates of a recovery.
        text: "Select the answer that ...", or the words of a principle.
        source: see :data:`Source`.
        means: see :data:`Means`.
        feature: name of the feature that decides, where ``means`` is ``feature``.
        direction: 1 = the answer with more of the feature, -1 = with less.
        principle: id in the constitution it comes from; "" = it comes from none.
        title: its title there.
    """

    id: str
    text: str
    source: Source = "catalogue"
    means: Means = "feature"
    feature: str = ""
    direction: int = 1
    principle: str = ""
    title: str = ""

    @property
    def measured(self) -> Feature | None:
        """The feature."""
        return BY_NAME.get(self.feature)

    @property
    def says(self) -> str:
        """The title; else the text without "Select the answer that" and without the full stop."""
        if self.title and not self.text.startswith(SELECT):
            return self.title
        text = " ".join(self.text.split())
        short = text.removeprefix(SELECT).rstrip(".")
        return short if short else text

    @property
    def about(self) -> str:
        """What it rewards, in one or two words: ``length``, ``fewer: lists``."""
        if self.measured is None:
            return self.says
        word = self.measured.word or self.feature
        return word if self.direction > 0 else f"less {word}" if self.feature != "length" else "shortness"


def catalogue() -> tuple[Candidate, ...]:
    """Every feature in both directions."""
    found = []
    for feature in FEATURES:
        for direction, said, end in ((1, feature.more, "more"), (-1, feature.less, "less")):
            found.append(
                Candidate(
                    f"{feature.name}.{end}",
                    f"{SELECT}{said}.",
                    feature=feature.name,
                    direction=direction,
                )
            )
    return tuple(found)


def in_catalogue(text: str) -> Candidate | None:
    """The candidate of the catalogue whose text is ``text``, as a draft writes it; None = there is none."""
    return _texts().get(normalised(text))


def _texts() -> dict[str, Candidate]:
    return {normalised(candidate.text): candidate for candidate in catalogue()}
