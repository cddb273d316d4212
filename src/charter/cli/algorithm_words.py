"""What ``charter algorithms`` says of an entry, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from charter.catalogue import Entry, TrainOptions
from charter.catalogue.entry import Family
from charter.catalogue.measured import measured
from charter.catalogue.rollouts import RolloutOptions, Sampler

HEADINGS: dict[Family, str] = {
    "supervised": "Imitation: supervised fine-tuning",
    "distillation": "Distillation",
    "reward": "Reward models and judges",
    "preference": "Preferences: pairs and lists of answers",
    "unpaired": "Answers labelled one by one",
    "pluralistic": "Several objectives, several groups of people",
    "policy-gradient": "Policy gradients on the model's own samples",
    "online": "Preferences between the model's own samples",
    "own-samples": "Chosen samples of the model itself",
}
"""What the catalogue prints above a family."""

SAMPLERS: dict[Sampler, str] = {
    "policy": "the policy as it is",
    "greedy": "the policy's most probable tokens",
    "reference": "the model that training starts from",
    "mixture": "the geometric mixture of policy and reference",
    "moving": "the moving average of the policy's weights",
}
"""Who writes completions, in words."""


def who_samples(entry: Entry) -> str:
    """Who writes the completions of a prompt; "" for an entry that trains on a data set."""
    if entry.rollouts is None:
        return ""
    first, *others = (SAMPLERS[name] for name in entry.rollouts.sampled_by)
    if not others:
        return first
    ones = "; ".join(f"one more by {other}" for other in others)
    return f"{first}, {ones}"


def option_groups(entry: Entry) -> dict[str, list[str]]:
    """The entry's options by whose they are; one with a default of its own is the entry's."""
    names = list(entry.options.model_fields)
    shared: list[tuple[str, type[TrainOptions]]] = [("Options every algorithm has", TrainOptions)]
    if entry.rollouts is not None:
        shared.append(("Options of every method that samples", RolloutOptions))
    groups: dict[str, list[str]] = {f"Options of {entry.name}": []}
    groups |= {title: [] for title, _ in reversed(shared)}
    for name in names:
        default = entry.options.model_fields[name].default
        title = next((title for title, of in shared if name in of.model_fields), f"Options of {entry.name}")
        nearest = next((of for _, of in reversed(shared) if name in of.model_fields), None)
        if nearest is not None and nearest.model_fields[name].default != default:
            title = f"Options of {entry.name}"
        groups[title].append(name)
    return {title: members for title, members in groups.items() if members}


def aspects(entry: Entry) -> dict[str, str]:
    """What is compared side by side."""
    found = measured(entry.name)
    traits = entry.traits
    return {
        "objective": traits.formula,
        "mechanism": traits.mechanism,
        "stability": traits.stability,
        "complexity": traits.complexity,
        "data": entry.data,
        "sampled by": who_samples(entry) or "nobody: a data set",
        "reference": entry.reference,
        "in memory": ", ".join(entry.models),
        "best for": entry.best_for,
        "watch out": entry.watch,
        "measured here": "not measured" if found is None else found.words(),
    }


def differing_options(entries: Sequence[Entry]) -> list[str]:
    """Options some entry lacks or that have another default: the common ones first."""
    names = dict.fromkeys([*TrainOptions.model_fields, *(n for e in entries for n in e.options.model_fields)])

    def defaults(name: str) -> set[str]:
        infos = [entry.options.model_fields.get(name) for entry in entries]
        return {"-" if info is None else in_words(info.get_default()) for info in infos}

    return [name for name in names if len(defaults(name)) > 1]


def in_words(value: Any) -> str:
    """A default as a person reads it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ", ".join(str(item) for item in value) or "empty"
    return str(value)


def paper(name: str) -> str:
    """An arXiv id as such; anything else as it is."""
    return f"arXiv:{name}" if name[:4].isdigit() else name
