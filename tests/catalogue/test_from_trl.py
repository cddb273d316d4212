from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.util
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from charter.catalogue import ENTRIES, TrainOptions
from charter.catalogue.from_trl import (
    COMMAND_NAMES,
    FIELDS,
    TRAINERS,
    TRL_VERSION,
    Trainer,
    explain_trl,
    trl_fields,
)

ROOT = Path(__file__).parents[2]

SAME_VALUE_OTHER_MEANING = {"lora_target_modules"}
"""None on both sides, and None means something else."""


def load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("from_trl")


@pytest.fixture(scope="module")
def defaults(script: ModuleType) -> dict[str, dict[str, Any]]:
    trl = pytest.importorskip("trl", reason="TRL is a development dependency")
    if trl.__version__ != TRL_VERSION:
        pytest.skip(f"the table is for TRL {TRL_VERSION}, here is {trl.__version__}")
    found: dict[str, dict[str, Any]] = script.trl_defaults()
    return found


def plain(value: Any) -> Any:
    """A tuple here is a list there."""
    return list(value) if isinstance(value, (list, tuple)) else value


# -- the table against TRL ---------------------------------------------------------


each = pytest.mark.parametrize("trainer", list(TRAINERS))


@each
def test_every_field_of_the_config_is_in_the_table(
    defaults: dict[str, dict[str, Any]], trainer: Trainer
) -> None:
    known = {*defaults[trainer], *defaults["model"], *defaults["script"]}
    assert {row.name for row in FIELDS if trainer in row.trainers} == known


def test_removed_fields_are_gone_from_the_installed_trl(script: ModuleType) -> None:
    for name, trl in TRAINERS.items():
        if trl.config:
            module, _, cls = trl.config.partition(":")
            installed = {f.name for f in dataclasses.fields(getattr(importlib.import_module(module), cls))}
            assert set(trl.removed).isdisjoint(installed), name


def test_defaults_are_trls_unless_the_table_says_why(
    script: ModuleType, defaults: dict[str, dict[str, Any]]
) -> None:
    wrong = []
    for row in FIELDS:
        if row.status != "same" or row.name in COMMAND_NAMES:
            continue
        differs = []
        for trainer, theirs in script.default_of(row, defaults).items():
            ours = script.our_default(row, trainer)
            if plain(ours) != plain(theirs) or row.name in SAME_VALUE_OTHER_MEANING:
                differs.append(f"{trainer} {row.name}: ours {ours}, TRL {theirs}")
        if bool(differs) != bool(row.default):
            wrong += differs or [f"{row.name}: says why the default differs, and it does not"]
    assert wrong == []


def test_the_page_is_up_to_date(script: ModuleType, defaults: dict[str, dict[str, Any]]) -> None:
    written = script.PAGE.read_text(encoding="utf-8")
    assert written == script.page(defaults), "run: python scripts/from_trl.py"


# -- the table against our options -----------------------------------------------------


@each
def test_same_means_that_it_is_an_option(trainer: Trainer) -> None:
    algorithm = TRAINERS[trainer].algorithm
    options = {*ENTRIES[algorithm].options.model_fields, *COMMAND_NAMES}
    rows = [row for row in FIELDS if trainer in row.trainers]
    wrong = [f"{row.name}: {row.status}" for row in rows if (row.name in options) != (row.status == "same")]
    assert wrong == []


def test_every_algorithm_named_is_in_the_catalogue() -> None:
    named = {name for trl in TRAINERS.values() for name in (trl.algorithm, *trl.others)}
    assert sorted(named - set(ENTRIES)) == []


def test_options_trl_lacks_say_so() -> None:
    """Those of every algorithm, and of the algorithms that stand for a trainer of TRL."""
    trl_names = {row.name for row in FIELDS}
    algorithms = {trl.algorithm for trl in TRAINERS.values()}
    wrong = [
        f"{name} {option}"
        for name in sorted(algorithms)
        for option, info in ENTRIES[name].options.model_fields.items()
        if option not in trl_names and "Not in TRL" not in " ".join((info.description or "").split())
    ]
    assert wrong == []


