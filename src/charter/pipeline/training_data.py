"""The groups one run trains on: read, answered where the policy learns from itself, rendered, arranged."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charter.catalogue import Entry, TrainOptions
from charter.catalogue.distillation import OnPolicyDistillationOptions
from charter.data.formats import Kind, LoadedData, load_groups
from charter.data.prepare import Prepared, prepare
from charter.models.policy import Policy
from charter.pipeline.on_policy import answered
from charter.records import is_groups_file, read_groups
from charter.training.terms import by_name
from charter.types import Group


def read_data(data: Any, entry: Entry, options: TrainOptions, *, sampled: bool = False) -> LoadedData:
    """What ``entry`` trains on: rows, or a file of groups that were sampled and judged.

    Raises:
        DataError: a mistake in the data, found without a model.
    """
    if sampled or is_groups_file(data):
        groups = read_groups(Path(data))
        kind: Kind = "preference" if entry.data == "preference" else "completion"
        loaded = LoadedData(tuple(groups), {}, kind, str(data))
    else:
        loaded = load_groups(data, entry.data)
    if not entry.rows:
        return loaded
    changed: LoadedData = by_name(entry.rows)(loaded, options)
    return changed


def with_answers(loaded: LoadedData, policy: Policy, options: TrainOptions, directory: Path) -> LoadedData:
    """Prompts with the policy's own answers, where it learns from those."""
    if isinstance(options, OnPolicyDistillationOptions):
        return answered(loaded, policy, options, directory)
    return loaded


def rendered(loaded: LoadedData, policy: Policy, options: TrainOptions) -> Prepared:
    """The groups as token ids, cut to the lengths the options allow, with what was dropped."""
    return prepare(
        loaded,
        policy.template,
        options.max_length,
        max_prompt_length=options.max_prompt_length,
        truncation_mode=options.truncation_mode,
    )


def arranged(groups: Sequence[Group], entry: Entry, options: TrainOptions, policy: Policy) -> Sequence[Group]:
    """What the entry trains on, made of the rendered groups; the policy goes to functions that take it."""
    if not entry.arrange:
        return groups
    arrange = by_name(entry.arrange)
    takes = len(inspect.signature(arrange).parameters)
    made: Sequence[Group] = arrange(*(groups, options, policy)[:takes])
    return made
