"""A judge distilled from planted principles: what it learns, what it may grade, and what its card says."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_principles import COIN, SHOUTS, WORDS, constitution, label_rows, tiny_policy, written

from charter.cli.distil_judge import from_people, lines
from charter.constitution import Constitution
from charter.errors import UserError
from charter.evaluation.judge_card.calibration import gold_answers
from charter.evaluation.judge_card.examine import examine
from charter.evaluation.judge_card.labels import read_labels
from charter.evaluation.judge_card.subjects import open_subject
from charter.feedback.judging.ask import Tally
from charter.feedback.judging.clause import clause_of
from charter.feedback.judging.distilled.distil import Distilled, distil, gather
from charter.feedback.judging.distilled.folder import MANIFEST, open_distilled, read_manifest
from charter.feedback.judging.distilled.rows import Item
from charter.feedback.judging.form import Item as AskedItem
from charter.feedback.judging.form import Pair
from charter.feedback.judging.open_judge import open_judge
from charter.feedback.rewards import open_rewards
from charter.models.policy import Policy
from charter.types import Completion, Context, Group, Judgement, Message, PairTarget, Sample

LAW = constitution()
POLICY = tiny_policy()


def load(_name: str) -> Policy:
    return POLICY


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Distilled:
    people = from_people(read_labels(label_rows(), LAW), LAW)
    return distil(LAW, gather(LAW, labels=people), POLICY, tmp_path_factory.mktemp("judges") / "judge")


@pytest.fixture
def judge(made: Distilled) -> Any:
    return open_judge(str(made.folder), LAW, load_model=load)


def asked(prompt: str, *answers: str) -> Group:
    context = Context((Message("user", prompt),))
    return Group(tuple(Sample(context, Completion((Message("assistant", one),))) for one in answers))


def verdicts(said: list[list[Judgement]], principle: str) -> list[Judgement]:
    return [one for group in said for one in group if one.principle == principle]


# -- what it learns ------------------------------------------------------------


def test_a_function_of_the_text_is_learnt_and_coin_flips_are_not(made: Distilled) -> None:
    loud, coin = made.principles[SHOUTS], made.principles[COIN]
    assert loud.pairs.rate == 1.0 and loud.standing == "promising"
    assert loud.labels.rate is not None and loud.labels.rate > 0.95
    assert coin.standing == "not good enough"
    assert coin.pairs.interval is not None and coin.pairs.interval.lo < 0.5


def test_the_card_clears_the_one_and_not_the_other(made: Distilled) -> None:
    subject = open_subject(str(made.folder), form="per_principle", load_model=load)
    # Marked-up capitals are no capitals: that the planted principle moves with them is no bias of the judge.
    card = examine(subject, LAW, labels=read_labels(label_rows(), LAW), probes=0)
    loud, coin = card.of(SHOUTS), card.of(COIN)
    assert loud is not None and coin is not None
    assert loud.criterion("pairs").result == "pass" and loud.criterion("labels").result == "pass"
    assert loud.use == "calibrated", loud.why
    assert coin.use == "refused", coin.why
    assert loud.criterion("flipped").result == "not_measured"


def test_a_new_prompt_is_judged_by_one_head_drawn_from_all(judge: Any) -> None:
    answers = ("MOSS BELLS DRUMS OWLS TEA RAIN", "moss bells drums owls tea rain")
    high, low = verdicts(judge.judge([asked("What do you sing?", *answers)]), SHOUTS)
    assert (high.value, low.value) == (1.0, 0.0)
    assert high.probability is not None and high.probability > 0.5
    assert grader(high) == grader(low)  # all answers to a prompt
    many = [verdicts(judge.judge([asked(f"Song number {i}?", answers[0])]), SHOUTS)[0] for i in range(60)]
    used = Counter(grader(one) for one in many)
    assert sorted(used) == [1, 2, 3, 4, 5] and max(used.values()) < 30


def test_the_card_measures_the_judge_that_is_used(made: Distilled) -> None:
    """A verdict on a labelled prompt and on a new one are each that of one head: the heads are exchangeable.

    The mean of all heads is another classifier: its log-odds spread less than those of the heads.
    """
    opened = open_distilled(str(made.folder), load_model=load)
    clause = clause_of(LAW.principle(COIN), LAW)
    items = [
        AskedItem(clause, Item.of(COIN, f"A new question {i}?", " ".join(WORDS[i % 20 : i % 20 + 7])).seen)
        for i in range(20)
    ]
    said = opened.opinions(items, Tally())
    reader, temperature = opened._reader, made.fitted.temperature
    x = reader.read([reader.render(clause.written, one.seen) for one in items])
    number = np.asarray([read_manifest(made.folder)["principles"][COIN]["number"]])
    for row, one in zip(x, said, strict=True):
        by_head = [float(head.head.logits(row[None], number)[0]) / temperature for head in opened._heads]
        logit = float(np.log(one.chance / (1 - one.chance)))
        assert logit == pytest.approx(by_head[grader(one) - 1], abs=1e-5)


def test_two_answers_are_compared_by_one_head(made: Distilled) -> None:
    """The words of an example as an answer to a new prompt shut out heads; the other answer follows."""
    opened = open_distilled(str(made.folder), load_model=load)
    known = gold_answers(LAW, SHOUTS)[0]
    seen = [Item.of(SHOUTS, "What is new?", text).seen for text in (known.text, "moss bells drums")]
    shut = [
        number
        for number, head in enumerate(opened._heads)
        if not head.may_grade(frozenset(), Item.of(SHOUTS, "", known.text).answer)
    ]
    assert shut and opened._head(seen) not in shut
    clause = clause_of(LAW.principle(SHOUTS), LAW)
    (said,) = opened.compare([Pair(clause, seen[0], seen[1])], Tally())
    assert f"head {opened._head(seen) + 1} of 5" in said.reason


def grader(said: Any) -> int:
    """Number of the head that gave a verdict."""
    found = re.search(r"head (\d) of 5", said.reason)
    assert found is not None, said.reason
    return int(found[1])


def test_it_is_a_pairwise_judge_as_well(made: Distilled) -> None:
    pairs = open_judge(str(made.folder), LAW, form="pairwise", load_model=load)
    said = pairs.judge([asked("What do you sing?", "moss bells drums owls", "MOSS BELLS DRUMS OWLS")])
    (one,) = [one for one in verdicts(said, SHOUTS) if one.value is not None]
    assert one.target == PairTarget(1, 0)


# -- leakage -------------------------------------------------------------------


def test_no_head_was_trained_on_what_it_grades(made: Distilled) -> None:
    """Every answer of the card's calibration set goes to heads that saw neither its prompt nor its words."""
    opened = open_distilled(str(made.folder), load_model=load)
    for gold in [one for id in (SHOUTS, COIN) for one in gold_answers(LAW, id)]:
        item = Item.of(gold.principle, gold.context, gold.text)
        may = [head for head in opened._heads if head.may_grade(item.prompts, item.answer)]
        assert may, "somebody must be able to grade it"
        for head, fitted in zip(opened._heads, made.fitted.heads, strict=True):
            trained = [made.rows.items[index] for index in fitted.trained]
            seen = any(one.prompts & item.prompts or one.answer == item.answer for one in trained)
            assert (head in may) == (not seen)


