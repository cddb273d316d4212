from __future__ import annotations

import numpy as np
import pytest

from charter.stats.agreement import Rating
from charter.stats.raters.dawid_skene import DawidSkene, Model, dawid_skene
from charter.stats.raters.error_intervals import rater_errors
from charter.stats.raters.mace import mace


def planted(
    skills: list[float], items: int = 300, k: int = 2, seed: int = 0, seen: float = 0.8
) -> tuple[list[Rating], list[int]]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, items)
    said = []
    for r, skill in enumerate(skills):
        for i in range(items):
            if rng.random() < seen:
                wrong = (truth[i] + rng.integers(1, k)) % k
                said.append(Rating(r, i, float(truth[i] if rng.random() < skill else wrong)))
    return said, truth.tolist()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("model", "name"), [("full", "DawidSkene"), ("one_coin", "OneCoinDawidSkene")])
@pytest.mark.parametrize("k", [2, 3])
def test_another_implementation_agrees(model: Model, name: str, k: int) -> None:
    import crowdkit.aggregation
    from pandas import DataFrame

    said, _ = planted([0.9, 0.8, 0.7, 0.6], 60, k, seed=k)
    frame = DataFrame([(s.item, s.rater, s.value) for s in said], columns=["task", "worker", "label"])
    theirs = getattr(crowdkit.aggregation, name)(n_iter=25, tol=-np.inf).fit(frame)
    ours = dawid_skene(said, model=model, smoothing=0.0, tol=-1.0, rounds=25)
    probas = theirs.probas_.loc[list(ours.items), list(ours.classes)].to_numpy()
    np.testing.assert_allclose(ours.posterior_NK, probas, atol=1e-6)
    np.testing.assert_allclose(ours.prior_K, theirs.priors_.loc[list(ours.classes)].to_numpy(), atol=1e-6)
    for rater in ours.raters:
        for v, answer in enumerate(ours.classes):
            cell = theirs.errors_.loc[(rater, answer), list(ours.classes)].to_numpy()
            np.testing.assert_allclose(ours.confusion(rater)[:, v], cell, atol=1e-6)


@pytest.mark.parametrize("model", ["full", "one_coin"])
@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_the_objective_never_falls(model: Model, smoothing: float) -> None:
    said, _ = planted([0.9, 0.7, 0.5, 0.6], 80, 3, seed=4)
    steps = np.diff(dawid_skene(said, model=model, smoothing=smoothing, tol=-1.0, rounds=60).objective)
    assert steps.min() > -1e-7 and steps.max() > 0.1


def test_planted_errors_are_recovered() -> None:
    """A rater who misses one class, a spammer, and better truth than the majority's."""
    rng = np.random.default_rng(1)
    truth = rng.random(1500) < 0.4
    tables = [[[0.9, 0.1], [0.4, 0.6]], [[0.5, 0.5], [0.5, 0.5]], *[[[0.85, 0.15], [0.1, 0.9]]] * 2]
    said = [
        Rating(r, i, float(rng.random() < table[int(truth[i])][1]))
        for r, table in enumerate(tables)
        for i in range(len(truth))
    ]
    found = dawid_skene(said)
    assert found.converged
    for r, table in enumerate(tables):
        np.testing.assert_allclose(found.confusion(r), table, atol=0.06)
    assert found.prior_K[1] == pytest.approx(0.4, abs=0.04)
    votes = np.zeros(len(truth))
    for one in said:
        votes[int(one.item)] += one.value  # type: ignore[call-overload]
    by_majority = np.where(votes == 2, 0.5, (votes > 2) == truth).mean()
    assert ((found.posterior_NK[:, 1] > 0.5) == truth).mean() > by_majority + 0.02


def test_known_answers_are_kept_and_teach() -> None:
    """Two raters disagree always: only gold can say who is right."""
    said = [Rating("a", i, float(i % 2)) for i in range(40)]
    said += [Rating("b", i, 1.0 - i % 2) for i in range(40)]
    known = {i: float(i % 2) for i in range(10)}
    found = dawid_skene(said, known=known)
    assert all(found.posterior(i)[known[i]] == 1.0 for i in known)
    assert found.accuracy_R[0] > 0.9 > 0.1 > found.accuracy_R[1]
    assert found.posterior(20)[0.0] > 0.9


def held(found: DawidSkene, skills: list[float]) -> list[bool]:
    errors = rater_errors(found, draws=60)
    return [
        bool(errors[r].accuracy.interval.lo <= skill <= errors[r].accuracy.interval.hi)  # type: ignore[union-attr]
        for r, skill in enumerate(skills)
    ]


def test_intervals_hold_the_planted_accuracy() -> None:
    skills = [0.95, 0.85, 0.75, 0.6, 0.8]
    runs = [held(dawid_skene(planted(skills, 120, seed=seed)[0]), skills) for seed in range(40)]
    assert 0.90 < np.mean(runs) < 0.99


def test_a_class_never_met_is_not_known() -> None:
    said, _ = planted([0.9, 0.9, 0.9], 60)
    said += [Rating("new", "x", 1.0), *(Rating(r, "x", 1.0) for r in range(3))]
    new = rater_errors(dawid_skene(said), draws=20)["new"]
    assert new.items[0] < 0.01 and new.intervals[0][0].hi - new.intervals[0][0].lo > 0.99
    assert not new.accuracy.enough


@pytest.mark.filterwarnings("ignore")
def test_mace_agrees_on_who_guesses() -> None:
    said, truth = planted([0.95, 0.85, 0.5, 0.8], 100)
    found = mace(said, restarts=2)
    assert min(found.competence, key=lambda rater: found.competence[rater]) == 2
    ours = rater_errors(dawid_skene(said), draws=5)
    assert min(ours, key=lambda rater: ours[rater].reliability) == 2
    assert np.mean([found.answers[i] == value for i, value in enumerate(truth) if i in found.answers]) > 0.85
    with pytest.raises(ValueError, match="no ratings"):
        mace([])


def test_mistakes_are_refused() -> None:
    one = Rating("a", 1, 1.0)
    with pytest.raises(ValueError, match="no ratings"):
        dawid_skene([])
    with pytest.raises(ValueError, match="twice"):
        dawid_skene([one, Rating("a", 1, 0.0)])
    with pytest.raises(ValueError, match="fewer than two"):
        dawid_skene([one])
    with pytest.raises(ValueError, match="none of the classes"):
        dawid_skene([one], classes=[0.0, 2.0])
