"""Fakes that are real enough to test with, for Charter's tests and for yours."""

from charter.testing.tiny import save_tiny, tiny_model, tiny_tokenizer

__all__ = ["save_tiny", "tiny_model", "tiny_tokenizer"]
