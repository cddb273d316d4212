"""Fields of ``GRPOConfig`` and ``RLOOConfig`` alone."""

from __future__ import annotations

from charter.catalogue.from_trl.field import Rows, Trainer, refused, renamed, same

_GRPO: tuple[Trainer, ...] = ("grpo",)
_RLOO: tuple[Trainer, ...] = ("rloo",)
_NO_LOSS = "not offered: of the losses sapo and vespo, which are not here"
_NO_ADAPTING = "not offered: the weight of the entropy stays entropy_coef; the watchdog reports a collapse"

SECTIONS: dict[str, Rows] = {
    "Group relative policy optimisation (`GRPOConfig`)": (
        *same("beta", of=_GRPO),
        *same("epsilon delta", of=_GRPO),
        *same(
            "epsilon_high",
            "with loss_type cispo none is 5; in TRL it is epsilon there, which makes most weights 0.2",
            of=_GRPO,
        ),
        *same("importance_sampling_level", of=_GRPO),
        *same(
            "loss_type",
            "grpo, dapo, bnpo, dr_grpo or cispo; a batch of bnpo is the optimizer step; sapo, luspo and "
            "vespo are not offered",
            of=_GRPO,
        ),
        *same("scale_rewards", "group, batch or none; not true or false", of=_GRPO),
        *same("multi_objective_aggregation use_bias_correction_kl entropy_coef", of=_GRPO),
        *refused("sapo_temperature_neg sapo_temperature_pos", _NO_LOSS, of=_GRPO),
        *refused("vespo_k_pos vespo_lambda_pos vespo_k_neg vespo_lambda_neg", _NO_LOSS, of=_GRPO),
        *refused("top_entropy_quantile", "not offered: every sampled token is trained on", of=_GRPO),
        *refused(
            "use_adaptive_entropy entropy_coef_min entropy_coef_max entropy_coef_delta entropy_target",
            _NO_ADAPTING,
            of=_GRPO,
        ),
        *renamed(
            "vllm_importance_sampling_correction",
            "importance_sampling_correction",
            "off unless you say so, as sampler and trainer compute the same",
            of=_GRPO,
        ),
        *renamed("vllm_importance_sampling_mode", "importance_sampling_mode", of=_GRPO),
        *renamed("vllm_importance_sampling_clip_max", "importance_sampling_clip_max", of=_GRPO),
        *renamed("vllm_importance_sampling_cap", "importance_sampling_clip_max", of=_GRPO),
        *renamed("vllm_importance_sampling_clip_min", "importance_sampling_clip_min", of=_GRPO),
        *refused(
            "off_policy_mask_threshold",
            "not offered: rollouts are of the policy's own rounds; importance_sampling_mode masks tokens",
            of=_GRPO,
        ),
        *refused(
            "max_tool_calling_iterations",
            "not offered: tools belong to an environment, whose turns max_turns bounds",
            of=_GRPO,
        ),
        *refused(
            "cast_lm_head_to_fp32",
            "not offered: the head computes as the rest does, its log-softmax in float32",
            of=_GRPO,
        ),
        *refused(
            "log_completions_hub_repo",
            "not offered: nothing is uploaded; rollouts are in samples.jsonl",
            of=_GRPO,
        ),
    ),
    "REINFORCE leave-one-out (`RLOOConfig`)": (
        *same("beta epsilon epsilon_high normalize_advantages", of=_RLOO),
        *refused(
            "reward_clip_range",
            "not offered: bound a reward inside your own reward function",
            of=_RLOO,
        ),
    ),
}
