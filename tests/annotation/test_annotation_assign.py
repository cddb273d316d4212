"""Who sees what: overlap, strata, tests, repeats, leases, and what active assignment asks first."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from campaigns import campaign
from pydantic import ValidationError
from sqlalchemy import select

from charter.annotation.assign import Assigner, order_of
from charter.annotation.monitor import agreement, by_rater, coverage, rater_stats
from charter.annotation.options import CampaignOptions
from charter.annotation.raters import Person, enrol
from charter.annotation.rows import snapshot
from charter.annotation.submission import Submission
from charter.annotation.submit import submit
from charter.annotation.tables import Presentation, Rater
from charter.annotation.uncertainty import Candidate, disagreement, split
from charter.errors import DataError

SCALE = 5


class Crowd:
    """Raters who work without a server."""

    def __init__(self, store, *names, score=disagreement):
        self.store = store
        self.options = store.campaign()[1]
        self.assigner = Assigner(self.options, SCALE, score)
        self.count = 0
        with store.write() as session:
            enrol(session, [Person(name) for name in names])

    def next(self, name, at=None):
        with self.store.write() as session:
            rater = session.scalars(select(Rater).where(Rater.name == name)).one()
            return self.assigner.next(session, rater, at)

    def say(self, name, shown, **said):
        self.count += 1
        sent = Submission(key=f"key-{self.count:06d}", presentation=shown.id, **{"outcome": "judged", **said})
        with self.store.write() as session:
            rater = session.scalars(select(Rater).where(Rater.name == name)).one()
            submit(session, rater, sent, self.options, SCALE)

    def snapshot(self):
        with self.store.read() as session:
            return snapshot(session)


def test_every_item_gets_its_overlap_and_nobody_sees_one_twice(tmp_path):
    made = campaign(tmp_path, count=10, overlap=2, calibration=3, calibration_overlap=3)
    crowd = Crowd(made.store, "a", "b", "c", "d")
    firsts = {name: [] for name in "abcd"}
    for turn in range(40):
        name = "abcd"[turn % 4]
        if shown := crowd.next(name):
            firsts[name].append(shown.item.calibration)
            crowd.say(name, shown, margin=1)
    labels = crowd.snapshot().labels
    had = Counter(label.item for label in labels)
    assert sorted(had.values()) == [2] * 7 + [3] * 3
    assert {label.item for label in labels if label.meta.get("calibration")} == {
        i for i, n in had.items() if n == 3
    }
    assert len({(label.rater, label.item) for label in labels}) == len(labels)
    assert all(seen[0] for seen in firsts.values() if seen)  # calibration comes first
    assert crowd.next("a") is None
    made.store.close()


def test_a_lease_holds_a_place_and_runs_out(tmp_path):
    made = campaign(tmp_path, count=1, overlap=1, lease_s=60.0)
    crowd = Crowd(made.store, "a", "b")
    first = crowd.next("a", at=1000.0)
    assert crowd.next("b", at=1030.0) is None
    assert crowd.next("a", at=1050.0).id == first.id  # asked again: the lease begins anew
    assert crowd.next("b", at=1100.0) is None
    taken = crowd.next("b", at=1111.0)
    assert taken.item_id == first.item_id
    crowd.say("b", taken, margin=1)
    assert crowd.next("a", at=1200.0) is None  # filled meanwhile: not asked once more than meant
    crowd.say("a", first, margin=1)  # yet what comes late is kept
    assert len(crowd.snapshot().labels) == 2
    made.store.close()


def test_tests_and_repeats_have_their_share_and_repeats_swap_the_sides(tmp_path):
    made = campaign(tmp_path, count=100, overlap=1, gold_share=0.06, repeat_share=0.04)
    crowd = Crowd(made.store, "a")
    while shown := crowd.next("a"):
        crowd.say("a", shown, margin=1 if shown.order[0] == 0 else -1)  # always the stored first
    now = crowd.snapshot()
    policies = Counter(label.meta["policy"] for label in now.labels)
    total = len(now.labels)
    assert policies["random"] == 100
    assert 0.04 < policies["gold"] / total < 0.08 and 0.02 < policies["repeat"] / total < 0.06
    originals = {label.id: label for label in now.labels}
    for label in now.labels:
        if label.repeat_of:
            before = originals[label.repeat_of]
            assert before.item == label.item and before.shown == tuple(reversed(label.shown))
            place = [one.id for one in now.labels]
            assert place.index(label.id) - place.index(before.id) > 8
    (labels,) = [labels for labels in by_rater(now).values() if labels]
    stats = rater_stats(labels)
    assert (stats.repeats.k, stats.repeats.n) == (policies["repeat"],) * 2
    assert stats.gold.n == policies["gold"]
    assert 0.35 < stats.first.share < 0.65 and not stats.one_sided
    made.store.close()


def test_one_sided_raters_are_seen_and_gold_and_repeats_tell_them(tmp_path):
    made = campaign(tmp_path, count=80, overlap=2, gold_share=0.1, repeat_share=0.1)
    crowd = Crowd(made.store, "left", "honest")
    for name in ("left", "honest"):
        while shown := crowd.next(name):
            sign = 1
            if name == "honest":
                # The truth: gold, or the stored first.
                sign = (shown.item.gold or 1) * (1 if shown.order[0] == 0 else -1)
            crowd.say(name, shown, margin=sign)
    now = crowd.snapshot()
    names = {rater.pseudonym: rater.name for rater in now.raters.values()}
    found = {names[one]: rater_stats(labels) for one, labels in by_rater(now).items()}
    assert found["left"].one_sided and found["left"].first.share == 1.0 and found["left"].repeats.k == 0
    assert found["honest"].gold.share == 1.0 and found["honest"].repeats.share == 1.0
    assert found["left"].gold.interval.hi < 1.0 and found["left"].gold.share < 0.9
    (alpha,) = agreement(now.labels).values()
    # One always says "first", one says it half the time: 1 - 0.5 / (2 * 0.75 * 0.25). Every campaign draws
    # its own order, and alpha varies with it: a deviation is 0.05.
    assert abs(alpha.value + 1 / 3) < 0.25 and alpha.interval.lo < alpha.value < alpha.interval.hi
    made.store.close()


def test_strata_fill_evenly(tmp_path):
    made = campaign(tmp_path, modes=("pair", "rating"), count=12, overlap=1, each=True)
    crowd = Crowd(made.store, "a")
    assert {one.wanted for one in coverage(crowd.snapshot())} == {12, 24}
    for _ in range(36):
        shown = crowd.next("a")
        crowd.say("a", shown, **({"margin": 1} if shown.item.mode == "pair" else {"rating": 3}))
    shares = [one.labels / one.wanted for one in coverage(crowd.snapshot())]
    assert max(shares) - min(shares) <= 1 / 12
    made.store.close()


def candidate(mode, *said):
    return Candidate("i", mode, "", (), "", {}, said, SCALE)


def test_uncertainty_is_highest_where_people_are_split():
    one_sided = candidate("pair", ("judged", 2), ("judged", 1))
    contested = candidate("pair", ("judged", 2), ("judged", -1))
    assert disagreement(candidate("pair")) == disagreement(contested) == 1.0
    assert disagreement(one_sided) == pytest.approx(0.75)
    assert split(contested) and not split(one_sided)
    far, near = (candidate("rating", ("judged", a), ("judged", b)) for a, b in ((1, 5), (4, 4)))
    assert disagreement(far) > disagreement(near) == pytest.approx(1 / 3)
    assert split(far) and not split(near)


def test_active_assignment_asks_the_uncertain_first_and_keeps_an_honest_random_share(tmp_path):
    wanted = {f"Question {number}:" for number in range(30)}

    def score(item):
        return float(int(item.prompt.split()[1].rstrip(":")) < 30)

    made = campaign(tmp_path, count=60, overlap=1, policy="active", random_share=0.25)
    crowd = Crowd(made.store, "a", score=score)
    asked = []
    for _ in range(30):
        shown = crowd.next("a")
        asked.append((shown.policy, shown.score, any(shown.item.prompt.startswith(one) for one in wanted)))
        crowd.say("a", shown, margin=1)
    active = [one for one in asked if one[0] == "active"]
    drawn = [one for one in asked if one[0] == "random"]
    assert all(one[1] == 1.0 and one[2] for one in active)
    assert 3 <= len(drawn) <= 14 and all(one[1] is None for one in drawn)
    assert not all(one[2] for one in drawn)  # chance also asks what no score points at
    with made.store.read() as session:
        assert all(one.pool > 0 for one in session.scalars(select(Presentation)).unique())
    made.store.close()


def test_disagreement_brings_more_raters(tmp_path):
    made = campaign(tmp_path, count=6, overlap=2, policy="active", extra_overlap=1)
    crowd = Crowd(made.store, "a", "b", "c")
    contested = set()
    for name, sign in (("a", 1), ("b", -1)):
        while shown := crowd.next(name):
            number = int(shown.item.prompt.split()[1].rstrip(":"))
            stored = sign if number < 2 else 1
            if number < 2:
                contested.add(shown.item_id)
            crowd.say(name, shown, margin=stored * (1 if shown.order[0] == 0 else -1))
    asked = set()
    while shown := crowd.next("c"):
        asked.add(shown.item_id)
        crowd.say("c", shown, margin=1)
    assert asked == contested and len(asked) == 2
    made.store.close()


def test_sides_are_drawn_evenly_and_never_anew():
    rng = random.Random(0)
    raters = [f"r-{rng.getrandbits(32):x}" for _ in range(400)]
    firsts = sum(order_of(0, rater, "item", 2)[0] for rater in raters)
    assert 160 < firsts < 240
    assert order_of(3, "r", "i", 5) == order_of(3, "r", "i", 5) != order_of(3, "r", "j", 5)


def test_options_that_cannot_be_meant_are_refused(tmp_path):
    for wrong in (
        {"gold_share": 0.4, "repeat_share": 0.4},
        {"random_share": 0.0},
        {"overlap": 0},
        {"span_tags": ("a", "a")},
    ):
        with pytest.raises(ValidationError):
            CampaignOptions(**wrong)
    with pytest.raises(DataError, match="no example"):
        campaign(tmp_path, modes=("revision",), gold_share=0.05)
    assert not (tmp_path / "c.db").exists()
