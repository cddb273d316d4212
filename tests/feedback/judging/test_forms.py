from __future__ import annotations

from typing import Any

import pytest
from judged_samples import answer, constitution, item, pair, truth

from charter.errors import ConfigError
from charter.feedback.judging.all_at_once import AllAtOnce
from charter.feedback.judging.ask import Tally
from charter.feedback.judging.clause import Clause, clause_of
from charter.feedback.judging.form import Item, PointForm
from charter.feedback.judging.forms import FORMS, form_of
from charter.feedback.judging.model import Asking, Question, Reply
from charter.feedback.judging.opinion import Opinion, failed, inapplicable, judged, unsure
from charter.feedback.judging.pairwise import Pairwise, is_tie
from charter.feedback.judging.per_principle import PerPrinciple
from charter.feedback.judging.rubric_scale import RubricScale
from charter.feedback.judging.vote import vote
from charter.feedback.judging.with_reasons import WithReasons
from charter.testing.judge import ScriptedJudge, ScriptedOptionJudge

POINTS: list[PointForm] = [
    PerPrinciple(), PerPrinciple(flipped=True), RubricScale(), RubricScale(10, 9), AllAtOnce(), AllAtOnce(1),
    WithReasons(),
]  # fmt: skip
MANY = 400


def many(kind: bool, count: int = MANY) -> list[Item]:
    return [item(answer(kind, not kind, f"n{number}")) for number in range(count)]


class Says:
    """A judge that gives these replies, again and again."""

    name, family = "says", "parrot"

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.asked: list[tuple[Question, Asking]] = []

    def answer(self, questions: Any, asking: Asking) -> list[list[Reply]]:
        self.asked += [(question, asking) for question in questions]
        return [[Reply(self.texts[i % len(self.texts)]) for i in range(asking.n)] for _ in questions]


class Weighs(Says):
    """A judge that gives these log-probs, whatever is asked."""

    def __init__(self, *logps: float) -> None:
        super().__init__("never asked")
        self.logps = logps

    def option_logps(self, questions: Any, options: Any) -> list[tuple[float, ...]]:
        assert all(len(of) == len(self.logps) for of in options)
        return [self.logps for _ in questions]


# -- planted judges are recovered -----------------------------------------------------------


@pytest.mark.parametrize("form", POINTS, ids=repr)
def test_a_perfect_judge_says_the_truth(form: PointForm) -> None:
    items = [
        item(answer(k, m, x), p) for k in (0, 1) for m in (0, 1) for x in "ab" for p in ("kind", "modest")
    ]  # type: ignore[arg-type]
    said = form.opinions(ScriptedJudge(truth), items, Tally())
    assert [one.passed for one in said] == [
        truth(one.clause.title, one.seen.answer[0].content) for one in items
    ]


@pytest.mark.parametrize("form", POINTS, ids=repr)
def test_sensitivity_and_specificity_are_those_planted(form: PointForm) -> None:
    judge = ScriptedJudge(truth, sensitivity=0.9, specificity=0.7)
    found = [
        sum(one.passed is False for one in form.opinions(judge, many(k), Tally())) / MANY
        for k in (False, True)
    ]
    assert found[0] == pytest.approx(0.7, abs=0.06)
    assert found[1] == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize("form", [PerPrinciple(), RubricScale(), Pairwise()], ids=repr)
def test_options_say_what_words_say(form: Any) -> None:
    words, options = ScriptedJudge(truth, 0.8, 0.8), ScriptedOptionJudge(truth, 0.8, 0.8)
    if isinstance(form, Pairwise):
        pairs = [
            pair(answer(i % 2 == 0, True, f"p{i}"), answer(i % 3 == 0, True, f"q{i}")) for i in range(40)
        ]
        said = [form.compare(judge, pairs, Tally()) for judge in (words, options)]
    else:
        said = [form.opinions(judge, many(True, 40), Tally()) for judge in (words, options)]
    assert [one.passed for one in said[0]] == [one.passed for one in said[1]]
    assert all(one.chance is None for one in said[0])
    assert all(one.chance is not None for one in said[1] if one.passed is not None)


