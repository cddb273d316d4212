"""Tasks with a score of their own: prompts from reasoning-gym, and the score of an answer.

A data spec such as ``reasoning-gym:spell_backward?size=500&seed=1&min_word_len=3`` names a task
family, its options and how many tasks. Tasks are made from the seed, so a prompt carries only which
one it is, and its scorer makes it again: nothing a task holds has to survive being written to a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from charter.errors import ConfigError, EnvironmentFault, did_you_mean
from charter.types import Completion, Context, Group, Message, Sample

if TYPE_CHECKING:
    from charter.data.formats import LoadedData

SCHEME = "reasoning-gym:"
TASK = "reasoning_gym"
"""Column with what :func:`score` needs to make a task again."""

INSTRUCTIONS: Mapping[str, str] = {
    "none": "",
    "answer": "Write your final answer, and nothing else, between <answer> and </answer>.",
    "think": "First think between <think> and </think>, then write your final answer, and nothing else, "
    "between <answer> and </answer>.",
}
"""What may be said after a question, by the option ``instruction``."""

EXAMPLES_SEED = 1_000_003
"""Solved examples are of this seed, whatever the tasks' own: trained and held-out prompts show the same."""

_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_DEFAULTS: Mapping[str, Any] = {"size": 500, "seed": 0}
_OURS = ("instruction", "shots")


def is_task_spec(source: Any) -> bool:
    """Whether a source of data is a spec of tasks."""
    return isinstance(source, str) and source.startswith(SCHEME)


def load_prompts(source: Any, **options: Any) -> LoadedData:
    """Prompts from a spec of tasks, or from what :func:`charter.data.formats.load_groups` reads.

    Args:
        source: which.
        options: of ``load_groups``.
    """
    from charter.data.formats import LoadedData, load_groups

    if not is_task_spec(source):
        return load_groups(source, "prompts", **options)
    groups = tuple(reasoning_gym_prompts(source))
    asked = _parsed(source).options["size"]
    counts = {"tasks made": asked, "shown as solved examples": asked - len(groups)}
    return LoadedData(groups, {what: n for what, n in counts.items() if n}, "prompts", source)


def reasoning_gym_prompts(spec: str) -> list[Group]:
    """The tasks that ``spec`` names, one group each with the question as a user turn.

    ``meta`` holds ``reasoning_gym`` (dataset, options and index, for the scorer), ``answer`` (one right
    answer) and ``entry`` (the whole task as JSON). Beside the task family's own options there are
    ``size`` (500), ``seed`` (0), ``instruction`` (see :data:`INSTRUCTIONS`) and ``shots`` (0): so many solved
    tasks of the family are shown before the question, as turns. They are the same for every prompt and seed;
    a task that is one of them is left out. Under ``instruction=think`` their thoughts repeat the question.

    Raises:
        ConfigError: no such tasks, an unknown option, or a value the family refuses.
        EnvironmentFault: reasoning-gym is not installed.
    """
    asked = _parsed(spec)
    dataset = _dataset(asked.name, asked.options, spec)
    shown = _examples(asked, spec)
    taken = {message.content for message in shown}
    made = ((index, dataset[index]) for index in range(len(dataset)))
    return [
        _group(spec, asked, index, entry, shown)
        for index, entry in made
        if asked.question(entry) not in taken
    ]


def score(completion: str, task: Mapping[str, Any]) -> float:
    """The task's own score of an answer, 0 to 1. Some scorers evaluate what they read: run it in a sandbox.

    Args:
        completion: see :func:`answer_in`.
        task: ``meta["reasoning_gym"]`` of its prompt.

    Raises:
        ConfigError: the installed reasoning-gym makes another task of it.
    """
    dataset = _dataset(task["dataset"], task["options"], f"{SCHEME}{task['dataset']}")
    entry = dataset[task["index"]]
    if entry["question"] != task["question"]:
        raise ConfigError(
            f"this version of reasoning-gym makes another task {task['index']} of {task['dataset']}",
            fix="install the version the prompts were made with",
        )
    return float(dataset.score_answer(answer_in(completion), entry))


