"""What a campaign's labels say of its raters and teach trainers, on every way out of it."""

from __future__ import annotations

import json
from statistics import fmean

import pytest
from campaigns import campaign
from sqlalchemy import select
from test_annotation_assign import SCALE, Crowd

from charter.annotation.adjudicate import Decision, decide, queue
from charter.annotation.export import export
from charter.annotation.monitor import by_rater, rater_stats
from charter.annotation.tables import Item, Rater
from charter.constitution import Constitution
from charter.data.formats import load_groups
from charter.feedback.people.heard import hear
from charter.feedback.people.people import PeopleOptions, people
from charter.feedback.people.training_rows import compile_labels
from charter.label import read_labels


def as_seen(shown, stored):
    """Values in the order of the answers on the page."""
    return [stored[position] for position in shown.order]


def ranks(gold, count):
    """A strict order that keeps gold's."""
    order = sorted(range(count), key=lambda i: (gold[i] if gold else 0, i))
    return [order.index(i) + 1 for i in range(count)]


def say_right(crowd, name, shown, *, turned=False):
    """What gold says, in the rater's own words: a careful 4 for a 5, a strict order for two ranks."""
    gold, mode = shown.item.gold, shown.item.mode
    if mode == "pair":
        sign = (gold or 1) * (1 if shown.order[0] == 0 else -1)
        crowd.say(name, shown, margin=-2 * sign if turned else 2 * sign)
    elif mode == "rating":
        rating = {SCALE: SCALE - 1, 1: 2, None: 3}[gold]
        crowd.say(name, shown, rating=SCALE + 1 - rating if turned else rating)
    else:
        said = ranks(gold, len(shown.order))
        crowd.say(
            name, shown, ranks=as_seen(shown, [len(said) + 1 - one for one in said] if turned else said)
        )


def exported(store, folder, to="labels"):
    export(store, folder / f"{to}.jsonl", to, scale=SCALE, pass_at=4)
    return folder / f"{to}.jsonl"


def test_a_test_is_right_in_status_where_it_is_right_in_raters(tmp_path):
    made = campaign(
        tmp_path, modes=("pair", "rating", "ranking"), count=8, k=3, each=True, gold_share=0.4, overlap=3
    )
    crowd = Crowd(made.store, "ada", "bo", "cy")
    for name in ("ada", "bo", "cy"):
        while shown := crowd.next(name):
            say_right(crowd, name, shown, turned=name == "bo" or (name == "cy" and shown.item.ordinal % 2))
    now = crowd.snapshot()
    labels = read_labels(exported(made.store, tmp_path))
    tests = [label for label in labels if label.gold is not None]
    assert {"pair", "rating"} <= {label.kind for label in tests}
    assert {label.scale for label in labels if label.kind == "rating"} == {(1, SCALE)}
    rows = {row.rater: row for row in people(labels, options=PeopleOptions(draws=10)).rows}
    names = {rater.pseudonym: rater.name for rater in now.raters.values()}
    shares = {}
    for pseudonym, said in by_rater(now).items():
        if said:
            stats, row = rater_stats(said), rows[pseudonym]
            assert (row.gold.n, row.gold.value) == (stats.gold.n, stats.gold.share)
            shares[names[pseudonym]] = stats.gold.share
    assert shares["ada"] == 1.0 and shares["bo"] == 0.0 and 0.0 < shares["cy"] < 1.0
    made.store.close()


def test_labels_carry_the_stratum_that_coverage_counts(tmp_path):
    made = campaign(tmp_path, modes=("pair", "rating"), count=3, each=True, overlap=1)
    crowd = Crowd(made.store, "ada")
    while shown := crowd.next("ada"):
        say_right(crowd, "ada", shown)
    labels = read_labels(exported(made.store, tmp_path))
    strata = {item.id: item.stratum for item in crowd.snapshot().items.values() if not item.is_gold}
    assert all(label.meta["stratum"] == strata[label.item] for label in labels)
    cells = people(labels, options=PeopleOptions(draws=10)).found["coverage"]["cells"]
    assert {cell["stratum"] for cell in cells} == set(strata.values()) and len(cells) == 4
    made.store.close()


def admin(session):
    return session.scalars(select(Rater).where(Rater.name == "admin")).one()


