"""What judges are asked: versioned templates, and material quoted so that it cannot speak to the judge.

The material of a question (conversation, answers) stands between marker lines with a code that is
computed from the material and occurs nowhere in it. So no text can close its own quotation: it
would have to hold a hash of itself. Texts that chat templates take for the end of a turn, and
characters that people cannot see, are written out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from importlib.resources.abc import Traversable

from charter.feedback.judging.model import Question
from charter.types import Message

NAMES = (
    "all_at_once",
    "pairwise",
    "per_principle",
    "per_principle_flipped",
    "rubric_scale",
    "with_reasons",
)
"""Every template."""

_SLOT = re.compile(r"\$([a-z_]+)")
_VERSION = re.compile(r"version: (\d+)\n")
_CODE_LENGTH = 12

# What chat templates and tokenizers take for structure. An endpoint may read them so even inside a turn.
_CONTROL = re.compile(
    r"<(?=\|[^|<>\n]{1,40}\|>)"
    r"|<(?=/?(?:s|bos|eos|pad|unk|im_start|im_end|start_of_turn|end_of_turn|sep|cls)>)"
    r"|<(?=</?SYS>>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])"
    r"|<(?=\uff5c[^\uff5c<>\n]{1,40}\uff5c>)",
    re.IGNORECASE,
)
# Control characters, halves of characters, tags that spell out text people do not see, and overrides that
# show it in another order.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)


@dataclass(frozen=True)
class Prompt:
    """One template.

    Attributes:
        name: its file, without the ending.
        version: raised whenever the words change.
        body: the text, with ``$slots``.
    """

    name: str
    version: int
    body: str

    @cached_property
    def sha(self) -> str:
        """sha256 of name, version and words."""
        return hashlib.sha256(f"{self.name}\n{self.version}\n{self.body}".encode()).hexdigest()

    @property
    def slots(self) -> frozenset[str]:
        """Names that must be filled."""
        return frozenset(_SLOT.findall(self.body))

    def ask(self, filled: Mapping[str, str]) -> Question:
        """The question with every slot filled, in one pass: a ``$slot`` within what is filled in stays."""
        missing = self.slots ^ set(filled)
        if missing:
            raise ValueError(f"slots of the prompt {self.name} and what fills them differ: {sorted(missing)}")
        text = _SLOT.sub(lambda match: filled[match[1]], self.body)
        return Question((Message("user", text.strip()),), self.sha)


@cache
def prompt(name: str) -> Prompt:
    """The template of that name.

    Raises:
        ValueError: there is none, or it does not say its version.
    """
    if name not in NAMES:
        raise ValueError(f"no judge prompt {name!r}")
    return read_prompt(name, resources.files("charter.feedback.judging").joinpath("prompts", f"{name}.txt"))


def read_prompt(name: str, file: Traversable) -> Prompt:
    """The template in ``file``.

    Raises:
        ValueError: it does not say its version.
    """
    text = file.read_text(encoding="utf-8")
    head = _VERSION.match(text)
    if head is None:
        raise ValueError(f"the judge prompt {name!r} does not begin with its version")
    return Prompt(name, int(head[1]), text[head.end() :])


@cache
def name_of(sha: str) -> str:
    """The name of the template with that sha; "" = it is not one of these."""
    return next((name for name in NAMES if prompt(name).sha == sha), "")


def code_of(material: Iterable[str]) -> str:
    """A code that decides nothing, looks random, and does not occur in ``material``.

    The same material always gets the same code, in whatever order it comes, so that the questions
    about one answer begin alike and are computed once.
    """
    texts = sorted(material)
    lengths = ",".join(str(len(text)) for text in texts)
    whole = "\n".join(texts)
    for turn in range(1_000_000):
        code = hashlib.sha256(f"{turn}:{lengths}:{whole}".encode(errors="replace")).hexdigest()[:_CODE_LENGTH]
        if not any(code in text.casefold() for text in texts):
            return code
    raise AssertionError("the material holds a million hashes of itself")


def quote(label: str, text: str, code: str) -> str:
    """``text`` between markers; empty text is said to be empty."""
    inside = plain(text) if text.strip() else "(empty)"
    return f"[[BEGIN {label} {code}]]\n{inside}\n[[END {label} {code}]]"


def quote_turns(label: str, turns: Sequence[Message], code: str) -> str:
    """A conversation between markers, with a line that carries the code before each turn."""
    if not turns:
        return quote(label, "", code)
    inside = "\n".join(
        f"[[{turn.role} {code}]]\n{plain(turn.content) if turn.content.strip() else '(empty)'}"
        for turn in turns
    )
    return f"[[BEGIN {label} {code}]]\n{inside}\n[[END {label} {code}]]"


def plain(text: str) -> str:
    """``text`` in which control tokens have no effect and characters that cannot be seen are written out."""
    lines = text.replace("\r\n", "\n")
    opened = _CONTROL.sub(lambda match: f"{match[0]} ", lines)
    return _UNSEEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", opened)
