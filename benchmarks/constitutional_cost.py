"""What the constitutional study costs at most, in model calls, before any is made.

Lengths are told from bytes (four to a token), and every answer is taken to reach its limit. Text that several
prompts begin with is read once for each forward of so many tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from constitutional_arms import CONSTITUTION, HELD_OUT, MAX_TOKENS, RECIPES, RUNS, SPEC, TESTS_EACH, values_of

from charter.constitution import Constitution, Principle
from charter.constitution.exchange import ImportOptions, import_file
from charter.engines.in_context import urial_prompt
from charter.feedback.revising.prompts import wordings
from charter.feedback.revising.rule_critic import RULES
from charter.pipeline.recipe import train_options
from charter.rundir import read_jsonl

PREFILL, READER = 2048, 4096
"""Tokens read in one forward, by the decoder and by a distilled judge."""

DEPTH = 0.4
"""Share of the layers that a distilled judge computes."""

_BYTES, _QUESTION = 4, 40
"""Bytes to a token, and tokens of a prompt that is trained on with its answer."""

SPEED = {"sampled": 600.0, "read": 1000.0, "trained": 200.0}
"""Tokens a second of the default model on two cores."""


@dataclass(frozen=True)
class Cost:
    """Tokens, at most; ``read`` in whole forwards."""

    sampled: float = 0.0
    read: float = 0.0
    trained: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.sampled + other.sampled, self.read + other.read, self.trained + other.trained)

    @property
    def minutes(self) -> float:
        """At :data:`SPEED`."""
        spent = {"sampled": self.sampled, "read": self.read, "trained": self.trained}
        return sum(spent[name] / speed for name, speed in SPEED.items()) / 60


def plan_lines(names: Sequence[str]) -> Iterator[str]:
    """A table of arms and the whole."""
    total = Cost()
    yield f"{'arm':20} {'sampled':>9} {'read':>9} {'trained':>9} {'minutes':>8}"
    for name in names:
        one = cost_of(name)
        total += one
        yield _line(name, one)
    yield _line("in all", total)
    speeds = ", ".join(f"{speed:g} {name}" for name, speed in SPEED.items())
    yield f"tokens, at most; minutes at {speeds} tokens a second"


def _line(name: str, one: Cost) -> str:
    return f"{name:20} {one.sampled:9.0f} {one.read:9.0f} {one.trained:9.0f} {one.minutes:8.1f}"


def cost_of(name: str) -> Cost:
    """One arm."""
    if name in RUNS:
        return _recipe(values_of(name)["stages"])
    if name == "prompted":
        return _compared(_held_out(), _tokens(Constitution.load(CONSTITUTION).system_prompt()))
    if name == "urial":
        shown = urial_prompt()
        before = _tokens(shown.preamble) + sum(_tokens(one.query + one.answer) for one in shown.examples)
        return _compared(_held_out(), before)
    if name == "assistant":
        law = Constitution.load("assistant")
        asked = [prompt for one in law.active for case in one.tests for prompt in case.prompts()]
        turns = sum(1 + len(getattr(case.config, "push", ())) for one in law.active for case in one.tests)
        # Every test is asked as a prompt, and again in the way of its kind.
        again = Cost(turns * MAX_TOKENS, sum(map(_tokens, asked)))
        return _judge(law) + _answers(asked) + again
    law = import_file(
        SPEC / "model_spec.md", "model-spec", ImportOptions(tests=str(SPEC / "model_spec_examples"))
    ).constitution
    asked = [prompt for one in law.active for case in one.tests[:TESTS_EACH] for prompt in case.prompts()]
    return _judge(law) + _answers(asked)


def _answers(prompts: Sequence[str], before: int = 0) -> Cost:
    """One answer to each prompt, all of which begin with ``before`` tokens."""
    own = sum(map(_tokens, prompts))
    forwards = -(-(own + before * len(prompts)) // PREFILL)
    return Cost(len(prompts) * MAX_TOKENS, own + min(forwards, len(prompts)) * before)


def _compared(prompts: Sequence[str], before: int = 0) -> Cost:
    """Answers of the model and of the one before, all of which the one before reads once more."""
    asked = _answers(prompts, before) + _answers(prompts)
    again = 2 * (sum(map(_tokens, prompts)) + MAX_TOKENS * len(prompts))
    return asked + Cost(read=again)


def _judge(law: Constitution) -> Cost:
    """A distilled judge and its card: each different answer is read once."""
    return Cost(read=DEPTH * sum(map(_reading, law.active)))


def _reading(principle: Principle) -> float:
    """The GOOD and BAD answers; the good ones with markdown, the bad ones with neutral and planted words."""
    said = _tokens(f"{principle.title} {principle.text}")
    found = 0
    for example in principle.examples:
        for before, comparison in example.conversations():
            good, bad = comparison.labelled("good"), comparison.labelled("bad")
            found += sum(_tokens(turn.content) for turn in before)
            found += sum(2 * _tokens(one.text) for one in good) + sum(3 * _tokens(one.text) for one in bad)
    # The principle's words stand before each answer, and are computed once for each forward.
    return found + said * max(1, -(-found // READER)) if found else 0.0


def _recipe(stages: Sequence[dict[str, Any]]) -> Cost:
    total, longest = Cost(), MAX_TOKENS
    for stage in stages:
        ((kind, options),) = stage.items()
        options = options or {}
        longest = options.get("max_completion_length", longest)
        if kind == "sample":
            prompts = _prompts(options["prompts"])
            total += Cost(len(prompts) * options["num_generations"] * longest, sum(map(_tokens, prompts)))
        elif kind == "revise":
            total += _revise(_prompts(options["prompts"]), options)
        elif kind == "train":
            total += _train(options, longest)
        elif kind == "evaluate":
            total += _compared(_prompts(options["prompts"]))
    return total


def _revise(prompts: Sequence[str], options: dict[str, Any]) -> Cost:
    """Answers, then critiques and revisions that each read what came before, worked examples first.

    Rules criticise for nothing, and show no examples.
    """
    answer, own = options["max_completion_length"], sum(map(_tokens, prompts))
    total = Cost(len(prompts) * answer, own)
    if options["critic"] == RULES:
        examples, texts = 0, [(answer, answer + _tokens(wordings()["rule_revision"].text))]
    else:
        critique = options["max_critique_length"]
        examples = sum(_tokens(turn.content) for turn in wordings().example_turns())
        asked = _tokens(Constitution.load(CONSTITUTION).active[0].text) + _tokens(wordings()["revision"].text)
        # A critique reads the answer and a request; a revision reads the critique and another request too.
        texts = [(critique, answer + asked), (answer, answer + critique + 2 * asked)]
    for written, read in texts:
        mine = own + len(prompts) * read
        forwards = min(len(prompts), -(-(mine + examples * len(prompts)) // PREFILL))
        for _ in range(options["rounds"]):
            total += Cost(len(prompts) * written, mine + forwards * examples)
    return total


def _train(options: dict[str, Any], longest: int) -> Cost:
    """Rows of an answer each; pairs are two, which the reference reads as well."""
    given = {
        key: value for key, value in options.items() if key not in ("name", "algorithm", "model", "data")
    }
    found = train_options(options["algorithm"], given, "recipe")
    rows = found.max_steps * found.batch_size * (longest + _QUESTION)
    return Cost(trained=rows) if options["algorithm"] == "sft" else Cost(read=2 * rows, trained=2 * rows)


def _prompts(name: str) -> list[str]:
    return [_said(row) for row in read_jsonl(RECIPES / name)]


def _held_out() -> list[str]:
    return [_said(row) for row in read_jsonl(HELD_OUT)]


def _said(row: dict[str, Any]) -> str:
    prompt = row["prompt"]
    return prompt if isinstance(prompt, str) else " ".join(turn["content"] for turn in prompt)


def _tokens(text: str) -> int:
    return len(text.encode()) // _BYTES
