"""Write ``docs/from-trl.md``: every field of TRL's SFT and DPO configs, and what it is here.

    python scripts/from_trl.py

The table is ``charter.catalogue.from_trl``; types and defaults are read from
the installed TRL, so a page that is out of date fails the tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from charter.catalogue import ENTRIES
from charter.catalogue.from_trl import FIELDS, TRL_VERSION, TrlField
from charter.catalogue.options import TrainOptions

PAGE = Path(__file__).parent.parent / "docs" / "from-trl.md"

HEAD = f"""# Coming from TRL

Every field of `SFTConfig` and `DPOConfig` of TRL {TRL_VERSION}, with what they inherit from transformers'
`TrainingArguments`, and of the `ModelConfig` and `ScriptArguments` of TRL's command line. A field is

- **same**: the same name with the same meaning. Where the default differs, the table says why.
- **renamed**: give it by the name in the next column.
- **refused**: an error that names the reason: here it is always on, would do nothing, or is not offered.
  Nothing is accepted and then ignored.

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

## What behaves differently

- In conversations only the assistant's turns are trained; TRL's SFT trains every turn unless told otherwise.
- Samples are packed without padding in every run, and no sample is cut to fill a block.
- Memory is bounded by `tokens_per_microbatch`. How a step is split never changes its result, so
  `per_device_train_batch_size` says how many rows a step has and nothing about memory.
- DPO computes the reference's log-probs once, before the first step, and keeps them in the run directory.
- Training into the `output_dir` of an interrupted run continues it, with the very next rows.
"""


def trl_defaults() -> dict[str, dict[str, Any]]:
    """Default of each field, by config: ``sft``, ``dpo``, ``model``, ``script``."""
    from trl import DPOConfig, ModelConfig, ScriptArguments, SFTConfig

    configs = {"sft": SFTConfig, "dpo": DPOConfig, "model": ModelConfig, "script": ScriptArguments}
    return {name: {f.name: _default(f) for f in dataclasses.fields(cls)} for name, cls in configs.items()}


def default_of(row: TrlField, defaults: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """TRL's default of ``row`` for each algorithm it is about."""
    shared = defaults["model"] | defaults["script"]
    return {
        name: defaults[name].get(row.name, shared.get(row.name))
        for name in row.algorithms
        if row.name in defaults[name] or row.name in shared
    }


def page(defaults: dict[str, dict[str, Any]]) -> str:
    """The whole page."""
    return "\n".join([HEAD, *_sections(defaults), *_ours_alone()]) + "\n"


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
    name = f"`{row.name}`" + (f" ({row.algorithms[0]})" if len(row.algorithms) == 1 else "")
    status = f"**{row.to}**" if row.status == "renamed" else row.status
    about = "; ".join(part for part in (row.note, row.default) if part)
    return f"| {name} | {status} | {_shown(theirs)} | {_shown(_ours(row))} | {about} |"


def _ours(row: TrlField) -> dict[str, Any]:
    if row.status != "same":
        return {}
    options = {name: ENTRIES[name].options.model_fields for name in row.algorithms}
    return {name: fields[row.name].default for name, fields in options.items() if row.name in fields}


def _shown(values: dict[str, Any]) -> str:
    words = {name: _word(value) for name, value in values.items()}
    if len(set(words.values())) <= 1:
        return next(iter(words.values()), "")
    return ", ".join(f"{name} {word}" for name, word in words.items())


def _word(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(str(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{value}`" if value != "" else "empty"


def _ours_alone() -> Iterator[str]:
    known = {field.name for field in FIELDS}
    yield "## Options TRL does not have\n"
    yield "| option | default | meaning |"
    yield "|---|---|---|"
    for name, info in TrainOptions.model_fields.items():
        if name not in known:
            yield f"| `{name}` | {_word(info.default)} | {_cell(info.description or '')} |"


def _cell(text: str) -> str:
    """One line of text that a table cell can hold."""
    return " ".join(text.split()).replace("|", "\\|")


def _default(field: dataclasses.Field[Any]) -> Any:
    value = field.default
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    return value.value if isinstance(value, Enum) else value


if __name__ == "__main__":
    PAGE.write_text(page(trl_defaults()), encoding="utf-8")
    print(f"wrote {PAGE}")
