"""The packed stream holds every sample, once where samples agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charter.data.packing import MIN_SHARED, Packed, pack, scored_tokens, stream_length
from charter.types import Completion, Context, Group, Sample

ids = st.integers(0, 2)  # few ids: many shared prefixes
flags = st.booleans()


@st.composite
def rendered(draw: st.DrawFn) -> Sample:
    context = draw(st.lists(ids, max_size=30))
    completion = draw(st.lists(ids, min_size=1, max_size=30))
    trained = draw(st.lists(flags, min_size=len(completion), max_size=len(completion)))
    return Sample(
        Context(token_ids=tuple(context)),
        Completion(token_ids=tuple(completion), trained=tuple(trained)),
    )


@st.composite
def families(draw: st.DrawFn) -> list[Sample]:
    """Samples that often begin with one another's beginnings."""
    samples = draw(st.lists(rendered(), min_size=1, max_size=6))
    for _ in range(draw(st.integers(0, 3))):
        parent = draw(st.sampled_from(samples))
        cut = draw(st.integers(0, len(parent.completion.token_ids)))
        tail = draw(st.lists(ids, min_size=1, max_size=12))
        completion = (*parent.completion.token_ids[:cut], *tail)
        samples.append(
            Sample(parent.context, Completion(token_ids=completion, trained=(True,) * len(completion)))
        )
    return samples


def whole(sample: Sample) -> tuple[int, ...]:
    return (*sample.context.token_ids, *sample.completion.token_ids)


def path_of(packed: Packed, segment: int) -> list[int]:
    """Stream positions of a segment with its ancestors, root first."""
    found = packed.segments[segment]
    chain = [*found.ancestors, segment]
    return [
        p
        for s in chain
        for p in range(packed.segments[s].start, packed.segments[s].start + packed.segments[s].length)
    ]


def segment_of(packed: Packed) -> dict[int, int]:
    return {
        position: index
        for index, s in enumerate(packed.segments)
        for position in range(s.start, s.start + s.length)
    }


def seen_by(packed: Packed, position: int) -> list[int]:
    """Stream positions a token attends to: its path up to itself."""
    path = path_of(packed, segment_of(packed)[position])
    return path[: path.index(position) + 1]


@settings(max_examples=200, deadline=None)
@given(families())
def test_every_scored_token_sees_exactly_what_stands_before_it(samples: list[Sample]) -> None:
    packed = pack(samples)
    at = 0
    for index, sample in enumerate(samples):
        start, tokens = len(sample.context.token_ids), whole(sample)
        scored = [start + i for i, on in enumerate(sample.completion.trained) if on and start + i > 0]
        assert scored_tokens(sample) == len(scored)
        for place in scored:
            assert packed.sample_N[at] == index
            unique = packed.unique_N[at]
            assert packed.label_U[unique] == tokens[place]
            path = seen_by(packed, int(packed.predictor_U[unique]))
            assert tuple(packed.input_ids_T[path]) == tokens[:place]
            assert packed.positions_T[path].tolist() == list(range(place))
            at += 1
    assert at == len(packed.sample_N) == len(packed.unique_N)
    assert packed.lengths_B.tolist() == [scored_tokens(s) for s in samples]
    assert packed.num_samples == len(samples)


@settings(max_examples=200, deadline=None)
@given(families())
def test_segments_tile_the_stream_and_ancestors_come_first(samples: list[Sample]) -> None:
    packed = pack(samples)
    covered = [p for s in packed.segments for p in range(s.start, s.start + s.length)]
    assert covered == list(range(len(packed.input_ids_T)))
    for index, segment in enumerate(packed.segments):
        assert segment.length > 0
        assert list(segment.ancestors) == sorted(segment.ancestors)
        assert all(a < index for a in segment.ancestors)
        if segment.ancestors:
            assert segment.ancestors[:-1] == packed.segments[segment.ancestors[-1]].ancestors


def leaf_paths(packed: Packed) -> list[list[int]]:
    parents = {s.ancestors[-1] for s in packed.segments if s.ancestors}
    return [path_of(packed, index) for index in range(len(packed.segments)) if index not in parents]


