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
        called: the config's name where TRL has removed it.
    """

    config: str
    algorithm: str
    others: tuple[str, ...] = ()
    removed: Mapping[str, Any] = field(default_factory=dict)
    called: str = ""

    @property
    def title(self) -> str:
        """The name of its config."""
        return self.config.rpartition(":")[2] or f"{self.called} (removed)"


_PPO: Mapping[str, Any] = {
    "learning_rate": 3e-6,
    "dataset_num_proc": None,
    "num_mini_batches": 1,
    "total_episodes": None,
    "local_rollout_forward_batch_size": 64,
    "num_sample_generations": 10,
    "response_length": 53,
    "stop_token": None,
    "stop_token_id": None,
    "temperature": 0.7,
    "missing_eos_penalty": None,
    "sft_model_path": "EleutherAI/pythia-160m",
    "world_size": None,
    "num_total_batches": None,
    "micro_batch_size": None,
    "local_batch_size": None,
    "batch_size": None,
    "local_mini_batch_size": None,
    "mini_batch_size": None,
    "exp_name": "ppo_config",
    "reward_model_path": "EleutherAI/pythia-160m",
    "model_adapter_name": None,
    "ref_adapter_name": None,
    "num_ppo_epochs": 4,
    "whiten_rewards": False,
    "kl_coef": 0.05,
    "kl_estimator": "k1",
    "cliprange": 0.2,
    "vf_coef": 0.1,
    "cliprange_value": 0.2,
    "gamma": 1.0,
    "lam": 0.95,
    "ds3_gather_for_generation": True,
}

_ONLINE_DPO: Mapping[str, Any] = {
    "learning_rate": 5e-7,
    "reward_model_path": None,
    "judge": None,
    "reward_weights": None,
    "max_new_tokens": 64,
    "max_length": 512,
    "temperature": 0.9,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": None,
    "repetition_penalty": 1.0,
    "generation_kwargs": None,
    "cache_implementation": None,
    "missing_eos_penalty": None,
    "beta": [0.1],
    "loss_type": "sigmoid",
    "disable_dropout": True,
    "use_vllm": False,
    "vllm_model_impl": "vllm",
    "vllm_structured_outputs_regex": None,
    "vllm_gpu_memory_utilization": 0.55,
    "vllm_mode": "colocate",
    "vllm_server_base_url": None,
    "vllm_server_host": "0.0.0.0",
    "vllm_server_port": 8000,
    "vllm_server_timeout": 240.0,
    "vllm_group_port": 51216,
    "vllm_tensor_parallel_size": 1,
    "vllm_enable_sleep_mode": False,
    "ds3_gather_for_generation": True,
    "model_init_kwargs": None,
    "trust_remote_code": False,
}
"""What NashMDConfig and XPOConfig inherited; taken from OnlineDPOConfig of TRL 1.16 and not checked
against the last TRL that had them."""

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
        "BCOConfig",
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
        "PRMConfig",
    ),
    "grpo": TrlTrainer("trl:GRPOConfig", "grpo", ("dapo", "dr-grpo", "gspo", "cispo")),
    "rloo": TrlTrainer("trl:RLOOConfig", "rloo"),
    "online-dpo": TrlTrainer(
        "trl.experimental.online_dpo:OnlineDPOConfig", "online-dpo", (), {"judge": None}
    ),
    "ppo": TrlTrainer("", "ppo", (), _PPO, "PPOConfig"),
    "nash-md": TrlTrainer("", "nash-md", (), {**_ONLINE_DPO, "mixture_coef": [0.5]}, "NashMDConfig"),
    "xpo": TrlTrainer("", "xpo", (), {**_ONLINE_DPO, "alpha": [1e-5]}, "XPOConfig"),
}


def trainers_of(algorithm: str) -> tuple[Trainer, ...]:
    """Trainers of TRL that do what ``algorithm`` does here; none where TRL has no such thing."""
    return tuple(
        name for name, trl in TRAINERS.items() if algorithm == trl.algorithm or algorithm in trl.others
    )
