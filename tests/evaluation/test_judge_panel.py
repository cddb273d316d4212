"""A panel of judges: each with a card of its own, and a vote that is examined by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
from judge_card_judges import POLITE, TRUE, written

from charter.constitution import Constitution
from charter.errors import ConfigError
from charter.evaluation.judge_card.asking import Judge, Subject
from charter.evaluation.judge_card.card import JudgeCard, PrincipleCard
from charter.evaluation.judge_card.criterion import Limits
from charter.evaluation.judge_card.labels import Labels, read_labels
from charter.evaluation.judges.judging import Adjudicator, adjudicate, given_judge
from charter.evaluation.judges.names import named_judges
from charter.evaluation.judges.panel import Bench
from charter.evaluation.judges.panel_card import NO_VOTE
from charter.feedback.judging.feedback import ModelJudge
from charter.feedback.judging.per_principle import PerPrinciple
from charter.stats.judge_rate import JudgeErrors
from charter.testing.endpoint import FakeEndpoint, say
from charter.testing.judge import ScriptedJudge
from charter.types import Completion, Context, Group, Message, Sample

LAW = Constitution.from_text(written().replace("name: test", "name: test\njudge: {panel_min: 2, seeds: 1}"))
ONE = Constitution.from_text(written().replace("name: test", "name: test\njudge: {panel_min: 1, seeds: 1}"))
GOOD, BAD = "I will gladly tell you, certainly.", "I say shut up, and have no idea."


def chance(*parts: str) -> float:
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:7], "big") / 2**56


def knows(_title: str, text: str) -> bool:
    return "shut up" not in text and "no idea" not in text


def manners_alone(title: str, text: str) -> bool:
    """Knows manners, and tosses a coin of certainty."""
    return knows(title, text) if title == "Is polite" else chance(text) < 0.5


def scripted(name: str, truth: Callable[[str, str], bool] = knows, **how: Any) -> ScriptedJudge:
    return ScriptedJudge(truth, name=name, seed=len(name), **{"family": f"family-{name}", **how})


def bench(*judges: ScriptedJudge, law: Constitution = LAW, cards: Sequence[JudgeCard | None] = ()) -> Bench:
    """A panel of scripted judges, opened as named ones are."""

    def opened(part: Constitution, only: Collection[str], voters: Sequence[int], **how: Any) -> Judge:
        return ModelJudge(part, [judges[at] for at in voters], PerPrinciple(method="words"), only=only, **how)

    def alone(at: int) -> Adjudicator:
        def open_one(part: Constitution, only: Collection[str]) -> Judge:
            return opened(part, only, [at], panel_min=1)

        name = f"{judges[at].name} (per_principle)"
        card = cards[at] if cards else None
        return Adjudicator(name, open_one, Subject(name, open_one), judges[at].family, card=card)

    def examined(voters: Any) -> Subject:
        return Subject("vote", lambda part, only: opened(part, only, voters[next(iter(only))]))

    return Bench(
        "+".join(one.name for one in judges),
        tuple(alone(at) for at in range(len(judges))),
        law.judge.panel_min,
        opened,
        examined,
        lambda part, voters: ModelJudge(part, [judges[at] for at in voters], rules_first=False),
    )


def answered(*texts: str) -> list[Group]:
    return [
        Group(
            (Sample(Context((Message("user", f"Why {i}?"),)), Completion((Message("assistant", text),))),),
            id=f"g{i}",
        )
        for i, text in enumerate(texts)
    ]


def labels(law: Constitution, n: int = 60) -> Labels:
    rows = [
        {"principle": POLITE, "prompt": f"Elsewhere {i}?", "completion": text, "label": text == GOOD}
        for i in range(n)
        for text in (GOOD, BAD)
    ]
    return read_labels(rows, law)


# -- who votes ----------------------------------------------------------------------------------


def test_a_judge_that_failed_its_card_has_no_vote_and_too_few_votes_are_no_verdict() -> None:
    found = adjudicate(LAW, bench(scripted("a"), scripted("b", manners_alone)))
    assert found.bases[TRUE].evidence == "refused"
    assert "1 of 2 judges may judge it, and 2 must: b: refused" in found.bases[TRUE].why
    assert found.bases[POLITE].evidence == "uncalibrated" and NO_VOTE in found.bases[POLITE].why
    assert [card.judge for card in found.members] == ["a (per_principle)", "b (per_principle)"]
    (good, bad) = found.judged(answered(GOOD, BAD))
    said = {one.principle: one for one in good.judgements}
    assert said[POLITE].value == 1.0 and said[POLITE].judge.startswith("a+b/")
    assert said[TRUE].verdict == "not_measured" and "1 of 2 judges" in said[TRUE].reason
    assert {one.principle: one.value for one in bad.judgements} == {POLITE: 0.0, TRUE: None}


def test_who_may_judge_differs_by_principle() -> None:
    judges = [scripted("a"), scripted("b"), scripted("c", manners_alone)]
    found = adjudicate(LAW, bench(*judges))
    assert {id: one.evidence for id, one in found.bases.items()} == {
        POLITE: "uncalibrated",
        TRUE: "uncalibrated",
    }
    (one,) = found.judged(answered(GOOD))
    assert {j.principle: j.judge.partition("/")[0] for j in one.judgements} == {POLITE: "a+b+c", TRUE: "a+b"}


def test_one_judge_alone_votes_with_its_own_card_where_one_is_enough() -> None:
    errors = JudgeErrors(60, 54, 60, 6)
    sure = PrincipleCard(TRUE, "", ONE.principle(TRUE).sha, "calibrated", "measured", (), errors)
    kind = PrincipleCard(POLITE, "", ONE.principle(POLITE).sha, "refused", "coin", ())
    cards = [JudgeCard("a", ONE.name, ONE.sha, Limits(), (), (one,)) for one in (sure, kind)]
    found = adjudicate(ONE, bench(scripted("a"), scripted("b"), law=ONE, cards=cards))
    assert found.bases[TRUE].evidence == "calibrated" and found.bases[TRUE].errors == errors
    assert found.bases[TRUE].why == "a alone: measured"
    assert found.bases[POLITE].evidence == "undecided"  # a was never examined on it
    (one,) = found.judged(answered(GOOD))
    assert {j.principle: j.value for j in one.judgements} == {POLITE: None, TRUE: 1.0}


def test_a_card_made_under_other_words_gives_no_vote() -> None:
    old = PrincipleCard(POLITE, "", "0" * 64, "calibrated", "", (), JudgeErrors(60, 54, 60, 6))
    cards = [JudgeCard(name, LAW.name, LAW.sha, Limits(), (), (old,)) for name in "ab"]
    found = adjudicate(LAW, bench(scripted("a"), scripted("b"), cards=cards))
    assert (
        found.bases[POLITE].evidence == "undecided" and "no card for these words" in found.bases[POLITE].why
    )
    assert found.judge is None


# -- the vote -----------------------------------------------------------------------------------


def test_labels_examine_the_vote_and_not_the_judges_alone() -> None:
    """Each errs on a fifth of the good answers by itself: what is corrected is how their vote errs."""
    judges = [
        scripted("a", sensitivity=0.8, specificity=0.97),
        scripted("longer", sensitivity=0.8, specificity=0.97),
    ]
    law = LAW
    rows = [
        {"principle": POLITE, "prompt": f"Elsewhere {i}?", "completion": f"{text} {i}", "label": text == GOOD}
        for i in range(150)
        for text in (GOOD, BAD)
    ]
    told = read_labels(rows, law)
    passing = [
        JudgeCard(
            name,
            law.name,
            law.sha,
            Limits(),
            (),
            (
                PrincipleCard(
                    POLITE, "", law.principle(POLITE).sha, "calibrated", "", (), JudgeErrors(60, 48, 60, 2)
                ),
            ),
        )
        for name in ("a", "longer")
    ]
    found = adjudicate(law, bench(*judges, cards=passing), labels=told)
    assert found.card is not None
    card = found.card.of(POLITE)
    assert card is not None and card.errors is not None
    # Of two judges both must say so: where they differ there is no verdict. 0.64 against 0.04 agree.
    assert card.errors.sensitivity == pytest.approx(0.64 / 0.68, abs=0.04)
    assert card.errors.n < 2 * 150  # splits are missing
    assert card.missing and "the vote of 2" in card.why
    names = {one.name for one in card.criteria}
    assert {"vote: labels", "vote: pairs"} <= names


def test_without_labels_of_a_principle_its_vote_is_not_calibrated() -> None:
    found = adjudicate(LAW, bench(scripted("a"), scripted("b")), labels=labels(LAW))
    assert found.bases[POLITE].evidence == "calibrated"
    assert found.bases[TRUE].evidence == "uncalibrated" and NO_VOTE in found.bases[TRUE].why


# -- relatives ----------------------------------------------------------------------------------


def test_relatives_have_no_vote_and_too_few_others_judge_nothing() -> None:
    found = adjudicate(LAW, bench(scripted("a"), scripted("b", family="smollm")), family="smollm")
    assert {one.evidence for one in found.bases.values()} == {"refused"}
    assert "1 of 2 judges are of the measured model's own family (smollm)" in found.bases[POLITE].why
    assert found.judge is None and found.card is None
    three = adjudicate(
        LAW, bench(scripted("a"), scripted("b", family="smollm"), scripted("c")), family="smollm"
    )
    (one,) = three.judged(answered(GOOD))
    assert {j.judge.partition("/")[0] for j in one.judgements} == {"a+c"}
    assert [card.judge for card in three.members] == ["a (per_principle)", "c (per_principle)"]


# -- names --------------------------------------------------------------------------------------


def endpoint(name: str, url: str = "http://127.0.0.1:9/v1") -> str:
    return f"endpoint:{name}@{url}"


@pytest.mark.parametrize("name", ["assistant", "pluralistic"])
def test_a_constitution_that_wants_a_panel_refuses_one_judge_before_anything_is_asked(name: str) -> None:
    law = Constitution.load(name)
    with FakeEndpoint([say("Yes")]) as fake:
        with pytest.raises(ConfigError, match="wants a panel of 2 judges, and 1 is named") as error:
            named_judges(endpoint("a", fake.url), law)
        assert "name 1 more (--judge A --judge B" in str(error.value.fix)
        assert "panel_min" in str(error.value.fix) and law.path in str(error.value.fix)
        found = named_judges([endpoint("a", fake.url), endpoint("b", fake.url)], law)
        assert isinstance(found, Bench) and found.minimum == 2
        assert {one.evidence for one in found.expected(law).values()} >= {"uncalibrated"}
        assert not fake.requests


def carded(judge: str, law: Constitution = LAW) -> JudgeCard:
    one = PrincipleCard(POLITE, "", law.principle(POLITE).sha, "uncalibrated", "", ())
    return JudgeCard(judge, law.name, law.sha, Limits(), (), (one,))


def test_cards_find_their_judges_in_any_order() -> None:
    a, b = endpoint("a"), endpoint("b")
    found = named_judges([a, b], LAW, cards=[carded(f"{b} (rubric)"), carded(f"{a} (rubric)")])
    assert isinstance(found, Bench) and found.name == f"{a}+{b} (rubric)"
    assert [one.card is not None and one.card.judge for one in found.members] == [
        f"{a} (rubric)",
        f"{b} (rubric)",
    ]
    assert found.expected(LAW)[POLITE].evidence == "uncalibrated"
    assert found.expected(LAW)[TRUE].evidence == "undecided"


@pytest.mark.parametrize(
    ("names", "cards", "words"),
    [
        (["a", "a"], [], "the same judge twice"),
        (["a", "b"], ["c (rubric)"], "the card is of endpoint:c"),
        (["a", "b"], ["a (rubric)", "b (per_principle)"], "made in different forms"),
        (["a", "b"], ["a (rubric)", "a (rubric)"], "two cards of endpoint:a"),
        (["a", "b"], ["a (pairwise)"], "no verdict on one alone"),
        (["a", "rules"], [], "no judge of what rules leave open"),
        ([], [], "no judge"),
    ],
)
def test_a_panel_that_cannot_be_is_refused(names: list[str], cards: list[str], words: str) -> None:
    specs = [name if name == "rules" else endpoint(name) for name in names]
    told = []
    for one in cards:
        name, _, form = one.partition(" ")
        told.append(carded(f"{endpoint(name)} {form}"))
    with pytest.raises(ConfigError, match=words):
        named_judges(specs, LAW, cards=told)


def test_relatives_among_names_are_refused_where_too_few_are_left(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="of the family of the model that would be judged"):
        named_judges([endpoint("smollm2-1.7b"), endpoint("gpt-5")], LAW, policy="smollm2-135m")


def test_a_judge_that_is_there_counts_as_the_judges_it_has() -> None:
    from charter.pipeline.evaluating import open_given

    class Own:
        def judge(self, groups: Sequence[Group]) -> list[list[Any]]:
            raise AssertionError("not to be asked")

    with pytest.raises(ConfigError, match="wants a panel of 2 judges"):
        open_given(LAW, judge=Own())
    pair = ModelJudge(LAW, [scripted("a"), scripted("b")], PerPrinciple(method="words"))
    assert open_given(LAW, judge=pair).judge is not None
    assert given_judge(Own()).name == "Own"
