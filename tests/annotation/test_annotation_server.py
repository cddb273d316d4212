"""The server of ``charter annotate``: what is saved, what is hidden, what is refused."""

from __future__ import annotations

import sqlite3
from collections import Counter
from itertools import count

import pytest
from sqlalchemy import event

from charter.annotation.app import make_app
from charter.annotation.database import Store
from charter.annotation.rows import snapshot
from charter.annotation.tables import LabelEvent

KEYS = (f"key-{number:06d}" for number in count())


def labels(store):
    with store.read() as session:
        return snapshot(session).labels


def test_a_label_is_saved_in_stored_order_however_the_sides_were_shown(browsers):
    store, people = browsers("ada", "bo", "cy", "di", count=8, overlap=4)
    for person in people:
        for _ in range(8):
            shown = person.next()
            # Everybody prefers the answer whose text says "Answer 1".
            first = "Answer 1 " in shown["item"]["answers"][0]["text"]
            assert person.label(next(KEYS), shown, margin=2 if first else -2).status_code == 200
        assert person.next()["state"] == "finished"
    found = labels(store)
    assert len(found) == 32
    assert {label.value for label in found} == {-2}
    sides = Counter(label.shown for label in found)
    assert set(sides) == {(0, 1), (1, 0)}
    assert all(label.models == ("model-0", "model-1") for label in found)
    assert {label.meta["policy"] for label in found} == {"random"}


def test_nothing_that_should_be_hidden_reaches_the_page(browsers):
    _, (ada,) = browsers("ada", gold_share=0.3)
    for _ in range(12):
        shown = ada.next()
        if shown["state"] != "item":
            break
        assert "model-" not in str(shown) and "judge-x" not in str(shown)
        assert set(shown) == {"state", "done", "item"}
        assert set(shown["item"]) == {"presentation", "mode", "prompt", "answers", "principle", "scale"}
        assert {key for answer in shown["item"]["answers"] for key in answer} == {"letter", "text", "html"}
        answer = ada.label(next(KEYS), shown, outcome="tie")
        assert set(answer.json()) == {"saved", "repeated"}


def test_revealed_only_after_the_label_and_marked_when_said_again(browsers):
    store, (ada,) = browsers("ada", reveal=True)
    shown = ada.next()
    assert "model-" not in str(shown)
    told = ada.label("key-reveal1", shown, margin=1).json()["revealed"]
    assert set(told["models"]) == {"model-0", "model-1"}
    assert "better" in told["judges"]["judge-x"]
    better = told["models"][0 if told["judges"]["judge-x"][0] == "A" else 1]
    assert better == "model-0"  # what the judge said, turned into this rater's letters
    assert ada.post("/api/undo", key="key-reveal2").status_code == 200
    again = ada.next()
    assert again["item"]["presentation"] == shown["item"]["presentation"]
    assert again["item"]["answers"] == shown["item"]["answers"]  # the order is never drawn anew
    ada.label("key-reveal3", again, margin=-1)
    (label,) = labels(store)
    assert label.meta["revealed"] is True and label.meta["again"] is True


def test_the_same_thing_sent_twice_is_one_label(browsers):
    store, (ada,) = browsers("ada")
    shown = ada.next()
    first = ada.label("key-twice-1", shown, margin=1, seconds=3.0)
    second = ada.label("key-twice-1", shown, margin=1, seconds=9.0)  # the clock went on meanwhile
    assert first.json()["saved"] == second.json()["saved"]
    assert (first.json()["repeated"], second.json()["repeated"]) == (False, True)
    changed = ada.label("key-twice-1", shown, margin=-1)
    assert changed.status_code == 409
    assert len(labels(store)) == 1
    undone = [ada.post("/api/undo", key="key-twice-2").json() for _ in range(2)]
    assert undone[0]["saved"] == undone[1]["saved"]
    assert labels(store) == []


def test_two_tabs_give_one_label(browsers):
    store, (ada,) = browsers("ada")
    left, right = ada.next(), ada.next()
    assert left == right
    assert ada.label("key-tab-left", left, margin=1).status_code == 200
    late = ada.label("key-tab-right", right, margin=-2)
    assert late.status_code == 409 and "another tab" in late.json()["error"]
    (label,) = labels(store)
    assert abs(label.value) == 1


