"""CLAIR: the losing answer, changed a little; and how much two texts differ."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_models import Options, Script, answered, constitution

from charter.data.formats import load_groups
from charter.errors import DataError
from charter.feedback.revising.clair import ClairOptions, clair
from charter.feedback.revising.contrast import contrast, contrast_of
from charter.feedback.revising.writer import Conversation, Written

WORDS = st.lists(st.sampled_from("abcde"), max_size=8)


def lower(turns: Conversation) -> str:
    assert "Change as little as you can" in turns[-1].content
    return turns[-2].content.lower()


def test_the_golden_example() -> None:
    found = contrast_of("abcd", "abxde")
    assert (found.jaccard, found.edit_distance, found.length_delta) == (0.5, 2, 1)
    assert found.levenshtein_ratio == pytest.approx(1 - 2 / 5)


def test_contrast_by_hand() -> None:
    found = contrast("It is, I fear, wrong.", "It is wrong.")
    # it is , i fear , wrong . -> it is wrong .
    assert found.edit_distance == 4 and found.length_delta == -4
    assert found.levenshtein_ratio == pytest.approx(0.5)
    assert found.jaccard == pytest.approx(4 / 7)
    assert contrast("", "").levenshtein_ratio == contrast("same", "same").levenshtein_ratio == 1.0
    assert contrast("", "x").levenshtein_ratio == 0.0


@given(WORDS, WORDS)
def test_contrast_is_symmetric_and_bounded(one: list[str], other: list[str]) -> None:
    there, back = contrast_of(one, other), contrast_of(other, one)
    assert there.jaccard == back.jaccard and there.levenshtein_ratio == back.levenshtein_ratio
    assert 0 <= there.jaccard <= 1 and 0 <= there.levenshtein_ratio <= 1
    assert (there.levenshtein_ratio == 1) == (one == other)
    assert there.edit_distance >= abs(there.length_delta) == abs(back.length_delta)


def test_contrast_needs_no_torch() -> None:
    code = (
        "import sys, charter.feedback.revising.contrast, charter.feedback.revising.probabilities;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_loser_is_revised_and_wins(tmp_path: Path) -> None:
    groups = [answered("q", "fine words here", "BAD words HERE", preferred=0), answered("r", "ONLY one")]
    found = clair(groups, constitution(), Script(lower, name="editor"), journals=tmp_path)
    first, second = found.rows()
    assert (
        first["chosen"][0]["content"] == "bad words here"
        and first["rejected"][0]["content"] == "BAD words HERE"
    )
    assert first["prompt"] == [{"role": "user", "content": "q"}]
    assert first["levenshtein_ratio"] == pytest.approx(1 / 3) and first["jaccard"] == pytest.approx(1 / 5)
    assert first["principle"] in {"calm", "brief"}
    assert first["principle_sha"] == constitution().principle(first["principle"]).sha
    assert second["chosen"][0]["content"] == "only one"
    assert load_groups(found.rows(), "preference").groups[0].meta["jaccard"] == pytest.approx(1 / 5)
    assert any("Levenshtein ratio 0.42" in line for line in found.lines())
    silent = Script(lower, name="editor")
    assert (
        clair(groups, constitution(), silent, journals=tmp_path).rows() == found.rows() and not silent.asked
    )


def test_apo_zero_trains_on_the_rows() -> None:
    from charter.catalogue import lookup

    assert lookup("apo-zero").data == "preference"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("BAD  words", "revisions that change nothing"),
        (Written("", model="m"), "empty revisions"),
        (Written("bad", cut=True, model="m"), "revisions cut off by the length limit"),
        (Written(error="500"), "revisions that failed"),
        ("something else altogether, and longer", "revisions that change too much"),
    ],
)
def test_what_is_no_minimal_revision_is_counted(reply: str | Written, words: str) -> None:
    options = ClairOptions(min_levenshtein_ratio=0.4)
    found = clair([answered("q", "BAD words")], constitution(), Script(lambda turns: reply), options=options)
    assert found.counts()[words] == 1 and found.counts()["minimal revisions kept"] == 0
    assert found.rows() == []


def test_a_judge_that_does_not_prefer_the_revision_leaves_it_out() -> None:
    groups = [answered("q", "LOUD one"), answered("r", "LOUD two")]
    script = Script(lambda turns: lower(turns) if turns[0].content == "q" else "LOUD TWO")

    def quieter(text: str) -> tuple[float, ...]:
        a, b = (text.split(f"answer ({x})\n")[1].split("\n")[0] for x in "AB")
        loud = [sum(word.isupper() for word in one.split()) for one in (a, b)]
        return (-0.1, -2.0) if loud[0] < loud[1] else (-2.0, -0.1)

    found = clair(groups, constitution(), script, judge=Options(quieter))
    assert [one.fate for one in found.revisions] == ["kept", "no better"]
    assert len(found.rows()) == 1 and "compare" in found.shas


def test_the_principle_a_pair_was_judged_on_is_used() -> None:
    from dataclasses import replace

    for name in ("calm", "brief"):
        group = answered("q", "fine", "LOUD", preferred=0)
        group = replace(group, judgements=(replace(group.judgements[0], principle=name),))
        assert clair([group], constitution(), Script(lower)).rows()[0]["principle"] == name


def test_a_soft_pair_below_one_half_is_the_other_way_round() -> None:
    from dataclasses import replace

    group = answered("q", "FIRST", "SECOND", preferred=0)
    group = replace(group, judgements=(replace(group.judgements[0], probability=0.2),))
    assert clair([group], constitution(), Script(lower)).rows()[0]["rejected"][0]["content"] == "FIRST"


def test_who_lost_must_be_said() -> None:
    with pytest.raises(DataError, match="which one lost is not said"):
        clair([answered("q", "a", "b")], constitution(), Script(lower))