def answer_in(completion: str) -> str:
    """The last ``<answer>`` of a completion, or what follows ``</think>``, or all of it."""
    tagged = _ANSWER.findall(completion)
    return (tagged[-1] if tagged else completion.rpartition("</think>")[2]).strip()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a spec says: the family, its options with size and seed, and what Charter adds."""

    name: str
    options: dict[str, Any]
    instruction: str
    shots: int

    def question(self, entry: Mapping[str, Any]) -> str:
        """What the user says."""
        said = INSTRUCTIONS[self.instruction]
        return f"{entry['question']}\n\n{said}" if said else str(entry["question"])

    def solution(self, entry: Mapping[str, Any]) -> str:
        """The assistant in a solved example. No family writes thoughts: they repeat the question."""
        if self.instruction == "none":
            return str(entry["answer"])
        thoughts = f"<think>{entry['question'].strip()}</think>\n" if self.instruction == "think" else ""
        return f"{thoughts}<answer>{entry['answer']}</answer>"


def _parsed(spec: str) -> _Asked:
    name, _, query = spec.removeprefix(SCHEME).partition("?")
    if not name:
        raise ConfigError(
            "it does not say which tasks", where=spec, fix=f"write {SCHEME}spell_backward?size=500"
        )
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ConfigError(f"bad options {query!r}", where=spec, fix="write ?key=value&key=value") from None
    options: dict[str, Any] = dict(_DEFAULTS)
    written: set[str] = set()
    for key, value in pairs:
        if key in written:
            raise ConfigError(f"option {key!r} is written twice", where=spec)
        written.add(key)
        options[key] = _value(value)
    instruction = str(options.pop("instruction", "none"))
    if instruction not in INSTRUCTIONS:
        raise ConfigError(
            f"unknown instruction {instruction!r}", where=spec, fix=did_you_mean(instruction, INSTRUCTIONS)
        )
    options.setdefault("shots", 0)
    for key, least in (("size", 1), ("seed", 0), ("shots", 0)):
        if type(options[key]) is not int or options[key] < least:
            raise ConfigError(
                f"{key} is a whole number of at least {least}, not {options[key]!r}", where=spec
            )
    shots = options.pop("shots")
    return _Asked(name, options, instruction, shots)


def _examples(asked: _Asked, spec: str) -> tuple[Message, ...]:
    """Solved tasks as turns: no question twice."""
    if not asked.shots:
        return ()
    drawn = {**asked.options, "seed": EXAMPLES_SEED, "size": 20 * asked.shots}
    dataset = _dataset(asked.name, drawn, spec)
    solved: dict[str, str] = {}
    for index in range(len(dataset)):
        entry = dataset[index]
        if entry["answer"] is None:
            raise ConfigError(
                f"{asked.name} has no written answers to show", where=spec, fix="leave out shots"
            )
        solved.setdefault(asked.question(entry), asked.solution(entry))
        if len(solved) == asked.shots:
            break
    if len(solved) < asked.shots:
        raise ConfigError(
            f"{asked.name} has only {len(solved)} different questions with these options",
            where=spec,
            fix="show fewer, or widen the options",
        )
    turns = ((Message("user", question), Message("assistant", answer)) for question, answer in solved.items())
    return tuple(message for turn in turns for message in turn)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _dataset(name: str, options: Mapping[str, Any], where: str) -> Any:
    try:
        from reasoning_gym.factory import DATASETS, create_dataset
    except ImportError as fault:
        raise EnvironmentFault(
            f"these tasks need the package reasoning-gym ({fault})",
            where=where,
            fix="install the extra `charter[tasks]`, or the package itself",
        ) from None
    if not DATASETS:
        import reasoning_gym  # noqa: F401  (its families register themselves)
    if name not in DATASETS:
        raise ConfigError(
            f"reasoning-gym has no tasks {name!r}", where=where, fix=did_you_mean(name, DATASETS)
        )
    known = {field.name: field for field in fields(DATASETS[name][1])}
    for key in options:
        if key not in known:
            raise ConfigError(
                f"{name} has no option {key!r}", where=where, fix=did_you_mean(key, [*known, *_OURS])
            )
    # A range is written as a list, and kept as a tuple.
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    try:
        return create_dataset(name, **given)
    except (AssertionError, ValueError, TypeError) as fault:
        raise ConfigError(f"{name} refuses its options: {fault}", where=where) from None


def _group(
    spec: str, asked: _Asked, index: int, entry: Mapping[str, Any], shown: tuple[Message, ...]
) -> Group:
    task = {
        "dataset": asked.name,
        "options": dict(asked.options),
        "index": index,
        "question": entry["question"],
    }
    meta = {
        TASK: task,
        "answer": None if entry["answer"] is None else str(entry["answer"]),
        "entry": json.dumps(entry, default=str, ensure_ascii=False),
        "tags": (asked.name,),
    }
    sample = Sample(Context((*shown, Message("user", asked.question(entry)))), Completion())
    return Group(
        (sample,),
        id=f"{asked.name}-{asked.options['seed']}-{index}",
        source=f"{Path(spec).name}#{index}",
        meta=meta,
    )
