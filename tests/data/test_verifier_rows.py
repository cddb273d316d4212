from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from charter.catalogue import lookup
from charter.config import validate
from charter.data.critique_rows import cloud_rows
from charter.data.formats import LoadedData, load_groups
from charter.data.prepare import prepare
from charter.data.questions import BETTER, CORRECT, about_answer, about_pair, verdict_reply, written
from charter.data.render import Template
from charter.data.verdict_tokens import verdict_group, verdict_only
from charter.data.verdicts import open_questions, right_verdicts, verdict_of, verdict_pairs
from charter.data.verifier_rows import genrm_rows, pairwise_rows, pointwise_rows, share
from charter.errors import ConfigError, DataError
from charter.testing import tiny_tokenizer
from charter.types import (
    Completion,
    Context,
    Group,
    Judgement,
    Message,
    PairTarget,
    Sample,
    SampleTarget,
)

TEMPLATE = Template(tiny_tokenizer())
USER = [{"role": "user", "content": "2 + 2?"}]


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def turns(*contents: str) -> tuple[Message, ...]:
    roles: Sequence[Any] = ("user", "assistant")
    return tuple(Message(roles[i % 2], content) for i, content in enumerate(contents))


def answer_row(text: str, label: bool, **more: Any) -> dict[str, Any]:
    return {"prompt": USER, "completion": said(text), "label": label, **more}


def pair_row(**more: Any) -> dict[str, Any]:
    return {"prompt": USER, "chosen": said("4"), "rejected": said("5"), **more}


def made(algorithm: str, rows: list[dict[str, Any]], **options: Any) -> LoadedData:
    entry = lookup(algorithm)
    function = {
        "genrm": genrm_rows,
        "slic-pointwise": pointwise_rows,
        "genrm-pairwise": pairwise_rows,
        "slic-pairwise": pairwise_rows,
        "cloud": cloud_rows,
    }[algorithm]
    values: Any = validate(entry.options, options, where="test")
    return function(load_groups(rows, entry.data), values)


def shown(group: Group) -> tuple[Any, Any]:
    (sample,) = group.samples
    return sample.context.content, sample.completion.content


# -- about one answer -------------------------------------------------------------------


def test_a_verifier_is_asked_about_every_answer_and_imitates_the_right_ones() -> None:
    loaded = made("genrm", [answer_row("4", True), answer_row("5", False)])
    right, wrong, imitated = loaded.groups
    assert shown(right) == (turns("2 + 2?", "4", CORRECT.ask), (Message("assistant", "Yes"),))
    assert shown(wrong) == (turns("2 + 2?", "5", CORRECT.ask), (Message("assistant", "No"),))
    assert shown(imitated) == (turns("2 + 2?"), (Message("assistant", "4"),))
    assert [group.part for group in loaded.groups] == ["verify", "verify", "generate"]
    assert len({group.id for group in loaded.groups}) == 3
    assert loaded.counts["questions about answers"] == 2
    assert loaded.counts["right answers to imitate"] == 1


def test_plain_text_is_asked_on_a_new_line() -> None:
    loaded = made("genrm", [{"prompt": "2 + 2 =", "completion": " 4", "label": True}])
    assert shown(loaded.groups[0]) == (f"2 + 2 = 4\n{CORRECT.ask}", " Yes")


def test_without_weight_nothing_is_imitated() -> None:
    assert [g.part for g in made("genrm", [answer_row("4", True)], lambda_sft=0.0).groups] == ["verify"]


def test_a_soft_label_asks_for_both_verdicts() -> None:
    loaded = made("genrm", [answer_row("4", True, probability=0.75, weight=2.0)])
    assert [(g.meta["verdict"], g.judgements[0].weight) for g in loaded.groups] == [("Yes", 1.5), ("No", 0.5)]


