"""Best of n by a process reward model, on the tiny model."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from charter.testing import save_tiny
from charter.types import Completion, Context, Group, Judgement, Sample, SampleTarget, SegmentTarget

EXAMPLE = Path(__file__).parents[2] / "examples" / "process_best_of_n.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    pytest.importorskip("reasoning_gym")
    spec = importlib.util.spec_from_file_location("process_example", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_it_runs_and_the_oracle_is_never_worse(example: ModuleType, tmp_path: Path) -> None:
    tiny = save_tiny(str(tmp_path / "tiny"), max_position_embeddings=1024)
    settings = example.Settings(
        tiny, tmp_path / "run", problems=3, solutions=2, continuations=2, heldout=3, n=4,
        max_completion_length=12, max_steps=2, bf16=False,
    )  # fmt: skip
    found = example.run(settings)
    assert list(found) == ["single", "majority", "process reward", "oracle"]
    assert all(0 <= value <= found["oracle"] for value in found.values())
    assert json.loads((tmp_path / "run" / "process.json").read_text("utf-8")) == found
    rows = [json.loads(line) for line in (tmp_path / "run" / "steps.jsonl").read_text("utf-8").splitlines()]
    assert rows and all(len(row["completions"]) == len(row["labels"]) for row in rows)


def test_the_worst_step_decides_and_steps_are_not_answers(example: ModuleType) -> None:
    group = Group(
        tuple(Sample(Context("1 + 1"), Completion(text)) for text in ("3", "2")), meta={"answer": "2"}
    )
    said = [
        Judgement(SampleTarget(0), 0.2),
        Judgement(SegmentTarget(0, 0, 1), 0.9),
        Judgement(SampleTarget(1), 0.4),
        Judgement(SegmentTarget(1, 0, 1), 0.4),
    ]
    assert example.chosen(group, said) == 1 and example.chosen(group, []) == 0
    assert example.is_right("1 + 1 = 2\n2", group) and not example.is_right("2\n3", group)
    assert not example.is_right("none", group)


def test_problems_are_asked_for_in_steps_and_held_out_ones_differ(example: ModuleType) -> None:
    train, heldout = example.problems(20, 1), example.problems(20, example.HELD_OUT)
    assert all(group.samples[0].context.text.endswith(example.ASKED) for group in train)
    assert all(str(group.meta["answer"]).lstrip("-").isdigit() for group in train)
    texts = [{group.samples[0].context.text for group in groups} for groups in (train, heldout)]
    assert len(texts[0] & texts[1]) <= 2
