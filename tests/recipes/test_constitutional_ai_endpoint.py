"""The recipe with an endpoint as critic and judge: checked without asking anybody."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from charter.cli.main import app
from charter.errors import ConfigError, Interrupted, UserError
from charter.feedback.judging.spec import is_endpoint, parse_spec
from charter.interrupt import graceful
from charter.pipeline.preflight import preflight
from charter.pipeline.recipe import Recipe
from charter.pipeline.stage import Context
from charter.pipeline.stages import revise
from charter.rundir import RunDir, read_jsonl
from charter.testing import save_tiny
from charter.testing.endpoint import Act, FakeEndpoint, Request, say

RECIPES = Path(__file__).parents[2] / "recipes"
RECIPE = RECIPES / "constitutional-ai-endpoint.yaml"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is contacted and no model is loaded."""

    def never(*given: Any, **options: Any) -> Any:
        raise AssertionError(f"contacted or loaded: {given}")

    monkeypatch.setattr(socket.socket, "connect", never)
    monkeypatch.setattr(socket, "getaddrinfo", never)
    monkeypatch.setattr("charter.models.load.load", never)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def with_text(tmp_path: Path, old: str, new: str) -> Path:
    """The recipe with another text in it, beside links to the files it names."""
    text = RECIPE.read_text("utf-8")
    assert old in text
    (tmp_path / "quickstart").symlink_to(RECIPES / "quickstart")
    found = tmp_path / RECIPE.name
    found.write_text(text.replace(old, new), "utf-8")
    return found


def stage(recipe: Recipe, kind: str) -> Any:
    (found,) = [one for name, one in recipe.stages if name == kind]
    return found


def test_it_is_the_papers_first_half_with_an_endpoint_twice() -> None:
    recipe = Recipe.load(RECIPE)
    revises, evaluates = stage(recipe, "revise"), stage(recipe, "evaluate")
    assert recipe.head.model == "smollm2-135m" and revises.rounds == 4
    for spec in (revises.critic, evaluates.judge):
        assert is_endpoint(spec) and parse_spec(spec)[0].local, "no key is needed to check it as it is"


@pytest.mark.usefixtures("alone")
def test_it_passes_check_and_contacts_nothing() -> None:
    found = preflight(Recipe.load(RECIPE))
    assert found["prompts in both files"] == 0 and found["principles not measured"] > 0
    assert found["revise critic"].startswith("endpoint:") and found["evaluate judge"].startswith("endpoint:")


@pytest.mark.usefixtures("alone")
def test_the_command_says_ok() -> None:
    found = CliRunner().invoke(app, ["check", str(RECIPE)])
    assert found.exit_code == 0 and found.stdout.endswith("ok\n")


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        (
            "critic: endpoint:my-model@http://127.0.0.1:8000/v1",
            "critic: endpoint:my-model",
            ConfigError,
            "name a",
        ),
        (
            "critic: endpoint:my-model@http://127.0.0.1:8000/v1",
            "critic: nobody-here",
            UserError,
            "nobody-here",
        ),
        ("concurrency=8\n      rounds", "concurency=8\n      rounds", ConfigError, "concurrency"),
        (
            "critic: endpoint:my-model@http://127.0.0.1:8000",
            "critic: endpoint:m@https://a.test",
            UserError,
            "KEY",
        ),
        (
            "judge: endpoint:my-model@http://127.0.0.1:8000",
            "judge: endpoint:m@https://a.test",
            UserError,
            "KEY",
        ),
        ("constitution: small ", "constitution: quickstart/../smal ", UserError, "smal"),
    ],
)
def test_a_mistake_is_found_before_anything_is_asked(
    tmp_path: Path, old: str, new: str, error: type[UserError], words: str
) -> None:
    with pytest.raises(error) as found:
        preflight(Recipe.load(with_text(tmp_path, old, new)))
    assert words in str(found.value)


def test_a_stopped_critic_is_asked_nothing_twice(tmp_path: Path) -> None:
    answers = [
        {
            "prompt": [{"role": "user", "content": f"Question {i}?"}],
            "completion": [{"role": "assistant", "content": f"Answer {i}"}],
        }
        for i in range(6)
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers), "utf-8")

    save_tiny(str(tmp_path / "tiny"))

    def critic(request: Request) -> Act:
        if request.number == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return say(
            f"Words of {request.body['messages'][-1]['content'][:10]} number {len(request.text)} on it"
        )

    with FakeEndpoint(critic) as fake:
        text = RECIPE.read_text("utf-8").replace("http://127.0.0.1:8000/v1,concurrency=8", fake.url)
        text = text.replace("quickstart/train.jsonl", "train.jsonl").replace("smollm2-135m ", "tiny ")
        (tmp_path / "quickstart").symlink_to(RECIPES / "quickstart")
        (tmp_path / "r.yaml").write_text(text, "utf-8")
        recipe = Recipe.load(tmp_path / "r.yaml")
        run = RunDir(tmp_path / "run")
        context = Context(recipe, run, 1, run.stage(1, "revise"), {}, {})
        with pytest.raises(Interrupted), graceful():
            revise.run(context, stage(recipe, "revise"))
        before = len(fake.requests)
        assert 3 < before < 6 * 2 * 4
        with graceful():
            revise.run(context, stage(recipe, "revise"))
        asked = [json.dumps(one.body["messages"]) for one in fake.requests]
    assert len(asked) == len(set(asked)) > before
    assert len(read_jsonl(context.directory / "sft.jsonl")) == 6
