"""A reward head on a language model.

A reward model is transformers' own ``ForSequenceClassification`` of the same
backbone: what is trained here loads with ``AutoModelForSequenceClassification``,
and gives the same numbers there. Its config names the dimensions (``id2label``):
``("reward",)``, or ``("harmless", "helpful", "honest")``, or the risks of a taxonomy.

Shapes: R reads, d width, Z dimensions of the reward.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from charter.data.render import end_of_turn_ids
from charter.errors import EnvironmentFault, UserError
from charter.models.random_state import seeded
from charter.models.safetensors_header import read_header

UNNAMED = "reward"
"""What the dimension of a reward model is called where nothing names it."""


def head_of(model: Any) -> nn.Linear:
    """The reward head that acts now.

    Raises:
        UserError: the model has none.
    """
    found: Any = getattr(_under_adapter(model), "score", None)
    if hasattr(found, "modules_to_save"):  # peft keeps a trainable copy beside the original
        off = found.disable_adapters
        found = found.original_module if off else found.modules_to_save[found.active_adapters[0]]
    if not isinstance(found, nn.Linear):
        raise UserError("the model has no reward head", fix="train one first: charter train reward ...")
    return found


def read(model: Any, hidden_R: Tensor) -> Tensor:
    """Rewards of final hidden states, ``(R, Z)`` float32."""
    head = head_of(model)
    bias = None if head.bias is None else head.bias.float()
    return torch.nn.functional.linear(hidden_R.float(), head.weight.float(), bias)


def with_reward_head(model: Any, dimensions: int, seed: int = 0, tokenizer: Any = None) -> Any:
    """The same backbone under a fresh reward head of ``dimensions`` outputs.

    The weights are shared with ``model``, not copied. The head starts at standard
    deviation ``1 / sqrt(d + 1)`` (Stiennon et al. 2020, 2009.01325). With
    ``tokenizer`` the config gets a padding token that is safe, see :func:`padding_token`.

    Raises:
        EnvironmentFault: transformers has no sequence classifier of this architecture.
    """
    from transformers import AutoModelForSequenceClassification

    names = {index: _placeholder(index) for index in range(dimensions)}
    changed: dict[str, Any] = {
        "id2label": names,
        "label2id": {name: index for index, name in names.items()},
        "problem_type": "regression",
    }
    if tokenizer is not None:
        changed["pad_token_id"] = padding_token(tokenizer)
    config = type(model.config).from_dict({**model.config.to_dict(), **changed})
    config.name_or_path = model.config.name_or_path
    try:
        with seeded(seed), torch.device("meta"):
            made = AutoModelForSequenceClassification.from_config(config)
    except ValueError as error:
        raise EnvironmentFault(f"no reward head for {config.model_type}: {error}") from None
    backbone = made.base_model_prefix
    setattr(made, backbone, getattr(model, backbone))
    generator = torch.Generator().manual_seed(seed)
    width = config.hidden_size
    weight = torch.randn(dimensions, width, generator=generator) / (width + 1) ** 0.5
    device = next(model.parameters()).device
    made.score = nn.Linear(width, dimensions, bias=False)
    made.score.weight = nn.Parameter(weight.to(device))
    return made.eval()


def padding_token(tokenizer: Any) -> int | None:
    """A special token that never ends a text, or None where there is no such token.

    transformers reads the reward at the last token that is not padding. Where padding is the
    end-of-turn token, as in many chat models, it would skip the end of every answer and read one
    token too early. Without a safe token it must be None: transformers then takes one text at a
    time, and reads its last token.
    """
    ends = set(end_of_turn_ids(tokenizer))
    known = [tokenizer.pad_token_id, tokenizer.bos_token_id, *tokenizer.all_special_ids]
    return next((int(token) for token in known if token is not None and token not in ends), None)


# -- dimensions -----------------------------------------------------------------------


def dimension_names(model: Any) -> tuple[str, ...]:
    """Names of the reward's dimensions, from the config."""
    count, written = head_of(model).out_features, model.config.id2label
    names = tuple(str(written.get(i, _placeholder(i))) for i in range(count))
    return (UNNAMED,) if names == (_placeholder(0),) else names


def name_dimensions(model: Any, names: Sequence[str]) -> None:
    """Write the dimensions of the data into the config, where the head has no names yet.

    Raises:
        UserError: the head was trained on other dimensions.
    """
    count = head_of(model).out_features
    wanted = tuple(name or UNNAMED for name in names)
    if len(wanted) != count:
        raise UserError(
            f"the reward head has {count} dimensions, the data {len(wanted)}: {', '.join(wanted)}",
            fix="rate training and evaluation data on the same dimensions",
        )
    config = _under_adapter(model).config
    written = tuple(str(config.id2label.get(i, _placeholder(i))) for i in range(count))
    fresh = written == tuple(_placeholder(i) for i in range(count))
    if count == 1 and not fresh:
        return
    if not fresh and written != wanted:
        raise UserError(
            f"the reward model's dimensions are {', '.join(written)}, the data's {', '.join(wanted)}",
            fix="train from the language model, or on data with the same dimensions",
        )
    config.id2label = dict(enumerate(wanted))
    config.label2id = {name: index for index, name in enumerate(wanted)}


def _placeholder(index: int) -> str:
    """What transformers calls a label without a name."""
    return f"LABEL_{index}"


# -- adapters -------------------------------------------------------------------------


def adapter_dimensions(folder: Path) -> int | None:
    """How many outputs the reward head in an adapter folder has; None where it holds no head."""
    described = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    if described.get("task_type") != "SEQ_CLS":
        return None
    for name, shape in read_header(folder / "adapter_model.safetensors").items():
        if name.split(".")[-2:] == ["score", "weight"] or ".score.modules_to_save." in name:
            return shape[0]
    raise UserError(
        "the adapter is for a classifier, and holds no reward head",
        where=str(folder),
        fix='train it with modules_to_save=["score"]',
    )


def under_its_head(base: Any, outputs: int, adapter: Path, tokenizer: Any = None) -> Any:
    """The base of a reward adapter under a head of its size and names; the adapter brings the weights."""
    from charter.models.reward_scale import RewardScale

    if tokenizer is None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(str(adapter), trust_remote_code=False)
    model = base if hasattr(base, "score") else with_reward_head(base, outputs, tokenizer=tokenizer)
    model.score.to(next(base.parameters()).dtype)
    if (scale := RewardScale.load(adapter)) is not None:
        name_dimensions(model, scale.names)
    return model


def without_adapter_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the model under an adapter by the names they have without it: the head as it began."""
    return {
        key.replace(".base_layer.", ".").replace("score.original_module.", "score."): value
        for key, value in state.items()
        if ".lora_" not in key and ".modules_to_save." not in key
    }


def _under_adapter(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model
