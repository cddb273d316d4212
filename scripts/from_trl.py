"""Write ``docs/from-trl.md``: every field of TRL's configs, and what it is here.

    python scripts/from_trl.py

The table is ``charter.catalogue.from_trl``; types and defaults are read from
the installed TRL, so a page that is out of date fails the tests.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from charter.catalogue import ENTRIES
from charter.catalogue.from_trl import (
    COMMAND_NAMES,
    FIELDS,
    TRAINERS,
    TRL_VERSION,
    Trainer,
    TrlField,
)
from charter.catalogue.from_trl.field import ALL
from charter.catalogue.options import TrainOptions

PAGE = Path(__file__).parent.parent / "docs" / "from-trl.md"

HEAD = f"""# Coming from TRL

Every field of the configs of TRL {TRL_VERSION} whose trainers do what an algorithm here does, and of those
TRL has removed, with what they inherit from transformers' `TrainingArguments`, and of the `ModelConfig` and
`ScriptArguments` of TRL's command line. A field is

- **same**: the same name with the same meaning. Where the default differs, the table says why.
- **renamed**: give it by the name in the next column.
- **refused**: an error that names the reason: here it is always on, would do nothing, or is not offered.
  Nothing is accepted and then ignored.

A field without a trainer in brackets is in every config. `NashMDConfig` and `XPOConfig` are taken to be
`OnlineDPOConfig` of TRL {TRL_VERSION} with `mixture_coef` and `alpha`; their last versions were not at hand.

This page is generated from the table that gives the errors: `python scripts/from_trl.py`.

## Before and after

Before, with TRL:

```python
from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer

model = AutoModelForCausalLM.from_pretrained("HuggingFaceTB/SmolLM2-135M-Instruct")
tokenizer = AutoTokenizer.from_pretrained("HuggingFaceTB/SmolLM2-135M-Instruct")
data = load_dataset("json", data_files="pairs.jsonl", split="train")
args = DPOConfig(
    output_dir="runs/dpo", beta=0.1, learning_rate=5e-4, max_steps=30, per_device_train_batch_size=8,
    precompute_ref_log_probs=True, gradient_checkpointing=False, report_to="none",
)
peft_config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
trainer = DPOTrainer(model=model, args=args, train_dataset=data, processing_class=tokenizer,
                     peft_config=peft_config)
trainer.train()
trainer.save_model("runs/dpo/model")
```

After:

```python
import charter

policy = charter.load("smollm2-135m")
run = charter.train(
    "dpo", policy, "pairs.jsonl", output_dir="runs/dpo",
    beta=0.1, learning_rate=5e-4, max_steps=30, per_device_train_batch_size=8,
    use_peft=True,
)
```

The data file is read as it is: TRL's formats, plain and conversational.

Where the model samples its own data, the reward functions stay as they are: they get `prompts`,
`completions`, `completion_ids` and the other columns of the prompts by keyword, and return a number or `None`
for each completion.

```python
import charter


def unique_letters(completions, **columns):
    return [float(len(set(completion[0]["content"]))) for completion in completions]


run = charter.train(
    "grpo", "smollm2-135m", "prompts.jsonl", output_dir="runs/grpo",
    reward_funcs=[unique_letters], num_generations=8, max_completion_length=128, use_peft=True,
)
```

## What behaves differently

- In conversations only the assistant's turns are trained; TRL's SFT trains every turn unless told otherwise.
- Samples are packed without padding in every run, and no sample is cut to fill a block.
- Memory is bounded by `tokens_per_microbatch`. How a step is split never changes its result, so
  `per_device_train_batch_size` says how many rows a step has and nothing about memory.
- DPO computes the reference's log-probs once, before the first step, and keeps them in the run directory.
- A batch of GRPO and its kin is the completions of one optimizer step; a round of sampling has
  `steps_per_generation` of them.
