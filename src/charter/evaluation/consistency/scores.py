"""What judges think of models: the three-way number, and whether a judge favours its own model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from charter.evaluation.consistency.items import SPEC, Item
from charter.stats import Interval, holm, wilson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWS = 2_000


@dataclass(frozen=True)
class ThreeWay:
    """Own constitution, own model, own judge (SpecEval, 2509.02464).

    Attributes:
        judge: the policy as its own judge.
        model: the policy.
        rate: share of its answers that it passes, the mean over principles.
        interval: over conversations.
        n: answers.
        principles: how many it is the mean of.
    """

    judge: str
    model: str
    rate: float
    interval: Interval
    n: int
    principles: int


@dataclass(frozen=True)
class OwnModel:
    """A judge's leniency towards its own model.

    Attributes:
        judge: the judge.
        model: its own.
        own: points it gives its own model above what judges that are no relatives give it.
        others: the same for all other models, the mean.
        interaction: own minus others; a judge that is lenient to all has none.
        interval: of it, over conversations.
        p: two-sided, that there is none.
        p_holm: corrected over judges.
        n: answers of its own model.
        favours: whether the judge is named: more than 0 after correction.
    """

    judge: str
    model: str
    own: float
    others: float
    interaction: float
    interval: Interval
    p: float
    p_holm: float
    n: int
    favours: bool


@dataclass(frozen=True)
class Scores:
    """Judges x models, on the answers that every judge has a verdict on.

    Attributes:
        judges, models: names.
        score: share of a model's answers that a judge passes, by judge and model.
        bias: ``D(J, M)``: that score minus the mean of all judges of that model.
        n: answers by model.
        left_out: answers that not every judge has a verdict on.
        own: of each judge with a model of its own; empty where no other judge or model is there.
    """

    judges: tuple[str, ...]
    models: tuple[str, ...]
    score: Mapping[str, Mapping[str, float]]
    bias: Mapping[str, Mapping[str, float]]
    n: Mapping[str, int]
    left_out: int
    own: tuple[OwnModel, ...]


def three_way(
    items: Sequence[Item], judge: str, model: str, *, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> ThreeWay | None:
    """The policy's answers as the policy judges them; None where it judged none."""
    import numpy as np

    mine = [item for item in items if model in item.models and judge in item.said and SPEC not in item.said]
    if not mine:
        return None
    principles = list(dict.fromkeys(item.principle for item in mine))
    prompts = list(dict.fromkeys(item.prompt for item in mine))
    passed_CP, count_CP = np.zeros((len(prompts), len(principles))), np.zeros((len(prompts), len(principles)))
    at, column = ({name: i for i, name in enumerate(names)} for names in (prompts, principles))
    for item in mine:
        passed_CP[at[item.prompt], column[item.principle]] += item.said[judge]
        count_CP[at[item.prompt], column[item.principle]] += 1
    rate = float((passed_CP.sum(0) / count_CP.sum(0)).mean())
    c = len(prompts)
    weight_BC = np.random.default_rng(seed).multinomial(c, np.full(c, 1 / c), draws).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        rate_B = np.nanmean((weight_BC @ passed_CP) / (weight_BC @ count_CP), axis=1)
    lo, hi = (float(end) for end in np.quantile(rate_B, ((1 - level) / 2, (1 + level) / 2)))
    interval = Interval(lo, hi) if hi > lo else wilson(rate * c, c, level)
    return ThreeWay(judge, model, rate, interval, len(mine), len(principles))