def test_held_out_scores_are_those_the_judge_gives(made: Distilled) -> None:
    opened = open_judge(f"distilled:{made.folder}", LAW, load_model=load)
    for gold in gold_answers(LAW, SHOUTS)[:6]:
        group = Group((Sample(Context(gold.context), Completion((Message("assistant", gold.text),))),))
        (one,) = verdicts(opened.judge([group]), SHOUTS)
        item = Item.of(gold.principle, gold.context, gold.text)
        place = [other.sha for other in made.rows.items].index(item.sha)
        chance = 1 / (1 + np.exp(-made.fitted.logits_N[place] / made.fitted.temperature))
        assert one.probability == pytest.approx(max(chance, 1 - chance), abs=1e-6)
        assert grader(one) == made.folds.fold[place] + 1


def test_a_rewritten_example_is_still_known(made: Distilled, judge: Any) -> None:
    """Case, punctuation and spacing make no new prompt."""
    for number in range(8):
        text = f"  shout ABOUT {WORDS[number]}!!"
        said = judge.judge([asked(text, "something else entirely is said here")])
        item = Item.of(SHOUTS, f"Shout about {WORDS[number]}.", "")
        folds = {
            f for one, f in zip(made.rows.items, made.folds.fold, strict=True) if one.prompts & item.prompts
        }
        assert {grader(verdicts(said, SHOUTS)[0]) - 1} == folds


def test_a_head_that_cannot_be_found_is_not_made_up(made: Distilled, judge: Any) -> None:
    """The prompt of one fold with the answer of another: every head was trained on one of them."""
    by_fold: dict[int, Item] = {}
    for item, fold in zip(made.rows.items, made.folds.fold, strict=True):
        if item.principle == SHOUTS:
            by_fold.setdefault(fold, item)
    first, second, *_ = by_fold.values()
    group = Group((Sample(Context(first.seen.conversation), Completion(second.seen.answer)),))
    (one,) = verdicts(judge.judge([group]), SHOUTS)
    assert one.value is None and one.verdict == "abstained" and "every head" in one.reason


