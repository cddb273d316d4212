"""Steps are labelled by what becomes of them, and a labelling that is stopped goes on where it was."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from charter.catalogue.process import ProcessRewardOptions
from charter.data.formats import load_groups
from charter.data.render import Template
from charter.data.steps import labelled_ends, separated
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.engines.scripted import ScriptedEngine
from charter.errors import ConfigError, DataError, ServiceFault, UserError
from charter.feedback.rewards import open_rewards
from charter.feedback.steps.reward_grader import grader_of
from charter.feedback.steps.rollouts import StepRollouts
from charter.models.load import load
from charter.testing import save_tiny
from charter.testing.tiny import tiny_tokenizer
from charter.types import Completion, Context, Group, Judgement, Message, Sample, SegmentTarget

TOKENIZER = tiny_tokenizer()
TEMPLATE = Template(TOKENIZER)
GOOD, BAD = "2 + 2 = 4\n4 + 1 = 5\nThe answer is 5", "2 + 2 = 3\n3 + 1 = 4\nThe answer is 4"


def grade(text: str, group: Group) -> bool | None:
    found = re.findall(r"answer is (\S+)", text)
    if not found or found[-1] == "?":
        return None
    return bool(found[-1] == str(group.meta["answer"]))


def problem(number: int, *texts: str) -> Group:
    asked = (Message("user", f"Problem {number}: 2 + 2 + 1?"),)
    samples = tuple(Sample(Context(asked), Completion((Message("assistant", text),))) for text in texts)
    return Group(samples, id=f"p{number}", meta={"answer": 5})


def answer(text: str, sample: int) -> str:
    """After a wrong first step one of four continuations recovers, after a second none."""
    if "= 3" not in text:
        return "The answer is 5"
    return "The answer is 5" if sample % 4 == 0 and text.count("\n") == 1 else "The answer is 4"


def engine(script: Any = answer, **options: Any) -> ScriptedEngine:
    return ScriptedEngine(script, TOKENIZER, **options)


def labels_of(
    directory: Path, groups: list[Group], script: Any = answer, **options: Any
) -> list[list[float]]:
    made = StepRollouts(engine(script), TEMPLATE, options.pop("grader", grade), **{"n": 4, **options})
    return [row["labels"] for row in made.label(groups, directory / "steps.jsonl").rows]


def test_soft_labels_are_shares_and_hard_ones_existence(tmp_path: Path) -> None:
    groups = [problem(1, GOOD, BAD)]
    assert labels_of(tmp_path / "soft", groups) == [[1.0, 1.0, 1.0], [0.25, 0.0, 0.0]]
    assert labels_of(tmp_path / "hard", groups, estimate="hard") == [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]


def test_the_rows_are_what_process_rewards_are_trained_on(tmp_path: Path) -> None:
    found = StepRollouts(engine(), TEMPLATE, grade, n=4).label([problem(1, GOOD, BAD)], tmp_path / "s.jsonl")
    loaded = load_groups(tmp_path / "s.jsonl", "steps")
    assert [[said.value for said in group.judgements] for group in loaded.groups] == [
        row["labels"] for row in found.rows
    ]
    options = ProcessRewardOptions()
    rendered = [TEMPLATE.render(group) for group in separated(loaded, options).groups]
    ready = labelled_ends(rendered, options)
    assert [sum(group.samples[0].completion.trained) for group in ready] == [3, 3]
    assert loaded.groups[0].samples[0].context.text == "Problem 1: 2 + 2 + 1?"
    assert found.rows[1]["rollouts"] == [[1, 4], [0, 4], [0, 1]]
    assert found.counts == {"solutions": 2, "steps": 6, "continuations": 16}


def test_what_is_continued_is_the_prompt_with_the_first_steps(tmp_path: Path) -> None:
    seen: list[Context] = []

    class Sees(ScriptedEngine):
        def generate(self, contexts: Any, n: int, sampling: Any, *rest: Any, **more: Any) -> list[Group]:
            seen.extend(contexts)
            return super().generate(contexts, n, sampling, *rest, **more)

    group = problem(1, GOOD)
    StepRollouts(Sees(answer, TOKENIZER), TEMPLATE, grade, n=2).label([group], tmp_path / "s.jsonl")
    assert [context.text for context in seen] == ["2 + 2 = 4\n", "2 + 2 = 4\n4 + 1 = 5\n"]
    prompt = TEMPLATE.render_context(group.samples[0].context.content)
    for context in seen:
        assert context.token_ids[: len(prompt)] == prompt
        assert TOKENIZER.decode(list(context.token_ids[len(prompt) :])) == context.text


def test_plain_text_and_judged_segments(tmp_path: Path) -> None:
    text = "2 + 2 = 4; 4 + 1 = 5; The answer is 5"
    spans = [(0, 9), (11, 20), (22, len(text))]
    said = tuple(Judgement(SegmentTarget(0, *span), verdict="not_measured") for span in spans)
    group = Group((Sample(Context("2 + 2 + 1?\n"), Completion(text)),), said, meta={"answer": 5})
    row = StepRollouts(engine(), TEMPLATE, grade, n=1).label([group], tmp_path / "s.jsonl").rows[0]
    assert row["completions"] == ["2 + 2 = 4", "4 + 1 = 5", "The answer is 5"]
    assert row["prompt"] == "2 + 2 + 1?\n" and row["labels"] == [1.0, 1.0, 1.0]


def test_what_cannot_be_graded_is_missing_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def script(text: str, sample: int) -> str:
        if text.count("\n") == 2:
            return "The answer is ?"
        return ["The answer is 5", "The answer is ?", "The answer is 4", "The answer is boom"][sample]

    def strict(text: str, group: Group) -> bool | None:
        if "boom" in text:
            raise ArithmeticError("boom")
        return grade(text, group)

    groups = [problem(1, GOOD), problem(2, "no final line"), problem(3, "  \n ")]
    made = StepRollouts(engine(script), TEMPLATE, strict, n=4).label(groups, tmp_path / "s.jsonl")
    assert [row["labels"] for row in made.rows] == [[0.5, None, 1.0]]
    assert made.rows[0]["rollouts"] == [[1, 2], [0, 0], [1, 1]]
    assert made.counts == {
        "solutions": 3,
        "solutions left out: no step": 1,
        "solutions left out: nothing could be graded": 1,
        "steps": 3,
        "steps without a label": 1,
        "continuations": 8,
        "not gradable": 6,
        "grader errors": 1,
    }
    assert load_groups(tmp_path / "s.jsonl", "steps").groups[0].judgements[1].verdict == "not_measured"


def test_it_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    groups = [problem(i, GOOD, BAD) for i in range(5)]
    whole = StepRollouts(engine(), TEMPLATE, grade, n=4, batch=3)
    expected = whole.label(groups, tmp_path / "whole.jsonl")
    path = tmp_path / "steps.jsonl"
    with pytest.raises(ServiceFault):
        StepRollouts(engine(fail_after=2), TEMPLATE, grade, n=4, batch=3).label(groups, path)
    partial = tmp_path / "steps.jsonl.partial"
    assert not path.exists() and len(partial.read_text().splitlines()) == 6
    lines = partial.read_text().splitlines(keepends=True)
    partial.write_text("".join(lines[:4]) + lines[4][:20])  # killed inside a batch, inside a line
    again = engine()
    assert StepRollouts(again, TEMPLATE, grade, n=4, batch=3).label(groups, path) == expected
    assert again.calls == 3
    assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    idle = engine(fail_after=0)
    assert StepRollouts(idle, TEMPLATE, grade, n=4, batch=3).label(groups, path) == expected
    with pytest.raises(UserError, match="other solutions or other settings"):
        StepRollouts(engine(), TEMPLATE, grade, n=5, batch=3).label(groups, path)


def test_hard_labels_are_made_of_the_same_continuations(tmp_path: Path) -> None:
    """The estimate is no setting of the sampling: changing it samples nothing."""
    StepRollouts(engine(), TEMPLATE, grade, n=4).label([problem(1, BAD)], tmp_path / "s.jsonl")
    made = StepRollouts(engine(fail_after=0), TEMPLATE, grade, n=4, estimate="hard")
    assert made.label([problem(1, BAD)], tmp_path / "s.jsonl").rows[0]["labels"] == [1.0, 0.0, 0.0]


def test_a_real_engine_resumes_to_the_same_rows(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    policy = load(save_tiny(str(tmp_path / "tiny")), bf16=False)
    made = LocalEngine(policy.model, policy.tokenizer)
    asked = [problem(i, "a b\nc d\ne f", "a b\ng h") for i in range(2)]

    def odd(text: str, group: Group) -> bool:
        return len(text) % 2 == 1

    options: dict[str, Any] = {"n": 3, "batch": 2, "sampling": Sampling(max_completion_length=6, seed=4)}
    whole = StepRollouts(made, policy.template, odd, **options).label(asked, tmp_path / "whole.jsonl")
    path = tmp_path / "s.jsonl"
    partial = tmp_path / "s.jsonl.partial"
    partial.write_text("".join((tmp_path / "whole.jsonl.partial").read_text().splitlines(True)[:1]))
    assert StepRollouts(made, policy.template, odd, **options).label(asked, path) == whole
    assert whole.counts["continuations cut by the limit"] > 0
    assert {json.dumps(row["labels"]) for row in whole.rows} != {"[0.0, 0.0, 0.0]"}


def test_bad_options() -> None:
    for options in ({"n": 0}, {"estimate": "mean"}, {"separator": ""}, {"batch": 0}):
        with pytest.raises(ConfigError):
            StepRollouts(engine(), TEMPLATE, grade, **options)


def test_nothing_to_label(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no solution has a step"):
        StepRollouts(engine(), TEMPLATE, grade).label([problem(1, " ")], tmp_path / "s.jsonl")
    with pytest.raises(DataError, match="could be graded"):
        StepRollouts(engine(), TEMPLATE, lambda text, group: None).label(
            [problem(1, GOOD)], tmp_path / "t.jsonl"
        )


# -- budget and rewards as the grader --------------------------------------------------------


def test_a_budget_leaves_out_solutions_at_random_and_counts_them(tmp_path: Path) -> None:
    groups = [problem(number, GOOD, BAD) for number in range(10)]  # 20 solutions, 2 steps to go on from each
    rollouts = StepRollouts(engine(), TEMPLATE, grade, n=4, budget=50)
    found = rollouts.label(groups, tmp_path / "a.jsonl")
    assert found.counts["continuations"] == 48 and len(found.rows) == 6  # 6 of 8 continuations each
    assert found.counts["solutions left out: over the budget"] == 14
    assert [row["id"] for row in found.rows] != ["p0", "p0", "p1", "p1", "p2", "p2"]
    again = StepRollouts(engine(), TEMPLATE, grade, n=4, budget=50).label(groups, tmp_path / "b.jsonl")
    assert again.rows == found.rows
    other = Sampling(max_completion_length=512, seed=5)
    drawn = StepRollouts(engine(), TEMPLATE, grade, n=4, budget=50, sampling=other)
    ids = [row["id"] for row in drawn.label(groups, tmp_path / "c.jsonl").rows]
    assert ids != [row["id"] for row in found.rows]
    whole = StepRollouts(engine(), TEMPLATE, grade, n=4, budget=160).label(groups, tmp_path / "d.jsonl")
    assert len(whole.rows) == 20 and "solutions left out: over the budget" not in whole.counts
    with pytest.raises(ConfigError, match="not enough for one step"):
        StepRollouts(engine(), TEMPLATE, grade, n=4, budget=3)
    with pytest.raises(DataError, match="short enough for the budget"):
        StepRollouts(engine(), TEMPLATE, grade, n=4, budget=7).label(groups, tmp_path / "e.jsonl")


def test_what_no_data_file_may_hold_is_left_out_and_counted(tmp_path: Path) -> None:
    groups = [problem(1, GOOD, "2 + 2 = 4\nThe \0 answer is 5")]
    found = StepRollouts(engine(), TEMPLATE, grade, n=4).label(groups, tmp_path / "s.jsonl")
    assert len(found.rows) == 1 and found.counts["solutions left out: a NUL character"] == 1
    assert len(load_groups(tmp_path / "s.jsonl", "steps").groups) == 1


def test_rewards_grade_whole_solutions(tmp_path: Path) -> None:
    (tmp_path / "five.py").write_text(
        "def five(completion, answer, **columns):\n"
        "    text = completion[-1]['content'] if isinstance(completion, list) else completion\n"
        "    if '?' in text:\n"
        "        return None\n"
        "    return 1.0 if text.endswith(str(answer)) else 0.25\n"
    )
    rewards = open_rewards(["five.py:five"], base_dir=tmp_path)
    group = problem(1, GOOD)
    grader = grader_of(rewards, 1.0)
    assert [grader(text, group) for text in (GOOD, BAD, "?")] == [True, False, None]
    assert grader_of(rewards, 0.2)(BAD, group) is True
    labels = labels_of(tmp_path / "r", [problem(1, GOOD, BAD)], grader=grader)
    assert labels == [[1.0, 1.0, 1.0], [0.25, 0.0, 0.0]]
