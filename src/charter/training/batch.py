"""From rendered groups to what one forward and one objective need.

Shapes: N scored tokens, B samples, P pairs, S judged steps, Z dimensions, R reads.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from charter.data.batches import group_batches
from charter.data.packing import Packed, pack, scored_tokens, stream_length
from charter.objectives.base import Layout, Need
from charter.objectives.layout import dimensions_of
from charter.types import Group, Judgement, PairTarget, Sample, SampleRole, SampleTarget, SegmentTarget


@dataclass(frozen=True, slots=True)
class Columns:
    """What every batch of a run has in common.

    Attributes:
        dimensions: names of what samples are rated on; see :class:`charter.objectives.base.Layout`.
        parts: names of the parts of the data.
        needs: what the objectives need computed; decides what is packed.
    """

    dimensions: tuple[str, ...] = ("",)
    parts: tuple[str, ...] = ("",)
    needs: frozenset[Need] = field(default_factory=frozenset)

    @classmethod
    def of(cls, groups: Iterable[Group], needs: Collection[Need] = ()) -> Columns:
        """Dimensions (where an objective keeps them apart) and parts of a data set."""
        rated: set[str] = set()
        parts: set[str] = set()
        for group in groups:
            parts.add(group.part)
            if Need.DIMENSIONS in needs:
                rated.update(said.principle for said in group.judgements if said.verdict == "judged")
        return cls(dimensions_of(list(rated)), tuple(sorted(parts)) or ("",), frozenset(needs))


@dataclass(frozen=True)
class MicroBatch:
    """Groups that are computed together.

    Attributes:
        samples: the samples a loss is computed on, in order.
        packed: their token stream.
        layout: what an objective is told about them.
        sides: samples of other roles, each role a batch of its own.
    """

    samples: tuple[Sample, ...]
    packed: Packed
    layout: Layout
    sides: dict[SampleRole, MicroBatch] = field(default_factory=dict)

    @classmethod
    def of(cls, groups: Sequence[Group], columns: Columns | None = None) -> MicroBatch:
        """Pack ``groups`` and read their judgements."""
        columns = columns or Columns.of(groups)
        roles = {sample.role for group in groups for sample in group.samples} - {"policy"}
        sides = {role: _one_role(groups, role, columns) for role in sorted(roles)}
        main = _one_role(groups, "policy", columns)
        return cls(main.samples, main.packed, main.layout, sides)


def split(groups: Sequence[Group], tokens: int, columns: Columns | None = None) -> list[MicroBatch]:
    """Split one optimizer step's groups into micro-batches of at most ``tokens`` stream tokens.

    Groups stay whole (a group longer than the budget is computed alone), and
    are sorted by length so that like goes with like. The result of the step
    does not depend on the split.
    """
    columns = columns or Columns.of(groups)
    return [
        MicroBatch.of(batch, columns) for batch in group_batches(sorted(groups, key=stream_length), tokens)
    ]


def in_order(groups: Sequence[Group], tokens: int, columns: Columns | None = None) -> Iterator[MicroBatch]:
    """Micro-batches of about ``tokens`` stream tokens whose samples come in the order of ``groups``."""
    columns = columns or Columns.of(groups)
    for batch in group_batches(groups, tokens):
        yield MicroBatch.of(batch, columns)


def _one_role(groups: Sequence[Group], role: SampleRole, columns: Columns) -> MicroBatch:
    table = _Table(columns)
    for group in groups:
        table.add(group, role)
    samples = tuple(table.samples)
    return MicroBatch(samples, pack(samples, table.reads()), table.layout())


class _Table:
    """Collects samples and judgements into tensors."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.samples: list[Sample] = []
        self.group: list[int] = []
        self.part: list[int] = []
        self.value: list[list[float]] = []
        self.weight: list[float] = []
        self.pairs: list[tuple[int, int]] = []
        self.of_pair: list[tuple[float, float, float, int]] = []
        self.steps: list[tuple[int, int, float, float]] = []
        self._groups = 0

    def add(self, group: Group, role: SampleRole) -> None:
        """The samples of ``role``, and what was said about them."""
        place: dict[int, int] = {}
        for index, sample in enumerate(group.samples):
            if sample.role == role:
                place[index] = len(self.samples)
                self.samples.append(sample)
                self.group.append(self._groups)
                self.part.append(self.columns.parts.index(group.part))
                self.value.append([math.nan] * len(self.columns.dimensions))
                self.weight.append(1.0)
        self._groups += bool(place)
        for said in group.judgements:
            if said.verdict == "judged":
                self._judge(said, place)

    def _judge(self, said: Judgement, place: dict[int, int]) -> None:
        assert said.value is not None
        dimensions, target = self.columns.dimensions, said.target
        dimension = dimensions.index(said.principle) if said.principle in dimensions else 0
        if isinstance(target, PairTarget):
            if target.better in place and target.worse in place:
                self.pairs.append((place[target.better], place[target.worse]))
                probability = 1.0 if said.probability is None else said.probability
                self.of_pair.append((probability, said.value, said.weight, dimension))
        elif isinstance(target, SampleTarget):
            if target.sample in place:
                self.value[place[target.sample]][dimension] = said.value
                self.weight[place[target.sample]] = said.weight
        elif isinstance(target, SegmentTarget) and target.sample in place:
            self.steps.append((place[target.sample], target.end - 1, said.value, said.weight))

    def reads(self) -> list[list[int]] | None:
        """Where rewards are read; None where none is."""
        if Need.STEP_REWARD in self.columns.needs:
            found: list[list[int]] = [[] for _ in self.samples]
            for sample, token, _, _ in sorted(self.steps, key=lambda step: step[:2]):
                found[sample].append(token)
            return found
        if Need.REWARD in self.columns.needs:
            return [[-1] for _ in self.samples]
        return None

    def layout(self) -> Layout:
        """Everything but the token stream."""
        size = len(self.samples)
        owners = [i for i, sample in enumerate(self.samples) for _ in range(scored_tokens(sample))]
        steps = sorted(self.steps, key=lambda step: step[:2])
        written = [sample.completion for sample in self.samples]
        return Layout(
            sample_N=torch.tensor(owners, dtype=torch.long),
            num_samples=size,
            group_B=torch.tensor(self.group, dtype=torch.long),
            part_B=torch.tensor(self.part, dtype=torch.long),
            parts=self.columns.parts,
            value_BZ=_floats(self.value).reshape(size, len(self.columns.dimensions)),
            weight_B=_floats(self.weight),
            dimensions=self.columns.dimensions,
            pairs_P2=torch.tensor(self.pairs, dtype=torch.long).reshape(-1, 2),
            probability_P=_floats([p for p, _, _, _ in self.of_pair]),
            margin_P=_floats([m for _, m, _, _ in self.of_pair]),
            weight_P=_floats([w for _, _, w, _ in self.of_pair]),
            dimension_P=torch.tensor([d for _, _, _, d in self.of_pair], dtype=torch.long),
            step_sample_S=torch.tensor([s for s, _, _, _ in steps], dtype=torch.long),
            step_value_S=_floats([v for _, _, v, _ in steps]),
            step_weight_S=_floats([w for _, _, _, w in steps]),
            by_reference_B=torch.tensor([s.sampled_by == "reference" for s in written], dtype=torch.bool),
            version_B=torch.tensor([s.weight_version for s in written], dtype=torch.long),
        )


def _floats(values: Sequence[object]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)
