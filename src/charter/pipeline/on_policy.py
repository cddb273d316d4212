"""On-policy distillation from a data file: rounds of the student's own answers, and a yardstick of them."""

from __future__ import annotations

from collections.abc import Sequence

from charter.catalogue import Entry
from charter.catalogue.distillation import OnPolicyDistillationOptions
from charter.data.formats import LoadedData
from charter.engines.local import LocalEngine
from charter.models.policy import Policy
from charter.pipeline.training_data import arranged, rendered
from charter.training.own_answers import OwnAnswers, answers
from charter.types import Group


def own_answers(
    entry: Entry, options: OnPolicyDistillationOptions, prompts: Sequence[Group], policy: Policy
) -> OwnAnswers:
    """What feeds the run: fresh answers to ``prompts``, rendered for both sides."""
    return OwnAnswers(options, prompts, lambda groups: _ready(groups, entry, options, policy))


def answered_once(
    loaded: LoadedData, entry: Entry, options: OnPolicyDistillationOptions, policy: Policy
) -> Sequence[Group]:
    """Held-out prompts with an answer each of the policy as it is now: every evaluation reads the same.

    Raises:
        Interrupted: the person asked to stop.
    """
    prompts = rendered(loaded, policy, options).groups
    engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)
    return _ready(answers(engine, prompts, options, options.seed), entry, options, policy)


def _ready(
    groups: Sequence[Group], entry: Entry, options: OnPolicyDistillationOptions, policy: Policy
) -> Sequence[Group]:
    """Answered prompts cut to the lengths the options allow, both sides alike."""
    loaded = LoadedData(tuple(groups), {}, "completion", "the model's own answers")
    return arranged(rendered(loaded, policy, options).groups, entry, options, policy)
