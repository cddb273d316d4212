"""ICDPO (2402.09320): of several answers sampled after demonstrations, the one they make likelier the most.

``S(y) = log p(y | demonstrations, x) - log p(y | x)`` is the reward a policy trained by DPO would have, with
the model after demonstrations in the place of the trained policy and the model alone as its reference. The
contrastive form takes the log-prob after demonstrations of *worse* answers away instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from charter import interrupt
from charter.data.batches import group_batches
from charter.data.packing import pack
from charter.data.selection.best import best_of_n
from charter.data.selection.in_context import icdpo_scores
from charter.engines.base import Engine, Mixture, OnProgress, Sampling
from charter.engines.demonstrations import Demonstration
from charter.engines.in_context import STOP, Layout, as_text, as_turns
from charter.engines.prompted import as_answer, rendered, with_stops, words_of
from charter.engines.retrieval import Embed, Retriever
from charter.errors import UserError
from charter.models.policy import Policy, adapter_off
from charter.models.score import score
from charter.types import Completion, Content, Context, Group, Sample

Contrast = Literal["without", "worse"]
"""What the log-prob after good answers is compared with: no demonstrations, or their worse answers."""

TOKENS = 8192
"""Stream tokens scored at once."""

TEMPERATURE = 1.0
"""Of the candidates, where the request is greedy: the most probable answer alone would leave no choice."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question in its three forms.

    Attributes:
        good: after the demonstrations' good answers; candidates are sampled here.
        other: what their log-probs are compared with.
    """

    good: Context
    other: Context


class IcdpoEngine:
    """Samples candidates after demonstrations and keeps the one with the highest score.

    A greedy request means the best of ``candidates`` drawn at temperature 1: what is greedy is the choice.
    Groups carry the scores in ``meta["icdpo"]``: one entry for each answer, with the ``scores`` of its
    candidates in nats, their mean per token and which one was ``chosen``.

    Args:
        engine: samples from ``policy``.
        policy: the model that scores, the same as ``engine`` samples from.
        demonstrations: to choose from.
        k: demonstrations before a question, the most similar one last, as in the paper (3).
        candidates: answers sampled to choose one.
        contrast: see :data:`Contrast`; ``worse`` needs demonstrations that say what is worse.
        layout: None = the model's chat template where it has one, else the text of URIAL.
        preamble: what stands before the demonstrations of good answers; "" = nothing.
        per_token: compare mean log-probs; sums are the paper's, and favour what the demonstrations make
            longer.
        first: see :class:`~charter.engines.retrieval.Retriever`.
        embed: see :class:`~charter.engines.retrieval.Retriever`.

    Raises:
        UserError: fewer than two candidates, or ``worse`` without worse answers.
    """

    label = "icdpo"

    def __init__(
        self,
        engine: Engine,
        policy: Policy,
        demonstrations: Sequence[Demonstration],
        *,
        k: int = 3,
        candidates: int = 4,
        contrast: Contrast = "without",
        layout: Layout | None = None,
        preamble: str = "",
        per_token: bool = False,
        first: int = 20,
        embed: Embed | None = None,
    ) -> None:
        if candidates < 2:
            raise UserError(f"icdpo needs at least 2 candidates to choose from, not {candidates}")
        if contrast == "worse":
            demonstrations = [one for one in demonstrations if one.worse is not None]
            if not demonstrations:
                raise UserError(
                    "no demonstration says which answer is worse",
                    fix="give preference pairs, or compare with the model alone: contrast='without'",
                )
        self._engine = engine
        self._policy = policy
        self._demonstrations = tuple(demonstrations)
        self._k, self._candidates, self._contrast = k, candidates, contrast
        self._layout: Layout = layout or ("turns" if policy.tokenizer.chat_template else "text")
        self._preamble = preamble
        self._per_token = per_token
        self._retriever = Retriever([one.query for one in self._demonstrations], first=first, embed=embed)

    def load_weights(self, policy: Any, version: int, name: str = "policy") -> None:
        """See :meth:`charter.engines.base.Engine.load_weights`; only the policy itself can be replaced.

        Raises:
            UserError: other weights than the policy's, or a bare model.
        """
        if name != "policy" or not isinstance(policy, Policy):
            raise UserError("icdpo scores with one policy, which load_weights replaces by another policy")
        self._engine.load_weights(policy, version, name)
        self._policy = policy

    def generate(
        self,
        contexts: Sequence[Context],
        n: int,
        sampling: Sampling,
        policy: str | Mixture = "policy",
        on_progress: OnProgress | None = None,
    ) -> list[Group]:
        """See :meth:`charter.engines.base.Engine.generate`.

        Raises:
            UserError: also where a mixture, or a model that does not score, is asked for.
        """
        if policy not in ("policy", "reference"):
            raise UserError(f"icdpo asks the policy or its reference, not {policy!r}")
        if n > 1 and sampling.greedy:
            raise UserError("several greedy answers would all be the same", where="temperature")
        asked = self.asked(contexts)
        found = self._engine.generate(
            [one.good for one in asked],
            n * self._candidates,
            self._drawn(sampling),
            policy,
            _every(self._candidates, on_progress),
        )
        completions = [[sample.completion for sample in group.samples] for group in found]
        scores = self.scores(asked, completions, reference=policy == "reference")
        every = zip(contexts, completions, scores, strict=True)
        return [self._chosen(context, answers, values, n) for context, answers, values in every]

    def asked(self, contexts: Sequence[Context]) -> list[Asked]:
        """Every question after its demonstrations, and in the form it is compared with."""
        contents = [words_of(context) for context in contexts]
        queries = [content if isinstance(content, str) else content[-1].content for content in contents]
        nearest = self._retriever.nearest(queries, self._k)
        return [self._asked(*one) for one in zip(contents, nearest, strict=True)]

    def scores(
        self, asked: Sequence[Asked], completions: Sequence[Sequence[Completion]], *, reference: bool = False
    ) -> list[list[float]]:
        """``S`` of each candidate, nats: the same token ids under both contexts, the end included."""
        pairs = list(zip(asked, completions, strict=True))
        good = self._logps([(one.good, answers) for one, answers in pairs], reference)
        other = self._logps([(one.other, answers) for one, answers in pairs], reference)
        return [icdpo_scores(*both) for both in zip(good, other, strict=True)]

    # -- inside --------------------------------------------------------------------------

    def _asked(self, content: Content, nearest: Sequence[int]) -> Asked:
        chosen = [self._demonstrations[index] for index in reversed(nearest)]
        good = self._written(content, self._preamble, chosen)
        if self._contrast == "without":
            return Asked(good, self._written(content, "", ()))
        worse = [replace(one, answer=one.worse or "") for one in chosen]
        return Asked(good, self._written(content, "", worse))

    def _written(self, content: Content, preamble: str, examples: Sequence[Demonstration]) -> Context:
        write = as_text if self._layout == "text" else as_turns
        return rendered(write(preamble, examples, content), self._policy.template)

    def _drawn(self, sampling: Sampling) -> Sampling:
        drawn = sampling.model_copy(update={"temperature": TEMPERATURE}) if sampling.greedy else sampling
        return with_stops(drawn, STOP) if self._layout == "text" else drawn

    def _chosen(
        self, context: Context, completions: Sequence[Completion], scores: Sequence[float], n: int
    ) -> Group:
        """``n`` answers, each the best of its own candidates."""
        samples, told = [], []
        for start in range(0, n * self._candidates, self._candidates):
            here = slice(start, start + self._candidates)
            lengths = [max(len(one.token_ids), 1) for one in completions[here]]
            means = [value / length for value, length in zip(scores[here], lengths, strict=True)]
            best = best_of_n(means if self._per_token else list(scores[here]))
            assert best is not None  # log-probs are finite
            samples.append(Sample(context, self._returned(completions[start + best], context)))
            told.append({"scores": list(scores[here]), "per_token": means, "chosen": best})
        return Group(tuple(samples), meta={"icdpo": told})

    def _returned(self, completion: Completion, context: Context) -> Completion:
        completion = replace(completion, sampled_by=f"{self.label}:{completion.sampled_by}")
        if self._layout == "text":
            return as_answer(completion, context, self._policy.template)
        return completion

    @torch.inference_mode()
    def _logps(
        self, asked: Sequence[tuple[Context, Sequence[Completion]]], reference: bool
    ) -> list[list[float]]:
        """Summed log-prob of each completion after its context, nats."""
        groups = [Group(tuple(Sample(context, one) for one in answers)) for context, answers in asked]
        found: list[list[float]] = []
        for batch in group_batches(groups, TOKENS):
            interrupt.current().check("stopped while scoring candidates", fix="run the same command again")
            packed = pack([sample for group in batch for sample in group.samples])
            model = self._policy.model
            if reference:
                with adapter_off(model) as bare:
                    out = score(bare, packed, compute_dtype=self._policy.compute_dtype)
            else:
                out = score(model, packed, compute_dtype=self._policy.compute_dtype)
            assert out.logps_N is not None
            sums = torch.zeros(packed.num_samples, dtype=torch.float64)
            sums.index_add_(0, torch.from_numpy(packed.sample_N), out.logps_N.double().cpu())
            values = iter(sums.tolist())
            found += [[next(values) for _ in group.samples] for group in batch]
        return found


def _every(count: int, on_progress: OnProgress | None) -> OnProgress | None:
    """Progress in answers, where ``count`` candidates make one."""
    if on_progress is None:
        return None
    finished = 0

    def candidates(more: int) -> None:
        nonlocal finished
        before, finished = finished // count, finished + more
        if finished // count > before:
            on_progress(finished // count - before)

    return candidates
