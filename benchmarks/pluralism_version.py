"""Which code a finished cell of the pluralism study was measured by: other code's results do not count."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pluralism_model import Cell, Result

import charter
from charter.rundir import read_json

_ALL = (
    *("pluralism_data.py", "pluralism_model.py", "testing/survey.py", "testing/survey_questions.py"),
    *("data/survey.py", "evaluation/pluralism/asking.py", "evaluation/pluralism/wording.py"),
    "evaluation/suite/distance.py",
)
_FEATURES = (
    *("pluralism_few.py", "feedback/gpo/baselines.py", "feedback/gpo/features.py", "feedback/gpo/points.py"),
    *("feedback/gpo/predictor.py", "feedback/gpo/train.py", "models/gpo.py", "objectives/gpo.py"),
)

MEASURED_BY: dict[str, tuple[str, ...]] = {
    "baselines": (*_ALL, *_FEATURES),
    "choose": (*_ALL, *_FEATURES),
    "gpo": (*_ALL, *_FEATURES),
    "in-context": (*_ALL, "pluralism_few.py"),
    "fine-tuned": (*_ALL, "pluralism_few.py"),
    "skew": (*_ALL, "pluralism_many.py", "data/beliefs.py", "objectives/belief.py"),
    "robust": (*_ALL, "pluralism_many.py", "data/people_groups.py", "objectives/group_robust.py"),
}
"""By kind of cell, the files whose code its numbers follow from; a change of any measures them anew."""


def finished(cell: Cell, folder: Path) -> Result | None:
    """The cell's result; None where there is none, or one that other code measured."""
    found = read_json(cell.file(folder))
    return found if found is not None and found.get("code") == version_of(cell.kind) else None


@cache
def version_of(kind: str) -> str:
    """Digest of the code that measures a kind of cell, as it was when it was first asked for."""
    return code_digest(source_files(kind))[:12]


def source_files(kind: str) -> list[Path]:
    """Where the files of :data:`MEASURED_BY` are."""
    here, package = Path(__file__).parent, Path(charter.__file__).parent
    return [here / name if name.startswith("pluralism_") else package / name for name in MEASURED_BY[kind]]


def code_digest(files: Sequence[Path]) -> str:
    """Of the code in ``files``; comments, docstrings and line breaks do not count."""
    digest = hashlib.sha256()
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body: Any = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [one for one in body if not _is_words(one)]  # type: ignore[attr-defined]
        digest.update(f"{file.name}\n{ast.dump(tree)}\n".encode())
    return digest.hexdigest()


def _is_words(node: ast.AST) -> bool:
    """A text by itself, which does nothing."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
