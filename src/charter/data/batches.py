"""What is computed together: whole groups, up to a budget of stream tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from charter.data.packing import stream_length
from charter.types import Group, Sample

T = TypeVar("T")


def batches(items: Iterable[T], tokens: int, length: Callable[[T], int]) -> Iterator[list[T]]:
    """Items in their order, as many together as the budget takes; one that is longer is alone.

    Args:
        items: what is computed.
        tokens: most stream tokens of a batch.
        length: stream tokens of an item.
    """
    batch: list[T] = []
    size = 0
    for item in items:
        more = length(item)
        if batch and size + more > tokens:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += more
    if batch:
        yield batch


def group_batches(groups: Iterable[Group], tokens: int) -> Iterator[list[Group]]:
    """:func:`batches` of groups, whose samples share what they begin with."""
    return batches(groups, tokens, stream_length)


def sample_length(sample: Sample) -> int:
    """Stream tokens of a sample by itself."""
    return stream_length(Group((sample,)))
