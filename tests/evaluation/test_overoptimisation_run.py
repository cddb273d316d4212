"""A run's own metrics give its over-optimisation curve, and nothing is drawn where nothing was measured."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from charter.cli.main import app
from charter.errors import UserError
from charter.evaluation.overoptimisation.run import HELDOUT, curves_of_run, watched_metrics
from charter.reporting import parse_report, render_html
from charter.stats.best_of_n import gold_after_training

DEMO = Path(__file__).parents[2] / "docs" / "demo" / "report.json"
TRUTH = math.exp(0.35 / 0.17 - 1)


def metrics(folder: Path, count: int = 30, **more: Any) -> Path:
    """A run that goes to sqrt(KL) 6; what it watches follows the law with its peak at 2.88."""
    rng = random.Random(0)
    rows = []
    for step in range(1, count + 1):
        d = 6 * step / count
        gold = 0.4 + gold_after_training(d, 0.35, 0.17) + rng.gauss(0, 0.01)
        row = {"step": step, "reward": d, "kl": d * d, "rewards/other/mean": gold, "rewards/mine/mean": d}
        rows.append({**row, **(more if step == 1 else {})})
    folder.mkdir(exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_rewards_of_weight_nought_are_held_out(tmp_path: Path) -> None:
    assert watched_metrics(["other"]) == ["rewards/other/mean"]
    assert watched_metrics(None) == []
    (found,) = curves_of_run(metrics(tmp_path), ["rewards/other/mean", HELDOUT], resamples=100)
    assert found.name == "other" and len(found.points) == 30
    assert found.found is not None and found.found.peak == pytest.approx(TRUTH, abs=0.2)
    assert found.words().startswith("the held-out reward peaks at sqrt(KL) 2.")
    plain = found.to_json()
    assert plain["peak"]["lo"] <= TRUTH <= plain["peak"]["hi"] and plain["peaked"] == 1.0
    first = plain["points"][0]
    assert (first["at"], first["proxy"]) == (1.0, 0.2)
    assert (first["kl"], first["d"]) == (pytest.approx(0.04), pytest.approx(0.2))


def test_too_few_measurements_are_drawn_and_not_fitted(tmp_path: Path) -> None:
    (found,) = curves_of_run(metrics(tmp_path, count=4), ["rewards/other/mean"])
    assert found.found is None and len(found.points) == 4
    assert found.words() == "not fitted: 4 measurements, and a fit takes 6"
    assert found.to_json()["curve"] == [] and found.to_json()["peak"] is None
    (without,) = curves_of_run(tmp_path, ["rewards/other/mean"], kl="distance")
    assert without.words().startswith("no curve: no step has all of") and without.points == ()


def test_the_command_finds_the_rewards_of_the_run(tmp_path: Path) -> None:
    run = metrics(tmp_path / "run")
    (run / "manifest.json").write_text(json.dumps({"result": {"watched_rewards": ["other"]}}))
    told = CliRunner().invoke(app, ["overopt", str(run), "--output-dir", str(tmp_path / "out")])
    assert told.exit_code == 0, told.output
    assert told.stdout.startswith("other: the held-out reward peaks at sqrt(KL) 2.")
    (drawn,) = (tmp_path / "out").glob("*.svg")
    assert drawn.name == "rewards-other-mean.svg" and "held-out peak" in drawn.read_text("utf-8")
    named = ["overopt", str(run), "--gold", "rewards/mine/mean", "--json"]
    (found,) = json.loads(CliRunner().invoke(app, named).stdout)
    assert found["gold"] == "rewards/mine/mean" and found["peak"] is None
    nothing = CliRunner().invoke(app, ["overopt", str(run), "--gold", "heldout_reward"])
    assert isinstance(nothing.exception, UserError) and "no held-out reward" in str(nothing.exception)


def test_the_report_shows_it_under_the_training(tmp_path: Path) -> None:
    report = json.loads(DEMO.read_text("utf-8"))
    before = render_html(parse_report(report))
    assert "Does the reward that counts follow" not in before
    curves = curves_of_run(metrics(tmp_path), ["rewards/other/mean"], resamples=100)
    report["training"]["overoptimisation"] = [one.to_json() for one in curves]
    page = render_html(parse_report(report))
    assert "Does the reward that counts follow the reward that is trained on?" in page
    assert page.count('class="overopt"') == before.count('class="overopt"') + 1
    assert "held-out peak, √KL" in page and "peaks at sqrt(KL)" in page
    (few,) = curves_of_run(metrics(tmp_path, count=3), ["rewards/other/mean"])
    report["training"]["overoptimisation"] = [few.to_json()]
    assert "not fitted: 3 measurements" in render_html(parse_report(report))
    report["training"]["overoptimisation"][0]["curve"] = [[1.0, 2.0]]
    with pytest.raises(UserError, match="must be four numbers"):
        parse_report(report)


def test_a_run_tells_what_it_only_watched() -> None:
    """Of weight 0, and not what a gate makes its reward of."""
    from charter.feedback.rewards import open_rewards
    from charter.pipeline.training import _watched
    from charter.training.online import OnlineRun

    specs = ["eos:name=h", "length:target=5,name=s", "repetition", "gate:helpful=h,safety=s"]
    rewards = open_rewards(specs, [0.0, 0.0, 0.0, 1.0])
    run = OnlineRun(None, None, (), rewards)  # type: ignore[arg-type]
    assert _watched(run) == ["repetition"]
    assert watched_metrics(_watched(run)) == ["rewards/repetition/mean"]
