from __future__ import annotations

import json
from dataclasses import replace

import pytest

from charter.errors import DataError
from charter.feedback.people.heard import hear
from charter.feedback.people.people import People, PeopleOptions, people, steps
from charter.feedback.people.rounds import plans
from charter.label import Label
from charter.testing.raters import RaterStudy, SimulatedItem, SimulatedRater, simulated_items

FAST = PeopleOptions(draws=40)


def study(raters: list[SimulatedRater], items: list[SimulatedItem], **more: float) -> People:
    return people(RaterStudy(raters, items, **more).labels(), options=FAST)  # type: ignore[arg-type]


def crowd(n: int, accuracy: float = 0.85) -> list[SimulatedRater]:
    return [SimulatedRater(f"r{i}", accuracy) for i in range(n)]


def flags(found: People, rater: str) -> str:
    return "; ".join(words for who, words in found.flags if who == rater)


def test_each_planted_fault_is_found_and_no_other() -> None:
    raters = [
        *crowd(4),
        SimulatedRater("left", position=0.5),
        SimulatedRater("long", length=0.5),
        SimulatedRater("spam", spam=1.0, seconds=1.5),
        SimulatedRater("tired", 0.95, fatigue=0.6),
        SimulatedRater("led", suggestion=0.6),
        SimulatedRater("copy", copies="r0", collusion=0.9),
    ]
    items = simulated_items(300, gold=0.3, suggested=0.5, models={"x": 1.0, "y": 0.0, "z": -1.0}, seed=3)
    found = study(raters, items, repeats=0.15, unsuggested=0.1)
    for honest in ("r1", "r2", "r3"):
        assert flags(found, honest) == ""
    assert "shown first" in flags(found, "left")
    assert "longer answer" in flags(found, "long")
    assert "second half" in flags(found, "tired")
    assert "follows suggestions" in flags(found, "led")
    assert "more than their accuracy explains" in flags(found, "copy")
    spam = flags(found, "spam")
    assert "gold accuracy" in spam and "hardly better than guessing" in spam and "takes 1." in spam
    row = {row.rater: row for row in found.rows}
    assert row["spam"].qualified == "fail" and row["r1"].qualified == "pass"
    assert row["left"].first.interval.lo < 0.75 < row["left"].first.interval.hi  # type: ignore[union-attr]
    assert found.reliability["spam"] < 0.2 < 0.55 < found.reliability["r1"]
    assert found.found["ranking"]["order"] == ["x", "y", "z"]


def test_json_is_plain_and_complete() -> None:
    items = simulated_items(60, gold=0.3, principles=("p", "q"), strata=("web", "mail"), seed=1)
    labels = RaterStudy(crowd(5), items, repeats=0.1).labels()
    found = people(labels, principles=("p", "q", "never"), levels={"p": "root"}, options=FAST)
    said = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert said["coverage"]["without_labels"] == ["never"]
    cells = {(one["principle"], one["stratum"]): one for one in said["coverage"]["cells"]}
    assert cells["p", "web"]["questions"] == 30 and cells["p", "web"]["level"] == "root"
    assert cells["never", ""]["labels"] == 0
    assert [one["principle"] for one in said["alpha"]] == ["p", "q"]
    assert said["totals"]["counted"] + said["totals"]["repeats"] == len(labels)
    assert said["raters"][0]["dawid_skene"]["pair"]["accuracy"]["enough"]
    assert said["balance"]["sources"]["human"]["share"] == 1.0


def test_groups() -> None:
    raters = [SimulatedRater(f"a{i}", 0.95, group="a") for i in range(6)]
    raters += [SimulatedRater(f"b{i}", 0.95, group="b", stance=1.0) for i in range(6)]
    raters += [SimulatedRater(f"c{i}", 0.95, group="c") for i in range(2)]
    found = study(raters, simulated_items(80, contested=0.5, seed=2)).found["groups"]
    # Two raters are no group: nothing is shown of them, and the split is not drawn with them in it.
    assert [one["group"] for one in found["gaps"]["agreement"] if one["value"] is None] == ["c"]
    assert found["split"]["pair"]["within"] is None
    found = study(raters[:12], simulated_items(80, contested=0.5, seed=2)).found["groups"]
    split = found["split"]["pair"]
    assert split["p"] < 0.01 and split["difference"]["lo"] < 0.4 < split["difference"]["hi"]
    same = study([SimulatedRater(r.name, 0.8, group=r.group) for r in raters[:12]], simulated_items(80))
    assert same.found["groups"]["split"]["pair"]["p"] > 0.05


