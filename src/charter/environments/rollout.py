"""Rollouts of several turns, from token ids to token ids.

All live conversations are continued together, turn by turn. The context of a turn is the tokens of the
turns before, as the model sampled them; see :mod:`charter.environments.turn_markup` for the rest.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from charter import interrupt
from charter.data.render import Template
from charter.engines.base import Engine, Mixture, OnProgress, Sampling
from charter.environments.base import Environment
from charter.environments.conversation import Conversation, same_opening
from charter.environments.turn_markup import TurnMarkup
from charter.errors import UserError
from charter.types import Completion, Group

ROLLOUTS = "rollouts"
"""Key of ``Group.meta``: how each sample's rollout went (turns, ending, info), in their order."""

Player = Callable[[Engine, Sequence[Group], int, Sampling], list[Group]]


def play(
    engine: Engine,
    template: Template,
    environment: Environment,
    prompts: Sequence[Group],
    n: int,
    sampling: Sampling,
    max_turns: int | None = None,
    max_tokens: int | None = None,
    *,
    policy: str | Mixture = "policy",
    on_progress: OnProgress | None = None,
) -> list[Group]:
    """``n`` rollouts of every prompt, one group each, in order.

    A sample's context is the opening; its completion is everything after it: ``trained`` on the
    tokens the model sampled, its end of turn included, and not on those of tools and users, whose
    log-probs are 0.0. ``finish_reason`` is ``length`` where a turn was cut or no room was left for
    another. The reward is a judgement with the principle ``environment``; a rollout whose environment
    raised has an error there, and keeps the tokens it has. Whatever else is known of a rollout stands
    in ``meta["rollouts"]``.

    The tokens are the same for the same seed, however prompts are batched (prompts that are the same
    to the token are told apart by their order, as in every engine).

    Each turn is compared with the chat template's own rendering of the whole conversation. Where the
    template rewrites earlier turns (drops their thinking, trims white space), the model goes on from
    what it really sampled: log-probs stay true, but a server that renders the conversation anew would
    show it something else. Such rollouts have ``stable`` False in their record, and
    :func:`play_metrics` counts them.

    Args:
        engine: who samples; ``max_length``, where it has one, is the most tokens of a conversation.
        template: of the model that is sampled.
        environment: who answers.
        prompts: one sample each, of which the context is used.
        n: rollouts of a prompt.
        sampling: how tokens are chosen; ``max_completion_length`` is the limit of one turn.
        max_turns: most turns of the model; None = what the environment says.
        max_tokens: most tokens of a completion, those of tools and users included; None = no limit.
        policy: see :meth:`charter.engines.base.Engine.generate`.
        on_progress: called with the number of rollouts finished since the last call.

    Raises:
        UserError: a limit below 1, a prompt without text, an engine without token ids.
        DataError: the tokenizer has no usable chat template.
        Interrupted: the person asked to stop; nothing is returned.
    """
    turns = environment.max_turns if max_turns is None else max_turns
    if n < 1 or turns < 1 or (max_tokens is not None and max_tokens < 1):
        raise UserError(f"n ({n}), max_turns ({turns}) and max_tokens ({max_tokens}) must be at least 1")
    markup = TurnMarkup(template)
    table: list[list[Conversation]] = []
    try:
        for prompt in prompts:
            table.append([])
            for index in range(n):
                conversation = Conversation(
                    environment,
                    template,
                    markup,
                    prompt,
                    _seed(prompt, index, sampling.seed),
                    max_turns=turns,
                    max_tokens=max_tokens,
                    max_length=getattr(engine, "max_length", None),
                )
                table[-1].append(conversation)
        _take_turns(engine, table, sampling, policy, on_progress)
    finally:
        for row in table:
            for conversation in row:
                conversation.close()
    return [_group(prompt, row) for prompt, row in zip(prompts, table, strict=True)]


def player(environment: Environment, template: Template, max_turns: int | None = None) -> Player:
    """:func:`play` as a function that samples the completions of prompts.

    ``sampling.max_completion_length`` limits the whole completion, tool and user tokens included.
    """

    def sample(engine: Engine, prompts: Sequence[Group], n: int, sampling: Sampling) -> list[Group]:
        limit = sampling.max_completion_length
        return play(engine, template, environment, prompts, n, sampling, max_turns, limit)

    return sample


def play_metrics(groups: Sequence[Group]) -> dict[str, float]:
    """Turns, endings and what went wrong, over all rollouts of :func:`play`."""
    records: list[Mapping[str, Any]] = [one for group in groups for one in group.meta.get(ROLLOUTS, ())]
    if not records:
        return {}
    endings = Counter(one["ending"] for one in records)
    return {
        "environment/mean_turns": sum(one["turns"] for one in records) / len(records),
        **{f"environment/{name}": float(endings[name]) for name in ("done", "max_turns", "length", "error")},
        "environment/rewritten_by_template": float(sum(not one["stable"] for one in records)),
    }


def _take_turns(
    engine: Engine,
    table: Sequence[Sequence[Conversation]],
    sampling: Sampling,
    policy: str | Mixture,
    on_progress: OnProgress | None,
) -> None:
    """Play until every conversation has ended."""
    # Rollouts that begin alike are asked for together: the prompt is computed once, and each group's
    # random numbers do not depend on how the other groups begin.
    alike = [row for row in table if same_opening(row)]
    apart = [conversation for row in table if not same_opening(row) for conversation in row]
    live: list[tuple[Conversation, Completion]] = []
    if alike:
        made = engine.generate(
            [row[0].so_far for row in alike], len(alike[0]), _limited(sampling, alike[0]), policy
        )
        for row, group in zip(alike, made, strict=True):
            live += zip(row, (sample.completion for sample in group.samples), strict=True)
    live += _ask(engine, apart, sampling, policy)
    while live:
        for conversation, completion in live:
            interrupt.current().check("sampling was stopped")
            conversation.take(completion)
            if conversation.ending is not None:
                conversation.close()
        going = [conversation for conversation, _ in live if conversation.ending is None]
        if on_progress is not None and len(going) < len(live):
            on_progress(len(live) - len(going))
        live = _ask(engine, going, sampling, policy)


def _ask(
    engine: Engine, going: Sequence[Conversation], sampling: Sampling, policy: str | Mixture
) -> list[tuple[Conversation, Completion]]:
    """The model's next turn in each conversation."""
    if not going:
        return []
    groups = engine.generate([one.so_far for one in going], 1, _limited(sampling, going), policy)
    return [(one, group.samples[0].completion) for one, group in zip(going, groups, strict=True)]


def _limited(sampling: Sampling, going: Sequence[Conversation]) -> Sampling:
    """Turns as long as any of the conversations may still become; the others cut theirs.

    A shorter limit changes no token before it, so the cut turns are those a limit of their own gives.
    """
    budgets = [one.budget for one in going]
    longest = max((budget for budget in budgets if budget is not None), default=None)
    if longest is None or longest >= sampling.max_completion_length:
        return sampling
    return sampling.model_copy(update={"max_completion_length": longest})


def _seed(prompt: Group, index: int, seed: int) -> int:
    """The seed of a rollout: from what the prompt is and not from where it stands."""
    text = f"{seed}:{index}:{prompt.id}:{prompt.samples[0].context.content if prompt.samples else ''!r}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")


def _group(prompt: Group, row: Sequence[Conversation]) -> Group:
    return replace(
        prompt,
        samples=tuple(conversation.sample() for conversation in row),
        judgements=tuple(conversation.judgement(index) for index, conversation in enumerate(row)),
        meta={**prompt.meta, ROLLOUTS: [conversation.record() for conversation in row]},
    )
