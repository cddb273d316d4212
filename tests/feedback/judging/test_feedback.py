from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from judged_samples import answer, constitution, group, truth

from charter.errors import ConfigError
from charter.feedback.judging.all_at_once import AllAtOnce
from charter.feedback.judging.family import family_of
from charter.feedback.judging.feedback import NO_CARD, ModelJudge
from charter.feedback.judging.pairwise import Pairwise
from charter.feedback.judging.panel import Panel
from charter.feedback.judging.per_principle import PerPrinciple
from charter.feedback.judging.prompts import prompt
from charter.feedback.judging.rubric_scale import RubricScale
from charter.feedback.judging.with_reasons import WithReasons
from charter.feedback.rules.constitution import ConstitutionFeedback
from charter.records import judgement_from_json, judgement_to_json
from charter.testing.judge import ScriptedJudge, ScriptedOptionJudge
from charter.types import Group, Judgement, PairTarget, SampleTarget

GOOD, BAD = answer(True, True), answer(False, True)
MODELS = ("kind", "modest")


def by(said: Sequence[Judgement], principle: str) -> list[Judgement]:
    return [one for one in said if one.principle == principle]


# -- single judges ---------------------------------------------------------------------------


def test_rules_go_first_and_models_judge_the_rest() -> None:
    law = constitution()
    groups = [group([GOOD, BAD], tags=["chat"]), group([BAD])]
    judge = ScriptedJudge(truth)
    said = ModelJudge(law, judge).judge(groups)
    ruled = ConstitutionFeedback(law).judge(groups)
    assert [[(j.target, j.principle) for j in js] for js in said] == [
        [(j.target, j.principle) for j in js] for js in ruled
    ]
    for mine, theirs in zip(said, ruled, strict=True):
        assert by(mine, "brief") == by(theirs, "brief")
    assert [one.value for one in by(said[0], "kind")] == [1.0, 0.0]
    assert [one.value for one in by(said[0], "modest")] == [1.0, 1.0]
    assert {one.verdict for js in said for one in by(js, "guess")} == {"not_measured"}
    assert len(judge.asked) == 4  # two answers (one of them given twice) under two principles
    assert {title for q in judge.asked for title in ("Brief", "Old") if title in q.turns[0].content} == set()


def test_every_judgement_says_who_and_under_what() -> None:
    law = constitution()
    ((*said,),) = ModelJudge(law, ScriptedJudge(truth, name="m@1")).judge([group([GOOD])])
    for one in said:
        principle = law.principle(one.principle)
        assert (one.principle_sha, one.weight) == (principle.sha, principle.weight)
    assert by(said, "kind")[0].judge == f"m@1/per_principle@{prompt('per_principle').sha[:12]}"
    assert by(said, "brief")[0].judge == "rule"
    assert all(judgement_from_json(judgement_to_json(one)) == one for one in said)


def test_rules_may_be_told_to_stand_back() -> None:
    judge = ScriptedJudge(lambda title, text: "brief=1" in text)
    groups = [group([GOOD + " brief=1"], tags=["chat"]), group([GOOD + " brief=1"])]
    chat, other = ModelJudge(constitution(), judge, rules_first=False).judge(groups)
    (asked,) = by(chat, "brief")
    assert (asked.value, asked.judge.split("/")[0]) == (1.0, "scripted")
    (unasked,) = by(other, "brief")
    assert (unasked.verdict, unasked.judge) == ("not_applicable", "rule")


def test_a_judge_without_a_card_for_a_principle_is_not_used_for_it() -> None:
    judge = ScriptedJudge(truth)
    ((*said,),) = ModelJudge(constitution(), judge, only=["modest"]).judge([group([GOOD])])
    (kind,), (modest,) = by(said, "kind"), by(said, "modest")
    assert (kind.verdict, kind.value, kind.reason) == ("not_measured", None, NO_CARD)
    assert modest.value == 1.0
    assert len(judge.asked) == 1
    ((*none,),) = ModelJudge(constitution(), judge, only=(), why_not="card: 0.61").judge([group([GOOD])])
    assert {one.reason for one in none if one.principle in MODELS} == {"card: 0.61"}
    with pytest.raises(ConfigError, match="did you mean 'modest'"):
        ModelJudge(constitution(), judge, only=["modets"])


