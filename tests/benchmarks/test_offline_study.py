"""The offline study on a tiny model: data, a cell, what a step costs, and the page made of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from charter.errors import ConfigError
from charter.testing import save_tiny

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def code():
    sys.path.insert(0, str(BENCHMARKS))
    import offline_study
    import study_cell
    import study_page
    import study_plan
    import study_time

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield SimpleNamespace(
        main=offline_study, cell=study_cell, page=study_page, plan=study_plan, time=study_time
    )
    torch.set_num_threads(threads)
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def args(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return SimpleNamespace(
        model=str(save_tiny(folder / "model", seed=0)),
        pairs=8,
        tokens=8,
        eval_prompts=4,
        learning_rate=1e-3,
        cache=str(folder / "cache"),
    )


class _Length:
    """Longer answers are better: the quickstart's rules hardly tell a random model's bytes apart."""

    def __call__(self, group):
        return [min(len(sample.completion.text) / 50, 1.0) for sample in group.samples]


@pytest.fixture(scope="module")
def measured(code, args):
    """Data, one pair cell and one unpaired cell, and two rounds of times of both methods."""
    Path(args.cache).mkdir()
    code.cell.Reward = _Length
    code.cell.make_data(args)
    cells = [code.plan.Cell("dpo", None, 0), code.plan.Cell("kto", None, 0)]
    code.cell.run_cells(cells, args)
    for name in ("dpo", "kto"):
        for number in (0, 1):
            code.time.run_timing(code.time.Timing(name, number), args)
    return cells


def test_a_cell_keeps_outcomes_and_no_cost(code, args, measured):
    row = json.loads(measured[0].file(Path(args.cache)).read_text())
    assert len(row["rewards"]) == len(row["wins"]) == 4
    assert row["steps"] == 1
    assert row["kl"] >= 0
    assert not {"seconds", "cpu_seconds", "memory_mib"} & set(row)


def test_costs_are_medians_and_ranges_over_rounds(code, args, measured):
    cost = code.time.costs(Path(args.cache))
    assert set(cost) == {"dpo", "kto"}
    for one in cost.values():
        middle, low, high = one["seconds"]
        assert one["rounds"] == 2
        assert 0 < low <= middle <= high
        assert one["memory_mib"][0] > 50


def test_the_page_says_what_is_missing_and_what_was_not_timed(code, args, measured, tmp_path):
    (tmp_path / "docs/results").mkdir(parents=True)
    (tmp_path / "src/charter/catalogue").mkdir(parents=True)
    cells = [*measured, code.plan.Cell("simpo", None, 0)]
    result = tmp_path / "offline_study.json"
    assert code.page.write_results(cells, Path(args.cache), result, tmp_path) == 1
    page = (tmp_path / "docs/results/offline.md").read_text()
    assert "1 cells are missing" in page
    assert "not measured" not in page
    found = json.loads(result.read_text())
    assert found["missing"] == ["simpo,default,seed0"]
    assert {row["algorithm"] for row in found["rows"]} == {"dpo", "kto"}
    catalogue = json.loads((tmp_path / "src/charter/catalogue/measured.json").read_text())
    assert catalogue["dpo"]["seconds_per_step"] > 0
    no_time = code.page.table([{**found["rows"][0], "cost": None}])
    assert "not measured" in no_time


def test_every_other_round_goes_backwards(code):
    names = [timing.algorithm for timing in code.time.timings(2)]
    half = len(names) // 2
    assert names[:half] == names[half:][::-1]
    assert {cell.algorithm for cell in code.plan.cells_of_study(1)} == set(names)


def test_names_of_cells_and_timings(code):
    for cell in code.plan.cells_of_study(1):
        assert code.plan.parse_cell(cell.name) == cell
    timing = code.time.Timing("dpo", 1)
    assert code.time.parse_timing(timing.name) == timing
    with pytest.raises(ConfigError, match="no algorithm 'dpoo'"):
        code.plan.parse_cell("dpoo,default,seed0")
