"""Every entry of the catalogue says how it was proved, and what it says is there."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from declared import DECLARED, LEARNS, PROVED, REVERSED
from rows import ROWS, SAMPLED

from charter.catalogue import ENTRIES

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
    return {case["name"] for case in json.loads((GOLDEN / "cases.json").read_text(encoding="utf-8"))}


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
        assert is_a_reason(peer)
        return
    file, _, test = peer.partition("::")
    function, _, _ = test.partition("[")
    assert re.search(rf"^def {function}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), peer


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
