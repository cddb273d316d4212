"""Constitutions that come with Charter: files to use as they are, or to begin one's own from."""

from __future__ import annotations

import os
from pathlib import Path

from charter.errors import ConstitutionError, did_you_mean

ENDING = ".constitution.md"
_FOLDER = Path(__file__).parent


def shipped() -> list[str]:
    """Names of the constitutions that come with Charter, sorted."""
    return sorted(path.name.removesuffix(ENDING) for path in _FOLDER.glob(f"*{ENDING}"))


def path_of(name: str) -> Path:
    """The file of a shipped constitution.

    Raises:
        ConstitutionError: none has that name.
    """
    names = shipped()
    if name not in names:
        raise ConstitutionError(f"no constitution {name!r} comes with Charter", fix=did_you_mean(name, names))
    return _FOLDER / f"{name}{ENDING}"


def located(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """``path``; the shipped file where it ends in a shipped name and no file of that name is there.

    A recipe puts its own folder before every name it holds, so the folder may be any that exists. In a
    folder that does not exist the name is taken for a mistyped path.
    """
    written = Path(path)
    if written.name in shipped() and written.parent.is_dir() and not written.is_file():
        return path_of(written.name)
    return path
