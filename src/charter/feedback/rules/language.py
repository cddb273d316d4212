"""Rules that stand on a kept library: language, readability, profanity.

The libraries are imported when a rule first needs them (textstat alone takes a second).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from charter.constitution.rules import Language, Profanity, Readability
from charter.feedback.rules.outcome import Outcome, abstained, failed, passed
from charter.feedback.rules.text import words
from charter.types import FinishReason


def language(text: str, finish_reason: FinishReason, prompt: str, config: Language) -> Outcome:
    """The detector's best guess is the language asked for; abstains when it is unsure."""
    count = len(words(text))
    if count < config.min_words:
        return abstained(f"{count} words are too few to tell the language")
    best, probability = _identifier().classify(text)
    if probability < config.min_probability:
        return abstained(f"language unclear: {best!r} with probability {probability:.2f}")
    reason = f"language {best!r} with probability {probability:.2f}"
    return passed(reason) if best == config.code else failed(reason)


def readability(text: str, finish_reason: FinishReason, prompt: str, config: Readability) -> Outcome:
    """A readability score within bounds; abstains on a few words."""
    count = len(words(text))
    if count < config.min_words:
        return abstained(f"{count} words are too few to score")
    score = float(_metric(config.metric)(text))
    reason = f"{config.metric.replace('_', ' ')} {score:.1f}"
    if config.min is not None and score < config.min:
        return failed(f"{reason}, below {config.min:g}")
    if config.max is not None and score > config.max:
        return failed(f"{reason}, above {config.max:g}")
    return passed(reason)


def profanity(text: str, finish_reason: FinishReason, prompt: str, config: Profanity) -> Outcome:
    """No word of the list."""
    # The library reads `*` as a masked letter; here it is far more often Markdown.
    if _profanities(config.allow, config.also).contains_profanity(text.replace("*", " ")):
        return failed("contains profanity")
    return passed("no profanity")


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@lru_cache(maxsize=16)
def _metric(name: str) -> Callable[[str], float]:
    import textstat

    return getattr(textstat, name)  # type: ignore[no-any-return]


@lru_cache(maxsize=16)
def _profanities(allow: tuple[str, ...], also: tuple[str, ...]) -> Any:
    from better_profanity import Profanity as Censor

    censor = Censor()
    censor.load_censor_words(whitelist_words=list(allow))
    censor.add_censor_words([word.lower() for word in also])
    censor.CENSOR_WORDSET = _Memo(censor.CENSOR_WORDSET)
    return censor


class _Memo(list[Any]):
    """A word list that remembers what it was asked: the library compares each word with all of it."""

    def __init__(self, words: list[Any]) -> None:
        super().__init__(words)
        self._asked: dict[str, bool] = {}

    def __contains__(self, word: object) -> bool:
        key = str(word)
        if key not in self._asked:
            self._asked[key] = super().__contains__(word)
        return self._asked[key]
