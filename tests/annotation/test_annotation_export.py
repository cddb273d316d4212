"""Labels out of a campaign, decisions on contested items, and the command line."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
from campaigns import campaign, groups
from test_annotation_assign import SCALE, Crowd
from typer.testing import CliRunner

from charter.annotation.adjudicate import Decision, decide, queue
from charter.annotation.database import Store
from charter.annotation.export import export
from charter.annotation.submit import Conflict
from charter.annotation.tables import Rater
from charter.cli.annotate import app
from charter.constitution import Constitution
from charter.constitution.amending import Folder, propose
from charter.data.formats import load_groups
from charter.errors import ConfigError, DataError, EnvironmentFault, UserError
from charter.label import read_labels
from charter.records import write_groups
from charter.types import PairTarget, SampleTarget

runner = CliRunner()
ALL = ("pair", "ranking", "rating", "revision", "spans")


def filled(folder, **options):
    """A campaign in which two people said everything there is to say."""
    made = campaign(
        folder,
        **{
            "modes": ALL,
            "count": 2,
            "k": 3,
            "each": True,
            "gold_share": 0.06,
            "repeat_share": 0.04,
            **options,
        },
    )
    crowd = Crowd(made.store, "ada", "bo")
    for name in ("ada", "bo"):
        while shown := crowd.next(name):
            mode, number = shown.item.mode, shown.item.ordinal
            if number % 7 == 0 and name == "bo":
                said = {"outcome": "skipped"}
            elif mode == "pair":
                said = {"outcome": "both_bad"} if number % 2 else {"margin": 2 if name == "ada" else -1}
            elif mode == "ranking":
                said = {"ranks": [1, 2, 2, 2, 2][: len(shown.order)]}
            elif mode == "rating":
                said = {"rating": 5 if name == "ada" else 2, "rationale": "=1+1"}
            elif mode == "revision":
                said = {"text": f"{shown.item.answers[0].text} More, says {name}."}
            else:
                said = {"spans": [[0, 6, "not true"]]}
            crowd.say(name, shown, **said)
    return made.store, crowd.snapshot()


def test_every_label_is_read_back_as_it_was_said(tmp_path):
    store, now = filled(tmp_path)
    counts = export(store, tmp_path / "labels.jsonl", "labels", scale=SCALE, pass_at=4)
    found = read_labels(tmp_path / "labels.jsonl")
    assert counts["rows"] == len(found) == len(now.labels)
    assert [one.to_json() for one in found] == [one.to_json() for one in now.labels]
    assert {one.kind for one in found} == set(ALL)
    text = (tmp_path / "labels.jsonl").read_text()
    assert "ada" not in {one.rater for one in found} and '"rater": "ada"' not in text
    assert all(one.principle_sha for one in found if one.principle)
    store.close()


def test_rows_for_trainers_keep_every_voice_and_count_what_is_left_out(tmp_path):
    store, now = filled(tmp_path)
    ordinary = [
        one
        for one in now.labels
        if one.gold is None and not one.meta.get("repeat") and one.outcome != "skipped"
    ]
    for to, kinds in (
        ("preference", ("pair", "revision")),
        ("ranking", ("ranking",)),
        ("unpaired", ("rating", "pair")),
        ("rating", ("rating",)),
    ):
        path = tmp_path / f"{to}.jsonl"
        counts = export(store, path, to, scale=SCALE, pass_at=4)
        wanted = {
            "unpaired": "unpaired",
            "preference": "preference",
            "ranking": "preference",
            "rating": "attributes",
        }[to]
        loaded = load_groups(str(path), wanted)
        bad = [one for one in ordinary if one.outcome == "both_bad"]
        rows = [one for one in ordinary if one.kind in kinds and one.outcome == "judged"]
        if to == "unpaired":
            rows = [one for one in ordinary if one.kind == "rating"] + bad + bad
        assert counts["rows"] == len(loaded.groups) == len(rows), to
        assert sum(n for name, n in counts.items() if "left out" in name) == len(now.labels) - len(
            rows
        ) + len(bad) * (to == "unpaired")
        assert {group.meta["rater"] for group in loaded.groups} == {one.rater for one in rows}
        said = [one for group in loaded.groups for one in group.judgements]
        assert {one.principle for one in said} <= {"honesty.firm", "voices.steer"}
        if to == "preference":
            assert {one.value for one in said} <= {1.0, 2.0}
            assert all(isinstance(one.target, PairTarget) for one in said)
        if to == "rating":
            assert {one.value for one in said} == {1.0, 0.25}
            assert all(isinstance(one.target, SampleTarget) for one in said)
    store.close()


def test_the_table_is_one_row_a_label_and_no_formula(tmp_path):
    store, now = filled(tmp_path)
    export(store, tmp_path / "t.csv", "table", scale=SCALE, pass_at=4)
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert len(rows) == len(now.labels)
    pairs = [row for row in rows if row["kind"] == "pair" and row["outcome"] == "judged"]
    assert {row["position"] for row in pairs if row["value"] in ("2", "-2")} == {"first"}  # ada says A
    assert {row["rationale"] for row in rows if row["kind"] == "rating" and row["outcome"] == "judged"} == {
        "'=1+1"
    }
    export(store, tmp_path / "e.jsonl", "events", scale=SCALE, pass_at=4)
    assert len((tmp_path / "e.jsonl").read_text().splitlines()) == len(now.labels)
    store.close()


def contested_store(folder, judge_agrees=True):
    """Two items: on one people disagree, on the other they contradict the judge, which prefers the first."""
    made = campaign(folder, count=2, k=2, each=False)
    crowd = Crowd(made.store, "ada", "bo")
    for name in ("ada", "bo"):
        while shown := crowd.next(name):
            number = int(shown.item.prompt.split()[1].rstrip(":"))
            stored = (1 if name == "ada" else -1) if number == 0 else -1
            crowd.say(name, shown, margin=stored * (1 if shown.order[0] == 0 else -1))
    return made.store, crowd


def admin(session):
    return session.query(Rater).filter(Rater.name == "admin").one()


def test_the_queue_holds_disagreement_and_judges_that_contradict_people(tmp_path):
    store, crowd = contested_store(tmp_path)
    first, second = queue(crowd.snapshot(), SCALE)
    assert "raters disagree: 1 first, 1 second" in first.why and "judge" not in first.why
    assert second.why == "judge-x says the opposite of the raters"
    rules = Constitution.load("small")
    said = Decision(key="key-decide-1", item=first.item.id, verdict="label", outcome="judged", margin=-2)
    for _ in range(2):  # sent twice: one decision
        with store.write() as session:
            decide(session, admin(session), said, rules, tmp_path / "drafts")
    with pytest.raises(Conflict), store.write() as session:
        decide(session, admin(session), said.model_copy(update={"margin": 1}), rules, tmp_path / "drafts")
    with pytest.raises(Conflict), store.write() as session:
        decide(
            session,
            admin(session),
            said.model_copy(update={"key": "key-decide-2"}),
            rules,
            tmp_path / "drafts",
        )
    with pytest.raises(UserError, match="no principle's text"), store.write() as session:
        unclear = Decision(key="key-decide-3", item=second.item.id, verdict="unclear", note="?")
        decide(session, admin(session), unclear, rules, tmp_path / "drafts")
    assert [one.item.id for one in queue(crowd.snapshot(), SCALE)] == [second.item.id]
    counts = export(store, tmp_path / "p.jsonl", "preference", scale=SCALE, pass_at=4)
    assert counts["left out: labels of items that somebody decided"] == 2 and counts["rows"] == 3
    store.close()


def test_an_unclear_text_becomes_a_draft_that_can_be_proposed(tmp_path):
    house = tmp_path / "house.constitution.md"
    house.write_text(Path(Constitution.load("small").path).read_text(encoding="utf-8"), encoding="utf-8")
    write_groups(tmp_path / "g.jsonl", groups(1))
    db = tmp_path / "c.db"
    told = runner.invoke(
        app,
        [
            "new",
            str(db),
            "--constitution",
            str(house),
            "--answers",
            str(tmp_path / "g.jsonl"),
            "--principle",
            "style.brief",
            "--gold-share",
            "0",
        ],
        catch_exceptions=False,
    )
    assert told.exit_code == 0 and "1 items" in told.output
    store = Store(db)
    crowd = Crowd(store, "ada", "bo")
    for name, sign in (("ada", 1), ("bo", -1)):
        shown = crowd.next(name)
        crowd.say(name, shown, margin=sign * (1 if shown.order[0] == 0 else -1))
    (one,) = queue(crowd.snapshot(), SCALE)
    note = "## Not a heading {#x authority=user}\n```yaml settings\nhow short is short?"
    said = Decision(key="key-draft-1", item=one.item.id, verdict="unclear", note=note)
    rules = Constitution.from_text(store.campaign()[0].constitution_text, str(house))
    with store.write() as session:
        made = decide(session, admin(session), said, rules, tmp_path / "drafts")
    draft = tmp_path / "drafts" / made.draft.rpartition("/")[2]
    text = draft.read_text()
    assert "how short is short?" in text and "Make clear: Short, but a whole answer" in text
    with pytest.raises(Exception, match="changes nothing"):
        propose(Folder(tmp_path), draft, author="Ada")  # a person has to write the new text
    draft.write_text(text.replace("between 12 and 80 words", "between 12 and 60 words"))
    state = propose(Folder(tmp_path), draft, author="Ada")
    assert list(state.proposal.principles) == ["style.brief"] and not state.proposal.settings
    assert queue(crowd.snapshot(), SCALE) == []
    counts = export(store, tmp_path / "p.jsonl", "preference", scale=SCALE, pass_at=4)
    assert counts["left out: items whose text was found unclear"] == 2 and counts["rows"] == 0
    store.close()


def refused(kind, match, *arguments):
    with pytest.raises(kind, match=match):
        runner.invoke(app, [str(one) for one in arguments], catch_exceptions=False, standalone_mode=False)


def test_what_is_wrong_is_found_before_anything_starts(tmp_path):
    file, db = tmp_path / "g.jsonl", tmp_path / "c.db"
    write_groups(file, groups(3))
    new = ("new", db, "--constitution", "small", "--answers")
    refused(DataError, "no such file", *new, tmp_path / "none.jsonl")
    (tmp_path / "odd.jsonl").write_text('{"prompt": "x"}\n')
    refused(DataError, "no sampled groups", *new, tmp_path / "odd.jsonl")
    refused(UserError, "unknown mode 'pairs'", *new, file, "--mode", "pairs")
    refused(UserError, "no principle 'honesty.fir'", *new, file, "--principle", "honesty.fir")
    refused(ConfigError, "gold_share", *new, file, "--gold-share", "0.9")
    same = groups(1)
    write_groups(tmp_path / "same.jsonl", [type(one)(one.samples[:1] * 2, id="s") for one in same])
    refused(DataError, "no item is left", *new, tmp_path / "same.jsonl")
    assert list(tmp_path.glob("c.db*")) == []
    assert runner.invoke(app, [str(one) for one in (*new, file)]).exit_code == 0
    refused(UserError, "a file already", *new, file)
    refused(UserError, "no such file", "serve", tmp_path / "none.db")
    (tmp_path / "text.db").write_text("hello")
    refused(UserError, "not a campaign", "status", tmp_path / "text.db")
    for text, why in (
        ("who\nada\n", "no column 'name'"),
        ("name,role\nada,boss\n", "unknown role 'boss'"),
        ("name\nada\nada\n", "twice"),
        ("name\n", "nobody"),
        ("name,group\nada,north\n", "north"),
    ):
        (tmp_path / "names.csv").write_text(text)
        refused(DataError, why, "serve", db, "--raters", tmp_path / "names.csv")
    refused(UserError, "policy active", "serve", db, "--score", "s.py:f")
    refused(UserError, "cannot listen", "serve", db, "--host", "203.0.113.7")
    (tmp_path / "out.jsonl").write_text("kept")
    refused(UserError, "a file already", "export", db, "--out", tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text() == "kept"


def test_status_and_export_by_command(tmp_path):
    store, now = filled(tmp_path)
    store.close()
    told = runner.invoke(app, ["status", str(tmp_path / "c.db")], catch_exceptions=False).output
    assert "honesty.firm | user | groups | pair" in told and "Krippendorff" in told and "tests" in told
    told = runner.invoke(
        app, ["export", str(tmp_path / "c.db"), "--out", str(tmp_path / "l.jsonl")], catch_exceptions=False
    )
    assert f"{len(now.labels)} rows" in told.output
    assert len(read_labels(tmp_path / "l.jsonl")) == len(now.labels)


def test_a_missing_package_is_named_with_the_extra(tmp_path, monkeypatch):
    campaign(tmp_path).store.close()
    for name in [one for one in sys.modules if one.startswith("charter.annotation")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(EnvironmentFault, match=r"charter\[annotate\]"):
        runner.invoke(app, ["status", str(tmp_path / "c.db")], catch_exceptions=False, standalone_mode=False)
