"""Principles proposed by a model that is shown pairs and which answer was preferred."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from charter.feedback.judging.ask import Tally, ask
from charter.feedback.judging.model import Asking, JudgeModel, Question
from charter.feedback.judging.prompts import Prompt, code_of, quote
from charter.feedback.judging.view import View
from charter.feedback.recovering.candidate import SELECT, in_catalogue
from charter.feedback.recovering.pairs import LabelledPair
from charter.feedback.revising.near_duplicates import Seen
from charter.interrupt import graceful

NAME = "propose"
_LINE = re.compile(
    r"^\W*(?:\d+[.)]\s*)?\W*select the (?:answer|response|output) (?:that|which)\s+(.+?)\W*$", re.I
)
_VERSION = re.compile(r"version: (\d+)\n")
_MOST_WORDS = 30
_VIEW = View(max_chars=2_000, max_context_chars=1_000)


@dataclass(frozen=True)
class Asked:
    """How principles are asked for.

    Attributes:
        questions: how many, each about other pairs.
        pairs: shown in each.
        most: principles wanted from each.
        max_tokens: most tokens of a reply.
        seed: which pairs are shown, in what order.
    """

    questions: int = 8
    pairs: int = 4
    most: int = 5
    max_tokens: int = 400
    seed: int = 0


@dataclass(frozen=True)
class Proposal:
    """What a model proposed.

    Attributes:
        texts: "Select the answer that ...", each once.
        about: who was asked what, and what came back.
    """

    texts: tuple[str, ...]
    about: dict[str, Any]


def propose(model: JudgeModel, pairs: Sequence[LabelledPair], asked: Asked | None = None) -> Proposal:
    """Principles that ``model`` reads out of ``pairs``, which must not be those they are tested on.

    Nearly equal ones are kept once, and those that the catalogue has already are left to it.

    Raises:
        Interrupted: the person asked to stop; what an endpoint said is in its journal.
    """
    asked = asked or Asked()
    tally = Tally()
    how = Asking(n=1, temperature=0.0, max_tokens=asked.max_tokens, seed=asked.seed)
    with graceful():
        replies = ask(model, questions(pairs, asked), how, tally)
    seen, texts = Seen(), list[str]()
    counts = {"lines that are no principle": 0, "said before": 0, "in the catalogue": 0}
    for (reply,) in replies:
        for line in reply.text.splitlines():
            if not line.strip():
                continue
            found = _LINE.match(line)
            if found is None or len(found[1].split()) > _MOST_WORDS:
                counts["lines that are no principle"] += 1
                continue
            text = f"{SELECT}{found[1].strip()}."
            if in_catalogue(text) is not None:
                counts["in the catalogue"] += 1
            elif seen.twin(found[1]) is not None:
                counts["said before"] += 1
            else:
                seen.add(found[1])
                texts.append(text)
    about = {
        "model": model.name,
        "prompt": prompt().name,
        "prompt_version": prompt().version,
        "prompt_sha": prompt().sha,
        "questions": tally.questions,
        "failed": tally.failed,
        "cost": tally.cost,
        "proposed": len(texts),
        **counts,
    }
    return Proposal(tuple(texts), about)


def questions(pairs: Sequence[LabelledPair], asked: Asked) -> list[Question]:
    """What the model is asked; no pair is shown twice, and either answer may come first."""
    rng = random.Random(asked.seed)
    drawn = sorted(pairs, key=lambda pair: pair.key)
    rng.shuffle(drawn)
    drawn = drawn[: asked.questions * asked.pairs]
    batches = [drawn[start : start + asked.pairs] for start in range(0, len(drawn), asked.pairs)]
    return [_question(batch, asked.most, rng) for batch in batches]


@cache
def prompt() -> Prompt:
    """The template."""
    text = resources.files(__package__).joinpath("prompts", f"{NAME}.txt").read_text(encoding="utf-8")
    head = _VERSION.match(text)
    if head is None:
        raise ValueError("the prompt for proposals does not begin with its version")
    return Prompt(NAME, int(head[1]), text[head.end() :])


def _question(batch: Sequence[LabelledPair], most: int, rng: random.Random) -> Question:
    shown = []
    for pair in batch:
        two = [("CHOSEN ANSWER", _text(pair, True)), ("OTHER ANSWER", _text(pair, False))]
        rng.shuffle(two)
        shown.append((_VIEW.see(pair.a).conversation, two))
    code = code_of(text for talk, two in shown for text in [*(t.content for t in talk), *(t for _, t in two)])
    blocks = []
    for number, (talk, two) in enumerate(shown, start=1):
        asked = "\n".join(turn.content for turn in talk)
        blocks.append(quote(f"QUESTION OF PAIR {number}", asked, code))
        blocks += [quote(f"{label} OF PAIR {number}", text, code) for label, text in two]
    return prompt().ask({"code": code, "pairs": "\n\n".join(blocks), "most": str(most)})


def _text(pair: LabelledPair, chosen: bool) -> str:
    seen = _VIEW.see(pair.chosen if chosen else pair.rejected)
    return "\n".join(turn.content for turn in seen.answer)
