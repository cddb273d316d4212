"""The decoding benchmark asks every engine for the same, and counts tokens alike."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MEAN, MOST = 10, 40
JOB = {"model": "tiny", "prompt": 12, "mean": MEAN, "most": MOST, "calls": 2, "count": 64, "rows": 16}
JOB |= {"threads": 1, "vllm_eager": False}


@pytest.fixture(scope="module")
def code():
    sys.path.insert(0, str(BENCHMARKS))
    import decode
    import decode_parts
    import vllm_peer

    yield SimpleNamespace(main=decode, parts=decode_parts, vllm=vllm_peer)
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def results(code, tmp_path_factory):
    import torch

    before = torch.get_num_threads()
    folder = tmp_path_factory.mktemp("decode")
    data = code.parts.run_part({**JOB, "part": "prepare", "folder": str(folder)})
    yield {part: code.parts.run_part({**JOB, **data, "part": part}) for part in ("charter", "generate")}
    torch.set_num_threads(before)


def test_every_engine_samples_answers_of_the_same_skewed_lengths(code, results) -> None:
    stop = round(258 / MEAN) / 258
    expected = (1 - (1 - stop) ** MOST) / stop
    for result in results.values():
        assert len(result["calls"]) == 2
        mean = code.main.mean_tokens(result) / 64
        assert mean == pytest.approx(expected, rel=4 / (2 * 64) ** 0.5)
        assert 2 * mean < max(call["longest"] for call in result["calls"]) <= MOST
        assert all(call["wall"] > 0 for call in result["calls"])
        assert result["peak_mib"] > 0
    row = code.main.compared("generate", 16, [results])
    assert row["name"] == "generate-b16"
    assert row["ratio"] == pytest.approx(row["ours"] / row["peer"], rel=1e-3)


def test_lengths_count_the_token_that_ends_an_answer(code) -> None:
    import torch

    made = torch.tensor([[5, 9, 1, 1], [9, 1, 1, 1], [5, 5, 5, 9], [5, 5, 5, 5]])
    assert code.parts._lengths(made, torch.tensor([9, 8])) == [2, 1, 4, 4]


def made_up(*speeds: float, sampled: int = 1000):
    return {"answers": 500, "calls": [{"sampled": sampled, "wall": sampled / speed} for speed in speeds]}


def test_speeds_are_tokens_over_seconds_of_all_calls(code) -> None:
    rounds = [{"charter": made_up(400, 400), "vllm": made_up(200, 600)}] * 3
    row = code.main.compared("vllm", 8, rounds)
    assert row["ours"] == 400
    assert row["peer"] == pytest.approx(statistics.harmonic_mean([200, 600]))
    assert row["better"] == "higher"


def test_other_lengths_are_void(code) -> None:
    rounds = [{"charter": made_up(400), "generate": made_up(400, sampled=1500)}]
    assert (
        code.main.compared("generate", 8, rounds)["void"] == "calls sampled 1000 and 1500 tokens on average"
    )
    few = [{"charter": {**made_up(400), "answers": 8}, "generate": made_up(400, sampled=1500)}]
    assert "void" not in code.main.compared("generate", 8, few)  # chance alone does as much


def test_vllm_is_asked_for_the_same(code) -> None:
    job = {**JOB, "model": "folder"}
    order = code.parts.vllm_order(job, {"prompts": [[1, 2]], "stop_ids": [3]})
    assert order["max_tokens"] == MOST
    assert order["max_length"] == 12 + MOST
    assert order["stop_token_ids"] == [3]
    assert order["rows"] == 16
    assert order["calls"] == [{"prompts": [[1, 2]], "n": 1}] * 2


def test_a_vllm_that_cannot_run_is_an_error(code, tmp_path, monkeypatch) -> None:
    from charter.errors import EnvironmentFault

    monkeypatch.setattr(code.vllm, "FOLDER", tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    with pytest.raises(EnvironmentFault, match="exit code 1"):
        code.vllm.generate({**JOB, "work": str(tmp_path)}, {"model": "nowhere", "calls": []})
