"""Reading labelled pairs, splitting them, and what is counted on the way."""

import json

import planted_pairs as planted
import pytest

from charter.errors import DataError
from charter.feedback.recovering.pairs import pairs_of, read_pairs, split, subset
from charter.records import write_groups
from charter.types import Completion, Context, Group, Judgement, PairTarget, Sample, SampleTarget


def _group(number, said, texts=("one", "two", "three")):
    context = Context(f"question {number}")
    return Group(tuple(Sample(context, Completion(text)) for text in texts), tuple(said), f"g{number}")


def test_rows_groups_and_tables_give_the_same_pair(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"prompt": "p", "chosen": "good one", "rejected": "bad one"}) + "\n")
    table = tmp_path / "table.csv"
    table.write_text(
        "input,text_a,text_b,preferred_text\np,bad one,good one,text_b\nq,x,y,tie\n", encoding="utf-8"
    )
    groups = tmp_path / "groups.jsonl"
    write_groups(groups, [_group(1, [Judgement(PairTarget(0, 1), 1.0)], ("good one", "bad one"))])
    for path in (rows, table, groups):
        found = read_pairs(path)
        (pair,) = found.pairs
        assert (pair.chosen.completion.text, pair.rejected.completion.text) == ("good one", "bad one"), path
    assert read_pairs(table).left_out == {"labels that prefer neither answer": 1}


def test_a_pair_labelled_the_other_way_keeps_its_sides():
    one = pairs_of([_group(1, [Judgement(PairTarget(0, 1), 1.0)])]).pairs[0]
    other = pairs_of([_group(1, [Judgement(PairTarget(1, 0), 1.0)])]).pairs[0]
    assert one.key == other.key
    assert one.a.completion.text == other.a.completion.text
    assert one.label == -other.label


def test_scores_become_pairs_and_what_cannot_is_counted():
    said = [Judgement(SampleTarget(at), value) for at, value in enumerate((1.0, 1.0, 0.0))]
    even = Judgement(PairTarget(0, 1), 1.0, probability=0.5)
    missing = Judgement(PairTarget(0, 2), None, verdict="error")
    reversed_ = Judgement(PairTarget(0, 2), 1.0, probability=0.1)
    found = pairs_of([_group(1, said), _group(2, [even, missing, reversed_]), _group(3, [])])
    assert [pair.chosen.completion.text for pair in found.pairs] == ["one", "two", "three"]
    assert found.left_out == {
        "pairs of samples with no difference in score": 1,
        "labels that prefer neither answer": 1,
        "judgements without a value": 1,
        "groups without a label": 1,
    }


def test_no_label_is_an_error():
    with pytest.raises(DataError, match="no pair has a label"):
        pairs_of([_group(1, [])])


def test_the_split_shares_no_prompt_and_does_not_depend_on_other_rows():
    pairs = planted.pairs(planted.coin, 60).pairs
    whole, less = split(pairs), split(pairs[:-1])
    assert not {p.prompt for p in whole.train} & {p.prompt for p in whole.held_out}
    assert len(whole.held_out) == len({p.prompt for p in pairs}) // 2
    assert whole == split(pairs)
    assert len({p.key for p in whole.train} ^ {p.key for p in less.train}) <= 2
    assert split(pairs, seed=1) != whole


def test_a_subset_is_of_whole_prompts_and_counted():
    pairs = planted.pairs(planted.coin, 50, repeats=2)
    few = subset(pairs, 21)
    assert len(few) == 20
    assert few.left_out == {"pairs beyond the first 21 drawn": len(pairs) - 20}
