"""Fields of ``PPOConfig``, which TRL has removed."""

from __future__ import annotations

from charter.catalogue.from_trl.field import MEMORY, Rows, Trainer, refused, renamed, same

_PPO: tuple[Trainer, ...] = ("ppo",)
_DECIDED = "decided by per_device_train_batch_size, gradient_accumulation_steps and steps_per_generation"

SECTIONS: dict[str, Rows] = {
    "Proximal policy optimisation (`PPOConfig`, removed after TRL 1.11)": (
        *same("kl_coef vf_coef cliprange_value gamma lam", of=_PPO),
        *renamed("cliprange", "epsilon", of=_PPO),
        *renamed("num_ppo_epochs", "num_iterations", of=_PPO),
        *renamed(
            "num_mini_batches",
            "steps_per_generation",
            "there a batch is split into so many; here a round is so many batches",
            of=_PPO,
        ),
        *renamed("response_length", "max_completion_length", of=_PPO),
        *renamed("reward_model_path", "reward_funcs", "name the reward model's folder", of=_PPO),
        *renamed("sft_model_path", "model", "the reference is that model before the first step", of=_PPO),
        *refused("kl_estimator", "always k1 in the reward: the log-ratio itself, unbiased", of=_PPO),
        *refused(
            "whiten_rewards", "not offered: advantages are whitened instead, by whiten_advantages", of=_PPO
        ),
        *refused("total_episodes num_total_batches", "decided by num_train_epochs or max_steps", of=_PPO),
        *refused("batch_size micro_batch_size local_batch_size", _DECIDED, of=_PPO),
        *refused("mini_batch_size local_mini_batch_size", _DECIDED, of=_PPO),
        *refused("local_rollout_forward_batch_size", MEMORY, of=_PPO),
        *refused("world_size", "not offered: training runs in one process", of=_PPO),
        *refused(
            "num_sample_generations",
            "always on: every rollout is written to samples.jsonl, with its rewards",
            of=_PPO,
        ),
        *refused("stop_token stop_token_id", "always the end of turn of the chat template", of=_PPO),
        *refused("exp_name", "not offered: the run directory is the name", of=_PPO),
        *refused(
            "model_adapter_name ref_adapter_name",
            "not offered: an adapter the policy brings is merged, and the result is the reference",
            of=_PPO,
        ),
    ),
}