def test_a_tab_of_somebody_else_cannot_speak_for_who_is_signed_in(browsers):
    store, (ada, bo) = browsers("ada", "bo")
    shown = ada.next()
    ada.http.cookies.update(bo.http.cookies)  # bo opened a link in ada's browser
    answer = ada.label("key-other-1", shown, margin=1)
    assert answer.status_code == 403 and "another session" in answer.json()["error"]
    stolen = bo.label("key-other-2", shown, margin=1)
    assert stolen.status_code == 400 and "not shown to you" in stolen.json()["error"]
    assert labels(store) == []


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"margin": 3}, "Input should be"),
        ({}, "judged"),
        ({"rating": 3}, "not"),
        ({"margin": 1, "rating": 3}, "not"),
        ({"outcome": "not_applicable"}, "cannot be said"),
        ({"outcome": "tie", "margin": 1}, "no value"),
        ({"margin": 1, "seconds": -1.0}, "greater than"),
        ({"margin": 1, "rater": "bo"}, "Extra"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_saved(browsers, said, why):
    store, (ada,) = browsers("ada")
    answer = ada.label("key-wrong-1", ada.next(), **said)
    assert answer.status_code in (400, 422) and why in answer.json()["error"]
    assert labels(store) == []


def test_every_mode_becomes_a_label(browsers):
    store, (ada,) = browsers("ada", modes=("pair", "ranking", "rating", "revision", "spans"), count=2, k=3)
    seen = Counter()
    while (shown := ada.next())["state"] == "item":
        item, mode = shown["item"], shown["item"]["mode"]
        if mode == "pair":
            said = {"outcome": "both_bad"} if seen[mode] else {"margin": -1}
        elif mode == "ranking":
            said = {"ranks": [1 + ("Answer 0 " in one["text"]) for one in item["answers"]]}
        elif mode == "rating":
            said = {"rating": 4, "rationale": " clear "}
        elif mode == "revision":
            unchanged = ada.label("key-modes-00", shown, text=item["answers"][0]["text"] + " ")
            assert unchanged.status_code == 400 and "not changed" in unchanged.json()["error"]
            said = {"text": item["answers"][0]["text"] + " In short: blue."}
        else:
            words = item["words"]
            assert "".join(word["text"] for word in words) == item["answers"][0]["text"]
            bad = ada.label("key-modes-01", shown, spans=[[0, 10_000, item["tags"][0]]])
            assert bad.status_code == 400
            said = {"spans": [[words[1]["start"], words[1]["end"], item["tags"][1]]]}
        seen[mode] += 1
        assert ada.label(next(KEYS), shown, **said).status_code == 200, mode
    assert set(seen) == {"pair", "ranking", "rating", "revision", "spans"}
    found = {label.kind: label for label in labels(store)}
    assert found["ranking"].value == [2, 1, 1]
    assert found["rating"].rationale == "clear"
    assert found["revision"].value.endswith("In short: blue.")
    assert found["spans"].value[0][2] == "helps the principle"


def test_a_pause_hands_nothing_out_but_saves_what_was_begun(browsers):
    store, (ada, boss) = browsers("ada", "admin")
    shown = ada.next()
    assert boss.post("/api/admin/pause", paused=True).json() == {"paused": True}
    assert ada.next()["state"] == "paused"
    assert ada.label("key-pause-1", shown, margin=1).status_code == 200
    assert ada.post("/api/admin/pause", paused=False).status_code == 403
    boss.post("/api/admin/pause", paused=False)
    assert ada.next()["state"] == "item"
    assert len(labels(store)) == 1


def test_links_work_once_and_secrets_are_kept_as_hashes(browsers, tmp_path):
    store, (ada, boss) = browsers("ada", "admin")
    again = ada.http.post("/api/enter", json={"token": ada.link}, headers={"x-charter-token": "enter"})
    assert again.status_code == 400 and "used already" in again.json()["error"]
    plain = ada.http.post("/api/enter", json={"token": boss.link})
    assert plain.status_code == 403  # another site's form cannot sign anybody in
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("c.db*"))
    assert ada.link.encode() not in raw
    assert ada.http.cookies.get(next(iter(ada.http.cookies))).encode() not in raw
    with store.read() as session:
        name = next(one.pseudonym for one in snapshot(session).raters.values() if one.name == "ada")
    path = boss.post("/api/admin/link", rater=name).json()["path"]
    assert path.startswith("/enter#")
    assert boss.post("/api/admin/rater", rater=name, active=False).status_code == 200
    assert ada.post("/api/next").status_code == 401
    assert ada.http.get("/label").status_code == 401


