"""Labels of the measured answers: what corrects a rate where they were drawn at random, and where not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from charter.evaluation.rates.basis import Basis, Placed, with_labels
from charter.evaluation.rates.change import change_of
from charter.evaluation.rates.correction import (
    AS_CARD,
    AS_DRAWN,
    AS_LABELLED,
    DRAWN,
    Corrected,
    correct,
    correct_change,
    errors_for,
)
from charter.evaluation.rates.side_verdicts import Seen, SideVerdicts, side_verdicts
from charter.evaluation.rates.verdicts import Cell, PromptVerdicts
from charter.stats.judge_rate import JudgeErrors

CARD = JudgeErrors(100, 85, 100, 20)
RATE, Q1, Q0 = 0.7, 0.85, 0.8


def drawn(rng: np.random.Generator, n: int, rate: float = RATE) -> list[tuple[bool, bool]]:
    """Truth and verdict of ``n`` answers."""
    good = rng.random(n) < rate
    passed = rng.random(n) < np.where(good, Q1, 1 - Q0)
    return [(bool(a), bool(b)) for a, b in zip(good, passed, strict=True)]


def side(answers: Sequence[tuple[bool, bool]], labelled: Sequence[int], *, random: bool) -> SideVerdicts:
    """One answer a prompt; those at ``labelled`` carry their truth."""
    chosen = set(labelled)
    return SideVerdicts(
        [[Seen(v, t, random) if i in chosen else Seen(v)] for i, (t, v) in enumerate(answers)]
    )


def basis(errors: JudgeErrors | None = None, labels: int = 0) -> Basis:
    placed = {("after", f"p{i}", 0): Placed(True) for i in range(labels)}
    return Basis("a", "j", "calibrated", "", errors, labels=placed)  # type: ignore[arg-type]


def corrected(one: SideVerdicts, of: Basis) -> Corrected:
    found = correct(one, of, level=0.95, seed=0)
    assert found is not None
    return found


def test_a_random_part_corrects_by_itself_and_says_what_that_rests_on() -> None:
    rng = np.random.default_rng(0)
    one = side(drawn(rng, 300), range(60), random=True)
    found = corrected(one, basis(CARD))
    assert found.method == "prediction_powered" and found.assumes == DRAWN and found.labels == 60
    assert found.to_json()["assumes"] == DRAWN


def test_labels_of_which_nothing_says_that_they_were_drawn_are_not_taken_for_a_random_part() -> None:
    rng = np.random.default_rng(0)
    one = side(drawn(rng, 300), range(60), random=False)
    assert not one.powered
    carded = corrected(one, basis(CARD))
    assert (carded.method, carded.assumes, carded.labels) == ("rogan_gladen", AS_CARD, 200)
    alone = corrected(one, basis())
    assert (alone.method, alone.assumes, alone.labels) == ("rogan_gladen", AS_LABELLED, 60)
    few = side(drawn(rng, 300), range(20), random=True)
    assert corrected(few, basis(CARD)).assumes == AS_CARD
    assert correct(few, basis(), level=0.95, seed=0) is None


def test_only_those_that_were_drawn_power_the_rate() -> None:
    """Sixty drawn at random, and thirty that somebody picked: these are answers like all others."""
    rng = np.random.default_rng(1)
    answers = drawn(rng, 400)
    seen = [[Seen(v, t, True) if i < 60 else Seen(v)] for i, (t, v) in enumerate(answers)]
    plain = corrected(SideVerdicts(seen), basis())
    worst = [i for i in range(60, 400) if not answers[i][1]][:30]
    for i in worst:
        seen[i] = [Seen(answers[i][1], answers[i][0], False)]
    mixed = SideVerdicts(seen)
    assert mixed.labels == 90 and not mixed.random
    assert corrected(mixed, basis()) == plain


def test_labels_of_the_worst_transcripts_are_found_out() -> None:
    """People label what the judge failed: neither kind of correction is to be fooled by that."""
    rng = np.random.default_rng(2)
    answers = drawn(rng, 300)
    failed = [i for i, (_, v) in enumerate(answers) if not v][:40]
    for random in (False, True):
        one = side(answers, failed, random=random)
        assert "not drawn at random" in one.picked and not one.powered
        found = corrected(one, basis())
        assert found.estimate is None and found.status == "contradicted" and "0%" in found.why
        assert (found.lo, found.hi) == (0.0, 1.0) and errors_for(one, basis()) is None
        # A card with no more labels than these may have been made from these.
        assert corrected(one, basis(JudgeErrors(20, 17, 20, 4), labels=40)).estimate is None
        assert corrected(one, basis(CARD, labels=40)).assumes == AS_CARD


def test_a_random_part_is_rarely_taken_for_a_picked_one() -> None:
    rng = np.random.default_rng(3)
    alarms = sum(bool(side(drawn(rng, 200), range(50), random=True).picked) for _ in range(600))
    assert alarms <= 4  # one in a thousand


def test_what_labels_of_the_bad_would_do_to_a_rate_that_takes_them_for_random() -> None:
    """Labels that lean to bad answers, as many passed as failed ones: nothing shows it, the rate is wrong.

    That is why a draw has to be declared, and is not supposed of any labels that happen to match.
    """
    rng = np.random.default_rng(4)
    held = {True: 0, False: 0}
    for _ in range(60):
        answers = drawn(rng, 400)
        order = sorted(range(400), key=lambda i: rng.random() + 0.35 * answers[i][0])
        # As many passed and failed answers as in all, but the bad ones of each first.
        share = sum(v for _, v in answers) / 400
        passed = [i for i in order if answers[i][1]][: round(80 * share)]
        failed = [i for i in order if not answers[i][1]][: 80 - len(passed)]
        for random in held:
            found = corrected(side(answers, [*passed, *failed], random=random), basis(CARD))
            held[random] += found.lo <= RATE <= found.hi
    assert held[True] < 25 and held[False] >= 54


def test_the_interval_of_a_declared_draw_holds_the_truth() -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(150):
        answers = drawn(rng, 200)
        one = side(answers, rng.choice(200, 50, replace=False).tolist(), random=True)
        found = corrected(one, basis())
        assert found.method == "prediction_powered"
        held += found.lo <= RATE <= found.hi
    assert held >= 136


# -- several answers a prompt ---------------------------------------------------------------------


def several(
    rng: np.random.Generator, prompts: int, answers: int, labelled: int, random: bool
) -> SideVerdicts:
    """The judge is right or wrong on a whole prompt; the first ``labelled`` prompts are labelled."""
    found = []
    for at in range(prompts):
        good = bool(rng.random() < RATE)
        passed = bool(rng.random() < (Q1 if good else 1 - Q0))
        seen = Seen(passed, good, random) if at < labelled else Seen(passed)
        found.append([seen] * answers)
    return SideVerdicts(found)


def test_labels_of_one_prompt_count_as_what_they_are_worth() -> None:
    one = several(np.random.default_rng(0), 200, 4, 50, True)
    assert one.labels == 200 and not one.powered
    assert one.errors is not None and one.errors.labels == 200 and one.errors.n == pytest.approx(50, abs=2)
    assert corrected(one, basis()).assumes == AS_DRAWN
    # A hundred labels of 25 prompts are worth 25, which are too few.
    assert several(np.random.default_rng(0), 200, 4, 25, True).errors is None


def test_intervals_made_of_clustered_labels_hold_the_truth() -> None:
    rng = np.random.default_rng(6)
    held = narrow = used = 0
    for _ in range(120):
        one = several(rng, 150, 4, 60, True)
        if one.errors is None or one.picked:
            continue
        used += 1
        found = corrected(one, basis())
        held += found.lo <= RATE <= found.hi
        flat = SideVerdicts([[seen._replace(random=False)] for prompt in one.prompts for seen in prompt])
        counted = corrected(flat, basis())
        narrow += counted.lo <= RATE <= counted.hi
    assert used > 100 and held >= 0.93 * used and narrow < 0.89 * used


# -- changes, and how labels get there --------------------------------------------------------------


def test_a_change_is_of_the_truth_only_where_both_sides_were_drawn() -> None:
    rng = np.random.default_rng(7)
    first, second = drawn(rng, 300, 0.4), drawn(rng, 300, 0.8)
    for random, method in ((True, "prediction_powered"), (False, "rogan_gladen")):
        sides = [side(one, range(60), random=random) for one in (first, second)]
        raw = change_of(sides[0].clusters, sides[1].clusters, level=0.95, seed=0)
        found = correct_change(*sides, raw, basis(), level=0.95, seed=0)
        assert found is not None and found.method == method and found.assumes
        assert found.lo <= 0.4 <= found.hi and found.to_json()["method"] == method


def test_how_a_label_was_drawn_comes_with_it() -> None:
    cells = {"a": (Cell("judged", True), Cell("judged", False)), "b": (Cell("abstained"),) * 2}
    prompts = [PromptVerdicts("p0", "q", 2, cells)]
    labels = {("after", "p0", 1): Placed(True, True), ("before", "p0", 0): Placed(False)}
    found = side_verdicts(prompts, "a", "after", labels)  # type: ignore[arg-type]
    assert found.prompts == [[Seen(True), Seen(False, True, True)]]
    assert side_verdicts(prompts, "b", "after", labels).prompts == []  # type: ignore[arg-type]
    bases = {"a": Basis("a", "j", "uncalibrated", "")}
    many = {("after", f"p{i}", 0): Placed(True, i < 10) for i in range(30)}
    told = with_labels(bases, {"a": many})["a"]  # type: ignore[dict-item]
    assert told.evidence == "calibrated" and told.to_json()["labels_drawn_at_random"] == 10
