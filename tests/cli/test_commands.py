"""The command line as a person meets it: answers, mistakes and exit codes, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from charter.testing import save_tiny


def charter(*arguments: str, cwd: Path | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "charter.cli.main", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        input=stdin,
        timeout=120,
    )


def without_torch(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command's exit code, or 9 where torch was imported: that takes seconds, whatever is told then."""
    code = (
        "import sys\n"
        "from charter.cli.main import main\n"
        f"sys.argv = ['charter', *{list(arguments)!r}]\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    sys.exit(9 if 'torch' in sys.modules else end.code)\n"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd, timeout=120)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(str(tmp_path_factory.mktemp("model")))


PAIR = {"prompt": "Say hi.", "chosen": " hello there", "rejected": " no"}


def data(path: Path, rows: list[dict] | None = None) -> str:
    file = path / "pairs.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in rows or [PAIR] * 4), "utf-8")
    return str(file)


def test_train_with_flags_and_an_own_loss(tmp_path: Path, tiny: str) -> None:
    (tmp_path / "mine.py").write_text(
        "import charter\n"
        "@charter.objective(data='preference', needs=['reference'])\n"
        "def hinge(scored, beta: float = 0.1):\n"
        "    h = scored.better(scored.logratios_B) - scored.worse(scored.logratios_B)\n"
        "    return (1 - beta * h).clamp_min(0)\n",
        "utf-8",
    )
    out = str(tmp_path / "run")
    found = charter(
        "train", "dpo", "--model", tiny, "--data", data(tmp_path), "--output-dir", out, "--max_steps", "2",
        "--use-peft", "--learning-rate", "0.01", "--no-bf16",
        "--objective", f"{tmp_path / 'mine.py'}:hinge", "--objective-option", "beta=0.5",
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert rows[0]["loss/hinge"] == pytest.approx(1.0)
    assert rows[1]["loss/hinge"] < 1.0
    assert (tmp_path / "run" / "model" / "adapter_model.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "dpo", "--data", "{missing}"], "no such file"),
        (["train", "dpo", "--data", "{data}", "--betta", "1"], "did you mean 'beta'"),
        (["train", "dop", "--data", "{data}"], "did you mean 'dpo'"),
        (["train", "dpo", "--data", "{malformed}"], "malformed.jsonl:2"),
        (["train", "dpo", "--data", "{columns}"], "no column 'chosen'"),
        (["train", "dpo", "--data", "{empty}"], "empty"),
        (["train", "dpo", "--data", "{data}", "--lora-r", "4"], "no effect"),
        (["train", "dpo", "--data", "{data}", "--gradient_checkpointing"], "tokens_per_microbatch"),
        (["run", "{missing}"], "no such file"),
        (["check", "{missing}"], "no such file"),
        (["report", "{missing}"], "no such run directory"),
        (["evaluate", "smollm2-135m", "--constitution", "{missing}"], "no such file"),
        (["evaluate", "smollm", "--constitution", "small"], "did you mean 'smollm2-135m'"),
        (["train", "dpo", "--data", "{data}", "--model", "no-such-model"], "no-such-model"),
        (["pass-at-k", "no-such-model", "--data", "{data}"], "no-such-model"),
        (["probe", "no-such-model"], "no-such-model"),
        (["advise", "{data}", "--model", "no-such-model"], "no-such-model"),
        (["shift", "smollm2-135m", "no-such-model", "{data}"], "no-such-model"),
        (["tax", "smollm2-135m", "--against", "no-such-model"], "no-such-model"),
        (["revise", "no-such-model", "--constitution", "small", "--prompts", "{data}"], "no-such-model"),
        (["step-labels", "{data}", "--model", "no-such-model", "--out", "rows.jsonl"], "no-such-model"),
        (["pluralism", "no-such-model", "--survey", "{data}"], "no-such-model"),
        (
            ["gpo", "train", "--survey", "{data}", "--output", "g", "--model", "no-such-model"],
            "no-such-model",
        ),
        (["judge", "{missing}", "--constitution", "{missing}"], "no such file"),
        (["sample", "smollm2-135m"], "--prompt"),
        (["sample", "smollm2-135m", "--prompts", "{missing}"], "no such file"),
        (["algorithms", "dop"], "did you mean 'dpo'"),
        (
            ["compare", "smollm2-135m", "--constitution", "{missing}", "--prompts", "{missing}"],
            "at least two",
        ),
        (["chat", "no-such-model"], "no-such-model"),
    ],
)
def test_mistakes_end_with_2_and_a_sentence_before_torch_is_imported(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "malformed.jsonl").write_text(json.dumps(PAIR) + '\n{"prompt": "x", \n', "utf-8")
    (tmp_path / "columns.jsonl").write_text(
        json.dumps({"prompt": "x", "choosen": "a", "rejected": "b"}) + "\n", "utf-8"
    )
    (tmp_path / "empty.jsonl").write_text("", "utf-8")
    places = {"missing": tmp_path / "none.yaml", "data": data(tmp_path)}
    places |= {name: tmp_path / f"{name}.jsonl" for name in ("malformed", "columns", "empty")}
    found = without_torch(*(a.format(**places) for a in arguments), cwd=tmp_path)
    assert found.returncode == 2, found.stderr
    assert words in found.stderr
    assert "Traceback" not in found.stderr


