"""Which method fits a data set, and why: rules over :class:`charter.data.facts.Facts`, in words.

Every rule names what was seen. The order is the recommendation: what is special about the data
first, the plain method of its kind last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from charter.data.facts import Facts

TINY = 100
"""Fewer pairs than this are fitted perfectly long before anything is learned."""
NOISY = 0.02
"""A rate of wrong labels below this needs no method of its own."""
SKEWED = 0.65
"""The longer answer wins more often than this: length is being taught."""
BALANCE = (1.0, 4 / 3)
"""Where KTO wants ``desirable_weight * desirable / (undesirable_weight * undesirable)``."""


@dataclass(frozen=True, slots=True)
class Advice:
    """One recommendation.

    Attributes:
        algorithm: name in the catalogue.
        why: what was seen, and what follows from it.
        options: what to set.
    """

    algorithm: str
    why: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def command(self, data: str) -> str:
        """What to type."""
        flags = "".join(f" {_flag(name, value)}" for name, value in self.options.items())
        return f"charter train {self.algorithm} --data {data}{flags}"


@dataclass(frozen=True, slots=True)
class Advised:
    """What fits a data set.

    Attributes:
        facts: what was measured.
        seen: the facts that matter, in words.
        advice: the best first.
        first: what to do before training at all.
    """

    facts: Facts
    seen: tuple[str, ...]
    advice: tuple[Advice, ...]
    first: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "facts": self.facts.to_json(),
            "seen": list(self.seen),
            "first": list(self.first),
            "advice": [
                {
                    "algorithm": a.algorithm,
                    "why": a.why,
                    "options": dict(a.options),
                    "command": a.command(self.facts.name),
                }
                for a in self.advice
            ],
        }


def advise(facts: Facts) -> Advised:
    """Recommend methods for data with these facts."""
    advice: dict[str, Advice] = {}
    for found in _BY_KIND[facts.kind](facts):
        advice.setdefault(found.algorithm, found)
    return Advised(facts, tuple(_seen(facts)), tuple(advice.values()), tuple(_first(facts)))


# -- by kind of data ------------------------------------------------------------------------


def _pairs(facts: Facts) -> Iterator[Advice]:
    if facts.beliefs:
        yield Advice(
            "gdpo",
            "rows say what people believe and how many do: the model learns the shares, and to answer as "
            "each belief would; a plain pair loss would teach the majority's answer to everyone",
        )
    if facts.objectives:
        names = ", ".join(facts.objectives)
        yield Advice(
            "modpo",
            f"answers are also rated on {names}: the pairs' objective is traded against these by weights",
        )
    yield from _people(facts)
    yield from _noise(facts)
    yield from _standing(facts)
    yield from _length(facts)
    if facts.pairs < TINY:
        yield Advice(
            "ipo",
            f"{facts.pairs} pairs are soon fitted perfectly, and DPO then widens their margin without end; "
            "IPO's margin has a target",
            {"use_peft": True},
        )
    if facts.margins > 1:
        yield Advice(
            "reward-margin",
            f"pairs have {facts.margins} different margins: a reward model can be taught how much better, "
            "which pair losses on the policy do not use",
        )
    yield Advice("dpo", "pairs of a better and a worse answer, and no reward model needed")
    if facts.pairs >= TINY:
        yield Advice("reward", "a reward model, where answers are to be ranked or sampled against later")


def _people(facts: Facts) -> Iterator[Advice]:
    """Several groups of people: the mean over all pairs is the largest group's wish."""
    if not facts.people:
        return
    name, fewest = facts.people[0]
    seen = f"pairs of {len(facts.people)} groups of people, from {fewest} ({name}) to {facts.people[-1][1]}"
    robust = Advice("gr-dpo", f"{seen}: the group that the model serves worst counts most")
    target = Advice("gr-ipo", f"{seen}: as gr-dpo, with a margin that few pairs cannot push without end")
    yield from (target, robust) if fewest < TINY else (robust, target)
    yield Advice("reward-by-group", f"{seen}: one reward model that is told whose judgement it gives")


def _noise(facts: Facts) -> Iterator[Advice]:
    if facts.flip_rate is None or facts.disagreement is None:
        return
    rate, (_, low, _) = facts.flip_rate, facts.disagreement
    if rate < NOISY or low <= NOISY:
        return
    smoothing = {"label_smoothing": round(min(rate, 0.45), 3)}
    seen = f"about {rate:.0%} of labels are wrong (from {facts.repeated} comparisons judged more than once)"
    yield Advice("robust", f"{seen}: its loss is unbiased under that rate", smoothing)
    yield Advice("cdpo", f"{seen}: margins stop growing where the labels stop being trusted", smoothing)


