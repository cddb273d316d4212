"""The alignment tax: planted losses are found, others are not claimed, and a stopped run goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from charter.engines.base import Sampling
from charter.engines.scripted import ScriptedEngine
from charter.environments.tasks import load_prompts
from charter.errors import ConfigError, EnvironmentFault, UserError
from charter.evaluation.tax import tax as module
from charter.evaluation.tax.lm_eval import check_installed, lm_eval_items
from charter.evaluation.tax.plan import plan_of, time_words
from charter.evaluation.tax.rows import TaxRow, tax_rows, word_shift
from charter.evaluation.tax.table import lines
from charter.evaluation.tax.tasks import TASKS, task_specs
from charter.evaluation.tax.tax import alignment_tax
from charter.stats import flips_needed, mcnemar_exact


def items(rate: float, n: int = 100, seed: int = 0, answers: int = 1) -> dict[str, list[bool]]:
    rng = np.random.default_rng(seed)
    return {f"i{i}": [bool(rng.random() < rate) for _ in range(answers)] for i in range(n)}


def lose(before: dict[str, list[bool]], share: float, seed: int = 1) -> dict[str, list[bool]]:
    """The same items, of which a share of the right ones is lost."""
    rng = np.random.default_rng(seed)
    return {
        item: [right and bool(rng.random() >= share) for right in values] for item, values in before.items()
    }


def row(rows: Sequence[TaxRow], task: str, k: int = 1) -> TaxRow:
    return next(one for one in rows if one.task == task and one.k == k)


# -- rows --------------------------------------------------------------------------------------


def test_a_planted_loss_is_found_and_others_are_not() -> None:
    before = {name: items(0.7, seed=i) for i, name in enumerate("abcd")}
    rows = tax_rows(before, {**before, "b": lose(before["b"], 0.3)})
    assert [one.status for one in rows] == ["kept", "fell", "kept", "kept", "fell"]
    lost = row(rows, "b").change
    assert lost is not None and lost.test == "mcnemar" and lost.up == 0
    assert lost.p == mcnemar_exact(lost.down, 0) and lost.p_holm == pytest.approx(4 * lost.p)
    assert lost.lo < -0.7 * 0.3 < lost.hi


def test_a_small_loss_is_suspect_before_the_correction() -> None:
    before = {name: items(0.7, seed=i) for i, name in enumerate("abcdef")}
    right = [item for item, values in before["a"].items() if values[0]]
    after = {**before, "a": {**before["a"], **{item: [False] for item in right[:7]}}}
    found = row(tax_rows(before, after), "a")
    assert found.status == "suspect" and "does not survive" in found.why


def test_a_rise_and_a_floor() -> None:
    low = {"a": items(0.0), "b": items(0.2, seed=1)}
    rows = tax_rows(low, {"a": items(0.0), "b": items(0.8, seed=2)})
    assert [one.status for one in rows] == ["floor", "rose", "rose"]
    assert "a loss could not be seen" in rows[0].why


def test_what_is_ruled_out_is_said() -> None:
    same = {"a": items(0.6, n=400)}
    [one] = tax_rows(same, same)
    assert one.status == "kept" and one.change is not None and -0.05 < one.change.lo < 0
    assert f"more than {round(-100 * one.change.lo)} points is ruled out" in one.why


def test_false_falls_are_rare() -> None:
    """Six tasks without a change, 40 draws: Holm keeps any false fall of a task near 2.5%."""
    false = 0
    for seed in range(40):
        before = {f"t{t}": items(0.5, n=60, seed=100 * seed + t) for t in range(6)}
        after = {f"t{t}": items(0.5, n=60, seed=100 * seed + 50 + t) for t in range(6)}
        false += any(one.status == "fell" and one.task != "all" for one in tax_rows(before, after))
    assert false <= 4


def test_intervals_of_the_loss_cover() -> None:
    covered = 0
    for seed in range(200):
        before = {"a": items(0.7, n=80, seed=seed)}
        [one] = tax_rows(before, {"a": lose(before["a"], 0.2, seed=1000 + seed)})
        assert one.change is not None
        covered += one.change.lo <= -0.14 <= one.change.hi
    assert 0.92 <= covered / 200 <= 1.0


def test_several_answers_and_pass_at_k() -> None:
    before = {"a": items(0.5, answers=4), "b": items(0.5, answers=4, seed=5)}
    rows = tax_rows(before, {**before, "a": lose(before["a"], 0.6)}, ks=(1, 4))
    assert [(one.task, one.k) for one in rows] == [(t, k) for k in (1, 4) for t in ("a", "b", "all")]
    first, any_of = row(rows, "a"), row(rows, "a", 4)
    assert first.change is not None and first.change.test == "permutation" and first.status == "fell"
    assert any_of.before is not None and any_of.before.rate == pytest.approx(1 - 0.5**4, abs=0.06)
    assert any_of.after is not None and any_of.after.rate == pytest.approx(1 - 0.8**4, abs=0.12)


def test_items_that_were_not_checked_are_counted() -> None:
    before = {"a": {"x": [True], "y": [], "z": [True]}}
    [one] = tax_rows(before, {"a": {"x": [True], "y": [True]}})
    assert (one.n, one.missing) == (1, 2)
    [none] = tax_rows({"a": {"x": []}}, {"a": {"x": [True]}})
    assert none.status == "not_measured" and none.change is None


def test_length_is_paired() -> None:
    rng = np.random.default_rng(0)
    before = {f"i{i}": float(rng.integers(5, 200)) for i in range(60)}
    shift = word_shift(before, {item: words - 4 + rng.normal() for item, words in before.items()})
    assert (
        shift is not None
        and shift.lo is not None
        and shift.lo < -4 < (shift.hi or 0)
        and (shift.p or 1) < 0.01
    )
    assert shift.hi is not None and shift.hi - shift.lo < 1  # the items' own spread is taken out
    assert word_shift({}, {}) is None


# -- the plan ----------------------------------------------------------------------------------------


def test_the_plan() -> None:
    prompts = {
        name: load_prompts(spec).groups for name, spec in task_specs(["legs", "letters"], 20, 0).items()
    }
    plan = plan_of(prompts, 2, 50)
    assert plan.tasks == {"legs": 20, "letters": 20} and (plan.answers, plan.tokens) == (160, 8000)
    assert plan.flips == flips_needed(0.025) and "too few" not in plan.lines()[1]
    assert "too few to call any fall" in plan_of({"a": prompts["legs"][:3]}, 1, 50).lines()[1]
    assert [time_words(s) for s in (0.2, 40, 200, 7600)] == ["1 s", "40 s", "3 min", "2.1 h"]


@pytest.fixture(scope="module")
def checker() -> Iterator[Any]:
    """The real scorers in their sandbox, opened once for all tests."""
    from charter.feedback.rewards import open_rewards

    rewards = open_rewards(["reasoning-gym"])
    yield rewards
    rewards.close()


def test_every_named_task_exists_and_knows_its_answer(checker: Any) -> None:
    groups = [g for spec in task_specs(list(TASKS), 3, 1).values() for g in load_prompts(spec).groups]
    told = iter(str(group.meta["answer"]) for group in groups)
    engine = ScriptedEngine(lambda _text, _i: f"Well. <answer>{next(told)}</answer>")
    answered = engine.generate([g.samples[0].context for g in groups], 1, Sampling(temperature=0.0))
    full = [replace(g, samples=a.samples) for g, a in zip(groups, answered, strict=True)]
    judged = [g.with_judgements(*said) for g, said in zip(full, checker.judge(full), strict=True)]
    assert [list(row) for row in checker.combined(judged)] == [[1.0]] * (3 * len(TASKS))


def test_specs_of_names_families_and_ones_own() -> None:
    own = "reasoning-gym:gcd?size=3"
    specs = task_specs(["legs", "lcm", own], 7, 2)
    assert specs["lcm"] == "reasoning-gym:lcm?size=7&seed=2&instruction=answer" and specs[own] == own
    assert "&size=7&seed=2" in specs["legs"]
    with pytest.raises(ConfigError, match="twice"):
        task_specs(["legs", "legs"], 7, 2)
    with pytest.raises(ConfigError, match="no tasks"):
        task_specs([], 7, 2)


# -- the whole, with scripted models ---------------------------------------------------------------------


@dataclass
class Policy:
    """A policy whose engine is a script: it knows the answers to a share of the items."""

    knows: float
    name: str
    engine: ScriptedEngine
    template: Any
    asked: int = 0


def scripted(knows: float, name: str, groups: Sequence[Any], broken_after: int | None = None) -> Policy:
    from charter.data.render import Template
    from charter.testing import tiny_tokenizer

    answers = {g.samples[0].context.text: str(g.meta["answer"]) for g in groups}
    rng = np.random.default_rng(0)
    known = {text: bool(rng.random() < knows) for text in answers}

    def say(text: str, _i: int) -> str:
        return f"<answer>{answers[text] if known[text] else 'no idea'}</answer>"

    engine = ScriptedEngine(say, fail_after=broken_after)
    return Policy(knows, name, engine, Template(tiny_tokenizer()))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, checker: Any) -> Any:
    """``alignment_tax`` of two scripted models; ``run.policies`` are what it loaded."""
    specs = task_specs(["legs", "letters"], 24, 0)
    groups = [g for spec in specs.values() for g in load_prompts(spec).groups]
    kept = SimpleNamespace(
        check=checker.check, judge=checker.judge, combined=checker.combined, close=lambda: None
    )
    monkeypatch.setattr(module, "open_rewards", lambda _specs: kept)
    monkeypatch.setattr(module, "_engine", lambda policy: policy.engine)
    monkeypatch.setattr(module, "fingerprint", lambda policy: policy.name)
    monkeypatch.setattr(module, "perplexity", lambda policy, _r, _t: 10.0 + policy.knows)
    shares = {"base": 0.9, "aligned": 0.2}
    policies: dict[str, Policy] = {}

    def load(name: str) -> Any:
        policies[name] = scripted(shares[name], name, groups, start.broken.get(name))
        return policies[name]

    def start(**more: Any) -> Any:
        return alignment_tax("aligned", "base", tasks=["legs", "letters"], n=24, load=load, **more)

    start.broken, start.policies = {}, policies  # type: ignore[attr-defined]
    return start


def test_the_whole(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(unrelated_text="some prose")
    assert [one.status for one in found.rows] == ["fell", "fell", "fell"] and found.exit_code == 1
    assert found.rows[0].before.rate > 0.8 and found.rows[0].after.rate < 0.6
    assert [one.measure for one in found.shifts] == ["words", "perplexity"]
    assert found.shifts[1].diff == pytest.approx(-0.7)
    shown = capsys.readouterr().err
    assert shown.index("plan: items legs 24, letters 24") < shown.index(
        "for both models, from 4 answers timed here"
    )
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["rows"][0]["status"] == "fell"
    assert any(line.startswith("perplexity on unrelated text: 10.9 -> 10.2") for line in lines(found))


def test_a_broken_run_goes_on_where_it_was(run: Any, tmp_path: Path) -> None:
    from charter.errors import ServiceFault

    run.broken = {"aligned": 1}  # the second task of the aligned model fails
    with pytest.raises(ServiceFault):
        run(output=tmp_path)
    done = (tmp_path / "items.jsonl").read_text().splitlines()
    assert [json.loads(line)["task"] for line in done] == ["legs", "letters", "legs"]
    run.broken = {}
    again = run(output=tmp_path)
    assert run.policies["base"].engine.calls == 1  # the timed answers only
    assert run.policies["aligned"].engine.calls == 1 and again.rows == run().rows


def test_bad_options_are_found_before_a_model_loads(run: Any) -> None:
    with pytest.raises(ConfigError, match="cannot be drawn"):
        run(ks=(1, 4))
    with pytest.raises(ConfigError, match="same answer"):
        run(num_generations=4)
    with pytest.raises(UserError, match="against itself"):
        alignment_tax("a", "a")
    with pytest.raises(ConfigError, match="no tasks 'legz'"):
        alignment_tax("a", "b", tasks=["legz"], load=pytest.fail)
    assert run.policies == {}


def test_fingerprints_tell_checkpoints_apart() -> None:
    import torch

    from charter.evaluation.tax.tax import fingerprint
    from charter.testing import tiny_model

    policy = SimpleNamespace(model=tiny_model())
    first = fingerprint(policy)  # type: ignore[arg-type]
    assert first == fingerprint(policy)  # type: ignore[arg-type]
    with torch.no_grad():
        next(iter(policy.model.parameters()))[0, 0] += 1.0
    assert first != fingerprint(policy)  # type: ignore[arg-type]


# -- lm-eval -----------------------------------------------------------------------------------------------


class FakeHarness:
    """What the adapter uses of the harness, and what it was asked."""

    def __init__(self, samples: Any, error: Exception | None = None) -> None:
        self.samples, self.error, self.asked = samples, error, {}

    def simple_evaluate(self, **asked: Any) -> Any:
        self.asked = asked
        if self.error is not None:
            raise self.error
        return {"results": {}, "samples": self.samples}


def install(monkeypatch: pytest.MonkeyPatch, harness: FakeHarness) -> None:
    models = SimpleNamespace(HFLM=lambda pretrained, tokenizer: (pretrained, tokenizer))
    monkeypatch.setitem(sys.modules, "lm_eval", harness)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "lm_eval.models.huggingface", models)  # type: ignore[arg-type]


def documents(right: Sequence[bool]) -> list[dict[str, Any]]:
    return [
        {"doc_id": i, "doc": {}, "acc": float(one), "acc_norm": 0.0, "metrics": ["acc_norm", "acc"]}
        for i, one in enumerate(right)
    ]


POLICY: Any = SimpleNamespace(model="model", tokenizer="tokenizer")


def test_lm_eval_documents_are_paired(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = FakeHarness({"arc_easy": documents([True, False, True])})
    install(monkeypatch, harness)
    found = lm_eval_items(POLICY, ["arc_easy"], limit=3, seed=7)
    assert found == {"arc_easy": {"0": [1.0], "1": [0.0], "2": [1.0]}}
    assert harness.asked["limit"] == 3 and harness.asked["fewshot_random_seed"] == 7
    assert harness.asked["model"] == ("model", "tokenizer") and harness.asked["log_samples"] is True
    [one] = tax_rows(found, found, source="lm-eval")
    assert one.n == 3 and one.source == "lm-eval"


def test_lm_eval_filters_and_odd_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"doc_id": 0, "exact_match": 1.0, "filter": f, "metrics": ["exact_match"]}
        for f in ("strict", "loose")
    ]
    rows[1]["exact_match"] = 0.0
    install(monkeypatch, FakeHarness({"gsm8k": rows}))
    assert lm_eval_items(POLICY, ["gsm8k"]) == {"gsm8k": {"0": [1.0]}}
    install(
        monkeypatch,
        FakeHarness({"ppl": [{"doc_id": 0, "metrics": ["word_perplexity"], "word_perplexity": 33.0}]}),
    )
    with pytest.raises(ConfigError, match="scores no single documents"):
        lm_eval_items(POLICY, ["ppl"])


@pytest.mark.parametrize(
    ("error", "kind"), [(KeyError("no_task"), ConfigError), (ConnectionError("offline"), EnvironmentFault)]
)
def test_lm_eval_faults(monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception]) -> None:
    install(monkeypatch, FakeHarness({}, error))
    with pytest.raises(kind, match="lm-eval"):
        lm_eval_items(POLICY, ["x"])


def test_lm_eval_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(EnvironmentFault, match=r"charter\[lm-eval\]"):
        check_installed()


def test_lm_eval_in_the_whole(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([[True] * 30, [True] * 10 + [False] * 20])
    monkeypatch.setattr(
        module,
        "lm_eval_items",
        lambda *_a, **_k: {"arc": {str(i): [float(v)] for i, v in enumerate(next(answers))}},
    )
    found = run(lm_eval=["arc"])
    last = found.rows[-1]
    assert (last.task, last.source, last.status, last.change.down) == ("arc", "lm-eval", "fell", 20)


# -- the command line ------------------------------------------------------------


def test_real_tiny_models_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checker: Any
) -> None:
    """Two models that know nothing: floors, and perplexities of the order of chance over 256 bytes."""
    from charter.cli.main import app
    from charter.testing import save_tiny

    kept = SimpleNamespace(
        check=checker.check, judge=checker.judge, combined=checker.combined, close=lambda: None
    )
    monkeypatch.setattr(module, "open_rewards", lambda _specs: kept)
    one, two = (save_tiny(str(tmp_path / str(seed)), seed=seed) for seed in (1, 2))
    prose = tmp_path / "prose.txt"
    prose.write_text("The ferry leaves at noon, when the fog has gone. " * 8)
    args = ["tax", two, "--against", one, "--tasks", "legs", "--n", "3", "--max-completion-length", "4"]
    result = CliRunner().invoke(app, [*args, "--unrelated", str(prose), "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "tax.json").read_text())
    [legs] = found["rows"]
    assert (legs["status"], legs["n"], legs["missing"]) == ("floor", 3, 0)
    drift = next(shift for shift in found["shifts"] if shift["measure"] == "perplexity")
    assert 100 < drift["before"] < 1500 and drift["before"] != drift["after"]
    assert found["truncated"] == {"legs": [1.0, 1.0]}
    missing = CliRunner().invoke(app, ["tax", str(tmp_path / "nowhere"), "--against", one])
    assert isinstance(missing.exception, UserError)


def test_command(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from charter.cli.main import app

    found = run()
    monkeypatch.setattr(module, "alignment_tax", lambda *_a, **_k: found)
    args = ["tax", "my/aligned", "--against", "my/base"]
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 1 and "legs" in result.output and "fell" in result.output
    result = CliRunner().invoke(app, [*args, "--json", "--output", str(tmp_path)])
    assert result.exit_code == 1 and (tmp_path / "tax.json").is_file()
    result = CliRunner().invoke(app, [*args, "--plan", "--n", "10", "--tasks", "legs, letters"])
    assert result.exit_code == 0 and "items legs 10, letters 10" in result.output
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    assert isinstance(CliRunner().invoke(app, [*args, "--lm-eval", "arc"]).exception, EnvironmentFault)
