"""The online study on a tiny model: cells, page and plan, and that what it says follows from the cells."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from charter.errors import ConfigError
from charter.testing import save_tiny
from charter.types import Completion, Context, Group, Sample

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
pytest.importorskip("vaderSentiment")
pytest.importorskip("afinn")


@pytest.fixture(scope="module")
def code():
    sys.path.insert(0, str(BENCHMARKS))
    import online_cell
    import online_measure
    import online_page
    import online_plan
    import online_resample
    import online_study
    import online_summary
    import online_tables
    import online_tasks
    import online_toy
    import online_work
    import study_frame
    import study_runner

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield SimpleNamespace(
        cell=online_cell,
        measure=online_measure,
        page=online_page,
        plan=online_plan,
        resample=online_resample,
        tables=online_tables,
        main=online_study,
        summary=online_summary,
        tasks=online_tasks,
        toy=online_toy,
        work=online_work,
        frame=study_frame,
        runner=study_runner,
    )
    torch.set_num_threads(threads)
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def args(code, tmp_path_factory):
    """A study of a few seconds: bytes in the first quarter of the alphabet are rewarded."""
    folder = tmp_path_factory.mktemp("study")
    reward = folder / "wanted.py"
    reward.write_text(
        "def wanted(prompts, completions, **_):\n"
        "    return [sum(ord(c) < 256 for c in text) / max(len(text), 1) for text in completions]\n"
    )
    return code.main.arguments(
        [
            f"--model={save_tiny(str(folder / 'tiny'))}",
            f"--reward={reward}:wanted",
            f"--cache={folder / 'cache'}",
            "--rollouts=64",
            "--tokens=6",
            "--eval-prompts=5",
            "--seeds=1",
            "--learning-rate=0.003",
        ]
    )


@pytest.fixture(scope="module")
def finished(code, args):
    """An online cell, an offline one, and the base model's."""
    cells = [code.plan.parse_cell(f"{name},seed0", args) for name in ("rloo", "offline-dpo", "best-of-n")]
    code.cell.run_cells(cells, args)
    return {cell.setting.name: code.plan.finished_row(cell, Path(args.cache), args) for cell in cells}


# -- cells ------------------------------------------------------------------------------


def test_a_cell_that_another_process_finished_is_left_alone(code, args, finished, monkeypatch):
    monkeypatch.setattr(code.cell, "run_cell", lambda cell, args: pytest.fail("measured again"))
    code.cell.run_cells([code.plan.parse_cell("best-of-n,seed0", args)], args)


@pytest.mark.parametrize("name", ["rloo", "offline-dpo"])
def test_a_cell_measures_before_on_the_way_and_at_the_end(finished, args, name):
    row = finished[name]
    assert [point["step"] for point in row["points"]] == [0, 1, 2]
    first, _, last = row["points"]
    assert first["kl"] == 0.0 and last["kl"] > 0
    for point, each in zip(row["points"], (1, 1, 2), strict=True):
        for scores in (*point["scores"].values(), point["texts"], point.get("kls", point["texts"])):
            assert [len(values) for values in scores] == [each] * args.eval_prompts
    kls = [value for values in last["kls"] for value in values]
    assert last["kl"] == pytest.approx(sum(kls) / len(kls))
    assert row["steps_taken"] == 2 and row["stopped_by"] == "end of data"
    assert all(math.isfinite(value) for value in row["end"].values())


def test_methods_start_from_the_same_measurement(finished):
    assert finished["rloo"]["points"][0] == finished["offline-dpo"]["points"][0]


def test_offline_pairs_are_of_the_base_model_and_unequal(finished):
    assert 0 < finished["offline-dpo"]["pairs"] <= 32


def test_nothing_is_left_of_the_work(args, finished):
    assert list((Path(args.cache) / "work").iterdir()) == []


def test_a_cell_of_other_settings_is_not_known(code, args, finished):
    cell = code.plan.parse_cell("rloo,seed0", args)
    assert cell.finished(Path(args.cache), args)
    other = code.main.arguments([f"--model={args.model}", "--rollouts=64", "--learning-rate=0.1"])
    assert not code.plan.parse_cell("rloo,seed0", other).finished(Path(args.cache), other)


def test_pairs_are_better_before_worse(code):
    two = Group(tuple(Sample(Context("x"), Completion(text)) for text in "ab"), id="g")
    assert [s.completion.text for s in code.cell._pair(two, [0.1, 0.9], 0).samples] == ["b", "a"]
    assert [s.completion.text for s in code.cell._pair(two, [0.9, 0.1], 0).samples] == ["a", "b"]
    assert code.cell._pair(two, [0.5, 0.5], 0) is None
    assert code.cell._pair(two, [0.5, None], 0) is None


