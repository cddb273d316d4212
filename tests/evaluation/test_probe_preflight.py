"""The pre-flight of rewards: planted over-optimisation is found, and planted harmony is not faulted."""

import random

import pytest

from charter.errors import DataError
from charter.evaluation.probes.preflight import preflight, sizes
from charter.evaluation.probes.reward_style import reward_rows
from charter.evaluation.probes.run import run_probes
from charter.evaluation.probes.settings import ProbeSettings
from charter.feedback.rewards import Rewards
from charter.feedback.rewards.base import SampleReward
from charter.stats.best_of_n import kl_bound
from charter.types import Completion, Group, Message, Sample


def drawn(prompts, samples, gold_of, seed=0):
    """Normal proxies, and the gold that belongs to them."""
    rng = random.Random(seed)
    proxy = [[rng.gauss(0, 1) for _ in range(samples)] for _ in range(prompts)]
    gold = [[gold_of(one, rng) for one in row] for row in proxy]
    return proxy, gold


def test_a_planted_turning_point_is_found():
    # Best where the proxy is about 1: the best of n passes it near n = 4, 8.
    proxy, gold = drawn(60, 64, lambda x, rng: -((x - 1) ** 2) + rng.gauss(0, 0.1))
    found = preflight(proxy, gold, names=("score", "people"), most=32)
    assert [one.n for one in found.curve] == [1, 2, 4, 8, 16, 32]
    assert [one.kl for one in found.curve] == [kl_bound(n) for n in (1, 2, 4, 8, 16, 32)]
    proxies = [one.proxy for one in found.curve]
    assert proxies == sorted(proxies)
    assert abs(found.curve[1].proxy - 0.564) < 0.05 and abs(found.curve[4].proxy - 1.766) < 0.08
    golds = [one.gold for one in found.curve]
    assert golds[0] < golds[2] > golds[-1]
    assert found.within and 2 <= found.turning_n <= 16
    assert (
        found.law.peaked > 0.95
        and f"turns at {found.turning_kl:.2f} nats, n = {found.turning_n}" in found.words()
    )
    for one in found.curve:
        assert one.proxy_interval.lo < one.proxy < one.proxy_interval.hi
        assert one.gold_interval.lo < one.gold < one.gold_interval.hi


def test_a_reward_that_is_the_truth_does_not_turn_within_what_was_measured():
    proxy, gold = drawn(40, 32, lambda x, rng: x + rng.gauss(0, 0.3))
    found = preflight(proxy, gold)
    assert found.curve[-1].n == 16  # half of the samples
    assert found.gold_gain[0] > 1.5 and found.gold_gain[1].lo > 1.2
    assert not found.within and "rises" in found.words()


def test_a_reward_that_has_nothing_to_do_with_it_gains_nothing():
    proxy, gold = drawn(60, 32, lambda x, rng: rng.gauss(0, 1))
    found = preflight(proxy, gold)
    gain, (lo, hi) = found.gold_gain
    assert lo < 0 < hi and abs(gain) < 0.3
    assert "does not clearly move" in found.words()
    assert not found.decided and "is not decided" in found.words()
    against = preflight(*drawn(60, 32, lambda x, rng: -x + rng.gauss(0, 0.3)))
    assert "falls" in against.words() and against.turning_kl == 0 and against.turning_n == 1


def test_intervals_cover_what_is_expected():
    expected = 1.423600306  # of the largest of 8 standard normal numbers
    covered = 0
    for seed in range(40):
        proxy, _ = drawn(30, 16, lambda x, rng: x, seed)
        lo, hi = preflight(proxy).curve[-1].proxy_interval
        covered += lo <= expected <= hi
    assert covered >= 33


def test_without_a_held_out_reward_only_the_proxy_is_shown():
    proxy, _ = drawn(6, 8, lambda x, rng: x)
    found = preflight(proxy)
    assert found.gold == "" and found.law is None and found.gold_gain is None
    assert all(one.gold is None for one in found.curve)
    assert "no held-out reward" in found.words() and found.turning_kl is None


def test_a_held_out_reward_that_is_always_the_same_has_no_turning_point():
    proxy, gold = drawn(6, 8, lambda x, rng: 1.0)
    found = preflight(proxy, gold)
    assert found.law is None and found.gold_gain == (0.0, None)
    assert found.curve[-1].gold_interval is None and "+0 on every prompt" in found.words()