def test_a_loud_rater_is_heard() -> None:
    """A third of the labels, all for one model."""
    items = simulated_items(200, models={"x": 0.0, "y": 0.0}, seed=4)
    quiet = RaterStudy(crowd(8, 0.8), items, per_item=2, seed=5).labels()
    loud = [SimulatedItem(i.id, 1 if i.models[0] == "x" else -1, i.answers, i.models) for i in items]
    shout = RaterStudy([SimulatedRater("loud", 1.0)], loud, seed=6).labels()
    labels = [*quiet, *(type(one)(**{**_fields(one), "id": f"s{one.id}"}) for one in shout)]
    found = people(labels, options=FAST)
    assert "loud: without them win rate: x" in flags(found, "loud")
    moves = {one["rater"]: abs(one["changes"]["win rate: x"]) for one in found.found["loud"]}
    assert moves.pop("loud") > 0.15 > 3 * max(moves.values())
    calm = people(quiet, options=FAST)
    assert not any(words.startswith("loud") for _, words in calm.flags)


def _fields(one: object) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__slots__}  # type: ignore[attr-defined]


def test_what_is_missing_is_missing() -> None:
    labels = RaterStudy(crowd(2), simulated_items(4)).labels()
    found = people(labels, options=FAST)
    row = found.to_json()["raters"][0]
    assert row["gold"]["value"] is None and row["gold"]["lo"] is None and row["qualified"] == "undecided"
    assert row["repeats"]["value"] is None and row["dawid_skene"] == {} and row["reliability"] is None
    assert "20 are needed" in found.found["dawid_skene"]["pair"]["why"]
    assert found.found["ranking"] is None and found.found["curve"]["points"] == []
    assert found.flags == []
    with pytest.raises(ValueError, match="no labels"):
        people([])


def test_gold_from_a_file_counts() -> None:
    items = simulated_items(40, seed=7)
    labels = RaterStudy(crowd(3, 1.0), items).labels()
    found = people(labels, gold={("", item.id): float(item.truth) for item in items}, options=FAST)
    assert all(row.qualified == "pass" and row.gold.value == 1.0 for row in found.rows)
    wrong = people(labels, gold={("", item.id): -float(item.truth) for item in items}, options=FAST)
    assert all(row.qualified == "fail" for row in wrong.rows)


def test_gold_that_is_graded_is_worth_no_less_than_gold_that_is_not() -> None:
    """Tests of ratings used to count a 4 of 5 as an error, and so took the careful rater's weight away."""
    raters = [SimulatedRater(f"r{i}", 0.9, timid=0.6) for i in range(4)]
    items = simulated_items(300, kind="rating", scale=(1, 5), gold=0.5, seed=11)
    labels = RaterStudy(raters, items, seed=12).labels()
    with_gold = people(labels, options=FAST)
    without = people([replace(label, gold=None) for label in labels], options=FAST)
    for rater in raters:
        assert with_gold.reliability[rater.name] == pytest.approx(without.reliability[rater.name], abs=0.08)
        assert with_gold.reliability[rater.name] > 0.75
    assert not any("gold" in words for _, words in with_gold.flags)
    points = with_gold.found["curve"]["points"]
    assert points[0]["value"] == pytest.approx(0.9, abs=0.05) and points[-1]["value"] > 0.93


