"""Which tasks are asked: a small set with names, any family of reasoning-gym, or a whole spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from charter.environments.tasks import SCHEME, is_task_spec
from charter.errors import ConfigError

TASKS: Mapping[str, str] = {
    "arithmetic": "basic_arithmetic?max_terms=3&max_digits=2&allow_parentheses=false",
    "equations": "simple_equations?min_terms=2&max_terms=2&max_value=20",
    "spelling": "spell_backward?min_word_len=3&max_word_len=5",
    "letters": "letter_counting?min_words=3&max_words=6",
    "sorting": "number_sorting?min_numbers=3&max_numbers=4&max_decimals=0",
    "legs": "leg_counting?min_animals=2&max_animals=3&max_instances=4",
}
"""Tasks by name: easy ones, because a model that gets none right has nothing to lose."""


def task_specs(names: Sequence[str], n: int, seed: int) -> dict[str, str]:
    """A spec of ``n`` tasks for each name: of :data:`TASKS`, a family, or a spec of one's own.

    Names and families get the size and seed given here, and ask for the answer in tags.

    Raises:
        ConfigError: none, or one named twice.
    """
    if not names:
        raise ConfigError(
            "no tasks", where="tasks", fix=f"known: {', '.join(TASKS)}, or a family of reasoning-gym"
        )
    found: dict[str, str] = {}
    for name in names:
        if name in found:
            raise ConfigError(f"task {name!r} is named twice", where="tasks")
        if is_task_spec(name):
            found[name] = name
            continue
        spec = TASKS.get(name, name)
        joint = "&" if "?" in spec else "?"
        found[name] = f"{SCHEME}{spec}{joint}size={n}&seed={seed}&instruction=answer"
    return found
