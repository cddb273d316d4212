"""The ten public names, and that importing them costs nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import charter
from charter.errors import ConfigError, UserError
from charter.evaluation.winrate import win_rates
from charter.testing import save_tiny
from charter.types import Completion, Context, Group, Judgement, Sample, SampleTarget

ROOT = Path(__file__).parents[1]
ROWS = [{"prompt": f"Say {i}.", "chosen": " yes indeed", "rejected": " no"} for i in range(4)]


def test_ten_names_and_no_torch() -> None:
    code = "import sys, charter; assert 'torch' not in sys.modules; print(*charter.__all__)"
    names = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert sorted(names) == sorted(
        [
            "load",
            "sample",
            "judge",
            "train",
            "run",
            "evaluate",
            "compare",
            "report",
            "Constitution",
            "objective",
        ]
    )
    for name in names:
        assert callable(getattr(charter, name))


def test_load_sample_judge_train_evaluate(tmp_path: Path) -> None:
    model = save_tiny(str(tmp_path / "m"))
    policy = charter.load(model)
    groups = charter.sample(policy, ["Hello?"], num_generations=3, temperature=1.0, max_completion_length=6)
    assert len(groups[0].samples) == 3
    house = ROOT / "examples" / "house.constitution.md"
    judged = charter.judge(groups, house)
    assert len(judged[0].judgements) == 3 * len(charter.Constitution.load(house).active)
    by_model = charter.judge(groups, house, model, form="rubric", rules_first=False)
    assert {j.judge.partition(":")[0] for j in by_model[0].judgements} != {"rule"}
    assert all(j.value is None or j.verdict == "judged" for j in by_model[0].judgements)
    with pytest.raises(ConfigError, match="form has no effect on rules"):
        charter.judge(groups, house, form="rubric")
    run = charter.train(
        "dpo", policy, ROWS, output_dir=tmp_path / "run", max_steps=2, use_peft=True, learning_rate=1e-2
    )
    assert run.result["steps"] == 2 and (run.path / "model").is_dir()
    found = charter.evaluate(run, house, max_completion_length=6)
    assert found.before is not None and {row["measure"] for row in found.health} >= {"words", "kl", "nll"}
    again = charter.evaluate(str(run.path), house, max_completion_length=6)
    assert again.card.overall.after == found.card.overall.after


def test_full_fine_tuning_and_sft(tmp_path: Path) -> None:
    model = save_tiny(str(tmp_path / "m"))
    rows = [{"prompt": "Say hi.", "completion": " hi"}] * 4
    run = charter.train("sft", model, rows, output_dir=tmp_path / "run", max_steps=3, learning_rate=1e-2)
    assert run.result["last"]["loss"] > 0
    reloaded = charter.load(str(run.path))
    assert not reloaded.has_adapter


def test_option_mistakes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'beta'"):
        charter.train("dpo", "nowhere", ROWS, betta=0.1)
    with pytest.raises(UserError):
        charter.train("dpo", "nowhere", ROWS, output_dir=tmp_path / "r")


def answer(prompt: str, value: float) -> Group:
    sample = Sample(Context(prompt), Completion("x"))
    return Group((sample,), (Judgement(SampleTarget(0), value, principle="p"),), id=prompt)


def test_win_rates_by_hand() -> None:
    prompts = [f"q{i}" for i in range(10)]
    good = [answer(q, 1.0) for q in prompts]
    mixed = [answer(q, float(i % 2)) for i, q in enumerate(prompts)]
    bad = [answer(q, 0.0) for q in prompts]
    found = win_rates({"good": good, "mixed": mixed, "bad": bad})
    first = found.duels[0]
    assert (first.wins, first.losses, first.ties) == (5, 0, 5)
    assert first.rate == 1.0 and first.p == pytest.approx(0.0625)
    assert found.ratings["good"] > found.ratings["mixed"] > found.ratings["bad"]
    assert first.missing == 0
    with pytest.raises(UserError, match="same prompts"):
        win_rates({"a": good, "b": good[:3]})


def test_an_answer_without_a_verdict_neither_wins_nor_loses() -> None:
    good = [answer(q, 1.0) for q in "abc"]
    silent = [answer("a", 0.0), *(replace(answer(q, 0.0), judgements=()) for q in "bc")]
    (duel,) = win_rates({"good": good, "silent": silent}).duels
    assert (duel.wins, duel.losses, duel.ties, duel.missing) == (1, 0, 0, 2)


def test_models_of_one_name_are_told_apart(tmp_path: Path) -> None:
    model = save_tiny(str(tmp_path / "m"))
    base, other = charter.load(model), charter.load(model)
    house = ROOT / "examples" / "house.constitution.md"
    found = charter.compare(
        base, other, model, constitution=house, prompts=["Say hi."], max_completion_length=4
    )
    names = {name for duel in found.duels for name in (duel.first, duel.second)}
    assert len(found.duels) == 3 and names == {base.name, f"{base.name}#2", f"{base.name}#3"}


@pytest.mark.slow
def test_the_readme_runs_as_written(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    block = re.search(r"## In Python\n\n```python\n(.*?)```", text, re.S)
    assert block is not None
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    found = subprocess.run(
        [sys.executable, "-c", block.group(1)], capture_output=True, text=True, cwd=tmp_path, timeout=280
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip()