- A reward function that fails costs the completions it failed for, not the run; the failures are counted.
- `tools`, `rollout_func` and `environment_factory` of TRL's GRPO are an `environment` here.
- Training into the `output_dir` of an interrupted run continues it, with the very next rows.
"""


def trl_defaults() -> dict[str, dict[str, Any]]:
    """Default of each field, by trainer, and of ``model`` and ``script``."""
    from transformers import TrainingArguments
    from trl import ModelConfig, ScriptArguments

    found = {"model": _defaults(ModelConfig), "script": _defaults(ScriptArguments)}
    for name, trl in TRAINERS.items():
        config = TrainingArguments
        if trl.config:
            module, _, cls = trl.config.partition(":")
            config = getattr(importlib.import_module(module), cls)
        found[name] = _defaults(config) | dict(trl.removed)
        if not trl.config:
            found[name] |= _BASE  # every trainer of TRL changed these
    return found


_BASE = {"logging_steps": 10, "gradient_checkpointing": True, "bf16": None}


def default_of(row: TrlField, defaults: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """TRL's default of ``row`` for each trainer it is about."""
    shared = defaults["model"] | defaults["script"]
    return {
        name: defaults[name].get(row.name, shared.get(row.name))
        for name in row.trainers
        if row.name in defaults[name] or row.name in shared
    }


def our_default(row: TrlField, trainer: Trainer) -> Any:
    """Our default of the option ``row`` says is the same, in the algorithm that stands for the trainer.

    Raises:
        KeyError: the algorithm has no such option.
    """
    return ENTRIES[TRAINERS[trainer].algorithm].options.model_fields[row.name].default


def page(defaults: dict[str, dict[str, Any]]) -> str:
    """The whole page."""
    parts = [HEAD, *_algorithms(), *_sections(defaults), *_ours_alone()]
    return "\n".join(parts) + "\n"


def _algorithms() -> Iterator[str]:
    yield "## Trainers and algorithms\n"
    yield "| TRL | here | one setting of it there, an algorithm of its own here |"
    yield "|---|---|---|"
    for trl in TRAINERS.values():
        config = f"`{trl.title}`" if trl.config else f"`{trl.called}` (removed)"
        others = ", ".join(f"`{other}`" for other in trl.others)
        yield f"| {config} | `{trl.algorithm}` | {others} |"
    yield ""


def _sections(defaults: dict[str, dict[str, Any]]) -> Iterator[str]:
    for group in dict.fromkeys(field.group for field in FIELDS):
        yield f"## {group}\n"
        yield "| TRL | is | TRL's default | ours | about it |"
        yield "|---|---|---|---|---|"
        for row in FIELDS:
            if row.group == group:
                yield _line(row, default_of(row, defaults))
        yield ""


def _line(row: TrlField, theirs: dict[str, Any]) -> str:
    name = f"`{row.name}`" + ("" if row.trainers == ALL else f" ({', '.join(row.trainers)})")
    status = f"**{row.to}**" if row.status == "renamed" else row.status
    about = "; ".join(part for part in (row.note, row.default) if part)
    return f"| {name} | {status} | {_shown(theirs)} | {_shown(_ours(row))} | {about} |"


def _ours(row: TrlField) -> dict[str, Any]:
    if row.status != "same" or row.name in COMMAND_NAMES:
        return {}
    return {trainer: our_default(row, trainer) for trainer in row.trainers}


def _shown(values: dict[str, Any]) -> str:
    """One word where all agree; else the commonest, and who differs from it."""
    words = {name: _word(value) for name, value in values.items()}
    if not words:
        return ""
    ((common, count),) = Counter(words.values()).most_common(1)
    if count == len(words):
        return common
    rest = ", ".join(f"{name} {word}" for name, word in words.items() if word != common or count == 1)
    return rest if count == 1 else f"{common}; {rest}"


def _word(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(str(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).replace("\n", "\\n")
    return f"`{text}`" if text else "empty"


def _ours_alone() -> Iterator[str]:
    known = {field.name for field in FIELDS}
    yield "## Options of every algorithm that TRL does not have\n"
    yield "| option | default | meaning |"
    yield "|---|---|---|"
    for name, info in TrainOptions.model_fields.items():
        if name not in known:
            yield f"| `{name}` | {_word(info.default)} | {_cell(info.description or '')} |"


def _cell(text: str) -> str:
    """One line of text that a table cell can hold."""
    return " ".join(text.split()).replace("|", "\\|")


def _defaults(config: type) -> dict[str, Any]:
    return {field.name: _default(field) for field in dataclasses.fields(config)}


def _default(field: dataclasses.Field[Any]) -> Any:
    value = field.default
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    return value.value if isinstance(value, Enum) else value


if __name__ == "__main__":
    PAGE.write_text(page(trl_defaults()), encoding="utf-8")
    print(f"wrote {PAGE}")
