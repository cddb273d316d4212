from __future__ import annotations

import numpy as np
import pytest

from charter.stats.raters.noisy_bradley_terry import Comparison, _Problem, noisy_bradley_terry

STRENGTH = {"a": 1.2, "b": 0.3, "c": -0.4, "d": -1.1}


def planted(
    trust: dict[str, float], n: int = 1500, tie: float = 0.0, side: float = 0.8, seed: int = 0
) -> list[Comparison]:
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        first, second = rng.choice(list(STRENGTH), 2, replace=False)
        rater = list(trust)[int(rng.integers(len(trust)))]
        half = (STRENGTH[first] - STRENGTH[second]) / 2
        odds = np.array([np.exp(half), np.exp(-half), tie])
        if rng.random() > trust[rater]:
            odds = np.array([side, 1 - side, 0.0])
        outcome = (1.0, 0.0, 0.5)[int(rng.choice(3, p=odds / odds.sum()))]
        made.append(Comparison(rater, str(first), str(second), outcome, i))
    return made


def test_planted_strengths_and_reliabilities_are_recovered() -> None:
    trust = {"good": 0.95, "fair": 0.7, "spammer": 0.05}
    found = noisy_bradley_terry(planted(trust, 4000, tie=0.5))
    assert found.converged and found.ranking == list("abcd")
    for name, strength in STRENGTH.items():
        assert found.scores[name] == pytest.approx(strength, abs=0.3)
        assert found.intervals[name].lo < strength < found.intervals[name].hi
    for who, share in trust.items():
        assert found.reliability[who] == pytest.approx(share, abs=0.13)
    assert found.side["spammer"] == pytest.approx(0.8, abs=0.06)
    assert found.tie == pytest.approx(0.5, abs=0.15) and found.tie_guess < 0.05
    plain = noisy_bradley_terry(planted(trust, 4000, tie=0.5), raters=False)
    assert abs(plain.scores["a"]) < 0.8 * found.scores["a"]  # noise shrinks what does not know of it
    assert plain.reliability == {}


def test_the_gradient_is_that_of_the_likelihood() -> None:
    problem = _Problem(planted({"x": 0.8, "y": 0.4}, 60, tie=0.6), True, 0.01)
    x = np.random.default_rng(3).normal(size=problem.size) * 0.7
    logs, gradient = problem.likelihood(x)
    slope = problem.prior(x)[1]
    for p in range(problem.size):
        moved = np.zeros(problem.size)
        moved[p] = 1e-6
        change = (problem.likelihood(x + moved)[0] - problem.likelihood(x - moved)[0]) / 2e-6
        np.testing.assert_allclose(gradient[:, p], change, atol=1e-6)
        rise = (problem.prior(x + moved)[0] - problem.prior(x - moved)[0]) / 2e-6
        assert slope[p] == pytest.approx(rise, abs=1e-6)
    assert logs.max() < 0


@pytest.mark.filterwarnings("ignore")
def test_another_implementation_agrees() -> None:
    """The same likelihood at the same parameters; and ours is as high at our end as at theirs."""
    from crowdkit.aggregation import NoisyBradleyTerry
    from pandas import DataFrame

    rows = planted({"good": 0.95, "fair": 0.7, "spammer": 0.1}, 800, seed=5)
    problem = _Problem(rows, True, 0.01)
    k, r = len(problem.names), len(problem.raters)
    x = np.random.default_rng(0).normal(size=problem.size)
    theirs = np.concatenate(([0.0], x[:k], x[k + r : k + 2 * r], x[k : k + r]))
    won = np.where(problem.won_N, problem.first_N, problem.second_N)
    data = np.stack((problem.first_N, problem.second_N, won), 1) + 1
    value = NoisyBradleyTerry._compute_log_likelihood(theirs, data, problem.rater_N, k, r, 0.0)
    assert -problem.likelihood(x)[0].sum() == pytest.approx(value, rel=1e-12)

    frame = DataFrame(
        [(c.rater, c.first, c.second, c.first if c.outcome == 1.0 else c.second) for c in rows],
        columns=["worker", "left", "right", "label"],
    )
    fitted = NoisyBradleyTerry(n_iter=300).fit(frame)
    ours = noisy_bradley_terry(rows)
    assert ours.ranking == list(fitted.scores_.sort_values(ascending=False).index)
    logit = lambda p: np.log(p / (1 - p))  # noqa: E731
    end = np.zeros(problem.size)
    end[:k] = [logit(fitted.scores_[name]) for name in problem.names]
    end[k : k + r] = [logit(fitted.skills_[who]) for who in problem.raters]
    end[k + r : k + 2 * r] = [logit(fitted.biases_[who]) for who in problem.raters]
    assert ours.log_likelihood >= problem.likelihood(end)[0].sum() - 0.5


def test_intervals_hold_the_planted_strengths() -> None:
    held = []
    for seed in range(30):
        found = noisy_bradley_terry(planted({"x": 0.9, "y": 0.8, "z": 0.3}, 500, seed=seed))
        held += [found.intervals[n].lo <= s <= found.intervals[n].hi for n, s in STRENGTH.items()]
    assert 0.88 < np.mean(held) < 1.0


def test_comparisons_of_an_item_are_not_independent() -> None:
    """Every comparison copied nine times: as clusters the intervals stay as wide as they were."""
    rows = planted({"x": 0.9}, 200)
    width = lambda found: found.intervals["a"].hi - found.intervals["a"].lo  # noqa: E731
    once = width(noisy_bradley_terry(rows, raters=False))
    copied = [Comparison(c.rater, c.first, c.second, c.outcome, c.cluster) for c in rows for _ in range(9)]
    alone = [Comparison(c.rater, c.first, c.second, c.outcome) for c in copied]
    assert width(noisy_bradley_terry(copied, raters=False)) == pytest.approx(once, rel=0.1)
    assert width(noisy_bradley_terry(alone, raters=False)) < 0.5 * once


def test_mistakes_are_refused() -> None:
    with pytest.raises(ValueError, match="no comparisons"):
        noisy_bradley_terry([])
    with pytest.raises(ValueError, match="itself"):
        noisy_bradley_terry([Comparison("x", "a", "a", 1.0)])
    with pytest.raises(ValueError, match="neither"):
        noisy_bradley_terry([Comparison("x", "a", "b", 0.7)])
    with pytest.raises(ValueError, match="penalty"):
        noisy_bradley_terry([Comparison("x", "a", "b", 1.0)], penalty=0.0)