def scores_of(
    items: Sequence[Item],
    judges: Sequence[str],
    own: Mapping[str, str],
    *,
    level: float = 0.95,
    alpha: float = 0.05,
    draws: int = DRAWS,
    seed: int = 0,
) -> Scores:
    """Every judge's mean verdict of every model, and own-model leniency.

    Leniency is measured against judges that are not judging a model of their own, so that two partial judges
    do not hide or exaggerate each other.

    Args:
        items: of all principles.
        judges: names.
        own: of a judge the model that is its own.
        level: of intervals.
        alpha: a judge is named below it, after Holm's correction over judges.
        draws: of conversations.
        seed: of them.
    """
    import numpy as np

    judged = [
        item
        for item in items
        if item.models and SPEC not in item.said and any(j in item.said for j in judges)
    ]
    whole = [item for item in judged if all(judge in item.said for judge in judges)]
    models = tuple(dict.fromkeys(model for item in whole for model in sorted(item.models)))
    prompts = {prompt: row for row, prompt in enumerate(dict.fromkeys(item.prompt for item in whole))}
    j, m, c = len(judges), len(models), len(prompts)
    passed_CJM, count_CM = np.zeros((c, j, m)), np.zeros((c, m))
    for item in whole:
        for model in item.models:
            row, column = prompts[item.prompt], models.index(model)
            count_CM[row, column] += 1
            passed_CJM[row, :, column] += [item.said[judge] for judge in judges]
    score_JM = passed_CJM.sum(0) / np.maximum(count_CM.sum(0), 1)
    bias_JM = score_JM - score_JM.mean(0) if j else score_JM
    found = Scores(
        tuple(judges),
        models,
        {name: dict(zip(models, map(float, score_JM[i]), strict=True)) for i, name in enumerate(judges)},
        {name: dict(zip(models, map(float, bias_JM[i]), strict=True)) for i, name in enumerate(judges)},
        {name: int(count_CM[:, i].sum()) for i, name in enumerate(models)},
        len(judged) - len(whole),
        (),
    )
    if j < 2 or m < 2 or c < 2:
        return found
    weight_BC = np.random.default_rng(seed).multinomial(c, np.full(c, 1 / c), draws).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn_BJM = np.einsum("bc,cjm->bjm", weight_BC, passed_CJM) / (weight_BC @ count_CM)[:, None, :]
    is_own_JM = np.array([[own.get(judge) == model for model in models] for judge in judges])
    raw = [_own(i, judges, models, own, is_own_JM, score_JM, drawn_BJM, count_CM, level) for i in range(j)]
    known = [one for one in raw if one is not None]
    corrected = holm([one.p for one in known])
    named = tuple(
        replace(one, p_holm=p, favours=one.interaction > 0 and p < alpha)
        for one, p in zip(known, corrected, strict=True)
    )
    return Scores(found.judges, models, found.score, found.bias, found.n, found.left_out, named)


def _own(
    place: int,
    judges: Sequence[str],
    models: Sequence[str],
    own: Mapping[str, str],
    is_own_JM: NDArray[np.bool_],
    score_JM: NDArray[np.float64],
    drawn_BJM: NDArray[np.float64],
    count_CM: NDArray[np.float64],
    level: float,
) -> OwnModel | None:
    import numpy as np

    model = own.get(judges[place])
    if model not in models:
        return None
    # Of each model the judges to compare with: not this one, and no relative of the model.
    beside_JM = np.logical_not(is_own_JM)
    beside_JM[place] = False
    usable_M: list[bool] = beside_JM.sum(0).astype(bool).tolist()
    column = models.index(str(model))
    others = [i for i in range(len(models)) if i != column and usable_M[i]]
    if not usable_M[column] or not others:
        return None
    weight_JM = beside_JM / np.maximum(beside_JM.sum(0), 1)

    def above(score: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points above the other judges, ``[..., M]``."""
        return np.asarray(score[..., place, :] - (score * weight_JM).sum(-2))

    point_M, cloud_BM = above(score_JM), above(drawn_BJM)
    mine, rest = float(point_M[column]), float(point_M[others].mean())
    cloud_B = cloud_BM[:, column] - cloud_BM[:, others].mean(1)
    cloud_B = cloud_B[np.isfinite(cloud_B)]
    if not cloud_B.size:
        return None
    lo, hi = (float(end) for end in np.quantile(cloud_B, ((1 - level) / 2, (1 + level) / 2)))
    b = cloud_B.size
    p = min(1.0, 2 * min(int((cloud_B <= 0).sum()) + 1, int((cloud_B >= 0).sum()) + 1) / (b + 1))
    n = int(count_CM[:, column].sum())
    return OwnModel(judges[place], str(model), mine, rest, mine - rest, Interval(lo, hi), p, p, n, False)