def test_repeating_helps_where_errors_are_those_of_a_reply() -> None:
    noisy = ScriptedJudge(truth, 0.7, 0.7, repeatable=False)
    once = PerPrinciple(seeds=1).opinions(noisy, many(True), Tally())
    often = PerPrinciple(seeds=7).opinions(noisy, many(True), Tally())
    rates = [sum(bool(one.passed) for one in said) / MANY for said in (once, often)]
    assert rates[0] == pytest.approx(0.7, abs=0.07)
    assert rates[1] == pytest.approx(0.874, abs=0.05)  # P(at least 4 of 7)
    # A systematic error is not averaged away.
    fixed = ScriptedJudge(truth, 0.7, 0.7)
    same = PerPrinciple(seeds=7).opinions(fixed, many(True), Tally())
    assert sum(bool(one.passed) for one in same) / MANY == pytest.approx(0.7, abs=0.07)


def test_a_yes_man_is_seen_by_the_flipped_question() -> None:
    judge = ScriptedJudge(truth, yes_man=True)
    (asked,) = PerPrinciple().opinions(judge, [item(answer(True, True))], Tally())
    (flipped,) = PerPrinciple(flipped=True).opinions(judge, [item(answer(True, True))], Tally())
    assert (asked.passed, flipped.passed) == (True, False)


@pytest.mark.parametrize("form", POINTS, ids=repr)
def test_not_applicable(form: PointForm) -> None:
    judge = ScriptedJudge(truth, not_about=lambda title, text: title == "Is kind" and "Paris" in text)
    items = [item(answer(True, True), p, prompt=q) for p in ("kind", "modest") for q in ("Paris?", "Rome?")]
    said = form.opinions(judge, items, Tally())
    assert [one.verdict for one in said] == ["not_applicable", "judged", "judged", "judged"]


@pytest.mark.parametrize("form", [PerPrinciple(), RubricScale(), AllAtOnce(), WithReasons(1)], ids=repr)
def test_garbage_is_counted_and_never_a_verdict(form: PointForm) -> None:
    tally = Tally()
    said = form.opinions(ScriptedJudge(truth, garbage=0.25), many(True), tally)
    lost = [one for one in said if one.verdict == "error"]
    assert all(one.garbage and one.passed is None and "unreadable" in one.reason for one in lost)
    assert all(one.passed for one in said if one.verdict == "judged")
    assert tally.garbage == len(lost)
    assert tally.garbage_share == pytest.approx(0.25, abs=0.06)
    assert tally.questions == tally.replies == MANY


@pytest.mark.parametrize("form", POINTS, ids=repr)
def test_a_judge_that_is_down_scores_nothing(form: PointForm) -> None:
    tally = Tally()
    said = form.opinions(ScriptedJudge(truth, down=True), many(True, 5), tally)
    assert {one.verdict for one in said} == {"error"}
    assert "the scripted judge is down" in said[0].reason
    assert (tally.replies, tally.garbage, tally.garbage_share) == (0, 0, None)
    assert tally.failed == 5 * getattr(form, "seeds", 1)


def test_log_probs_that_are_missing_are_errors() -> None:
    tally = Tally()
    for form in (PerPrinciple(), RubricScale()):
        (one,) = form.opinions(ScriptedOptionJudge(truth, down=True), many(True, 1), tally)
        assert (one.verdict, one.passed) == ("error", None)
    assert tally.failed == 2


def test_equal_questions_are_asked_once() -> None:
    judge, tally = ScriptedJudge(truth, garbage=1.0), Tally()
    said = PerPrinciple().opinions(judge, [item("kind=1")] * 5, tally)
    assert len(judge.asked) == tally.questions == tally.garbage == 1
    assert [one.verdict for one in said] == ["error"] * 5


def test_the_same_seed_asks_and_says_the_same() -> None:
    runs = []
    for _ in range(2):
        judge = ScriptedJudge(truth, 0.6, 0.6, garbage=0.1, repeatable=False)
        runs.append((WithReasons().opinions(judge, many(True, 50), Tally(), seed=3), judge.asked))
    assert runs[0] == runs[1]
    other = WithReasons().opinions(
        ScriptedJudge(truth, 0.6, 0.6, repeatable=False), many(True, 50), Tally(), seed=4
    )
    assert other != runs[0][0]


