"""``charter raters``: tables, people.json, rows, plans, rounds, and mistakes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from charter.cli.main import app
from charter.data.formats import load_groups
from charter.errors import CharterError
from charter.feedback.people.pair_features import pair_features
from charter.label import Label, read_labels
from charter.testing.raters import RaterStudy, SimulatedRater, simulated_items

LAW = """---
constitution: 1
name: small
version: 1.0.0
levels: [root]
---
## Kind {#kind authority=root}
Is kind.
## Brief {#brief authority=root}
Is brief.
"""


def charter(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["raters", *map(str, arguments)], catch_exceptions=False)


def refused(*arguments: object) -> str:
    with pytest.raises(CharterError) as caught:
        charter(*arguments)
    return str(caught.value)


def write(path: Path, rows: Sequence[Any]) -> Path:
    lines = (json.dumps(row.to_json() if isinstance(row, Label) else row) for row in rows)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raters = [SimulatedRater(f"r{i}", 0.85) for i in range(4)] + [SimulatedRater("spam", spam=1.0)]
    items = simulated_items(120, gold=0.6, principles=("kind",), models={"x": 1.0, "y": 0.0}, seed=1)
    said = RaterStudy(raters, items, repeats=0.1).labels()
    return write(tmp_path_factory.mktemp("labels") / "labels.jsonl", said)


def test_tables_json_and_rows(labels: Path, tmp_path: Path) -> None:
    law = tmp_path / "small.constitution.md"
    law.write_text(LAW, encoding="utf-8")
    rows = tmp_path / "rows.jsonl"
    shown = charter(
        labels, "--constitution", law, "--out", tmp_path / "out", "--weights", rows, "--plan", 0.1
    ).output
    assert "principles without labels: brief" in shown
    assert "spam: gold accuracy" in shown and "nobody is blocked" in shown
    assert "preference rows" in shown and "gold: a test of the rater" in shown and "raters, " in shown
    found = json.loads((tmp_path / "out" / "people.json").read_text(encoding="utf-8"))
    assert found["format"] == "charter-people" and len(found["raters"]) == 5
    made = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    assert found["rows"]["votes"] + sum(found["rows"]["dropped"].values()) == found["totals"]["counted"]
    assert all(row["principle"] == "kind" and 0.5 <= row["probability"] <= 1 for row in made)
    loaded = load_groups(str(rows), "preference")
    assert len(loaded.groups) == len(made) == found["rows"]["files"]["preference"]["rows"]
    posterior = tmp_path / "posterior.jsonl"
    charter(labels, "--weights", posterior, "--soft", "posterior")
    sure = [json.loads(line)["probability"] for line in posterior.read_text(encoding="utf-8").splitlines()]
    assert sum(sure) > sum(row["probability"] for row in made)  # a spammer's votes are seen through


def test_an_exercise_and_what_to_label_next(labels: Path, tmp_path: Path) -> None:
    names = [f"r{i}" for i in range(5)]
    items = simulated_items(100, gold=0.3, seed=2)
    before = RaterStudy([SimulatedRater(n, 0.65) for n in names], items).labels()
    after = RaterStudy([SimulatedRater(n, 0.9) for n in names], items, seed=9).labels()
    pool = [{"item": "i0", "text": "cats and dogs"}, {"item": "n1", "text": "tax law"}]
    pool += [{"item": f"n{i}", "text": "dogs and cats"} for i in (2, 3)]
    result = charter(
        write(tmp_path / "after.jsonl", after),
        *("--before", write(tmp_path / "before.jsonl", before)),
        *("--next-from", write(tmp_path / "pool.jsonl", pool), "--next", 1, "--json"),
    )
    found = json.loads(result.stdout)
    assert found["exercise"]["agreement"][0]["helped"] is True and found["exercise"]["gold"]["lo"] > 0
    assert found["next"]["items"] == ["n1"] and found["next"]["labelled"] == 1
    assert found["next"]["coverage"] >= found["next"]["coverage_at_random"]


def test_gold_from_a_file(tmp_path: Path) -> None:
    items = simulated_items(30, seed=3)
    said = write(tmp_path / "l.jsonl", RaterStudy([SimulatedRater("a", 1.0)], items).labels())
    gold = write(tmp_path / "gold.jsonl", [{"item": i.id, "value": i.truth} for i in items])
    assert "pass" in charter(said, "--gold", gold).output


def test_a_reward_curve(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    items = simulated_items(200, gold=1.0, seed=5)
    rows = [
        {"item": i.id, "features": [i.truth + 0.7 * rng.standard_normal(), *rng.standard_normal(5)]}
        for i in items
    ]
    said = write(tmp_path / "l.jsonl", RaterStudy([SimulatedRater("a", 0.8)], items).labels())
    features = write(tmp_path / "f.jsonl", rows)
    found = json.loads(charter(said, "--curve", features, "--json").stdout)["reward_curve"]
    rates = [point["value"] for point in found["random"]["points"]]
    assert rates[0] < 0.87 < rates[-1] and found["pairs"] == found["against_gold"] == 200
    assert "active less random" in charter(said, "--curve", features).output
    assert "40 are needed" in refused(said, "--curve", write(tmp_path / "few.jsonl", rows[:5]))


def test_features_of_pairs_make_a_curve(tmp_path: Path) -> None:
    """The longer answer is the better one: the words' hashes and the length show it."""
    items = simulated_items(160, gold=1.0, seed=21)
    longer = [
        replace(item, truth=1 if len(item.answers[0]) > len(item.answers[1]) else -1, stratum="s")
        for item in items
    ]
    said = write(tmp_path / "l.jsonl", RaterStudy([SimulatedRater("a", 0.9)], longer).labels())
    features = tmp_path / "f.jsonl"
    made = CliRunner().invoke(
        app, ["labels", "features", str(said), "--out", str(features)], catch_exceptions=False
    )
    assert "features of 160 pairs" in made.output
    rows = [json.loads(line) for line in features.read_text(encoding="utf-8").splitlines()]
    assert {len(row["features"]) for row in rows} == {257} and {row["stratum"] for row in rows} == {"s"}
    turned = pair_features([replace(one, answers=one.answers[::-1]) for one in read_labels(said)]).rows
    for row, other in zip(rows, turned, strict=True):
        assert row["features"] == [-x for x in other["features"]]
    found = json.loads(charter(said, "--curve", features, "--json").stdout)["reward_curve"]
    assert found["pairs"] == 160 and found["random"]["points"][-1]["value"] > 0.85
    with pytest.raises(CharterError, match="no label compares"):
        pair_features([Label("r", "x", "a", "rating", value=1, answers=("x",))])


