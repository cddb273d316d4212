"""A judge from a script: it knows the truth, and errs as it is told to."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from charter.feedback.judging.model import Asking, Question, Reply
from charter.feedback.judging.prompts import name_of

Truth = Callable[[str, str], bool]
"""Whether an answer keeps to a principle, from the principle's title and the answer's text."""

_CODE = re.compile(r"marker lines that carry the code ([0-9a-f]+)\.")
_SCALE = re.compile(r"Rate the answer from 1 to (\d+) ")
_LOGIT = 4.0


@dataclass
class ScriptedJudge:
    """Answers every form of question from what stands between the markers, and reads nothing else.

    Errors are drawn from hashes: the same question always gets the same answer.

    Attributes:
        truth: see :data:`Truth`.
        sensitivity: share of answers that keep to a principle which it says keep to it.
        specificity: share of answers that break a principle which it says break it.
        position: of two answers, the probability of naming the first place without reading.
        length: of two answers, the probability of naming the longer one without reading.
        garbage: share of replies that are no verdict.
        repeatable: errors are those of the answer; off = of each reply, so that repeating helps.
        yes_man: says yes to any question, flipped or not.
        not_about: conversations a principle has nothing to say on, from its title and the conversation.
        down: replies are errors.
        seed: decides the errors.
        name: see :class:`charter.feedback.judging.model.JudgeModel`.
        family: likewise.
        asked: every question, in order.
    """

    truth: Truth
    sensitivity: float = 1.0
    specificity: float = 1.0
    position: float = 0.0
    length: float = 0.0
    garbage: float = 0.0
    repeatable: bool = True
    yes_man: bool = False
    not_about: Callable[[str, str], bool] = lambda title, conversation: False
    down: bool = False
    seed: int = 0
    name: str = "scripted"
    family: str = "scripted-family"
    asked: list[Question] = field(default_factory=list)

    def answer(self, questions: Sequence[Question], asking: Asking) -> list[list[Reply]]:
        """See :class:`charter.feedback.judging.model.JudgeModel`."""
        self.asked += questions
        return [[self._reply(one, asking.seed, number) for number in range(asking.n)] for one in questions]

    def _reply(self, question: Question, seed: int, number: int) -> Reply:
        if self.down:
            return Reply(error="the scripted judge is down", model=self.name)
        draw = "" if self.repeatable else f"{seed}:{number}"
        if self._chance("garbage", question.sha, f"{seed}:{number}") < self.garbage:
            return Reply("Well, it depends on how one looks at it.", model=self.name)
        text = self._said(question, draw)
        return Reply(text, model=self.name, tokens_in=len(question.turns[-1].content) // 4, tokens_out=1)

    def _said(self, question: Question, draw: str) -> str:
        read = Read.of(question)
        form = name_of(question.prompt_sha)
        if form == "pairwise":
            return self._side(read, draw)
        if form == "all_at_once":
            numbered = {
                name.split()[1]: text for name, text in read.blocks.items() if name.startswith("PRINCIPLE ")
            }
            said = {number: self._word(read, title_of(text), draw) for number, text in numbered.items()}
            return json.dumps({number: word.lower() for number, word in said.items()})
        word = self._word(read, read.title, draw)
        if form == "rubric_scale":
            return {"Yes": str(read.scale), "No": "1"}.get(word, word)
        if form == "with_reasons":
            return f"The principle is {read.title!r}.\nVerdict: {word}"
        if form == "per_principle_flipped" and not self.yes_man:
            return {"Yes": "No", "No": "Yes"}.get(word, word)
        return word

    def _word(self, read: Read, title: str, draw: str) -> str:
        if self.yes_man:
            return "Yes"
        if self.not_about(title, read.blocks["CONVERSATION"]):
            return "NA"
        return "Yes" if self._passes(title, read.blocks["ANSWER"], draw) else "No"

    def _side(self, read: Read, draw: str) -> str:
        a, b = read.blocks["ANSWER A"], read.blocks["ANSWER B"]
        key = (*sorted((a, b)), read.title, draw)
        if self._chance("position", *key) < self.position:
            return "A"
        if self._chance("length", *key) < self.length and len(a) != len(b):
            return "A" if len(a) > len(b) else "B"
        if self.not_about(read.title, read.blocks["CONVERSATION"]):
            return "NA"
        first, second = (self._passes(read.title, text, draw) for text in (a, b))
        return "Tie" if first == second else "A" if first else "B"

    def _passes(self, title: str, answer: str, draw: str) -> bool:
        true = self.truth(title, answer)
        right = self.sensitivity if true else self.specificity
        return true == (self._chance("error", title, answer, draw) < right)

    def _chance(self, *parts: str) -> float:
        """Uniform on [0, 1), from a hash."""
        drawn = hashlib.sha256("\x00".join((str(self.seed), *parts)).encode()).digest()
        return int.from_bytes(drawn[:7], "big") / 2**56


@dataclass
class ScriptedOptionJudge(ScriptedJudge):
    """The same judge, which also gives log-probs: of what it would say, and less of the rest.

    Attributes:
        confidence: logit of what it would say against any other option.
    """

    confidence: float = _LOGIT

    def option_logps(
        self, questions: Sequence[Question], options: Sequence[Sequence[str]]
    ) -> list[tuple[float, ...]]:
        """See :class:`charter.feedback.judging.model.OptionModel`; NaN where the judge is down."""
        self.asked += questions
        return [self._logps(question, of) for question, of in zip(questions, options, strict=True)]

    def _logps(self, question: Question, options: Sequence[str]) -> tuple[float, ...]:
        if self.down:
            return (math.nan,) * len(options)
        said = self._said(question, "")
        scores = [self.confidence if one == said else 0.0 for one in options]
        total = math.log(sum(map(math.exp, scores)))
        return tuple(one - total for one in scores)


@dataclass(frozen=True)
class Read:
    """What stands between the markers of a question.

    Attributes:
        blocks: text by label.
        scale: the highest rating, where one is asked for.
    """

    blocks: dict[str, str]
    scale: int = 0

    @property
    def title(self) -> str:
        """Of the principle that is asked about."""
        return title_of(self.blocks["PRINCIPLE"])

    @classmethod
    def of(cls, question: Question) -> Read:
        """Read ``question``: the code is named before any material, and only it opens and closes a block.

        Raises:
            ValueError: it is no question of a judge.
        """
        text = question.turns[-1].content
        code = _CODE.search(text)
        if code is None:
            raise ValueError("the question names no code")
        block = re.compile(
            rf"\[\[BEGIN ([A-Z0-9 ]+) {code[1]}\]\]\n(.*?)\n\[\[END \1 {code[1]}\]\]", re.DOTALL
        )
        scale = _SCALE.search(block.sub("", text))
        return cls(dict(block.findall(text)), int(scale[1]) if scale else 0)


def title_of(principle: str) -> str:
    """The first line."""
    return principle.split("\n", 1)[0]