# -- abstention ----------------------------------------------------------------


def test_it_abstains_where_it_cannot_know(made: Distilled) -> None:
    changed = Constitution.from_text(written().replace("Answers are in capitals.", "Answers are very loud."))
    said = open_judge(str(made.folder), changed, load_model=load).judge([asked("Hi?", "MOSS")])
    (one,) = verdicts(said, SHOUTS)
    assert one.verdict == "abstained" and "in these words" in one.reason
    same = open_judge(str(made.folder), LAW, load_model=load)
    long, empty = verdicts(same.judge([asked("Hi?", "MOSS OWLS " * 40, " ")]), SHOUTS)
    assert long.verdict == "abstained" and "tokens" in long.reason
    assert empty.verdict == "abstained" and empty.value is None


# -- the folder ----------------------------------------------------------------


def test_the_manifest_says_what_it_is(made: Distilled) -> None:
    said = read_manifest(made.folder)
    assert said["constitution"]["sha"] == LAW.sha
    assert said["model"]["digest"] == POLICY.digest()
    loud = said["principles"][SHOUTS]
    assert loud["sha"] == LAW.principle(SHOUTS).sha
    assert loud["rows"]["examples"] == {"good": 16, "bad": 16, "pairs": 16}
    assert loud["rows"]["human"] == {"good": 20, "bad": 20, "pairs": 0}
    assert loud["held_out"]["pairs"]["n"] == 16
    assert said["calibration"]["after"]["log_loss"] <= said["calibration"]["before"]["log_loss"] + 1e-6


def test_the_same_data_make_the_same_judge(made: Distilled, tmp_path: Path) -> None:
    people = from_people(read_labels(label_rows()[::-1], LAW), LAW)
    again = distil(LAW, gather(LAW, labels=people), POLICY, tmp_path / "again")
    assert again.folds == made.folds
    assert np.array_equal(again.fitted.logits_N, made.fitted.logits_N)


def test_another_model_or_changed_weights_are_refused(made: Distilled, tmp_path: Path) -> None:
    other = open_judge(str(made.folder), LAW, load_model=lambda _: tiny_policy(1))
    with pytest.raises(UserError, match="not the one that the judge was distilled on"):
        other.judge([asked("Hi?", "MOSS")])
    for file in made.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    said = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps({**said, "temperature": 0.1}))
    with pytest.raises(UserError, match="do not belong together"):
        open_judge(str(tmp_path), LAW, load_model=load)
    (tmp_path / MANIFEST).unlink()
    with pytest.raises(UserError, match="no distilled judge"):
        open_judge(f"distilled:{tmp_path}", LAW, load_model=load)


def test_other_files_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="other things"):
        distil(LAW, gather(LAW), POLICY, tmp_path)


def test_features_are_read_once(made: Distilled, monkeypatch: pytest.MonkeyPatch) -> None:
    from charter.feedback.judging.distilled.features import Reader

    def never(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(Reader, "_forward", never)
    again = open_judge(str(made.folder), LAW, load_model=load)
    gold = gold_answers(LAW, SHOUTS)[0]
    group = Group((Sample(Context(gold.context), Completion((Message("assistant", gold.text),))),))
    assert verdicts(again.judge([group]), SHOUTS)[0].value is not None


# -- as a reward, and as a command ----------------------------------------------


def test_it_is_a_reward(made: Distilled, tmp_path: Path) -> None:
    (tmp_path / "law.md").write_text(written())
    found = open_rewards([f"judge:{made.folder}:{tmp_path / 'law.md'}"], load_model=load)
    group = asked("What do you sing?", "MOSS BELLS DRUMS OWLS TEA RAIN", "moss bells drums owls tea rain")
    said = found.judge([group])
    high, low = (one for one in said[0] if one.principle not in (SHOUTS, COIN))
    assert high.value is not None and low.value is not None and high.value > low.value


def test_what_is_printed_says_where_nothing_is_good_enough(made: Distilled) -> None:
    told = "\n".join(lines(made, Path("law.md")))
    assert f"promising: {SHOUTS}" in told and f"not good enough: {COIN}" in told
    bad = replace(made, principles={COIN: made.principles[COIN]})
    assert "for no principle is it shown to be good enough" in "\n".join(lines(bad, Path("law.md")))
