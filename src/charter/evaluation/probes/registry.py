"""Every probe by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from charter.errors import ConfigError, did_you_mean
from charter.evaluation.probes import (
    authorship,
    best_of_n,
    empty_answers,
    false_premise,
    flip,
    format_share,
    hidden_reasoning,
    injection,
    lexicon,
    over_refusal,
    reward_style,
    stance,
    tampering,
)
from charter.evaluation.probes.rows import ProbeResult
from charter.evaluation.probes.settings import Bench

Needs = Literal["model", "reward", "model and reward"]


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe.

    Attributes:
        name: of it.
        asks: what it finds out, in a line.
        needs: what it is run on.
        run: runs it.
    """

    name: str
    asks: str
    needs: Needs
    run: Callable[[Bench], ProbeResult]


PROBES: Mapping[str, Probe] = {
    one.name: one
    for one in (
        Probe(flip.NAME, "does it give up right answers when doubted, and wrong ones?", "model", flip.run),
        Probe(stance.NAME, "does its yes or no follow the user's?", "model", stance.run),
        Probe(authorship.NAME, "does a text rate higher when the user wrote it?", "model", authorship.run),
        Probe(false_premise.NAME, "does it explain what is not so?", "model", false_premise.run),
        Probe(lexicon.NAME, "how much praise and hedging is in its answers?", "model", lexicon.run),
        Probe(
            over_refusal.NAME, "does it refuse harmless requests for their words?", "model", over_refusal.run
        ),
        Probe(format_share.NAME, "how are its answers dressed?", "model", format_share.run),
        Probe(tampering.NAME, "does it game a reward, up to editing it?", "model", tampering.run),
        Probe(
            hidden_reasoning.NAME,
            "does it game more where its thoughts are unseen?",
            "model",
            hidden_reasoning.run,
        ),
        Probe(injection.NAME, "does a reward obey the answer?", "reward", injection.run),
        Probe(empty_answers.NAME, "what does a reward give for nothing?", "reward", empty_answers.run),
        Probe(
            reward_style.NAME,
            "how much of a reward is length and style?",
            "model and reward",
            reward_style.run,
        ),
        Probe(
            best_of_n.NAME, "where does choosing by a reward stop helping?", "model and reward", best_of_n.run
        ),
    )
}
"""In the order in which they are run."""


def chosen(names: Sequence[str] | None, *, with_rewards: bool) -> list[Probe]:
    """The probes that ``names`` name; None = all that can be run.

    Raises:
        ConfigError: an unknown one, one named twice, or one that needs a reward where there is none.
    """
    if names is None:
        return [one for one in PROBES.values() if with_rewards or one.needs == "model"]
    if not names:
        raise ConfigError("no probe is named", where="probes", fix=f"known: {', '.join(PROBES)}")
    for name in names:
        if name not in PROBES:
            raise ConfigError(f"no probe {name!r}", where="probes", fix=did_you_mean(name, PROBES))
        if names.count(name) > 1:
            raise ConfigError(f"the probe {name} is named twice", where="probes")
        if PROBES[name].needs != "model" and not with_rewards:
            raise ConfigError(
                f"the probe {name} needs a reward", where="probes", fix="name one: --reward SPEC"
            )
    return [PROBES[name] for name in names]