def test_the_scale_is_said_and_never_guessed(tmp_path: Path) -> None:
    items = simulated_items(60, kind="rating", scale=(1, 5), gold=0.5, seed=22)
    said = RaterStudy([SimulatedRater(f"r{i}", 0.95, timid=0.5) for i in range(3)], items).labels()
    bare = write(tmp_path / "bare.jsonl", [replace(label, scale=(), value=1, gold=None) for label in said])
    out = tmp_path / "rows.jsonl"
    shown = charter(bare, "--weights", out).output
    assert "180 ratings without a scale" in shown and "scores and not as verdicts: 180" in shown
    assert not (tmp_path / "rows.unpaired.jsonl").exists()
    assert (tmp_path / "rows.attributes.jsonl").exists()
    told = charter(bare, "--scale", "0,1", "--weights", out)
    assert "without a scale" not in told.output and (tmp_path / "rows.unpaired.jsonl").exists()
    full = write(tmp_path / "full.jsonl", said)
    assert "no rating is without a scale" in refused(full, "--scale", "1,5")
    assert "from 2 to 5" in refused(bare, "--scale", "2,5")
    for wrong in ("1", "5,1", "low,high"):
        assert "is no scale" in refused(bare, "--scale", wrong)
    rows = {row["rater"]: row for row in json.loads(charter(full, "--json").stdout)["raters"]}
    assert all(row["gold"]["value"] > 0.8 and row["reliability"] > 0.7 for row in rows.values())


def test_mace_and_small_groups(labels: Path, tmp_path: Path) -> None:
    pytest.importorskip("crowdkit")
    shown = charter(labels, "--model", "mace").output
    assert "(MACE)" in shown and "name the same answer for" in shown
    grouped = [
        replace(label, group="few" if label.rater in ("r0", "spam") else "many")
        for label in read_labels(labels)
    ]
    file, out = write(tmp_path / "g.jsonl", grouped), tmp_path / "rows.jsonl"
    shown = charter(file, "--by-group", "--weights", out, "--least-group", 3).output
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert {row["group"] for row in rows} == {"many"}
    assert "of a group with fewer than 3 raters" in shown


def test_mistakes(labels: Path, tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.jsonl", [])
    assert "no labels" in refused(empty)
    assert "cannot be read" in refused(tmp_path / "none.jsonl")
    assert "name their file" in refused(labels, "--both-bad", "tie")
    assert "did you mean 'mace'" in refused(labels, "--model", "mase")
    assert "did you mean 'posterior'" in refused(labels, "--soft", "posterio")
    assert "half-width" in refused(labels, "--plan", 2)
    assert "posterior is one" in refused(labels, "--soft", "posterior", "--by-group")
    bad = write(tmp_path / "gold.jsonl", [{"item": "i1", "value": "yes"}])
    assert "gold.jsonl:1" in refused(labels, "--gold", bad)
    pool = write(tmp_path / "pool.jsonl", [{"item": "a"}])
    assert "neither text nor features" in refused(labels, "--next-from", pool)
