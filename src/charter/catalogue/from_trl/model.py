"""Fields of the ``ModelConfig`` and ``ScriptArguments`` of TRL's command line."""

from __future__ import annotations

from charter.catalogue.from_trl.field import Rows, refused, renamed, same

SECTIONS: dict[str, Rows] = {
    "Model and adapter": (
        *renamed("model_name_or_path", "model"),
        *refused("model_revision", "not offered: download that revision and give its folder as model"),
        *refused(
            "dtype", "decided by bf16: trained weights are float32, frozen ones have the type computed in"
        ),
        *refused("attn_implementation", "does nothing here: attention is computed on packed samples"),
        *same("use_peft lora_r lora_alpha"),
        *same("lora_dropout", default="dropout makes the policy differ from its reference at step 0"),
        *same(
            "lora_target_modules",
            default="none = all linear layers; TRL leaves it to peft (q_proj and v_proj for Llama)",
        ),
        *refused("lora_target_parameters", "not offered: adapters go on linear layers"),
        *refused("lora_modules_to_save", "not offered: beside the adapter nothing is trained"),
        *refused("lora_task_type", "always CAUSAL_LM"),
        *refused("use_rslora", "not offered: the adapter is scaled by lora_alpha / lora_r; set lora_alpha"),
        *refused("use_dora", "not offered: adapters are LoRA"),
        *same("load_in_4bit", "with use_peft; needs bitsandbytes"),
        *same("bnb_4bit_quant_type use_bnb_nested_quant"),
        *refused("load_in_8bit bnb_4bit_quant_storage", "not offered: quantised weights have four bits"),
        *refused("use_cache", "does nothing here: training needs no key-value cache"),
    ),
    "Data of the command line": (
        *renamed("dataset_name", "data", "a file, a saved datasets folder, or a hub id"),
        *refused(
            "dataset_config dataset_train_split",
            "not offered: the split is train; give another one as a datasets object to charter.train",
        ),
        *renamed("dataset_test_split", "eval_data", "a file or dataset of its own, not the name of a split"),
        *refused("dataset_streaming", "not offered: every row is read and checked before training"),
    ),
}
