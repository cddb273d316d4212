"""Many raters at once over real HTTP, a process that is killed, and one that is stopped."""

from __future__ import annotations

import random
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from campaigns import campaign
from serving import Person, Server

from charter.annotation.database import Store
from charter.annotation.rows import snapshot

PEOPLE = 50
ITEMS = 40
OVERLAP = 5


@pytest.fixture
def served(tmp_path):
    running = []

    def start(names, port=0):
        running.append(Server(tmp_path / "c.db", names, port))
        return running[-1]

    yield start
    for server in running:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


def snapshot_of(path):
    store = Store(path)
    with store.read() as session:
        now = snapshot(session)
    store.close()
    return now


def from_two_tabs(person: Person, sent: dict[str, Any]) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(2) as tabs:
        return list(tabs.map(lambda _: person.post("/api/submit", **sent), "ab"))


def work(person: Person, said: list[tuple[str, int]], number: int) -> None:
    """Label until nothing is left; a third of all answers are sent twice, some from two tabs at once."""
    rng = random.Random(number)
    while (shown := person.post("/api/next"))["state"] == "item":
        sent = {"key": f"p{number:03d}-{len(said):05d}", "presentation": shown["item"]["presentation"]}
        sent |= {"outcome": "judged", "margin": rng.choice((-2, -1, 1, 2))}
        if rng.random() < 0.15:
            answers = from_two_tabs(person, sent)
        else:
            answers = [person.post("/api/submit", **sent) for _ in range(1 + (rng.random() < 0.2))]
        assert len({answer["saved"] for answer in answers}) == 1
        assert sum(not answer["repeated"] for answer in answers) == 1
        said.append((sent["key"], answers[0]["saved"]))


def test_fifty_raters_at_once_lose_no_label_and_double_none(tmp_path, served):
    campaign(tmp_path, count=ITEMS, overlap=OVERLAP).store.close()
    server = served([f"rater {number},," for number in range(PEOPLE)])
    people = [Person(server.links[f"rater {number}"]) for number in range(PEOPLE)]
    said: list[list[tuple[str, int]]] = [[] for _ in people]
    faults: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(people[number], said[number], number)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(PEOPLE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    code, error = server.stop(signal.SIGINT)
    assert code == 130 and "every label that was answered is saved" in error

    now = snapshot_of(tmp_path / "c.db")
    told = {saved for own in said for _, saved in own}
    assert sum(len(own) for own in said) == len(told)  # no two labels share a number
    assert {int(label.id.split("-")[1]) for label in now.labels} == told
    # Leases make the overlap exact however many ask at the same moment.
    assert Counter(Counter(label.item for label in now.labels).values()) == {OVERLAP: ITEMS}
    assert len({(label.rater, label.item) for label in now.labels}) == len(now.labels)


def test_what_was_answered_survives_a_kill_and_sessions_go_on(tmp_path, served):
    campaign(tmp_path, count=6).store.close()
    server = served(["ada,,"])
    ada = Person(server.links["ada"])
    shown = ada.post("/api/next")
    sent = {
        "key": "before-kill-1",
        "presentation": shown["item"]["presentation"],
        "outcome": "judged",
        "margin": 2,
    }
    saved = ada.post("/api/submit", **sent)["saved"]
    open_one = ada.post("/api/next")
    server.process.kill()
    server.process.communicate()

    again = served([], port=server.port)
    # Her browser is still signed in, sees the same item on the same sides, and a retry is one label.
    assert ada.post("/api/submit", **sent) == {"saved": saved, "repeated": True}
    assert ada.post("/api/next")["item"] == open_one["item"]
    sent |= {"key": "after-kill-01", "presentation": open_one["item"]["presentation"]}
    assert ada.post("/api/submit", **sent)["repeated"] is False
    assert len(snapshot_of(tmp_path / "c.db").labels) == 2  # read while it runs
    code, error = again.stop(signal.SIGTERM)
    assert code == 143 and "Traceback" not in error


def test_a_second_server_and_a_taken_port_are_refused(tmp_path, served):
    campaign(tmp_path).store.close()
    server = served(["ada,,"])
    with pytest.raises(AssertionError, match="another `charter annotate serve`"):
        served([])
    code, _ = server.stop(signal.SIGINT)
    assert code == 130
