"""The pluralism study on a tiny model: its data, one cell of each kind, and the page made of them."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from charter.data.formats import load_groups
from charter.errors import ConfigError, DataError, UserError
from charter.testing import save_tiny
from charter.testing.survey import PEOPLE, true_shares

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
PARTS = (
    *("budget", "cells", "data", "few", "many", "model", "page", "plots", "study", "summary", "tables"),
    "version",
)


@pytest.fixture(scope="module")
def code():
    sys.path.insert(0, str(BENCHMARKS))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield SimpleNamespace(**{name: __import__(f"pluralism_{name}") for name in PARTS})
    torch.set_num_threads(threads)
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def study(code, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    budget = code.budget.Budget(
        questions=15,
        sizes=(0, 2),
        gpo_steps=3,
        gpo_width=16,
        gpo_layers=1,
        gpo_rates=(1e-3,),
        tuned_rates=(1e-3, 2e-3),
        gpo_folds=2,
        tuned_on=1,
        pairs=26,
        votes=2,
        seeds=1,
        draws=3,
        model_draws=1,
    )
    model = save_tiny(str(folder / "tiny"), max_position_embeddings=2048)
    return code.model.Study(model, folder / "cache", budget, bf16=False)


@pytest.fixture(scope="module")
def measured(code, study):
    """One cell of each kind and method, with all that they rest on."""
    cells = code.cells.cells_of(study.budget)
    wanted = [cell for cell in cells if cell.kind != "fine-tuned"]
    wanted += [cell for cell in cells if cell.name.startswith("fine-tuned/nurses")]
    code.study.run_missing(wanted, study)
    return cells, wanted, code.study.known(cells, study.cache)


# -- data --------------------------------------------------------------------------------------------


def test_quotas_sum_up_and_follow_the_shares(code):
    assert code.data.quotas([0.5, 0.3, 0.2], 10) == [5, 3, 2]
    assert code.data.quotas([1 / 3, 1 / 3, 1 / 3], 4) == [2, 1, 1]
    assert sum(code.data.quotas([0.07, 0.93], 3)) == 3


def test_preferences_follow_shares_and_groups_their_sizes(code):
    survey = code.data.people(code.budget.Budget())
    rows = code.data.pairs(survey, survey.questions, 400, 0)
    assert len(rows) == 400
    count = {one.name: sum(row["group"] == one.name for row in rows) for one in PEOPLE}
    assert count[PEOPLE[0].name] > 4 * count["artists who live together"] > 0
    assert all(row["group"] in row["prompt"][0]["content"] for row in rows)
    assert len(load_groups(rows, "preference").groups) == 400
    rng = np.random.default_rng(0)
    won = [code.data.drawn_pair((0.8, 0.2), rng)[0] for _ in range(2000)]
    assert won.count(0) / 2000 == pytest.approx(0.8, abs=0.03)


def crowd_of(code, budget):
    survey = code.data.people(budget)
    return code.data.everyone(survey), survey.questions


def test_beliefs_are_letters_in_the_order_shown(code):
    crowd, questions = crowd_of(code, code.budget.Budget(questions=6))
    for row in code.data.rows_of_votes(code.data.votes_of(crowd, questions, 30, 0), "gdpo"):
        text = row["prompt"][0]["content"]
        held = row["beliefs"][row["belief"]]
        assert f"{held}. {row['chosen'][0]['content']}" in text
        assert row["chosen"] != row["rejected"]
        assert sum(row["p_star"]) == pytest.approx(1.0)


def test_gdpo_is_told_what_the_votes_tell_and_not_the_answer_key(code):
    crowd, questions = crowd_of(code, code.budget.Budget(questions=6))
    drawn = code.data.votes_of(crowd, questions, 60, 0)
    told = code.data.estimated(drawn)
    for one in questions:
        counts = [
            sum(vote.held == index for vote in drawn if vote.question == one)
            for index in range(len(one.options))
        ]
        smoothed = [(count + 0.5) / (10 + 0.5 * len(counts)) for count in counts]
        assert told[one.text] == pytest.approx(smoothed)
        assert told[one.text] != pytest.approx(crowd.shares["everyone"][one.text], abs=1e-3)
    for vote, row in zip(drawn, code.data.rows_of_votes(drawn, "gdpo"), strict=True):
        assert row["p_star"] == pytest.approx([told[vote.question.text][index] for index in vote.order])
    many = code.data.votes_of(crowd, questions[:1], 4000, 0)
    (found,) = code.data.estimated(many).values()
    assert found == pytest.approx(crowd.shares["everyone"][questions[0].text], abs=0.03)


def test_every_method_is_trained_on_the_same_votes(code):
    crowd, questions = crowd_of(code, code.budget.Budget(questions=6))
    drawn = code.data.votes_of(crowd, questions, 30, 0)
    gdpo, dpo, sft = (code.data.rows_of_votes(drawn, name) for name in ("gdpo", "dpo", "sft"))
    for one, other, third in zip(gdpo, dpo, sft, strict=True):
        assert one["prompt"] == other["prompt"] == third["prompt"]
        assert one["beliefs"][one["belief"]] == other["chosen"][0]["content"]
        assert other["chosen"] == third["completion"]
        rejected = f"{other['rejected'][0]['content']}. {one['rejected'][0]['content']}"
        assert rejected in one["prompt"][0]["content"]


def test_known_answers_are_drawn_anew_and_are_never_targets(code):
    survey = code.data.people(code.budget.Budget())
    targets = {one.text for one in code.data.split_of_questions(survey)[1]}
    group = code.data.HELD_OUT[0]
    draws = [code.data.known_questions(survey, group, 10, draw) for draw in range(4)]
    assert len({tuple(one) for one in draws}) == 4
    for draw, one in enumerate(draws):
        assert len(set(one)) == 10 and not set(one) & targets
        assert code.data.known_questions(survey, group, 2, draw) == one[:2]
    assert code.data.known_questions(survey, code.data.HELD_OUT[1], 10, 0) != draws[0]


# -- cells -------------------------------------------------------------------------------------------


def test_every_cell_runs_and_is_kept(code, study, measured):
    _, wanted, found = measured
    assert set(found) == {cell.name for cell in wanted}
    assert {cell.kind for cell in wanted} == set(code.study.MINUTES)
    assert any("0 of 1 cells left" in line for line in code.study.plan_lines(wanted[:1], study.cache))
    before = wanted[0].file(study.cache).stat().st_mtime_ns
    code.study.run_missing(wanted, study)
    assert wanted[0].file(study.cache).stat().st_mtime_ns == before


def test_all_predictors_are_asked_the_same_of_the_same_groups(code, study, measured):
    units = code.summary.few_units(measured[2])
    targets = {one.text for one in code.data.split_of_questions(code.data.people(study.budget))[1]}
    assert len(targets) == 5
    for (name, _, known), values in units.items():
        assert {text for _, text, _ in values} == targets, name
        groups = {group for group, _, _ in values}
        tuned = name == "fine-tuned" and known
        assert groups == ({"nurses and carers"} if tuned else set(code.data.HELD_OUT)), name
    assert code.summary.draws_of(units["gpo", "unasked", 2]) == 3
    assert code.summary.draws_of(units["in-context", "", 2]) == 1
    assert units["fine-tuned", "", 0] == units["in-context", "", 0]


def test_where_training_groups_were_not_asked_their_mean_is_not_known(code, measured):
    units = code.summary.few_units(measured[2])
    assert units["group mean", "unasked", 2] == units["uniform", "unasked", 2]
    assert units["group mean", "asked", 2] != units["uniform", "asked", 2]


def test_learning_rates_are_chosen_on_training_groups_alone(code, study, measured):
    _, _, found = measured
    for name in ("choose/gpo/0.001", "choose/fine-tuned/0.001", "choose/fine-tuned/0.002"):
        assert found[name]["left_out"] and not set(found[name]["left_out"]) & set(code.data.HELD_OUT)
    assert len(found["choose/gpo/0.001"]["left_out"]) == study.budget.gpo_folds == 2
    best = min((0.001, 0.002), key=lambda rate: found[f"choose/fine-tuned/{rate:g}"]["js"])
    tuned = found["fine-tuned/nurses and carers/2/draw0"]
    assert tuned["learning_rate"] == best == code.few.chosen_rate(study, "fine-tuned", (0.001, 0.002))
    with pytest.raises(DataError, match="not chosen yet"):
        code.few.chosen_rate(replace(study, cache=study.cache / "empty"), "gpo", (0.001,))


def test_a_robust_run_keeps_the_weights_of_groups(measured):
    weights = measured[2]["robust/gr-dpo/seed0"]["weights"]
    assert len(weights) > 5
    assert set(weights) <= {one.name for one in PEOPLE}
    assert sum(weights.values()) == pytest.approx(1.0, abs=1e-6)


def test_a_model_that_answers_nothing_is_missing_and_no_number(code, study):
    class Silent:
        def __call__(self, asked):
            from charter.evaluation.pluralism.asking import Spread

            return [Spread((), why="too long") for _ in asked]

    crowd, questions = crowd_of(code, study.budget)
    found = code.many._skew(Silent(), crowd, questions)
    assert found == {"js": {}, "majority": {}, "peak": {}, "missing": len(questions)}
    cells = {"skew/dpo/seed0": {"method": "dpo", "held out": found, "trained on": found}}
    lines = list(code.tables.skew_table(cells, study.budget, "held out"))
    assert not any(line.startswith("| dpo |") for line in lines)
    assert "Not measured: untrained, dpo, gdpo, sft.\n" in lines
    assert code.summary.missing_answers(cells) == 2 * len(questions)


# -- numbers -----------------------------------------------------------------------------------------


def test_means_and_differences_are_of_questions_with_what_they_hold(code):
    one = {("a", f"q{i}", draw): 0.1 * i for i in range(6) for draw in range(2)}
    other = {(group, f"q{i}", 0): 0.1 * i + 0.05 for i in range(6) for group in ("a", "b")}
    found = code.summary.mean_of_units(one)
    assert found.value == pytest.approx(0.25) and found.questions == 6 and found.interval is not None
    assert found.interval.lo < 0.2 < 0.3 < found.interval.hi
    paired = code.summary.difference(one, other)  # always the same: sure, though both means are not
    assert paired.value == pytest.approx(-0.05) and paired.interval.hi - paired.interval.lo < 1e-9
    uneven = {("a", "q0", 0): 0.0, ("b", "q0", 0): 1.0, ("b", "q0", 1): 1.0}
    assert code.summary.mean_of_units(uneven).value == pytest.approx(0.5)  # groups count the same
    far = {("a", "q0", 0): 0.1, ("b", "q0", 0): 0.9}
    assert code.summary.worst_group(far)[0] == "b"
    assert code.summary.worst_group({}) is None


def test_rows_that_need_no_model_are_the_known_shares(code):
    budget = code.budget.Budget(questions=6, seeds=2, pairs=40)
    skews = code.summary.skews({}, budget)
    survey = code.data.people(budget)
    _, test = code.data.split_of_questions(survey)
    uniform = code.summary.over_runs(skews["uniform"]["held out"]["majority"])
    for one in test:
        shares = code.data.everyone(survey).shares["everyone"][one.text]
        assert uniform[one.text] == pytest.approx(1 / len(one.options) - max(shares))
    assert len(skews["votes, smoothed"]["trained on"]["js"]) == 2
    assert not skews["votes, smoothed"]["held out"]["js"]
    robust = code.summary.robust_units({}, budget)
    assert set(robust) == {"uniform", "mean of the other groups"}
    assert len(robust["uniform"]) == len(PEOPLE) * len(test)
    assert set(true_shares()) == {group for group, _, _ in robust["uniform"]}


# -- the page ----------------------------------------------------------------------------------------


def test_the_page_has_intervals_worst_groups_and_what_is_missing(code, study, measured, tmp_path):
    cells, wanted, _ = measured
    page = tmp_path / "results" / "pluralism.md"
    code.study.finish(cells, study, page)
    text = page.read_text("utf-8")
    assert f"{len(wanted)} of {len(cells)} cells are measured" in " ".join(text.split())
    assert "**Missing**: fine-tuned (draw0): 3" in text
    assert "Nobody has written about these numbers yet." in text
    lines = text.splitlines()
    gpo = [line for line in lines if line.startswith("| gpo |")]
    assert len(gpo) == 4 and all("not measured" not in line and "[0." in line for line in gpo)
    assert any(line.startswith("| gpo less in-context | ") and "[" in line for line in lines)
    tuned = next(line for line in lines if line.startswith("| fine-tuned |"))
    assert "(1 of 4 groups)" in tuned
    for name in ("dpo", "gdpo", "sft", "gr-dpo", "untrained", "uniform", "mean of the other groups"):
        row = next(line for line in lines if line.startswith(f"| {name} |"))
        assert "not measured" not in row and "[" in row
    assert text.index("### Held-out questions") < text.index("### Questions that were trained on")
    images = {path.name for path in (tmp_path / "images").iterdir()}
    assert images == {f"pluralism_{name}.svg" for name in ("few", "skew", "groups")}
    assert all(f"../images/{name}" in text for name in images)
    numbers = json.loads(page.with_suffix(".json").read_text("utf-8"))
    assert numbers["new groups"] and numbers["key"] == code.page.digest_of(measured[2])


def test_a_good_page_is_not_written_over_by_a_poorer_one(code, study, measured, tmp_path):
    cells, wanted, _ = measured
    page = tmp_path / "results" / "pluralism.md"
    code.study.finish(cells, study, page)
    good = page.read_text("utf-8")
    poorer = replace(study, cache=tmp_path / "poorer")
    with pytest.raises(UserError, match="no cell is measured"):
        code.study.finish(cells, poorer, page)
    poorer.cache.mkdir()
    kept = wanted[0].file(study.cache).read_text("utf-8")
    wanted[0].file(poorer.cache).write_text(kept, "utf-8")
    with pytest.raises(UserError, match=f"is of {len(wanted)} cells, and 1 are measured"):
        code.study.finish(cells, poorer, page)
    other = replace(study, model="another")
    with pytest.raises(UserError, match="another model or budget"):
        code.study.finish(cells, other, page)
    assert page.read_text("utf-8") == good
    code.study.finish(cells, study, page)  # the same again is no harm
    code.study.finish(cells, poorer, page, overwrite=True)
    assert "1 of" in page.read_text("utf-8")


def test_findings_are_shown_only_with_the_numbers_they_are_of(code, tmp_path):
    file = tmp_path / "findings.md"
    file.write_text("<!-- of: abc-1 -->\n\n- GPO wins.\n", "utf-8")
    assert "- GPO wins." in "".join(code.page.findings_of("abc-1", file))
    assert "GPO wins" not in "".join(code.page.findings_of("abc-2", file))


def test_changed_code_measures_anew_and_changed_words_do_not(code, tmp_path):
    file = tmp_path / "part.py"
    digests = []
    for text in (
        '"""Top."""\n\ndef f(x):\n    """Says."""\n    return x + 1\n',
        "# Another comment.\ndef f(\n    x,\n):\n    return x + 1\n",
        "def f(x):\n    return x + 2\n",
    ):
        file.write_text(text, "utf-8")
        digests.append(code.version.code_digest([file]))
    assert digests[0] == digests[1] != digests[2]
    cells = code.cells.cells_of(code.budget.Budget())
    assert all(path.exists() for cell in cells for path in code.version.source_files(cell.kind))
    settings, budget = code.cells.settings_of, code.budget.Budget()
    assert settings("m", budget) == settings("m", replace(budget, seeds=5))
    assert settings("m", budget) != settings("m", replace(budget, lr=1e-3))


def test_a_cell_that_other_code_measured_does_not_count(code, study, measured, monkeypatch):
    cells, wanted, found = measured
    monkeypatch.setattr(
        code.version, "version_of", lambda kind: "other" if kind == "skew" else found_by[kind]
    )
    found_by = {cell.kind: found[cell.name]["code"] for cell in wanted}
    left = code.study.missing_of(wanted, study.cache)
    assert left and {cell.kind for cell in left} == {"skew"}
    assert set(code.study.known(cells, study.cache)) == set(found) - {cell.name for cell in left}


def test_the_plan_is_printed(code, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["study", "--plan", "--cache", str(tmp_path)])
    assert code.study.main() == 0
    assert f"in all: {len(code.cells.cells_of(code.budget.Budget()))} cells" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["study", "--plan", "--only", "skw", "--cache", str(tmp_path)])
    assert code.study.main() == 2
    assert "did you mean 'skew'" in capsys.readouterr().err
    with pytest.raises(ConfigError):
        code.study.of_kinds(code.cells.cells_of(code.budget.Budget()), ["nothing"])
