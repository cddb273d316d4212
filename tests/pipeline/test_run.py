"""The whole loop on the tiny model: run, skip, continue, start over where inputs changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from charter.errors import UserError
from charter.pipeline.recipe import Recipe
from charter.pipeline.runner import run_recipe
from charter.records import read_groups
from charter.reporting import read_report
from charter.rundir import RunDir, read_jsonl


def run(recipe: Path, name: str = "run") -> dict:
    return run_recipe(Recipe.load(recipe), recipe.parent / name)


def test_constitution_in_model_and_evidence_out(recipe: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    result = run(recipe)
    root = recipe.parent / "run"
    groups = read_groups(root / "samples.jsonl")
    assert len(groups) == 12 and all(len(g.samples) == 4 for g in groups)
    judged = read_groups(root / "judgements.jsonl")
    assert {j.principle for g in judged for j in g.judgements} == {"style.words", "style.zeta", "style.kind"}
    assert all(j.principle_sha for g in judged for j in g.judgements)
    rows = read_jsonl(root / "metrics.jsonl")
    assert [r["step"] for r in rows] == [1, 2, 3, 4] and "kl" in rows[1]
    report = read_report(root)
    assert {row.id for row in report.adherence.principles} == {"style.words", "style.zeta", "style.kind"}
    page = (root / "report.html").read_text("utf-8")
    assert "not measured" in page and "style.kind" in page
    manifest = RunDir(root).manifest()
    assert manifest["finished"] is True and manifest["versions"]["torch"]
    base = AutoModelForCausalLM.from_pretrained(str(recipe.parent / "model"))
    PeftModel.from_pretrained(base, str(root / "model"))
    AutoTokenizer.from_pretrained(str(root / "model"))
    assert set(result["stages"]) == {"sample", "judge", "compare", "train", "evaluate", "report"}


def test_a_second_run_skips_and_a_changed_constitution_keeps_the_samples(recipe: Path) -> None:
    run(recipe)
    root = recipe.parent / "run"
    before = (root / "samples.jsonl").read_bytes()
    again = run(recipe)["stages"]
    assert all(again[k].get("skipped") for k in ("sample", "judge", "compare", "train", "evaluate"))
    house = recipe.parent / "house.constitution.md"
    house.write_text(house.read_text("utf-8").replace("min_chars: 8", "min_chars: 9"), "utf-8")
    changed = run(recipe)["stages"]
    assert changed["sample"].get("skipped")
    assert not any(changed[k].get("skipped") for k in ("judge", "compare", "train", "evaluate"))
    assert (root / "samples.jsonl").read_bytes() == before


def test_same_recipe_gives_the_same_model(recipe: Path) -> None:
    run(recipe, "one")
    run(recipe, "two")
    one, two = (recipe.parent / n / "model" / "adapter_model.safetensors" for n in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_guided_samples_are_trained_without_the_guide(recipe: Path) -> None:
    text = recipe.read_text("utf-8").replace("num_generations: 4,", "num_generations: 4, guided: 1,")
    recipe.write_text(text, "utf-8")
    run(recipe)
    for group in read_groups(recipe.parent / "run" / "samples.jsonl"):
        assert len({s.context.token_ids for s in group.samples}) == 1
        assert [s.completion.sampled_by for s in group.samples].count("guided") == 1


def test_a_directory_in_use_is_refused(recipe: Path) -> None:
    with RunDir(recipe.parent / "run").lock(), pytest.raises(UserError, match="in use by process"):
        run(recipe)


def test_ctrl_c_saves_and_the_same_command_goes_on(recipe: Path) -> None:
    text = (
        recipe.read_text("utf-8")
        .replace("max_steps: 4", "max_steps: 400")
        .replace("kl_steps: 2", "kl_steps: 500")
    )
    recipe.write_text(text, "utf-8")
    command = [
        sys.executable,
        "-m",
        "charter.cli.main",
        "run",
        str(recipe),
        "--output-dir",
        str(recipe.parent / "run"),
    ]
    metrics = recipe.parent / "run" / "stages" / "4-train" / "metrics.jsonl"
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    deadline = time.monotonic() + 120
    while not (metrics.exists() and len(read_jsonl(metrics)) > 3):
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again" in said
    stopped = len(read_jsonl(metrics))
    assert 3 < stopped < 400
    finished = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert f"resuming after step {stopped}" in finished.stderr
    assert [r["step"] for r in read_jsonl(metrics)] == list(range(1, 401))
    unbroken = json.loads((recipe.parent / "run" / "report.json").read_text("utf-8"))
    assert unbroken["training"]["steps"] == 400
