"""A mistake in Charter itself is told apart from a gate that failed."""

from __future__ import annotations

import pytest

from charter.cli import main as command_line


def test_an_unexpected_error_ends_with_a_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**options: object) -> None:
        raise RuntimeError("a mistake in the code")

    monkeypatch.setattr(command_line, "app", broken)
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == command_line.CRASHED == 70
    said = capsys.readouterr().err
    assert "Traceback" in said and "RuntimeError: a mistake in the code" in said
