"""Special tokens as text: finding them, and encoding them as the plain characters someone typed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_PRIVATE = range(0xE000, 0xF8FF)


class SpecialTokens:
    """The special tokens of one tokenizer, and encoding that keeps typed ones plain.

    A tokenizer cuts text at its special tokens before anything else, and
    encodes the pieces between them independently. So text is kept plain by
    making the same cuts ourselves, only at the tokens the template wrote, and
    encoding the pieces with special tokens switched off.

    Args:
        tokenizer: a transformers tokenizer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        names = set(tokenizer.all_special_tokens)
        names |= {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
        self.names = tuple(sorted((name for name in names if name), key=lambda name: (-len(name), name)))
        self._pattern = re.compile("|".join(re.escape(name) for name in self.names) or r"(?!)")

    def occurs_in(self, text: str) -> bool:
        """Whether someone typed a special token in ``text``."""
        return self._pattern.search(text) is not None

    def last(self, text: str) -> re.Match[str] | None:
        """The last special token written in ``text``."""
        return max(self._pattern.finditer(text), key=lambda match: match.start(), default=None)

    def hide(self, text: str, marks: dict[str, str]) -> str:
        """``text`` with each typed special token replaced by its mark."""
        return self._pattern.sub(lambda match: marks[match.group()], text)

    def marks(self, avoid: str) -> dict[str, str]:
        """A private-use character for every special token, none of which occurs in ``avoid``."""
        used = set(avoid)
        free = (chr(code) for code in _PRIVATE if chr(code) not in used)
        return dict(zip(self.names, free, strict=False))

    def encode(self, text: str) -> list[int]:
        """Ids of ``text`` in which special tokens mean what they say; nothing is added."""
        return _ids(self._tokenizer(text, add_special_tokens=False, verbose=False))

    def encode_plain(self, text: str) -> list[int]:
        """Ids of ``text`` in which a typed special token is plain characters."""
        if not self.occurs_in(text):
            return self.encode(text)
        plain = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
        return _ids(plain)

    def encode_marked(self, text: str, marks: dict[str, str]) -> list[int] | None:
        """Ids of ``text`` whose typed special tokens are hidden by ``marks``.

        Returns:
            None if this tokenizer does not encode the pieces between special
            tokens independently, so that the plain form cannot be had exactly.
        """
        if self._pieces(text, self.encode) != self.encode(text):
            return None
        return self._pieces(text, lambda piece: self.encode_plain(unhide(piece, marks)))

    def _pieces(self, text: str, encode: Callable[[str], list[int]]) -> list[int]:
        ids: list[int] = []
        at = 0
        for match in self._pattern.finditer(text):
            if match.start() > at:
                ids += encode(text[at : match.start()])
            ids.append(self._tokenizer.convert_tokens_to_ids(match.group()))
            at = match.end()
        return ids + (encode(text[at:]) if at < len(text) else [])


def unhide(text: str, marks: dict[str, str]) -> str:
    """``text`` with the typed special tokens back in place of their marks."""
    for name, mark in marks.items():
        text = text.replace(mark, name)
    return text


def _ids(encoded: Any) -> list[int]:
    ids = encoded["input_ids"]
    if not isinstance(ids, list) or not all(isinstance(i, int) for i in ids[:1]):
        raise TypeError(f"the tokenizer returned {type(ids).__name__} where a list of ids was expected")
    return ids