def test_ratings_without_a_scale_are_exact_and_counted_until_somebody_says_it() -> None:
    items = simulated_items(120, kind="rating", scale=(1, 5), gold=1.0, seed=13)
    labels = RaterStudy([SimulatedRater("x", 1.0, timid=1.0)], items).labels()
    bare = [replace(label, scale=()) for label in labels]
    found = people(bare, options=FAST)
    assert found.found["totals"]["without_scale"] == 120 and found.rows[0].gold.value == 0.0
    told = people(bare, options=PeopleOptions(draws=40, scale=(1, 5)))
    assert told.found["totals"]["without_scale"] == 0 and told.rows[0].gold.value == 1.0
    with pytest.raises(DataError, match="from 1 to 3"):
        people(bare, options=PeopleOptions(scale=(1, 3)))
    mixed = [*labels[:60], *bare[60:]]
    fit = people(mixed, options=FAST).found["dawid_skene"]["rating"]
    assert fit["left_out"] == 60 and fit["items"] == 60


def test_a_plan_counts_ratings_by_their_scale() -> None:
    """All of them the worst of 1 to 5: the mean is 0, not 1."""
    items = simulated_items(40, kind="rating", scale=(1, 5), seed=14)
    labels = RaterStudy([SimulatedRater(f"r{i}") for i in range(3)], items).labels()
    worst = [replace(label, value=1) for label in labels]
    assert plans(labels, 0.1)["of"] == "mean rating"
    assert plans(worst, 0.1)["variance"] == plans([replace(one, value=5) for one in worst], 0.1)["variance"]
    assert plans([replace(one, scale=()) for one in worst], 0.1)["of"].startswith("worst case")


def test_decisions_are_no_voice_and_the_last_one_stands() -> None:
    labels = RaterStudy(crowd(3), simulated_items(30, seed=15)).labels()
    first = labels[0]
    decided = [
        replace(first, id=f"d{i}", rater=who, value=value, source="expert", meta={"adjudication": True})
        for i, (who, value) in enumerate((("ed", 1), ("r0", -1)))
    ]
    heard = hear([*decided, *labels])
    assert heard.decisions == (decided[1],) and heard.left_out == {"replaced by a later decision": 1}
    assert heard.labels == tuple(labels)  # r0's own word on the item stays
    found = people([*labels, *decided], options=FAST)
    assert [row.rater for row in found.rows] == ["r0", "r1", "r2"]
    totals = found.found["totals"]
    assert (totals["decisions"], totals["counted"], totals["labels"]) == (1, 90, 92)
    with pytest.raises(DataError, match="decisions"):
        people(decided, options=FAST)


def test_a_small_group_is_named_beside_nobody() -> None:
    raters = [SimulatedRater(f"a{i}", group="big") for i in range(5)] + [SimulatedRater("b", group="few")]
    said = study(raters, simulated_items(30)).to_json()
    assert [one["group"] for one in said["raters"]] == ["big"] * 5 + [""]


def test_mace_beside_dawid_skene() -> None:
    pytest.importorskip("crowdkit")
    raters = [*crowd(4, 0.9), SimulatedRater("spam", spam=1.0)]
    labels = RaterStudy(raters, simulated_items(80, seed=16)).labels()
    options = PeopleOptions(draws=20, mace=True)
    notes: list[str] = []
    found = people(labels, options=options, note=notes.append)
    said = found.to_json()["mace"]["pair"]
    assert said["competence"]["spam"] < 0.3 < 0.6 < min(said["competence"][f"r{i}"] for i in range(4))
    assert said["items"] == 80 and said["same_answer"] > 0.9
    assert len(notes) == steps(labels, options)
    few = people(labels[:10], options=options).found["mace"]["pair"]
    assert few["competence"] == {} and "20 are needed" in few["why"]


def test_the_stratum_of_annotated_labels_is_read() -> None:
    labels = [
        Label(f"l{i}", f"i{i}", "r", "pair", value=1, answers=("a", "b"), meta={"stratum": f"s{i % 2}"})
        for i in range(4)
    ]
    cells = people(labels, options=FAST).found["coverage"]["cells"]
    assert {cell["stratum"]: cell["labels"] for cell in cells} == {"s0": 2, "s1": 2}
