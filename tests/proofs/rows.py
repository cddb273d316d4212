"""Rows of every kind of data, short enough that fifty algorithms train on them in seconds.

An algorithm whose data kind alone does not say what it reads names a key of its own in its
declaration.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Row = dict[str, Any]
COUNT = 6


def _answers(i: int) -> list[str]:
    """Four answers, best first, of different lengths."""
    return [f" yes {i}!", f" maybe {i} ok", " no", f" never {i} no no"]


def pairs() -> list[Row]:
    """Preferences with margins and probabilities."""
    return [
        {
            "prompt": f"Say {i}.",
            "chosen": _answers(i)[0],
            "rejected": _answers(i)[3 - i % 2],
            "margin": 0.5 + 0.25 * (i % 3),
        }
        for i in range(COUNT)
    ]


def completions() -> list[Row]:
    """Good answers."""
    return [{"prompt": f"Say {i}.", "completion": _answers(i)[i % 2]} for i in range(COUNT)]


def conversations() -> list[Row]:
    """Good answers, as turns."""
    return [
        {
            "prompt": [{"role": "user", "content": f"Say {i}."}],
            "completion": [{"role": "assistant", "content": f"yes {i}!"}],
        }
        for i in range(COUNT)
    ]


def unpaired() -> list[Row]:
    """Answers labelled one by one."""
    return [
        {"prompt": f"Say {i}.", "completion": _answers(i)[i % 4], "label": i % 2 == 0} for i in range(COUNT)
    ]


def rated() -> list[Row]:
    """Four rated answers a prompt."""
    return [
        {"prompt": f"Say {i}.", "responses": _answers(i), "scores": [1.5, 0.75, 0.0, -0.5 - 0.1 * i]}
        for i in range(COUNT)
    ]


def ranked() -> list[Row]:
    """Four ranked answers a prompt."""
    return [{"prompt": f"Say {i}.", "responses": _answers(i), "ranks": [1, 2, 3, 4]} for i in range(COUNT)]


def steps() -> list[Row]:
    """Solutions whose steps are labelled."""
    return [
        {
            "prompt": f"Add {i} and 1.",
            "completions": [f"We add {i}.", "Then 1.", f"So {i + 1}."],
            "labels": [True, i % 3 > 0, i % 2 == 0],
        }
        for i in range(COUNT)
    ]


def prompts() -> list[Row]:
    """Questions alone."""
    return [{"prompt": f"Say {i}."} for i in range(COUNT)]


def rated_as_win_rates() -> list[Row]:
    """Four answers a prompt, each with how often it wins."""
    return [{**row, "scores": [0.9, 0.6, 0.4, 0.1]} for row in rated()]


def also_rated() -> list[Row]:
    """Pairs whose answers are rated on another objective."""
    return [
        {**row, "chosen_scores": {"harmless": 0.2}, "rejected_scores": {"harmless": 0.1 * i}}
        for i, row in enumerate(pairs())
    ]


def attributes() -> list[Row]:
    """Answers rated on named scales, some missing."""
    return [
        {
            "prompt": f"Say {i}.",
            "response": _answers(i)[i % 4],
            "scores": {"helpful": 1.5 - i % 4, "harmless": None if i % 3 else 0.5},
        }
        for i in range(COUNT)
    ]


def beliefs() -> list[Row]:
    """Pairs judged under a belief, and how many people hold it."""
    return [
        {**row, "beliefs": ["1", "2", "3"], "p_star": [0.6, 0.3, 0.1], "belief": i % 3}
        for i, row in enumerate(pairs())
    ]


def grouped() -> list[Row]:
    """Pairs of two groups of people, one twice as large."""
    return [{**row, "group": "nurses" if i % 3 else "pilots"} for i, row in enumerate(pairs())]


def critiques() -> list[Row]:
    """Pairs with a critique of each answer."""
    return [
        {**row, "chosen_critique": "Fine.", "rejected_critique": f"Rude {i}."}
        for i, row in enumerate(pairs())
    ]


ROWS: dict[str, Callable[[], list[Row]]] = {
    "preference": pairs,
    "sft": completions,
    "conversations": conversations,
    "unpaired": unpaired,
    "rated": rated,
    "ranked": ranked,
    "attributes": attributes,
    "steps": steps,
    "prompts": prompts,
    "win rates": rated_as_win_rates,
    "also rated": also_rated,
    "beliefs": beliefs,
    "grouped": grouped,
    "critiques": critiques,
}
"""By kind of data (:data:`charter.catalogue.entry.Data`), or by the name a declaration gives."""

SAMPLED = "sampled"
"""Pairs that the model sampled itself; the workshop makes them."""
