"""Options of the pair methods: what goes together, what does nothing, how it is typed."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from charter.catalogue import (
    ENTRIES,
    preference,
    preference_anchored,
    preference_extended,
    preference_variants,
)
from charter.cli.train import TrainGroup
from charter.errors import ConfigError
from charter.pipeline.recipe import train_options
from charter.training.terms import terms_of

MINE = {
    e.name: e
    for m in (preference, preference_variants, preference_extended, preference_anchored)
    for e in m.ENTRIES
}


def options(name: str, **given: Any) -> Any:
    return train_options(name, given, "recipe.yaml")


@pytest.mark.parametrize(
    "given",
    [
        {"loss_type": "hinge"},
        {"loss_type": ["sigmoid"]},
        {"loss_type": ["sigmoid", "bco_pair", "sft"], "loss_weights": [0.8, 0.2, 1]},
        {"loss_type": "robust", "label_smoothing": 0.1},
        {"loss_type": ["sigmoid", "aot"], "label_smoothing": 0.1},
        {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 0.3},
        {"loss_type": ["ipo", "sft"], "f_divergence_type": "forward_kl"},
        {"ld_alpha": 0.0, "use_weighting": True},
        {"loss_type": "discopop", "discopop_tau": 0.1},
        {"loss_type": "sft"},
        {"rpo_alpha": 1.0},
        {"loss_type": "sppo", "beta": 0.001},
        {"loss_type": "cdpo", "label_smoothing": 0.2, "sync_ref_model": True, "ref_model_sync_steps": 8},
    ],
    ids=str,
)
def test_combinations_that_make_sense(given: dict[str, Any]) -> None:
    made = options("dpo", **given)
    assert made.model_fields_set == set(given)
    assert terms_of(ENTRIES["dpo"], made)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"loss_type": "hindge"}, "loss_type: no loss 'hindge'; did you mean 'hinge'"),
        ({"loss_type": ["sigmoid", "hindge"]}, "did you mean 'hinge'"),
        ({"loss_type": []}, "wanted the name of a loss"),
        ({"loss_type": 3}, "wanted the name of a loss"),
        ({"loss_type": ["sigmoid", "sigmoid"]}, "names a loss twice"),
        ({"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0]}, "1 entries for 2 losses"),
        ({"loss_weights": [1.0, 2.0]}, "2 entries for 1 losses"),
        ({"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.0]}, "greater than 0"),
        ({"label_smoothing": 0.1}, "label_smoothing has no effect"),
        ({"loss_type": ["sigmoid", "hinge"], "label_smoothing": 0.1}, "label_smoothing has no effect"),
        ({"loss_type": "exo_pair"}, "exo_pair needs label_smoothing above 0, such as 1.0e-3"),
        ({"loss_type": "robust"}, "robust needs label_smoothing"),
        ({"loss_type": "cdpo"}, "cdpo needs label_smoothing"),
        ({"loss_type": "robust", "label_smoothing": 0.5}, "less than 0.5"),
        ({"f_alpha_divergence_coef": 0.3}, "f_alpha_divergence_coef has no effect"),
        (
            {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 1.0},
            "f_alpha_divergence_coef: Input should be less than 1",
        ),
        *(
            ({"loss_type": name, "f_divergence_type": "js_divergence"}, f"not for {name}")
            for name in (
                *("nca_pair", "bco_pair", "sppo_hard", "sppo"),
                *("apo_zero", "apo_down", "aot", "aot_unpaired"),
            )
        ),
        ({"discopop_tau": 0.1}, "discopop_tau has no effect"),
        ({"ld_alpha": 1.0}, "ld_alpha"),
        ({"loss_type": "aot", "use_weighting": True}, "use_weighting is not defined for aot"),
        ({"loss_type": "sft", "ld_alpha": 0.5}, "ld_alpha has no effect with loss_type: sft alone"),
        ({"loss_type": "sft", "beta": 0.5}, "beta has no effect with loss_type: sft alone"),
        ({"loss_type": ["sigmoid", "sft"], "rpo_alpha": 1.0}, "the same term"),
        ({"rpo_alpha": 0.0}, "rpo_alpha"),
        ({"ref_model_sync_steps": 8}, "no effect without sync_ref_model"),
        ({"psi": "identity"}, "unknown key 'psi'"),
    ],
    ids=str,
)
def test_combinations_without_effect_or_sense(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        options("dpo", **given)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("robust", {"label_smoothing": 0.0}, "label_smoothing"),
        ("f-dpo", {"f_divergence_type": "reverse_kl"}, "f_divergence_type"),
        ("f-dpo", {"f_alpha_divergence_coef": 0.5}, "no effect"),
        ("ld-dpo", {"ld_alpha": 1.0}, "ld_alpha"),
        ("tr-dpo", {"sync_ref_model": False}, "makes it dpo"),
        ("hinge", {"label_smoothing": 0.1}, "label_smoothing"),
        ("ipo", {"loss_type": "ipo"}, "loss_type"),
        ("wpo", {"use_weighting": True}, "use_weighting"),
    ],
    ids=str,
)
def test_entries_take_their_own_options_only(name: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        options(name, **given)


def test_an_entry_is_dpo_with_its_loss() -> None:
    """What ``charter train exo`` trains is what ``dpo`` trains with that loss_type."""
    for name, given in {
        "exo": {"loss_type": "exo_pair", "label_smoothing": 1e-3},
        "apo-zero": {"loss_type": "apo_zero"},
        "ld-dpo": {"ld_alpha": 0.5},
        "wpo": {"use_weighting": True},
        "f-dpo": {"f_divergence_type": "js_divergence"},
        "cdpo": {"loss_type": "cdpo", "label_smoothing": 0.1},
    }.items():
        (own,) = terms_of(ENTRIES[name], options(name))
        (dpo,) = terms_of(ENTRIES["dpo"], options("dpo", **given))
        assert vars(own.objective) == vars(dpo.objective), name


@pytest.mark.parametrize("name", [n for n, entry in MINE.items() if entry.paper_settings])
def test_paper_settings_are_valid_and_are_used(name: str) -> None:
    made = options(name, preset="paper")
    for key, value in MINE[name].paper_settings.items():
        assert getattr(made, key) == value
    assert options(name, preset="paper", learning_rate=3e-4).learning_rate == 3e-4


def test_methods_without_published_settings_say_so() -> None:
    with pytest.raises(ConfigError, match="no published settings"):
        options("aot", preset="paper")


@pytest.mark.parametrize("name", MINE)
def test_the_command_line_offers_every_own_option(name: str) -> None:
    shown = CliRunner().invoke(TrainGroup(), [name, "--help"]).output
    for option in MINE[name].own_options():
        assert f"--{option.replace('_', '-')}" in shown, option


def test_lists_are_flags_given_several_times(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def train(*positional: Any, **given: Any) -> Any:
        seen.update(given)
        raise SystemExit(0)

    monkeypatch.setattr("charter.api.train", train)
    words = "dpo --data some/data --loss-type sigmoid --loss-type sft --loss-weights 1 --loss-weights 0.5"
    CliRunner().invoke(TrainGroup(), words.split())
    assert seen["loss_type"] == ["sigmoid", "sft"] and seen["loss_weights"] == [1.0, 0.5]
    seen.clear()
    CliRunner().invoke(TrainGroup(), ["dpo", "--data", "some/data", "--loss-type", "hinge"])
    assert seen["loss_type"] == ["hinge"]
    refused = CliRunner().invoke(TrainGroup(), ["dpo", "--data", "some/data", "--loss-type", "hindge"])
    assert refused.exit_code == 2 and "hinge" in refused.output