def test_the_held_out_scorer_reads_the_completion_alone(code):
    said = code.measure.scored(
        {"held_out": code.measure.afinn()},
        [
            Group(
                (Sample(Context("terrible"), Completion("superb")), Sample(Context(""), Completion("table")))
            )
        ],
    )
    assert said["held_out"] == [[5.0, 0.0]]


# -- the page ---------------------------------------------------------------------------


def test_the_page_is_made_of_the_cells(code, args, finished, tmp_path, capsys):
    result = tmp_path / "benchmarks" / "results" / "online_study.json"
    assert code.page.write_results(args, result, tmp_path) == 1  # cells are missing
    page = (tmp_path / "docs/results/online.md").read_text()
    stored = json.loads(result.read_text())
    assert {row["setting"] for row in stored["rows"]} == {"rloo", "offline-dpo"}
    end = next(row for row in stored["rows"] if row["setting"] == "rloo")["points"][-1]
    assert f"{end['reward'][0]:.2f} [{end['reward'][1]:.2f}, {end['reward'][2]:.2f}]" in page
    assert "cells are missing" in page and "| base model |" in page
    assert "## What matters in PPO" not in page  # nothing was measured of it
    assert "rloo" in (tmp_path / "docs/images/online_reward_kl.svg").read_text()
    assert "rloo" in capsys.readouterr().out
    assert all(len(line) <= 120 for line in page.splitlines() if not line.startswith(("|", "!")))


def test_best_of_n_grows_with_n(code, finished):
    best = code.summary.best_of([finished["best-of-n"]])
    assert [b["n"] for b in best] == [1, 2, 4, 8]  # twelve completions each
    assert best[-1]["completions"] == 8 * 5
    means = [b["reward"][0] for b in best]
    assert means == sorted(means) and means[0] < means[-1]
    every = [v for values in finished["best-of-n"]["scores"]["reward"] for v in values]
    assert means[0] == pytest.approx(sum(every) / len(every), abs=1e-4)


def _row(seed, scores, part="frontier"):
    points = [{"step": s, "kl": kl, "scores": {"reward": v}} for s, kl, v in scores]
    return {"setting": "x", "part": part, "seed": seed, "points": points}


def test_a_difference_is_paired_by_prompt(code):
    """Prompts differ much, methods little: paired, the interval leaves 0 out."""
    worth = [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]
    first = [_row(0, [(1, 1.0, [[w + 1 + 0.1 * (i % 2)] for i, w in enumerate(worth)])])]
    second = [_row(0, [(1, 1.0, [[w] for w in worth])])]
    mean, low, high = code.summary.difference(first, second, "reward")
    assert mean == pytest.approx(1.05) and 0.9 < low <= mean <= high < 1.2


def test_missing_scores_are_left_out_and_counted_out(code):
    rows = [_row(0, [(0, 0.0, [[0.5, None], [None, None], [1.0, 0.0]])])]
    assert code.summary.matrix(rows, 0, "reward") == pytest.approx(
        np.array([[0.5, np.nan, 0.5]]), nan_ok=True
    )
    task = [_row(0, [(0, 0.0, [[0.995], [0.01]])], part="tasks")]
    assert code.summary.matrix(task, 0, "reward").tolist() == [[1.0, 0.0]]


def test_intervals_know_that_seeds_differ(code):
    """Prompts alike, seeds apart: all the doubt is between seeds, and pooling prompts would not see it."""
    values_SP = np.repeat([[0.0], [1.0], [2.0]], 50, axis=1)
    mean, low, high = code.resample.interval_over(values_SP)
    assert mean == 1.0 and low < 0.4 and high > 1.6
    _, low, high = code.resample.interval_over(values_SP[1:2])
    assert low == high == 1.0


def test_intervals_hold_the_truth_about_as_often_as_they_say(code, monkeypatch):
    monkeypatch.setattr(code.resample, "RESAMPLES", 500)
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):  # one seed: prompts alone vary
        _, low, high = code.resample.interval_over(rng.normal(size=(1, 60)))
        held += low <= 0 <= high
    assert 364 <= held <= 390  # 91% to 97.5%


def test_missing_values_do_not_become_zero(code):
    values_SP = np.array([[1.0, np.nan, 1.0], [1.0, 1.0, np.nan]])
    assert code.resample.interval_over(values_SP) == [1.0, 1.0, 1.0]