@pytest.mark.parametrize(
    "judge", [ScriptedJudge(truth), ScriptedOptionJudge(truth)], ids=["words", "options"]
)
def test_the_probability_is_that_of_the_verdict(judge: ScriptedJudge) -> None:
    ((*said,),) = ModelJudge(constitution(), judge).judge([group([GOOD, BAD])])
    good, bad = by(said, "kind")
    assert (good.value, bad.value) == (1.0, 0.0)
    if isinstance(judge, ScriptedOptionJudge):
        expected = pytest.approx(1 / (1 + 2.718281828459045**-4))
        assert good.probability == expected
        assert bad.probability == expected
    else:
        assert good.probability is bad.probability is None


@pytest.mark.parametrize("judge", [ScriptedJudge(truth, garbage=1.0), ScriptedJudge(truth, down=True)])
@pytest.mark.parametrize("form", [PerPrinciple(), AllAtOnce(), RubricScale(), WithReasons(), Pairwise()])
def test_what_is_missing_is_never_a_value(judge: ScriptedJudge, form: object) -> None:
    found = ModelJudge(constitution(), judge, form)  # type: ignore[arg-type]
    ((*said,),) = found.judge([group([GOOD, BAD])])
    mine = [one for one in said if one.principle in MODELS]
    assert mine
    assert all((one.verdict, one.value, one.probability) == ("error", None, None) for one in mine)
    assert found.tally.garbage_share == (None if judge.down else 1.0)


def test_ratings_as_values_only_where_asked_for() -> None:
    law = constitution(executor="rubric", scale=5, pass_at=4)
    judge = ScriptedOptionJudge(truth)
    plain = ModelJudge(law, judge).judge([group([GOOD])])[0][0]
    graded = ModelJudge(law, judge, graded=True).judge([group([GOOD])])[0][0]
    assert plain.value == 1.0
    assert graded.value is not None
    assert 0.9 < graded.value < 1.0


def test_a_rubric_off_the_scale_is_found_before_anything_is_asked() -> None:
    with pytest.raises(ConfigError, match="'kind' describes the rating 5"):
        ModelJudge(constitution(), ScriptedJudge(truth), RubricScale(4, 4))


def test_the_front_matter_decides_the_form() -> None:
    for executor, name in (
        ("all_at_once", "all_at_once"),
        ("rubric", "rubric_scale"),
        ("pairwise", "pairwise"),
    ):
        judge = ScriptedJudge(truth)
        ModelJudge(constitution(executor=executor, seeds=2), judge).judge([group([GOOD, BAD])])
        assert {question.prompt_sha for question in judge.asked} == {prompt(name).sha}


def test_it_is_a_feedback_and_deterministic() -> None:
    def run() -> list[list[Judgement]]:
        judge = ScriptedJudge(truth, 0.6, 0.7, garbage=0.2, repeatable=False)
        return ModelJudge(constitution(seeds=3), judge, seed=9).judge([group([GOOD, BAD, f"{GOOD} x"])] * 2)

    assert run() == run()
    judge = ModelJudge(constitution(), ScriptedJudge(truth))
    assert asyncio.run(judge([group([GOOD])])) == judge.judge([group([GOOD])])
    assert judge.judge([]) == []
    assert judge.judge([Group(())]) == [[]]


# -- pairs -----------------------------------------------------------------------------------


def test_pairs_of_a_group() -> None:
    judge = ModelJudge(constitution(executor="pairwise"), ScriptedOptionJudge(truth))
    assert judge.pairwise
    ((*said,),) = judge.judge([group([BAD, GOOD, f"{GOOD} again"], tags=["chat"])])
    assert [one.target for one in by(said, "kind")] == [PairTarget(1, 0), PairTarget(2, 0), PairTarget(1, 2)]
    first, _, tie = by(said, "kind")
    assert first.value is not None
    assert first.probability is not None
    assert first.value == pytest.approx(2 * first.probability - 1)
    assert (tie.verdict, tie.value) == ("abstained", None)
    assert [one.target for one in by(said, "brief")] == [SampleTarget(0), SampleTarget(1), SampleTarget(2)]
    assert {one.verdict for one in by(said, "guess")} == {"not_measured"}


def test_one_answer_cannot_be_compared() -> None:
    judge = ScriptedJudge(truth)
    ((*said,),) = ModelJudge(constitution(executor="pairwise"), judge).judge([group([GOOD])])
    assert {(one.verdict, one.reason) for one in said if one.principle in MODELS} == {
        ("not_measured", "there is no answer to compare it with")
    }
    assert judge.asked == []


