"""Fields of transformers' ``TrainingArguments``, which every config of TRL inherits."""

from __future__ import annotations

from charter.catalogue.from_trl.field import MEMORY, ONLINE, Rows, refused, renamed, same, without

_ONE_PROCESS = "not offered: training runs in one process"
_NO_UPLOAD = "not offered: nothing is uploaded; model/ in the run directory is a plain transformers folder"
_ADAMW = "always AdamW: no other optimiser is offered"
_EVAL_SUMS = "does nothing here: evaluation sums the loss and its metrics as it goes, and keeps no outputs"
_TRACKER = "not offered: set it through the tracker's own environment variables"

SECTIONS: dict[str, Rows] = {
    "Steps and batch": (
        *same(
            "num_train_epochs",
            "refused beside max_steps, which would override it",
            default="1 for reward models, which overfit, and where the model samples its own data",
        ),
        *same("max_steps gradient_accumulation_steps"),
        *same(
            "per_device_train_batch_size",
            "rows per step before accumulation; memory is bounded by tokens_per_microbatch instead",
            of=without(*ONLINE),
        ),
        *same(
            "per_device_train_batch_size",
            "completions per step before accumulation, whole groups of them",
            default="four groups of eight; memory is bounded by tokens_per_microbatch instead",
            of=ONLINE,
        ),
        *refused("auto_find_batch_size", MEMORY),
    ),
    "Optimiser": (
        *same("learning_rate", of=without("sdft", "ppo", "nash-md", "xpo")),
        *same("learning_rate", default="TRL's other distillation says 1e-6", of=("sdft",)),
        *same("learning_rate", default="as every other method that samples", of=("ppo", "nash-md", "xpo")),
        *same("weight_decay adam_beta1 adam_beta2 adam_epsilon"),
        *same("max_grad_norm", "0 (no clipping) is not accepted; a large number has that effect"),
        *same("lr_scheduler_type", "linear, cosine, constant or constant_with_warmup"),
        *same("warmup_steps", "the first step already has a rate above 0; in TRL it is 0"),
        *refused("lr_scheduler_kwargs", "not offered: the schedules here take no arguments"),
        *refused("optim optim_args optim_target_modules", _ADAMW),
        *refused(
            "average_tokens_across_devices",
            "always on: each loss is divided by its count over the whole optimizer step",
        ),
    ),
    "Precision, memory and speed": (
        *same("bf16", default="TRL's none becomes true there too"),
        *refused("fp16", "not offered: bf16, or float32 with bf16 off"),
        *refused(
            "bf16_full_eval fp16_full_eval",
            "does nothing here: evaluation computes in the type training computes in",
        ),
        *refused("tf32", "not offered: set torch.backends.cuda.matmul yourself"),
        *refused(
            "gradient_checkpointing gradient_checkpointing_kwargs activation_checkpointing "
            "activation_checkpointing_kwargs torch_empty_cache_steps",
            MEMORY,
        ),
        *refused(
            "torch_compile torch_compile_backend torch_compile_mode", "not offered: nothing is compiled"
        ),
        *refused(
            "use_liger_kernel liger_kernel_config",
            "always on in effect: logits are computed in chunks, and only where a token is scored",
        ),
        *refused("use_cpu", "not offered: the model trains where it was loaded"),
        *refused("debug skip_memory_metrics", "not offered: memory is not tracked"),
    ),
    "Logging and trackers": (
        *same("logging_steps", "a whole number", default="every step is written to metrics.jsonl"),
        *refused(
            "logging_strategy logging_first_step", "always by steps, the last one too: set logging_steps"
        ),
        *refused(
            "logging_nan_inf_filter",
            "always off: a loss that is not finite stops training before the weights change",
        ),
        *refused("include_num_input_tokens_seen", "always on: tokens of each step are in metrics.jsonl"),
        *refused(
            "log_level log_level_replica disable_tqdm",
            "not offered: a bar on a terminal, plain lines elsewhere",
        ),
        *same("report_to", default="an empty list says none; metrics.jsonl is always written"),
        *refused("run_name project trackio_space_id trackio_bucket_id trackio_static_space_id", _TRACKER),
    ),
    "Evaluation": (
        *same("eval_steps", "switches evaluation on; a whole number; needs evaluation data"),
        *refused(
            "eval_strategy do_eval",
            "does nothing here: eval_steps with evaluation data switches evaluation on",
        ),
        *refused("eval_delay eval_on_start", "not offered: evaluation comes every eval_steps and at the end"),
        *refused("per_device_eval_batch_size", MEMORY),
        *refused(
            "prediction_loss_only eval_do_concat_batches eval_use_gather_object eval_accumulation_steps "
            "include_for_metrics batch_eval_metrics",
            _EVAL_SUMS,
        ),
        *refused(
            "load_best_model_at_end metric_for_best_model greater_is_better",
            "not offered: set max_kl, which stops training and goes back to the last weights under it",
        ),
    ),
    "Saving and resuming": (
        *same("output_dir", "the run directory; runs/<algorithm> when left out"),
        *same("save_steps", "a whole number", default="small models: a checkpoint costs seconds"),
        *same("save_total_limit", default="resuming needs the last one; one more in case it is damaged"),
        *refused("save_strategy", "always by steps, at the end, and on Ctrl-C: set save_steps"),
        *refused(
            "save_only_model",
            "not offered: a checkpoint holds what resuming needs; model/ in the run directory is the model",
        ),
        *refused("enable_jit_checkpoint", "always on: Ctrl-C and SIGTERM finish the step and save"),
        *renamed(
            "resume_from_checkpoint", "resume", "auto continues what output_dir holds; never starts anew"
        ),
        *refused("restore_callback_states_from_checkpoint", "always on: a resumed run goes on as it was"),
    ),
    "Hub": (
        *refused(
            "push_to_hub hub_token hub_private_repo hub_model_id hub_strategy hub_always_push hub_revision",
            _NO_UPLOAD,
        ),
    ),
    "Seeds": (
        *same("seed"),
        *refused("data_seed", "not offered: seed decides the order of rows too"),
        *refused("full_determinism", "not offered: order and first weights depend on seed alone"),
    ),
    "Several devices": (
        *refused(
            "local_rank ddp_find_unused_parameters ddp_bucket_cap_mb ddp_broadcast_buffers "
            "ddp_static_graph ddp_backend ddp_timeout fsdp fsdp_config deepspeed accelerator_config "
            "parallelism_config log_on_each_node save_on_each_node ignore_bias_buffers",
            _ONE_PROCESS,
        ),
    ),
    "Trainer switches": (*refused("do_train do_predict", "does nothing in TRL's trainers either"),),
    "Rows and loaders": (
        *refused("train_sampling_strategy", "always random: rows are shuffled anew in every epoch, by seed"),
        *refused(
            "remove_unused_columns label_names length_column_name",
            "does nothing here: columns are found by name, and the others are kept with the row",
        ),
        *refused("ignore_data_skip", "does nothing here: a resumed run continues with the very next row"),
        *refused(
            "dataloader_num_workers dataloader_pin_memory dataloader_persistent_workers "
            "dataloader_prefetch_factor dataloader_multiprocessing_context dataloader_in_order",
            "does nothing here: rows are tokenised once and held in memory, so there are no loader workers",
        ),
        *refused(
            "dataloader_drop_last", "always off: the last step of an epoch takes the rows that are left"
        ),
        *refused("label_smoothing_factor", "not offered: the target is the token in the data"),
        *refused("neftune_noise_alpha", "not offered: no noise is added to embeddings"),
    ),
}
