"""Groups with token ids: the one place where conversations become what the model sees.

Training, judging and evaluation all render here, so they cannot differ. For
the same conversation the ids are those of transformers' ``apply_chat_template``.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from charter.data.chat import PROBE, ChatTemplate, Written, generation_mask
from charter.data.special import SpecialTokens
from charter.data.step_tokens import has_steps_in_text, render_steps
from charter.errors import DataError
from charter.types import Completion, Content, Context, Group, Message, Sample

_VERSION = 1  # part of cache keys: raise it when the same text would give other ids


class Template:
    """How one tokenizer writes contexts and completions.

    Args:
        tokenizer: a transformers tokenizer.
        pre_rendered: plain text columns already hold special tokens that mean
            what they say. Otherwise a special token in a text is encoded as
            the characters someone typed; in conversations it always is.

    Attributes:
        generation_mask: whether the template's own ``{% generation %}`` marks
            agree with the trained mask: ``none``, ``agrees`` or ``differs``.
    """

    def __init__(self, tokenizer: Any, *, pre_rendered: bool = False) -> None:
        self.tokenizer = tokenizer
        self.pre_rendered = pre_rendered
        self.special = SpecialTokens(tokenizer)
        self._bos = _added_in_front(tokenizer, self.special)
        self._contexts = functools.lru_cache(maxsize=64)(self._encode_context)
        self._heads = functools.lru_cache(maxsize=64)(lambda text: tuple(self.special.encode(text)))

    @functools.cached_property
    def chat(self) -> ChatTemplate:
        """The chat template, tried and checked on first use."""
        chat = ChatTemplate(self.tokenizer, self.special)
        _check_probe(self.tokenizer, self.special, chat.probe)
        return chat

    @functools.cached_property
    def generation_mask(self) -> str:
        """Whether the template's own marks agree; see the class."""
        marked = generation_mask(self.tokenizer)
        if marked is None:
            return "none"
        context, completion, trained = self._encode_turns(PROBE[:1], PROBE[1:], "probe")
        ours = [False] * len(context) + trained
        # A template may or may not mark the end-of-turn token; the answer itself must agree.
        body = len(context) + len(completion) - 1
        return "agrees" if [bool(flag) for flag in marked[:body]] == ours[:body] else "differs"

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 of everything that decides the ids: vocabulary, merges, template, options."""
        parts = [_VERSION, _tokenizer_state(self.tokenizer), self.tokenizer.chat_template, self.pre_rendered]
        text = json.dumps([*parts, self.tokenizer.eos_token_id], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def render(self, group: Group) -> Group:
        """``group`` with ``token_ids`` and ``trained`` filled in.

        A completion that already has ids (it was sampled) keeps them, and an
        empty one (a prompt waiting for an answer) stays empty. One whose steps are
        judged is rendered by :func:`charter.data.step_tokens.render_steps`.

        Raises:
            DataError: no template for a conversation; ids of the context are
                no prefix of the whole; text and turns mixed.
        """
        if has_steps_in_text(group):
            return render_steps(group, self._contexts, self._encode_text)
        return replace(group, samples=tuple(self._sample(sample, group.source) for sample in group.samples))

    def render_context(self, content: Content, *, where: str = "") -> tuple[int, ...]:
        """Ids of a context, with the assistant turn opened after a conversation."""
        return self._contexts(content, where)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ``ids``, special tokens shown."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False))

    def _sample(self, sample: Sample, where: str) -> Sample:
        context, completion = sample.context, sample.completion
        if completion.token_ids:
            trained = completion.trained or (True,) * len(completion.token_ids)
            return replace(
                sample,
                context=self._context(context, where),
                completion=replace(completion, trained=trained),
            )
        if not completion.content:
            return replace(sample, context=self._context(context, where))
        if isinstance(context.content, str):
            if not isinstance(completion.content, str):
                raise DataError("the context is text but the completion is turns", where=where)
            plain = self._plain(context, completion, completion.content, where)
            return replace(plain, role=sample.role)
        answer = completion.content
        turns = (Message("assistant", answer),) if isinstance(answer, str) else answer
        context_ids, ids, trained_flags = self._encode_turns(context.content, turns, where)
        return replace(
            sample,
            context=replace(context, token_ids=tuple(context_ids)),
            completion=replace(completion, token_ids=tuple(ids), trained=tuple(trained_flags)),
        )

    def _context(self, context: Context, where: str) -> Context:
        if context.token_ids:
            return context
        return replace(context, token_ids=self._contexts(context.content, where))

    def _encode_context(self, content: Content, where: str) -> tuple[int, ...]:
        if isinstance(content, str):
            return tuple(self._bos_once(self._encode_text(content)))
        turns, marks = self._hide(content)
        return tuple(self._encode(self.chat.text(turns, prompt=True, where=where), marks, where))

    def _plain(self, context: Context, completion: Completion, text: str, where: str) -> Sample:
        """A text context and a text completion, encoded apart; the completion ends with eos."""
        eos = self.tokenizer.eos_token_id
        if eos is None:
            raise DataError("the tokenizer has no eos token", where=where, fix="set tokenizer.eos_token")
        context = self._context(context, where)
        ids = self._encode_text(text)
        if context.content == "" and self._bos and ids[:1] == self._bos:
            ids = ids[1:]
        if ids[-1:] != [eos]:
            ids = [*ids, eos]
        # Nothing stands before the first token of a text without context, so nothing predicts it.
        first = bool(context.token_ids)
        trained = (first,) + (True,) * (len(ids) - 1)
        return Sample(context, replace(completion, token_ids=tuple(ids), trained=trained))

    def _encode_text(self, text: str) -> list[int]:
        return self.special.encode(text) if self.pre_rendered else self.special.encode_plain(text)

    def _bos_once(self, ids: list[int]) -> list[int]:
        return ids if not self._bos or ids[:1] == self._bos else self._bos + ids

    def _encode_turns(
        self, context: Sequence[Message], answer: Sequence[Message], where: str
    ) -> tuple[list[int], list[int], list[bool]]:
        """Context ids, completion ids, and the completion's trained flags."""
        turns, marks = self._hide((*context, *answer))
        written = self.chat.write(turns[: len(context)], turns[len(context) :], where=where)
        whole = self._encode(written.text, marks, where)
        cuts = [0, *(at for span in written.spans for at in span)]
        lengths = self._lengths(written.text, cuts, whole, marks, where)
        trained = [flag for i, length in enumerate(lengths) for flag in [i % 2 == 1] * length]
        return whole[: lengths[0]], whole[lengths[0] :], trained[lengths[0] :]

    def _lengths(
        self, text: str, cuts: Sequence[int], whole: list[int], marks: dict[str, str], where: str
    ) -> list[int]:
        """Token count of each stretch of ``text`` between ``cuts``, which must be token boundaries."""
        if len(cuts) > 3:  # several turns: encode each stretch once, instead of ever longer beginnings
            parts = [self._encode(text[a:b], marks, where) for a, b in itertools.pairwise(cuts)]
            if [token for part in parts for token in part] == whole:
                return [len(part) for part in parts]
            # Some tokenizers write a text's first piece differently, so a stretch alone proves nothing.
        ends = [0]
        for at in cuts[1:-1]:
            head = self._head(text[:at], marks, where)
            if whole[: len(head)] != head:
                raise self._boundary_error(head, whole, where)
            ends.append(len(head))
        ends.append(len(whole))
        return [b - a for a, b in itertools.pairwise(ends)]

    def _head(self, text: str, marks: dict[str, str], where: str) -> list[int]:
        """Ids of a beginning, which the samples of a group usually share."""
        return self._encode(text, marks, where) if marks else list(self._heads(text))

    def _boundary_error(self, head: list[int], whole: list[int], where: str) -> DataError:
        same = next((i for i, (a, b) in enumerate(zip(head, whole, strict=False)) if a != b), len(whole))
        start = max(0, same - 3)
        return DataError(
            "the tokens of the context are no prefix of the tokens of the conversation: the context "
            f"ends with {self.decode(head[start:])!r}, the conversation there reads "
            f"{self.decode(whole[start : same + 3])!r}",
            where=where,
            fix="strip white space at the start of the answer, or skip such rows with on_bad='skip'",
        )

    def _hide(self, turns: Sequence[Message]) -> tuple[tuple[Message, ...], dict[str, str]]:
        """``turns`` with typed special tokens hidden, and the marks that hide them."""
        if not any(self.special.occurs_in(turn.content) for turn in turns):
            return tuple(turns), {}
        marks = self.special.marks(avoid="".join(turn.content for turn in turns))
        return tuple(replace(turn, content=self.special.hide(turn.content, marks)) for turn in turns), marks

    def _encode(self, text: str, marks: dict[str, str], where: str) -> list[int]:
        if not marks:
            return self.special.encode(text)
        ids = self.special.encode_marked(text, marks)
        if ids is None:
            raise DataError(
                "a turn holds a special token that this tokenizer cannot encode as plain text",
                where=where,
                fix="remove the special token from the text",
            )
        return ids


