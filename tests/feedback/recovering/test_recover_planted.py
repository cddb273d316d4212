"""Planted rules are recovered, what they drag along is not, and coins give nothing."""

from dataclasses import replace

import numpy as np
import planted_pairs as planted
import pytest

from charter.errors import DataError
from charter.feedback.recovering import recover as module
from charter.feedback.recovering.ballot import cast
from charter.feedback.recovering.recover import recover
from charter.feedback.recovering.recovery import Options


def _ids(found, standing="independent"):
    return [one.candidate.id for one in found.findings if one.standing == standing]


def _of(found, id):
    return next(one for one in found.findings if one.candidate.id == id)


@pytest.mark.parametrize(
    ("rule", "id"), [("words", "length.more"), ("lists", "lists.more"), ("flattery", "flattery.more")]
)
def test_one_hidden_rule_is_the_only_one_that_stands_on_its_own(rule, id):
    found = recover(planted.pairs(planted.more(rule), 400))
    assert _ids(found) == [id]
    one = _of(found, id)
    assert one.held_out.accuracy[0] == 1.0
    assert one.partial.effect[0] == pytest.approx(1.0, abs=0.05)
    ours, longest = (
        next(p for p in found.reconstruction.picks if p.name == name)
        for name in ("the recovered principles", "always the longest")
    )
    assert ours.accuracy[0] >= longest.accuracy[0] - 1e-9


def test_flattery_that_is_really_length_is_seen_through():
    found = recover(planted.pairs(planted.more("words"), 400, flattery_lengthens=True))
    assert _ids(found) == ["length.more"]
    flattery = _of(found, "flattery.more")
    assert flattery.p_holm < 1e-6  # alone it looks real
    assert (flattery.standing, flattery.explained_by.id) == ("explained", "length.more")
    assert abs(flattery.partial.effect[0]) < 0.05


def test_a_mixture_gives_both_rules_in_order_with_their_shares():
    rule = planted.mixed(planted.more("lists"), planted.more("flattery"), 0.7)
    found = recover(planted.pairs(rule, 1000))
    assert _ids(found) == ["lists.more", "flattery.more"]
    for id, share in (("lists.more", 0.7), ("flattery.more", 0.3)):
        effect, bounds = _of(found, id).partial.effect
        assert bounds.lo < share < bounds.hi
        assert effect == pytest.approx(share, abs=0.1)
        assert _of(found, id).adds[0] > 0
    assert _of(found, "lists.more").weight > _of(found, "flattery.more").weight > 0


def test_noise_is_measured_and_repeated_labels_give_the_ceiling():
    found = recover(planted.pairs(planted.noisy(planted.more("words"), 0.2), 500, repeats=2))
    assert _ids(found) == ["length.more"]
    bounds = _of(found, "length.more").held_out.accuracy[1]
    assert bounds.lo < 0.8 < bounds.hi
    assert found.reconstruction.ceiling.accuracy == pytest.approx(0.8, abs=0.06)


def test_a_rule_that_hides_behind_another_is_found_beside_it():
    """Shorter wins, and flattery makes answers longer: alone, flattery looks like nothing."""
    shorter = lambda a, b, rng: -planted.more("words")(a, b, rng)  # noqa: E731
    rule = planted.mixed(shorter, planted.more("flattery"), 0.6)
    found = recover(planted.pairs(rule, 1000, flattery_lengthens=True))
    assert set(_ids(found)) >= {"length.less", "flattery.more"}
    flattery = _of(found, "flattery.more")
    assert flattery.partial.effect[0] > flattery.held_out.performance[0] + 0.1


def test_coins_give_nothing_over_a_hundred_seeds(monkeypatch):
    """The chance of any false principle stays below alpha (0.05): at most 11 of 100 (99.7%)."""
    pairs = planted.pairs(planted.coin, 240)
    parts = module.split(pairs.pairs)
    ballot = cast([*parts.train, *parts.held_out])
    monkeypatch.setattr(module, "cast", lambda *_: ballot)  # the answers stay, only labels are tossed again
    false = 0
    for seed in range(100):
        coins = np.random.default_rng(seed).integers(0, 2, len(pairs))
        tossed = tuple(
            replace(pair, preferred="ab"[coin]) for pair, coin in zip(pairs.pairs, coins, strict=True)
        )
        found = recover(replace(pairs, pairs=tossed))
        false += bool(found.principles)
    assert false <= 11


def test_the_same_pairs_give_the_same_report():
    pairs = planted.pairs(planted.more("lists"), 120)
    assert recover(pairs).to_json() == recover(pairs).to_json()


def test_too_few_prompts_are_refused():
    with pytest.raises(DataError, match="too few"):
        recover(planted.pairs(planted.coin, 19), options=Options())