def test_reward_at_a_kl_has_an_interval_over_draws(code):
    rows = []
    for seed, slope in enumerate((0.1, 0.2, 0.3)):
        points = [
            {
                "step": step,
                "kl": kl,
                "kls": [[kl]] * 4,
                "scores": {"reward": [[slope * math.sqrt(kl)]] * 4},
            }
            for step, kl in ((0, 0.0), (1, 4.0))
        ]
        rows.append({"setting": "x", "part": "frontier", "seed": seed, "points": points})
    mean, low, high = code.summary.interval_at(rows, 1.0)
    assert mean == pytest.approx(0.2) and low == pytest.approx(0.1) and high == pytest.approx(0.3)
    assert code.summary.interval_at(rows, 9.0) is None


def test_ppo_is_compared_after_as_many_rollouts(code):
    points = [{"step": step} for step in (0, 6, 12, 18, 24)]
    rows = [{"seed": seed, "points": points, "options": {"max_steps": 24}} for seed in range(3)]
    cut = code.summary.first_steps(rows, 0.5, [0, 1])
    assert [row["seed"] for row in cut] == [0, 1]
    assert [point["step"] for point in cut[0]["points"]] == [0, 6, 12]


def test_half_of_the_frontiers_ppo_is_as_long_as_an_ablation(code):
    settings = {s.name: s for s in code.plan.settings_of(code.main.arguments([]))}
    whole = settings["ppo"]
    for part in (s for s in settings.values() if s.part == "ppo"):
        assert part.rollouts * 2 == whole.rollouts
        options = code.plan.options_of(code.plan.Cell(part, 0), code.main.arguments([]))
        assert part.every * part.batch == whole.every * whole.batch  # measured at the same rollouts
        assert options["max_steps"] * part.batch == part.rollouts


def test_reward_at_a_kl_is_read_between_points(code):
    points = [{"kl": 0.0, "reward": [0.0]}, {"kl": 4.0, "reward": [0.2]}, {"kl": 16.0, "reward": [0.6]}]
    assert code.summary.reward_at(points, 4.0) == pytest.approx(0.2)
    assert code.summary.reward_at(points, 9.0) == pytest.approx(0.4)  # halfway in sqrt(KL)
    assert code.summary.reward_at(points, 20.0) is None


# -- the plan ---------------------------------------------------------------------------


def test_every_setting_is_one_that_trains(code, args):
    """Options are valid, a round is never left half used, and the budget is the same for all."""
    from charter.pipeline.recipe import train_options

    full = code.main.arguments([])
    for setting in code.plan.settings_of(full):
        if not setting.algorithm:
            continue
        options = train_options(
            setting.algorithm, code.plan.options_of(code.plan.Cell(setting, 0), full), setting.name
        )
        assert setting.steps % (getattr(options, "steps_per_generation", 1) * setting.updates) == 0
        assert getattr(options, "num_iterations", 1) == 1  # as many rollouts as steps times batch
        if setting.part == "frontier":
            assert (
                setting.rollouts * setting.updates == setting.steps * setting.batch == 768 * setting.updates
            )


def test_the_plan_keeps_to_three_hours(code):
    full = code.main.arguments([])
    tasks = [
        code.plan.Setting(
            f"grpo:{i}", "tasks", "grpo", options={"num_generations": 8}, rollouts=512, tokens=24, task="t"
        )
        for i in range(2)
    ]
    cells = [cell.setting for cell in code.plan.cells_of_study(full) if cell.setting.part != "tasks"]
    seconds = sum(code.work.work_of(setting, full).seconds for setting in [*cells, *tasks, *tasks])
    assert 3600 < seconds <= 3 * 3600
    assert "ppo-ema-reference" in code.work.plan(full, Path(full.cache))


@pytest.mark.parametrize("name", ["grpo", "grpo,0", "gropo,seed0"])
def test_a_wrong_cell_is_refused(code, args, name):
    with pytest.raises(ConfigError):
        code.plan.parse_cell(name, args)


def test_openings_are_neutral_and_held_out(code):
    from afinn import Afinn
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    train, held = (
        [json.loads(line)["prompt"] for line in file.read_text().splitlines()]
        for file in (code.plan.TRAIN, code.plan.HELD_OUT)
    )
    assert (len(train), len(held)) == (120, 64) and len({*train, *held}) == 184
    vader, afinn = SentimentIntensityAnalyzer(), Afinn()
    for opening in [*train, *held]:
        assert vader.polarity_scores(opening)["compound"] == 0 and afinn.score(opening) == 0


# -- tasks, toy, runner, frame --------------------------------------------------------------


