from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.data.truncate import BECAME_EQUAL, NO_ROOM, NOTHING_TRAINED, truncate
from charter.errors import DataError
from charter.types import Completion, Context, Group, Judgement, PairTarget, Sample, SegmentTarget

EOS = 99


def _sample(context: int, *ids: int) -> Sample:
    prompt = Context("p", tuple(range(context)))
    return Sample(prompt, Completion("c", ids, (True,) * len(ids), logps=(-1.0,) * len(ids)))


def _pair(context: int, chosen: tuple[int, ...], rejected: tuple[int, ...]) -> Group:
    samples = (_sample(context, *chosen), _sample(context, *rejected))
    return Group(samples, (Judgement(PairTarget(0, 1), 1.0),))


def _completions(group: Group | None) -> list[tuple[int, ...]]:
    assert group is not None
    return [s.completion.token_ids for s in group.samples]


def test_what_fits_is_returned_as_it_is() -> None:
    group = _pair(3, (1, EOS), (2, EOS))
    assert truncate(group, 5).group is group
    assert truncate(group, None).group is group


def test_a_long_side_does_not_touch_the_short_one() -> None:
    done = truncate(_pair(2, (1, 2, 3, 4, EOS), (7, EOS)), 5)
    assert _completions(done.group) == [(1, 2, 3), (7, EOS)]
    assert (done.contexts_cut, done.completions_cut) == (0, 1)


def test_a_cut_completion_has_no_end_and_says_so() -> None:
    group = truncate(_pair(2, (1, 2, 3, EOS), (7, EOS)), 4).group
    assert group is not None
    cut, whole = (s.completion for s in group.samples)
    assert (cut.token_ids, cut.trained, cut.logps) == ((1, 2), (True, True), (-1.0, -1.0))
    assert (cut.finish_reason, whole.finish_reason) == ("length", "given")


@pytest.mark.parametrize(("mode", "left"), [("keep_end", (2, 3)), ("keep_start", (0, 1))])
def test_contexts_are_cut_only_by_their_own_limit(mode: str, left: tuple[int, ...]) -> None:
    done = truncate(_pair(4, (1, EOS), (2, EOS)), 4, 2, mode)  # type: ignore[arg-type]
    assert done.group is not None
    assert {s.context.token_ids for s in done.group.samples} == {left}
    assert _completions(done.group) == [(1, EOS), (2, EOS)]
    assert done.contexts_cut == 2


def test_a_prompt_that_leaves_no_room_is_dropped() -> None:
    assert truncate(_pair(4, (1, EOS), (2, EOS)), 4) == truncate(_pair(9, (1, EOS), (2, EOS)), 4)
    assert truncate(_pair(4, (1, EOS), (2, EOS)), 4).reason == NO_ROOM


def test_completions_that_would_become_equal_are_dropped() -> None:
    done = truncate(_pair(1, (1, 2, 3), (1, 2, 4)), 3)
    assert (done.group, done.reason) == (None, BECAME_EQUAL)


def test_a_completion_whose_trained_part_is_cut_off_is_dropped() -> None:
    tool_first = Completion("c", (1, 2, 3), (False, False, True))
    done = truncate(Group((Sample(Context("p", (0,)), tool_first),)), 3)
    assert (done.group, done.reason) == (None, NOTHING_TRAINED)


def test_judged_segments_follow_the_cut() -> None:
    said = tuple(Judgement(SegmentTarget(0, a, b), 1.0) for a, b in ((0, 2), (1, 4), (3, 4)))
    group = truncate(Group((_sample(1, 1, 2, 3, 4),), said), 3).group
    assert group is not None
    assert [j.target for j in group.judgements] == [SegmentTarget(0, 0, 2), SegmentTarget(0, 1, 2)]


@pytest.mark.parametrize(
    ("length", "prompt", "mode"), [(0, None, "keep_end"), (5, 5, "keep_end"), (5, None, "left")]
)
def test_impossible_limits(length: int, prompt: int | None, mode: str) -> None:
    with pytest.raises(DataError):
        truncate(_pair(1, (1,), (2,)), length, prompt, mode)  # type: ignore[arg-type]


_IDS = st.lists(st.integers(0, 3), min_size=1, max_size=8).map(tuple)


@given(st.integers(0, 8), _IDS, _IDS, st.integers(1, 12), st.none() | st.integers(1, 11))
def test_truncation_never_empties_and_never_equates(
    context: int, chosen: tuple[int, ...], rejected: tuple[int, ...], length: int, prompt: int | None
) -> None:
    if prompt is not None and prompt >= length:
        return
    group = _pair(context, (*chosen, EOS), (*rejected, EOS))
    done = truncate(group, length, prompt)
    if done.group is None:
        assert done.reason
        return
    for old, new in zip(group.samples, done.group.samples, strict=True):
        ids = new.completion.token_ids
        assert ids and ids == old.completion.token_ids[: len(ids)]
        assert len(new.context.token_ids) + len(ids) <= length
        assert (ids[-1] == EOS) == (ids == old.completion.token_ids)
        # Nothing is cut that would have fitted.
        room = length - len(new.context.token_ids)
        assert len(ids) == min(room, len(old.completion.token_ids))
    left, right = _completions(done.group)
    assert (left == right) == (chosen == rejected)
