"""Which trainer of TRL does what which algorithm does here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from charter.catalogue.from_trl.field import Trainer


@dataclass(frozen=True, slots=True)
class TrlTrainer:
    """A trainer of TRL.

    Attributes:
        config: ``module:Class`` of its config; "" where TRL has removed it.
        algorithm: the algorithm that takes its options by name.
        others: algorithms that are one setting of it there.
        removed: fields of its config that the installed TRL no longer has, with their last defaults,
            beside those of transformers' ``TrainingArguments``.
    """

    config: str
    algorithm: str
    others: tuple[str, ...] = ()
    removed: Mapping[str, Any] = field(default_factory=dict)


TRAINERS: dict[Trainer, TrlTrainer] = {
    "sft": TrlTrainer(
        "trl:SFTConfig",
        "sft",
        ("dft", "pretrain", "imitation", "genrm", "genrm-pairwise", "slic-pointwise", "slic-pairwise"),
    ),
    "dpo": TrlTrainer(
        "trl:DPOConfig",
        "dpo",
        (
            "cdpo",
            "robust",
            "hinge",
            "ipo",
            "exo",
            "nca",
            "bco-pair",
            "sppo-hard",
            "aot",
            "aot-unpaired",
            "apo-zero",
            "apo-down",
            "discopop",
            "dpo-norm",
            "ld-dpo",
            "f-dpo",
            "wpo",
            "rpo",
            "tr-dpo",
        ),
        # rpo_alpha gave way to loss_type ["sigmoid", "sft"] with loss_weights.
        {
            "rpo_alpha": None,
            "reference_free": False,
            "force_use_ref_model": False,
            "model_adapter_name": None,
            "ref_adapter_name": None,
            "label_pad_token_id": -100,
            "padding_value": None,
            "use_logits_to_keep": False,
            "ref_model_init_kwargs": None,
            "max_prompt_length": 512,
            "max_completion_length": None,
            "generate_during_eval": False,
            "use_liger_loss": False,
            "base_model_attribute_name": "model",
            "tools": None,
        },
    ),
    "reward": TrlTrainer("trl:RewardConfig", "reward", ("reward-margin",)),
    "kto": TrlTrainer("trl:KTOConfig", "kto", ("apo-zero-unpaired",)),
    "cpo": TrlTrainer("trl.experimental.cpo:CPOConfig", "cpo", ("simpo", "alphapo")),
    "orpo": TrlTrainer("trl.experimental.orpo:ORPOConfig", "orpo"),
    "gkd": TrlTrainer("trl.experimental.gkd:GKDConfig", "context-distillation"),
    "distillation": TrlTrainer("trl:DistillationConfig", "on-policy-distillation"),
    "sdft": TrlTrainer("trl.experimental.sdft:SDFTConfig", "on-policy-distillation"),
    "bco": TrlTrainer(
        "",
        "bco",
        (),
        {
            "learning_rate": 5e-7,
            "max_length": 1024,
            "max_completion_length": None,
            "beta": 0.1,
            "truncation_mode": "keep_end",
            "disable_dropout": True,
            "generate_during_eval": False,
            "is_encoder_decoder": None,
            "precompute_ref_log_probs": False,
            "model_init_kwargs": None,
            "dataset_num_proc": None,
            "prompt_sample_size": 1024,
            "min_density_ratio": 0.5,
            "max_density_ratio": 10.0,
        },
    ),
    "prm": TrlTrainer(
        "",
        "process-reward",
        (),
        {
            "learning_rate": 1e-5,
            "max_length": 1024,
            "max_prompt_length": 512,
            "max_completion_length": None,
            "disable_dropout": True,
            "step_separator": "\n",
            "train_on_last_step_only": False,
            "dataset_num_proc": None,
        },
    ),
}


def trainers_of(algorithm: str) -> tuple[Trainer, ...]:
    """Trainers of TRL that do what ``algorithm`` does here; none where TRL has no such thing."""
    return tuple(
        name for name, trl in TRAINERS.items() if algorithm == trl.algorithm or algorithm in trl.others
    )