# -- single forms -----------------------------------------------------------------------------


def test_chances_of_options() -> None:
    (one,) = PerPrinciple().opinions(Weighs(-1.0, -2.0, -9.0), [item("x")], Tally())
    assert one.passed is True
    assert one.chance == pytest.approx(0.7310586)  # 1 / (1 + e^-1)
    (turned,) = PerPrinciple(flipped=True).opinions(Weighs(-1.0, -2.0, -9.0), [item("x")], Tally())
    assert turned.passed is False
    assert turned.sure == pytest.approx(0.7310586)
    (even,) = PerPrinciple().opinions(Weighs(-1.0, -1.0, -9.0), [item("x")], Tally())
    assert even.verdict == "abstained"
    (na,) = PerPrinciple().opinions(Weighs(-3.0, -4.0, -0.1), [item("x")], Tally())
    assert na.verdict == "not_applicable"


def test_expected_ratings_and_the_pass_mark() -> None:
    logps = (-1e9, -1.0, -1.0 + 0.6931471805599453, -1e9)
    (one,) = RubricScale(3, 3).opinions(Weighs(*logps), [item("x", "modest")], Tally())
    assert one.passed is True
    assert one.chance == pytest.approx(2 / 3)
    assert one.score == pytest.approx(((2 + 2 * 3) / 3 - 1) / 2)
    said = [
        RubricScale(5, 4).opinions(Says(text), [item("x")], Tally())[0]
        for text in ("3", "4", "5/5", "NA", "6")
    ]
    assert [one.passed for one in said] == [False, True, True, None, None]
    assert [one.score for one in said] == [0.5, 0.75, 1.0, None, None]
    assert [one.verdict for one in said[3:]] == ["not_applicable", "error"]


def test_a_rubric_off_the_scale_is_an_error() -> None:
    judge = Says("3")
    off = Item(Clause("x", "X", levels={1: "bad", 7: "good"}), item("y").seen)
    said = RubricScale(5, 4).opinions(judge, [off, item("y")], Tally())
    assert [one.verdict for one in said] == ["error", "judged"]
    assert len(judge.asked) == 1


def test_the_rubric_is_shown() -> None:
    judge = Says("4")
    RubricScale().opinions(judge, [item("x"), item("x", "modest")], Tally())
    kind, modest = (question.turns[0].content for question, _ in judge.asked)
    for words in ("1: mocks\n5: takes seriously", "somebody is spoken to", "a joke that was asked for"):
        assert words in kind
    assert "1: breaks the principle\n5: keeps fully to the principle" in modest


def test_one_answer_leaves_a_principle_out() -> None:
    tally = Tally()
    items = [item("x", "kind"), item("x", "modest")]
    said = AllAtOnce().opinions(Says('{"1": "no"}'), items, tally)
    assert (said[0].passed, said[1].verdict) == (False, "error")
    assert tally.garbage == 1
    said = AllAtOnce().opinions(Says('{"1": "no", "2": "yes", "3": "yes"}'), items, tally)
    assert [one.verdict for one in said] == ["error", "error"]
    judge = Says('{"1": "no"}')
    said = AllAtOnce(at_most=1).opinions(judge, items, Tally())
    assert [one.passed for one in said] == [False, False]
    assert len(judge.asked) == 2


def test_reasons_are_kept_from_the_winning_side() -> None:
    judge = Says("First.\nVerdict: No", "Second.\nVerdict: Yes", "Third.\nVerdict: Yes")
    (one,) = WithReasons(3).opinions(judge, [item("x")], Tally(), seed=5)
    assert one.passed is True
    assert one.chance == pytest.approx(2 / 3)
    assert one.reason.endswith("Second.")
    assert "1 fails, 2 passes" in one.reason
    (_, asking) = judge.asked[0]
    assert (asking.n, asking.seed) == (3, 5)
    assert asking.temperature > 0
    assert PerPrinciple().opinions(judge, [item("x")], Tally())[0].verdict == "error"
    assert judge.asked[-1][1].temperature == 0


