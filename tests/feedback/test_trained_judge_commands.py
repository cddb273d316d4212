"""Every command of docs/trained-judges.md runs as printed, and mistakes are found before a model loads."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import judge_checkpoints as made
import pytest
import torch
from typer.testing import CliRunner, Result

from charter.cli.main import app
from charter.engines.scripted import ScriptedEngine
from charter.errors import CharterError
from charter.models.trained_as import TrainedAs
from charter.records import read_groups, write_groups
from charter.rundir import read_jsonl
from charter.testing import save_tiny, tiny_tokenizer
from charter.types import PairTarget

PAGE = Path(__file__).parents[2] / "docs" / "trained-judges.md"
BLOCK = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SMALL = ["--max-steps", "1", "--no-bf16"]
ONLINE = [
    "--num-generations",
    "2",
    "--per-device-train-batch-size",
    "4",
    "--max-completion-length",
    "6",
    "--no-bf16",
]
RIGHT = "def right(completion, answer, **columns):\n    return float(len(completion) % 2)\n"


def printed() -> list[str]:
    return [line for block in BLOCK.findall(PAGE.read_text("utf-8")) for line in block.splitlines()]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def done(*arguments: str) -> str:
    found = run(*arguments)
    assert found.exit_code == 0, (arguments, found.output, found.exception)
    return found.stdout


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a tiny model and the files the page names."""
    folder = tmp_path_factory.mktemp("page")
    save_tiny(str(folder / "base"), max_position_embeddings=4096)
    made.write(folder / "pairs.jsonl", made.pairs())
    made.write(folder / "heldout.jsonl", made.pairs())
    made.write(folder / "ratings.jsonl", made.rated())
    made.write(folder / "labelled.jsonl", made.labelled())
    made.write(folder / "reasoned.jsonl", made.labelled(critique="It adds up."))
    made.write(folder / "argued.jsonl", made.pairs(rationale="{chosen} is right."))
    made.write(folder / "critiqued.jsonl", made.pairs(**made.CRITIQUED))
    asked: list[made.Row] = [{"prompt": made.turns(prompt), "answer": "4"} for prompt in made.PROMPTS]
    for name in ("prompts", "more_prompts", "sums"):
        made.write(folder / f"{name}.jsonl", asked)
    (folder / "right.py").write_text(RIGHT, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


class Arguing(ScriptedEngine):
    """Argues for A, then for B."""

    def __init__(self, *given: Any, **more: Any) -> None:
        def answer(text: str, sample: int) -> str:
            return f"It reads better. Verdict: {'AB'[sample % 2]}"

        super().__init__(answer, tiny_tokenizer())


def arguments_of(line: str) -> list[str]:
    """The line for the tiny model, with few steps."""
    words = shlex.split(line.replace("smollm2-135m", "base"))[1:]
    if words[0] != "train":
        return words
    if words[1] != "grpo":
        return [*words, *SMALL]
    return [*words, *ONLINE, "--max-steps", "8" if "overopt" in line or "watched" in line else "1"]


def test_the_page_runs_as_printed(here: Path) -> None:
    lines = printed()
    assert len(lines) > 25 and all(line.startswith("charter ") for line in lines)
    commands = {shlex.split(line)[1] for line in lines}
    assert commands >= {"judge", "rank", "reward-bench", "step-labels", "critiques", "verdicts", "overopt"}
    for line in lines:
        with pytest.MonkeyPatch.context() as patch:
            if shlex.split(line)[1] == "verdicts":
                patch.setattr("charter.engines.local.LocalEngine", Arguing)
            if shlex.split(line)[1] == "step-labels":
                assert len(read_groups(here / "solutions.jsonl")) == len(made.PROMPTS)
            done(*arguments_of(line))
    _what_the_page_left(here)


def _what_the_page_left(here: Path) -> None:
    judged = read_groups(here / "judged.jsonl")
    assert all(len(group.judgements) == len(group.samples) for group in judged)
    assert {TrainedAs.load(here / "runs" / name / "model").words().split(":")[0] for name in _MARKED} == {  # type: ignore[union-attr]
        "reward",
        "cloud",
        "process-reward",
        "genrm",
        "slic-pairwise",
        "genrm-pairwise, then dpo",
    }
    steps = read_jsonl(here / "steps.jsonl")
    assert steps and all(len(row["labels"]) == len(row["completions"]) for row in steps)
    own = read_jsonl(here / "own.jsonl")
    assert len(own) == len(made.PROMPTS) and all(row["chosen_critique"] for row in own)
    verdicts = read_jsonl(here / "verdicts.jsonl")
    # Each pair is asked in both orders, and of the same text said twice one is taken.
    assert len(verdicts) == 2 * len(made.PROMPTS)
    for row in verdicts:
        assert {row[side][0]["content"][-1] for side in ("chosen", "rejected")} == {"A", "B"}
    best = read_jsonl(here / "best.jsonl")
    assert len(best) == len(made.PROMPTS) and all(row["completion"] for row in best)
    assert list((here / "runs" / "watched" / "curves").glob("*.svg"))


_MARKED = ("reward", "cloud-2", "prm", "genrm", "ranker", "judge-dpo")


# -- what was made, said again -----------------------------------------------------------


@pytest.fixture(scope="module")
def samples(here: Path) -> Path:
    path = here / "answers.jsonl"
    write_groups(path, made.groups())
    return path


@pytest.fixture(scope="module")
def trained(here: Path) -> Path:
    """A reward model and a judge of pairs."""
    for algorithm, name in (("reward", "rm"), ("slic-pairwise", "pairs-judge"), ("genrm", "verifier")):
        data = "labelled.jsonl" if algorithm == "genrm" else "pairs.jsonl"
        done("train", algorithm, "--model", "base", "--data", data, "--output-dir", f"own/{name}", *SMALL)
    return here / "own"


def test_judge_says_what_came_of_it(trained: Path, samples: Path) -> None:
    found = json.loads(done("judge", str(samples), "--judge", str(trained / "verifier"), "--json"))
    assert (found["answers"], found["judged"], found["pairs"]) == (8, 8, 0)
    assert 0 <= found["lowest"] <= found["mean"] <= found["highest"] <= 1
    assert found["judge"] == "genrm: a verdict on each answer"
    shown = done("judge", str(samples), "--judge", str(trained / "pairs-judge"))
    assert "slic-pairwise: a comparison of two answers" in shown and "4 comparisons" in shown


def test_rank_chooses_the_highest_reward_and_the_tournament_its_winner(
    trained: Path, samples: Path, tmp_path: Path
) -> None:
    output, best = tmp_path / "judged.jsonl", tmp_path / "best.jsonl"
    files = ["--output", str(output), "--best", str(best)]
    found = json.loads(done("rank", str(samples), "--by", str(trained / "rm"), *files, "--json"))
    assert (found["prompts"], found["chosen"], found["left_out"]) == (4, 4, 0)
    assert found["best"] > found["mean"]
    for group, row in zip(read_groups(output), read_jsonl(best), strict=True):
        values = [one.value for one in group.judgements]
        chosen = group.samples[values.index(max(values))]  # type: ignore[type-var]
        assert row["completion"] == [{"role": "assistant", "content": chosen.completion.text}]
        assert row["reward"] == max(values)  # type: ignore[type-var]
    knockout = f"{trained / 'pairs-judge'}:pairs=tournament"
    told = json.loads(done("rank", str(samples), "--by", knockout, *files, "--json"))
    assert (told["chosen"], told["comparisons"], told["best"]) == (4, 4, None)
    for group, row in zip(read_groups(output), read_jsonl(best), strict=True):
        ((better,),) = [[j.target.better for j in group.judgements if isinstance(j.target, PairTarget)]]
        assert row["completion"][0]["content"] == group.samples[better].completion.text
        assert "reward" not in row


def test_bench_of_a_judge_of_pairs_has_probabilities_and_of_a_verifier_none(
    trained: Path, here: Path
) -> None:
    def bench(name: str, data: str) -> Any:
        return json.loads(done("reward-bench", str(trained / name), "--data", data, "--no-bf16", "--json"))

    many = made.write(here / "many.jsonl", made.pairs() * 6)
    of_pairs = bench("pairs-judge", str(many))
    assert of_pairs["overall"]["model"]["n"] == 24
    assert of_pairs["calibration"] is not None
    assert of_pairs["rewards"]["better_mean"] + of_pairs["rewards"]["worse_mean"] == pytest.approx(1.0)
    assert bench("verifier", str(many))["calibration"] is None


def test_the_same_command_goes_on(here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Texts that were written before are not asked for again, and give the same rows."""
    out = tmp_path / "own.jsonl"
    command = [
        "critiques",
        "pairs.jsonl",
        "--model",
        "base",
        "--out",
        str(out),
        "--max-completion-length",
        "4",
    ]
    done(*command)
    first = out.read_text()
    journal = tmp_path / "own.jsonl.journal" / "texts.jsonl"
    kept = journal.read_text().splitlines()
    assert len(kept) == 2 * len(made.PROMPTS)
    journal.write_text("\n".join(kept[:3]) + "\n")
    done(*command)
    assert out.read_text() == first and len(journal.read_text().splitlines()) == len(kept)

    def never(*given: Any, **more: Any) -> Any:
        raise AssertionError("something was sampled")

    monkeypatch.setattr("charter.engines.local.LocalEngine.generate", never)
    done(*command)


def test_verdicts_of_a_language_model_name_the_ending_and_can_be_marked(
    here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("charter.engines.local.LocalEngine", Arguing)
    out = tmp_path / "rows.jsonl"
    shown = done("verdicts", "pairs.jsonl", "--model", "base", "-n", "2", "--out", str(out))
    assert "charter model mark RUN --trained-with genrm-pairwise --open" in shown
    row = read_jsonl(out)[0]
    assert row["prompt"][0]["content"].endswith('End with "Verdict: A" or "Verdict: B".')
    only = tmp_path / "sft.jsonl"
    done("verdicts", "pairs.jsonl", "--model", "base", "-n", "2", "--for", "sft", "--out", str(only))
    assert len(read_jsonl(only)) == 2 * len(made.PROMPTS)
    monkeypatch.undo()
    monkeypatch.chdir(here)
    data = ["--model", "base", "--data", str(out), "--output-dir", str(tmp_path / "dpo")]
    done("train", "dpo", *data, *SMALL)
    done("model", "mark", str(tmp_path / "dpo"), "--trained-with", "genrm-pairwise", "--open")
    trained = TrainedAs.load(tmp_path / "dpo" / "model")
    assert trained is not None and trained.reasons and trained.question.ask == ""
    assert trained.question.think in row["prompt"][0]["content"]


def test_no_row_says_where_the_replies_are(here: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    more = ["--max-completion-length", "3", "--out", str(out)]
    found = run("verdicts", "pairs.jsonl", "--model", "base", "-n", "2", *more)
    assert isinstance(found.exception, CharterError) and "no reply gave a row" in str(found.exception)
    assert "16 replies without a verdict" in found.stdout and not out.exists()


# -- mistakes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("judge answers.jsonl", "nothing says what is judged by"),
        ("judge answers.jsonl --judge own/rm --constitution x.md", "no effect on a trained judge"),
        ("judge answers.jsonl --judge own/rm --form rubric", "--form has no effect on a trained judge"),
        ("judge answers.jsonl --judge own/rm --judge own/verifier", "not one of a panel"),
        ("judge answers.jsonl --judge own/rm:solution=min", "an option of a process reward model"),
        ("rank gone.jsonl --by own/rm", "no such file"),
        ("rank answers.jsonl --by own/rm --best best.txt", "ending in .jsonl|end its name in .jsonl"),
        ("rank answers.jsonl --by own/rm:pairs=tournament", "an option of a judge of pairs"),
        ("rank answers.jsonl --by own/pairs-judge:pairs=tournament --by own/rm", "nothing goes beside it"),
        ("rank answers.jsonl --by own/pairs-judge:pairs=tournament --weight 1", "no effect on a tournament"),
        ("reward-bench own/rm:combine=worst --data pairs.jsonl", "no effect on one reward model"),
        ("reward-bench own/rm own/verifier --data pairs.jsonl", "an ensemble is of outcome"),
        ("reward-bench own/verifier --data pairs.jsonl --weight a=1", "an option of an outcome"),
        ("reward-bench own/verifier --data pairs.jsonl --max-length 9", "reads whole texts"),
        ("reward-bench own/rm:weights=a --data pairs.jsonl --weight a=1", "given twice"),
        ("step-labels answers.jsonl --model base --out s.jsonl", "nothing tells right solutions"),
        ("step-labels answers.jsonl --model base --reward-funcs eos --out s.csv", "JSON lines"),
        ("step-labels answers.jsonl --model gone --reward-funcs eos --out s.jsonl", "gone"),
        ("step-labels prompts.jsonl --model base --reward-funcs eos --out s.jsonl", "wanted solutions"),
        (
            "step-labels answers.jsonl --model base --reward-funcs eos --estimate x --out s.jsonl",
            "soft or hard",
        ),
        ("step-labels answers.jsonl --model base --reward-funcs right.py:right --out s.jsonl", "'answer'"),
        ("critiques pairs.jsonl --model own/verifier --out o.jsonl", "writes no critiques"),
        ("critiques prompts.jsonl --model base --out o.jsonl", "chosen"),
        ("critiques pairs.jsonl --model base --out pairs.jsonl", "would be written over"),
        ("verdicts labelled.jsonl --model own/verifier --out o.jsonl", "writes no reasons"),
        ("verdicts labelled.jsonl --model own/rm --out o.jsonl", "gives no verdicts"),
        ("verdicts prompts.jsonl --model base --out o.jsonl", "wanted pairs or labelled answers"),
        ("verdicts pairs.jsonl --model base -n 1 --out o.jsonl", "take two that differ"),
        ("verdicts pairs.jsonl --model base --for ppo --out o.jsonl", "dpo or sft"),
        ("model mark own/rm --trained-with dpo", "trains no reward model and no judge"),
        ("model mark own/rm --trained-with genrm", "trains no reward head"),
        ("model mark own/verifier --trained-with cloud", "trains a reward head"),
        ("model mark own/verifier --trained-with slic-pointwise --reasons", "gives no reasons"),
        ("model mark own/verifier --trained-with genrm --step-separator x", "unknown key 'step_separator'"),
        ("model mark own/gone --trained-with genrm", "no such folder"),
        ("overopt own", "not a training run"),
        ("overopt own/rm", "no held-out reward"),
    ],
)
def test_mistakes(
    line: str, says: str, trained: Path, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*given: Any, **more: Any) -> Any:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("charter.models.load.load", never)
    found = run(*shlex.split(line))
    assert isinstance(found.exception, CharterError), (found.output, found.exception)
    assert found.exception.exit_code == 2
    assert any(part in str(found.exception) for part in says.split("|")), str(found.exception)


def test_a_mark_is_written_and_read(trained: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(trained / "verifier", tmp_path / "v")
    shown = done(
        "model", "mark", str(tmp_path / "v"), "--trained-with", "slic-pointwise", "--positive", "Fine"
    )
    assert "slic-pointwise: a verdict on each answer" in shown
    found = TrainedAs.load(tmp_path / "v" / "model")
    assert found is not None and found.question.words == ("Fine", "Bad")
