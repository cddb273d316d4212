"""Stop training on KL, not on loss.

The loss of a preference method falls fastest exactly where pairs repeat and the
model is being harmed. So the policy is sampled every few steps, its KL to the
reference measured, and training ends, with the last weights under the limit,
when it has gone too far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.evaluation.health.fluency import kl_per_sequence
from charter.models.pairing import Reference
from charter.models.policy import Policy
from charter.training.hooks import NOTHING, HookResult, Stop
from charter.types import Context

PROBE_PROMPTS = 16
PROBE_TOKENS = 80


class KLStop:
    """Measures KL on sampled answers to a few training prompts.

    Args:
        policy: before training; its state now is the reference.
        contexts: rendered prompts to answer.
        max_kl: nats per sequence.
        every: optimizer steps between measurements; the last step is always measured.
        with_adapter: whether training will add an adapter (else a frozen copy is kept).
        seed: of the sampled answers.
    """

    name = "kl_stop"

    def __init__(
        self,
        policy: Policy,
        contexts: Sequence[Context],
        *,
        max_kl: float,
        every: int,
        with_adapter: bool,
        seed: int,
    ) -> None:
        self.reference = Reference(None) if with_adapter else Reference.frozen_copy(policy)
        distinct = list({c.token_ids: c for c in contexts}.values())
        self.contexts = distinct[:: max(len(distinct) // PROBE_PROMPTS, 1)][:PROBE_PROMPTS]
        self.max_kl, self.every = max_kl, every
        self.sampling = Sampling(temperature=1.0, max_completion_length=PROBE_TOKENS, seed=seed)
        self.history: list[tuple[int, float]] = []
        self._engine: LocalEngine | None = None

    def after_step(self, policy: Policy, step: int, last: bool, metrics: Mapping[str, float]) -> HookResult:
        """See :class:`charter.training.hooks.Hook`."""
        if step % self.every and not last:
            return NOTHING
        was_training = policy.model.training
        policy.model.eval()
        try:
            groups = self._sampler(policy, step).generate(self.contexts, 1, self.sampling)
            found = kl_per_sequence(policy, self.reference, groups)
        finally:
            policy.model.train(was_training)
        self.history.append((step, found.mean))
        measured = {"kl": found.mean, "kl_stderr": found.stderr}
        if found.mean <= self.max_kl:
            return HookResult(measured, well=True)
        reason = f"KL {found.mean:.1f} nats per sequence exceeded max_kl {self.max_kl:g} at step {step}"
        return HookResult(measured, well=False, stop=Stop(reason, go_back=True))

    def state(self) -> Any:
        """Past measurements."""
        return self.history

    def restore(self, state: Any) -> None:
        """Take back past measurements."""
        self.history = [(int(step), float(kl)) for step, kl in state]

    def _sampler(self, policy: Policy, version: int) -> LocalEngine:
        if self._engine is None:
            self._engine = LocalEngine(
                policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype, version=version
            )
        else:
            self._engine.load_weights(policy, version)
        return self._engine
