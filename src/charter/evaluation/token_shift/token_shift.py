"""What alignment changed, token by token: where would the base model have said something else?

The token distribution shift of Lin et al. (2312.01552). The aligned model answers greedily; at every token of
its answer the base model, given the same words before it, ranks all tokens. The aligned model's token is
*unshifted* where it is the base model's first choice, *marginal* where it is second or third, and *shifted*
where it ranks lower. Both models are computed once over all answers, by the one forward that training uses.

Shapes: N scored tokens, R rows at once, V vocabulary.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charter import interrupt
from charter.data.batches import batches, sample_length
from charter.data.packing import Packed, pack, scored_tokens
from charter.data.render import end_of_turn_ids
from charter.engines.base import Engine, OnProgress, Sampling
from charter.engines.prompted import Reframe
from charter.engines.sample import sample_prompts
from charter.errors import DataError
from charter.models import blocks, plain
from charter.models.pairing import Reference
from charter.models.policy import Policy, adapter_off
from charter.models.score import final_softcap, hidden_states, is_llama_style
from charter.types import Group, Sample

MARGINAL = 3
"""The lowest rank that still counts as marginal."""

_TOKENS, _PADDED_TOKENS = 8192, 2048
_ROWS = 256
_VOCABULARY_AT_ONCE = 16384

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class AnswerShift:
    """One answer of the aligned model, read by both.

    Attributes:
        id: of its prompt.
        prompt: what was asked, for people.
        tokens: text of each token.
        token_ids: the tokens.
        ranks: place of each among all tokens of the base model, 1 = its first choice; of equals the best.
        base_logps: under the base model, nats.
        aligned_logps: under the aligned model, nats.
        kl: exact ``KL(aligned || base)`` of the next-token distributions, nats.
        base_choices: the base model's first choice.
        own_ranks: place of each token among those of the aligned model: 1 where the answer is its greedy one.
    """

    id: str
    prompt: str
    tokens: tuple[str, ...]
    token_ids: Ints
    ranks: Ints
    base_logps: Floats
    aligned_logps: Floats
    kl: Floats
    base_choices: tuple[str, ...]
    own_ranks: Ints


def aligned_answers(
    engine: Engine,
    prompts: Sequence[Group],
    max_completion_length: int = 256,
    on_progress: OnProgress | None = None,
) -> list[Group]:
    """The greedy answers to measure on; ``engine`` samples from the aligned model."""
    sampling = Sampling(temperature=0.0, max_completion_length=max_completion_length)
    return sample_prompts(engine, prompts, 1, sampling, on_progress=on_progress)


def shifts(
    aligned: Policy,
    base: Reference,
    answers: Sequence[Group],
    *,
    base_context: Reframe | None = None,
    score_end: bool = True,
    on_progress: Callable[[int], None] | None = None,
) -> list[AnswerShift]:
    """Ranks of the tokens of every answer, one entry for each answer that has tokens.

    Args:
        aligned: the model that answered.
        base: what it is compared with; both have one vocabulary.
        answers: rendered, as :func:`aligned_answers` gives them.
        base_context: the base model sees these contexts in place of the answers' own, e.g. after examples.
        score_end: also look at the token that ends a turn; not where ``base_context`` has another markup, in
            which answers end otherwise.
        on_progress: told the number of answers finished since the last call.

    Raises:
        DataError: no answer has a token.
    """
    samples = [(group, sample) for group in answers for sample in group.samples]
    if not score_end:
        ends = frozenset(end_of_turn_ids(aligned.tokenizer))
        samples = [(group, _without_end(sample, ends)) for group, sample in samples]
    samples = [(group, sample) for group, sample in samples if scored_tokens(sample)]
    if not samples:
        raise DataError("no answer has a token to look at", fix="give prompts that the model answers")
    found: list[AnswerShift] = []
    padded = not is_llama_style(aligned.model)
    budget = _PADDED_TOKENS if padded else _TOKENS
    for batch in batches(samples, budget, lambda one: sample_length(one[1])):
        interrupt.current().check("stopped while reading answers", fix="run the same command again")
        found += _read(aligned, base, batch, base_context)
        if on_progress is not None:
            on_progress(len(batch))
    return found


def _without_end(sample: Sample, ends: frozenset[int]) -> Sample:
    completion = sample.completion
    if not completion.token_ids or completion.token_ids[-1] not in ends:
        return sample
    return replace(sample, completion=replace(completion, trained=(*completion.trained[:-1], False)))


# -- the two passes ----------------------------------------------------------------------


@torch.inference_mode()
def _read(
    aligned: Policy, base: Reference, batch: Sequence[tuple[Group, Sample]], base_context: Reframe | None
) -> list[AnswerShift]:
    samples = [sample for _, sample in batch]
    seen = samples if base_context is None else [_reframed(sample, base_context) for sample in samples]
    packed, other = pack(samples), pack(seen)
    dtype = aligned.compute_dtype
    ours = _Next(aligned.model, packed, dtype)
    with _base_of(aligned, base) as model:
        theirs = _Next(model, other, dtype)
    label_N = torch.from_numpy(packed.label_U[packed.unique_N])
    columns = [_compared(ours, theirs, label_N, rows) for rows in _slices(len(label_N))]
    whole = {name: np.concatenate([part[name] for part in columns]) for name in columns[0]}
    cuts = np.cumsum([scored_tokens(sample) for sample in samples])[:-1]
    parts = {name: np.split(values, cuts) for name, values in whole.items()}
    tokenizer = aligned.tokenizer
    return [
        AnswerShift(
            id=group.id,
            prompt=group.samples[0].context.text,
            tokens=_texts(tokenizer, parts["label"][index]),
            token_ids=parts["label"][index],
            ranks=parts["rank"][index],
            base_logps=parts["base_logp"][index],
            aligned_logps=parts["logp"][index],
            kl=parts["kl"][index],
            base_choices=_texts(tokenizer, parts["choice"][index]),
            own_ranks=parts["own_rank"][index],
        )
        for index, (group, _) in enumerate(batch)
    ]


def _reframed(sample: Sample, base_context: Reframe) -> Sample:
    return replace(sample, context=base_context(sample.context))


@contextlib.contextmanager
def _base_of(aligned: Policy, base: Reference) -> Iterator[nn.Module]:
    if base.model is not None:
        yield base.model
    else:
        with adapter_off(aligned.model) as model:
            yield model


class _Next:
    """A model's next-token logits at the scored tokens, computed a few rows at a time.

    Products with the head are float32: bfloat16 logits tie by the dozen, and ranks would be guesses.
    """

    def __init__(self, model: nn.Module, packed: Packed, dtype: torch.dtype) -> None:
        self._unique_N = torch.from_numpy(packed.unique_N)
        self._logits_UV: Tensor | None = None
        if is_llama_style(model):
            self._hidden_U = hidden_states(model, packed, dtype).float()
            self._weight, self._softcap = blocks.head_weight(model), final_softcap(model)
        else:
            self._logits_UV = plain.logits(model, packed, dtype).float()

    def logits(self, rows: slice) -> Tensor:
        """Logits of some scored tokens, ``(R, V)`` float32."""
        at = self._unique_N[rows]
        if self._logits_UV is not None:
            return self._logits_UV[at.to(self._logits_UV.device)].cpu()
        hidden_R = self._hidden_U[at.to(self._hidden_U.device)]
        parts = [hidden_R @ part.float().T for part in torch.split(self._weight, _VOCABULARY_AT_ONCE)]
        logits = torch.cat(parts, -1)
        if self._softcap is not None:
            logits = (logits / self._softcap).tanh() * self._softcap
        return logits.cpu()


def _slices(count: int) -> Iterator[slice]:
    for start in range(0, count, _ROWS):
        yield slice(start, min(start + _ROWS, count))


def _compared(ours: _Next, theirs: _Next, label_N: Tensor, rows: slice) -> dict[str, NDArray[np.generic]]:
    label_R = label_N[rows]
    own_RV, base_RV = ours.logits(rows), theirs.logits(rows)
    logp_RV, base_logp_RV = own_RV.log_softmax(-1), base_RV.log_softmax(-1)
    kl_R = (logp_RV.exp() * (logp_RV - base_logp_RV)).sum(-1).clamp_min(0)
    return {
        "label": label_R.cpu().numpy(),
        "rank": _ranks(base_RV, label_R).cpu().numpy(),
        "own_rank": _ranks(own_RV, label_R).cpu().numpy(),
        "choice": base_RV.argmax(-1).cpu().numpy(),
        "logp": logp_RV.gather(1, label_R[:, None])[:, 0].double().cpu().numpy(),
        "base_logp": base_logp_RV.gather(1, label_R[:, None])[:, 0].double().cpu().numpy(),
        "kl": kl_R.double().cpu().numpy(),
    }


def _ranks(logits_RV: Tensor, label_R: Tensor) -> Tensor:
    """1 + the number of tokens that are strictly more probable, ``(R,)``."""
    return 1 + (logits_RV > logits_RV.gather(1, label_R[:, None])).sum(-1)


def _texts(tokenizer: object, ids: Ints) -> tuple[str, ...]:
    decode = tokenizer.decode  # type: ignore[attr-defined]
    return tuple(str(decode([int(one)], skip_special_tokens=False)) for one in ids)
