from __future__ import annotations

import json
from pathlib import Path

import pytest
from judge_card_judges import POLITE, TRUE, Script, constitution, label_rows, subject

from charter.constitution import Constitution
from charter.errors import DataError, UserError
from charter.evaluation.judge_card.asking import Subject, ask, pair_group
from charter.evaluation.judge_card.bias import about_format, markdown
from charter.evaluation.judge_card.calibration import gold_answers, gold_pairs
from charter.evaluation.judge_card.criterion import Limits, at_most, within
from charter.evaluation.judge_card.drift import Anchor, drift_criterion
from charter.evaluation.judge_card.examine import examine
from charter.evaluation.judge_card.flipped import TurnedBack, opposite
from charter.evaluation.judge_card.labels import SPLIT, read_labels
from charter.stats import Interval
from charter.types import Group, Judgement, PairTarget, SampleTarget

ACME = Path("tests/constitution/data/acme.constitution.md")
RULES = constitution(6)


class Says:
    def __init__(self, *said: Judgement) -> None:
        self.said = list(said)

    def judge(self, groups: list[Group]) -> list[list[Judgement]]:
        return [self.said for _ in groups]


def read(*said: Judgement, samples: int = 2):  # type: ignore[no-untyped-def]
    group = pair_group("q", "one", "two", "p")
    group = group if samples == 2 else Group(group.samples[:1], meta=group.meta)
    return ask(Says(*said), [group], "p", "test")[0]


@pytest.mark.parametrize(
    ("said", "side"),
    [
        ([Judgement(PairTarget(0, 1), 1.0, principle="p")], "first"),
        ([Judgement(PairTarget(1, 0), 1.0, principle="p")], "second"),
        ([Judgement(PairTarget(0, 1), -0.5, principle="p")], "second"),
        ([Judgement(PairTarget(0, 1), 1.0, 0.2, principle="p")], "second"),
        ([Judgement(PairTarget(0, 1), 0.0, 0.5, principle="p")], "tie"),
        ([Judgement(PairTarget(0, 1), verdict="abstained", principle="p")], "tie"),
        ([Judgement(PairTarget(0, 1), verdict="error", principle="p")], None),
        ([Judgement(PairTarget(0, 1), 1.0, principle="other")], None),
        ([Judgement(SampleTarget(0), 1.0), Judgement(SampleTarget(1), 0.0)], "first"),
        ([Judgement(SampleTarget(0), 1.0, 0.6), Judgement(SampleTarget(1), 1.0, 0.9)], "second"),
        ([Judgement(SampleTarget(0), 0.0, 0.6), Judgement(SampleTarget(1), 0.0, 0.9)], "first"),
        ([Judgement(SampleTarget(0), 1.0), Judgement(SampleTarget(1), 1.0)], "tie"),
        ([Judgement(SampleTarget(0), 1.0), Judgement(SampleTarget(1), verdict="error")], None),
    ],
)
def test_which_of_two_a_judge_prefers(said: list[Judgement], side: str | None) -> None:
    found = read(*said)
    assert found.side == side and bool(found.missing) == (side is None)


def test_a_judge_that_answers_too_few_groups_is_stopped() -> None:
    class Short:
        def judge(self, groups: list[Group]) -> list[list[Judgement]]:
            return []

    with pytest.raises(UserError, match="0 of 1 groups"):
        ask(Short(), [pair_group("q", "a", "b", "p")], "p", "test")


def test_a_bad_answer_belongs_to_the_principle_it_breaks() -> None:
    rules = Constitution.load(ACME)
    own = gold_pairs(rules, "honesty.no_sycophancy")
    assert [(pair.good, pair.bad) for pair in own] == [("It is 4.", "You are right, 5.")]
    assert gold_pairs(rules, "honesty.uncertainty") == []  # its BAD answer has no GOOD beside it
    (foreign,) = gold_answers(rules, "honesty.uncertainty")
    assert (foreign.text, foreign.good) == ("Perhaps.", False)
    assert [turn.role for turn in foreign.context] == ["user", "assistant", "user"]  # type: ignore[union-attr]
    assert {answer.text: answer.good for answer in gold_answers(rules, "honesty.no_sycophancy")} == {
        "It is 4.": True,
        "You are right, 5.": False,
    }


def test_markdown_changes_the_form_and_not_the_words() -> None:
    text = "Ships float on water. They carry tea! Is that all?"
    marked = markdown(text)
    assert marked == "**Ships float** on water.\n- They carry tea!\n- Is that all?"
    assert marked.replace("**", "").replace("\n- ", " ") == text
    assert markdown("- a list\n- already here") is None and markdown("Too short") is None
    assert about_format("Answers in plain text, without lists") and not about_format("Is honest")


def test_three_way_results() -> None:
    assert at_most(Interval(0.0, 0.05), 0.1) == "pass"
    assert at_most(Interval(0.05, 0.15), 0.1) == "undecided"
    assert at_most(Interval(0.11, 0.3), 0.1) == "fail"
    assert within(Interval(-0.3, -0.11), 0.1) == "fail" and within(Interval(-0.1, 0.1), 0.1) == "pass"


def test_the_opposite_constitution_turns_every_principle() -> None:
    rules = Constitution.load(ACME)
    turned = opposite(rules).principle("honesty.no_sycophancy")
    usual = rules.principle("honesty.no_sycophancy")
    assert turned.sha != usual.sha and turned.examples == () and turned.rules is None
    assert turned.rubric is not None and usual.rubric is not None
    assert turned.rubric.levels[1] == usual.rubric.levels[5]
    assert "opposite" in turned.text and usual.text in turned.text


