"""The seam between those who want completions and those who make them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from charter.config import Config
from charter.errors import UserError
from charter.types import Context, Group

OnProgress = Callable[[int], None]
"""Called with the number of completions finished since the last call."""


def _as_tuple(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


class Sampling(Config):
    """How tokens are chosen. Names are TRL's.

    The filters apply in the order of transformers: temperature, top_k, top_p, min_p.
    """

    temperature: float = Field(1.0, ge=0, allow_inf_nan=False)
    """Logits are divided by it; 0 = always the most probable token."""

    top_p: float = Field(1.0, gt=0, le=1)
    """Keep the most probable tokens that together reach this probability; 1 = all."""

    top_k: int = Field(0, ge=0)
    """Keep this many of the most probable tokens (and ties of the last); 0 = all."""

    min_p: float | None = Field(None, ge=0, le=1)
    """Drop tokens less probable than this share of the most probable one."""

    max_completion_length: int = Field(256, ge=1)
    """Most tokens of a completion, the end-of-turn token included."""

    stop: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1)], ...], BeforeValidator(_as_tuple)
    ] = ()
    """Texts that end a completion; the text is cut before them, the token ids are not."""

    seed: int = Field(0, ge=0, lt=2**63)
    """The same request with the same seed gives the same tokens, however it is batched."""

    @model_validator(mode="after")
    def _no_idle_options(self) -> Self:
        if self.temperature == 0:
            idle = [
                name
                for name, on in (("top_p", self.top_p < 1), ("top_k", self.top_k), ("min_p", self.min_p))
                if on
            ]
            if idle:
                raise ValueError(f"{' and '.join(idle)} would do nothing at temperature 0: leave it out")
        return self

    @property
    def greedy(self) -> bool:
        """Whether the most probable token is always taken."""
        return self.temperature == 0

    @property
    def logp_temperature(self) -> float:
        """The temperature the recorded log-probabilities are taken at."""
        return self.temperature or 1.0


@dataclass(frozen=True, slots=True)
class Mixture:
    """Sample between two policies, token by token: ``policy^(1 - coef) * other^coef``, renormalised.

    The geometric mixture of Nash-MD (Munos et al. 2023, 2312.00886) and IPO-MD (2403.08635). The filters
    of :class:`Sampling` cut the mixture, not what is mixed.

    Attributes:
        coef: share of ``other`` in the exponent; 0 = the policy, 1 = ``other``.
        other: a name the engine samples from.

    Raises:
        UserError: ``coef`` outside [0, 1], or nothing to mix with.
    """

    coef: float
    other: str = "reference"

    def __post_init__(self) -> None:
        if not 0.0 <= self.coef <= 1.0:
            raise UserError(f"a mixture's coef must be between 0 and 1, not {self.coef}")
        if self.other in ("", "policy"):
            raise UserError(f"the policy cannot be mixed with {self.other!r}", fix="name another model")

    @property
    def label(self) -> str:
        """What completions say they were sampled by, e.g. ``mixture:0.25``."""
        return f"mixture:{self.coef:g}" + ("" if self.other == "reference" else f":{self.other}")


class Engine(Protocol):
    """Samples completions.

    The ``logps`` of a completion are the model's (of a mixture: the mixture's)
    log-probabilities of its tokens at the sampling temperature, over the whole vocabulary, before
    top_k, top_p and min_p cut it: what a trainer recomputes when it scores at
    that temperature. Greedy completions carry them at temperature 1.
    """

    def generate(
        self,
        contexts: Sequence[Context],
        n: int,
        sampling: Sampling,
        policy: str | Mixture = "policy",
        on_progress: OnProgress | None = None,
    ) -> list[Group]:
        """``n`` completions of every rendered context, one group each, in order.

        Args:
            contexts: with ``token_ids`` filled in.
            n: completions per context.
            sampling: how tokens are chosen.
            policy: whose completions: ``policy``, ``reference``, another name that
                :meth:`load_weights` was told, or a mixture of the policy and one of them.
            on_progress: see :data:`OnProgress`.

        Raises:
            UserError: an empty context, one too long for the model, ``n < 1``, a policy
                this engine does not have.
            Interrupted: the person asked to stop; nothing is returned.
        """
        ...

    def load_weights(self, policy: Any, version: int, name: str = "policy") -> None:
        """Sample from ``policy`` as it is now; completions carry ``version``.

        Weights and version change together, or neither does. Under another ``name`` (``reference``,
        ``ema``) the policy's own weights stay, and :meth:`generate` knows both.
        """
        ...


def check_request(contexts: Sequence[Context], n: int, sampling: Sampling) -> None:
    """Refuse a request that no engine can serve.

    Raises:
        UserError: ``n < 1``, several greedy completions, a context without token ids.
    """
    if n < 1:
        raise UserError(f"n must be at least 1, not {n}")
    if n > 1 and sampling.greedy:
        raise UserError(
            f"{n} completions at temperature 0 would all be the same",
            where="temperature",
            fix="sample one completion, or raise the temperature",
        )
    for index, context in enumerate(contexts):
        if not context.token_ids:
            raise UserError(
                "an empty context cannot be continued",
                where=f"context {index + 1}",
                fix="render the context first; a plain text must not be empty",
            )