@settings(max_examples=200, deadline=None)
@given(families())
def test_prefixes_are_stored_once_but_for_less_than_the_threshold(samples: list[Sample]) -> None:
    """Two samples that agree on L tokens share at least L - (MIN_SHARED - 1) places of the stream."""
    packed = pack(samples)
    inputs = {whole(s)[:-1] for s in samples if len(whole(s)) > 1}
    paths = {}
    for tokens in inputs:
        fits = [
            path[: len(tokens)]
            for index in range(len(packed.segments))
            for path in [path_of(packed, index)]
            if tuple(packed.input_ids_T[path[: len(tokens)]]) == tokens
        ]
        assert fits, "a sample is not in the stream"
        paths[tokens] = fits
    for one in inputs:
        for other in inputs:
            if one >= other:
                continue
            agree = next(
                (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
                min(len(one), len(other)),
            )
            shared = max(
                sum(a == b for a, b in zip(p, q, strict=False)) for p in paths[one] for q in paths[other]
            )
            assert shared >= agree - (MIN_SHARED - 1)


def two(shared: int, first: int = 5, second: int = 7) -> list[Sample]:
    context = tuple(100 + i for i in range(shared))
    return [
        Sample(Context(token_ids=context), Completion(token_ids=(kind,) * length, trained=(True,) * length))
        for kind, length in ((1, first), (2, second))
    ]


@pytest.mark.parametrize("shared", [0, 1, MIN_SHARED - 1, MIN_SHARED, MIN_SHARED + 1, 40])
def test_a_prefix_is_shared_from_the_threshold_on(shared: int) -> None:
    packed = pack(two(shared))
    apart = 2 * shared + 5 + 7 - 2
    assert len(packed.input_ids_T) == (apart - shared if shared >= MIN_SHARED else apart)
    assert packed.logical_tokens == apart
    assert packed.sharing == apart / len(packed.input_ids_T)


def test_equal_samples_are_computed_once() -> None:
    packed = pack([two(20)[0]] * 5)
    assert len(packed.input_ids_T) == 24
    assert len(packed.label_U) == 5
    assert len(packed.unique_N) == 25


@settings(max_examples=100, deadline=None)
@given(families())
def test_packing_is_deterministic(samples: list[Sample]) -> None:
    def plain(packed: Packed) -> list[Any]:
        arrays = (packed.input_ids_T, packed.positions_T, packed.predictor_U, packed.label_U, packed.unique_N)
        return [*(a.tolist() for a in arrays), packed.segments, packed.sample_N.tolist()]

    assert plain(pack(samples)) == plain(pack(list(samples)))


@settings(max_examples=200, deadline=None)
@given(families())
@example(two(10))
def test_the_length_of_a_group_is_an_upper_bound(samples: list[Sample]) -> None:
    assert len(pack(samples).input_ids_T) <= stream_length(Group(tuple(samples)))


def test_the_length_of_a_pair_is_exact() -> None:
    for shared in (0, 5, 30):
        samples = two(shared)
        assert stream_length(Group(tuple(samples))) == len(pack(samples).input_ids_T)


@settings(max_examples=50, deadline=None)
@given(families(), st.randoms())
def test_the_order_of_samples_changes_the_order_of_results_alone(samples: list[Sample], random: Any) -> None:
    order = list(range(len(samples)))
    random.shuffle(order)
    one, other = pack(samples), pack([samples[i] for i in order])
    assert len(one.input_ids_T) == len(other.input_ids_T)
    assert [one.lengths_B[i] for i in order] == other.lengths_B.tolist()


def test_the_first_token_of_a_text_without_context_is_not_scored() -> None:
    text = Sample(Context(), Completion(token_ids=(7, 8, 9), trained=(True,) * 3))
    packed = pack([text])
    assert packed.label_U[packed.unique_N].tolist() == [8, 9]
    assert packed.input_ids_T.tolist() == [7, 8]
    alone = Sample(Context(), Completion(token_ids=(7,), trained=(True,)))
    assert len(pack([alone]).sample_N) == 0
    assert pack([text, alone]).lengths_B.tolist() == [2, 0]


def test_a_long_chain_of_ever_longer_samples() -> None:
    """Each turn of a long conversation as a sample of its own."""
    text = tuple(int(x) for x in np.random.default_rng(0).integers(0, 200, 9 * 200))
    samples = [
        Sample(Context(token_ids=text[:n]), Completion(token_ids=(250, 251), trained=(True, True)))
        for n in range(9, len(text), 9)
    ]
    packed = pack(samples)
    assert len(packed.input_ids_T) < len(text) + len(samples)


@pytest.mark.parametrize("completion", [Completion(), Completion(token_ids=(1, 2))])
def test_what_is_not_rendered_is_refused(completion: Completion) -> None:
    with pytest.raises(ValueError, match="sample 1 is not rendered"):
        pack([*two(3)[:1], Sample(Context(token_ids=(1,)), completion)])


def test_prefixes_may_nest_as_deep_as_they_like() -> None:
    """One turn of a long conversation after the other, each sample all turns up to its own."""
    turns, length = 700, MIN_SHARED + 1
    story = tuple(np.random.default_rng(0).integers(0, 50, turns * length).tolist())
    samples = [
        Sample(Context(token_ids=(51,)), Completion(token_ids=story[:end], trained=(True,) * end))
        for end in range(length, len(story) + 1, length)
    ]
    packed = pack(samples)
    assert len(packed.input_ids_T) == len(story)
    assert len(packed.segments) == turns
    assert packed.segments[-1].ancestors == tuple(range(turns - 1))
    assert packed.input_ids_T.tolist() == [51, *story[:-1]]
    assert packed.positions_T.tolist() == list(range(len(story)))
