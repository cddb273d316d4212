"""A small campaign, and people who work on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")

from charter.annotation.create import Made, create
from charter.annotation.database import Store
from charter.annotation.gold import gold_tasks
from charter.annotation.make_items import make_tasks, principles_of, read_answers
from charter.annotation.options import CampaignOptions
from charter.annotation.raters import Person
from charter.annotation.serve import links
from charter.constitution import Constitution
from charter.records import write_groups
from charter.types import Completion, Context, Group, Judgement, PairTarget, Sample, SampleTarget


def groups(count: int = 12, k: int = 2) -> list[Group]:
    """Groups whose later answers are longer, with a judge that prefers the first."""
    found = []
    for number in range(count):
        context = Context(f"Question {number}: why is the sky blue?")
        samples = tuple(
            Sample(
                context,
                Completion(
                    f"Answer {i} to {number}. " + "It *scatters* light. " * (i + 1), sampled_by=f"model-{i}"
                ),
            )
            for i in range(k)
        )
        said = (
            Judgement(PairTarget(0, 1), 1.0, judge="judge-x"),
            Judgement(SampleTarget(0), 1.0, judge="judge-x"),
        )
        found.append(Group(samples, said[: 2 if k > 1 else 1][-1:] if k == 1 else said, id=f"g{number}"))
    return found


def campaign(
    folder: Path,
    *,
    modes: tuple[str, ...] = ("pair",),
    count: int = 12,
    k: int = 2,
    each: bool = False,
    **options: Any,
) -> Made:
    """A campaign in ``folder``, under the constitution `small`."""
    file = folder / "groups.jsonl"
    write_groups(file, groups(count, k))
    rules = Constitution.load("small")
    chosen = principles_of(
        rules, ["honesty.firm", "voices.steer"] if each else [], each=False, overall=not each
    )
    tasks, _ = make_tasks(read_answers([file]), modes, chosen)  # type: ignore[arg-type]
    gold = gold_tasks(
        [one for one in chosen if one] or rules.active,
        modes,
        scale=rules.judge.scale,
        overall=not each,  # type: ignore[arg-type]
    )
    if not each:
        gold = [task for task in gold if not task.principle]
    settings = CampaignOptions.model_validate({"gold_share": 0.0, "repeat_share": 0.0, **options})
    return create(folder / "c.db", rules, tasks, gold, settings)


class Browser:
    """One rater's browser: a client with a cookie, and the token of its page."""

    def __init__(self, store: Store, app: Any, name: str, role: str = "rater", group: str = "") -> None:
        from starlette.testclient import TestClient

        found = {
            who: link
            for who, _, link in links(store, [Person(name, group, role)] if name != "admin" else [], "")
        }
        self.link = found[name].partition("#")[2]
        self.http = TestClient(app, base_url="http://127.0.0.1")
        self.token = ""

    def enter(self) -> Browser:
        """Open the link."""
        answer = self.http.post("/api/enter", json={"token": self.link}, headers={"x-charter-token": "enter"})
        assert answer.status_code == 200, answer.text
        page = self.http.get("/label").text
        self.token = page.split('name="charter-token" content="')[1].split('"')[0]
        return self

    def post(self, path: str, **sent: Any) -> Any:
        """Call as the page does."""
        return self.http.post(path, json=sent, headers={"x-charter-token": self.token})

    def next(self) -> dict[str, Any]:
        """What is shown now."""
        answer = self.post("/api/next")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def label(self, key: str, shown: dict[str, Any], **said: Any) -> Any:
        """Say something of what is shown."""
        return self.post(
            "/api/submit",
            key=key,
            presentation=shown["item"]["presentation"],
            **{"outcome": "judged", **said},
        )
