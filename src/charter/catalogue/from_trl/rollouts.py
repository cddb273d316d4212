"""Fields of TRL's trainers that sample: what ``GRPOConfig``, ``RLOOConfig``, ``OnlineDPOConfig`` share."""

from __future__ import annotations

from charter.catalogue.from_trl.field import NO_PADDING, Rows, Trainer, refused, renamed, same

GROUPS: tuple[Trainer, ...] = ("grpo", "rloo")
PAIRS: tuple[Trainer, ...] = ("online-dpo", "nash-md", "xpo")
_SAMPLE: tuple[Trainer, ...] = (*GROUPS, *PAIRS)
_NO_VLLM = "not offered: completions are sampled in this process, with the weights that are trained"
_PLAIN = "not offered: the sampler's distribution must be the one that is trained"
_ONE_PROCESS = "not offered: training runs in one process"
_WRITTEN = "always on: every rollout is written to samples.jsonl, with its rewards"
_OWN_DECODER = "does nothing here: the decoder has its own cache and batches continuously"

SECTIONS: dict[str, Rows] = {
    "Sampling (`GRPOConfig`, `RLOOConfig`, `OnlineDPOConfig` and what came of it)": (
        *same("num_generations", of=GROUPS),
        *refused(
            "num_generations_eval",
            "not offered: the held-out reward takes one completion of each prompt",
            of=GROUPS,
        ),
        *same("max_completion_length", default="half of TRL's: small models, and a CPU will do", of=GROUPS),
        *renamed("max_new_tokens", "max_completion_length", of=PAIRS),
        *same("max_length", default="as in every other method here", of=PAIRS),
        *same("temperature", of=(*GROUPS, "online-dpo")),
        *same(
            "temperature",
            default="what is sampled is what is trained, whatever it is",
            of=("ppo", "nash-md", "xpo"),
        ),
        *same("top_p top_k min_p", of=_SAMPLE),
        *refused("repetition_penalty generation_kwargs", _PLAIN, of=_SAMPLE),
        *refused("chat_template_kwargs", "not offered: the chat template takes the turns alone", of=GROUPS),
        *refused("cache_implementation", _OWN_DECODER, of=_SAMPLE),
        *refused(
            "use_transformers_continuous_batching transformers_continuous_batching_config "
            "use_transformers_paged",
            _OWN_DECODER,
            of=GROUPS,
        ),
        *same(
            "steps_per_generation",
            "optimizer steps, each of per_device_train_batch_size * gradient_accumulation_steps completions",
            default="TRL's none is gradient_accumulation_steps, of micro-batches: also one optimizer step",
            of=GROUPS,
        ),
        *refused(
            "generation_batch_size", "decided by steps_per_generation and the rows of a step", of=GROUPS
        ),
        *same("num_iterations", of=GROUPS),
        *same("missing_eos_penalty", of=("ppo", *PAIRS)),
        *same(
            "mask_truncated_completions",
            "a cut completion is not trained on and still counts in its group's mean",
            of=GROUPS,
        ),
        *same("sync_ref_model ref_model_mixup_alpha ref_model_sync_steps", of=GROUPS),
        *same("reward_weights", of=_SAMPLE),
        *refused("shuffle_dataset", "always on: prompts are shuffled in every epoch, by seed", of=GROUPS),
        *refused("pad_to_multiple_of", NO_PADDING, of=GROUPS),
        *refused("router_aux_loss_coef", "not offered: no load-balancing loss is added", of=GROUPS),
        *refused("ds3_gather_for_generation", _ONE_PROCESS, of=(*_SAMPLE, "ppo")),
        *refused(
            "use_vllm vllm_mode vllm_model_impl vllm_enable_sleep_mode vllm_structured_outputs_regex "
            "vllm_server_base_url vllm_server_host vllm_server_port vllm_server_timeout vllm_group_port "
            "vllm_gpu_memory_utilization vllm_tensor_parallel_size",
            _NO_VLLM,
            of=_SAMPLE,
        ),
        *refused("vllm_max_model_length", _NO_VLLM, of=GROUPS),
        *refused(
            "log_completions num_completions_to_print log_unique_prompts",
            _WRITTEN,
            of=GROUPS,
        ),
        *refused("log_multimodal", "not offered: prompts are text", of=GROUPS),
    ),
}
