from __future__ import annotations

import importlib
import inspect
import json
from typing import Any

import pytest

from charter.catalogue import ENTRIES, Entry, TrainOptions, lookup
from charter.catalogue.rollouts import RolloutOptions
from charter.config import validate
from charter.errors import ConfigError
from charter.objectives.base import Need
from charter.training.terms import terms_of

each = pytest.mark.parametrize("entry", ENTRIES.values(), ids=list(ENTRIES))
online = pytest.mark.parametrize(
    "entry", [e for e in ENTRIES.values() if e.rollouts], ids=[n for n, e in ENTRIES.items() if e.rollouts]
)

REQUIRED: dict[str, Any] = {"ptx_data": "text.jsonl", "reward_thresholds": (0.5,)}
"""Values of the options that have no default."""


def made_options(entry: Entry, **given: Any) -> TrainOptions:
    fields = entry.options.model_fields
    required = {name: REQUIRED[name] for name, info in fields.items() if info.is_required()}
    return entry.options(**required, **given)


def reads_reference(entry: Entry, options: TrainOptions) -> bool:
    """Whether the loss, or what assigns credit, reads the reference's log-probs."""
    needs = {need for term in terms_of(entry, options) for need in term.objective.needs}
    spec = entry.rollouts
    if spec is None:
        return "reference" in needs
    read = {*spec.reads, *(what for what, option in spec.reads_if if getattr(options, option))}
    return "reference" in needs or "ref_logps" in read


@each
def test_terms_can_be_built_from_the_options(entry: Entry) -> None:
    options = made_options(entry)
    assert terms_of(entry, options)
    if entry.rollouts is None:
        assert reads_reference(entry, options) == (entry.reference != "none")


@online
def test_a_reference_is_read_where_the_options_say_so(entry: Entry) -> None:
    weights = {"beta", "kl_coef"} & set(entry.options.model_fields)
    held = made_options(entry, **dict.fromkeys(weights, 0.1))
    assert isinstance(held, RolloutOptions)
    assert held.uses_reference == reads_reference(entry, held) == (entry.reference != "none")
    plain = made_options(entry)
    assert isinstance(plain, RolloutOptions)
    assert plain.uses_reference == reads_reference(entry, plain)


@online
def test_credit_and_stepper_exist_and_samplers_have_their_options(entry: Entry) -> None:
    spec = entry.rollouts
    assert spec is not None
    for dotted in (spec.credit, *([spec.stepper] if spec.stepper else [])):
        module, _, name = dotted.partition(":")
        assert callable(getattr(importlib.import_module(module), name))
    fields = entry.options.model_fields
    assert ("mixture" in spec.sampled_by) == ("mixture_coef" in fields)
    assert ("moving" in spec.sampled_by) == ("ema_decay" in fields)
    assert all(option in fields for _, option in spec.reads_if)
    assert spec.critic == ("critic" in entry.models)
    assert made_options(entry).num_generations >= len(spec.sampled_by)  # type: ignore[attr-defined]


@online
def test_a_policy_gradient_without_a_ratio_takes_one_step_a_round(entry: Entry) -> None:
    """Its gradient is the policy's at the weights that sampled, and nowhere else."""
    options = made_options(entry)
    objectives = [term.objective for term in terms_of(entry, options)]
    gradients = [one for one in objectives if getattr(one, "name", "") == "policy_gradient"]
    biased = any(Need.OLD_LOGPS not in objective.needs for objective in gradients)
    for name in ("steps_per_generation", "num_iterations"):
        if biased:
            assert getattr(options, name) == 1
            with pytest.raises(ValueError, match="one step a round"):
                made_options(entry, **{name: 2})
        else:
            assert getattr(made_options(entry, **{name: 2}), name) == 2


def test_the_walk_above_finds_policy_gradients_without_a_ratio() -> None:
    """By what they read: nothing that has an advantage, or is a policy gradient, goes unnoticed."""
    found = set()
    for name, entry in ENTRIES.items():
        for term in terms_of(entry, made_options(entry)) if entry.rollouts else ():
            named = getattr(term.objective, "name", "") == "policy_gradient"
            assert named or Need.ADVANTAGES not in term.objective.needs, name
            if named and Need.OLD_LOGPS not in term.objective.needs:
                found.add(name)
    assert found == {"reinforce", "remax", "reinforce-value", "nash-md", "nash-ema"}


@pytest.mark.parametrize("name", ["nash-md", "nash-ema", "xpo", "ipo-md", "rso", "rs-dpo", "slic-rank"])
def test_methods_of_several_samplers_are_not_played_in_an_environment(name: str) -> None:
    with pytest.raises(ValueError, match="only the policy plays"):
        lookup(name).options(environment="calculator")
    with pytest.raises(ValueError, match="greedy"):
        lookup("remax").options(environment="calculator")


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
        given, takes = {*term.options, *term.fixed}, set(inspect.signature(objective).parameters)
        # Online methods share classes: what one leaves at its default, another sets.
        assert given <= takes if entry.rollouts else given == takes


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
    made = made_options(entry)
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
