"""Tasks with right answers that a small model may sometimes get right, and how they are split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from charter.environments.tasks import SCHEME, reasoning_gym_prompts
from charter.types import Group

TRAINING_SEED, HELD_OUT_SEED, PROBE_SEED = 0, 1000, 2000
TRAINING_TASKS, DRAWN = 500, 1000

EASY: tuple[str, ...] = (
    "spell_backward?min_word_len=3&max_word_len=4",
    "letter_counting?min_words=2&max_words=3",
    "chain_sum?min_terms=2&max_terms=2&min_digits=1&max_digits=2",
    "basic_arithmetic?min_terms=2&max_terms=2&min_digits=1&max_digits=2&allow_parentheses=false"
    "&allow_negation=false",
    "simple_equations?min_terms=2&max_terms=2&min_value=1&max_value=20",
    "number_sorting?min_numbers=3&max_numbers=3&max_decimals=0&min_value=0&max_value=50",
    "gcd?min_value=1&max_value=60",
    "lcm?min_value=1&max_value=30",
    "leg_counting?min_animals=1&max_animals=2&max_instances=5",
    "count_bits?min_n=1&max_n=5000",
    "word_sequence_reversal?min_words=2&max_words=2",
    "needle_haystack?min_num_statements=2&max_num_statements=3",
    "number_filtering?min_numbers=3&max_numbers=3&max_decimals=0&min_value=0&max_value=50",
    "products?min_digits=1&max_digits=2",
    "family_relationships?min_family_size=4&max_family_size=4",
    "word_sorting?min_words=2&max_words=2",
    "fraction_simplification?max_value=40&max_factor=5&styles=[\"plain\"]",
    "decimal_chain_sum?min_terms=2&max_terms=2&max_digits=1&max_decimal_places=1",
)  # fmt: skip
"""Candidates of ``--probe``: easy options, enough different questions to hold some out."""

LUCK = 0.2
"""Most that always saying the same may be right: a task above it would be learnt without being understood."""


def spec_of(task: str, asked: str) -> str:
    """The spec of a candidate, asked in one of the ways, without its size and seed."""
    spec = f"{SCHEME}{task}"
    return f"{spec}{'&' if '?' in spec else '?'}{asked}" if asked else spec


def family(spec: str) -> str:
    """The task's name in reasoning-gym."""
    return spec.removeprefix(SCHEME).partition("?")[0]


def training_spec(spec: str) -> str:
    """The tasks that are trained on."""
    return _drawn(spec, TRAINING_TASKS, TRAINING_SEED)


def held_out_tasks(spec: str, count: int, seed: int = HELD_OUT_SEED) -> list[Group]:
    """``count`` different questions that are not among those trained on.

    Raises:
        ValueError: there are not so many.
    """
    taken = {_question(group) for group in reasoning_gym_prompts(training_spec(spec))}
    found: list[Group] = []
    for group in reasoning_gym_prompts(_drawn(spec, DRAWN, seed)):
        question = _question(group)
        if question not in taken:
            taken.add(question)
            found.append(group)
    if len(found) < count:
        raise ValueError(f"{spec}: only {len(found)} questions are not trained on, wanted {count}")
    return found[:count]


def same_answer(spec: str) -> float:
    """How often the most frequent answer is right, over the tasks that are trained on."""
    answers = Counter(str(group.meta["answer"]) for group in reasoning_gym_prompts(training_spec(spec)))
    return max(answers.values()) / answers.total()


def choose(rates: Sequence[tuple[str, float]], low: float = 0.1, high: float = 0.6) -> list[str]:
    """At most two specs, of different families, whose success rates are nearest the middle of the band."""
    middle = (low + high) / 2
    chosen: list[str] = []
    for spec, rate in sorted(rates, key=lambda one: (abs(one[1] - middle), one[0])):
        if low <= rate <= high and family(spec) not in {family(one) for one in chosen}:
            chosen.append(spec)
    return chosen[:2]


def _drawn(spec: str, size: int, seed: int) -> str:
    return f"{spec}{'&' if '?' in spec else '?'}size={size}&seed={seed}"


def _question(group: Group) -> str:
    return str(group.meta["reasoning_gym"]["question"])