def test_decisions_and_unclear_texts_reach_the_rows(tmp_path):
    made = campaign(tmp_path, count=2, k=2, each=True)
    crowd = Crowd(made.store, "ada", "bo")
    for name, sign in (("ada", 1), ("bo", -1)):
        while shown := crowd.next(name):
            crowd.say(name, shown, margin=sign * (1 if shown.order[0] == 0 else -1))
    contested = queue(crowd.snapshot(), SCALE)
    assert len(contested) == 4
    rules = Constitution.load("small")
    decided, unclear, *open_ = [one.item.id for one in contested]
    said = (
        Decision(key="key-label-1", item=decided, verdict="label", outcome="judged", margin=-2),
        Decision(key="key-unclear", item=unclear, verdict="unclear", note="how firm is firm?"),
    )
    for one in said:
        with made.store.write() as session:
            decide(session, admin(session), one, rules, tmp_path / "drafts")
    counts = export(made.store, tmp_path / "l.jsonl", "labels", scale=SCALE, pass_at=4)
    assert counts["labels of items whose text was found unclear, marked meta.unclear"] == 2
    assert counts["decisions, marked meta.adjudication: rows to train on follow them"] == 1
    labels = read_labels(tmp_path / "l.jsonl")
    assert {one.item for one in labels if one.meta.get("unclear")} == {unclear}
    heard = hear(labels)
    assert [one.item for one in heard.decisions] == [decided] and len(heard.labels) == 8
    found = compile_labels([*heard.labels, *heard.decisions], {})
    rows = {row["item"]: row for row in found.rows["preference"]}
    assert set(rows) == {decided, *open_}
    assert rows[decided]["probability"] == 1.0 and rows[decided]["replaced"] == 2
    assert rows[decided]["chosen"] == next(one.answers[1] for one in labels if one.item == decided)
    assert all(rows[item]["probability"] == 0.5 for item in open_)
    assert found.dropped.total() == 4
    direct = [json.loads(line) for line in exported(made.store, tmp_path, "preference").open()]
    assert [row["item"] for row in direct if row.get("adjudicated")] == [decided] and len(direct) == 5
    made.store.close()


def test_preference_rows_carry_weight_and_large_groups(tmp_path):
    made = campaign(tmp_path, count=24, overlap=6, groups=("north", "south"))
    names = [f"n{i}" for i in range(5)]
    crowd = Crowd(made.store, *names, "guess")
    with made.store.write() as session:
        for rater in session.scalars(select(Rater)):
            rater.group = {"guess": "south", "admin": ""}.get(rater.name, "north")
    for name in (*names, "guess"):
        while shown := crowd.next(name):
            crowd.say(name, shown, margin=1 if name == "guess" or shown.order[0] == 0 else -1)
    whose = {rater.pseudonym: rater.name for rater in crowd.snapshot().raters.values()}
    path = exported(made.store, tmp_path, "preference")
    rows = [json.loads(line) for line in path.open()]
    assert len(rows) == 144 and fmean(row["weight"] for row in rows) == pytest.approx(1.0)
    guessed = [row for row in rows if whose[row["rater"]] == "guess"]
    others = [row for row in rows if whose[row["rater"]] != "guess"]
    assert max(row["weight"] for row in guessed) < 0.5 < 1.0 < min(row["weight"] for row in others)
    assert {row.get("group") for row in others} == {"north"}
    assert {row.get("group") for row in guessed} == {None}  # one person is no group
    group = load_groups(str(path), "preference").groups[0]
    assert (group.judgements[0].judge, group.judgements[0].weight) == (rows[0]["rater"], rows[0]["weight"])
    made.store.close()


def test_a_judge_on_another_scale_contradicts_nobody(tmp_path):
    """Its 1 is the best from 0 to 1 and the worst from 1 to 5; a 4 elsewhere says that it is not the best."""
    made = campaign(tmp_path, modes=("rating",), count=2, k=2)
    crowd = Crowd(made.store, "ada", "bo")
    for name in ("ada", "bo"):
        while shown := crowd.next(name):
            crowd.say(name, shown, rating=1)
    contested = queue(crowd.snapshot(), SCALE)
    assert [one.why for one in contested] == ["judge-x says the opposite of the raters"] * 2
    with made.store.write() as session:
        session.get_one(Item, contested[0].item.id).judge = {"judge-x": {"values": [4.0]}}
    assert queue(crowd.snapshot(), SCALE) == []
    made.store.close()
