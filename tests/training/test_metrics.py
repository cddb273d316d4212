from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from training_setup import make_loop, metrics_of

from charter.errors import ConfigError
from charter.training import metrics
from charter.training.metrics import MetricsLog, check_trackers, open_trackers


class FakeTracker:
    """As accelerate's trackers look; fails where told."""

    requires_logging_directory = True
    made: ClassVar[list[FakeTracker]] = []
    fails: ClassVar[set[str]] = set()

    def __init__(self, run_name: str, logging_dir: str | None = None) -> None:
        self.name, self.logging_dir = "fake", logging_dir
        self.rows: list[tuple[int | None, dict[str, Any]]] = []
        self.finished = False
        self.config: dict[str, Any] = {}
        self._at("init")
        self.made.append(self)

    def _at(self, place: str) -> None:
        if place in self.fails:
            raise ConnectionError(f"server is down at {place}")

    def start(self) -> None:
        self._at("start")

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self._at("config")
        self.config = values

    def log(self, values: dict[str, Any], step: int | None = None) -> None:
        self._at("log")
        if f"log {step}" in self.fails:
            raise ConnectionError("server went away")
        self.rows.append((step, values))

    def finish(self) -> None:
        self._at("finish")
        self.finished = True


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeTracker]:
    from accelerate import tracking

    monkeypatch.setattr(tracking, "LOGGER_TYPE_TO_CLASS", {"fake": FakeTracker})
    monkeypatch.setattr(tracking, "get_available_trackers", lambda: ["fake"])
    monkeypatch.setattr(FakeTracker, "made", [])
    monkeypatch.setattr(FakeTracker, "fails", set())
    return FakeTracker


def test_rows_have_six_digits_and_no_infinities(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "m.jsonl", 0)
    log.write(1, {"loss": 0.123456789, "kl": math.nan, "ppl": math.inf, "tokens": 12.0})
    (line,) = (tmp_path / "m.jsonl").read_text().splitlines()
    assert json.loads(line) == {"step": 1, "loss": 0.123457, "kl": None, "ppl": None, "tokens": 12.0}


def test_rows_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "m.jsonl", 0)
    for step in (1, 2, 3, 4):
        log.write(step, {"loss": step / 10})
    MetricsLog(tmp_path / "m.jsonl", 2).write(3, {"loss": 9})
    rows = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert [(row["step"], row["loss"]) for row in rows] == [(1, 0.1), (2, 0.2), (3, 9.0)]


def test_logging_steps_thin_the_rows_but_not_the_last_nor_what_hooks_found(tiny: str, tmp_path: Path) -> None:
    from test_resume import At

    from charter.training.hooks import HookResult

    hook = At(3, lambda: HookResult({"kl": 0.5}))
    make_loop(tiny, tmp_path, "sft", logging_steps=4, max_steps=6, hooks=[hook]).run()
    rows = metrics_of(tmp_path)
    assert [row["step"] for row in rows] == [3, 4, 6]
    assert rows[0]["kl"] == 0.5


def test_a_row_holds_what_a_person_looks_for(tiny: str, tmp_path: Path) -> None:
    make_loop(tiny, tmp_path, "dpo", max_steps=3).run()
    row = metrics_of(tmp_path)[-1]
    assert {"step", "loss", "grad_norm", "learning_rate", "epoch", "tokens", "tokens_computed"} <= row.keys()
    assert {"rewards/margins", "rewards/accuracies", "logps/chosen", "length/rejected"} <= row.keys()
    assert row["epoch"] == 1.0
    assert row["rewards/margins"] == pytest.approx(row["rewards/chosen"] - row["rewards/rejected"], abs=1e-4)


def test_a_tracker_gets_every_row_and_the_options(tiny: str, tmp_path: Path, fake: type[FakeTracker]) -> None:
    make_loop(tiny, tmp_path, "sft", max_steps=3, report_to=("fake",)).run()
    (tracker,) = fake.made
    assert [step for step, _ in tracker.rows] == [1, 2, 3]
    assert tracker.rows[0][1]["loss"] == pytest.approx(metrics_of(tmp_path)[0]["loss"], rel=1e-5)
    assert tracker.config["learning_rate"] == 1e-3
    assert all(isinstance(value, (int, float, str, bool)) for value in tracker.config.values())
    assert tracker.logging_dir == str(tmp_path)
    assert tracker.finished


@pytest.mark.parametrize("place", ["init", "start", "config", "log", "log 2", "finish"])
def test_a_tracker_s_trouble_never_stops_training(
    place: str, tiny: str, tmp_path: Path, fake: type[FakeTracker], capsys: pytest.CaptureFixture[str]
) -> None:
    fake.fails.add(place)
    result = make_loop(tiny, tmp_path, "sft", max_steps=3, report_to=("fake",)).run()
    assert result.steps == 3
    assert [row["step"] for row in metrics_of(tmp_path)] == [1, 2, 3]
    said = capsys.readouterr().err
    assert said.count("tracker fake") == 1
    assert "server" in said
    if place == "log 2":
        assert [step for step, _ in fake.made[0].rows] == [1]


def test_an_unknown_tracker_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="no tracker 'tensorbord'; did you mean 'tensorboard'"):
        check_trackers(["tensorbord"])


def test_a_tracker_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from accelerate import tracking

    monkeypatch.setattr(tracking, "get_available_trackers", lambda: [SimpleNamespace(value="mlflow")])
    with pytest.raises(ConfigError, match="wandb is not installed") as refused:
        open_trackers(["wandb"], tmp_path, {})
    assert refused.value.fix == "pip install wandb"
    check_trackers(["mlflow"])


def test_a_loop_refuses_a_tracker_before_it_computes(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="report_to"):
        make_loop(tiny, tmp_path, report_to=("nothing",))
    assert list(tmp_path.iterdir()) == []
    assert metrics.open_trackers([], tmp_path, {}) == []