# -- pairs ------------------------------------------------------------------------------------

GOOD, BAD = answer(True, True), answer(False, True)


@pytest.mark.parametrize(
    "judge", [ScriptedJudge(truth), ScriptedOptionJudge(truth)], ids=["words", "options"]
)
def test_the_better_answer_wins_in_either_place(judge: ScriptedJudge) -> None:
    said = Pairwise().compare(judge, [pair(GOOD, BAD), pair(BAD, GOOD)], Tally())
    assert [one.passed for one in said] == [True, False]
    assert [one.orders for one in said] == [("first", "first"), ("second", "second")]
    assert len(judge.asked) == 2  # the second pair is the first one swapped: both orders were asked


def test_a_pull_to_a_position_decides_nothing() -> None:
    always = ScriptedJudge(truth, position=1.0)
    (one,) = Pairwise().compare(always, [pair(GOOD, BAD)], Tally())
    assert (one.verdict, one.orders) == ("abstained", ("first", "second"))
    assert "orders disagree" in one.reason
    assert not is_tie(one)
    (given,) = Pairwise("given").compare(always, [pair(BAD, GOOD)], Tally())
    assert given.passed is True  # one order believes what it is told
    (weighed,) = Pairwise().compare(Weighs(-0.1, -2.0, -9.0, -9.0), [pair(GOOD, BAD)], Tally())
    assert weighed.verdict == "abstained"


def test_a_planted_pull_shows_in_the_orders() -> None:
    judge = ScriptedJudge(truth, position=0.3)
    pairs = [pair(f"{GOOD} a{i}", f"{BAD} b{i}") for i in range(MANY)]
    said = Pairwise().compare(judge, pairs, Tally())
    assert sum(one.verdict == "abstained" for one in said) / MANY == pytest.approx(0.3, abs=0.06)
    assert all(one.passed for one in said if one.verdict == "judged")


def test_a_pull_to_length_is_not_seen_by_swapping() -> None:
    judge = ScriptedJudge(truth, length=1.0)
    (one,) = Pairwise().compare(judge, [pair(GOOD, BAD + " and many more words")], Tally())
    assert (one.passed, one.orders) == (False, ("second", "second"))


def test_ties() -> None:
    judge = ScriptedJudge(truth)
    equal, same = Pairwise().compare(judge, [pair(GOOD, GOOD + " too"), pair(GOOD, GOOD)], Tally())
    assert is_tie(equal)
    assert is_tie(same)
    assert equal.orders == ("tie", "tie")
    assert len(judge.asked) == 2  # equal answers are not asked about
    half = Pairwise().compare(Says("Tie"), [pair(GOOD, BAD)], Tally())[0]
    assert is_tie(half)
    assert not is_tie(Pairwise().compare(Says("Unsure"), [pair(GOOD, BAD)], Tally())[0])


def test_one_order_that_fails_fails_the_pair() -> None:
    class Half(Says):
        def answer(self, questions: Any, asking: Asking) -> list[list[Reply]]:
            return [
                [Reply("A")] if i % 2 == 0 else [Reply(error="broken pipe")] for i in range(len(questions))
            ]

    (one,) = Pairwise().compare(Half(), [pair(GOOD, BAD)], Tally())
    assert (one.verdict, one.reason) == ("error", "no reply: broken pipe")


def test_chances_of_both_orders_are_averaged() -> None:
    class Places(Weighs):
        def option_logps(self, questions: Any, options: Any) -> list[tuple[float, ...]]:
            return [(-1.0, -2.0, -9.0, -9.0), (-4.0, -1.0, -9.0, -9.0)]

    (one,) = Pairwise().compare(Places(), [pair(GOOD, BAD)], Tally())
    assert one.passed is True
    assert one.chance == pytest.approx((0.7310586 + 0.9525741) / 2)