def test_pages_say_their_policy_and_run_nothing_inline(browsers):
    _, (ada, boss) = browsers("ada", "admin")
    for person, path in (
        (ada, "/label"),
        (ada, "/me"),
        (boss, "/admin"),
        (boss, "/adjudicate"),
        (ada, "/enter"),
    ):
        answer = person.http.get(path)
        assert answer.status_code == 200, path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert "style=" not in answer.text and "onclick" not in answer.text
        assert "http:" not in answer.text and "https:" not in answer.text
        assert (
            answer.text.count("<script")
            == answer.text.count('<script src="/static/app.js" defer></script>')
            == 1
        )
    for path in ("/admin", "/adjudicate"):
        assert ada.http.get(path).status_code == 403
    assert ada.http.get("/static/../app.py").status_code == 404
    assert ada.http.get("/static/app.js").headers["content-type"].startswith("text/javascript")


def test_other_names_and_long_messages_are_refused(browsers):
    _, (ada,) = browsers("ada")
    assert ada.http.get("/label", headers={"host": "evil.example"}).status_code == 421
    shown = ada.next()
    assert ada.label("key-long-1", shown, margin=1, rationale="x" * 3_000_000).status_code == 413
    assert ada.label("key-long-2", shown, margin=1, rationale="x" * 6_000).status_code == 422


def test_an_answer_cannot_run_or_load_anything(browsers):
    from charter.annotation.markdown import to_html

    text = "<script>alert(1)</script> [x](javascript:alert(1)) ![i](http://a/b.png)"
    text += " <img src=x onerror=y> <http://a.b>\n\n[r]: http://c\n"
    html = to_html(text)
    assert "<script" not in html and "<a" not in html and "<img" not in html
    assert to_html("**b** `c`") == "<p><strong>b</strong> <code>c</code></p>\n"
    assert "style=" not in to_html("|a|\n|:-:|\n|b|\n")


def test_a_full_disk_saves_nothing_and_says_so(browsers):
    store, (ada,) = browsers("ada", modes=("revision",), count=2, k=1)
    shown = ada.next()
    text = "word " * 15_000

    @event.listens_for(store.engine, "begin")
    def full(connection):
        connection.exec_driver_sql("PRAGMA max_page_count=1")  # SQLite takes the present size instead

    answer = ada.label("key-full-1", shown, text=text)
    assert answer.status_code == 503
    assert "disk is full" in answer.json()["error"] and "nothing was saved" in answer.json()["error"]
    event.remove(store.engine, "begin", full)
    store.engine.dispose()
    assert labels(store) == []
    assert ada.label("key-full-1", shown, text=text).json()["repeated"] is False
    assert len(labels(store)) == 1


def test_a_locked_file_is_told_and_the_same_label_goes_through_later(browsers, tmp_path):
    store, (ada,) = browsers("ada")
    impatient = Store(store.path, patience=0.1)
    shown = ada.next()
    ada.http.app = make_app(impatient, hosts=("127.0.0.1",))
    from starlette.testclient import TestClient

    other = TestClient(ada.http.app, base_url="http://127.0.0.1", cookies=dict(ada.http.cookies))
    ada.http = other
    holder = sqlite3.connect(store.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    answer = ada.label("key-lock-1", shown, margin=1)
    assert answer.status_code == 503 and "writing" in answer.json()["error"]
    assert labels(store) == []  # readers are not kept out
    holder.execute("ROLLBACK")
    holder.close()
    assert ada.label("key-lock-1", shown, margin=1).status_code == 200
    assert len(labels(store)) == 1
    impatient.close()


def test_what_was_said_cannot_be_changed_or_deleted(browsers):
    store, (ada,) = browsers("ada")
    ada.label("key-log-1", ada.next(), margin=1)
    raw = sqlite3.connect(store.path)
    for statement in ("UPDATE label_event SET value = 'null'", "DELETE FROM label_event"):
        with pytest.raises(sqlite3.IntegrityError, match="only ever added to"):
            raw.execute(statement)
    raw.close()
    ada.post("/api/undo", key="key-log-2")
    with store.read() as session:
        assert [one.event for one in session.query(LabelEvent)] == ["label", "undo"]


def test_a_group_is_voluntary_and_small_groups_are_not_shown(browsers):
    store, (ada, bo, boss) = browsers("ada", "bo", "admin", groups=("north", "south"), min_cell=2)
    assert ada.post("/api/group", group="north").status_code == 200
    assert ada.post("/api/group", group="west").status_code == 400
    for person in (ada, bo):
        person.label(next(KEYS), person.next(), margin=1)
    assert {label.group for label in labels(store)} == {"north", ""}
    page = boss.http.get("/admin").text
    assert "north" not in page
