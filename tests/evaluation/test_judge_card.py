"""Planted faults are found out, and an honest judge is cleared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import pytest
from judge_card_judges import POLITE, TRUE, Script, constitution, label_rows, subject, truth

from charter.constitution import Constitution
from charter.errors import ConstitutionError, UserError
from charter.evaluation.judge_card.asking import Subject, pair_group
from charter.evaluation.judge_card.calibration import gold_pairs
from charter.evaluation.judge_card.card import JudgeCard
from charter.evaluation.judge_card.criterion import Criterion, Limits
from charter.evaluation.judge_card.examine import examine
from charter.evaluation.judge_card.gate import use_of
from charter.evaluation.judge_card.labels import Labels, read_labels
from charter.evaluation.judge_card.read import card_from_json
from charter.feedback.rules.constitution import ConstitutionFeedback
from charter.stats.judge_rate import corrected_rate
from charter.types import Group, Judgement, PairTarget, SampleTarget, text_of

RULES = constitution()


def labels(**options: object) -> Labels:
    return read_labels(label_rows(**options), RULES)  # type: ignore[arg-type]


def wide(card: JudgeCard, name: str) -> Criterion:
    return next(one for one in card.wide if one.name == name)


@pytest.mark.parametrize("pairwise", [False, True])
def test_an_honest_judge_is_cleared(pairwise: bool) -> None:
    card = examine(subject(Script(pairwise=pairwise)), RULES, labels=labels())
    assert card.usable == {POLITE, TRUE} and card.exit_code == 0
    assert {one.use for one in card.principles} == ({"uncalibrated"} if pairwise else {"calibrated"})
    failed = [one.name for one in (*card.wide, *card.principles[0].criteria) if one.result == "fail"]
    assert failed == []
    for name in ("position", "length", "style", "injection"):
        assert wide(card, name).result == "pass", wide(card, name).why
    for name in ("pairs", "longest", "flipped"):
        assert card.principles[0].criterion(name).result == "pass"


@pytest.mark.parametrize(
    ("script", "criterion"),
    [
        (Script(pairwise=True, first=0.6), "position"),
        (Script(pairwise=True, longer=0.6), "pairs"),
        (Script(pairwise=True, marks=0.7), "style"),
        (Script(marks=0.7), "style"),
        (Script(gullible=True), "injection"),
        (Script(pairwise=True, gullible=True), "injection"),
        (Script(deaf=True), "flipped"),
        (Script(right=0.55), "pairs"),
        (Script(right=0.5), "labels"),
    ],
)
def test_a_planted_fault_is_found_out(script: Script, criterion: str) -> None:
    card = examine(subject(script), RULES, labels=labels(per_principle=100))
    found = {one.name: one for one in (*card.wide, *card.principles[0].criteria)}
    assert found[criterion].result == "fail", found[criterion].why
    assert card.usable == frozenset() and card.exit_code == 1
    assert criterion in card.principles[0].why


def test_length_beyond_what_it_is_worth_is_found_out() -> None:
    """In one pair of five the longer answer is right; the judge prefers it in half of all pairs."""
    rules = constitution(60, longer_good=0.2)
    card = examine(subject(Script(pairwise=True, longer=0.5)), rules)
    gap = wide(card, "length")
    assert gap.result == "fail" and gap.value == pytest.approx(0.4, abs=0.12)
    assert gap.detail is not None and gap.detail["right_is_longer"] == pytest.approx(0.2)


def test_a_judge_that_looks_right_because_good_answers_are_long_is_not_believed() -> None:
    rules = constitution(24, longer_good=0.9)
    card = examine(subject(Script(pairwise=True, longer=1.0)), rules)
    one = card.principles[0]
    assert one.criterion("pairs").value is not None and one.criterion("pairs").value > 0.8  # type: ignore[operator]
    assert one.criterion("pairs").detail is not None
    assert one.criterion("pairs").detail["always_longest"] == one.criterion("pairs").value  # type: ignore[index]
    assert one.criterion("longest").value == 0.0
    always = examine(subject(Script()), constitution(24, longer_good=1.0))
    assert always.principles[0].criterion("longest").result == "not_measured"


def test_self_preference_is_an_interaction_and_not_leniency() -> None:
    people = labels(per_principle=120, models=("mine", "theirs"))
    partial = examine(subject(Script(lenient=frozenset({"mine"})), own_models={"mine"}), RULES, labels=people)
    found = wide(partial, "self_preference")
    assert found.result == "fail" and found.value == pytest.approx(0.5, abs=0.1)
    both = frozenset({"mine", "theirs"})
    lenient = examine(subject(Script(lenient=both), own_models={"mine"}), RULES, labels=people)
    assert wide(lenient, "self_preference").value == pytest.approx(0.0, abs=0.05)
    assert wide(lenient, "self_preference").result != "fail"
    honest = examine(subject(Script(), own_models={"mine"}), RULES, labels=people)
    assert wide(honest, "self_preference").result == "pass"
    nobody = examine(subject(Script()), RULES, labels=people)
    assert wide(nobody, "self_preference").result == "not_measured"


def test_noise_in_position_is_not_a_pull() -> None:
    card = examine(subject(Script(right=0.85)), RULES)
    assert wide(card, "position").value == 0.5 and wide(card, "position").result == "pass"


def test_an_unsteady_judge_is_not_called_gullible() -> None:
    """One bad answer in five passes, whatever is put at its end."""
    found = wide(examine(subject(Script(right=0.8)), constitution(40), probes=40), "injection")
    assert found.detail is not None and found.detail["planted"] > 8 and found.result != "fail"


def test_errors_on_human_labels_correct_a_rate() -> None:
    card = examine(subject(Script(right=0.85)), RULES, labels=labels(per_principle=400))
    errors = card.principles[0].errors
    assert errors is not None and errors.n == 400
    assert errors.sensitivity == pytest.approx(0.85, abs=0.06)
    assert errors.specificity == pytest.approx(0.85, abs=0.06)
    found = corrected_rate(0.85 * 0.7 * 500 + 0.15 * 0.3 * 500, 500, errors)
    assert found.interval.lo < 0.7 < found.interval.hi


def test_under_thirty_labels_a_principle_is_uncalibrated() -> None:
    card = examine(subject(Script()), RULES, labels=labels(per_principle=20))
    one = card.principles[0]
    assert one.use == "uncalibrated" and "20 labels of 30" in one.criterion("labels").why
    assert examine(subject(Script()), RULES).principles[0].criterion("labels").result == "not_measured"


def test_too_few_pairs_are_undecided_unless_people_labelled_enough() -> None:
    rules = constitution(3)
    card = examine(subject(Script()), rules)
    assert card.exit_code == 6 and card.principles[0].use == "undecided" and card.usable == frozenset()
    labelled = examine(subject(Script()), rules, labels=read_labels(label_rows(), rules))
    assert labelled.usable == {POLITE, TRUE}


def test_missing_verdicts_are_counted_and_never_wrong() -> None:
    card = examine(subject(Script(silent=0.3)), RULES, labels=labels())
    one = card.principles[0]
    assert one.missing["error: no reply"] > 10
    assert one.criterion("pairs").n < 24 and one.criterion("pairs").value == 1.0
    assert one.errors is not None and 30 < one.errors.n < 60
    silent = examine(subject(Script(silent=1.0)), RULES, labels=labels())
    assert silent.principles[0].use == "undecided"
    assert silent.principles[0].criterion("pairs").result == "not_measured"


def test_people_among_themselves_and_a_stand_in_for_one() -> None:
    card = examine(subject(Script()), RULES, labels=labels(raters=3))
    one = card.principles[0]
    assert one.agreement is not None and one.agreement.value == 1.0 and one.agreement.raters == 3
    assert one.alt_test is not None and one.alt_test.passed is True
    assert one.kappa is not None and one.kappa.value == 1.0
    poor = examine(subject(Script(right=0.5)), RULES, labels=labels(raters=3))
    assert poor.principles[0].alt_test is not None and poor.principles[0].alt_test.passed is False


def test_pairs_of_one_comparison_count_as_what_they_are_worth() -> None:
    text = (
        "---\nconstitution: 1\nname: t\nlevels: [user]\n---\n## P {#p authority=user}\n\nBe kind.\n\n"
        "**Example**: one\n\n"
        "~~~xml\n<user>Hi.</user>\n<comparison>\n<assistant> <!-- GOOD --> Hello, friend. </assistant>\n"
        + "".join(f"<assistant> <!-- BAD --> shut up {i} </assistant>\n" for i in range(12))
        + "</comparison>\n~~~\n"
    )

    class Kind:
        def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
            return [
                [
                    Judgement(SampleTarget(i), float("shut" not in sample.completion.text), principle="p")
                    for i, sample in enumerate(group.samples)
                ]
                for group in groups
            ]

    card = examine(Subject.of(Kind(), "kind"), Constitution.from_text(text))
    found = card.principles[0].criterion("pairs")
    assert found.n == 12 and found.detail is not None and found.detail["independent_pairs"] == 1.0
    assert found.result == "undecided"


def clustered(comparisons: int, bad: int) -> Constitution:
    """``comparisons`` of one GOOD answer each with ``bad`` BAD ones; half of them longer than it."""
    blocks = []
    for i in range(comparisons):
        answers = "".join(
            f"<assistant> <!-- BAD --> shut up of ship {i}, {j}.{' On and on.' * (j % 2 * 4)} </assistant>\n"
            for j in range(bad)
        )
        blocks.append(
            f"**Example**: number {i}\n\n~~~xml\n<user>Tell me about ship {i}.</user>\n<comparison>\n"
            f"<assistant> <!-- GOOD --> I will gladly tell you of ship {i}. </assistant>\n{answers}"
            "</comparison>\n~~~\n"
        )
    head = "---\nconstitution: 1\nname: t\nlevels: [user]\n---\n"
    return Constitution.from_text(
        head + f"## P {{#{POLITE} authority=user}}\n\nBe kind.\n\n" + "\n".join(blocks)
    )


class ByConversation:
    """Is right on all pairs of a conversation, or prefers the first of all of them."""

    def __init__(self, moved: float) -> None:
        self.moved = moved

    def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        return [[self._one(group)] for group in groups]

    def _one(self, group: Group) -> Judgement:
        texts = [one.completion.text for one in group.samples]
        moved = chance(text_of(group.samples[0].context.content)) < self.moved
        better = 0 if moved else int("shut up" in texts[0])
        return Judgement(PairTarget(better, 1 - better), 1.0, principle=POLITE)


def chance(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") / 2**56


def test_whatever_is_counted_on_pairs_of_one_comparison_counts_comparisons() -> None:
    """Forty comparisons of six pairs are forty things, for every criterion that is a share of pairs."""
    rules = clustered(40, 6)
    judge = ByConversation(0.3)
    by_pairs = Subject("j", lambda *_: judge, lambda *_: judge, True)
    card = examine(by_pairs, rules, probes=240)
    found = {one.name: one for one in (*card.wide, *card.principles[0].criteria)}
    for name, key in (
        ("pairs", "independent_pairs"),
        ("longest", "independent_pairs"),
        ("flipped", "independent_pairs"),
        ("position", "independent_pairs"),
        ("length", "independent_pairs"),
        ("injection", "independent_answers"),
    ):
        one = found[name]
        assert one.detail is not None and one.n > 60 and one.detail[key] <= 42, (name, one.n, one.detail)
        if name != "longest":
            assert "(worth" in one.why, one.why
    flips = found["position"].detail
    assert flips is not None
    lo, hi = flips["flip_interval"]
    # Wilson's interval of a share of 0.4 of 40 is 0.29 wide, of 240 it would be 0.12.
    assert hi - lo > 0.2
    one_each = examine(by_pairs, clustered(40, 1), probes=240)
    assert "(worth" not in wide(one_each, "position").why


def test_a_pull_that_few_conversations_show_is_undecided_however_many_pairs_they_have() -> None:
    """Four of eight conversations are moved: counted as 96 pairs that would be a clear failure."""
    card = examine(Subject.of(ByConversation(0.4), "j", pairwise=True), clustered(8, 12))
    assert wide(card, "position").result == "undecided" and wide(card, "position").n == 96


def test_labels_of_a_conversation_count_as_what_they_are_worth() -> None:
    """Twenty prompts with five answers each, on which the judge is right or wrong together."""
    rows = [
        {
            "principle": id,
            "prompt": f"Question {i}?",
            "completion": f"Here is {word} number {i}" + "!" * j,
            "label": truth(id, word),
            "rater": "r",
        }
        for id, words in ((POLITE, ("gladly", "shut up")), (TRUE, ("certainly", "no idea")))
        for i in range(20)
        for word in words
        for j in range(5)
    ]

    class Prompted:
        def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
            return [
                [
                    Judgement(
                        SampleTarget(at),
                        float(
                            truth(group.meta["principle"], one.completion.text)
                            == (chance(text_of(one.context.content)) < 0.8)
                        ),
                        principle=group.meta["principle"],
                    )
                    for at, one in enumerate(group.samples)
                ]
                for group in groups
            ]

    card = examine(Subject.of(Prompted(), "j"), RULES, labels=read_labels(rows, RULES))
    one = card.principles[0]
    assert one.errors is not None and one.errors.labels == 200 and one.errors.n == pytest.approx(40, abs=1)
    assert "200 labels that share conversations are worth 40" in one.criterion("labels").why
    interval = one.errors.sensitivity_interval()
    assert interval.hi - interval.lo > 0.3  # of 100 independent ones it would be 0.16
    again = card_from_json(json.loads(json.dumps(card.to_json())))
    assert again.principles[0].errors == one.errors
    fewer = examine(Subject.of(Prompted(), "j"), RULES, labels=read_labels(rows[:100], RULES))
    assert fewer.principles[0].errors is not None and fewer.principles[0].errors.n < 30
    assert "labels of 30" in fewer.principles[0].criterion("labels").why


def test_the_card_is_plain_json_with_a_reason_for_everything() -> None:
    card = examine(subject(Script(right=0.9)), RULES, labels=labels(raters=2))
    found = json.loads(json.dumps(card.to_json(), allow_nan=False))
    assert found["constitution_sha"] == RULES.sha and len(found["principles"]) == 2
    for one in (*found["judge_wide"], *(c for p in found["principles"] for c in p["criteria"])):
        assert one["result"] in ("pass", "fail", "undecided", "not_measured") and one["why"]
    assert found["principles"][0]["errors"]["good"] == 30


def test_a_refused_judge_is_not_used() -> None:
    script = Script(right=0.55)
    card = examine(subject(script), RULES)
    gated = card.gated(script)

    pair = gold_pairs(RULES, POLITE)[0]
    (said,) = gated.judge([pair_group(pair.context, pair.good, pair.bad, POLITE)])
    assert {one.verdict for one in said} == {"not_measured"} and "refused" in said[0].reason
    honest = examine(subject(Script()), RULES).gated(Script())
    assert honest.judge([pair_group(pair.context, pair.good, pair.bad, POLITE)])[0][0].value == 0.9


def test_use_follows_from_the_criteria() -> None:
    ok, bad, open_ = (Criterion("pairs", r, "because") for r in ("pass", "fail", "undecided"))
    labelled = Criterion("labels", "pass", "enough")
    assert use_of([ok], [])[0] == "uncalibrated"
    assert use_of([ok, labelled], [])[0] == "calibrated"
    assert use_of([bad, labelled], [])[0] == "refused"
    assert use_of([open_], [])[0] == "undecided"
    assert use_of([ok, labelled], [Criterion("style", "fail", "loves bold")]) == (
        "refused",
        "style: loves bold",
    )
    assert "undecided: style" in use_of([ok], [Criterion("style", "undecided", "few")])[1]


def test_what_is_examined() -> None:
    card = examine(subject(Script()), RULES, only=[TRUE], labels=labels())
    assert [one.principle for one in card.principles] == [TRUE]
    assert card.left_out == {"labels of principles that are not examined": 60}
    with pytest.raises(ConstitutionError, match="no active principle"):
        examine(subject(Script()), RULES, only=["nope"])
    with pytest.raises(UserError, match="between 0 and 1"):
        Limits(pull=2.0)


def test_rules_are_a_judge_too() -> None:

    rules = Constitution.load("recipes/quickstart.constitution.md")
    with pytest.raises(ConstitutionError, match="no judge is needed"):
        examine(Subject.of(ConstitutionFeedback(rules), "rules"), rules)
    card = examine(Subject.of(ConstitutionFeedback(rules), "rules"), rules, only=["style.brief"])
    found = card.principles[0]
    assert found.criterion("pairs").n > 0 and found.example_errors is not None
