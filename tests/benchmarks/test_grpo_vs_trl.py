"""The GRPO benchmark compares the same work: TRL's loss and gradient are ours, or the row is void."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SMALL = {
    "model": "tiny",
    "lengths": [12],
    "groups": 2,
    "generations": 4,
    "new_tokens": 6,
    "tuned_weights": "float32",
    "vllm_eager": False,
    "rounds": 6,
    "threads": 1,
    "seed": 0,
    "dtype": "fp32",
    "reward": "letters",
}


@pytest.fixture(scope="module")
def code():
    sys.path.insert(0, str(BENCHMARKS))
    import common
    import grpo_data
    import grpo_parts
    import grpo_rows
    import grpo_vs_trl
    import grpo_watch

    yield SimpleNamespace(
        common=common,
        data=grpo_data,
        parts=grpo_parts,
        rows=grpo_rows,
        watch=grpo_watch,
        main=grpo_vs_trl,
    )
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(code, one_thread, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return code.parts.run_part({**SMALL, "part": "prepare", "folder": str(folder)})


@pytest.fixture(scope="module")
def run(code, data, tmp_path_factory):
    pytest.importorskip("trl")

    def run(part, task, kind, **more):
        job = {**SMALL, "model": data["model"], "prompts": data["prompts"][kind], **more}
        job |= {"completions": data["completions"], "work": str(tmp_path_factory.mktemp(part))}
        return code.parts.run_part({**job, "part": part, "task": task})

    return run


@pytest.fixture(scope="module")
def checked(code, run):
    return {v: run(v, "check", "check", steps=2, sketch=True) for v in code.main.VARIANTS}


# -- the real trainers ----------------------------------------------------------


@pytest.mark.parametrize("peer", ["trl", "trl-tuned"])
def test_loss_and_gradient_are_trls_in_float32(code, checked, peer) -> None:
    ours, theirs = checked["charter"], checked[peer]
    assert code.rows.disagreement(ours, theirs, "fp32") is None
    found = code.rows.agreement(ours, theirs, "fp32")
    assert found["largest_loss_gap"] < 1e-6
    assert found["gradient_gap"] < 1e-5
    # Answers of many lengths: the loss is not the zero that equal lengths would make of it.
    assert abs(found["losses"][0][0]) > 1e-3
    assert found["gradient_norms"][0] == pytest.approx(ours["steps"][0]["grad_norm"], rel=1e-4)


def test_another_gradient_is_seen(code, checked, run) -> None:
    other = run("charter", "check", "check", steps=2, sketch=True, reward="digits")
    why = code.rows.disagreement(other, checked["trl"], "fp32")
    assert why is not None
    assert "advantages" in why


def test_a_step_has_three_phases_and_the_same_tokens_on_both_sides(code, run) -> None:
    found = {v: run(v, "step", "12", steps=2) for v in ("charter", "trl")}
    for result in found.values():
        assert len(result["steps"]) == 2
        for step in result["steps"]:
            assert step["wall"] == pytest.approx(sum(step[phase] for phase in code.watch.PHASES), abs=1e-3)
            assert all(step[phase] > 0 for phase in code.watch.PHASES)
            assert step["sampled"] == 2 * 4 * 6
            assert 0 <= step["reward"] < 1
        json.dumps(code.rows.summary([result]), allow_nan=False)
    # Prompts are computed once for their answers here, once for each there.
    ours, theirs = (found[v]["steps"][1]["computed"] for v in ("charter", "trl"))
    assert ours < theirs == 2 * 4 * (12 + 6)


@pytest.mark.parametrize("part", ["charter", "trl"])
def test_training_ends_when_the_reward_is_reached(code, run, part) -> None:
    reached = run(part, "reward", "reward", steps=6, target=-1.0)
    assert reached["reached"]
    assert len(reached["steps"]) == code.watch.WINDOW
    never = run(part, "reward", "reward", steps=5, target=2.0)
    assert not never["reached"]
    assert len(never["steps"]) == 5
    assert code.rows.seconds_to_reward(never) is None
    assert code.rows.seconds_to_reward(reached) > 0


# -- data -----------------------------------------------------------------------


def test_prompts_have_the_wanted_tokens_and_answers_no_end(code, data) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(data["model"])
    for line in Path(data["prompts"]["12"]).read_text(encoding="utf-8").splitlines():
        assert len(tokenizer(json.loads(line)["prompt"])["input_ids"]) == 12
    rows = json.loads(Path(data["completions"]).read_text(encoding="utf-8"))
    lengths = [len(ids) for row in rows for ids in row["completions"]]
    assert len(lengths) == 8
    assert len(set(lengths)) > 3
    assert "<|im_end|>" not in tokenizer.chat_template
    assert tokenizer.eos_token != "<|im_end|>"


def test_rewards(code) -> None:
    assert code.data.digits(["12ab", "", "7"]) == [0.5, 0.0, 1.0]
    assert code.data.letters(["eel!", "xyz"]) == [0.5, 0.0]


# -- gradients ------------------------------------------------------------------


def test_a_sketch_keeps_distance_and_angle(code) -> None:
    import torch

    torch.manual_seed(0)
    ours = {f"layer.{i}": torch.nn.Parameter(torch.zeros(50, 40)) for i in range(60)}
    theirs = {name: torch.nn.Parameter(torch.zeros(50, 40)) for name in ours}
    for name in ours:
        ours[name].grad = torch.randn(50, 40)
        theirs[name].grad = ours[name].grad + 0.3 * torch.randn(50, 40)
    a, b = code.watch.sketch(ours), code.watch.sketch(theirs)
    flat = [torch.cat([p.grad.flatten() for p in side.values()]) for side in (ours, theirs)]
    assert a["norm"] == pytest.approx(float(flat[0].norm()), rel=1e-5)
    distance, cosine = code.watch.gradient_gap(a, b)
    assert distance == pytest.approx(float((flat[0] - flat[1]).norm() / flat[1].norm()), rel=0.1)
    assert cosine == pytest.approx(float(torch.cosine_similarity(*flat, dim=0)), abs=0.02)


# -- verdicts ---------------------------------------------------------------------


def made_up(seconds: float, sampled: int = 512, reached: bool = True):
    step = {"sampling": seconds / 2, "scoring": 0.0, "update": seconds / 2, "wall": seconds, "cpu": seconds}
    step |= {"sampled": sampled, "computed": 600, "loss": 0.1, "grad_norm": 2.0, "reward": 0.5}
    return {
        "ids": ["same"],
        "advantages": [[1.0, -1.0]],
        "gradient": {"norm": 5.0, "sketch": [3.0, 4.0]},
        "steps": [{**step, "wall": 99.0}, step, step],
        "peak_mib": 100 * seconds,
        "reached": reached,
        "settings": {},
    }


def a_round(ours: float, trl: float, tuned: float, vllm: float = 1.0):
    calls = [{"wall": 50.0, "sampled": 512}, {"wall": vllm, "sampled": 512}]
    return {
        "charter": made_up(ours),
        "trl": made_up(trl),
        "trl-tuned": made_up(tuned),
        "vllm": {"calls": calls},
    }


def test_rows_leave_out_the_first_step(code) -> None:
    voids = {"trl": None, "trl-tuned": "fp32: losses differ"}
    rows = {r["name"]: r for r in code.rows.step_rows("p32", [a_round(2, 8, 4), a_round(2, 12, 4)], voids)}
    assert rows["step/p32"]["ours"] == 2
    assert rows["step/p32"]["ratio_range"] == [pytest.approx(1 / 6, rel=1e-4), 0.25]
    assert rows["memory/p32"]["peer"] == 1000
    assert rows["step-tuned/p32"]["void"] == "fp32: losses differ"


def test_less_work_is_void(code) -> None:
    one = a_round(2, 8, 4)
    one["trl"] = made_up(8, sampled=400)
    row = code.rows.step_rows("p32", [one], {"trl": None, "trl-tuned": None})[0]
    assert row["void"] == "512 and 400 tokens were sampled"


def test_a_step_with_vllm_is_its_sampling_and_the_tuned_peers_rest(code) -> None:
    sampling, step = code.rows.vllm_rows("p32", [a_round(2, 8, 4, vllm=0.5)], None)
    assert (sampling["ours"], sampling["peer"]) == (1, 0.5)
    assert (step["ours"], step["peer"]) == (2, 2.5)


def test_seconds_to_a_reward_are_over_seeds(code) -> None:
    seeds = [a_round(s, 4 * s, 2 * s) for s in (1, 2, 3, 4, 5)]
    row = code.rows.reward_row("time-to-reward", seeds, "trl", None)
    assert row["ours"] == 99 + 2 * 3
    assert row["ours_quartiles"] == [103, 107]
    assert row["peer_steps"] == [3] * 5
    seeds[1]["trl"]["reached"] = False
    assert "did not get there with 1 of 5" in code.rows.reward_row("x", seeds, "trl", None)["void"]


@pytest.mark.parametrize(
    ("changes", "dtype", "reason"),
    [
        ({"ids": ["other"]}, "fp32", "token ids"),
        ({"advantages": [[1.0, -0.9]]}, "fp32", "advantages differ by 0.1"),
        ({"advantages": [[1.0, math.nan]]}, "fp32", "advantages differ"),
        ({"gradient": {"norm": 5.0, "sketch": [3.0, 4.01]}}, "fp32", "gradients differ by 0.002"),
        ({"gradient": {"norm": 5.0, "sketch": [4.0, 3.0]}}, "bf16", "cosine of the gradients is 0.96"),
        ({"gradient": {"norm": 5.0, "sketch": [3.0, math.nan]}}, "bf16", "cosine of the gradients is nan"),
    ],
)
def test_other_work_is_void(code, changes, dtype, reason) -> None:
    ours = made_up(1)
    assert code.rows.disagreement(ours, copy.deepcopy(ours), dtype) is None
    assert reason in code.rows.disagreement(ours, {**ours, **changes}, dtype)


@pytest.mark.parametrize("name", ["loss", "grad_norm"])
def test_other_curves_are_void(code, name) -> None:
    ours, theirs = made_up(1), made_up(1)
    theirs["steps"] = [*theirs["steps"][:2], {**theirs["steps"][2], name: 0.2}]
    assert code.rows.disagreement(ours, theirs, "fp32") is not None
    assert code.rows.disagreement(ours, theirs, "bf16") is None


def test_the_parents_stay_small() -> None:
    heavy = "sorted(m for m in ('torch', 'transformers', 'trl', 'numpy') if m in sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", f"import sys, grpo_vs_trl, decode; print({heavy})"],
        cwd=BENCHMARKS,
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == "[]"
