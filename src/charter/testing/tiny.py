"""Two-layer models of every family, and a byte tokenizer: real, built in milliseconds, no download."""

from __future__ import annotations

from typing import Any

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def tiny_tokenizer(chat_template: str | None = CHATML) -> Any:
    """A byte-level tokenizer with ChatML tokens, where ``pad == eos`` as in the default model."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {symbol: index for index, symbol in enumerate(alphabet)}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        bos_token="<|im_start|>",
        clean_up_tokenization_spaces=False,
    )
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    return tokenizer


FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": 11, "head_dim": 10},
    "qwen2": {"use_sliding_window": True, "sliding_window": 11, "max_window_layers": 1},
    "qwen3": {"use_sliding_window": True, "sliding_window": 11, "max_window_layers": 1, "head_dim": 12},
    "phi3": {"sliding_window": 11, "rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}},
    "gemma": {"head_dim": 16},
    "gemma2": {
        "head_dim": 16,
        "query_pre_attn_scalar": 24,
        "sliding_window": 11,
        "attn_logit_softcapping": 3.0,
        "final_logit_softcapping": 4.0,
    },
    "gemma3_text": {
        "head_dim": 16,
        "query_pre_attn_scalar": 24,
        "sliding_window": 11,
        "layer_types": ["sliding_attention", "full_attention"],
        "final_logit_softcapping": 6.0,
    },
}
"""``model_type`` of the families the one forward computes, with what makes each one different switched on."""


def tiny_model(seed: int = 0, family: str = "llama", **overrides: Any) -> Any:
    """A random two-layer causal language model in float32, grouped-query attention, tied embedding.

    Norms and biases are random too, so that none can be left out unseen; those of Llama are as
    transformers makes them.

    Args:
        seed: decides the weights.
        family: a key of :data:`FAMILIES`.
        overrides: fields of its transformers config to change.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from charter.models.random_state import seeded

    fields: dict[str, Any] = {
        "vocab_size": 258,
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
        "initializer_range": 0.2,
        "bos_token_id": 256,
        "eos_token_id": 257,
        "pad_token_id": 257,
    }
    config = AutoConfig.for_model(family, **{**fields, **FAMILIES[family], **overrides})
    with seeded(seed), torch.no_grad():
        model = AutoModelForCausalLM.from_config(config).eval()
        for parameter in model.parameters() if family != "llama" else ():
            if parameter.dim() == 1:
                parameter.add_(torch.randn(parameter.shape) * 0.3)
    return model


def save_tiny(directory: str, seed: int = 0, **overrides: Any) -> str:
    """Write a tiny model and its tokenizer as a checkpoint folder; returns the folder."""
    tokenizer = tiny_tokenizer()
    model = tiny_model(seed, **overrides)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory
