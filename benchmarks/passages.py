"""The texts and the model that benchmarks use: real words, exact token counts."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import ROOT


def words() -> tuple[list[str], list[str]]:
    """Words of the quickstart's questions, and of its prose, in order."""
    recipes = ROOT / "recipes" / "quickstart"
    prose = (recipes / "unrelated.txt").read_text(encoding="utf-8").split()
    questions = [
        word
        for line in (recipes / "train.jsonl").read_text(encoding="utf-8").splitlines()
        for word in json.loads(line)["prompt"][-1]["content"].split()
    ]
    return questions, prose


def model_folder(name: str, folder: Path) -> Path:
    """The folder of a model by name; ``tiny`` is made in ``folder``."""
    from charter.models.hub import resolve
    from charter.testing import save_tiny

    if name != "tiny":
        return resolve(name)
    return Path(save_tiny(str(folder / "tiny"), max_position_embeddings=1024))


def passage(
    tokenizer: Any,
    words: Sequence[str],
    tokens: int,
    rng: random.Random,
    *,
    lead: str = "",
    shuffled: bool = False,
) -> str:
    """A passage of exactly ``tokens`` tokens after ``lead``, whose text encodes to the same ids."""
    for _ in range(200):
        start = rng.randrange(len(words))
        passage = [words[(start + i) % len(words)] for i in range(tokens)]
        if shuffled:
            rng.shuffle(passage)
        ids = tokenizer(lead + " ".join(passage), add_special_tokens=False)["input_ids"][:tokens]
        text: str = tokenizer.decode(ids)
        if len(ids) == tokens and tokenizer(text, add_special_tokens=False)["input_ids"] == ids:
            return text.removeprefix(lead)
    raise ValueError(f"no passage of {tokens} tokens found")
