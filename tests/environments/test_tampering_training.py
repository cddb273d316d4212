"""The tampering environments under the online trainer, with a tiny model."""

import json
import math

import pytest

import charter
from charter.data.render import Template
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.environments.rollout import ROLLOUTS
from charter.environments.tampering.arms import ARMS, run_arm
from charter.environments.tampering.measure import measure_tampering
from charter.errors import ConfigError
from charter.rundir import read_jsonl
from charter.testing import save_tiny

SMALL = {
    "num_generations": 2,
    "max_steps": 1,
    "per_device_train_batch_size": 2,
    "max_completion_length": 8,
    "learning_rate": 1e-3,
    "bf16": False,
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_tiny(str(tmp_path_factory.mktemp("tiny")), max_position_embeddings=2048)


def test_two_steps_on_a_tiny_model(tiny, tmp_path):
    spec = "tampering-rubric?hhh=0.5&reasoning=hidden&max_turns=2"
    run = charter.train(
        "grpo", tiny, environment=spec, output_dir=tmp_path / "run", **{**SMALL, "max_steps": 2}
    )
    metrics = [row for row in read_jsonl(run.path / "metrics.jsonl") if "loss" in row]
    assert len(metrics) == 2 and all(math.isfinite(row["loss"]) for row in metrics)
    assert all(row["environment/mean_turns"] >= 1 for row in metrics)
    assert all(row["environment/error"] == 0 for row in metrics)
    manifest = json.loads((run.path / "manifest.json").read_text())
    assert manifest["finished"]
    with pytest.raises(ConfigError, match="did you mean 'tampering-rubric'"):
        charter.train("grpo", tiny, environment="tampering-rubrik", output_dir=tmp_path / "no", **SMALL)


def test_an_arm_trains_and_measures(tiny, tmp_path):
    def train(policy, spec):
        folder = tmp_path / spec.partition("?")[0]
        return charter.train("grpo", policy, environment=spec, output_dir=folder, **SMALL).policy

    def measure(policy, reasoning):
        engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)
        return measure_tampering(
            engine,
            Template(policy.tokenizer),
            tasks=2,
            reasoning=reasoning,
            sampling=Sampling(max_completion_length=6),
        )

    steps = run_arm(ARMS["retrain"], charter.load(tiny, bf16=False), train, measure)
    assert [step.trained_on for step in steps] == ["", *ARMS["retrain"].plan]
    for step in steps:
        assert [stage.tasks for stage in step.report.stages] == [2] * 4
        assert all(len(group.meta[ROLLOUTS]) == 1 for group in step.report.groups)
