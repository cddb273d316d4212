"""A language of five words: what a loss teaches a table of probabilities, for every entry.

Four prompts, five one-word answers each, whose worth is known. The table is trained by the same
:class:`Stepper` on the same losses as a model; only the forward is replaced by a look-up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from declared import DECLARED
from torch import Tensor, nn

from charter.catalogue import ENTRIES
from charter.data.formats import Kind, LoadedData
from charter.models.policy import Policy
from charter.objectives.base import Need, Scored
from charter.pipeline.recipe import train_options
from charter.training.batch import Columns, MicroBatch
from charter.training.scoring import Scorer
from charter.training.step import Stepper
from charter.training.terms import by_name, terms_of
from charter.types import (
    Completion,
    Context,
    Group,
    Judgement,
    PairTarget,
    Sample,
    SampleTarget,
    SegmentTarget,
)

OF_TEXT = ("charter.data.steps:separated",)
"""Functions of rows that write text between steps; a table has one word and needs none."""

PROMPTS, WORDS, FIRST_WORD = 4, 5, 10
STEPS, LR = 100, 0.1


def worth(prompt: int, word: int) -> int:
    """How good a word answers a prompt: 4 is best."""
    return (word + prompt) % WORDS


def word_of(prompt: int, value: int) -> int:
    """The word of that worth."""
    return (value - prompt) % WORDS


# -- data ------------------------------------------------------------------------------------


def _sample(prompt: int, value: int) -> Sample:
    word = word_of(prompt, value)
    completion = Completion(
        f"word {word}", token_ids=(FIRST_WORD + word,), trained=(True,), logps=(-math.log(WORDS),)
    )
    return Sample(Context(f"prompt {prompt}", (prompt,)), completion)


def _group(prompt: int, values: Sequence[int], *said: Judgement) -> Group:
    samples = tuple(_sample(prompt, value) for value in values)
    return Group(samples, said, id=f"{prompt}:{values}", meta={"margin": 0.5})


def pairs() -> list[Group]:
    """The best beats the worst, and the second the third."""
    return [
        _group(p, values, Judgement(PairTarget(0, 1), 1.0))
        for p in range(PROMPTS)
        for values in ((4, 0), (3, 1))
    ]


def best() -> list[Group]:
    """The best word alone."""
    return [_group(p, (4,)) for p in range(PROMPTS)]


def labelled() -> list[Group]:
    """Two desirable words and two that are not, one by one."""
    return [
        _group(p, (v,), Judgement(SampleTarget(0), float(v > 2)))
        for p in range(PROMPTS)
        for v in (4, 3, 1, 0)
    ]


def rated() -> list[Group]:
    """All words of a prompt, rated."""
    values = tuple(range(WORDS - 1, -1, -1))
    said = [Judgement(SampleTarget(i), v / 2 - 1) for i, v in enumerate(values)]
    return [_group(p, values, *said) for p in range(PROMPTS)]


def ranked() -> list[Group]:
    """All words of a prompt, best first."""
    values = tuple(range(WORDS - 1, -1, -1))
    said = [Judgement(PairTarget(i, j), 1.0) for i in range(WORDS) for j in range(i + 1, WORDS)]
    return [_group(p, values, *said) for p in range(PROMPTS)]


def also_rated() -> list[Group]:
    """The pairs, whose words are equally good by another measure."""
    same = (
        Judgement(SampleTarget(0), 0.5, principle="other"),
        Judgement(SampleTarget(1), 0.5, principle="other"),
    )
    return [group.with_judgements(*same) for group in pairs()]


def grouped() -> list[Group]:
    """The pairs, of two groups of people, one three times as large."""
    return [
        replace(group, meta={**group.meta, "group": "many" if p % 4 else "few"})
        for p, group in enumerate(pairs())
    ]


def steps() -> list[Group]:
    """Each word is a step that is right or wrong."""
    return [
        replace(
            group,
            judgements=tuple(Judgement(SegmentTarget(0, 0, 1), said.value) for said in group.judgements),
        )
        for group in labelled()
    ]


GROUPS: dict[str, Callable[[], list[Group]]] = {
    "preference": pairs,
    "sft": best,
    "unpaired": labelled,
    "rated": rated,
    "ranked": ranked,
    "attributes": rated,
    "steps": steps,
    "also rated": also_rated,
    "grouped": grouped,
}


# -- the table ---------------------------------------------------------------------------------


class Table(nn.Module):
    """Logits of words and their rewards, by prompt."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.logits = nn.Parameter(0.5 * torch.randn(PROMPTS, WORDS, generator=generator))
        self.rewards = nn.Parameter(torch.zeros(PROMPTS, WORDS, dimensions))