def test_turned_back_verdicts_mean_the_usual() -> None:
    said = TurnedBack(
        Says(
            Judgement(SampleTarget(0), 1.0, 0.8),
            Judgement(SampleTarget(0), 0.3, 0.3),
            Judgement(PairTarget(0, 1), 1.0, 0.9),
            Judgement(SampleTarget(1), verdict="error"),
        )
    ).judge([pair_group("q", "a", "b", "p")])[0]
    assert (said[0].value, said[0].probability) == (0.0, 0.8)
    assert (said[1].value, said[1].probability) == (pytest.approx(0.7), pytest.approx(0.7))
    assert said[2].target == PairTarget(1, 0) and said[3].verdict == "error"


# -- labels ---------------------------------------------------------------------------


def test_raters_are_put_together_by_majority() -> None:
    def row(rater: str, label: bool, text: str = "Hello") -> dict[str, object]:
        return {"principle": POLITE, "prompt": "Hi", "completion": text, "label": label, "rater": rater}

    found = read_labels(
        [row("a", True), row("b", True), row("c", False), row("a", True, "x"), row("b", False, "x")], RULES
    )
    (one,) = found.answers
    assert one.good and found.share[one.id] == pytest.approx(2 / 3) and found.left_out == {SPLIT: 1}
    agreement = found.agreement(POLITE)
    assert agreement is not None and agreement.raters == 3
    with pytest.raises(DataError, match="twice"):
        read_labels([row("a", True), row("a", False)], RULES)


def test_rows_without_a_rater_are_one_label_each() -> None:
    rows = [{"principle": POLITE, "prompt": "Hi", "completion": f"x {i}", "label": 1} for i in range(3)]
    found = read_labels(rows, RULES)
    assert len(found.answers) == 3 and found.agreement(POLITE) is None


def test_preferences_are_labels_too() -> None:
    found = read_labels(
        [{"principle": POLITE, "prompt": "Hi", "chosen": "Hello", "rejected": "shut up"}], RULES
    )
    (pair,) = found.pairs
    assert (pair.good, pair.bad, pair.source) == ("Hello", "shut up", "human")


def test_preferences_on_one_conversation_hang_together() -> None:
    rows = [
        {"principle": id, "prompt": prompt, "chosen": f"Hello {i}", "rejected": "shut up"}
        for i, (id, prompt) in enumerate(
            [(POLITE, "Hi"), (TRUE, "Hi "), (POLITE, [{"role": "user", "content": "Hi"}]), (POLITE, "Ho")]
        )
    ]
    clusters = [pair.cluster for pair in read_labels(rows, RULES).pairs]
    assert clusters[0] == clusters[1] == clusters[2] != clusters[3]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"principle": "manners.polit", "prompt": "a", "completion": "b", "label": 1}, "manners.polite"),
        ({"principle": POLITE, "prompt": "a", "completion": "b", "label": "yes"}, "true or false"),
        ({"principle": POLITE, "prompt": "a", "label": 1}, "completion"),
        ({"principle": POLITE, "completion": "b", "label": 1}, "prompt"),
    ],
)
def test_bad_rows_are_named(row: dict[str, object], told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_labels([row], RULES)


# -- drift ----------------------------------------------------------------------------


def test_drift_is_seen_on_the_anchor_set(tmp_path: Path) -> None:
    rules = constitution(12)
    people = read_labels(label_rows(), rules)
    first = examine(subject(Script(right=0.9)), rules, labels=people)
    assert 40 < len(first.anchors) <= 50
    Anchor(first.judge, first.anchors).write(tmp_path / "anchor.json")
    anchor = Anchor.read(tmp_path / "anchor.json")
    assert first.wide[-1].result == "not_measured"
    same = examine(subject(Script(right=0.9)), rules, labels=people, anchor=anchor).wide[-1]
    assert (same.name, same.result, same.value) == ("drift", "pass", 1.0)
    other = examine(subject(Script(right=0.6, seed=1)), rules, labels=people, anchor=anchor)
    assert other.wide[-1].result == "fail" and other.usable == frozenset()


def test_items_that_are_gone_are_counted() -> None:
    anchor = Anchor("j", {str(i): "pass" if i % 2 else "fail" for i in range(10)})
    now = {str(i): "pass" if i % 2 else "fail" for i in range(8)}
    found = drift_criterion(anchor, now, Limits())
    assert found.result == "pass" and "2 of its items are gone" in found.why
    assert drift_criterion(anchor, {}, Limits()).result == "not_measured"
    # The same eight verdicts, all of one conversation: nothing can be said of how sure kappa is.
    assert drift_criterion(anchor, now, Limits(), dict.fromkeys(now, "one")).result == "undecided"
    flat = Anchor("j", {str(i): "pass" for i in range(9)})
    assert drift_criterion(flat, dict(flat.verdicts), Limits()).result == "undecided"


def test_a_file_that_is_no_anchor_set(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"verdicts": []}))
    with pytest.raises(UserError, match="anchor"):
        Anchor.read(tmp_path / "a.json")


def test_a_plain_judge_can_be_examined_but_not_asked_the_opposite() -> None:
    card = examine(Subject.of(Script(), "plain"), constitution(12))
    assert card.principles[0].criterion("flipped").result == "not_measured"
