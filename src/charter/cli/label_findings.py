"""What a judge's labels say, and how far they can be believed: rows, counts, numbers and lines for people."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charter.constitution import Constitution
    from charter.feedback.judging.model import OptionModel
    from charter.feedback.revising.labels import LabelOptions
    from charter.feedback.revising.prompts import Wordings
    from charter.feedback.revising.rlaif import DirectReward
    from charter.feedback.revising.writer import Writer
    from charter.types import Content, Group, Judgement

ORDERS_AGREE = 0.5
"""Share of comparisons in which both orders favour the same answer, below which a warning is printed."""

SAME = 0.1
"""Points from 1 to 10 by which the answers to a prompt differ, below which they are told apart by nothing."""


@dataclass(frozen=True)
class Findings:
    """What came of asking.

    Attributes:
        rows: for training.
        counts: what became of every pair or answer.
        numbers: how far they can be believed.
        lines: all of it, for people.
        shas: of the wordings used, by name.
    """

    rows: list[dict[str, Any]]
    counts: Mapping[str, int]
    numbers: Mapping[str, Any]
    lines: list[str]
    shas: Mapping[str, str]


def refused_options(direct: bool, chain_of_thought: bool, min_confidence: float) -> None:
    """Refuse options that have no effect or leave nothing over.

    Raises:
        ConfigError: the first of them.
    """
    from charter.errors import ConfigError

    if direct and chain_of_thought:
        raise ConfigError("direct scores are given without reasons", where="--chain-of-thought")
    if direct and min_confidence:
        raise ConfigError("direct scores have no probability", where="--min-confidence")
    if min_confidence >= 0.5:
        raise ConfigError("a probability is at most 0.5 from one half", where="--min-confidence")


def compared(
    groups: Sequence[Group],
    constitution: Constitution,
    judge: OptionModel,
    options: LabelOptions,
    journals: Path,
    words: Wordings,
    thinker: Writer | None,
    min_confidence: float,
) -> Findings:
    """Soft labels of all pairs, and rows in the preference format with ``probability``."""
    from charter.feedback.revising.labels import label_pairs
    from charter.feedback.revising.rlaif import agreement, labelled_pairs

    labels = label_pairs(
        groups, constitution, judge, thinker=thinker, options=options, journals=journals, words=words
    )
    kept = labelled_pairs(groups, labels, min_confidence=min_confidence)
    rows = [{**row, "judge": judge.name} for row in kept.rows()]
    unsure = {name: count for name, count in kept.counts.items() if "one half" in name and min_confidence}
    people = agreement(groups, labels)
    lines = labels.lines() + [f"{count} {what}" for what, count in unsure.items() if count]
    if labels.consistent is not None and labels.consistent < ORDERS_AGREE:
        lines.append("WARNING: the order decides more often than the answers do; these labels teach little")
    if people is not None:
        share, ends = people
        lines.append(f"agrees with the data's own choice in {share:.0%} ({ends.lo:.0%} to {ends.hi:.0%})")
    numbers = {
        "orders_agree": labels.consistent,
        "shown_first": labels.shown_first,
        "option_mass": labels.mass,
        "agrees_with_data": None if people is None else [people[0], people[1].lo, people[1].hi],
    }
    return Findings(rows, {**labels.counts(), **unsure}, numbers, lines, labels.shas)


def scored(
    groups: Sequence[Group],
    constitution: Constitution,
    judge: OptionModel,
    options: LabelOptions,
    journals: Path,
    words: Wordings,
) -> Findings:
    """A score from -1 to 1 for each answer, and rows with ``responses`` and ``scores``."""
    from charter.feedback.revising.rlaif import DirectReward

    reward = DirectReward(
        "ai",
        judge,
        constitution,
        options.principles,
        options.principles_per_pair,
        options.seed,
        journals,
        words,
    )
    said = reward.judge(groups)
    rows = [row for group, mine in zip(groups, said, strict=True) if (row := _rated(group, mine, reward))]
    points = [one.value for mine in said for one in mine if one.value is not None]
    spreads = [4.5 * (max(row["scores"]) - min(row["scores"])) for row in rows]
    alike = sum(spread < SAME for spread in spreads)
    counts = {
        "answers scored": len(points),
        "answers without a score": sum(len(mine) for mine in said) - len(points),
        "prompts with two scores or more": len(rows),
    }
    numbers = {
        "mean_score": 5.5 + 4.5 * statistics.fmean(points) if points else None,
        "median_spread": statistics.median(spreads) if spreads else None,
        "prompts_told_apart": len(rows) - alike,
        "option_mass": statistics.fmean(reward.masses) if reward.masses else None,
    }
    lines = [f"{count} {what}" for what, count in counts.items() if count]
    if rows:
        lines.append(f"mean score {numbers['mean_score']:.1f} of 10")
        lines.append(
            f"answers to a prompt differ by {numbers['median_spread']:.2f} points (median); in {alike} of "
            f"{len(rows)} prompts by less than {SAME:g}"
        )
        lines.append(f"{numbers['option_mass']:.0%} of the probability went to a score")
    return Findings(rows, counts, numbers, lines, {"rate": words["rate"].sha})


def _rated(group: Group, said: Sequence[Judgement], reward: DirectReward) -> dict[str, Any] | None:
    """Responses with scores; None where fewer than two answers have one."""
    kept = [(at, one.value) for at, one in enumerate(said) if one.value is not None]
    if len(kept) < 2:
        return None
    under = reward.principles_for(group)
    return {
        "id": group.id,
        "prompt": _plain(group.samples[0].context.content),
        "responses": [_plain(group.samples[at].completion.content) for at, _ in kept],
        "scores": [value for _, value in kept],
        "principles": [one.id for one in under],
        "principle_shas": [one.sha for one in under],
        "tags": list(group.meta.get("tags", ())),
        "judge": reward.model.name,
    }


def _plain(content: Content) -> str | list[dict[str, str]]:
    """Text as it is, turns as plain data."""
    if isinstance(content, str):
        return content
    return [{"role": turn.role, "content": turn.content} for turn in content]
