"""The static cache: rows keep what is theirs, whatever moves and grows around them."""

import torch

from charter.engines.cache import STEP, KVCache, Prefix
from charter.models.architecture import Shape

SHAPE = Shape(layers=2, heads=4, kv_heads=2, head_dim=4, width=16, eps=1e-5)


def prefix(value: float, length: int) -> Prefix:
    return Prefix(tuple(torch.full((2, 2, length, 4), value + i) for i in range(2)), torch.zeros(16))


def visible(cache: KVCache, row: int) -> int:
    return int((cache._mask[row] == 0).sum())


def test_rows_survive_growing_shrinking_and_moving():
    cache = KVCache(SHAPE, 3, torch.float32, torch.device("cpu"))
    for row, length in enumerate((2, 5, STEP + 3)):
        cache.reserve(length + 1)
        cache.fill(row, prefix(10.0 * row, length))
    assert cache.width == 2 * STEP
    assert [visible(cache, row) for row in range(3)] == [2, 5, STEP + 3]
    cache.remove(0, 2)
    assert cache.lengths.tolist() == [STEP + 3, 5, 0]
    assert visible(cache, 0) == STEP + 3
    assert cache._kv[1][0, 0, :, : STEP + 3].eq(21.0).all()
    assert cache._kv[0][1, 1, :, :5].eq(10.0).all()
    cache.remove(0, 1)
    cache.reserve(STEP // 2)
    assert cache.width == 2 * STEP  # half is not far too wide
    cache.reserve(10 * STEP)
    assert cache.width == 10 * STEP
    cache.reserve(6)
    assert cache.width == STEP
    assert cache._kv[1][0, 0, :, :5].eq(11.0).all()
    assert cache.lengths.tolist() == [5, 0, 0]


def test_a_new_token_goes_behind_the_last_of_its_row():
    cache = KVCache(SHAPE, 2, torch.float32, torch.device("cpu"))
    cache.fill(0, prefix(1.0, 3))
    cache.fill(1, prefix(2.0, 1))
    mask = cache.open(2)
    assert (mask[:, 0] == 0).sum(-1).tolist() == [4, 2]
    keys, values = cache.write(0, torch.full((2, 2, 4), 7.0), torch.full((2, 2, 4), 8.0))
    assert keys.shape == (4, STEP, 4)
    assert keys.is_contiguous()
    assert keys.view(2, 2, STEP, 4)[0, :, 3].eq(7.0).all()
    assert values.view(2, 2, STEP, 4)[1, :, 1].eq(8.0).all()
    assert keys.view(2, 2, STEP, 4)[0, :, :3].eq(1.0).all()
    cache.advance(1)
    assert cache.lengths.tolist() == [4, 1]


def test_unused_positions_are_numbers():
    """Hidden by the mask, yet 0 times NaN would be NaN."""
    cache = KVCache(SHAPE, 2, torch.bfloat16, torch.device("cpu"))
    cache.reserve(100)
    assert all(torch.isfinite(kv).all() for kv in cache._kv)
    assert (cache._mask[:, :, 0] == 0).all()