def test_critiques_come_before_the_verdict() -> None:
    rows = [answer_row("4", True, critique="Two and two is 4.\n"), answer_row("5", False, critique="No.")]
    first, second, _ = made("genrm", rows).groups
    assert shown(first) == (
        turns("2 + 2?", "4", CORRECT.think),
        (Message("assistant", f"Two and two is 4.\nVerification: {CORRECT.ask} Yes"),),
    )
    assert verdict_of(second.samples[0].completion.text, CORRECT) == "No"
    with pytest.raises(DataError, match="1 of 2 rows have no 'critique'"):
        made("genrm", [rows[0], answer_row("5", False)])
    with pytest.raises(DataError, match="is no text"):
        made("genrm", [answer_row("5", False, critique=3)])


def test_balance_leaves_out_the_surplus_and_counts_it() -> None:
    rows = [answer_row(str(i), i < 5) for i in range(7)]
    loaded = made("genrm", rows, balance=True, lambda_sft=0.0)
    words = [group.meta["verdict"] for group in loaded.groups]
    assert (words.count("Yes"), words.count("No")) == (2, 2)
    assert loaded.counts["rows left out to have as many right answers as wrong ones"] == 3
    assert made("genrm", rows, balance=True, lambda_sft=0.0) == loaded
    with pytest.raises(DataError, match="both right and wrong"):
        made("genrm", rows[:3], balance=True)


def test_pointwise_ranker_takes_pairs_apart() -> None:
    loaded = made("slic-pointwise", [pair_row()])
    assert [shown(group)[1][0].content for group in loaded.groups] == ["Good", "Bad"]
    assert [group.part for group in loaded.groups] == ["", ""]