def _standing(facts: Facts) -> Iterator[Advice]:
    if facts.standing is None:
        return
    mean, low, high = facts.standing
    by = f"by {facts.standing_by}, {mean:+.2f} on average, 95% interval {low:+.2f} to {high:+.2f}"
    if high < 0:
        yield Advice(
            "apo-down",
            f"the chosen answers are worse than the model's own ({by}): both sides are to become less "
            "likely, the rejected ones more so",
        )
    elif low > 0:
        yield Advice(
            "apo-zero",
            f"the chosen answers are better than the model's own ({by}): they are to become more likely, "
            "which plain DPO does not promise",
        )


def _length(facts: Facts) -> Iterator[Advice]:
    if facts.longer_wins is None or facts.length_ratio is None:
        return
    rate, low, _ = facts.longer_wins
    if low <= SKEWED:
        return
    seen = f"the better answer is longer in {rate:.0%} of pairs, {facts.length_ratio:.1f} times as long"
    yield Advice(
        "ld-dpo", f"{seen}: what one answer has beyond the other's length counts half", {"ld_alpha": 0.5}
    )
    yield Advice("simpo", f"{seen}: log-probs per token, so length itself earns nothing")
    yield Advice("dpo-norm", f"{seen}: as DPO, with log-ratios per token")


def _ranked(facts: Facts) -> Iterator[Advice]:
    yield Advice(
        "reward-plackett-luce",
        f"up to {facts.answers} answers a prompt, in order: the likelihood of the whole order",
    )
    yield Advice(
        "reward-kwise", "all pairs of a prompt as one element, as InstructGPT trained its reward model"
    )
    yield from _noise(facts)
    yield from _length(facts)
    yield Advice("dpo", "every ordered pair of a ranking is a preference")


def _rated(facts: Facts) -> Iterator[Advice]:
    if facts.answers > 2:
        many = f"up to {facts.answers} rated answers a prompt"
        yield Advice("infonca", f"{many}: all ratings are used, not only the best and the worst")
        yield Advice("nca-k", f"{many}: and the likelihood of good answers does not fall")
        yield Advice("exo-k", f"{many}: a divergence that seeks the best answers rather than covers all")
    yield Advice("reward-regression", "ratings can be predicted as they are")
    yield Advice("dpo", "answers of different rating are pairs")


def _attributes(facts: Facts) -> Iterator[Advice]:
    yield Advice(
        "reward-regression", "answers are rated on named scales: one output for each, missing ones masked"
    )


def _labelled(facts: Facts) -> Iterator[Advice]:
    good, bad = facts.desirable, facts.undesirable
    if not good:
        return
    if not bad:
        yield Advice("sft", f"all {good} labels are desirable: they are good answers to imitate")
        return
    counts = f"{good} desirable and {bad} undesirable answers, not in pairs"
    weights = _weights(good, bad)
    if weights:
        ((name, value),) = weights.items()
        share = f"{counts}: {name} {value:g} brings their weights between 1 to 1 and 4 to 3"
        yield Advice("kto", share, weights)
    else:
        yield Advice("kto", f"{counts}: labels are all it needs")
    yield Advice(
        "bco", f"{counts}: a classifier of good and bad, which also holds where their prompts differ"
    )
    yield Advice("genrm", f"{counts}: a verifier that answers yes or no, to rank samples with")


def _weights(good: int, bad: int) -> dict[str, Any]:
    """The weight that brings the labels' ratio into :data:`BALANCE`; none where it is there."""
    low, high = BALANCE
    ratio = good / bad
    if ratio < low:
        return {"desirable_weight": round(low / ratio, 2) if ratio > low / 100 else round(low / ratio)}
    if ratio > high:
        return {"undesirable_weight": round(ratio / high, 2)}
    return {}


def _completions(facts: Facts) -> Iterator[Advice]:
    yield Advice("sft", "good answers alone: imitate them; most other methods start from the result")
    yield Advice("dft", "where SFT over-fits: tokens the model finds unlikely pull less")


def _text(facts: Facts) -> Iterator[Advice]:
    yield Advice("sft", "text without a prompt is trained whole")


def _steps(facts: Facts) -> Iterator[Advice]:
    yield Advice("process-reward", "steps are labelled: a reward at the end of each step")


def _prompts(facts: Facts) -> Iterator[Advice]:
    if facts.checkable:
        yield from _checked(facts)
    else:
        yield from _judged()
    yield Advice(
        "on-policy-distillation",
        "prompts alone: the model can be its own teacher under a constitution or system prompt",
        {"teacher_context": "FILE"},
    )


