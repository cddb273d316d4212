"""Every entry of the catalogue says how it was proved, and what it says is there."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from declared import DECLARED, LEARNS, PROVED, REVERSED
from peers import what_is_missing
from rows import ROWS, SAMPLED

from charter.catalogue import ENTRIES
from charter.catalogue.from_trl import trainers_of

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"

each = pytest.mark.parametrize("name", PROVED)


def runners() -> set[str]:
    """Names that golden runners exist for; read by importing them, as the golden tests do."""
    sys.path.insert(0, str(GOLDEN))
    try:
        import test_golden

        return set(test_golden.RUNNERS)
    finally:
        sys.path.remove(str(GOLDEN))


@pytest.fixture(scope="module")
def cases() -> set[str]:
    files = (GOLDEN / "cases.json", GOLDEN / "own_cases.json")
    return {case["name"] for file in files for case in json.loads(file.read_text(encoding="utf-8"))}


def test_every_entry_is_declared() -> None:
    missing = sorted(set(ENTRIES) - set(DECLARED))
    assert missing == [], "add a line to tests/proofs/declared.py"


def test_nothing_else_is_declared() -> None:
    assert sorted(set(DECLARED) - set(ENTRIES)) == []


@each
def test_golden_cases_are_run(name: str, cases: set[str]) -> None:
    golden = DECLARED[name].golden
    if isinstance(golden, str):
        assert is_a_reason(golden)
        return
    assert golden
    assert set(golden) <= cases
    assert set(golden) <= runners()


@each
def test_peer_agreement_exists(name: str) -> None:
    peer = DECLARED[name].peer
    if "::" not in peer:
        assert why_no_peer(name) == ""
        return
    file, _, test = peer.partition("::")
    assert what_is_missing((ROOT / file).read_text(encoding="utf-8"), test) == "", peer


def why_no_peer(name: str) -> str:
    """What is wrong with the reason of an algorithm that no test holds to a peer."""
    reason = DECLARED[name].peer
    if not re.match(r"(no peer|TRL('s| has| \d))", reason) or not is_a_reason(reason):
        return f"{reason!r} does not say what peers lack"
    if trainers_of(name) and not reason.startswith("TRL"):
        return f"TRL has {trainers_of(name)}: test against it, or say why not"
    if isinstance(DECLARED[name].golden, str) and "golden" in reason:
        return "it has no golden case"
    return ""


def test_a_reason_must_be_true(monkeypatch: pytest.MonkeyPatch) -> None:
    sppo = DECLARED["sppo-iterative"]
    assert why_no_peer("sppo-iterative") == ""
    for changed, words in (
        (replace(sppo, peer="this was not looked at"), "does not say"),
        (replace(sppo, golden="nobody has one of it"), "no golden case"),
    ):
        monkeypatch.setitem(DECLARED, "sppo-iterative", changed)
        assert words in why_no_peer("sppo-iterative")
    monkeypatch.setitem(DECLARED, "dpo", replace(DECLARED["dpo"], peer="no peer has DPO's loss"))
    assert "TRL has" in why_no_peer("dpo")


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("# def test_x(", "no test"),
        ('"""\ndef test_x() -> None:\n    assert 1\n"""', "no test"),
        ("class A:\n    def test_x(self): assert 1", "no test"),
        ("def test_x():\n    theirs = 1", "compares nothing"),
        ("def test_x():\n    assert 1 == 1", "charter"),
        ("from charter import a\ndef test_x():\n    assert a() == 1", "independent"),
        ("from charter import a\nimport trl\ndef test_x():\n    assert a() == 1", "independent"),
        ("from charter import a\nimport trl\ndef test_x():\n    assert a() == trl.b()", ""),
        ("from charter import a\nimport trl\ndef ours(): return a()\ndef test_x():\n"
         "    theirs = trl.b()\n    torch.testing.assert_close(ours(), theirs)", ""),
        ("from charter import a\ndef test_x():\n    'Lines of 2402.00856.'\n"
         "    theirs = 1\n    assert a() == theirs", ""),
    ],
)  # fmt: skip
def test_what_a_peer_test_lacks_is_seen(source: str, missing: str) -> None:
    assert missing in what_is_missing(source, "test_x")
    assert missing or what_is_missing(source, "test_x") == ""


@each
def test_outcomes_are_said(name: str) -> None:
    declared = DECLARED[name]
    assert declared.toy in (LEARNS, REVERSED) or is_a_reason(declared.toy)
    assert not isinstance(declared.at_reference, str) or is_a_reason(declared.at_reference)
    assert not declared.surrogate or is_a_reason(declared.surrogate)
    assert (declared.rows or ENTRIES[name].data) in {*ROWS, SAMPLED}
    assert set(declared.options) <= set(ENTRIES[name].options.model_fields)


def is_a_reason(text: str) -> bool:
    return len(text.split()) >= 4
