"""A constitution in which one principle is a function of the text, and another's labels are coin flips."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch

from charter.constitution import Constitution
from charter.models.policy import Policy
from charter.testing import tiny_model, tiny_tokenizer

SHOUTS, COIN = "manners.loud", "chance.coin"
WORDS = [
    *("ships", "tea", "maps", "owls", "rain", "bread", "chess", "moss", "tides", "kites", "salt", "clocks"),
    *("reeds", "bells", "pears", "ropes", "coins", "drums", "ferns", "gates", "lamps", "nests", "paths"),
    *("roots", "seeds", "tents", "vines", "wells"),
]


def constitution(pairs: int = 16, seed: int = 0) -> Constitution:
    """:func:`written`, read."""
    return Constitution.from_text(written(pairs, seed))


def written(pairs: int = 16, seed: int = 0) -> str:
    """``manners.loud``: good answers are in capitals. ``chance.coin``: which answer is good is drawn."""
    rng = random.Random(seed)
    loud, coin = [], []
    for number in range(pairs):
        first, second = (_sentence(rng) for _ in range(2))
        loud.append(_example(f"loud {number}", f"Shout about {WORDS[number]}", first.upper(), second))
        shown = [_sentence(rng), _sentence(rng)]
        rng.shuffle(shown)
        coin.append(_example(f"coin {number}", f"Tell about {WORDS[-1 - number]}", *shown))
    return "\n".join(
        [
            "---\nconstitution: 1\nname: planted\nlevels: [user]\n---\n# All {#all}\n",
            f"## Shouts {{#{SHOUTS} authority=user type=requirement}}\nAnswers are in capitals.\n",
            *loud,
            f"## Is lucky {{#{COIN} authority=user type=requirement}}\nAnswers are lucky.\n",
            *coin,
        ]
    )


def tiny_policy(seed: int = 0) -> Policy:
    """A random model that can read a whole example."""
    model = tiny_model(seed, max_position_embeddings=1024)
    return Policy(model, tiny_tokenizer(), "tiny", Path("tiny"), compute_dtype=torch.float32)


def label_rows(n: int = 40, seed: int = 1) -> list[dict[str, Any]]:
    """What people said of other answers under ``manners.loud``."""
    rng = random.Random(seed)
    rows = []
    for number in range(n):
        good = number % 2 == 0
        text = _sentence(rng)
        answer = text.upper() if good else text
        asked = f"Question {number} of people about {WORDS[number % len(WORDS)]}"
        rows.append({"principle": SHOUTS, "prompt": asked, "completion": answer, "label": good})
    return rows


def _sentence(rng: random.Random) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(5, 9)))


def _example(title: str, asked: str, good: str, bad: str) -> str:
    return (
        f"**Example**: {title}\n\n~~~xml\n<user>{asked}.</user>\n<comparison>\n"
        f"<assistant> <!-- GOOD --> {good} </assistant>\n<assistant> <!-- BAD --> {bad} </assistant>\n"
        "</comparison>\n~~~\n"
    )