# -- panels and families -----------------------------------------------------------------------


def judges(*accuracies: float, **more: object) -> list[ScriptedJudge]:
    return [
        ScriptedJudge(truth, a, a, seed=i, name=f"j{i}", family=f"f{i}", **more)  # type: ignore[arg-type]
        for i, a in enumerate(accuracies)
    ]


def accuracy(said: list[list[Judgement]]) -> float:
    right = [
        one.value == float("kind=1" in text)
        for js, text in zip(said, TEXTS, strict=True)
        for one in by(js, "kind")
    ]
    return sum(right) / len(right)


TEXTS = [answer(i % 2 == 0, True, f"n{i}") for i in range(300)]


def test_a_panel_of_independent_judges_is_better_than_one() -> None:
    groups = [group([text]) for text in TEXTS]
    alone = accuracy(ModelJudge(constitution(), judges(0.75)).judge(groups))
    panel = ModelJudge(constitution(panel_min=3), judges(0.75, 0.75, 0.75))
    assert alone == pytest.approx(0.75, abs=0.07)
    assert accuracy(panel.judge(groups)) == pytest.approx(0.844, abs=0.06)  # P(at least 2 of 3)
    assert panel.name.startswith("j0+j1+j2/per_principle@")


def test_a_relative_of_the_answerer_does_not_judge() -> None:
    panel = judges(1.0, 0.0)
    groups = [group([GOOD], by="f0"), group([GOOD], by="f1"), group([GOOD], by="policy")]
    judge = ModelJudge(constitution(), panel, families=lambda name: "" if name == "policy" else name)
    values = [by(js, "kind")[0] for js in judge.judge(groups)]
    assert [one.value for one in values] == [0.0, 1.0, None]
    assert values[2].verdict == "abstained"  # one says so, the other not
    assert judge.unknown_family == 1
    allowed = ModelJudge(constitution(self_family="allow"), panel[:1], families="f0")
    assert by(allowed.judge(groups)[0], "kind")[0].value == 1.0


def test_a_panel_that_is_too_small_measures_nothing() -> None:
    panel = judges(1.0, 1.0)
    ((*said,),) = ModelJudge(constitution(panel_min=2), panel, families="f1").judge([group([GOOD])])
    (one,) = by(said, "kind")
    assert (one.verdict, one.value) == ("not_measured", None)
    assert "own family" in one.reason
    assert panel[0].asked == panel[1].asked == []
    with pytest.raises(ConfigError, match="a panel of 2"):
        ModelJudge(constitution(panel_min=2), panel[0])


def test_a_pair_is_not_judged_by_a_relative_of_either_side() -> None:
    panel = judges(1.0, 1.0, 1.0)
    mixed = group([GOOD], by="f0").samples + group([BAD], by="f1").samples
    judge = ModelJudge(constitution(executor="pairwise"), panel, families=lambda name: name)
    ((*said,),) = judge.judge([Group(mixed)])
    assert by(said, "kind")[0].value == 1.0
    assert [len(one.asked) for one in panel] == [0, 0, 4]


def test_a_judge_that_fails_is_missing_from_the_panel() -> None:
    panel = [*judges(1.0, 1.0), ScriptedJudge(truth, down=True, name="broken", family="b")]
    ((*said,),) = ModelJudge(constitution(), panel).judge([group([BAD])])
    assert by(said, "kind")[0].value == 0.0
    ((*said,),) = ModelJudge(constitution(panel_min=3), panel).judge([group([BAD])])
    (one,) = by(said, "kind")
    assert (one.verdict, one.value) == ("error", None)
    assert "2 of 3 opinions, 3 are needed" in one.reason


def test_the_same_judge_twice_is_refused() -> None:
    twin = ScriptedJudge(truth)
    with pytest.raises(ConfigError, match="same judge twice"):
        ModelJudge(constitution(), [twin, ScriptedJudge(truth)]).judge([group([GOOD])])
    with pytest.raises(ConfigError, match="no judge"):
        Panel(())


@pytest.mark.parametrize("name", ["policy", "dataset", "", "mixture:0.25"])
def test_who_wrote_an_answer_is_not_always_known(name: str) -> None:
    assert family_of(name) == ""
