"""Sentence embeddings: the mean of the tokens that are there, made a unit vector."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from charter.models.sentence import MAX_TOKENS, MINILM, SentenceEncoder
from charter.testing import tiny_tokenizer


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=258,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=300,
    )
    return SentenceEncoder(BertModel(config), tiny_tokenizer())


def test_each_text_is_what_it_is_alone(encoder: SentenceEncoder) -> None:
    texts = ["short", "a much longer text than that", "mid length", "short"]
    found = encoder(texts)
    assert found.shape == (4, 16) and found.dtype == np.float32
    for row, text in zip(found, texts, strict=True):
        ids = torch.tensor([encoder._tokenizer(text)["input_ids"]])
        with torch.no_grad():
            mean = encoder._model(ids).last_hidden_state[0].mean(0)
        assert row == pytest.approx((mean / mean.norm()).numpy(), abs=1e-5)  # padding has no share in it
    assert found[0] == pytest.approx(found[3])


def test_batches_and_long_texts(encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"text {i} " * (i % 5 + 1) for i in range(9)]
    whole = encoder(texts)
    monkeypatch.setattr("charter.models.sentence._BATCH", 2)
    assert encoder(texts) == pytest.approx(whole, abs=1e-5)
    long = "x" * (MAX_TOKENS + 50)
    assert encoder([long]) == pytest.approx(encoder(["x" * MAX_TOKENS]), abs=1e-6)
    assert encoder([]).shape == (0, 16)


def test_the_wheel_is_pinned() -> None:
    assert MINILM.requirement.endswith("==0.1.0") and len(MINILM.sha256) == 64