def end_of_turn_ids(tokenizer: Any) -> tuple[int, ...]:
    """Ids that stop generation: the token that ends an assistant turn in the template, then eos."""
    ids: list[int] = []
    if tokenizer.chat_template:
        end = Template(tokenizer).chat.end_of_turn
        ids.append(tokenizer.convert_tokens_to_ids(end))
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ids:
        ids.append(tokenizer.eos_token_id)
    return tuple(ids)


def _check_probe(tokenizer: Any, special: SpecialTokens, probe: Written) -> None:
    """The ids made here are the ids transformers makes."""
    turns = [{"role": turn.role, "content": turn.content} for turn in PROBE]
    theirs = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
    if not isinstance(theirs, list) or not all(isinstance(token, int) for token in theirs):
        raise TypeError(f"apply_chat_template returned {type(theirs).__name__}, expected a list of ids")
    ours = special.encode(probe.text)
    if theirs[: len(ours)] != ours:
        raise DataError(
            "the tokenizer encodes a finished conversation differently from the same text cut at its end",
            fix="use another tokenizer for this model",
        )


def _added_in_front(tokenizer: Any, special: SpecialTokens) -> list[int]:
    """The beginning-of-sequence id this tokenizer puts before plain text, if it does."""
    if tokenizer.bos_token_id is None:
        return []
    with_added = list(tokenizer("a", add_special_tokens=True)["input_ids"])
    bos = [tokenizer.bos_token_id]
    return bos if with_added[:1] == bos and special.encode("a")[:1] != bos else []


def _tokenizer_state(tokenizer: Any) -> Any:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return sorted(tokenizer.get_vocab().items())
    state = json.loads(backend.to_str())
    # Left over from earlier calls; they do not decide the ids made here.
    return {key: value for key, value in state.items() if key not in ("truncation", "padding")}
