"""Is this folder a model that can be loaded, and safely? Answered in seconds, without torch.

Reads the JSON files and the headers of the safetensors files, never a tensor.
Refused: pickled weights (loading one runs whatever it contains) and models
that bring their own code.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from charter.errors import UserError
from charter.models.safetensors_header import Tensors, read_header

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_EMBEDDINGS = (
    "embed_tokens.weight",
    "wte.weight",
    "word_embeddings.weight",
    "embed_in.weight",
    "tok_embeddings.weight",
)
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
_MAX_JSON_BYTES = 200_000_000
_MAY_CARRY_CODE = ("config.json", "tokenizer_config.json", "generation_config.json", "processor_config.json")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a model folder says about itself.

    Attributes:
        path: the folder.
        kind: a full model, or an adapter that needs ``base``.
        model_type: ``config.json``'s, or the adapter's ``peft_type``.
        base: what an adapter was trained on, as it names it; "" for a full model.
        parameters: number of stored weights.
        embedding_rows: rows of the token embedding, None when not stored.
        tokenizer_size: highest token id + 1, None when there is no ``tokenizer.json``.
    """

    path: Path
    kind: Literal["model", "adapter"]
    model_type: str
    base: str
    parameters: int
    embedding_rows: int | None
    tokenizer_size: int | None


def check_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Check a local model or adapter folder before anything heavy is imported.

    Raises:
        UserError: naming the file, what is wrong with it and what to do.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UserError("no such model folder", where=str(folder), fix="check the path")
    _refuse_code(folder)
    if (folder / "config.json").is_file():
        return _check_model(folder)
    if (folder / "adapter_config.json").is_file():
        return _check_adapter(folder)
    raise UserError(
        "not a model folder: neither config.json nor adapter_config.json is in it",
        where=str(folder),
        fix="name the folder that holds them",
    )


def check_adapter_fits(adapter: str | os.PathLike[str], base: str | os.PathLike[str]) -> None:
    """Check from the stored shapes that a LoRA adapter was made for a model like ``base``.

    Raises:
        UserError: naming the first layer that does not fit, with both shapes.
    """
    base_tensors = _weights(Path(base), "model")
    for name, shape in _weights(Path(adapter), "adapter_model").items():
        side, _, module = _lora_part(name)
        if not side:
            continue
        wanted = base_tensors.get(f"{module}.weight")
        if wanted is None:
            raise UserError(
                f"the adapter changes {module}, which the base model {base} does not have",
                where=str(adapter),
                fix="name the base model the adapter was trained on",
            )
        axis = 1 if side == "A" else 0
        if len(wanted) == 2 and shape[axis] != wanted[axis]:
            raise UserError(
                f"the adapter is for another base model: {module} is {wanted[0]} x {wanted[1]} in {base}, "
                f"the adapter's lora_{side} is {shape[0]} x {shape[1]}",
                where=str(adapter),
                fix="name the base model the adapter was trained on",
            )


def _lora_part(name: str) -> tuple[str, str, str]:
    """``("A" or "B" or "", adapter part, module of the base)`` of a stored adapter tensor."""
    for side in ("A", "B"):
        module, found, rest = name.partition(f".lora_{side}.")
        if found:
            return side, rest, module.removeprefix("base_model.model.")
    return "", name, ""


# -- the two kinds of folder ---------------------------------------------------


def _check_model(folder: Path) -> Checkpoint:
    config = read_json_object(folder / "config.json")
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        raise UserError("no `model_type`: not a transformers model", where=str(folder / "config.json"))
    tensors = _weights(folder, "model")
    rows = _embedding_rows(tensors)
    vocabulary = config.get("vocab_size")
    if rows is not None and isinstance(vocabulary, int) and rows != vocabulary:
        raise UserError(
            f"config.json says vocab_size {vocabulary}, the stored embedding has {rows} rows",
            where=str(folder),
            fix="the files belong to different models: download or export the model again",
        )
    size = _tokenizer_size(folder)
    _require_rows(folder, size, rows if rows is not None else vocabulary)
    return Checkpoint(folder, "model", model_type, "", _count(tensors), rows, size)


def _check_adapter(folder: Path) -> Checkpoint:
    where = folder / "adapter_config.json"
    config = read_json_object(where)
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise UserError(
            "the adapter does not name its base model",
            where=str(where),
            fix="set `base_model_name_or_path` to the model it was trained on",
        )
    tensors = _weights(folder, "adapter_model")
    rows = _embedding_rows(tensors)
    has_tokenizer = (folder / "tokenizer.json").is_file()
    size = _tokenizer_size(folder) if has_tokenizer else None
    if rows is not None:
        _require_rows(folder, size, rows)
    return Checkpoint(folder, "adapter", str(config.get("peft_type", "")), base, _count(tensors), rows, size)


