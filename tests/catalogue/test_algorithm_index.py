"""The list of algorithm pages is that of the catalogue."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from charter.catalogue import ENTRIES

ROOT = Path(__file__).resolve().parents[2]


def test_the_index_is_up_to_date_and_its_pages_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.delitem(sys.modules, "algorithm_index", raising=False)
    import algorithm_index

    text = algorithm_index.PAGE.read_text(encoding="utf-8")
    assert text == algorithm_index.page(), "run: python scripts/algorithm_index.py"
    for name in ENTRIES:
        assert text.count(f"]({name}.md)") == 1
        assert (algorithm_index.PAGE.parent / f"{name}.md").is_file()
