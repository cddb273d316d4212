from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import charter
from charter.cli.main import app
from charter.data.render import Template
from charter.errors import DataError, UserError
from charter.evaluation.reward_bench.pairs import SECTIONS, TestPairs, read_pairs, section_scores, subsets_of
from charter.evaluation.reward_bench.reward_bench import Item, RewardBench, measured, reward_bench
from charter.evaluation.reward_bench.style import style
from charter.feedback.trained.reward import RewardFeedback
from charter.models.load import load
from charter.reporting.reliability import Point, reliability_chart
from charter.reporting.reward_bench import write_reward_bench
from charter.rundir import write_json
from charter.testing import save_tiny, tiny_tokenizer

Row = dict[str, Any]
NO_PAIRS = TestPairs((), (), {}, False, "test")


def item(better: float, worse: float, texts: tuple[str, str] = ("long answer", "no"), **more: Any) -> Item:
    probability = 1 / (1 + 2.718281828459045 ** (worse - better))
    return Item(more.get("subsets", ()), better, worse, more.get("probability", probability), *texts)


def bench(items: list[Item]) -> RewardBench:
    return measured(items, ("model",), NO_PAIRS)


# -- reading --------------------------------------------------------------------------------


REWARDBENCH = {
    "prompt": "Is it safe?",
    "chosen": "Yes, it is.",
    "chosen_model": "a",
    "rejected": "No idea",
    "rejected_model": "b",
    "subset": "xstest-should-respond",
    "id": 7,
}


def test_rewardbench_rows_become_conversations() -> None:
    template = Template(tiny_tokenizer())
    found = read_pairs([REWARDBENCH], template)
    assert found.as_chat and found.pairs == (((0, 1),),)
    (group,) = found.groups
    text = template.decode((*group.samples[0].context.token_ids, *group.samples[0].completion.token_ids))
    assert "<|im_start|>user\nIs it safe?<|im_end|>" in text and text.endswith("Yes, it is.<|im_end|>")
    assert subsets_of(group) == ("xstest-should-respond",)
    assert group.samples[1].completion.text == "No idea"


def test_plain_pairs_stay_as_they_are_unless_asked() -> None:
    template = Template(tiny_tokenizer())
    row = {"prompt": "q", "chosen": " yes", "rejected": " no", "tags": ["x", "y"]}
    assert not read_pairs([row], template).as_chat
    found = read_pairs([row], template, as_chat=True)
    assert found.as_chat and subsets_of(found.groups[0]) == ("x", "y")
    assert not read_pairs([REWARDBENCH], template, as_chat=False).as_chat
    with pytest.raises(DataError, match="no chat template"):
        read_pairs([row], Template(tiny_tokenizer(None)), as_chat=True)
    assert not read_pairs([REWARDBENCH], Template(tiny_tokenizer(None))).as_chat


def test_what_cannot_be_judged_is_left_out_and_counted() -> None:
    row = {"prompt": "q", "chosen": " yes", "rejected": " no"}
    rows = [
        row,
        {**row, "probability": 0.5},
        {**row, "probability": 0.2},
        {**row, "rejected": " yes"},
        {**row, "chosen": " "},
    ]
    found = read_pairs(rows, Template(tiny_tokenizer()))
    assert found.pairs == (((0, 1),), ((1, 0),))
    assert found.left_out == {
        "chosen equals rejected": 1,
        "empty completion": 1,
        "pairs left out: either answer is as likely to be better": 1,
    }
    with pytest.raises(DataError, match="no pair has a better answer"):
        read_pairs([{**row, "probability": 0.5}], Template(tiny_tokenizer()))


def test_rankings_give_all_their_pairs() -> None:
    row = {"prompt": "q", "responses": [" a", " b", " c"], "ranks": [1, 2, 2]}
    assert read_pairs([row], Template(tiny_tokenizer())).pairs == (((0, 1), (0, 2)),)


def test_sections_of_rewardbench() -> None:
    assert [sum(weights.values()) for weights in SECTIONS.values()] == [358, 456, 740, 1968]
    assert section_scores(dict.fromkeys(SECTIONS["Chat"], 0.5)) == {"Chat": 0.5}
    rates = dict.fromkeys(SECTIONS["Reasoning"], 1.0) | {"math-prm": 0.0}
    assert section_scores(rates) == {"Reasoning": pytest.approx(0.5)}
    del rates["hep-go"]
    assert section_scores(rates) == {}


# -- measures -------------------------------------------------------------------------------


