"""From labelled pairs to the principles that explain them.

Candidates are chosen on one part of the prompts and tested on the other. Every claim is corrected for all
that was tested, and every supported principle is measured again with the others, and length, held equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from charter.constitution import Constitution
from charter.errors import DataError
from charter.feedback.recovering.ballot import Ballot, cast
from charter.feedback.recovering.candidate import Candidate, Source
from charter.feedback.recovering.choose import Material, forward
from charter.feedback.recovering.clusters import coin_tests
from charter.feedback.recovering.judged_votes import Voter
from charter.feedback.recovering.metrics import Measure, measure
from charter.feedback.recovering.pairs import Pairs, Split, split
from charter.feedback.recovering.partial import Partial, partial
from charter.feedback.recovering.reconstruct import reconstruct
from charter.feedback.recovering.recovery import Finding, Options, Recovery, by_lead
from charter.feedback.recovering.similar import Cluster, clusters
from charter.feedback.recovering.standing import Tested, settle
from charter.feedback.recovering.votes import labels_of, prompts_of
from charter.stats.multiple import holm

LEAST_PROMPTS = 20
"""Fewer prompts say nothing about others."""


@dataclass(frozen=True)
class _Halves:
    train: Material
    held_out: Material
    measures: list[Measure]
    ballot: Ballot


def recover(
    pairs: Pairs,
    *,
    laws: Sequence[tuple[Constitution, Source]] = (),
    voter: Voter | None = None,
    options: Options | None = None,
    proposer: Mapping[str, Any] | None = None,
) -> Recovery:
    """The principles that explain which answers were preferred.

    Args:
        pairs: labelled pairs.
        laws: further candidates: principles of constitutions, each with what they count as.
        voter: a judge for principles that neither a feature nor a rule measures.
        options: how.
        proposer: what is to be said of the model that proposed candidates.

    Raises:
        DataError: too few prompts.
        Interrupted: the person asked to stop; what the judge said is kept.
    """
    options = options or Options()
    parts = split(pairs.pairs, options.held_out, options.seed)
    _check(pairs, parts)
    halves = _halves(parts, cast([*parts.train, *parts.held_out], laws, voter), options)
    groups = clusters(halves.ballot.candidates, halves.train.votes, [one.lead for one in halves.measures])
    tested = _tested(halves, groups, options)
    findings = _with_alike(settle(halves.train, halves.held_out, tested, options), groups, halves)
    findings, rebuilt = reconstruct(halves.train, halves.held_out, findings, parts.held_out, options)
    return Recovery(
        pairs.name,
        by_lead(findings),
        options,
        {
            "pairs": len(pairs),
            "prompts": pairs.prompts,
            "pairs to choose on": len(parts.train),
            "pairs to test on": len(parts.held_out),
            "prompts to test on": len({pair.prompt for pair in parts.held_out}),
            "candidates": len(halves.ballot.candidates),
            "different candidates": len(groups),
            "candidates tested": len(findings),
        },
        pairs.left_out,
        halves.ballot.unmeasured,
        rebuilt,
        voter.model.name if voter else "",
        halves.ballot.votes.abstained,
        proposer or {},
        (*parts.train, *parts.held_out),
        len(parts.train),
        {
            one.candidate.id: halves.ballot.votes.cast_CN[halves.ballot.candidates.index(one.candidate)]
            for one in findings
        },
    )


def _check(pairs: Pairs, parts: Split) -> None:
    if pairs.prompts < LEAST_PROMPTS or not parts.train or not parts.held_out:
        raise DataError(
            f"{pairs.prompts} different prompts are too few to choose on some and test on others",
            where=pairs.name or None,
            fix=f"give pairs of at least {LEAST_PROMPTS} different prompts",
        )


def _halves(parts: Split, ballot: Ballot, options: Options) -> _Halves:
    first = np.arange(len(parts.train))
    second = np.arange(len(parts.train), len(parts.train) + len(parts.held_out))
    train, held_out = (
        Material(
            ballot.candidates,
            ballot.votes.columns(at),
            labels_of(part),
            prompts_of(part),
            ballot.longer_N[at],
        )
        for at, part in ((first, parts.train), (second, parts.held_out))
    )
    measures = [measured(train, at, options) for at in range(len(ballot.candidates))]
    return _Halves(train, held_out, measures, ballot)


def measured(material: Material, at: int, options: Options) -> Measure:
    """Agreement of one candidate."""
    votes = material.votes
    return measure(
        votes.cast_CN[at], votes.known_CN[at], material.labels_N, material.prompts_N, options.level
    )


def _tested(halves: _Halves, groups: Sequence[Cluster], options: Options) -> list[Tested]:
    """What is tested: relevant candidates with more votes for than against, those chosen beside others, and
    every declared principle; with p-values that are corrected together.
    """
    relevant = [
        group.first for group in groups if halves.measures[group.first].relevant(options.min_relevance)
    ]
    declared = [at for at, one in enumerate(halves.ballot.candidates) if one.source == "declared"]
    chosen = forward(halves.train, [at for at in relevant if at not in declared], declared)
    leading = {at for at in relevant if halves.measures[at].lead > 0}
    wanted = sorted({*leading, *declared, *chosen})
    votes = halves.held_out.votes.rows(wanted)
    agree_CN = votes.cast_CN * halves.held_out.labels_N.astype(float) * votes.known_CN
    alone = coin_tests(agree_CN, halves.held_out.prompts_N, options.seed)
    beside = [_partial(halves.held_out, at, [*declared, *chosen], options) for at in wanted]
    # Two claims may be made of a chosen one: alone, and beside the others.
    second = [one.p if one and at in chosen else 1.0 for at, one in zip(wanted, beside, strict=True)]
    family = holm([*alone, *(p for p, at in zip(second, wanted, strict=True) if at in chosen)])
    corrected = iter(family[len(wanted) :])
    found = []
    for place, at in enumerate(wanted):
        found.append(
            Tested(
                at,
                halves.measures[at],
                measured(halves.held_out, at, options),
                alone[place],
                family[place],
                beside[place],
                next(corrected) if at in chosen else None,
                at in chosen,
                [*declared, *chosen],
            )
        )
    return found


def _partial(material: Material, at: int, held: Sequence[int], options: Options) -> Partial | None:
    controls = material.controls(held, about=at)
    return partial(material.votes, at, controls, material.labels_N, material.prompts_N, options.level)


def _with_alike(findings: Sequence[Finding], groups: Sequence[Cluster], halves: _Halves) -> list[Finding]:
    named: dict[str, tuple[tuple[Candidate, float], ...]] = {
        halves.ballot.candidates[group.first].id: tuple(
            (halves.ballot.candidates[at], cosine) for at, cosine in group.others
        )
        for group in groups
    }
    return [replace(one, alike=named.get(one.candidate.id, ())) for one in findings]
