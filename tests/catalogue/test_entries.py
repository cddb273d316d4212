from __future__ import annotations

import importlib
import inspect
import json

import pytest

from charter.catalogue import ENTRIES, Entry, TrainOptions, lookup
from charter.config import validate
from charter.errors import ConfigError
from charter.training.terms import terms_of

each = pytest.mark.parametrize("entry", ENTRIES.values(), ids=list(ENTRIES))


@each
def test_terms_can_be_built_from_the_options(entry: Entry) -> None:
    terms = terms_of(entry, entry.options())
    needs = {need for term in terms for need in term.objective.needs}
    assert terms
    assert ("reference" in needs) == (entry.reference != "none")


@each
def test_every_own_option_reaches_a_term(entry: Entry) -> None:
    """An option that no term takes would do nothing."""
    taken = {option for term in entry.terms for option in term.options}
    weights = {term.weight for term in entry.terms if isinstance(term.weight, str)}
    assert set(entry.own_options()) == taken | weights | set(entry.elsewhere)


@each
def test_terms_take_every_argument_of_their_objective(entry: Entry) -> None:
    for term in entry.terms:
        module, _, name = term.objective.partition(":")
        objective = getattr(importlib.import_module(module), name)
        assert set(inspect.signature(objective).parameters) == {*term.options, *term.fixed}


@each
def test_every_option_says_what_it_does(entry: Entry) -> None:
    for option in entry.to_json()["options"]:
        assert option["meaning"].endswith("."), option["name"]
        assert "\n" not in option["meaning"]
        assert option["type"] != "any", option["name"]


@each
def test_entry_is_plain_data(entry: Entry) -> None:
    assert json.loads(json.dumps(entry.to_json()))["name"] == entry.name == lookup(entry.name).name


def test_unknown_algorithm_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no algorithm 'dop'; did you mean 'dpo'"):
        lookup("dop")


# -- options ----------------------------------------------------------------------------


@each
def test_defaults_are_valid(entry: Entry) -> None:
    made = entry.options()
    assert validate(entry.options, made.model_dump(mode="json", exclude_unset=True), where="x") == made


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"lora_r": 8}, "lora_r has no effect"),
        ({"kl_steps": 3}, "kl_steps has no effect"),
        ({"max_steps": 5, "num_train_epochs": 1.0}, "num_train_epochs has no effect"),
        ({"max_steps": 0}, "max_steps must be positive"),
        ({"warmup_steps": 3, "lr_scheduler_type": "constant"}, "warmup_steps has no effect"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": "1e-5"}, "write 1.0e-5"),
        ({"truncation_mode": "keep_end"}, "truncation_mode has no effect"),
        ({"max_prompt_length": 9, "truncation_mode": "middle"}, "truncation_mode"),
        ({"per_device_train_batch_size": 0}, "per_device_train_batch_size"),
        ({"per_device_train_batch_size": 2.5}, "per_device_train_batch_size"),
        ({"bf16": "yes"}, "bf16"),
        ({"learning_rat": 1.0}, "did you mean 'learning_rate'"),
    ],
)
def test_options_without_effect_or_sense_are_errors(options: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        validate(TrainOptions, options, where="recipe.yaml")


@pytest.mark.parametrize(
    "options",
    [
        {"use_peft": True, "lora_r": 8, "lora_target_modules": ["q_proj"]},
        {"max_kl": 10.0, "kl_steps": 3},
        {"max_steps": 5},
        {"max_length": None},
        {"max_prompt_length": 512, "truncation_mode": "keep_end"},
        {"warmup_steps": 0.1},
        {"report_to": ["tensorboard"]},
        {"learning_rate": 1},
    ],
)
def test_options_that_make_sense_are_taken(options: dict[str, object]) -> None:
    made = validate(TrainOptions, options, where="recipe.yaml")
    assert made.model_fields_set == set(options)


def test_batch_size_is_rows_per_step() -> None:
    assert TrainOptions(per_device_train_batch_size=4, gradient_accumulation_steps=3).batch_size == 12


def test_own_options_are_those_beyond_the_common_ones() -> None:
    assert ENTRIES["dpo"].own_options()[3:6] == ["beta", "loss_type", "loss_weights"]
    assert ENTRIES["pretrain"].own_options() == []