def _checked(facts: Facts) -> Iterator[Advice]:
    """Right answers are known: a reward that cannot be argued with."""
    seen = f"the right answer to {facts.checkable} of {facts.rows} prompts is known"
    reward = {"reward_funcs": [facts.checked_by]}
    yield Advice("grpo", f"{seen}: several answers a prompt, each held against their mean", reward)
    yield Advice("rloo", f"{seen}: the same without dividing by deviations; two answers a prompt do", reward)
    yield Advice("dapo", f"{seen}: prompts all or none of whose answers are right are replaced", reward)
    yield Advice("rest-em", f"{seen}: right answers can be imitated by a supervised loss", reward)


def _judged() -> Iterator[Advice]:
    """Nothing is known of the answers: something has to judge them while the model trains."""
    said = "with something that judges answers (a constitution, a reward model, FILE.py:FUNCTION)"
    reward = {"reward_funcs": ["FILE"]}
    yield Advice("online-dpo", f"{said}: the better of two fresh answers against the worse", reward)
    yield Advice("ppo", f"{said}: each token held against a critic, and rollouts used several times", reward)
    yield Advice("best-of-n", f"{said}: the best of n imitated; any reward, a supervised loss", reward)


_BY_KIND: dict[str, Callable[[Facts], Iterator[Advice]]] = {
    "preference": _pairs,
    "ranked": _ranked,
    "rated": _rated,
    "attributes": _attributes,
    "unpaired": _labelled,
    "completion": _completions,
    "messages": _completions,
    "text": _text,
    "steps": _steps,
    "prompts": _prompts,
}


# -- what was seen, and what comes first ---------------------------------------------------------


def _seen(facts: Facts) -> Iterator[str]:
    yield f"{facts.rows} rows read as {facts.kind!r}, {facts.prompts} distinct prompts"
    if facts.answers > 2:
        yield f"up to {facts.answers} answers a row"
    if facts.pairs:
        yield f"{facts.pairs} preferences" + (f", {facts.margins} margins" if facts.margins > 1 else "")
    if facts.desirable or facts.undesirable:
        yield f"{facts.desirable} desirable, {facts.undesirable} undesirable"
    if facts.people:
        yield "groups of people: " + ", ".join(f"{name} {count}" for name, count in facts.people)
    if facts.people_differ is not None:
        yield f"groups prefer different answers in {_percent(facts.people_differ)} of what several judged"
    if facts.disagreement is not None:
        yield f"{facts.repeated} comparisons judged more than once; {_percent(facts.disagreement)} disagree"
    if facts.longer_wins is not None:
        yield f"the longer answer is the better one in {_percent(facts.longer_wins)}"
    if facts.checkable:
        yield f"{facts.checkable} prompts with a right answer, checked by {facts.checked_by}"
    if facts.standing is not None:
        yield f"chosen answers against the model's own: {facts.standing[0]:+.2f} ({facts.standing_by})"


def _first(facts: Facts) -> Iterator[str]:
    if facts.checkable:
        yield "sample some answers first: where all or none are right, nothing is learned (charter sample)"
    elif facts.kind == "prompts":
        yield "sample answers first: charter sample MODEL --prompts FILE, then judge and compare them"
        yield "or write a recipe that does all of it: charter init"
    if facts.kind == "preference" and facts.pairs < TINY:
        yield f"{facts.pairs} pairs are few: hold some out, and compare with the untrained model"
    if facts.kind == "preference" and facts.repeated == 0 and facts.pairs >= TINY:
        yield "no comparison was judged twice, so label noise is unknown: judge some again"
    if facts.kind == "unpaired" and not facts.desirable:
        yield "all labels are undesirable, which teaches no answer: add good ones"
    if facts.kind == "unpaired" and facts.desirable and not facts.undesirable:
        yield "without undesirable answers no preference can be learned"
    if facts.standing is not None and facts.standing_by.startswith("log-probs"):
        yield "likelihood is not quality: confirm with scores of a judge (columns chosen_score, model_score)"


def _percent(rate: tuple[float, float, float]) -> str:
    return f"{rate[0]:.0%} (95% interval {rate[1]:.0%} to {rate[2]:.0%})"


def _flag(name: str, value: Any) -> str:
    dashed = name.replace("_", "-")
    if isinstance(value, list):
        return " ".join(_flag(name, one) for one in value)
    return f"--{dashed}" if value is True else f"--{dashed} {value}"