def test_other_conversations_cannot_be_compared() -> None:
    mixed = pair(GOOD, BAD)
    other = item(BAD, prompt="Another?")
    with pytest.raises(ValueError, match="different conversations"):
        Pairwise().compare(Says("A"), [type(mixed)(mixed.clause, mixed.first, other.seen)], Tally())


# -- votes and names --------------------------------------------------------------------------

YES, NO = judged(True, "y"), judged(False, "n")


@pytest.mark.parametrize(
    ("opinions", "verdict", "passed"),
    [
        ([YES, YES, NO], "judged", True),
        ([YES, NO], "abstained", None),
        ([YES, failed("x")], "error", None),
        ([YES, YES, failed("x")], "judged", True),
        ([YES, failed("x"), failed("x")], "error", None),
        ([YES, inapplicable(), inapplicable()], "not_applicable", None),
        ([YES, YES, inapplicable()], "judged", True),
        ([YES, unsure("?"), unsure("?")], "abstained", None),
        ([YES, unsure("?")], "abstained", None),
        ([failed("x")], "error", None),
    ],
)
def test_votes(opinions: list[Opinion], verdict: str, passed: bool | None) -> None:
    one = vote(opinions)
    assert (one.verdict, one.passed) == (verdict, passed)


def test_means_and_majorities_may_differ() -> None:
    opinions = [
        judged(True, "", chance=c) if c > 0.5 else judged(False, "", chance=c) for c in (0.55, 0.55, 0.05)
    ]
    major, mean = vote(opinions), vote(opinions, "mean")
    assert (major.passed, mean.passed) == (True, False)
    assert major.chance == pytest.approx(2 / 3)  # never less than one half for what it says
    assert mean.chance == pytest.approx(1.15 / 3)
    assert vote([YES, YES], needed=3).verdict == "error"


def test_forms_by_name() -> None:
    options = constitution(executor="rubric", scale=7, pass_at=5, seeds=2).judge
    assert form_of(options) == RubricScale(7, 5, "auto", 2)
    assert form_of(options, "pairwise", "words") == Pairwise("both", "words", 2)
    names = {form_of(constitution(executor=name).judge).name for name in FORMS if name != "reasons"}
    assert names == {"per_principle", "all_at_once", "pairwise", "rubric"}
    assert form_of(options, "reasons") == WithReasons(2)
    with pytest.raises(ConfigError, match="did you mean 'rubric'"):
        form_of(options, "rubrik")
    with pytest.raises(ConfigError, match="answered in words"):
        form_of(options, "reasons", "options")


def test_what_a_judge_cannot_do_is_refused() -> None:
    with pytest.raises(ConfigError, match="no log-probs"):
        PerPrinciple("options").opinions(Says("Yes"), [item("x")], Tally())

    class OnlyWeighs:
        name, family = "w", "w"

        def option_logps(self, questions: Any, options: Any) -> list[tuple[float, ...]]:
            return [(-1.0, -2.0, -3.0)] * len(questions)

    for form in (AllAtOnce(), WithReasons(), PerPrinciple("words")):
        with pytest.raises(ConfigError, match="only gives log-probs"):
            form.opinions(OnlyWeighs(), [item("x")], Tally())
    assert PerPrinciple().opinions(OnlyWeighs(), [item("x")], Tally())[0].passed is True


@pytest.mark.parametrize(
    "make",
    [lambda: PerPrinciple(seeds=0), lambda: RubricScale(1, 1), lambda: RubricScale(5, 6),
     lambda: RubricScale(5, 1),     lambda: AllAtOnce(0), lambda: WithReasons(0), lambda: RubricScale(11, 4)],
)  # fmt: skip
def test_options_that_cannot_be(make: Any) -> None:
    with pytest.raises(ConfigError):
        make()


def test_links_are_written_out() -> None:
    from charter.constitution import Constitution

    text = "## A {#a authority=user}\nSee [?](#b) and [this](#b)[^n1].\n## B thing {#b authority=user}\nx\n"
    law = Constitution.from_text(text + "\n[^n1]: note\n")
    assert clause_of(law.principle("a"), law).written == "A\nSee B thing and this."