def test_missing_scores_leave_the_prompt_out_and_are_counted():
    proxy, gold = drawn(8, 8, lambda x, rng: x)
    proxy[0][3], gold[1][0] = None, None
    found = preflight(proxy, gold)
    assert (found.prompts, found.left_out) == (6, 2)
    with pytest.raises(DataError, match="it takes 4"):
        preflight(proxy[:4], gold[:4])
    with pytest.raises(DataError, match="not of the same samples"):
        preflight(proxy, [row[:-1] for row in gold])
    assert sizes(16) == (1, 2, 4, 8, 16) and sizes(12) == (1, 2, 4, 8, 12) and sizes(2) == (1, 2)


# -- what style explains -----------------------------------------------------------------------------


def answers(prompts=12, each=8, seed=0):
    rng = random.Random(seed)
    return [
        ["word " * rng.randint(3, 60) + "!" * rng.randint(0, 5) for _ in range(each)] for _ in range(prompts)
    ]


def test_a_reward_that_is_length_is_all_style_and_one_of_content_is_none():
    texts, rng = answers(), random.Random(1)
    length = [[float(len(text)) for text in row] for row in texts]
    r2, rho = reward_rows("length", texts, length)
    assert r2.value > 0.99 and r2.interval.lo > 0.95
    assert rho.value > 0.95
    noise = [[rng.gauss(0, 1) for _ in row] for row in texts]
    r2, rho = reward_rows("noise", texts, noise)
    assert r2.value < 0.1 and r2.interval.lo < 0.05 and rho.interval.lo < 0 < rho.interval.hi


def test_a_prompt_that_asks_for_long_answers_explains_nothing():
    # Between prompts length and reward go together; within a prompt they have nothing in common.
    rng = random.Random(2)
    texts = [["word " * (20 * number + rng.randint(1, 9)) for _ in range(8)] for number in range(1, 13)]
    values = [[10.0 * number + rng.gauss(0, 1) for _ in range(8)] for number in range(1, 13)]
    r2, rho = reward_rows("r", texts, values)
    assert r2.value < 0.15 and abs(rho.value) < 0.3


def test_a_reward_that_does_not_vary_is_not_measured():
    texts = answers(4, 4)
    (row,) = reward_rows("r", texts, [[1.0] * 4] * 4)
    assert row.value is None and row.why
    values = [[None, *(float(len(text)) for text in texts_[1:])] for texts_ in texts]
    assert reward_rows("r", texts, values)[0].missing == 4


# -- both as probes ------------------------------------------------------------------------------------


class Sampler:
    """Answers of random length, of which those of about 40 words are good."""

    def load_weights(self, policy, version, name="policy"):
        raise AssertionError

    def generate(self, contexts, n, sampling, policy="policy", on_progress=None):
        rng = random.Random(sampling.seed)
        groups = []
        for context in contexts:
            texts = ["word " * rng.randint(1, 100) for _ in range(n)]
            made = [Completion((Message("assistant", text),), finish_reason="stop") for text in texts]
            groups.append(Group(tuple(Sample(context, one) for one in made)))
        return groups


def rewards(**named):
    return Rewards(
        [SampleReward(k, lambda s, g, f=f: f(len(s.completion.text.split()))) for k, f in named.items()]
    )


def test_probes_on_a_models_own_samples():
    report = run_probes(
        Sampler(),
        probes=["reward-style", "best-of-n"],
        reward=rewards(longer=float),
        heldout=rewards(judge=lambda words: -abs(words - 40.0)),
        settings=ProbeSettings(num_generations=32),
    )
    style, best = report.results
    assert style.row("longer: R2 of style").value > 0.99
    assert best.row("longer, held out judge: proxy gain").interval.lo > 20
    assert best.row("longer, held out judge: held-out gain").interval.hi < 0
    assert best.row("longer, held out judge: turning point (nats)").value < kl_bound(4)
    assert len(best.row("longer, held out judge: proxy gain").detail["curve"]) == 5


def test_without_a_held_out_one_rewards_are_held_out_from_each_other():
    both = rewards(longer=float, judge=lambda words: -abs(words - 40.0))
    settings = ProbeSettings(num_generations=8, items=6)
    (found,) = run_probes(Sampler(), probes=["best-of-n"], reward=both, settings=settings).results
    titles = {row.name.partition(":")[0] for row in found.rows}
    assert titles == {"longer, held out judge", "judge, held out longer"}
    alone = rewards(longer=float)
    (found,) = run_probes(Sampler(), probes=["best-of-n"], reward=alone, settings=settings).results
    assert found.row("longer: held-out gain").value is None
    few = ProbeSettings(num_generations=8, items=3)
    (found,) = run_probes(Sampler(), probes=["best-of-n"], reward=alone, settings=few).results
    assert found.row("longer: gain").value is None and "it takes 4" in found.row("longer: gain").why
