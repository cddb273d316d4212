"""The groups one run trains on: read, rendered, arranged."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charter.catalogue import Entry, TrainOptions
from charter.catalogue.rollouts import RolloutOptions
from charter.data.formats import Kind, LoadedData, load_groups
from charter.data.prepare import Prepared, prepare
from charter.errors import ConfigError
from charter.models.policy import Policy
from charter.pipeline.rewarded_prompts import prompts_of
from charter.records import is_groups_file, read_groups
from charter.training.terms import by_name
from charter.types import Group

_HERE = Path()


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


def load_data(
    data: Any, entry: Entry, options: TrainOptions, base: Path = _HERE, *, sampled: bool = False
) -> LoadedData:
    """Groups to train on, or the prompts that an online algorithm samples.

    Args:
        data: see :func:`read_data`; None = the prompts an environment makes.
        entry: of the catalogue.
        options: its options.
        base: what an environment's file is relative to.
        sampled: ``data`` is a file of sampled groups, with token ids.

    Raises:
        DataError: a mistake in the data, found without a model.
        ConfigError: no data.
    """
    if entry.rollouts is not None:
        assert isinstance(options, RolloutOptions)
        return prompts_of(data, options, base)
    if data is None:
        raise ConfigError("no data to train on", where="data")
    return read_data(data, entry, options, sampled=sampled)


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
