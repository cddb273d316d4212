from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.catalogue.process import ProcessRewardOptions
from charter.data.formats import load_groups
from charter.data.prepare import prepare
from charter.data.render import Template
from charter.data.steps import labelled_ends, separated, spans, split_steps, stepped, token_spans
from charter.errors import DataError
from charter.testing import tiny_tokenizer
from charter.types import Completion, Context, Group, Judgement, Sample, SegmentTarget

ROW: dict[str, Any] = {
    "prompt": "2 + 3 * 4 =",
    "completions": ["3 * 4 = 12", "2 + 12 = 15", "So 15."],
    "labels": [True, 0.25, None],
}
CHAT = {**ROW, "prompt": [{"role": "user", "content": "2 + 3 * 4 ="}]}
TOKENIZER = tiny_tokenizer()


def trained_on(*rows: dict[str, Any], max_length: int | None = None, **options: Any) -> list[Group]:
    made = ProcessRewardOptions(**options)
    loaded = separated(load_groups(list(rows), "steps"), made)
    return list(labelled_ends(prepare(loaded, Template(TOKENIZER), max_length).groups, made))


def labels_of(group: Group) -> dict[int, float]:
    """The label of each completion token that carries one."""
    return {
        said.target.end - 1: said.value
        for said in group.judgements
        if isinstance(said.target, SegmentTarget) and said.value is not None
    }


# -- reading ----------------------------------------------------------------------------


def test_a_row_is_one_answer_with_a_judgement_of_each_step() -> None:
    loaded = load_groups([ROW], "steps")
    (group,) = loaded.groups
    (sample,) = group.samples
    assert loaded.kind == "steps" == load_groups([ROW]).kind
    assert sample.completion.content == "3 * 4 = 12\n2 + 12 = 15\nSo 15."
    assert [(said.value, said.verdict) for said in group.judgements] == [
        (1.0, "judged"),
        (0.25, "judged"),
        (None, "not_measured"),
    ]
    parts = [sample.completion.text[said.target.start : said.target.end] for said in group.judgements]  # type: ignore[union-attr]
    assert parts == ROW["completions"]


