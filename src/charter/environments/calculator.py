"""Arithmetic with a calculator: the model may write a tool call, and gets the result back."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Self

from pydantic import Field, model_validator

from charter.config import Config
from charter.environments.arithmetic import ArithmeticFault, evaluate, number_in, shown
from charter.environments.base import Environment, State, Turn, Unfinished, opening_of
from charter.errors import DataError
from charter.types import Completion, Context, Group, Message, Sample

_TAG = re.compile(r"<(tool|answer)>(.*?)(?:</\1>|(?=<(?:tool|answer)>)|\Z)", re.DOTALL | re.IGNORECASE)
_NUDGE = "Write <tool>an expression</tool> to use the calculator, or <answer>the number</answer> to answer."


class CalculatorOptions(Config):
    """Options of :class:`Calculator`."""

    min_operands: int = Field(2, ge=2)
    """Fewest numbers in a problem."""

    max_operands: int = Field(4, ge=2, le=16)
    """Most numbers in a problem."""

    max_number: int = Field(99, ge=1, le=10**9)
    """Largest number in a problem."""

    operators: str = Field("+-*", pattern=r"^[-+*]+$")
    """Which of ``+``, ``-`` and ``*`` stand in problems."""

    max_turns: int = Field(4, ge=1)
    """Most turns of the model."""

    reply_as: Literal["tool", "user"] = "tool"
    """Whose turn a result is. Templates that show no tool turns get user turns anyway."""

    @model_validator(mode="after")
    def _some_lengths(self) -> Self:
        if self.min_operands > self.max_operands:
            raise ValueError(f"min_operands {self.min_operands} is above max_operands {self.max_operands}")
        return self


@dataclass(frozen=True)
class _Task:
    answer: Fraction
    calls: int = 0
    failed: int = 0


class Calculator(Environment):
    """Problems such as ``12 * 7 + 5``; 1 for the right ``<answer>``, 0 for a wrong one or none.

    ``<tool>12 * 7</tool>`` is answered with the value. Of several tags in a turn the last one counts;
    one that is not closed goes on to the end. Prompts of a data file need a column ``answer``.
    """

    name = "calculator"

    def __init__(self, options: CalculatorOptions | None = None) -> None:
        self.options = options or CalculatorOptions()
        self.max_turns = self.options.max_turns

    def prompts(self, count: int, seed: int) -> list[Group]:
        """``count`` problems, as different as the options allow."""
        rng = random.Random(f"{seed}:calculator")
        seen: set[str] = set()
        groups = []
        for number in range(count):
            for _ in range(20):
                expression = self._expression(rng)
                if expression not in seen:
                    break
            seen.add(expression)
            text = (
                f"What is {expression}? You can use a calculator: write <tool>an expression</tool> and wait "
                "for its result. When you know the number, write <answer>the number</answer>."
            )
            groups.append(
                Group(
                    (Sample(Context((Message("user", text),)), Completion()),),
                    id=f"calculator-{seed}-{number}",
                    meta={"expression": expression, "answer": shown(evaluate(expression))},
                )
            )
        return groups

    def start(self, prompt: Group, seed: int) -> State:
        """The problem, and its answer kept apart.

        Raises:
            DataError: the prompt has no ``answer``, or one that is no number.
        """
        answer = number_in(str(prompt.meta.get("answer", "")))
        if answer is None:
            raise DataError(
                f"'answer' is {prompt.meta.get('answer')!r}, not a number",
                where=prompt.source or prompt.id or None,
                fix="prompts of this environment have a column 'answer'",
            )
        return State(opening_of(prompt), memory=_Task(answer))

    def step(self, state: State, text: str) -> Turn:
        """The result of a tool call, or the reward of an answer."""
        task: _Task = state.memory
        tags = list(_TAG.finditer(text))
        if not tags:
            return Turn((Message("user", _NUDGE),), memory=task, info=_info(task))
        kind, written = tags[-1].group(1).lower(), tags[-1].group(2)
        if kind == "answer":
            right = number_in(written) == task.answer
            return Turn(done=True, reward=float(right), memory=task, info=_info(task))
        try:
            said, failed = shown(evaluate(written)), 0
        except ArithmeticFault as fault:
            said, failed = f"error: {fault}", 1
        task = _Task(task.answer, task.calls + 1, task.failed + failed)
        return Turn((Message(self.options.reply_as, said),), memory=task, info=_info(task))

    def finish(self, state: State, why: Unfinished) -> float:
        """No answer is no success."""
        return 0.0

    def _expression(self, rng: random.Random) -> str:
        options = self.options
        numbers = rng.randint(options.min_operands, options.max_operands)
        parts = [str(rng.randint(1, options.max_number))]
        for _ in range(numbers - 1):
            parts += [rng.choice(options.operators), str(rng.randint(1, options.max_number))]
        return " ".join(parts)


def _info(task: _Task) -> dict[str, int]:
    return {"tool_calls": task.calls, "failed_tool_calls": task.failed}