def test_renamed_fields_lead_somewhere() -> None:
    for row in FIELDS:
        assert bool(row.to) == (row.status == "renamed"), row.name
        if row.to:
            options = [ENTRIES[TRAINERS[trainer].algorithm].options.model_fields for trainer in row.trainers]
            assert row.to in COMMAND_NAMES or all(row.to in fields for fields in options), row.name


def test_no_field_has_two_rows_for_one_trainer() -> None:
    seen = Counter((row.name, trainer) for row in FIELDS for trainer in row.trainers)
    assert [key for key, count in seen.items() if count > 1] == []


def test_every_refusal_has_a_reason_a_person_understands() -> None:
    openings = r"(always|not offered|does nothing|decided by)\b"
    for row in FIELDS:
        if row.status == "refused":
            assert re.match(openings, row.note) and len(row.note.split()) >= 2, row.name


def test_options_a_reason_points_to_exist() -> None:
    words = {word for row in FIELDS for word in re.findall(r"\b(?:set|lower) (\w+_\w+)", row.note)}
    assert {"max_kl", "save_steps", "tokens_per_microbatch"} <= words <= set(TrainOptions.model_fields)


# -- explain_trl ---------------------------------------------------------------------------


def test_a_refused_name_is_explained() -> None:
    reason = explain_trl("gradient_checkpointing")
    assert reason is not None and "tokens_per_microbatch" in reason
    assert explain_trl("--gradient-checkpointing") == reason


def test_a_renamed_name_is_explained() -> None:
    assert (
        explain_trl("dataset_name", "dpo") == "called data here: a file, a saved datasets folder, or a hub id"
    )
    assert explain_trl("model_name_or_path") == "called model here"


@pytest.mark.parametrize("name", ["learning_rate", "beta", "output_dir", "no_such_option", ""])
def test_nothing_to_explain(name: str) -> None:
    assert explain_trl(name) is None


def test_the_algorithm_decides_where_it_matters() -> None:
    assert explain_trl("loss_type", "dpo") is None
    assert explain_trl("loss_type") is None
    assert "tokens are compared" in (explain_trl("loss_type", "context-distillation") or "")
    assert explain_trl("beta", "sft") == "an option of dpo, not of sft"
    assert explain_trl("loss_type", "ipo") == "an option of dpo, not of ipo"
    assert "max_completion_length" in (explain_trl("max_new_tokens", "context-distillation") or "")


@each
def test_every_name_that_is_no_option_is_explained(trainer: Trainer) -> None:
    algorithm = TRAINERS[trainer].algorithm
    options = ENTRIES[algorithm].options.model_fields
    for name in trl_fields(algorithm):
        assert name in options or name in COMMAND_NAMES or explain_trl(name, algorithm), name


# -- the example on the page -------------------------------------------------------------------


def keywords(code: str, function: str) -> set[str]:
    return {
        keyword.arg
        for call in ast.walk(ast.parse(code))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(function)
        for keyword in call.keywords
        if keyword.arg
    }


def examples(page: str) -> Iterator[str]:
    yield from re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)


def test_the_example_uses_options_that_exist(script: ModuleType) -> None:
    before, after, online = examples(script.HEAD)
    used = keywords(online, "charter.train")
    assert {"reward_funcs", "num_generations"} <= used
    assert used <= {*ENTRIES["grpo"].options.model_fields, *COMMAND_NAMES}
    assert keywords(before, "DPOConfig") <= set(trl_fields("dpo"))
    used = keywords(after, "charter.train")
    assert used and used <= {*ENTRIES["dpo"].options.model_fields, *COMMAND_NAMES}
    assert len(after.splitlines()) < len(before.splitlines()) <= 20
