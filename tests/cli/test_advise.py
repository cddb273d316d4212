"""``charter advise`` on data whose properties were planted."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from charter.catalogue import ENTRIES
from charter.cli.main import app
from charter.config import validate
from charter.data import advise as advise_module
from charter.data.advise import Advised, advise
from charter.data.facts import facts_of, flip_rate
from charter.data.formats import load_groups
from charter.errors import UserError
from charter.models.load import load
from charter.testing import save_tiny

Row = dict[str, Any]
WORDS = ("the", "sea", "is", "blue", "and", "old", "men", "sing", "of", "ships", "that", "never", "came")


def text(number: int, words: int, seed: int = 0) -> str:
    chooser = random.Random(f"{seed}:{number}")
    return " ".join(chooser.choice(WORDS) for _ in range(words)) + f" {number}"


def paired(count: int = 150, **more: Any) -> list[Row]:
    """Pairs with nothing special about them."""
    return [
        {
            "prompt": f"Ask {i}?",
            "chosen": text(i, 5 + i % 3, 1),
            "rejected": text(i, 5 + (i + 1) % 3, 2),
            **{name: value(i) if callable(value) else value for name, value in more.items()},
        }
        for i in range(count)
    ]


def noisy(rate: float = 0.2) -> list[Row]:
    """Every comparison judged twice, each judgement wrong with probability ``rate``."""
    chooser = random.Random(5)
    rows = []
    for row in paired(300):
        for _ in range(2):
            wrong = chooser.random() < rate
            sides = (row["rejected"], row["chosen"]) if wrong else (row["chosen"], row["rejected"])
            rows.append({"prompt": row["prompt"], "chosen": sides[0], "rejected": sides[1]})
    return rows


def labelled(good: int, bad: int) -> list[Row]:
    return [{"prompt": f"Ask {i}?", "completion": text(i, 6), "label": i < good} for i in range(good + bad)]


def rated() -> list[Row]:
    return [
        {
            "prompt": f"Ask {i}?",
            "responses": [text(i, 6, s) for s in range(4)],
            "scores": [9.0, 6.5, 4.0, 1.0],
        }
        for i in range(40)
    ]


def ranked() -> list[Row]:
    return [
        {"prompt": f"Ask {i}?", "responses": [text(i, 6, s) for s in range(4)], "ranks": [1, 2, 3, 4]}
        for i in range(40)
    ]


def spread(mean: float) -> Callable[[int], float]:
    return lambda i: mean + (i % 5 - 2) * 0.3


PLANTED: dict[str, tuple[Callable[[], list[Row]], str, dict[str, Any]]] = {
    "paired": (paired, "dpo", {}),
    "unpaired, balanced": (lambda: labelled(60, 50), "kto", {}),
    "unpaired, few desirable": (lambda: labelled(20, 80), "kto", {"desirable_weight": 4.0}),
    "unpaired, few undesirable": (lambda: labelled(80, 20), "kto", {"undesirable_weight": 3.0}),
    "margins": (lambda: paired(margin=lambda i: 0.5 * (1 + i % 3)), "reward-margin", {}),
    "rankings": (ranked, "reward-plackett-luce", {}),
    "rated answers": (rated, "infonca", {}),
    "ratings on named scales": (
        lambda: [
            {"prompt": f"{i}?", "response": text(i, 6), "scores": {"helpful": i % 5, "honest": None}}
            for i in range(20)
        ],
        "reward-regression",
        {},
    ),
    "beliefs of groups": (
        lambda: paired(beliefs=["for", "against"], p_star=[0.7, 0.3], belief=lambda i: i % 2),
        "gdpo",
        {},
    ),
    "groups of people": (
        lambda: paired(400, group=lambda i: "nurses" if i % 3 else "guards"),
        "gr-dpo",
        {},
    ),
    "a small group of people": (
        lambda: paired(200, group=lambda i: "nurses" if i % 10 else "guards"),
        "gr-ipo",
        {},
    ),
    "several objectives": (
        lambda: paired(chosen_scores={"harmless": 0.2}, rejected_scores={"harmless": 0.9}),
        "modpo",
        {},
    ),
    "tiny": (lambda: paired(30), "ipo", {"use_peft": True}),
    "noisy": (noisy, "robust", {}),
    "chosen worse than the model": (
        lambda: paired(chosen_score=spread(3.0), model_score=spread(5.0)),
        "apo-down",
        {},
    ),
    "chosen better than the model": (
        lambda: paired(chosen_score=spread(6.0), model_score=spread(5.0)),
        "apo-zero",
        {},
    ),
    "longer is better": (
        lambda: [{**row, "chosen": text(i, 20, 1)} for i, row in enumerate(paired())],
        "ld-dpo",
        {"ld_alpha": 0.5},
    ),
    "completions": (
        lambda: [{"prompt": f"Ask {i}?", "completion": text(i, 6)} for i in range(40)],
        "sft",
        {},
    ),
    "text": (lambda: [{"text": text(i, 30)} for i in range(40)], "sft", {}),
    "steps": (
        lambda: [{"prompt": f"{i}?", "completions": ["a", "b"], "labels": [True, False]} for i in range(9)],
        "process-reward",
        {},
    ),
    "prompts": (
        lambda: [{"prompt": f"Ask {i}?"} for i in range(9)],
        "online-dpo",
        {"reward_funcs": ["FILE"]},
    ),
    "prompts with right answers": (
        lambda: [{"prompt": f"{i} + 1?", "answer": str(i + 1)} for i in range(9)],
        "grpo",
        {"reward_funcs": ["accuracy"]},
    ),
    "prompts with solutions": (
        lambda: [{"prompt": f"{i} + 1?", "solution": f"\\boxed{{{i + 1}}}"} for i in range(9)],
        "grpo",
        {"reward_funcs": ["accuracy:column=solution"]},
    ),
}


def advised(rows: list[Row]) -> Advised:
    return advise(facts_of(load_groups(rows)))


@pytest.mark.parametrize("name", PLANTED)
def test_what_was_planted_is_seen(name: str) -> None:
    rows, best, options = PLANTED[name]
    found = advised(rows())
    assert found.advice[0].algorithm == best
    assert options.items() <= dict(found.advice[0].options).items()
    assert found.seen and all(advice.why for advice in found.advice)


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_special_elsewhere_is_not_advised_here(name: str) -> None:
    """The plain paired set gets none of what planted properties call for."""
    special = PLANTED[name][1]
    if special != "dpo":
        assert special not in [advice.algorithm for advice in advised(paired()).advice]


def names_it_can_say() -> set[str]:
    """First arguments of every ``Advice(...)`` in the rules."""
    import ast

    tree = ast.parse(Path(advise_module.__file__).read_text("utf-8"))
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "Advice"]
    return {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}


def test_every_name_it_can_say_is_in_the_catalogue() -> None:
    assert len(names_it_can_say()) > 20
    assert sorted(names_it_can_say() - set(ENTRIES)) == []


def test_every_name_it_can_say_is_said_of_some_planted_data() -> None:
    said = {advice.algorithm for rows, _, _ in PLANTED.values() for advice in advised(rows()).advice}
    assert said == names_it_can_say()


@pytest.mark.parametrize("name", PLANTED)
def test_advised_methods_read_the_data_and_take_the_options(name: str) -> None:
    rows = PLANTED[name][0]()
    for advice in advised(rows).advice:
        entry = ENTRIES[advice.algorithm]
        load_groups(rows, entry.data)
        validate(entry.options, dict(advice.options), where=advice.algorithm)


def test_groups_that_disagree_are_not_wrong_labels() -> None:
    """Both groups judge the same comparisons, each sure of itself and against the other in three of four."""
    rows = []
    for i, row in enumerate(paired(200)):
        turned = {**row, "chosen": row["rejected"], "rejected": row["chosen"]}
        rows += [{**row, "group": "nurses"}] * 2
        rows += [{**(turned if i % 4 else row), "group": "guards"}] * 2
    found = advised(rows)
    assert found.facts.people == (("guards", 400), ("nurses", 400))
    assert found.facts.people_differ is not None and found.facts.people_differ[0] == 0.75
    assert found.facts.repeated == 400 and found.facts.flip_rate == 0.0
    assert "robust" not in [advice.algorithm for advice in found.advice]


def test_one_group_of_people_is_no_group() -> None:
    assert advised(paired(200, group="nurses")).facts.people == ()


def test_labels_are_weighted_into_ktos_range() -> None:
    for good, bad in ((1, 99), (20, 80), (49, 51), (57, 43), (80, 20), (99, 1)):
        kto = next(a for a in advised(labelled(good, bad)).advice if a.algorithm == "kto")
        weight = kto.options.get("desirable_weight", 1) * good
        assert 1 - 0.01 <= weight / (kto.options.get("undesirable_weight", 1) * bad) <= 4 / 3 + 0.01


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.3])
def test_the_rate_of_wrong_labels_is_recovered(rate: float) -> None:
    facts = facts_of(load_groups(noisy(rate)))
    assert facts.flip_rate == pytest.approx(rate, abs=0.05)
    found = advise(facts)
    assert [a.algorithm for a in found.advice[:2]] == ["robust", "cdpo"]
    assert found.advice[0].options["label_smoothing"] == pytest.approx(facts.flip_rate, abs=1e-3)


def test_flip_rate_solves_its_equation() -> None:
    rate = flip_rate(32, 100)
    assert rate is not None and 2 * rate * (1 - rate) == pytest.approx(0.32)
    assert flip_rate(0, 0) is None and flip_rate(80, 100) == 0.5


def test_one_sided_labels_are_not_a_preference() -> None:
    assert [a.algorithm for a in advised(labelled(9, 0)).advice] == ["sft"]
    found = advised(labelled(0, 9))
    assert found.advice == () and "add good ones" in found.first[0]


def test_prompts_alone_are_sampled_first() -> None:
    assert "charter sample" in advised(PLANTED["prompts"][0]()).first[0]


def test_prompts_without_answers_need_a_judge() -> None:
    found = [a.algorithm for a in advised(PLANTED["prompts"][0]()).advice]
    assert found[:2] == ["online-dpo", "ppo"] and "grpo" not in found
    checked = [a.algorithm for a in advised(PLANTED["prompts with right answers"][0]()).advice]
    assert checked[:2] == ["grpo", "rloo"] and "ppo" not in checked


def test_an_answer_column_without_answers_checks_nothing() -> None:
    rows = [{"prompt": f"Ask {i}?", "answer": None} for i in range(9)]
    assert advised(rows).facts.checkable == 0 and advised(rows).advice[0].algorithm == "online-dpo"
    half = [{"prompt": f"Ask {i}?", "answer": str(i) if i % 2 else None} for i in range(8)]
    assert "4 of 8 prompts" in advised(half).advice[0].why


def test_tasks_are_checked_by_their_own_score() -> None:
    pytest.importorskip("reasoning_gym")
    found = json.loads(run("reasoning-gym:spell_backward?size=4", "--json"))
    assert found["advice"][0]["command"] == (
        "charter train grpo --data reasoning-gym:spell_backward?size=4 --reward-funcs reasoning-gym"
    )


# -- the command ------------------------------------------------------------------------------


def write(path: Path, rows: list[Row]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["advise", *arguments], catch_exceptions=False)
    return done.stdout


def test_command_prints_reasons_and_commands(tmp_path: Path) -> None:
    out = " ".join(run(write(tmp_path / "pairs.jsonl", noisy())).split())
    assert (
        "robust" in out and "of labels are wrong" in out and "charter algorithms compare robust cdpo" in out
    )


def test_command_as_json(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.jsonl", labelled(20, 80))
    found = json.loads(run(path, "--json"))
    first = found["advice"][0]
    assert first["command"] == f"charter train kto --data {path} --desirable-weight 4.0"
    assert found["facts"]["desirable"] == 20


def likely_text(policy: Any, prompt: str, letters: int) -> str:
    """The letters the model finds most likely, one after the other."""
    plain = [
        i for i in range(256) if len(t := policy.tokenizer.decode([i])) == 1 and t.isalpha() and t.isascii()
    ]
    ids = policy.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    for _ in range(letters):
        logits = policy.model(torch.tensor([ids])).logits[0, -1, plain]
        ids.append(plain[int(logits.argmax())])
    found: str = policy.tokenizer.decode(ids[-letters:])
    return found


@torch.no_grad()
def test_the_model_itself_says_where_its_answers_stand(tmp_path: Path) -> None:
    model = save_tiny(str(tmp_path / "model"))
    policy = load(model, bf16=False)
    rows = [
        {
            "prompt": f"Ask {i}?",
            "chosen": likely_text(policy, f"Ask {i}?", 24),
            "rejected": text(i, 4),
        }
        for i in range(12)
    ]
    better = json.loads(run(write(tmp_path / "a.jsonl", rows), "--model", model, "--json"))
    assert better["advice"][0]["algorithm"] == "apo-zero"
    assert any("likelihood is not quality" in line for line in better["first"])
    swapped = [{**row, "chosen": text(i, 4), "rejected": row["chosen"]} for i, row in enumerate(rows)]
    worse = json.loads(run(write(tmp_path / "b.jsonl", swapped), "--model", model, "--json"))
    assert worse["advice"][0]["algorithm"] == "apo-down"
    assert worse["facts"]["standing"][2] < 0 < better["facts"]["standing"][1]


def test_a_model_has_no_say_where_nothing_is_chosen(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.jsonl", labelled(5, 5))
    with pytest.raises(UserError, match="no effect"):
        run(path, "--model", "some/model")
