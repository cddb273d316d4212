"""The benchmark compares the same work: TRL's losses in float32 are ours, or the row is void."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from charter.errors import EnvironmentFault

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def code():
    sys.path.insert(0, str(BENCHMARKS))
    import common
    import trl_methods
    import trl_parts
    import trl_rows
    import trl_verdict
    import vs_trl

    yield SimpleNamespace(
        common=common,
        methods=trl_methods.METHODS,
        parts=trl_parts,
        rows=trl_rows,
        verdict=trl_verdict,
        main=vs_trl,
    )
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# -- the real trainers ----------------------------------------------------------


def run_all(code, method, folder):
    job = {"method": method, "steps": 2, "pairs": 4, "lengths": "check", "threads": 1}
    job |= {"folder": str(folder), "tuned_weights": "float32", "tuned_micro_batch": None}
    rows = code.rows.prepare({**job, **code.rows.LENGTHS["check"], "model": "tiny"})
    found = {}
    for part in code.main.VARIANTS:
        work = folder / part
        work.mkdir()
        found[part] = code.parts.run_part({**job, **rows, "part": part, "dtype": "fp32", "work": str(work)})
    return found


@pytest.fixture(scope="module")
def results(code, one_thread, tmp_path_factory):
    pytest.importorskip("trl")
    return run_all(code, "dpo", tmp_path_factory.mktemp("dpo"))


@pytest.mark.parametrize("method", ["sft", "kto", "rm"])
def test_other_methods_agree_with_trl_in_float32(code, one_thread, tmp_path, method) -> None:
    pytest.importorskip("trl")
    found = run_all(code, method, tmp_path)
    for peer in ("trl", "trl-tuned"):
        assert code.verdict.disagreement(found["charter"], found[peer], "fp32") is None
    ours = found["charter"]["losses"]
    assert ours[0] != ours[1]


@pytest.mark.parametrize("peer", ["trl", "trl-tuned"])
def test_losses_agree_with_trl_in_float32(code, results, peer) -> None:
    ours, theirs = results["charter"], results[peer]
    assert ours["ids"] == theirs["ids"]
    assert ours["losses"][0] == pytest.approx(math.log(2), abs=1e-6)
    assert ours["losses"] == pytest.approx(theirs["losses"], abs=1e-4)
    # The step moved the model: equal losses are not merely ln 2 twice.
    assert abs(ours["losses"][1] - math.log(2)) > 1e-5
    assert ours["grad_norms"] == pytest.approx(theirs["grad_norms"], rel=1e-4)
    assert code.verdict.disagreement(ours, theirs, "fp32") is None


def test_everyone_reports_the_same_fields(code, results) -> None:
    tokens = [step["tokens"] for step in results["charter"]["steps"]]
    for part, result in results.items():
        assert result["variant"] == part
        assert result["peak_mib"] > 0
        assert code.verdict.tokens_per_second(result) > 0
        assert [step["tokens"] for step in result["steps"]] == tokens
        assert all(step["wall"] > 0 and step["cpu"] > 0 and step["computed"] > 0 for step in result["steps"])
        summary = code.verdict.summary([result])
        assert summary["wall_s_per_step"] > 0
        json.dumps(summary, allow_nan=False)


def test_the_reference_pass_is_timed_where_it_is_one(results) -> None:
    assert results["charter"]["reference"]["wall"] > 0
    assert results["trl-tuned"]["reference"]["wall"] > 0
    assert results["trl"]["reference"]["wall"] == 0  # on the fly, inside the steps


def test_padding_is_counted_as_computed_not_as_throughput(results) -> None:
    def per_token(part: str) -> float:
        steps = results[part]["steps"]
        return sum(s["computed"] for s in steps) / sum(s["tokens"] for s in steps)

    assert per_token("charter") < 1 < per_token("trl-tuned") < per_token("trl")


# -- rows -------------------------------------------------------------------------


def test_rows_have_exactly_the_wanted_lengths_and_are_deterministic(code, tmp_path) -> None:
    texts = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        job = {
            "method": "dpo",
            "steps": 2,
            "pairs": 3,
            "lengths": "equal",
            "folder": str(folder),
            "model": "tiny",
        }
        made = code.rows.prepare({**job, **code.rows.LENGTHS["equal"]})
        texts.append(Path(made["rows"]).read_text(encoding="utf-8"))
    assert texts[0] == texts[1]
    rows = [json.loads(line) for line in texts[0].splitlines()]
    assert len(rows) == 6
    for row in rows:  # one token a byte, and eos after each answer
        assert [len(row[k].encode()) for k in ("prompt", "chosen", "rejected")] == [128, 127, 127]
    assert len({row["chosen"] for row in rows}) == 6


def test_lognormal_lengths_stay_within_the_cap(code) -> None:
    import random

    job = {"steps": 50, "pairs": 8, **code.rows.LENGTHS["lognormal"]}
    lengths = list(code.rows._lengths(job, random.Random(0)))
    assert len(lengths) == 400
    assert all(p + max(a, b) <= 512 and min(p, a, b) >= 8 for p, a, b in lengths)
    prompts, answers = sorted(p for p, _, _ in lengths), sorted(a for _, a, _ in lengths)
    assert 55 < prompts[200] < 75
    assert 82 < answers[200] < 112


# -- verdicts ---------------------------------------------------------------------


def made_up(variant: str, seconds: float, reference: float = 0.0, mib: float = 100.0):
    step = {"cpu": seconds, "tokens": 600, "computed": 600}
    return {
        "method": "dpo",
        "variant": variant,
        "ids": "same",
        "losses": [math.log(2), 0.68],
        "grad_norms": [40.0, 30.0],
        "steps": [{"wall": 99.0, **step}, {"wall": seconds, **step}],
        "reference": {"wall": reference, "cpu": reference},
        "peak_mib": mib,
        "loaded_mib": mib,
        "settings": {},
    }


def a_round(ours: float, peer: float, tuned: float):
    return {
        "charter": made_up("charter", ours),
        "trl": made_up("trl", peer, mib=250.0),
        "trl-tuned": made_up("trl-tuned", tuned, reference=2.0),
    }


def test_ratios_are_taken_within_a_round(code) -> None:
    rows = code.verdict.rows_of("equal", [a_round(1, 4, 2), a_round(2, 12, 4), a_round(4, 16, 8)])
    throughput, tuned, memory = rows
    assert [r["name"] for r in rows] == ["throughput/equal", "throughput-tuned/equal", "memory/equal"]
    assert (throughput["ours"], throughput["peer"]) == (300, 50)  # medians of 600, 300, 150 and 150, 50, 37.5
    assert throughput["ratio"] == 4  # median of 4, 6, 4: not 300 / 50
    assert throughput["ratio_range"] == [4, 6]
    # Half of the peer's reference pass belongs to the measured step: 2 s + 1 s against 1 s.
    assert tuned["ratio_range"] == [2.25, 3]
    assert memory["ratio"] == 0.4
    assert "4.00 to 6.00" in code.common.table(rows)


@pytest.mark.parametrize(
    ("variant", "changes", "reason"),
    [
        ("trl", {"ids": "other"}, "token ids"),
        ("trl", {"losses": [math.log(2), 0.78]}, "differ by 0.1"),
        ("trl", {"grad_norms": [41.0, 30.0]}, "first gradient are 40 and 41"),
        ("trl", {"grad_norms": [math.nan, 30.0]}, "first gradient are 40 and nan"),
        ("trl", {"losses": [0.75, 0.68]}, "not 0.693147"),
        ("trl", {"losses": [math.log(2), math.nan]}, "differ by nan"),
        ("charter", {"losses": [math.nan, 0.68]}, "not 0.693147"),
    ],
)
def test_a_row_is_void_when_the_work_was_not_the_same(code, variant, changes, reason) -> None:
    last = a_round(1, 4, 2)
    last[variant] |= changes
    row = code.verdict.rows_of("equal", [a_round(1, 4, 2), last])[0]
    assert reason in row["void"]
    assert row["ratio"] is None
    assert "void: " in code.common.table([row])


def test_a_busy_machine_is_called_busy(code) -> None:
    def runs(*cores):
        return [{"neighbours": {"cores_used_by_others": value}} for value in cores]

    assert code.common.idle(0.1, runs(0.0, 0.05))["idle"] is True
    assert code.common.idle(0.1, runs(0.0, 0.5))["idle"] is False
    assert code.common.idle(2.0, runs(0.0, 0.0))["idle"] is True  # a load from before, nobody meanwhile
    assert code.common.idle(2.0, runs(None))["idle"] is False


# -- keeping what is done ---------------------------------------------------------


def jobs(code, folder: Path, script: str, fresh: bool = False):
    path = folder / "script.py"
    path.write_text(script)
    return code.common.Jobs(folder / "kept", path, {"a": 1}, packages=(), threads=1, fresh=fresh)


def test_a_finished_part_is_not_computed_again(code, tmp_path) -> None:
    script = "import os, sys\nopen(sys.argv[3], 'w').write('{\"pid\": %d}' % os.getpid())\n"
    first = jobs(code, tmp_path, script).run("part", {"part": "x"})
    assert jobs(code, tmp_path, script).run("part", {"part": "x"}) == first
    assert jobs(code, tmp_path, script, fresh=True).run("part", {"part": "x"}) != first


def test_a_failed_part_says_why_and_leaves_nothing(code, tmp_path) -> None:
    failing = jobs(code, tmp_path, "raise SystemExit('no memory left')")
    with pytest.raises(EnvironmentFault, match="no memory left"):
        failing.run("part", {"part": "x"})
    assert not failing.known("part")


def test_the_parent_stays_small() -> None:
    # A child's ru_maxrss is at least what its parent held when it was started.
    heavy = "sorted(m for m in ('torch', 'transformers', 'trl', 'numpy') if m in sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", f"import sys, vs_trl; print({heavy})"],
        cwd=BENCHMARKS,
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == "[]"
