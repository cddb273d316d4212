"""Checkpoints side by side: planted strengths are recovered, and what cannot be compared is said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from charter.errors import ConfigError, DataError, UserError
from charter.evaluation.rates.adherence import Criteria, adherence
from charter.evaluation.rates.verdicts import PrincipleInfo
from charter.evaluation.side_by_side.bradley_terry import strengths
from charter.evaluation.side_by_side.chart import pareto_chart
from charter.evaluation.side_by_side.checkpoint import Checkpoint, read_checkpoint, read_checkpoints
from charter.evaluation.side_by_side.compare import SideBySide, side_by_side
from charter.evaluation.side_by_side.page import render, verdict
from charter.evaluation.side_by_side.ratings import ratings_of, resampled
from charter.evaluation.side_by_side.table import notes
from charter.records import write_groups
from charter.types import Completion, Context, Group, Judgement, Sample, SampleTarget

INFOS = (
    PrincipleInfo("safe.harm", "No harm", "system", "sha-harm", 2.0),
    PrincipleInfo("help.full", "Full help", "user", "sha-help", 1.0),
)
TAGS = {"safe.harm": ["safety"], "help.full": ["helpfulness"]}


def prompt(
    number: int,
    passes: Mapping[str, Sequence[bool | None]],
    *,
    text: str = "",
    judge: str = "rule",
    infos: Sequence[PrincipleInfo] = INFOS,
) -> Group:
    samples = max(len(values) for values in passes.values())
    return Group(
        tuple(
            Sample(Context(text or f"question {number}"), Completion(f"answer {i}")) for i in range(samples)
        ),
        tuple(
            Judgement(
                SampleTarget(i),
                None if value is None else float(value),
                verdict="not_applicable" if value is None else "judged",
                principle=info.id,
                principle_sha=info.sha,
                judge=judge,
                weight=info.weight,
            )
            for info in infos
            for i, value in enumerate(passes.get(info.id, ()))
        ),
        id=f"p{number}",
    )


def checkpoint(
    name: str, rates: Mapping[str, float], *, n: int = 120, seed: int = 0, **more: Any
) -> Checkpoint:
    """A checkpoint that passes each principle with the planted rate."""
    rng = np.random.default_rng(seed)
    groups = tuple(
        prompt(i, {id: [bool(rng.random() < rate)] for id, rate in rates.items()}) for i in range(n)
    )
    return Checkpoint(name, INFOS, groups, "law", {"temperature": 0.0, "max_completion_length": 64.0}, **more)


def cell(found: SideBySide, principle: str, name: str) -> Any:
    return next(row for row in found.rows if row.principle == principle).cells[name]


BASE = checkpoint("base", {"safe.harm": 0.5, "help.full": 0.8}, seed=1)
GOOD = checkpoint("good", {"safe.harm": 0.9, "help.full": 0.8}, seed=2)
BAD = checkpoint("bad", {"safe.harm": 0.5, "help.full": 0.4}, seed=3)


# -- Bradley-Terry ------------------------------------------------------------------------


def test_two_checkpoints_have_a_known_answer() -> None:
    wins_1KK = np.array([[[0.0, 30.0], [10.0, 0.0]]])
    assert strengths(wins_1KK, prior=0.0)[0] == pytest.approx([np.log(3) / 2, -np.log(3) / 2])
    assert strengths(wins_1KK)[0, 0] == pytest.approx(np.log(30.5 / 10.5) / 2)


def test_strengths_agree_with_another_implementation() -> None:
    from evalica import Winner, bradley_terry

    wins_KK = np.array([[0, 30, 44.5, 12], [20, 0, 33, 9], [5.5, 17, 0, 14], [8, 11, 6, 0]])
    names = "abcd"
    pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
    scores = bradley_terry(
        [names[i] for i, _ in pairs],
        [names[j] for _, j in pairs],
        [Winner.X] * len(pairs),
        weights=[float(wins_KK[i, j]) for i, j in pairs],
        tolerance=1e-12,
        limit=10_000,
    ).scores
    logs = np.log([scores[name] for name in names])
    assert strengths(wins_KK[None], prior=0.0)[0] == pytest.approx(logs - logs.mean(), abs=1e-4)


def test_the_fit_solves_its_equations() -> None:
    rng = np.random.default_rng(5)
    wins_BKK = rng.integers(0, 40, (20, 6, 6)).astype(float)
    found_BK = strengths(wins_BKK)
    padded = (wins_BKK + 0.5) * (1 - np.eye(6))
    chance = 1 / (1 + np.exp(found_BK[:, None, :] - found_BK[:, :, None]))
    games = padded + padded.transpose(0, 2, 1)
    assert np.abs(padded.sum(2) - (games * chance).sum(2)).max() < 1e-6
    assert np.abs(found_BK.sum(1)).max() < 1e-9


def test_one_that_wins_everything_has_a_finite_rating() -> None:
    wins_KK = np.zeros((3, 3))
    wins_KK[0, 1:] = 50
    wins_KK[1, 2] = wins_KK[2, 1] = 25
    a, b, c = strengths(wins_KK[None])[0]
    assert 3 < a - b < 6 and b == pytest.approx(c)


def test_intervals_of_ratings_cover_the_planted_strengths() -> None:
    """120 prompts, four checkpoints, outcomes drawn from planted strengths: about 95% of intervals cover."""
    truth_K = np.array([0.9, 0.3, -0.2, -1.0])
    chance_KK = 1 / (1 + np.exp(truth_K[None, :] - truth_K[:, None]))
    rng = np.random.default_rng(11)
    covered, errors = [], []
    for simulation in range(120):
        upper_NKK = np.triu((rng.random((120, 4, 4)) < chance_KK).astype(float), 1)
        lower_NKK = np.tril(1.0 - upper_NKK.transpose(0, 2, 1), -1)
        point_K, drawn_BK = resampled(upper_NKK + lower_NKK, 300, simulation)
        lo_K, hi_K = np.quantile(drawn_BK, (0.025, 0.975), axis=0)
        covered.append((lo_K <= truth_K) & (truth_K <= hi_K))
        errors.append(point_K - truth_K)
    assert 0.91 <= np.mean(covered) <= 0.985
    assert np.abs(np.mean(errors, axis=0)).max() < 0.03


def test_planted_strengths_give_the_order_and_the_ranks() -> None:
    rates = {"strong": 0.95, "middle": 0.6, "middling": 0.6, "weak": 0.15}
    many = [
        checkpoint(name, {"safe.harm": rate}, seed=i, n=200) for i, (name, rate) in enumerate(rates.items())
    ]
    found = {one.name: one for one in ratings_of(many).ratings}
    assert (found["strong"].best_rank, found["strong"].worst_rank) == (1, 1)
    assert (found["weak"].best_rank, found["weak"].worst_rank) == (4, 4)
    assert (found["middle"].best_rank, found["middle"].worst_rank) == (2, 3)
    assert found["strong"].lo < found["strong"].rating < found["strong"].hi


def test_a_tie_is_half_a_win() -> None:
    first = replace(BASE, groups=tuple(prompt(i, {"safe.harm": [True]}) for i in range(10)))
    second = replace(BASE, name="other", groups=tuple(prompt(i, {"safe.harm": [i < 6]}) for i in range(10)))
    [pair] = ratings_of([first, second]).pairs
    assert (pair.wins, pair.losses, pair.ties, pair.rate) == (4, 0, 6, 0.7)
    assert pair.p == pytest.approx(0.125) and pair.lo < 0.7 < pair.hi


def test_only_ties_leave_the_rate_open() -> None:
    same = tuple(prompt(i, {"safe.harm": [True]}) for i in range(10))
    found = ratings_of([replace(BASE, groups=same), replace(BASE, name="twin", groups=same)])
    assert found.pairs[0].rate == 0.5 and found.pairs[0].lo < 0.5 < found.pairs[0].hi
    assert found.ratings[0].rating == 0.0 and found.ratings[0].worst_rank == 2


# -- principle x checkpoint --------------------------------------------------------------


def test_rises_and_falls_against_the_first() -> None:
    found = side_by_side([BASE, GOOD, BAD])
    rose, fell = cell(found, "safe.harm", "good"), cell(found, "help.full", "bad")
    assert rose.status == "rose" and 0.2 < rose.change.diff < 0.6 and rose.change.test == "mcnemar"
    assert fell.status == "fell" and fell.change.diff < -0.2
    assert cell(found, "help.full", "good").status == "kept"
    assert cell(found, "safe.harm", "base").status == "first"


def test_it_agrees_with_the_adherence_card() -> None:
    found = cell(side_by_side([BASE, GOOD]), "safe.harm", "good")
    card = adherence(GOOD.groups, INFOS, before=BASE.groups).principles[0]
    assert card.after == found.rate and card.change is not None
    assert (card.change.diff, card.change.p) == (found.change.diff, found.change.p)


def test_holm_is_over_principles_and_checkpoints() -> None:
    many = [BASE, *(checkpoint(f"c{i}", {"safe.harm": 0.5, "help.full": 0.8}, seed=10 + i) for i in range(6))]
    changes = [c.change for row in side_by_side(many).rows for c in row.cells.values() if c.change]
    assert len(changes) == 12
    least = min(changes, key=lambda one: one.p)
    assert least.p_holm == pytest.approx(min(1.0, 12 * least.p))


def test_no_rise_is_claimed_of_many_that_are_alike() -> None:
    """A false rise anywhere in the table happens in about 2.5% of tables."""
    false = 0
    for seed in range(12):
        many = [checkpoint(f"c{i}", {"safe.harm": 0.5}, n=80, seed=100 * seed + i) for i in range(5)]
        false += any(c.status == "rose" for row in side_by_side(many).rows for c in row.cells.values())
    assert false <= 2


def test_few_prompts_claim_no_rise() -> None:
    few = replace(BASE, groups=tuple(prompt(i, {"safe.harm": [False]}) for i in range(20)))
    more = replace(BASE, name="more", groups=tuple(prompt(i, {"safe.harm": [True]}) for i in range(20)))
    one = cell(side_by_side([few, more]), "safe.harm", "more")
    assert one.status == "kept" and "only 20 prompts" in one.why
    assert (
        cell(side_by_side([few, more], criteria=Criteria(min_prompts=20)), "safe.harm", "more").status
        == "rose"
    )


def test_several_answers_to_a_prompt() -> None:
    def many(name: str, share: int) -> Checkpoint:
        groups = (prompt(i, {"safe.harm": [k < share for k in range(4)]}) for i in range(60))
        return replace(BASE, name=name, groups=tuple(groups))

    one = cell(side_by_side([many("a", 1), many("b", 3)]), "safe.harm", "b")
    assert one.change.test == "permutation" and one.change.diff == 0.5 and one.status == "rose"


# -- what cannot be compared ---------------------------------------------------------------


def test_other_words_are_not_compared() -> None:
    reworded = replace(INFOS[0], sha="sha-new")
    groups = tuple(prompt(i, {"safe.harm": [True]}, infos=[reworded]) for i in range(60))
    found = side_by_side([BASE, Checkpoint("new", (reworded, INFOS[1]), groups, "law 2", BASE.sampling)])
    one = cell(found, "safe.harm", "new")
    assert one.status == "not_compared" and one.why == "other words" and one.rate.rate == 1.0
    assert any("another version" in note for note in found.notes["new"])
    assert found.ratings.pairs[0].rate is None and found.ratings.left_out == {
        "new": "not compared with base on any prompt"
    }


def test_other_judges_are_not_compared() -> None:
    groups = tuple(prompt(i, {"safe.harm": [True]}, judge="model-x") for i in range(60))
    one = cell(side_by_side([BASE, replace(BASE, name="x", groups=groups)]), "safe.harm", "x")
    assert one.status == "not_compared" and "other judge: rule; model-x" in one.why


def test_other_sampling_is_not_compared_unless_asked() -> None:
    hot = replace(GOOD, sampling={"temperature": 1.0, "max_completion_length": 64.0})
    one = cell(side_by_side([BASE, hot]), "safe.harm", "good")
    assert one.status == "not_compared" and one.why == "other sampling: temperature 0 and 1"
    found = side_by_side([BASE, hot], any_sampling=True)
    assert cell(found, "safe.harm", "good").status == "rose"
    assert any("although sampled differently" in note for note in found.notes["good"])


def test_other_prompts_are_left_out_and_counted() -> None:
    groups = [
        *(prompt(i, {"safe.harm": [True]}) for i in range(50)),
        *(prompt(i, {"safe.harm": [True]}, text="other text") for i in range(50, 70)),
        *(prompt(i, {"safe.harm": [True]}) for i in range(200, 205)),
    ]
    found = side_by_side([BASE, replace(BASE, name="x", groups=tuple(groups))])
    assert cell(found, "safe.harm", "x").n_prompts == 50 and cell(found, "safe.harm", "x").rate.n == 75
    assert any("20 prompts have another text" in note for note in found.notes["x"])
    assert any("50 prompts answered by base only, 5 by x only" in note for note in found.notes["x"])


def test_no_prompt_in_common() -> None:
    groups = tuple(prompt(i, {"safe.harm": [True]}) for i in range(500, 520))
    found = side_by_side([BASE, replace(BASE, name="x", groups=groups)])
    assert cell(found, "safe.harm", "x").why == "no prompt in common"
    assert "x: not compared with base: no prompt in common" in list(notes(found))


def test_what_was_not_recorded_is_said() -> None:
    found = side_by_side([BASE, replace(GOOD, sampling={})])
    assert found.notes["good"] == ["how good was sampled is not recorded"]


def test_a_principle_only_one_has() -> None:
    extra = PrincipleInfo("new.one", "New", "user", "sha-new")
    groups = tuple(
        prompt(i, {"safe.harm": [True], "new.one": [True]}, infos=[*INFOS, extra]) for i in range(60)
    )
    found = side_by_side([BASE, Checkpoint("x", (*INFOS, extra), groups, "law", BASE.sampling)])
    assert cell(found, "new.one", "base").status == "not_measured"
    assert cell(found, "new.one", "x").why == "not in the constitution of base"


# -- helpful and harmless ------------------------------------------------------------------


def test_the_front_and_what_is_beaten() -> None:
    found = side_by_side([BASE, GOOD, BAD], tags=TAGS).pareto
    assert found is not None and (found.x.name, found.y.name) == ("tag:helpful", "tag:harmless")
    places = {one.name: one for one in found.places}
    assert not places["good"].dominated_by and places["bad"].dominated_by in ("good", "base")
    assert places["good"].front_share == 1.0 or places["good"].front_share > 0.9
    assert places["bad"].front_share < 0.05
    assert places["good"].y_interval.lo < places["good"].y < places["good"].y_interval.hi
    assert places["good"].y == cell(side_by_side([BASE, GOOD]), "safe.harm", "good").rate.rate


def test_axes_by_level_and_by_name() -> None:
    by_level = side_by_side([BASE, GOOD]).pareto
    assert by_level is not None and (by_level.x.principles, by_level.y.principles) == (
        ("help.full",),
        ("safe.harm",),
    )
    named = side_by_side([BASE, GOOD], x="help.full", y="all").pareto
    assert named is not None and named.y.principles == ("safe.harm", "help.full")


def test_a_measure_of_which_less_is_better() -> None:
    near = replace(GOOD, name="near", health={"kl": 1.0})
    far = replace(GOOD, name="far", health={"kl": 9.0})
    found = side_by_side([near, far], x="-kl", y="safe.harm").pareto
    assert found is not None
    assert [one.dominated_by for one in found.places] == ["", "near"]
    assert found.places[0].x_interval is None and "less is better" in pareto_chart(found)


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        ("help.ful", "did you mean 'help.full'"),
        ("level:usr", "did you mean 'user'"),
        ("tag:safety", "give --constitution"),
    ],
)
def test_no_such_measure(axis: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        side_by_side([BASE, GOOD], x=axis, y="all")


def test_one_axis_alone_and_one_checkpoint_alone() -> None:
    with pytest.raises(UserError, match="one axis without the other"):
        side_by_side([BASE, GOOD], x="all")
    with pytest.raises(UserError, match="two or more checkpoints"):
        side_by_side([BASE, BASE])


def test_one_level_has_no_plot() -> None:
    infos = (INFOS[1],)
    one = replace(BASE, principles=infos, groups=tuple(prompt(i, {"help.full": [True]}) for i in range(9)))
    found = side_by_side([one, replace(one, name="two")])
    assert found.pareto is None and "name two measures" in list(notes(found))[-1]
    assert "Not drawn" in render(found)


# -- the drawing and the page --------------------------------------------------------------


def test_the_drawing_shows_every_checkpoint_once() -> None:
    import xml.etree.ElementTree as ElementTree

    found = side_by_side([BASE, GOOD, BAD], tags=TAGS).pareto
    assert found is not None
    svg = ElementTree.fromstring(pareto_chart(found))
    kind = "{http://www.w3.org/2000/svg}"
    labels = [text.text for group in svg.iter(f"{kind}g") for text in group.iter(f"{kind}text")]
    assert sorted(labels) == ["bad", "base", "good"]
    marks = [g.get("class") for g in svg.iter(f"{kind}g") if g.find(f"{kind}circle") is not None]
    assert sorted(marks) == sorted("beaten" if p.dominated_by else "best" for p in found.places)


def test_names_do_not_lie_on_each_other() -> None:
    """Ten checkpoints in one place: no two labels may overlap."""
    many = [replace(GOOD, name=f"checkpoint-{i}") for i in range(10)]
    found = side_by_side(many, tags=TAGS).pareto
    assert found is not None
    import re

    spots = re.findall(
        r'<text x="([-\d.]+)" y="([-\d.]+)" text-anchor="(start|end)">checkpoint', pareto_chart(found)
    )
    assert len(spots) == 10 and len(set(spots)) == 10
    for side in ("start", "end"):
        heights = sorted({(float(y)) for _, y, anchor in spots if anchor == side})
        assert all(b - a >= 14 for a, b in pairwise(heights))


def test_the_page_is_whole_and_safe() -> None:
    found = side_by_side([BASE, replace(GOOD, name="<script>x"), BAD], tags=TAGS)
    page = render(found)
    assert (
        "<script" not in page
        and "&lt;script&gt;x" in page
        and "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    )
    assert "prefers-color-scheme: dark" in page and page == render(found)
    assert "Full help" in page and 'class="fell"' in page


def test_the_verdict_in_words() -> None:
    assert verdict(side_by_side([BASE, GOOD])).startswith(
        "good is the strongest, told apart from all others. 1 rise"
    )
    assert "No checkpoint can be told apart" in verdict(side_by_side([BASE, replace(BASE, name="twin")]))


def test_json_has_no_nan() -> None:
    text = json.dumps(side_by_side([BASE, GOOD, BAD], tags=TAGS).to_json(), allow_nan=False)
    assert json.loads(text)["schema"] == 1


# -- files and the command line --------------------------------------------------------------


def write_run(
    path: Path, one: Checkpoint, base: Checkpoint | None = None, temperature: float | None = None
) -> Path:
    stage = path / "stages" / "5-evaluate"
    stage.mkdir(parents=True)
    card = adherence(one.groups, one.principles)
    health = [
        {"measure": "kl", "before": 0.0, "after": 3.0},
        {"measure": "nll", "before": 1.0, "after": None},
    ]
    (stage / "evaluation.json").write_text(json.dumps({"adherence": card.to_json(), "health": health}))
    write_groups(stage / "answers.jsonl", one.groups)
    if base is not None:
        write_groups(stage / "base_answers.jsonl", base.groups)
    (path / "report.json").write_text(json.dumps({"constitution": {"sha": one.constitution_sha}}))
    hot = "" if temperature is None else f", temperature: {temperature}"
    (path / "recipe.yaml").write_text(f"stages:\n  - evaluate: {{prompts: x.jsonl{hot}}}\n")
    return path


def test_reading_runs(tmp_path: Path) -> None:
    run = write_run(tmp_path / "dpo", GOOD, BASE)
    defaults = {"temperature": 0.0, "max_completion_length": 256.0}
    one, base = read_checkpoints([str(run), f"{run}:base"], sampling_defaults=defaults)
    assert (one.name, base.name) == ("dpo", "dpo:base") and one.constitution_sha == "law"
    assert one.principles == INFOS and one.groups == GOOD.groups and base.groups == BASE.groups
    assert one.sampling == defaults and one.health == {"kl": 3.0} and base.health == {"kl": 0.0, "nll": 1.0}
    stage = read_checkpoint(str(run / "stages" / "5-evaluate"), "stage")
    assert stage.constitution_sha == "law" and stage.groups == one.groups


def test_runs_called_alike_keep_their_paths(tmp_path: Path) -> None:
    runs = [str(write_run(tmp_path / side / "run", GOOD)) for side in ("a", "b")]
    assert [one.name for one in read_checkpoints(runs)] == runs
    with pytest.raises(UserError, match="named twice"):
        read_checkpoints([f"x={runs[0]}", f"x={runs[0]}"])


@pytest.mark.parametrize("broken", ["missing", "empty", "no_answers", "garbage", "no_base"])
def test_bad_runs_are_named(tmp_path: Path, broken: str) -> None:
    run = tmp_path / "run"
    if broken not in ("missing", "empty"):
        write_run(run, GOOD)
    elif broken == "empty":
        run.mkdir()
    stage = run / "stages" / "5-evaluate"
    if broken == "no_answers":
        (stage / "answers.jsonl").unlink()
    if broken == "garbage":
        (stage / "evaluation.json").write_text('{"adherence": 3}')
    with pytest.raises((UserError, DataError)) as error:
        read_checkpoint(f"{run}:base" if broken == "no_base" else str(run), "run")
    assert error.value.where is not None and str(run) in error.value.where


def test_command(tmp_path: Path) -> None:
    from charter.cli.main import app

    runs = [
        str(write_run(tmp_path / "dpo", GOOD, BASE)),
        str(write_run(tmp_path / "hot", BAD, temperature=1.0)),
    ]
    page = tmp_path / "side.html"
    result = CliRunner().invoke(app, ["compare-runs", f"{runs[0]}:base", *runs, "--html", str(page)])
    assert result.exit_code == 0, result.output
    assert "dpo rose" in result.output and "other sampling: temperature 0 and 1" in result.output
    assert page.read_text().startswith("<!doctype html>")
    result = CliRunner().invoke(app, ["compare-runs", *runs, "--json"])
    assert [one["name"] for one in json.loads(result.stdout)["checkpoints"]] == ["dpo", "hot"]
    assert CliRunner().invoke(app, ["compare-runs", runs[0]]).exit_code != 0
