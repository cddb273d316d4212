"""The critic: a value head on a copy of the policy's backbone, trained beside the policy."""

from __future__ import annotations

import copy

from torch import nn

from charter.catalogue.options import TrainOptions
from charter.errors import UserError
from charter.models.policy import Policy
from charter.models.reward import head_of, with_reward_head
from charter.models.trainable import prepare_for_training


def make_critic(policy: Policy, options: TrainOptions, start: Policy | None = None) -> Policy:
    """A trainable critic with one output.

    With LoRA it shares the policy's frozen weights and has an adapter of its own; else it has
    weights of its own. Its head starts at zero, so that the first advantages are those of no critic;
    a reward model's backbone and head are taken as they are (InstructGPT, 2203.02155).

    Args:
        policy: before it is made trainable, without an adapter.
        options: of the run.
        start: a reward model to begin with; None = the policy with a fresh head.

    Raises:
        UserError: the reward model has another tokenizer, or several dimensions.
    """
    made = _fresh(policy, options) if start is None else _from_reward_model(policy, start)
    prepare_for_training(made, options, dimensions=1)
    if start is None:
        nn.init.zeros_(head_of(made.model).weight)
    return made


def _fresh(policy: Policy, options: TrainOptions) -> Policy:
    shared = {id(p): p for p in policy.model.parameters()} if options.use_peft else {}
    model = with_reward_head(copy.deepcopy(policy.model, shared), 1, options.seed, policy.tokenizer)
    return Policy(model, policy.tokenizer, f"{policy.name} (critic)", policy.path, policy.compute_dtype)


def _from_reward_model(policy: Policy, start: Policy) -> Policy:
    if head_of(start.model).out_features != 1:
        raise UserError("a critic has one value, this reward model several dimensions", where="critic_model")
    if start.tokenizer.get_vocab() != policy.tokenizer.get_vocab():
        raise UserError("the reward model has another tokenizer than the policy", where="critic_model")
    return start
