"""Metrics, intervals, partial effects and weights recover what was planted."""

import math

import numpy as np
import pytest

from charter.feedback.recovering.clusters import coin_tests, mean
from charter.feedback.recovering.executor import ceiling, fit_weights
from charter.feedback.recovering.metrics import measure
from charter.feedback.recovering.partial import controls_of, partial
from charter.feedback.recovering.votes import Votes
from charter.stats.multiple import benjamini_hochberg


def _measure(cast, labels, prompts=None, known=None):
    cast, labels = np.array(cast, np.int8), np.array(labels, np.int8)
    known = np.ones(len(cast), bool) if known is None else np.array(known)
    return measure(cast, known, labels, np.arange(len(cast)) if prompts is None else np.array(prompts))


def test_metrics_are_those_of_icai():
    found = _measure([1, 1, -1, 0, 1], [1, 1, 1, 1, -1])
    assert (found.agree, found.disagree, found.lead) == (2, 2, 0)
    assert found.agreement[0] == 2 / 5
    assert found.accuracy[0] == 1 / 2
    assert found.relevance[0] == 4 / 5
    assert found.performance[0] == pytest.approx(4 / 5 * (1 / 2 - 0.5) * 2)


def test_missing_votes_count_nowhere_and_no_votes_are_not_zero():
    found = _measure([1, 0, 1], [1, 1, -1], known=[True, True, False])
    assert (found.n, found.missing) == (2, 1)
    assert found.accuracy[0] == 1.0
    silent = _measure([0, 0], [1, 1])
    assert silent.accuracy is None
    assert silent.to_json()["accuracy"]["value"] is None


@pytest.mark.parametrize("per_prompt", [1, 4])
def test_intervals_cover_the_truth(per_prompt):
    """Accuracy 0.8, relevance 0.6, performance 0.36; four pairs of a prompt share most of their luck."""
    rng, hits = np.random.default_rng(1), np.zeros(3)
    runs, prompts = 400, 120
    for _ in range(runs):
        luck = np.repeat(rng.random(prompts) < 0.8, per_prompt)
        own = rng.random(prompts * per_prompt) < 0.8
        right = np.where(rng.random(prompts * per_prompt) < (0.7 if per_prompt > 1 else 0), luck, own)
        speaks = rng.random(prompts * per_prompt) < 0.6
        found = _measure(
            np.where(speaks, np.where(right, 1, -1), 0),
            np.ones(prompts * per_prompt),
            np.repeat(np.arange(prompts), per_prompt),
        )
        truth = ((found.accuracy, 0.8), (found.relevance, 0.6), (found.performance, 0.36))
        hits += [bounds.lo <= value <= bounds.hi for (_, bounds), value in truth]
    assert (hits / runs >= 0.92).all()
    assert (hits / runs <= 0.985).all()


def test_partial_effects_cover_the_planted_shares():
    rng, hits = np.random.default_rng(2), np.zeros(2)
    runs, n = 300, 240
    for _ in range(runs):
        first = rng.choice([-1, 0, 1], n)
        second = np.where(rng.random(n) < 0.5, first, rng.choice([-1, 0, 1], n))
        rule = np.where(rng.random(n) < 0.7, first, second)
        labels = np.where(rule == 0, rng.choice([-1, 1], n), rule).astype(np.int8)
        votes = Votes.of(np.array([first, second], np.int8))
        for at, share in ((0, 0.7), (1, 0.3)):
            found = partial(votes, at, controls_of(votes, [1 - at], None), labels, np.arange(n))
            hits[at] += found.effect[1].lo <= share <= found.effect[1].hi
    assert (hits / runs >= 0.91).all()
    assert (hits / runs <= 0.985).all()


def test_a_vote_that_repeats_another_cannot_be_told_apart():
    cast = np.array([[1, -1, 1, 0, 1, -1]] * 2, np.int8)
    votes = Votes.of(cast)
    controls = controls_of(votes, [1], None)
    assert partial(votes, 0, controls, np.array([1, 1, -1, 1, 1, -1], np.int8), np.arange(6)) is None


def test_coin_tests_are_exact_alone_and_by_prompt_when_labels_hang_together():
    agree = np.array([[1.0] * 9 + [-1.0]])
    assert coin_tests(agree, np.arange(10)) == [pytest.approx(2 * 11 / 1024)]
    repeated = np.repeat(agree, 5, axis=1)
    (p,) = coin_tests(repeated, np.repeat(np.arange(10), 5))
    assert p == pytest.approx(2 * 11 / 1024, abs=0.006)  # fifty labels are worth ten prompts


def test_means_over_prompts():
    values = np.array([1.0, 1.0, 0.0, 0.0])
    apart, together = mean(values, np.arange(4)), mean(values, np.array([0, 0, 1, 1]))
    assert together.hi - together.lo > apart.hi - apart.lo
    assert mean(values, np.zeros(4, int)) == (-math.inf, math.inf)


def test_weights_are_those_of_the_planted_logit_and_finite_without_noise():
    rng = np.random.default_rng(0)
    cast = rng.choice([-1, 0, 1], (2, 20_000)).astype(np.int8)
    chance = 1 / (1 + np.exp(-(1.5 * cast[0] - 0.5 * cast[1])))
    labels = np.where(rng.random(20_000) < chance, 1, -1).astype(np.int8)
    assert fit_weights(cast, labels) == pytest.approx([1.5, -0.5], abs=0.08)
    assert np.isfinite(fit_weights(cast, np.sign(cast[0] + 0.5).astype(np.int8))).all()
    assert fit_weights(cast[:0], labels).shape == (0,)


def test_no_repeated_labels_no_ceiling():
    assert ceiling([]) is None


def test_benjamini_and_hochberg():
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert benjamini_hochberg([]) == []
    with pytest.raises(ValueError, match="not a p-value"):
        benjamini_hochberg([1.5])