def test_held_out_questions_are_not_trained_on(code):
    pytest.importorskip("reasoning_gym")
    from charter.environments.tasks import reasoning_gym_prompts

    spec = code.tasks.spec_of("chain_sum?min_terms=2&max_terms=2&min_digits=1&max_digits=2", "shots=2")
    trained = reasoning_gym_prompts(code.tasks.training_spec(spec))
    held = code.tasks.held_out_tasks(spec, 64)
    questions = [group.meta["reasoning_gym"]["question"] for group in held]
    assert len(set(questions)) == 64
    assert not {group.meta["reasoning_gym"]["question"] for group in trained} & set(questions)
    with pytest.raises(ValueError, match="not trained on"):
        code.tasks.held_out_tasks(spec, 5000)


def test_a_task_with_one_frequent_answer_is_found_out(code):
    pytest.importorskip("reasoning_gym")
    assert code.tasks.same_answer("reasoning-gym:gcd?min_value=1&max_value=60") > code.tasks.LUCK
    assert code.tasks.same_answer("reasoning-gym:spell_backward?min_word_len=3&max_word_len=4") < 0.05


def test_two_kinds_of_tasks_are_chosen_from_the_band(code):
    a, b, c = (f"reasoning-gym:{name}" for name in ("gcd?min_value=1", "lcm", "products"))
    assert code.tasks.choose([(a, 0.3), (f"{a}&max_value=9", 0.35), (b, 0.55), (c, 0.61)]) == [
        f"{a}&max_value=9",
        b,
    ]
    assert code.tasks.choose([(a, 0.3), (c, 0.7)]) == [a]
    assert code.tasks.choose([(a, 0.09), (c, 0.7)]) == []


def test_the_toy_knows_its_answers(code, monkeypatch):
    for name, value in (("COVERAGES", (8,)), ("FIT_STEPS", 300), ("ROUNDS", 60)):
        monkeypatch.setattr(code.toy, name, value)
    (row,) = code.toy.run_toy(seeds=1)
    policies = row["policies"]
    assert policies["reference"]["kl"] == pytest.approx(0, abs=1e-6)
    assert all(policy["unseen"] == 0 for policy in policies.values())
    # With every answer in pairs, the pairs say everything: all roads lead to the same policy.
    best = policies["optimum of the true worth"]["worth"]
    for name in ("dpo", "ppo", "optimum of the reward model"):
        assert policies[name]["worth"] == pytest.approx(best, abs=0.05)
    assert policies["reference"]["worth"] < best - 0.3


def test_the_runner_runs_what_is_missing_and_names_what_failed(code, tmp_path, capsys):
    cells = [SimpleNamespace(name=n, file=lambda cache, n=n: cache / f"{n}.json") for n in ("good", "bad")]

    def start(names):
        program = "import sys, pathlib; sys.argv[2] == 'good' and pathlib.Path(sys.argv[1]).touch()"
        file = tmp_path / f"{names[0]}.json"
        return subprocess.Popen([sys.executable, "-S", "-c", program, str(file), *names])

    code.runner.run_missing(cells, tmp_path, start)
    said = capsys.readouterr()
    assert (tmp_path / "good.json").exists() and "failed: bad" in said.err and "1/2" in said.out


def test_a_stopped_study_asks_its_worker_to_save_and_starts_no_other(tmp_path):
    worker = (
        "import pathlib, signal, sys, time\n"
        "here = pathlib.Path(sys.argv[1])\n"
        "signal.signal(signal.SIGINT, lambda *_: ((here / 'saved').touch(), sys.exit(130)))\n"
        "(here / 'began').touch()\n"
        "time.sleep(60)\n"
    )
    study = (
        "import pathlib, subprocess, sys, types\n"
        f"sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "import study_runner\n"
        "here = pathlib.Path(sys.argv[1])\n"
        "cells = [types.SimpleNamespace(name=n, file=lambda c: c / 'never') for n in 'ab']\n"
        "def start(names):\n"
        "    (here / f'cell {names[0]}').touch()\n"
        f"    said = [sys.executable, '-S', '-c', {worker!r}, str(here)]\n"
        "    return subprocess.Popen(said, start_new_session=True)\n"
        "study_runner.run_missing(cells, here, start)\n"
    )
    running = subprocess.Popen([sys.executable, "-c", study, str(tmp_path)], stderr=subprocess.PIPE)
    for _ in range(600):
        if (tmp_path / "began").exists():
            break
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 143 and b"run the same command again" in said
    assert (tmp_path / "saved").exists() and not (tmp_path / "cell b").exists()


def test_ticks_are_even_and_few(code):
    for low, high in ((0.0, 1.0), (-0.3, 7.7), (0.61, 0.69), (0.0, 130.0)):
        found = code.frame.even_ticks(low, high)
        assert 4 <= len(found) <= 13 and low <= found[0] and found[-1] <= high + 1e-9