def _refuse_code(folder: Path) -> None:
    for name in _MAY_CARRY_CODE:
        path = folder / name
        if path.is_file() and read_json_object(path).get("auto_map"):
            raise UserError(
                "this model asks to run its own Python code (`auto_map`), which Charter does not do",
                where=str(path),
                fix="use a model that transformers supports itself, or remove `auto_map` if it does by now",
            )


# -- weights -------------------------------------------------------------------


def _weights(folder: Path, stem: str) -> Tensors:
    """Shapes of all stored tensors, each file checked against its header and the index."""
    single, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if single.is_file():
        return read_header(single)
    if index.is_file():
        return _sharded(index)
    pickles = sorted(file.name for file in folder.iterdir() if file.suffix in _PICKLES)
    if pickles:
        raise UserError(
            f"the weights are pickled ({', '.join(pickles[:3])}): loading a pickle runs the code in it",
            where=str(folder),
            fix="get the safetensors version, or convert it on a machine you can lose: "
            "load it there and call save_pretrained(folder), which writes safetensors",
        )
    raise UserError(
        f"no weights: {single.name} is missing", where=str(folder), fix="download the model again"
    )


def _sharded(index: Path) -> Tensors:
    where = read_json_object(index).get("weight_map")
    if not isinstance(where, dict) or not where:
        raise UserError("no `weight_map`", where=str(index), fix="download the model again")
    tensors: Tensors = {}
    for shard in sorted({str(name) for name in where.values()}):
        if Path(shard).name != shard:
            raise UserError(f"shard {shard!r} lies outside the model folder", where=str(index))
        if not (index.parent / shard).is_file():
            raise UserError(
                f"shard {shard} is missing", where=str(index), fix="the download is incomplete: do it again"
            )
        tensors |= read_header(index.parent / shard)
    if lost := sorted(where.keys() - tensors.keys()):
        raise UserError(
            f"{len(lost)} of {len(where)} tensors are in no shard, first {lost[0]}",
            where=str(index),
            fix="download the model again",
        )
    return tensors


def _embedding_rows(tensors: Tensors) -> int | None:
    for name, shape in tensors.items():
        if name.endswith(_EMBEDDINGS) and len(shape) == 2:
            return shape[0]
    return None


def _count(tensors: Tensors) -> int:
    total = 0
    for shape in tensors.values():
        size = 1
        for length in shape:
            size *= length
        total += size
    return total


# -- tokenizer -----------------------------------------------------------------


def _tokenizer_size(folder: Path) -> int | None:
    """Highest token id + 1, from ``tokenizer.json``; None when the tokenizer is of an older kind."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        if any((folder / name).is_file() for name in TOKENIZER_FILES):
            return None
        raise UserError(
            "no tokenizer: tokenizer.json is missing",
            where=str(folder),
            fix="copy the tokenizer files of the model it was made from into this folder",
        )
    content = read_json_object(path)
    model = content.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocabulary, dict):
        highest = max((i for i in vocabulary.values() if isinstance(i, int)), default=-1)
    elif isinstance(vocabulary, list):
        highest = len(vocabulary) - 1
    else:
        raise UserError("no vocabulary", where=str(path), fix="download the tokenizer again")
    added = content.get("added_tokens") or []
    ids = [token.get("id") for token in added if isinstance(token, dict)]
    return max([highest, *(i for i in ids if isinstance(i, int))]) + 1


def _require_rows(folder: Path, size: int | None, rows: Any) -> None:
    if size is not None and isinstance(rows, int) and size > rows:
        raise UserError(
            f"the tokenizer has {size} tokens, the embedding only {rows} rows",
            where=str(folder),
            fix="use the tokenizer of this model, or resize the model's embedding and save it",
        )


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON object from a model folder.

    Raises:
        UserError: with the line where reading failed.
    """
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise UserError(
                f"larger than {_MAX_JSON_BYTES // 10**6} MB: not a model's JSON file", where=str(path)
            )
        value = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(
            f"not valid JSON: {error.msg}", where=f"{path}:{error.lineno}", fix="download the file again"
        ) from None
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"cannot read: {error}", where=str(path)) from None
    if not isinstance(value, dict):
        raise UserError(f"expected a JSON object, found {type(value).__name__}", where=str(path))
    return value
