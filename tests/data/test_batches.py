"""What is computed together."""

from __future__ import annotations

import pytest

from charter.data.batches import batches, group_batches, sample_length
from charter.types import Completion, Context, Group, Sample


@pytest.mark.parametrize(
    ("items", "wanted"),
    [
        ([], []),
        ([3], [[3]]),
        ([4, 6, 1], [[4, 6], [1]]),
        ([1, 99, 1], [[1], [99], [1]]),  # longer than the budget: alone, and in its place
        ([0, 0, 10, 0], [[0, 0, 10, 0]]),
    ],
)
def test_in_order_up_to_the_budget(items: list[int], wanted: list[list[int]]) -> None:
    assert list(batches(items, 10, lambda one: one)) == wanted


def sample(context: int, length: int) -> Sample:
    ids = tuple(range(100, 100 + length))
    return Sample(
        Context(token_ids=tuple(range(context))), Completion(token_ids=ids, trained=(True,) * length)
    )


def test_what_a_group_shares_counts_once() -> None:
    long, other = sample(50, 5), sample(50, 5)
    assert sample_length(long) == 54
    pair = Group((long, other))
    assert list(group_batches([pair, pair], 130)) == [[pair, pair]]
    alone = [Group((one,)) for one in (long, other, long)]
    assert [len(batch) for batch in group_batches(alone, 130)] == [2, 1]
