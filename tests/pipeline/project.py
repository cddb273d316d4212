"""A whole project on the tiny model: constitution, prompts, recipe."""

from __future__ import annotations

import json
from pathlib import Path

from charter.testing import save_tiny

CONSTITUTION = """---
constitution: 1
name: tiny
version: 0.1.0
---
# Style

## Some words {#style.words authority=user}

An answer has words.

```yaml rules
all:
  - length: {min_chars: 8}
```

## No zeta {#style.zeta authority=user}

No letter e at the start.

```yaml rules
all:
  - not: {regex: {pattern: "[a-m]", where: start}}
```

## Kind {#style.kind authority=user}

An answer is kind.

```yaml rubric
levels: {1: rude, 5: kind}
```
"""

RECIPE = """name: tiny
model: model
constitution: house.constitution.md
threads: 1
stages:
  - sample: {prompts: train.jsonl, num_generations: 4, max_completion_length: 12, temperature: 1.0}
  - judge: {}
  - compare: {}
  - train: {algorithm: dpo, use_peft: true, learning_rate: 1.0e-3, max_steps: 4, save_steps: 2,
            per_device_train_batch_size: 4, max_kl: 1000, kl_steps: 2}
  - evaluate: {prompts: heldout.jsonl, max_completion_length: 12, unrelated: prose.txt}
  - report: {}
"""


def prompts(path: Path, words: list[str]) -> None:
    rows = [{"id": w, "prompt": [{"role": "user", "content": f"Say {w}."}], "tags": ["x"]} for w in words]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")


def make_project(root: Path) -> Path:
    """Write the project; returns the recipe's path."""
    save_tiny(str(root / "model"))
    (root / "house.constitution.md").write_text(CONSTITUTION, "utf-8")
    prompts(root / "train.jsonl", [f"a{i}" for i in range(12)])
    prompts(root / "heldout.jsonl", [f"b{i}" for i in range(6)])
    (root / "prose.txt").write_text("The rain fell on the roof all night, and nobody slept. " * 3, "utf-8")
    recipe = root / "recipe.yaml"
    recipe.write_text(RECIPE, "utf-8")
    return recipe