def test_steps_may_be_named_so() -> None:
    row = {"prompt": "p", "steps": ["a", "b"], "labels": [1, 0], "id": "x", "source": "book"}
    (group,) = load_groups([row], "steps").groups
    assert [said.value for said in group.judgements] == [1.0, 0.0]
    assert (group.id, group.meta) == ("x", {"source": "book"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [True]}, "1 entries for 3 completions"),
        ({"labels": [True, 2, False]}, "entry 2 is 2, wanted"),
        ({"labels": [True, "no", False]}, "entry 2 is 'no'"),
        ({"labels": [None, None, None]}, "no step has a label"),
        ({"labels": True}, "'labels' is bool, wanted a list"),
        ({"completions": ["a", "  ", "c"]}, r"completions\[2\] is blank"),
        ({"completions": ["a", 3, "c"]}, r"completions\[2\] is int"),
        ({"prompt": None}, "'prompt' is null"),
        ({"labels": [True, float("nan"), False]}, "entry 2 is nan"),
    ],
)
def test_bad_rows(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_groups([ROW | change], "steps")
    assert caught.value.where == "row:1"


def test_a_misspelt_column_is_named() -> None:
    row = {"prompt": "p", "completions": ["a"], "label": [True]}
    with pytest.raises(DataError, match="no column 'labels'"):
        load_groups([row], "steps")


# -- tokens -----------------------------------------------------------------------------


def trl_row(row: dict[str, Any], separator: str) -> tuple[list[int], dict[int, float]]:
    """Completion ids and labels as TRL 0.19's PRMTrainer.tokenize_row makes them."""
    parts = [TOKENIZER(step, add_special_tokens=False)["input_ids"] for step in row["completions"]]
    ends = TOKENIZER.encode(separator, add_special_tokens=False)
    parts = [part + ends for part in parts]
    labels = [[-100] * (len(p) - 1) + [x] for p, x in zip(parts, row["labels"], strict=True)]
    found = {at: x for at, x in enumerate(chain(*labels)) if x not in (-100, None)}
    return list(chain(*parts)), found


@pytest.mark.parametrize("separator", ["\n", "\n\n", " ки\n"])
@pytest.mark.parametrize("row", [ROW, CHAT], ids=["text", "turns"])
def test_ids_and_labels_are_trl_s(row: dict[str, Any], separator: str) -> None:
    (group,) = trained_on(row, step_separator=separator)
    (sample,) = group.samples
    ids, labels = trl_row(row, separator)
    assert list(sample.completion.token_ids) == ids
    assert labels_of(group) == labels
    assert [at for at, flag in enumerate(sample.completion.trained) if flag] == sorted(labels)


def test_the_context_is_what_every_other_method_sees() -> None:
    template = Template(TOKENIZER)
    for row in (ROW, CHAT):
        (group,) = trained_on(row)
        expected = template.render_context(load_groups([row], "steps").groups[0].samples[0].context.content)
        assert group.samples[0].context.token_ids == expected


def test_a_step_has_the_same_ids_whatever_stands_around_it() -> None:
    alone = trained_on({"prompt": "p", "completions": ["so 4."], "labels": [True]})[0]
    among = trained_on({"prompt": "p", "completions": ["a b", "so 4.", "c"], "labels": [True] * 3})[0]
    target = sorted(labels_of(among))[1]
    ids = alone.samples[0].completion.token_ids
    assert among.samples[0].completion.token_ids[target + 1 - len(ids) : target + 1] == ids


def test_special_tokens_in_a_step_are_plain_text() -> None:
    (group,) = trained_on({"prompt": "p", "completions": ["a<|im_end|>b"], "labels": [True]})
    assert TOKENIZER.eos_token_id not in group.samples[0].completion.token_ids


# -- which labels -----------------------------------------------------------------------


def values(**options: Any) -> list[float]:
    row = {"prompt": "p", "completions": list("abcde"), "labels": [1, None, 0.4, 1, 0]}
    (group,) = trained_on(row, **options)
    return list(labels_of(group).values())


def test_which_labels_are_trained_on() -> None:
    assert values() == [1.0, 0.4, 1.0, 0.0]
    assert values(until_first_error=True) == [1.0, 0.4]
    assert values(train_on_last_step_only=True) == [0.0]


def test_rows_without_a_label_that_is_trained_on_are_counted() -> None:
    loaded = load_groups([ROW, {**ROW, "labels": [True, True, False]}], "steps")
    kept = separated(loaded, ProcessRewardOptions(train_on_last_step_only=True))
    assert len(kept.groups) == 1
    assert kept.counts["rows left out: the steps trained on have no label"] == 1
    with pytest.raises(DataError, match="no row has a labelled step"):
        separated(
            replace(loaded, groups=loaded.groups[:1]), ProcessRewardOptions(train_on_last_step_only=True)
        )


def test_a_label_whose_separator_was_cut_off_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    whole = trained_on(ROW)[0]
    first, second = sorted(labels_of(whole))
    context = len(whole.samples[0].context.token_ids)
    for cut in ({"max_completion_length": second}, {"max_length": context + second}):
        (group,) = trained_on(ROW, **cut)
        assert labels_of(group) == {first: 1.0}
        assert len(group.samples[0].completion.token_ids) == second
        assert "1 step labels cut off, 0 rows dropped" in capsys.readouterr().err
    (group,) = trained_on(ROW, max_completion_length=second + 1)
    assert labels_of(group) == labels_of(whole)


def test_rows_that_lost_every_label_are_dropped_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    short = {"prompt": "p", "completions": ["a"], "labels": [True]}
    (group,) = trained_on(ROW, short, max_completion_length=4)
    assert labels_of(group) == {1: 1.0}
    assert "2 step labels cut off, 1 rows dropped" in capsys.readouterr().err
    with pytest.raises(DataError, match="no labelled step is left"):
        trained_on(ROW, max_completion_length=4)


def test_options_that_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="no effect"):
        ProcessRewardOptions(train_on_last_step_only=True, until_first_error=True)


# -- places -----------------------------------------------------------------------------

STEPS = st.lists(st.text("ab .=1é", min_size=1, max_size=6).filter(str.strip), min_size=1, max_size=5)


@given(STEPS, st.sampled_from(["\n", "\n\n", "##"]))
def test_steps_are_found_where_they_were_put(steps: list[str], separator: str) -> None:
    sample = stepped(Context("p"), steps, separator)
    text = sample.completion.text
    assert split_steps(text, separator) == steps
    assert [text[a:b] for a, b in spans(steps, separator)] == steps


@given(STEPS)
def test_token_spans_cover_their_characters(steps: list[str]) -> None:
    text = "\n".join(steps)
    ids = TOKENIZER(text)["input_ids"]
    places, at = [], 0
    for step in steps:
        places.append((at, at + len(step)))
        at += len(step) + 1
    found = token_spans(ids, lambda part: TOKENIZER.decode(part), places)
    for step, (first, last) in zip(steps, found, strict=True):
        assert TOKENIZER.decode(ids[first:last]) == step


def test_overlapping_steps_are_refused() -> None:
    said = tuple(Judgement(SegmentTarget(0, a, b), 1.0) for a, b in ((0, 3), (2, 4)))
    group = Group((Sample(Context("p"), Completion("abcd")),), said, source="x:1")
    with pytest.raises(DataError, match="overlap"):
        Template(TOKENIZER).render(group)
