"""TRL's names: what each field of its configs is here.

Every field of TRL 1.16's ``SFTConfig`` and ``DPOConfig`` (with what they
inherit from transformers' ``TrainingArguments``) and of the ``ModelConfig`` and
``ScriptArguments`` of its command line has a row: the *same* name with the same
meaning, *renamed*, or *refused* with the reason. Nothing is accepted and then
ignored. ``docs/from-trl.md`` is generated from this table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Status = Literal["same", "renamed", "refused"]
BOTH = ("sft", "dpo")
TRL_VERSION = "1.16.0"

COMMAND_NAMES = ("model", "data", "eval_data", "output_dir", "objective", "resume")
"""What ``charter train`` takes beside the options of the algorithm."""


@dataclass(frozen=True, slots=True)
class TrlField:
    """One field of a TRL config.

    Attributes:
        name: TRL's name.
        group: section of the documentation.
        status: see :data:`Status`.
        to: our name, when renamed.
        note: why it is refused; else what to know about it.
        default: why our default differs from TRL's; empty = it is equal.
        algorithms: the algorithms whose TRL config has it, as far as this row goes.
    """

    name: str
    group: str
    status: Status
    to: str = ""
    note: str = ""
    default: str = ""
    algorithms: tuple[str, ...] = BOTH


def _same(
    names: str, note: str = "", *, default: str = "", of: tuple[str, ...] = BOTH
) -> tuple[TrlField, ...]:
    return tuple(
        TrlField(name, "", "same", note=note, default=default, algorithms=of) for name in names.split()
    )


def _renamed(name: str, to: str, note: str = "") -> tuple[TrlField, ...]:
    return (TrlField(name, "", "renamed", to=to, note=note),)


def _refused(names: str, why: str, *, of: tuple[str, ...] = BOTH) -> tuple[TrlField, ...]:
    return tuple(TrlField(name, "", "refused", note=why, algorithms=of) for name in names.split())


_SFT, _DPO = ("sft",), ("dpo",)
_ONE_PROCESS = "not offered: training runs in one process"
_NO_UPLOAD = "not offered: nothing is uploaded; model/ in the run directory is a plain transformers folder"
_MEMORY = "does nothing here: lower tokens_per_microbatch if memory runs out; the result stays the same"
_ADAMW = "always AdamW: no other optimiser is offered"
_EVAL_SUMS = "does nothing here: evaluation sums the loss and its metrics as it goes, and keeps no outputs"
_NO_LOADER = "does nothing here: rows are tokenised once and held in memory, so there are no loader workers"
_NO_PADDING = "does nothing here: samples are packed, not padded, and masks come from spans, never from ids"
_DIVERGENCE = "not offered: the divergence is reverse KL; write another loss as --objective mine.py:MyLoss"
_ONE_LOSS = "not offered: one loss per run; write a sum as --objective mine.py:MyLoss"
_FIXED_REFERENCE = "not offered: the reference is the policy as it was before the first step, and stays it"
_TRACKER = "not offered: set it through the tracker's own environment variables"
_NO_QUANTIZATION = "not offered: weights are not quantised"

_SECTIONS: dict[str, tuple[TrlField, ...]] = {
    "Steps and batch": (
        *_same("num_train_epochs", "refused beside max_steps, which would override it"),
        *_same("max_steps gradient_accumulation_steps"),
        *_same(
            "per_device_train_batch_size",
            "rows per step before accumulation; memory is bounded by tokens_per_microbatch instead",
        ),
        *_refused("auto_find_batch_size", _MEMORY),
    ),
    "Optimiser": (
        *_same("learning_rate weight_decay adam_beta1 adam_beta2 adam_epsilon"),
        *_same("max_grad_norm", "0 (no clipping) is not accepted; a large number has that effect"),
        *_same("lr_scheduler_type", "linear, cosine, constant or constant_with_warmup"),
        *_same("warmup_steps", "the first step already has a rate above 0; in TRL it is 0"),
        *_refused("lr_scheduler_kwargs", "not offered: the schedules here take no arguments"),
        *_refused("optim optim_args optim_target_modules", _ADAMW),
        *_refused(
            "average_tokens_across_devices",
            "always on: each loss is divided by its count over the whole optimizer step",
        ),
    ),
    "Data": (
        *_renamed("dataset_name", "data", "a file, a saved datasets folder, or a hub id"),
        *_refused(
            "dataset_config dataset_train_split",
            "not offered: the split is train; give another one as a datasets object to charter.train",
        ),
        *_renamed("dataset_test_split", "eval_data", "a file or dataset of its own, not the name of a split"),
        *_refused("dataset_streaming", "not offered: every row is read and checked before training"),
        *_refused("dataset_text_field", "not offered: the column must be called text; rename it", of=_SFT),
        *_refused(
            "dataset_kwargs",
            "not offered: rows are always prepared here, so that token ids and trained masks agree",
            of=_SFT,
        ),
        *_refused("dataset_num_proc", "does nothing here: rows are read and rendered in one process"),
        *_refused("shuffle_dataset", "always on: rows are shuffled anew in every epoch, by seed", of=_SFT),
        *_refused("train_sampling_strategy", "always random: rows are shuffled anew in every epoch, by seed"),
        *_refused(
            "chat_template_path",
            "not offered: the chat template is the tokenizer's; change it in the model folder",
            of=_SFT,
        ),
        *_refused(
            "eos_token",
            "always the tokenizer's: a turn ends as its template ends it, and that token is trained",
            of=_SFT,
        ),
        *_refused("pad_token pad_to_multiple_of", _NO_PADDING),
        *_same("max_length"),
        *_same("truncation_mode", "of the prompt, with max_prompt_length only; a completion loses its end"),
        *_refused(
            "packing packing_strategy eval_packing",
            "always on, without cutting a sample or mixing two: the batch size still counts rows",
            of=_SFT,
        ),
        *_refused("padding_free", "always on: samples are packed without padding"),
        *_refused(
            "completion_only_loss",
            "always on where the data has a prompt; a text column is trained whole",
            of=_SFT,
        ),
        *_refused(
            "assistant_only_loss",
            "always on: in conversations only the assistant's turns are trained",
            of=_SFT,
        ),
        *_refused(
            "remove_unused_columns label_names length_column_name",
            "does nothing here: columns are found by name, and the others are kept with the row",
        ),
        *_refused("ignore_data_skip", "does nothing here: a resumed run continues with the very next row"),
        *_refused(
            "dataloader_num_workers dataloader_pin_memory dataloader_persistent_workers "
            "dataloader_prefetch_factor dataloader_multiprocessing_context dataloader_in_order",
            _NO_LOADER,
        ),
        *_refused(
            "dataloader_drop_last", "always off: the last step of an epoch takes the rows that are left"
        ),
    ),
    "Loss and reference": (
        *_refused("loss_type", "always nll; write another loss as --objective mine.py:MyLoss", of=_SFT),
        *_same(
            "loss_type",
            "sigmoid only; write another loss as --objective mine.py:MyLoss",
            default="one name, not a list: a run has one loss",
            of=_DPO,
        ),
        *_same("beta", of=_DPO),
        *_refused("loss_weights", _ONE_LOSS, of=_DPO),
        *_refused(
            "label_smoothing",
            "does nothing in TRL's sigmoid loss either: give each row a probability column instead",
            of=_DPO,
        ),
        *_refused("label_smoothing_factor", "not offered: the target is the token in the data"),
        *_refused("f_divergence_type f_alpha_divergence_coef", _DIVERGENCE, of=_DPO),
        *_refused("discopop_tau", "does nothing here: it belongs to the discopop loss", of=_DPO),
        *_refused(
            "ld_alpha use_weighting",
            "not offered: every token counts fully; a row's weight column weighs the pair",
            of=_DPO,
        ),
        *_refused("sync_ref_model ref_model_mixup_alpha ref_model_sync_steps", _FIXED_REFERENCE, of=_DPO),
        *_refused(
            "precompute_ref_log_probs",
            "always on: reference log-probs are computed once and kept in the run directory",
            of=_DPO,
        ),
        *_refused("precompute_ref_batch_size", _MEMORY, of=_DPO),
        *_refused(
            "disable_dropout",
            "always on: dropout of the model is off; the adapter's is lora_dropout",
            of=_DPO,
        ),
        *_refused("neftune_noise_alpha", "not offered: no noise is added to embeddings"),
        *_refused("router_aux_loss_coef", "not offered: no load-balancing loss is added"),
    ),
    "Model and adapter": (
        *_renamed("model_name_or_path", "model"),
        *_refused("model_revision", "not offered: download that revision and give its folder as model"),
        *_refused("model_init_kwargs", "not offered: give a model folder whose config.json says it"),
        *_refused("trust_remote_code", "always off: a model that brings its own code is refused"),
        *_refused(
            "dtype", "decided by bf16: trained weights are float32, frozen ones have the type computed in"
        ),
        *_refused("attn_implementation", "does nothing here: attention is computed on packed samples"),
        *_same("use_peft lora_r lora_alpha"),
        *_same("lora_dropout", default="dropout makes the policy differ from its reference at step 0"),
        *_same(
            "lora_target_modules",
            default="none = all linear layers; TRL leaves it to peft (q_proj and v_proj for Llama)",
        ),
        *_refused("lora_target_parameters", "not offered: adapters go on linear layers"),
        *_refused("lora_modules_to_save", "not offered: beside the adapter nothing is trained"),
        *_refused("lora_task_type", "always CAUSAL_LM"),
        *_refused("use_rslora", "not offered: the adapter is scaled by lora_alpha / lora_r; set lora_alpha"),
        *_refused("use_dora", "not offered: adapters are LoRA"),
        *_refused(
            "load_in_8bit load_in_4bit bnb_4bit_quant_type use_bnb_nested_quant bnb_4bit_quant_storage",
            _NO_QUANTIZATION,
        ),
        *_refused("use_cache", "does nothing here: training needs no key-value cache"),
    ),
    "Precision, memory and speed": (
        *_same("bf16", default="TRL's none becomes true there too"),
        *_refused("fp16", "not offered: bf16, or float32 with bf16 off"),
        *_refused(
            "bf16_full_eval fp16_full_eval",
            "does nothing here: evaluation computes in the type training computes in",
        ),
        *_refused("tf32", "not offered: set torch.backends.cuda.matmul yourself"),
        *_refused(
            "gradient_checkpointing gradient_checkpointing_kwargs activation_checkpointing "
            "activation_checkpointing_kwargs activation_offloading torch_empty_cache_steps",
            _MEMORY,
        ),
        *_refused(
            "torch_compile torch_compile_backend torch_compile_mode", "not offered: nothing is compiled"
        ),
        *_refused(
            "use_liger_kernel liger_kernel_config",
            "always on in effect: logits are computed in chunks, and only where a token is scored",
        ),
        *_refused("use_cpu", "not offered: the model trains where it was loaded"),
        *_refused("debug skip_memory_metrics", "not offered: memory is not tracked"),
    ),
    "Logging and trackers": (
        *_same("logging_steps", "a whole number", default="every step is written to metrics.jsonl"),
        *_refused(
            "logging_strategy logging_first_step", "always by steps, the last one too: set logging_steps"
        ),
        *_refused(
            "logging_nan_inf_filter",
            "always off: a loss that is not finite stops training before the weights change",
        ),
        *_refused("include_num_input_tokens_seen", "always on: tokens of each step are in metrics.jsonl"),
        *_refused(
            "log_level log_level_replica disable_tqdm",
            "not offered: a bar on a terminal, plain lines elsewhere",
        ),
        *_same("report_to", default="an empty list says none; metrics.jsonl is always written"),
        *_refused("run_name project trackio_space_id trackio_bucket_id trackio_static_space_id", _TRACKER),
    ),
    "Evaluation": (
        *_same("eval_steps", "switches evaluation on; a whole number; needs evaluation data"),
        *_refused(
            "eval_strategy do_eval",
            "does nothing here: eval_steps with evaluation data switches evaluation on",
        ),
        *_refused(
            "eval_delay eval_on_start", "not offered: evaluation comes every eval_steps and at the end"
        ),
        *_refused("per_device_eval_batch_size", _MEMORY),
        *_refused(
            "prediction_loss_only eval_do_concat_batches eval_use_gather_object eval_accumulation_steps "
            "include_for_metrics batch_eval_metrics",
            _EVAL_SUMS,
        ),
        *_refused(
            "load_best_model_at_end metric_for_best_model greater_is_better",
            "not offered: set max_kl, which stops training and goes back to the last weights under it",
        ),
    ),
    "Saving and resuming": (
        *_same("output_dir", "the run directory; runs/<algorithm> when left out"),
        *_same("save_steps", "a whole number", default="small models: a checkpoint costs seconds"),
        *_same("save_total_limit", default="resuming needs the last one; one more in case it is damaged"),
        *_refused("save_strategy", "always by steps, at the end, and on Ctrl-C: set save_steps"),
        *_refused(
            "save_only_model",
            "not offered: a checkpoint holds what resuming needs; model/ in the run directory is the model",
        ),
        *_refused("enable_jit_checkpoint", "always on: Ctrl-C and SIGTERM finish the step and save"),
        *_renamed(
            "resume_from_checkpoint", "resume", "auto continues what output_dir holds; never starts anew"
        ),
        *_refused("restore_callback_states_from_checkpoint", "always on: a resumed run goes on as it was"),
    ),
    "Hub": (
        *_refused(
            "push_to_hub hub_token hub_private_repo hub_model_id hub_strategy hub_always_push hub_revision",
            _NO_UPLOAD,
        ),
    ),
    "Seeds": (
        *_same("seed"),
        *_refused("data_seed", "not offered: seed decides the order of rows too"),
        *_refused("full_determinism", "not offered: order and first weights depend on seed alone"),
    ),
    "Several devices": (
        *_refused(
            "local_rank ddp_find_unused_parameters ddp_bucket_cap_mb ddp_broadcast_buffers "
            "ddp_static_graph ddp_backend ddp_timeout fsdp fsdp_config deepspeed accelerator_config "
            "parallelism_config log_on_each_node save_on_each_node ignore_bias_buffers",
            _ONE_PROCESS,
        ),
    ),
    "Trainer switches": (*_refused("do_train do_predict", "does nothing in TRL's trainers either"),),
}

FIELDS: tuple[TrlField, ...] = tuple(
    replace(field, group=group) for group, fields in _SECTIONS.items() for field in fields
)

_BY_NAME: dict[str, tuple[TrlField, ...]] = {
    field.name: tuple(other for other in FIELDS if other.name == field.name) for field in FIELDS
}


def trl_fields(algorithm: str) -> dict[str, TrlField]:
    """TRL's fields that matter to ``algorithm``, by name."""
    return {field.name: field for field in FIELDS if algorithm in field.algorithms}


def explain_trl(name: str, algorithm: str = "") -> str | None:
    """Why TRL's ``name`` is not an option here, in words for the person who typed it.

    Args:
        name: as typed, without dashes in front; ``-`` and ``_`` are the same.
        algorithm: which algorithm's option was meant, where that is known.

    Returns:
        The reason, to stand behind the name; None when it is an option here or not a name of TRL's.
    """
    name = name.lstrip("-").replace("-", "_")
    rows = _BY_NAME.get(name, ())
    row = next((row for row in rows if algorithm in row.algorithms), None)
    if row is None:
        # Without an algorithm, a name that is an option of any of them is an option.
        row = min(rows, key=lambda row: row.status != "same", default=None)
        if row is None:
            return None
        if row.status == "same" and algorithm:
            return f"an option of {' and '.join(row.algorithms)}, not of {algorithm}"
    if row.status == "renamed":
        return f"called {row.to} here" + (f": {row.note}" if row.note else "")
    return row.note if row.status == "refused" else None
