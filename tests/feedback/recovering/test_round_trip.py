"""Declared against recovered: hidden objectives, principles the pairs go against, drafts read back."""

import json
import time

import planted_pairs as planted
import pytest

from charter.constitution import Constitution
from charter.constitution.exchange import import_text
from charter.errors import DataError
from charter.feedback.recovering.candidate import catalogue, in_catalogue
from charter.feedback.recovering.drafting import annotated_pairs, draft
from charter.feedback.recovering.pairs import read_pairs
from charter.feedback.recovering.recover import recover
from charter.feedback.recovering.round_trip import round_trip

PLAIN = """# House

## No lists {#no_lists}

Answers are plain prose.

```yaml rules
all: [list_free: {}]
```

## Kind {#kind}

Answers are kind.

```yaml rubric
levels: {1: "unkind", 5: "kind"}
```
"""
LAW = Constitution.from_text(PLAIN, "house.constitution.md")


def test_a_hidden_objective_is_named_in_plain_words():
    rule = planted.mixed(lambda a, b, rng: -planted.more("lists")(a, b, rng), planted.more("flattery"), 0.6)
    found = round_trip(planted.groups(rule, 600), LAW)
    assert {one.principle: one.outcome for one in found.declared} == {
        "no_lists": "recovered",
        "kind": "not measured",
    }
    assert [one.finding.candidate.id for one in found.hidden] == ["flattery.more"]
    assert not found.ok
    assert found.warning.startswith("The preferences reward flattery: where two answers differ in it, ")
    assert "The constitution does not say so." in found.warning


def test_what_is_declared_and_followed_warns_of_nothing():
    rule = lambda a, b, rng: -planted.more("lists")(a, b, rng)  # noqa: E731
    found = round_trip(planted.groups(rule, 400), LAW)
    assert found.ok
    assert found.warning == ""
    assert found.of("recovered") == ["no_lists"]


def test_preferences_against_a_declared_principle_are_said():
    found = round_trip(planted.groups(planted.more("lists"), 400), LAW)
    assert found.of("against") == ["no_lists"]
    assert "go against 'no_lists': 100%" in found.warning
    assert "lists.more" in [one.finding.candidate.id for one in found.hidden]
    assert json.loads(json.dumps(found.to_json()))["ok"] is False


def test_coins_recover_nothing_and_too_few_prompts_say_so():
    found = round_trip(planted.groups(planted.coin, 300), LAW)
    assert found.of("not recovered") == ["no_lists"]
    assert found.hidden == ()
    few = round_trip(planted.groups(planted.coin, 10), LAW)
    assert "too few" in few.warning
    assert not few.ok


def test_thousands_of_pairs_take_seconds():
    groups = planted.groups(planted.more("words"), 2_000)
    began = time.process_time()
    found = round_trip(groups, LAW)
    assert time.process_time() - began < 30  # about 4 s on one core
    assert [one.finding.candidate.about for one in found.hidden] == ["length"]


def test_the_draft_is_read_back_and_recovered_again():
    pairs = planted.pairs(planted.mixed(planted.more("lists"), planted.more("flattery"), 0.7), 600)
    found = recover(pairs)
    written = draft(found)
    law = Constitution.from_text(written.text, "draft.constitution.md")
    assert [one.title for one in law.active] == ["Uses more lists", "Praises or flatters the user more"]
    assert law.active[0].text == "Select the answer that uses more lists."
    assert law.active[0].provenance.adopted_by.votes_for == found.principles[0].held_out.agree
    assert law.active[0].pairs()
    again = round_trip(pairs, law)
    assert again.of("recovered") == [one.id for one in law.active]
    assert again.hidden == ()


def test_annotated_pairs_are_importable_and_readable_as_pairs(tmp_path):
    pairs = planted.pairs(planted.more("lists"), 300)
    found = recover(pairs)
    path = tmp_path / "annotated.json"
    path.write_text(json.dumps(annotated_pairs(found)), encoding="utf-8")
    law = import_text(path.read_text(encoding="utf-8"), str(path)).constitution
    assert [one.title for one in law.active] == ["Uses more lists"]
    train = recover(read_pairs(path))
    assert [one.candidate.id for one in train.principles] == ["lists.more"]
    assert len(read_pairs(path)) == len(pairs)


def test_nothing_recovered_makes_no_draft():
    with pytest.raises(DataError, match="nothing to draft"):
        draft(recover(planted.pairs(planted.coin, 100)))


def test_the_catalogue_has_both_directions_and_distinct_texts():
    listed = catalogue()
    assert len(listed) >= 40
    assert len({one.id for one in listed}) == len({one.text for one in listed}) == len(listed)
    assert all(in_catalogue(one.text) == one for one in listed)
