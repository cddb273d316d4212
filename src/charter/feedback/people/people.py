"""Everything that can be said about the people behind a file of labels: part F of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

from charter.errors import DataError
from charter.feedback.people.agreements import alphas
from charter.feedback.people.consensus import Consensus, consensus, reliabilities
from charter.feedback.people.flags import flags_of, loud_flags, twin_flags
from charter.feedback.people.gold_curve import confidence_on_gold, gold_curve
from charter.feedback.people.heard import Heard, choice, hear, of_kind, question
from charter.feedback.people.numbers import comparisons, ranking, reported
from charter.feedback.people.rater_row import RaterRow, rater_row
from charter.feedback.people.second_opinion import second_opinion
from charter.feedback.people.strata import balance, coverage
from charter.label import Label
from charter.stats.agreement import Rating
from charter.stats.raters.collusion import too_alike
from charter.stats.raters.groups import LEAST_RATERS, group_gaps, group_split
from charter.stats.raters.influence import DRAWS, leave_one_out
from charter.stats.raters.noisy_bradley_terry import noisy_bradley_terry

FORMAT = "charter-people"
VERSION = 1
BAR = 0.7
LEAST_COMPARISONS = 30

Note = Callable[[str], None]
"""Is told what is being computed, once for each of :func:`steps`."""


@dataclass(frozen=True)
class PeopleOptions:
    """How raters are looked at.

    Attributes:
        bar: gold accuracy asked of a rater.
        least: observations below which nothing is concluded of a rater.
        least_group: raters of a group below which no number of it is shown.
        level: of all intervals shown; flags use a stricter one, by the number of raters.
        stratum: key of the labels' ``meta`` that names an item's stratum.
        scale: of the ratings that carry none; () = nobody said.
        mace: ask MACE for a second opinion; needs crowd-kit.
        draws: of the bootstraps.
        seed: of all draws.
    """

    bar: float = BAR
    least: int = 10
    least_group: int = LEAST_RATERS
    level: float = 0.95
    stratum: str = "stratum"
    scale: tuple[float, ...] = ()
    mace: bool = False
    draws: int = 200
    seed: int = 0


@dataclass
class People:
    """What was found.

    Attributes:
        heard: the labels that count, and what was left out.
        rows: one a rater.
        flags: (rater, sentence).
        fits: Dawid-Skene by kind of label.
        found: the rest of ``people.json``.
    """

    heard: Heard
    rows: list[RaterRow]
    flags: list[tuple[str, str]]
    fits: Mapping[str, Consensus]
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def reliability(self) -> dict[str, float]:
        """Of each rater that it is known of."""
        return reliabilities(self.heard.labels, self.fits)

    def to_json(self) -> dict[str, Any]:
        """``people.json``; ``docs/raters.md`` says what each part is."""
        said: dict[str, list[str]] = {row.rater: [] for row in self.rows}
        for rater, words in self.flags:
            said[rater].append(words)
        trust = self.reliability
        sizes = Counter(row.group for row in self.rows)
        # Beside a pseudonym a small group's name would say who it is.
        shown = {name for name, raters in sizes.items() if raters >= self.found["groups"]["least_raters"]}
        return {
            "format": FORMAT,
            "version": VERSION,
            **self.found,
            "raters": [
                {
                    **row.to_json(),
                    "group": row.group if row.group in shown else "",
                    "reliability": trust.get(row.rater),
                    "flags": said[row.rater],
                }
                for row in self.rows
            ],
        }


def steps(labels: Sequence[Label], options: PeopleOptions | None = None) -> int:
    """How often :data:`Note` will be called, at most."""
    kinds = len({label.kind for label in labels} & {"pair", "rating"})
    return 4 + kinds * (2 if options is not None and options.mace else 1)


def people(
    labels: Sequence[Label],
    *,
    gold: Mapping[tuple[str, str], float] | None = None,
    principles: Sequence[str] = (),
    levels: Mapping[str, str] | None = None,
    options: PeopleOptions | None = None,
    note: Note = lambda what: None,
) -> People:
    """Measure raters, agreement, groups, influence and balance.

    Args:
        labels: as read from a file.
        gold: right values the labels do not carry.
        principles: ids of the constitution, so that those without labels show.
        levels: of each principle.
        options: see :class:`PeopleOptions`.
        note: is told each step.

    Raises:
        ValueError: no labels.
        DataError: none of a rater, or one that is not on its scale.
        EnvironmentFault: MACE is asked for and crowd-kit is not installed.
    """
    if not labels:
        raise ValueError("no labels")
    chosen = options or PeopleOptions()
    heard = hear(labels, gold, chosen.scale)
    if not heard.labels:
        raise DataError("no label of a rater: decisions and repeats alone measure nobody")
    kinds = sorted({label.kind for label in heard.labels} & {"pair", "rating"})
    fits: dict[str, Consensus] = {}
    for kind in kinds:
        note(f"errors of raters in {kind} labels")
        fits[kind] = consensus(heard.labels, kind, level=chosen.level, draws=chosen.draws, seed=chosen.seed)
    note("raters")
    rows, flags = _rows(heard, fits, chosen)
    note("agreement")
    found: dict[str, Any] = {
        "totals": _totals(heard),
        "bar": chosen.bar,
        "level": chosen.level,
        "balance": balance(heard.labels, level=chosen.level),
        "coverage": coverage(heard.labels, principles, levels or {}, chosen.stratum),
        "alpha": alphas(heard.labels, level=chosen.level, seed=chosen.seed),
        "dawid_skene": {kind: _fit_json(fit) for kind, fit in fits.items()},
    }
    if chosen.mace:
        found["mace"] = {}
        for kind in kinds:
            note(f"second opinion on {kind} labels (MACE)")
            found["mace"][kind] = second_opinion(heard.labels, kind, fits[kind], seed=chosen.seed)
    note("influence")
    raters, statistic = reported(heard.labels)
    influence = leave_one_out(raters, statistic, ranking=ranking, draws=DRAWS, seed=chosen.seed)
    flags += loud_flags(influence)
    twins = [twin for fit in fits.values() if fit.fit is not None for twin in too_alike(fit.fit)]
    flags += twin_flags(twins)
    note("groups")
    found |= {
        "loud": [one.to_json() for one in influence],
        "ranking": _ranking(heard, chosen),
        "alike": [{name: getattr(one, name) for name in one.__slots__} for one in twins],
        "groups": _groups(heard, rows, chosen),
        "curve": gold_curve(heard.labels, level=chosen.level),
        "confidence": confidence_on_gold(heard.labels, level=chosen.level),
    }
    order = {row.rater: i for i, row in enumerate(rows)}
    flags.sort(key=lambda one: order[one[0]])
    return People(heard, rows, flags, fits, found)


def _rows(
    heard: Heard, fits: Mapping[str, Consensus], options: PeopleOptions
) -> tuple[list[RaterRow], list[tuple[str, str]]]:
    table: dict[tuple[str, str], list[tuple[Label, float]]] = {}
    for label in heard.labels:
        if (value := choice(label)) is not None:
            table.setdefault(question(label), []).append((label, value))
    raters = heard.raters
    strict_level = 1 - (1 - options.level) / len(raters)
    rows: list[RaterRow] = []
    strict: list[RaterRow] = []
    for rater in raters:
        errors = {kind: fit.errors[rater] for kind, fit in fits.items() if rater in fit.errors}
        for kept, level in ((rows, options.level), (strict, strict_level)):
            kept.append(
                rater_row(
                    rater, heard, table, bar=options.bar, least=options.least, level=level, errors=errors
                )
            )
    times = [row.seconds.median for row in rows if row.seconds.median is not None]
    typical = median(times) if len(times) > 1 else None
    flags = [
        (row.rater, words)
        for row, shown in zip(strict, rows, strict=True)
        for words in flags_of(row, shown, bar=options.bar, typical_seconds=typical)
    ]
    return rows, flags


def _totals(heard: Heard) -> dict[str, Any]:
    per = Counter((*question(label), label.kind) for label in heard.labels)
    overlap = list(per.values())
    return {
        "labels": heard.total,
        "counted": len(heard.labels),
        "repeats": len(heard.repeats),
        "decisions": len(heard.decisions),
        "text_unclear": sum(bool(label.meta.get("unclear")) for label in heard.labels),
        "without_scale": sum(label.kind == "rating" and not label.scale for label in heard.labels),
        "left_out": dict(heard.left_out),
        "outcomes": dict(Counter(label.outcome for label in heard.labels)),
        "kinds": dict(Counter(label.kind for label in heard.labels)),
        "raters": len(heard.raters),
        "questions": len(per),
        "labels_per_question": {"mean": fmean(overlap), "least": min(overlap), "most": max(overlap)},
        "shared_questions": sum(count > 1 for count in overlap),
    }


def _fit_json(found: Consensus) -> dict[str, Any]:
    if found.fit is None:
        return {"why": found.why, "left_out": found.left_out}
    fit = found.fit
    return {
        "why": "",
        "left_out": found.left_out,
        "classes": list(fit.classes),
        "prior": [float(p) for p in fit.prior_K],
        "items": len(fit.items),
        "known": len(fit.known),
        "rounds": len(fit.objective),
        "converged": fit.converged,
    }


def _ranking(heard: Heard, options: PeopleOptions) -> dict[str, Any] | None:
    """Models by strength, given how reliable the raters are; None without enough comparisons."""
    rows = comparisons(heard.labels)
    if len(rows) < LEAST_COMPARISONS:
        return None
    found = noisy_bradley_terry(rows, level=options.level)
    return {"order": [str(name) for name in found.ranking], **found.to_json()}


def _groups(heard: Heard, rows: Sequence[RaterRow], options: PeopleOptions) -> dict[str, Any]:
    groups = {row.rater: row.group for row in rows}
    measured = {"agreement": "agreement", "gold": "gold", "first": "first", "longer": "longer"}
    gaps = {}
    for name, attribute in measured.items():
        values = {row.rater: getattr(row, attribute) for row in rows}
        rates = {rater: one.value for rater, one in values.items() if one.enough}
        found = group_gaps(rates, groups, least=options.least_group, level=options.level)
        gaps[name] = [gap.to_json() for gap in found]
    splits = {}
    for kind in ("pair", "rating"):
        said = of_kind(heard.labels, kind)
        ratings = [Rating(one.rater, question(one), float(choice(one) or 0.0)) for one in said]
        if ratings:
            split = group_split(
                ratings, groups, least=options.least_group, level=options.level, seed=options.seed
            )
            splits[kind] = split.to_json()
    return {"least_raters": options.least_group, "gaps": gaps, "split": splits}
