"""The library computes what a plain padded loop over transformers computes."""

from __future__ import annotations

import importlib.util
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from training_setup import ROWS, make_loop, metrics_of, pairs
from transformers import AutoModelForCausalLM, AutoTokenizer

from charter.training.batch import split

EXAMPLES = Path(__file__).parents[2] / "examples"


def twin(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("algorithm", ["sft", "dpo"])
def test_five_steps_equal_the_single_file_twin(algorithm: str, tiny: str, tmp_path: Path) -> None:
    loop = make_loop(tiny, tmp_path, algorithm, max_steps=5)
    loop.run()
    model = AutoModelForCausalLM.from_pretrained(tiny)
    losses = twin(f"{algorithm}_twin").train(
        model,
        AutoTokenizer.from_pretrained(tiny),
        ROWS[algorithm](),
        steps=5,
        batch_size=4,
        learning_rate=1e-3,
    )
    # metrics.jsonl has six digits
    assert [row["loss"] for row in metrics_of(tmp_path)] == pytest.approx(losses, rel=2e-5, abs=2e-6)
    trained = loop.policy.trainable()
    for name, expected in model.named_parameters():
        torch.testing.assert_close(trained[name].detach(), expected.detach(), rtol=0, atol=2e-5, msg=name)


def test_first_step_of_the_twin_has_the_same_gradient_as_the_library(tiny: str, tmp_path: Path) -> None:
    """Adam hides the scale of a gradient; here it is compared itself."""
    loop = make_loop(tiny, tmp_path, "dpo")
    loop.score_reference()
    loop.stepper._accumulate(split(loop.source.step(0), 8192))
    module, model = twin("dpo_twin"), AutoModelForCausalLM.from_pretrained(tiny).eval()
    model.get_input_embeddings().padding_idx = None
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    rows = module.batch_of(pairs(), 0, 4, 42)
    sides = [(row["prompt"], row[side]) for side in ("chosen", "rejected") for row in rows]
    better, worse = module.answer_logps(model, [module.encode(tokenizer, *side) for side in sides]).chunk(2)
    margin = (better - better.detach()) - (worse - worse.detach())
    (-torch.nn.functional.logsigmoid(0.1 * margin).mean()).backward()
    for name, parameter in model.named_parameters():
        ours, theirs = loop.policy.trainable()[name].grad, parameter.grad
        assert ours is not None and theirs is not None
        assert (ours - theirs).abs().max() < 2e-6 * theirs.abs().max(), name


@pytest.mark.parametrize("algorithm", ["sft", "dpo"])
def test_the_twin_runs_as_a_script(
    algorithm: str,
    tiny: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[algorithm](3)))
    monkeypatch.setattr(sys, "argv", ["twin", tiny, str(path)])
    runpy.run_path(str(EXAMPLES / f"{algorithm}_twin.py"), run_name="__main__")
    assert capsys.readouterr().out.count("loss") == 20
