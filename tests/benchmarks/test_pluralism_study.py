"""The pluralism study on a tiny model: its data, one cell of each kind, and the page made of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from charter.data.formats import load_groups
from charter.testing import save_tiny
from charter.testing.survey import PEOPLE

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def code():
    sys.path.insert(0, str(BENCHMARKS))
    import pluralism_cells
    import pluralism_data
    import pluralism_page
    import pluralism_study

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield SimpleNamespace(
        cells=pluralism_cells, data=pluralism_data, page=pluralism_page, study=pluralism_study
    )
    torch.set_num_threads(threads)
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def study(code, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    budget = code.data.Budget(
        questions=6,
        sizes=(0, 2),
        targets=3,
        gpo_steps=4,
        gpo_width=16,
        gpo_layers=1,
        pairs=26,
        votes=2,
        seeds=1,
    )
    model = save_tiny(str(folder / "tiny"), max_position_embeddings=2048)
    return code.cells.Study(model, folder / "cache", budget, bf16=False)


def test_quotas_sum_up_and_follow_the_shares(code):
    assert code.data.quotas([0.5, 0.3, 0.2], 10) == [5, 3, 2]
    assert code.data.quotas([1 / 3, 1 / 3, 1 / 3], 4) == [2, 1, 1]
    assert sum(code.data.quotas([0.07, 0.93], 3)) == 3


def test_preferences_follow_shares_and_groups_their_sizes(code):
    survey = code.data.people(code.data.Budget())
    rows = code.data.pairs(survey, survey.questions, 400, 0)
    assert len(rows) == 400
    count = {one.name: sum(row["group"] == one.name for row in rows) for one in PEOPLE}
    assert count[PEOPLE[0].name] > 4 * count["artists who live together"] > 0
    assert all(row["group"] in row["prompt"][0]["content"] for row in rows)
    assert len(load_groups(rows, "preference").groups) == 400
    import numpy as np

    rng = np.random.default_rng(0)
    won = [code.data.drawn_pair((0.8, 0.2), rng)[0] for _ in range(2000)]
    assert won.count(0) / 2000 == pytest.approx(0.8, abs=0.03)


def test_beliefs_are_letters_in_the_order_shown(code):
    survey = code.data.people(code.data.Budget(questions=6))
    crowd = code.data.everyone(survey)
    for row in code.data.pooled(crowd, survey.questions, 30, 0, beliefs=True):
        text = row["prompt"][0]["content"]
        held = row["beliefs"][row["belief"]]
        assert f"{held}. {row['chosen'][0]['content']}" in text
        assert row["chosen"] != row["rejected"]
        assert sum(row["p_star"]) == pytest.approx(1.0)


def test_every_cell_runs_is_kept_and_makes_the_page(code, study, tmp_path):
    cells = code.cells.cells_of(study.budget)
    kinds = {}
    for cell in cells:
        kinds.setdefault(
            "/".join(cell.name.split("/")[:2])
            if "skew" in cell.name or "robust" in cell.name
            else cell.name.split("/")[0],
            cell,
        )
    chosen = list(kinds.values())
    assert {cell.name.split("/")[0] for cell in chosen} == {
        "gpo",
        "in-context",
        "fine-tuned",
        "skew",
        "robust",
    }
    code.study.run_missing(chosen, study)
    assert code.study.missing_of(chosen, study.cache) == []
    assert any("0 of 1 cells left" in line for line in code.study.plan_lines(chosen, study.cache))
    before = chosen[0].file(study.cache).stat().st_mtime_ns
    code.study.run_missing(chosen, study)
    assert chosen[0].file(study.cache).stat().st_mtime_ns == before
    page = tmp_path / "pluralism.md"
    code.study.finish(cells, study, page)
    text = page.read_text("utf-8")
    assert f"{len(chosen)} of {len(cells)} cells are measured" in text
    (gpo,) = [line for line in text.splitlines() if line.startswith("| gpo |")]
    assert "not measured" not in gpo
    (tuned,) = [line for line in text.splitlines() if line.startswith("| fine-tuned |")]
    assert "1 of 4 groups" in tuned
    for name in ("dpo", "gdpo", "gr-dpo", "untrained"):
        assert f"| {name} |" in text


def test_a_robust_run_keeps_the_weights_of_groups(code, study):
    cell = next(one for one in code.cells.cells_of(study.budget) if one.name == "robust/gr-dpo/seed0")
    found = cell.file(study.cache)
    if not found.exists():
        code.study.run_missing([cell], study)
    weights = json.loads(found.read_text("utf-8"))["weights"]
    assert len(weights) > 5
    assert set(weights) <= {one.name for one in PEOPLE}
    assert sum(weights.values()) == pytest.approx(1.0, abs=1e-6)


def test_the_plan_is_printed(code, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["study", "--plan", "--cache", str(tmp_path)])
    assert code.study.main() == 0
    assert "in all: 28 cells" in capsys.readouterr().out
