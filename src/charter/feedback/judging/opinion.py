"""What one judge said of one thing, before it becomes a judgement."""

from __future__ import annotations

from dataclasses import dataclass

from charter.types import Verdict


@dataclass(frozen=True, slots=True)
class Opinion:
    """One reading of one reply, or several combined.

    Attributes:
        verdict: see :data:`charter.types.Verdict`.
        passed: the answer keeps to the principle; of a pair: the first answer is better. None unless judged.
        chance: probability that ``passed`` is true, in [0, 1]; None = the judge gave a word, no probability.
        score: a rating on [0, 1], from forms that rate.
        reason: why, in words for people.
        garbage: a reply came and could not be read.
        orders: of a pair: what was said in each order that was asked, ``first``, ``second``, ``tie`` or
            ``""`` (nothing that could be read).
    """

    verdict: Verdict
    passed: bool | None = None
    chance: float | None = None
    score: float | None = None
    reason: str = ""
    garbage: bool = False
    orders: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.passed is None) == (self.verdict == "judged"):
            raise ValueError(f"verdict {self.verdict!r} does not fit passed={self.passed!r}")

    @property
    def sure(self) -> float | None:
        """Probability that the label is right: of passing where it passed, of failing where it failed."""
        if self.chance is None or self.passed is None:
            return None
        return self.chance if self.passed else 1.0 - self.chance


def failed(reason: str, *, garbage: bool = False) -> Opinion:
    """There was no answer, or it could not be read."""
    return Opinion("error", reason=reason, garbage=garbage)


def judged(passed: bool, reason: str, *, chance: float | None = None, score: float | None = None) -> Opinion:
    """A verdict."""
    return Opinion("judged", passed, chance, score, reason)


def unsure(reason: str) -> Opinion:
    """The judge was asked and would not say."""
    return Opinion("abstained", reason=reason)


def inapplicable(reason: str = "the judge says the principle has nothing to say here") -> Opinion:
    """The principle is not about the conversation."""
    return Opinion("not_applicable", reason=reason)