@dataclass
class TablePolicy:
    """What :class:`Stepper` wants of a policy."""

    model: Table
    version: int = 0

    def trainable(self) -> dict[str, nn.Parameter]:
        """Both tables."""
        return dict(self.model.named_parameters())


@dataclass
class TableScorer:
    """Looks up what a model would compute; the reference is the table as it began."""

    table: Table
    needs: frozenset[Need]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    critic: None = None
    start: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.start = self.table.logits.detach().log_softmax(-1).clone()

    def __call__(self, batch: MicroBatch) -> Scored:
        """Every sample has one token, so N is B."""
        prompt = torch.tensor([s.context.token_ids[0] for s in batch.samples])
        word = torch.tensor([s.completion.token_ids[0] - FIRST_WORD for s in batch.samples])
        now = self.table.logits.log_softmax(-1)
        rewards = self.table.rewards[prompt, word]
        held = now[prompt].detach()
        extra: dict[Need, dict[str, Tensor]] = {
            Need.REFERENCE: {"ref_logps_N": self.start[prompt, word]},
            Need.SAMPLER: {"sampler_logps_N": self.start[prompt, word]},
            Need.REWARD: {"reward_BZ": rewards},
            Need.STEP_REWARD: {"step_reward_SZ": rewards[batch.layout.step_sample_S]},
            Need.TOKEN_ENTROPY: {"entropy_N": -(held.exp() * held).sum(-1)},
            Need.SQUARED_PROBS: {"squared_probs_N": held.exp().square().sum(-1)},
        }
        given: dict[str, Any] = {}
        for need in self.needs & extra.keys():
            given |= extra[need]
        return Scored(batch.layout, now[prompt, word], **given)

    @torch.no_grad()
    def mismatched(self, batch: MicroBatch) -> Scored | None:
        """The same of prompts with answers to others."""
        side = batch.sides.get("mismatched")
        return None if side is None else self(side)


# -- what was learned -----------------------------------------------------------------------------


def agreement(name: str) -> float:
    """Share of the data's comparisons that training moved the right way, from 0 to 1.

    A policy moves right when the better word gained more log-probability than the worse one; a
    reward model when it gives the better word more.
    """
    entry = ENTRIES[name]
    options = train_options(name, dict(DECLARED[name].options), name)
    groups: Sequence[Group] = GROUPS[_kind(name)]()
    compared = _comparisons(groups)
    if entry.rows and entry.rows not in OF_TEXT:
        loaded = LoadedData(tuple(groups), {}, cast(Kind, entry.data), "toy")
        groups = by_name(entry.rows)(loaded, options).groups
    if entry.arrange:
        groups = by_name(entry.arrange)(groups, options)
    terms = terms_of(entry, options)
    needs = frozenset(need for term in terms for need in term.objective.needs)
    columns = Columns.of(groups, needs)
    table = Table(len(columns.dimensions))
    scorer = TableScorer(table, needs)
    optimizer = torch.optim.Adam(table.parameters(), lr=LR)
    stepper = Stepper(cast(Policy, TablePolicy(table)), terms, optimizer, cast(Scorer, scorer), 1e9)
    batch = MicroBatch.of(groups, columns)
    for _ in range(STEPS):
        stepper.step([batch], LR)
    if entry.trains == "reward":
        moved = table.rewards.detach().sum(-1)
    else:
        moved = table.logits.detach().log_softmax(-1) - scorer.start
    right = [bool(moved[p, word_of(p, a)] > moved[p, word_of(p, b)]) for p, a, b in compared]
    return sum(right) / len(right)


def _kind(name: str) -> str:
    key = DECLARED[name].rows
    return key if key in GROUPS else ENTRIES[name].data


def _comparisons(groups: Sequence[Group]) -> list[tuple[int, int, int]]:
    """``(prompt, better, worse)`` by worth, as far as the data compares them."""
    said: dict[int, dict[int, float]] = {}
    found = set()
    for group in groups:
        values = [
            worth(s.context.token_ids[0], s.completion.token_ids[0] - FIRST_WORD) for s in group.samples
        ]
        prompt = group.samples[0].context.token_ids[0]
        for judgement in group.judgements:
            target = judgement.target
            if isinstance(target, PairTarget):
                found.add((prompt, values[target.better], values[target.worse]))
            elif not judgement.principle:
                assert judgement.value is not None
                said.setdefault(prompt, {})[values[target.sample]] = judgement.value
        if not group.judgements:
            found |= {(prompt, values[0], other) for other in range(WORDS) if other != values[0]}
    for prompt, by_value in said.items():
        found |= {(prompt, a, b) for a in by_value for b in by_value if by_value[a] > by_value[b]}
    return sorted(found)
