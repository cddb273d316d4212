from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charter.errors import UserError
from charter.records import (
    group_from_json,
    group_to_json,
    judgement_from_json,
    judgement_to_json,
    read_groups,
    write_groups,
)
from charter.types import (
    ROLES,
    Completion,
    Context,
    Group,
    Judgement,
    Message,
    PairTarget,
    Sample,
    SampleTarget,
    SegmentTarget,
)

text = st.text(st.characters(codec="utf-8"), max_size=12)
token_ids = st.lists(st.integers(0, 50_000), max_size=6).map(tuple)
finite = st.floats(allow_nan=False, allow_infinity=False)
index = st.integers(0, 7)
content = text | st.lists(st.builds(Message, st.sampled_from(ROLES), text), max_size=3).map(tuple)
targets = (
    st.builds(SampleTarget, index)
    | st.builds(PairTarget, index, index)
    | st.builds(SegmentTarget, index, index, index)
)


@st.composite
def completions(draw: st.DrawFn) -> Completion:
    ids = draw(token_ids)
    n = len(ids)
    return Completion(
        content=draw(content),
        token_ids=ids,
        trained=draw(st.just(()) | st.lists(st.booleans(), min_size=n, max_size=n).map(tuple)),
        logps=draw(st.just(()) | st.lists(finite, min_size=n, max_size=n).map(tuple)),
        finish_reason=draw(st.sampled_from(["stop", "length", "given"])),  # type: ignore[arg-type]
        sampled_by=draw(text),
        weight_version=draw(st.integers(0, 10**6)),
    )


@st.composite
def judgements(draw: st.DrawFn) -> Judgement:
    verdict: Any = draw(st.sampled_from(["judged", "not_applicable", "abstained", "error", "not_measured"]))
    return Judgement(
        draw(targets),
        value=draw(finite) if verdict == "judged" else None,
        probability=draw(st.none() | st.floats(0, 1)),
        verdict=verdict,
        principle=draw(text),
        principle_sha=draw(text),
        judge=draw(text),
        reason=draw(text),
        weight=draw(finite),
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | finite | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
groups = st.builds(
    Group,
    samples=st.lists(
        st.builds(Sample, st.builds(Context, content, token_ids), completions()), max_size=3
    ).map(tuple),
    judgements=st.lists(judgements(), max_size=3).map(tuple),
    id=text,
    source=text,
    meta=st.dictionaries(text, json_values, max_size=3),
)


@given(groups)
def test_a_group_survives_json(group: Group) -> None:
    written = json.dumps(group_to_json(group), allow_nan=False)
    assert group_from_json(json.loads(written)) == group


@given(judgements())
def test_a_judgement_survives_json(judgement: Judgement) -> None:
    assert judgement_from_json(json.loads(json.dumps(judgement_to_json(judgement)))) == judgement


def test_groups_survive_a_file(tmp_path: Path) -> None:
    sample = Sample(
        Context((Message("user", "line\u2028break\n"),), (1, 2)),
        Completion("\u00e9\u4e2d\U0001f600", (3,), (True,), (-0.12345678901,), "stop", "policy", 4),
    )
    written = [
        Group((sample, sample), (Judgement(PairTarget(0, 1), value=1.0),), "a", "f:1", {"tags": ["x"]}),
        Group(()),
    ]
    write_groups(tmp_path / "groups.jsonl", written)
    assert read_groups(tmp_path / "groups.jsonl") == written


@pytest.mark.parametrize(
    "row",
    [
        {"id": "a"},
        [],
        {"id": "a", "source": "", "samples": [3], "judgements": [], "meta": {}},
        {"id": "a", "source": "", "samples": [], "judgements": [{"target": []}], "meta": {}},
        {"id": "a", "source": "", "samples": [], "judgements": [{"target": {"judge": {}}}], "meta": {}},
        {
            "id": "a",
            "source": "",
            "samples": [],
            "judgements": [{"target": {"sample": {"x": 1}}}],
            "meta": {},
        },
    ],
)
def test_another_file_is_refused_at_its_line(row: Any, tmp_path: Path) -> None:
    path = tmp_path / "groups.jsonl"
    write_groups(path, [Group(())])
    with open(path, "a") as file:
        file.write(json.dumps(row) + "\n")
    with pytest.raises(UserError, match=r"groups\.jsonl:2: not a row of sampled groups"):
        read_groups(path)