def test_accuracy_beside_always_the_longest() -> None:
    items = [
        item(1.0, 0.0, ("short", "much longer"), subsets=("a",)),
        item(1.0, 0.0, ("much longer", "short"), subsets=("a", "b")),
        item(0.0, 1.0, ("much longer", "short"), subsets=("b",)),
        item(1.0, 1.0, ("same", "size"), subsets=("b",)),
    ]
    found = bench(items)
    overall = found.overall
    assert (overall.model.right, overall.model.ties, overall.model.n) == (2, 1, 4)
    assert (overall.longest.right, overall.longest.ties) == (2, 1)
    assert overall.p == 1.0 and overall.difference.lo < 0 < overall.difference.hi
    assert [(part.name, part.model.rate) for part in found.subsets] == [("a", 1.0), ("b", 1 / 3)]
    assert overall.model.interval.lo < 0.5 < overall.model.interval.hi


def test_calibration_is_of_the_answer_that_was_preferred() -> None:
    rng = random.Random(0)
    honest, boastful = [], []
    for _ in range(2000):
        gap = rng.gauss(0, 1.5)
        p = 1 / (1 + 2.718281828459045**-gap)
        better_wins = rng.random() < p
        sides = (gap, 0.0) if better_wins else (0.0, gap)
        honest.append(item(*sides))
        boastful.append(item(4 * sides[0], 4 * sides[1]))
    calm, loud = bench(honest).calibration, bench(boastful).calibration
    assert calm is not None and loud is not None
    assert calm.ece < 0.03 < 0.1 < loud.ece
    assert bench(honest).overall.model.rate == bench(boastful).overall.model.rate


def test_calibration_needs_pairs_and_a_probability() -> None:
    assert bench([item(1.0, 0.0)] * 19).calibration is None
    assert bench([item(1.0, 0.0, probability=None)] * 30).calibration is None


def answers(count: int, seed: int = 0) -> list[tuple[str, str]]:
    rng = random.Random(seed)

    def answer() -> str:
        marks = "!" * rng.randint(0, 3) + "\n- item" * rng.randint(0, 3) + " **b**" * rng.randint(0, 2)
        return "word " * rng.randint(1, 40) + marks

    return [(answer(), answer()) for _ in range(count)]


def test_a_reward_that_is_length_is_found_out() -> None:
    found = bench([item(float(len(a)), float(len(b)), (a, b)) for a, b in answers(200)])
    assert found.length is not None and found.length.value > 0.99
    assert found.length_within is not None and found.length_within.value > 0.99
    assert found.style is not None and found.style.r2 > 0.85
    assert max(found.style.effects, key=lambda name: found.style.effects[name]) == "length"  # type: ignore[union-attr]
    assert found.overall.model.right == found.overall.longest.right and found.overall.p == 1.0


def test_a_reward_that_ignores_style_is_not_explained_by_it() -> None:
    rng = random.Random(5)
    found = bench([item(rng.gauss(1, 1), rng.gauss(0, 1), texts) for texts in answers(400)])
    assert found.style is not None and found.style_within is not None
    assert abs(found.style.adjusted) < 0.05
    assert found.length is not None and abs(found.length.value) < 0.15


def test_style_of_an_answer() -> None:
    found = style("# Title\n\n- one\n2. two\n**bold** and __more__!\n```py\nx\n```\nWhy?")
    counts = {name: round(2.718281828459045**value - 1) for name, value in found.items() if name != "length"}
    assert counts == {
        "list items": 2,
        "bold": 2,
        "headings": 1,
        "code blocks": 2,
        "exclamation marks": 1,
        "question marks": 1,
        "paragraphs": 1,
    }
    assert set(style("plain text").values()) - {style("plain text")["length"]} == {0.0}


# -- a trained model, its files and its command -----------------------------------------------


def rows(count: int, seed: int, *, turns: bool = False) -> list[Row]:
    rng = random.Random(seed)
    made = []
    for i in range(count):
        texts = {"chosen": "yes " * rng.randint(1, 5), "rejected": "no " * rng.randint(1, 5)}
        texts = {side: text.strip() + "!" * rng.randint(0, 2) for side, text in texts.items()}
        row: Row = {"prompt": f"Say {i}.", **texts, "subset": ("chat", "safety")[i % 2]}
        if turns:
            row = {
                "prompt": [{"role": "user", "content": row["prompt"]}],
                **{side: [{"role": "assistant", "content": text}] for side, text in texts.items()},
            }
        made.append(row)
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bench")
    torch.set_num_threads(1)
    trained = charter.train(
        "reward",
        load(save_tiny(str(root / "tiny")), bf16=False),
        rows(24, 1, turns=True),
        output_dir=root / "run",
        max_steps=12,
        bf16=False,
        learning_rate=1e-3,
    )
    return trained.path


