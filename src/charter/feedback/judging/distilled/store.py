"""Features on disk: what a model has read once it does not read again."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from charter.errors import UserError

Floats = NDArray[np.float32]

LIMIT = 100_000
"""Most vectors that are kept: beyond it none is added, so that judging a long training run fills no disk."""

_AT_ONCE = 500


class FeatureStore:
    """Vectors by the sha of the model and of what it read.

    Args:
        path: of the file; None = in memory.
        model: digest of the model and of how its states become features.
        limit: see :data:`LIMIT`.

    Raises:
        UserError: the file is no such store.
    """

    def __init__(self, path: Path | None, model: str, limit: int = LIMIT) -> None:
        self._model, self._limit = model, limit
        try:
            self._db = sqlite3.connect(":memory:" if path is None else path, timeout=60)
            with self._db:
                self._db.execute(
                    "create table if not exists features "
                    "(model text, text text, vector blob, primary key (model, text))"
                )
        except sqlite3.Error as error:
            raise UserError(
                f"not a store of features ({error})", where=str(path), fix="move the file away"
            ) from None

    def get(self, keys: Sequence[str]) -> dict[str, Floats]:
        """Those that are known."""
        found: dict[str, Floats] = {}
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            rows = self._db.execute(
                f"select text, vector from features where model = ? and text in ({marks})",
                (self._model, *part),
            )
            found |= {text: np.frombuffer(vector, dtype=np.float32) for text, vector in rows}
        return found

    def put(self, vectors: Mapping[str, Floats]) -> None:
        """Keep them, as far as the limit allows."""
        with self._db:
            known = self._db.execute("select count(*) from features").fetchone()[0]
            room = max(0, self._limit - int(known))
            rows = [(self._model, key, one.astype(np.float32).tobytes()) for key, one in vectors.items()]
            self._db.executemany("insert or replace into features values (?, ?, ?)", rows[:room])
