"""Any Charter model as a model of Inspect: ``--model charter/PATH_OR_NAME``."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from charter.config import Config, validate
from charter.engines.base import Sampling
from charter.errors import CharterError, DataError, UserError
from charter.evaluation.inspect.gather import Gatherer
from charter.evaluation.inspect.library import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    Logprob,
    Logprobs,
    ModelAPI,
    ModelOutput,
    ModelUsage,
)
from charter.evaluation.inspect.messages import messages_of
from charter.evaluation.inspect.options import MAX_TOKENS, sampling_of
from charter.types import Completion, Context, Message

if TYPE_CHECKING:
    from charter.engines.local import LocalEngine
    from charter.models.policy import Policy


class ModelArgs(Config):
    """What ``-M`` takes."""

    bf16: bool = True
    """Compute in bfloat16; off = float32."""
    device: str | None = None
    """Where it computes; None = the first CUDA device, or the CPU where there is none."""
    load_in_4bit: bool = False
    """Quantise the linear layers to four bits."""
    batch_size: int = 64
    """Most answers decoded together."""


@dataclass(frozen=True)
class Request:
    """One call for answers.

    Attributes:
        turns: the conversation so far.
        sampling: how tokens are chosen; two calls with the same one are decoded together.
        n: answers.
    """

    turns: tuple[Message, ...]
    sampling: Sampling
    n: int


@dataclass(frozen=True)
class Answered:
    """What came of a request.

    Attributes:
        context_tokens: tokens of the conversation.
        completions: the answers; none where the conversation leaves no room for one.
        why: there is none.
    """

    context_tokens: int
    completions: tuple[Completion, ...]
    why: str = ""


class CharterAPI(ModelAPI):  # type: ignore[misc]
    """Answers with a model in this process; calls that Inspect makes at once are decoded as one batch.

    The same conversation with the same seed gets the same answer, however calls fall together. Without a
    seed, each further time that a conversation is asked (another epoch) has a seed of its own, counted
    from 0: a whole evaluation can be repeated, and its epochs differ.

    Args:
        model_name: known name, hub id, checkpoint or adapter folder, or run directory.
        base_url: has no meaning here.
        api_key: likewise.
        config: Inspect's.
        policy: a policy that is loaded already.
        model_args: see :class:`ModelArgs`.

    The model is loaded when it is first asked: a stored log can be scored again where the model is not.

    Raises:
        ConfigError: an option that is not known.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        policy: Policy | None = None,
        **model_args: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        if base_url:
            raise UserError("a model in this process has no address", where="base_url", fix="leave it out")
        self.args = validate(ModelArgs, model_args, where="-M")
        if self.args.batch_size < 1:
            raise UserError("must be at least 1", where="-M batch_size")
        if isinstance(policy, str):
            raise UserError("a policy is given in Python; name a model here", where="-M policy")
        self._policy = policy
        self._engine: LocalEngine | None = None
        self._loading = threading.Lock()
        self._times: Counter[tuple[Message, ...]] = Counter()
        self._gather: Gatherer[Request, Answered] = Gatherer(self._answer, most=self.args.batch_size)

    # -- what Inspect asks about the model ---------------------------------------

    def max_connections(self) -> int:
        """A batch's worth of calls at once."""
        return self.args.batch_size

    def max_tokens(self) -> int | None:
        """See :data:`MAX_TOKENS`."""
        return MAX_TOKENS

    def connection_key(self) -> str:
        """Each model has calls of its own."""
        return f"charter/{self.model_name}"

    async def count_text_tokens(self, text: str) -> int:
        """By the model's own tokenizer."""
        return len(await self.tokenize(text))

    async def tokenize(self, text: str) -> list[int]:
        """By the model's own tokenizer, without special tokens."""
        policy = await anyio.to_thread.run_sync(self._loaded)
        return list(policy.tokenizer(text, add_special_tokens=False)["input_ids"])

    # -- answers -----------------------------------------------------------------

    async def generate(
        self, input: list[ChatMessage], tools: list[Any], tool_choice: Any, config: GenerateConfig
    ) -> ModelOutput:
        """Answer a conversation.

        Raises:
            CharterError: no such model, or tools, an option or a message that it cannot honour.
        """
        if tools:
            named = ", ".join(tool.name for tool in tools)
            raise UserError(f"Charter's models call no tools, and were given: {named}", fix="leave them out")
        turns = _turns(input)
        sampling, n = sampling_of(config, seed=0)
        if config.seed is None and not sampling.greedy:
            sampling = sampling.model_copy(update={"seed": self._times[turns]})
            self._times[turns] += 1
        found = await self._gather.ask(Request(turns, sampling, n))
        if not found.completions:
            return _no_room(self.model_name, found)
        decode = self._loaded().tokenizer.decode
        choices = [
            ChatCompletionChoice(
                message=ChatMessageAssistant(content=one.text, source="generate", model=self.model_name),
                stop_reason=_stop_reason(one, sampling),
                logprobs=_logprobs(one, decode) if config.logprobs else None,
            )
            for one in found.completions
        ]
        written = sum(len(one.token_ids) for one in found.completions)
        return ModelOutput(
            model=self.model_name,
            choices=choices,
            usage=_usage(found.context_tokens, written),
            metadata={
                "seed": sampling.seed,
                "weight_version": found.completions[0].weight_version,
                **({"logprobs_at_temperature": sampling.logp_temperature} if config.logprobs else {}),
            },
        )

    def _loaded(self) -> Policy:
        with self._loading:
            if self._policy is None:
                from charter.models.load import load

                args = self.args
                self._policy = load(
                    self.model_name, bf16=args.bf16, device=args.device, load_in_4bit=args.load_in_4bit
                )
            return self._policy

    def _ready(self) -> LocalEngine:
        policy = self._loaded()
        if self._engine is None:
            from charter.engines.local import LocalEngine

            self._engine = LocalEngine(
                policy.model,
                policy.tokenizer,
                compute_dtype=policy.compute_dtype,
                version=policy.version,
                max_rows=self.args.batch_size,
            )
        return self._engine

    def _answer(self, batch: Sequence[Request]) -> list[Answered | BaseException]:
        """Decode a batch: calls that are sampled alike together, and the same call once."""
        engine = self._ready()
        found: dict[Request, Answered | BaseException] = {}
        alike: dict[tuple[Sampling, int], dict[Request, Context]] = {}
        for request in dict.fromkeys(batch):
            try:
                context = self._context(request.turns)
            except CharterError as error:
                found[request] = error
                continue
            length, room = len(context.token_ids), engine.max_length
            if room is not None and length >= room:
                why = f"the conversation has {length} tokens and leaves no room in the model's {room}"
                found[request] = Answered(length, (), why)
            else:
                alike.setdefault((request.sampling, request.n), {})[request] = context
        for (sampling, n), some in alike.items():
            try:
                groups = engine.generate(list(some.values()), n, sampling)
            except CharterError as error:
                found.update(dict.fromkeys(some, error))
                continue
            for (request, context), group in zip(some.items(), groups, strict=True):
                answers = tuple(sample.completion for sample in group.samples)
                found[request] = Answered(len(context.token_ids), answers)
        return [found[request] for request in batch]

    def _context(self, turns: tuple[Message, ...]) -> Context:
        template = self._loaded().template
        if template.tokenizer.chat_template:
            return Context(turns, template.render_context(turns, where="conversation"))
        if [turn.role for turn in turns] != ["user"]:
            raise DataError(
                "the model has no chat template, so it cannot be given a conversation",
                where=self.model_name,
                fix="ask it with one user message, which it continues",
            )
        return Context(turns[0].content, template.render_context(turns[0].content))


