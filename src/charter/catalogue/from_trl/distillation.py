"""Fields of ``GKDConfig``, ``DistillationConfig`` and ``SDFTConfig`` alone."""

from __future__ import annotations

from charter.catalogue.from_trl.field import Rows, Trainer, refused, renamed, same

_GKD: tuple[Trainer, ...] = ("gkd",)
_SAMPLED: tuple[Trainer, ...] = ("distillation", "sdft")
_NO_VLLM = "not offered: the student samples in this process, with the weights it is trained with"
_OWN_TEACHER = "not offered: the teacher is the policy itself under its own context; see teacher_context"
_WHOLE = "not offered: answers are drawn from the whole distribution, narrowed by top_p alone"

SECTIONS: dict[str, Rows] = {
    "Distillation (`GKDConfig`)": (
        *same("beta", "with divergence: jsd; TRL's 0 is divergence: forward_kl, its 1 reverse_kl", of=_GKD),
        *same("temperature", default="the distributions as they are", of=_GKD),
        *refused("lmbda seq_kd", "not offered: on-policy-distillation samples every answer itself", of=_GKD),
        *refused("max_new_tokens", "not offered: on-policy-distillation has max_completion_length", of=_GKD),
        *refused(
            "loss_type completion_only_loss assistant_only_loss",
            "does nothing in TRL's distillation either: the completion's tokens are compared",
            of=_GKD,
        ),
        *refused(
            "teacher_model_name_or_path teacher_model_init_kwargs", _OWN_TEACHER, of=("gkd", "distillation")
        ),
    ),
    "On-policy distillation (`DistillationConfig`, `SDFTConfig`)": (
        *same(
            "beta",
            "with divergence: jsd; TRL's 0 is divergence: forward_kl, its 1 reverse_kl",
            default="TRL's 1 is our default divergence, reverse_kl",
            of=("distillation",),
        ),
        *same("temperature top_p", of=_SAMPLED),
        *same("max_completion_length", of=("distillation",)),
        *same("max_completion_length", default="TRL's other trainers say 512", of=("sdft",)),
        *same("teacher_model_kind teacher_update_rate teacher_sync_steps", of=("sdft",)),
        *same("steps_per_generation", default="TRL: gradient_accumulation_steps", of=("sdft",)),
        *same("distillation_topk", default="the whole vocabulary", of=("sdft",)),
        *renamed("distillation_alpha", "beta", "with divergence: jsd", of=("sdft",)),
        *refused(
            "distillation_mode",
            "decided by distillation_topk: how many tokens are compared",
            of=("sdft",),
        ),
        *refused(
            "distillation_add_tail", "always on: the tokens left out are compared as one bucket", of=("sdft",)
        ),
        *refused(
            "distillation_is_clip num_iterations generation_batch_size",
            "does nothing here: a round's answers are learnt from once, by the weights that wrote them",
            of=("sdft",),
        ),
        *refused("num_generations", "always 1: one answer a prompt and epoch", of=("sdft",)),
        *refused(
            "num_generations_eval", "not offered: evaluation compares answers in the data", of=("sdft",)
        ),
        *refused(
            "generate_from_teacher",
            "not offered: context-distillation learns from answers that are in the data",
            of=("sdft",),
        ),
        *refused(
            "teacher_prompt_template",
            "not offered: the context is a system turn, or stands before plain text",
            of=("sdft",),
        ),
        *refused(
            "num_loss_tokens_to_skip", "not offered: every token of an answer is compared", of=("sdft",)
        ),
        *refused("use_teacher_server", _OWN_TEACHER, of=("sdft",)),
        *refused("teacher_model_revision", _OWN_TEACHER, of=("distillation",)),
        *refused("top_k min_p repetition_penalty generation_kwargs", _WHOLE, of=_SAMPLED),
        *refused(
            "chat_template_kwargs",
            "not offered: the chat template takes the turns alone",
            of=_SAMPLED,
        ),
        *refused("cache_implementation", "does nothing here: the decoder has its own cache", of=_SAMPLED),
        *refused("ds3_gather_for_generation", "not offered: training runs in one process", of=_SAMPLED),
        *refused(
            "use_vllm vllm_mode vllm_model_impl vllm_enable_sleep_mode vllm_server_base_url "
            "vllm_server_host vllm_server_port vllm_server_timeout vllm_group_port "
            "vllm_gpu_memory_utilization vllm_max_model_length vllm_tensor_parallel_size",
            _NO_VLLM,
            of=_SAMPLED,
        ),
        *refused("vllm_structured_outputs_regex", _NO_VLLM, of=("distillation",)),
        *refused(
            "max_tool_calling_iterations", "not offered: a student calls no tools", of=("distillation",)
        ),
        *refused(
            "log_completions num_completions_to_print log_unique_prompts",
            "not offered: charter sample shows what a model answers",
            of=("distillation",),
        ),
    ),
}