def test_a_mistake_in_a_small_file_is_named_before_torch_is_imported(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n{oops\n', "utf-8")
    good = tmp_path / "good.jsonl"
    good.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n', "utf-8")
    for given in (["dpo", "--data", str(bad)], ["dpo", "--data", str(good), "--eval-data", str(bad)]):
        found = without_torch("train", *given, cwd=tmp_path)
        assert found.returncode == 2, found.stderr
        assert "bad.jsonl:2: malformed JSON" in found.stderr


def test_sample_judge_and_evaluate(tmp_path: Path, tiny: str) -> None:
    from_project = Path(__file__).parents[2] / "examples" / "house.constitution.md"
    samples = tmp_path / "samples.jsonl"
    found = charter(
        "sample", tiny, "--prompt", "Hello?", "--prompt", "Who are you?", "--num-generations", "2",
        "--max-completion-length", "8", "--output", str(samples),
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert len(samples.read_text("utf-8").splitlines()) == 2
    found = charter("judge", str(samples), "--constitution", str(from_project))
    assert found.returncode == 0, found.stderr
    assert "honesty.says_ai" in found.stdout
    found = charter(
        "evaluate", tiny, "--constitution", str(from_project), "--max-completion-length", "8", "--json",
        "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert found.returncode in (0, 6), found.stderr
    assert json.loads(found.stdout)["adherence"]["principles"]


def test_chat_answers_and_ends(tiny: str) -> None:
    found = charter("chat", tiny, "--max-completion-length", "5", stdin="hello\n\n")
    assert found.returncode == 0, found.stderr


def test_check_data_reports_and_gates(tmp_path: Path) -> None:
    good = data(tmp_path, [{**PAIR, "prompt": f"Say {i}."} for i in range(4)])
    assert charter("check", good).returncode == 0
    bad = data(tmp_path, [{**PAIR, "rejected": PAIR["chosen"]}])
    found = charter("check", bad, "--json")
    assert found.returncode == 1
    assert json.loads(found.stdout)


def test_compare_two_models(tmp_path: Path, tiny: str) -> None:
    other = save_tiny(str(tmp_path / "other"), seed=1)
    prompts = tmp_path / "p.jsonl"
    prompts.write_text('{"prompt": "Hello?"}\n{"prompt": "Why?"}\n', "utf-8")
    house = str(Path(__file__).parents[2] / "examples" / "house.constitution.md")
    found = charter(
        "compare",
        tiny,
        other,
        "--constitution",
        house,
        "--prompts",
        str(prompts),
        "--max-completion-length",
        "8",
    )
    assert found.returncode == 0, found.stderr
    assert "won" in found.stdout and "p =" in found.stdout