@pytest.fixture(scope="module")
def found(run: Path) -> RewardBench:
    policy = load(str(run), bf16=False)
    return reward_bench(RewardFeedback([policy]), read_pairs(rows(60, 2), policy.template))


def test_a_trained_model_passes_where_length_does_not(found: RewardBench) -> None:
    assert found.overall.model.rate > 0.95
    assert found.overall.longest.rate < 0.8
    assert found.overall.difference.lo > 0
    assert [part.name for part in found.subsets] == ["chat", "safety"]
    assert found.calibration is not None and found.as_chat


def test_the_page_is_self_contained_and_says_the_numbers(found: RewardBench, tmp_path: Path) -> None:
    write_json(tmp_path / "reward_bench.json", found.to_json())
    page = write_reward_bench(tmp_path).read_text(encoding="utf-8")
    assert write_reward_bench(tmp_path).read_text(encoding="utf-8") == page
    assert "<script" not in page and not re.search(r'(?:src|href)="', page) and "{{" not in page
    assert f"{found.overall.model.rate:.0%} of 60 pairs" in page
    assert "chat" in page and "Expected calibration error" in page and "Rank correlation" in page
    assert page.count('<svg class="forest') == 3 and page.count('<svg class="reliability"') == 1


def test_names_from_the_data_are_escaped(found: RewardBench, tmp_path: Path) -> None:
    written = found.to_json()
    written["subsets"][0]["name"] = "<img src=x onerror=alert(1)>"
    written |= {"calibration": None, "style": None, "length": None, "length_within": None}
    write_json(tmp_path / "reward_bench.json", written)
    page = write_reward_bench(tmp_path).read_text(encoding="utf-8")
    assert "<img" not in page and "&lt;img" in page
    assert page.count("Not measured") == 1 and "Style: not measured" in page


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run charter reward-bench again"):
        write_reward_bench(tmp_path)
    write_json(tmp_path / "reward_bench.json", {"overall": {"model": {"rate": 2}}})
    with pytest.raises(UserError, match=r"reward_bench\.json: overall"):
        write_reward_bench(tmp_path)


def test_marks_of_a_reliability_plot_are_where_they_belong() -> None:
    svg = str(reliability_chart([Point(4, 0.75, 0.5, 0.25, 0.75), Point(1, 1.0, 1.0, 0.2, 1.0)], lowest=0.5))
    assert '<circle cx="160.00" cy="160.00" r="9.00"/>' in svg
    assert '<circle cx="320.00" cy="0.00" r="4.50"/>' in svg
    assert '<line x1="160.00" x2="160.00" y1="240.00" y2="80.00"/>' in svg
    assert "stated 75%, came true 50% of 4" in svg
    assert '<line class="perfect" x1="0" y1="160.00"' in svg


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "charter.cli.main", "reward-bench", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command(run: Path, tmp_path: Path) -> None:
    data = tmp_path / "pairs.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows(30, 3)), encoding="utf-8")
    told = CliRunner()
    out = ["--output-dir", str(tmp_path / "out")]
    done = told.invoke(app, ["reward-bench", str(run), "--data", str(data), "--no-bf16", *out])
    assert done.exit_code == 0, done.output
    assert "all pairs" in done.stdout and "calibration error" in done.stdout
    written = json.loads((tmp_path / "out" / "reward_bench.json").read_text(encoding="utf-8"))
    assert written["overall"]["model"]["n"] == 30 and (tmp_path / "out" / "reward_bench.html").exists()
    again = shutil.copytree(run, tmp_path / "again")
    twice = ["reward-bench", str(run), str(again), "--combine", "worst", "--json"]
    two = told.invoke(app, [*twice, "--data", str(data), "--no-bf16"])
    assert two.exit_code == 0, two.output
    assert json.loads(two.stdout)["overall"] == written["overall"]  # twice the same model


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--data", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--data", "TEXTS"], "no column 'chosen'"),
        (["--data", "PAIRS", "--coef", "0.2"], "no effect without --combine uncertainty"),
        (["--data", "PAIRS", "--weight", "helpful"], "name=weight"),
    ],
)
def test_mistakes_are_found_before_a_model_loads(arguments: list[str], named: str, tmp_path: Path) -> None:
    data = tmp_path / "pairs.jsonl"
    data.write_text(json.dumps(REWARDBENCH) + "\n", encoding="utf-8")
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"text": "hello"}\n', encoding="utf-8")
    files = {"PAIRS": str(data), "TEXTS": str(texts)}
    done = command("no/such-model", *(files.get(word, word) for word in arguments))
    assert done.returncode == 2 and named in done.stderr
