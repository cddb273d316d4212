"""Byte-level tokenizers in the shapes of well-known chat templates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}"
    "{% endif %}{% for m in messages %}"
    "{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
    "{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
)
# Qwen3-like: thinking is removed from all turns but the last.
STRIPS_HISTORY = (
    "{% for m in messages %}{% set text = m['content'] %}"
    "{% if m['role'] == 'assistant' and not loop.last %}"
    "{% set text = text.split('</think>')[-1] %}{% endif %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + text + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
GENERATION = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ m['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
GENERATION_WRONG = GENERATION.replace("== 'assistant' %}{% generation", "== 'user' %}{% generation")


def byte_tokenizer(
    template: str | None,
    specials: tuple[str, ...] = (),
    *,
    bos: str | None = None,
    eos: str = "<|im_end|>",
    adds_bos: bool = False,
    merges: tuple[tuple[str, str], ...] = (),
) -> Any:
    """A byte-level tokenizer with the given special tokens and chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    symbols = sorted(pre_tokenizers.ByteLevel.alphabet()) + [a + b for a, b in merges]
    backend = Tokenizer(models.BPE(vocab={s: i for i, s in enumerate(symbols)}, merges=list(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    names = [bos] if bos else []
    backend.add_special_tokens([*names, eos, *specials])
    if adds_bos:
        assert bos is not None
        backend.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, backend.token_to_id(bos))]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=bos,
        eos_token=eos,
        pad_token=eos,
        additional_special_tokens=list(specials),
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = template
    return tokenizer


def llama3() -> Any:
    specials = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    return byte_tokenizer(LLAMA3, specials, bos="<|begin_of_text|>", eos="<|end_of_text|>", adds_bos=True)


def gemma() -> Any:
    return byte_tokenizer(
        GEMMA, ("<start_of_turn>", "<end_of_turn>"), bos="<bos>", eos="<eos>", adds_bos=True
    )


def mistral() -> Any:
    return byte_tokenizer(MISTRAL, (), bos="<s>", eos="</s>", adds_bos=True)


def chatml(template: str | None = None) -> Any:
    from charter.testing.tiny import tiny_tokenizer

    return tiny_tokenizer() if template is None else tiny_tokenizer(template)


SHAPES: dict[str, Callable[[], Any]] = {
    "chatml": chatml,
    "llama3": llama3,
    "gemma": gemma,
    "mistral": mistral,
}


def turns(*pairs: str) -> list[dict[str, str]]:
    """``turns("user", "hi", "assistant", "yo")``."""
    return [{"role": r, "content": c} for r, c in zip(pairs[::2], pairs[1::2], strict=True)]