@pytest.mark.parametrize(
    ("algorithm", "options", "message"),
    [
        ("genrm", {"positive": "No"}, "the same word"),
        ("genrm", {"max_prompt_length": 9, "truncation_mode": "keep_start"}, "cut off the question"),
        ("slic-pairwise", {"max_prompt_length": 9, "truncation_mode": "keep_start"}, "cut off the question"),
        ("cloud", {"lambda_lm": -1.0}, "lambda_lm"),
    ],
)
def test_options_that_make_no_sense(algorithm: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(lookup(algorithm).options, options, where="x")
    validate(lookup("genrm").options, {"max_prompt_length": 9}, where="x")


# -- about two answers ------------------------------------------------------------------


def test_a_pair_is_asked_about_in_both_orders() -> None:
    given, swapped = made("slic-pairwise", [pair_row(weight=2.0)]).groups
    assert shown(given)[1] == (Message("assistant", "A"),)
    assert shown(swapped)[1] == (Message("assistant", "B"),)
    text = shown(given)[0][0].content
    assert text.index("[Context]\n2 + 2?") < text.index("[Response A]\n4") < text.index("[Response B]\n5")
    assert text.endswith(BETTER.ask)
    assert "[Response A]\n5" in shown(swapped)[0][0].content
    assert [group.judgements[0].weight for group in (given, swapped)] == [2.0, 2.0]


def test_rankings_give_a_question_for_each_ordered_pair() -> None:
    row = {"prompt": "p", "responses": ["a", "b", "c"], "ranks": [1, 2, 2]}
    assert len(made("slic-pairwise", [row]).groups) == 4


def test_a_soft_pair_asks_for_both_verdicts() -> None:
    loaded = made("slic-pairwise", [pair_row(probability=0.75)])
    assert [(g.meta["verdict"], g.judgements[0].weight) for g in loaded.groups] == [
        ("A", 0.75),
        ("B", 0.25),
        ("B", 0.75),
        ("A", 0.25),
    ]


def test_rationales_are_turned_round_with_the_answers() -> None:
    row = pair_row(rationale="{chosen} adds up, {rejected} does not.")
    given, swapped = made("genrm-pairwise", [row]).groups
    assert shown(given)[1][0].content == f"A adds up, B does not.\nVerdict: {BETTER.ask} A"
    assert shown(swapped)[1][0].content == f"B adds up, A does not.\nVerdict: {BETTER.ask} B"
    assert shown(given)[0][0].content.endswith(BETTER.think)
    assert shown(made("genrm-pairwise", [row], use_rationales=False).groups[0])[1][0].content == "A"
    assert shown(made("slic-pairwise", [row]).groups[0])[1][0].content == "A"


def test_rationales_that_cannot_be_turned_round_are_refused() -> None:
    with pytest.raises(DataError, match="by letter") as caught:
        made("genrm-pairwise", [pair_row(rationale="Response A is right.")])
    assert caught.value.where == "row:1"
    made("genrm-pairwise", [pair_row(rationale="A good answer says four.")])


def test_a_conversation_is_written_out_with_names() -> None:
    assert written(turns("Hi", "Hello", "2 + 2?")) == "user: Hi\nassistant: Hello\nuser: 2 + 2?"
    assert about_pair("p", "a", "b", "?").content == "[Context]\np\n\n[Response A]\na\n\n[Response B]\nb\n\n?"


# -- critiques --------------------------------------------------------------------------


def test_critiques_follow_their_answers_and_may_be_equal() -> None:
    row = pair_row(chosen_critique="Fine.", rejected_critique=" Fine. ")
    loaded = made("cloud", [row], question="Say why.")
    (group,) = loaded.groups
    assert [sample.context.content for sample in group.samples] == [
        turns("2 + 2?", "4", "Say why."),
        turns("2 + 2?", "5", "Say why."),
    ]
    prepared = prepare(loaded, TEMPLATE)
    assert prepared.report.kept == 1  # equal completions under different contexts are no equal pair
    kept = prepared.groups[0].samples[0]
    assert TEMPLATE.decode(kept.completion.token_ids) == "Fine.<|im_end|>"
    assert all(kept.completion.trained)


@pytest.mark.parametrize("critique", [None, "  ", 3])
def test_a_missing_critique_is_named(critique: Any) -> None:
    with pytest.raises(DataError, match="'rejected_critique' holds no critique"):
        made("cloud", [pair_row(chosen_critique="Good.", rejected_critique=critique)])


def test_critiques_of_rankings_are_refused() -> None:
    with pytest.raises(DataError, match="compares two answers"):
        made("cloud", [{"prompt": "p", "responses": ["a", "b", "c"], "ranks": [1, 2, 3]}])


# -- tokens of a verdict ----------------------------------------------------------------


def rendered(loaded: LoadedData) -> Sequence[Group]:
    return verdict_only(prepare(loaded, TEMPLATE).groups, lookup("genrm").options())


def test_a_bare_verdict_is_trained_without_the_end_of_the_turn() -> None:
    verify, imitated = rendered(made("genrm", [answer_row("4", True)]))
    completion = verify.samples[0].completion
    assert TEMPLATE.decode(completion.token_ids) == "Yes<|im_end|>"
    assert completion.trained == (True, True, True, False)
    assert imitated.samples[0].completion.trained == (True, True)


def test_reasons_are_trained_to_their_end() -> None:
    (group,) = rendered(made("genrm", [answer_row("4", True, critique="Yes.")], lambda_sft=0.0))
    assert all(group.samples[0].completion.trained)


def test_verdicts_of_several_tokens_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    rendered(made("genrm", [answer_row("4", True), answer_row("5", False)]))
    assert "verdicts of several tokens" in capsys.readouterr().err
    rendered(made("slic-pairwise", [pair_row()]))
    assert capsys.readouterr().err == ""


def test_a_verdict_that_was_cut_keeps_its_tokens() -> None:
    loaded = made("genrm", [answer_row("4", True)], lambda_sft=0.0)
    whole = prepare(loaded, TEMPLATE).groups[0].samples[0]
    room = len(whole.context.token_ids) + 2
    (group,) = verdict_only(prepare(loaded, TEMPLATE, room).groups, lookup("genrm").options())
    assert group.samples[0].completion.trained == (True, True)


@pytest.mark.parametrize("reasons", ["", "Two and two is 4."])
@pytest.mark.parametrize("context", [Context(turns("q", "a", "?")), Context("q a\n?")], ids=["turns", "text"])
def test_verdicts_are_scored_where_they_differ(context: Context, reasons: str) -> None:
    group = verdict_group(TEMPLATE, context, CORRECT, reasons)
    for sample, word in zip(group.samples, CORRECT.words, strict=True):
        marked = [
            t for t, flag in zip(sample.completion.token_ids, sample.completion.trained, strict=True) if flag
        ]
        assert TEMPLATE.decode(marked) == word
        trained = TEMPLATE.render(Group((Sample(context, verdict_reply(context, CORRECT, word, reasons)),)))
        assert sample.completion.token_ids == trained.samples[0].completion.token_ids


def test_verdicts_with_the_same_tokens_are_refused() -> None:
    with pytest.raises(DataError, match="share their tokens"):
        verdict_group(TEMPLATE, Context("q"), replace(CORRECT, positive="Yes", negative="Yes"))


# -- reasons that were sampled ----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Because.\nVerdict: A", "A"),
        (f"Because.\nVerdict: {BETTER.ask} B", "B"),
        ("Verdict: A\nno, wait\nVerdict: B.", "B"),
        ("A is better", None),
        ("Verdict: A or B", None),
        ("Verdict: Both", None),
        ("", None),
    ],
)
def test_reading_a_verdict(text: str, verdict: str | None) -> None:
    assert verdict_of(text, BETTER) == verdict


def answered(question: Group, *texts: str) -> Group:
    context = question.samples[0].context
    replies = tuple(Sample(context, Completion((Message("assistant", text),))) for text in texts)
    return replace(question, samples=replies)


def test_right_verdicts_teach_and_wrong_ones_are_held_against_them() -> None:
    given, swapped = open_questions(load_groups([pair_row()], "preference").groups)
    assert (given.meta["verdict"], swapped.meta["verdict"]) == ("A", "B")
    assert given.samples[0].completion == Completion()
    assert 'End with "Verdict: A" or "Verdict: B".' in given.samples[0].context.text
    replies = [
        answered(given, "4. Verdict: A", "5. Verdict: B", "Hm.", "4. Verdict: A", "Four. Verdict: A"),
        answered(swapped, "Verdict: A", "Nothing."),
    ]
    pairs = verdict_pairs(replies, BETTER)
    assert (pairs.right, pairs.wrong, pairs.undecided, pairs.unused) == (3, 2, 2, 1)
    (row,) = pairs.rows
    assert (row["chosen"], row["rejected"]) == (said("4. Verdict: A"), said("5. Verdict: B"))
    assert load_groups(list(pairs.rows), "preference").kind == "preference"
    imitated = right_verdicts(replies, BETTER)
    assert [row["completion"][0]["content"] for row in imitated.rows] == ["4. Verdict: A", "Four. Verdict: A"]
    assert (
        load_groups(list(imitated.rows), "sft").groups[0].samples[0].context == replies[0].samples[0].context
    )


def test_open_questions_about_answers() -> None:
    rows = [answer_row("4", True), answer_row("5", False)]
    asked = open_questions(load_groups(rows, "unpaired").groups)
    assert [group.meta["verdict"] for group in asked] == ["Yes", "No"]
    with pytest.raises(DataError, match="open_questions"):
        verdict_pairs([replace(asked[0], meta={})], CORRECT)


def test_the_question_follows_the_answer() -> None:
    assert about_answer(turns("q"), "a", "?").content == turns("q", "a", "?")
    assert about_answer(turns("q"), turns("q", "a")[1:], "?").content == turns("q", "a", "?")


def test_several_labels_of_an_answer_are_weighed() -> None:
    sample = Sample(Context("2 + 2?"), Completion("4"))

    def group(*said: Judgement) -> Group:
        return Group((sample,), said, source="row:1")

    yes, no = Judgement(SampleTarget(0), 1.0), Judgement(SampleTarget(0), 0.0)
    assert share(group(yes, no, yes)) == pytest.approx(2 / 3)
    assert share(group(replace(yes, weight=3.0), no)) == pytest.approx(0.75)
    assert share(group(replace(no, probability=0.8), yes)) == pytest.approx(0.6)
    assert share(group(Judgement(SampleTarget(0), verdict="abstained"), yes)) == 1.0
    for nothing in ((), (replace(yes, weight=0.0),), (Judgement(PairTarget(0, 1), 1.0),)):
        with pytest.raises(DataError, match="no label"):
            share(group(*nothing))
