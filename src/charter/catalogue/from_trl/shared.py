"""Fields that several configs of TRL have, and that mean the same in each."""

from __future__ import annotations

from charter.catalogue.from_trl.field import (
    MEMORY,
    NO_PADDING,
    ONLINE,
    Rows,
    Trainer,
    refused,
    same,
    without,
)

_TEXTS: tuple[Trainer, ...] = ("sft", "gkd")
_REFERENCE: tuple[Trainer, ...] = ("dpo", "kto")
_LATER_PAIRS: tuple[Trainer, ...] = ("online-dpo", "nash-md", "xpo")
_GENERATED: tuple[Trainer, ...] = ("distillation", "sdft")

SECTIONS: dict[str, Rows] = {
    "Data": (
        *same("max_length", of=without("distillation", "sdft", *ONLINE)),
        *same(
            "max_prompt_length",
            default="prompts are not cut unless you say so",
            of=("dpo", "sdft", "prm"),
        ),
        *same(
            "truncation_mode",
            "of the prompt, with max_prompt_length only; a completion loses its end",
            default="keep_end: the end of a prompt holds the question",
            of=("sft", "dpo", "gkd"),
        ),
        *same(
            "truncation_mode",
            "of the prompt, with max_prompt_length only; a completion loses its end",
            of=("bco",),
        ),
        *refused(
            "max_completion_length",
            "not offered: max_length bounds prompt and completion together",
            of=("dpo", "cpo", "orpo", "bco"),
        ),
        *refused(
            "dataset_num_proc",
            "does nothing here: rows are read and rendered in one process",
            of=without("distillation", "sdft", "grpo", "rloo", *_LATER_PAIRS),
        ),
        *refused("dataset_text_field", "not offered: the column must be called text; rename it", of=_TEXTS),
        *refused(
            "dataset_kwargs",
            "not offered: rows are always prepared here, so that token ids and trained masks agree",
            of=_TEXTS,
        ),
        *refused(
            "shuffle_dataset",
            "always on: rows are shuffled anew in every epoch, by seed",
            of=(*_TEXTS, *_GENERATED),
        ),
        *refused(
            "chat_template_path",
            "not offered: the chat template is the tokenizer's; change it in the model folder",
            of=(*_TEXTS, "reward"),
        ),
        *refused(
            "eos_token",
            "always the tokenizer's: a turn ends as its template ends it, and that token is trained",
            of=(*_TEXTS, "reward"),
        ),
        *refused("pad_token", NO_PADDING, of=("sft", "dpo", "reward", "gkd")),
        *refused("pad_to_multiple_of", NO_PADDING, of=("sft", "dpo", "reward", "kto", "gkd", "distillation")),
        *refused("padding_value", NO_PADDING, of=("orpo",)),
        *refused("padding_free", "always on: samples are packed without padding", of=("sft", "dpo", "gkd")),
        *refused(
            "packing packing_strategy eval_packing",
            "always on, without cutting a sample or mixing two: the batch size still counts rows",
            of=_TEXTS,
        ),
    ),
    "Model of several trainers": (
        *refused(
            "model_init_kwargs",
            "not offered: give a model folder whose config.json says it",
            of=without("prm", "ppo"),
        ),
        *refused(
            "trust_remote_code",
            "always off: a model that brings its own code is refused",
            of=without("bco", "prm", "ppo"),
        ),
        *refused(
            "disable_dropout",
            "always on: dropout of the model is off; the adapter's is lora_dropout",
            of=without("sft", "ppo"),
        ),
        *refused(
            "router_aux_loss_coef",
            "not offered: no load-balancing loss is added",
            of=("sft", "dpo", "kto", "gkd"),
        ),
        *refused("activation_offloading", MEMORY, of=("sft", "dpo", "reward", "kto", "gkd")),
        *refused(
            "is_encoder_decoder",
            "not offered: models are decoders, and the checkpoint says which",
            of=("cpo", "orpo", "bco"),
        ),
        *refused(
            "generate_during_eval",
            "not offered: charter sample and charter evaluate show what a model answers",
            of=("dpo", "cpo", "orpo", "bco"),
        ),
    ),
    "Reference": (
        *same("sync_ref_model ref_model_mixup_alpha ref_model_sync_steps", of=_REFERENCE),
        *refused(
            "precompute_ref_log_probs",
            "always on: reference log-probs are computed once and kept in the run directory",
            of=(*_REFERENCE, "bco"),
        ),
        *refused("precompute_ref_batch_size", MEMORY, of=_REFERENCE),
    ),
}