def _turns(input: Sequence[ChatMessage]) -> tuple[Message, ...]:
    notes: Counter[str] = Counter()
    turns = messages_of(input, notes)
    if lost := [what for what in notes if what.startswith("parts that are no text")]:
        raise UserError(f"Charter's models read text; the conversation has {', '.join(lost)}")
    if not turns:
        raise UserError("the conversation is empty")
    if turns[-1].role == "assistant":
        raise UserError(
            "the conversation ends with the assistant's turn; Charter does not continue a turn",
            fix="end it with a user's",
        )
    return turns


def _stop_reason(completion: Completion, sampling: Sampling) -> str:
    if completion.finish_reason != "length":
        return "stop"
    cut = len(completion.token_ids) >= sampling.max_completion_length
    return "max_tokens" if cut else "model_length"


def _logprobs(completion: Completion, decode: Any) -> Logprobs | None:
    if not completion.logps:
        return None
    rows = []
    for token_id, logp in zip(completion.token_ids, completion.logps, strict=True):
        text = str(decode([token_id]))
        rows.append(Logprob(token=text, logprob=logp, bytes=list(text.encode())))
    return Logprobs(content=rows)


def _usage(read: int, written: int) -> ModelUsage:
    return ModelUsage(input_tokens=read, output_tokens=written, total_tokens=read + written)


def _no_room(name: str, found: Answered) -> ModelOutput:
    message = ChatMessageAssistant(content="", source="generate", model=name)
    return ModelOutput(
        model=name,
        choices=[ChatCompletionChoice(message=message, stop_reason="model_length")],
        usage=_usage(found.context_tokens, 0),
        error=found.why,
    )
