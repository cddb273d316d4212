"""The recovered principles at work on held-out pairs, beside the longest answer and a coin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from charter.feedback.recovering.choose import Material
from charter.feedback.recovering.executor import ceiling, fit_weights, gain, picks
from charter.feedback.recovering.pairs import LabelledPair
from charter.feedback.recovering.recovery import Finding, Options, Reconstruction

_FINER = 1e-3


def reconstruct(
    train: Material,
    held_out: Material,
    findings: Sequence[Finding],
    pairs: Sequence[LabelledPair],
    options: Options,
) -> tuple[list[Finding], Reconstruction]:
    """Findings with their weights and what each adds, and how well all of them pick.

    Weights are fitted on the training pairs.

    Args:
        train: pairs to fit on.
        held_out: pairs to pick of.
        findings: of all candidates tested.
        pairs: the held-out pairs.
        options: how.
    """
    place = {candidate.id: at for at, candidate in enumerate(train.candidates)}
    used = [place[one.candidate.id] for one in findings if one.recovered]
    weights = fit_weights(train.votes.cast_CN[used], train.labels_N)
    # Where all votes cancel or none is cast, the finer differences decide.
    cast_CN = held_out.votes.cast_CN + _FINER * held_out.votes.graded_CN
    score_N = weights @ cast_CN[used] if used else np.zeros(cast_CN.shape[1])
    labels_N, prompts_N, level = held_out.labels_N, held_out.prompts_N, options.level
    compared = [picks("the recovered principles", score_N, labels_N, prompts_N, level)]
    if len(used) > 1:
        equal_N = cast_CN[used].sum(axis=0)
        compared.append(picks("the same, all weights equal", equal_N, labels_N, prompts_N, level))
        best = max(used, key=lambda at: float((train.votes.cast_CN[at] * train.labels_N).sum()))
        name = f"only: {train.candidates[best].says}"
        compared.append(picks(name, cast_CN[best], labels_N, prompts_N, level))
    compared.append(picks("always the longest", held_out.longer_N, labels_N, prompts_N, level))
    compared.append(picks("always the shortest", -held_out.longer_N, labels_N, prompts_N, level))
    compared.append(picks("no constitution", np.zeros(len(labels_N)), labels_N, prompts_N, level))
    weighed = dict(zip(used, weights, strict=True))
    adding = []
    for one in findings:
        at = place[one.candidate.id]
        if at not in weighed:
            adding.append(one)
            continue
        others = [other for other in used if other != at]
        without_N = (
            fit_weights(train.votes.cast_CN[others], train.labels_N) @ cast_CN[others]
            if others
            else np.zeros(len(labels_N))
        )
        adds = gain(score_N, without_N, labels_N, prompts_N, level)
        adding.append(replace(one, weight=float(weighed[at]), adds=adds))
    over = gain(score_N, held_out.longer_N, labels_N, prompts_N, level) if used else None
    return adding, Reconstruction(tuple(compared), over, ceiling(pairs))
