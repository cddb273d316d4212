"""What a training run was taught: how much of its data carries each principle's id, and its texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.errors import UserError
from charter.rundir import read_jsonl

# What stages leave, the data that was trained on first; samples and judgements it was made from are not it.
_PLACES = (
    "stages/*-compare/pairs.jsonl",
    "stages/*-revise/preference.jsonl",
    "stages/*-revise/sft.jsonl",
    "pairs.jsonl",
)


@dataclass(frozen=True)
class Taught:
    """The training data of a run.

    Attributes:
        source: the file it was read from.
        rows: groups or pairs in it.
        per_principle: of those, how many carry a principle's id.
        texts: every text that was trained on, with the place it stands at.
        prompts: the last user turn of each row.
    """

    source: str
    rows: int
    per_principle: Mapping[str, int]
    texts: Sequence[tuple[str, str]]
    prompts: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object, without the texts."""
        return {"source": self.source, "rows": self.rows, "per_principle": dict(self.per_principle)}


def training_file(run: Path) -> Path | None:
    """The data a run trained on, as far as its stages left it there; None where they did not."""
    for place in _PLACES:
        found = sorted(path for path in run.glob(place) if path.is_file())
        if found:
            return found[-1]
    return None


def check_run(run: str | Path) -> Path:
    """The run directory or data file as a path.

    Raises:
        UserError: there is none.
    """
    path = Path(run).expanduser()
    if not path.exists():
        raise UserError("no such run directory or data file", where=str(run), fix="check --run")
    return path


def read_taught(run: Path) -> Taught | None:
    """What ``run``, a run directory or a JSONL file, was taught; None where its data is not there.

    Rows of preference pairs and of revisions name their principles; groups carry judgements that do.
    """
    path = run if run.is_file() else training_file(run)
    if path is None:
        return None
    rows = [row for row in read_jsonl(path) if isinstance(row, Mapping)]
    counts: Counter[str] = Counter()
    texts: list[tuple[str, str]] = []
    prompts: list[str] = []
    for number, row in enumerate(rows, start=1):
        counts.update(_principles(row))
        asked, answered = _asked(row), list(_answers(row))
        texts += [(f"{path.name}:{number}", text) for text in (*asked, *answered) if text]
        prompts += asked[-1:]
    return Taught(str(path), len(rows), dict(counts), texts, prompts)


def _principles(row: Mapping[str, Any]) -> set[str]:
    """Every principle id that a row carries, once."""
    meta = row.get("meta")
    found = [row.get("principle"), *_list(row.get("principles"))]
    found += _list(meta.get("principles")) if isinstance(meta, Mapping) else []
    found += [one.get("principle") for one in _list(row.get("judgements")) if isinstance(one, Mapping)]
    return {one for one in found if isinstance(one, str) and one}


def _asked(row: Mapping[str, Any]) -> list[str]:
    samples = _list(row.get("samples"))
    if samples and isinstance(samples[0], Mapping):
        return _texts(_inside(samples[0].get("context")), ("user", "system"))
    return _texts(row.get("prompt"), ("user", "system"))


def _answers(row: Mapping[str, Any]) -> Iterator[str]:
    for name in ("chosen", "rejected", "completion"):
        yield from _texts(row.get(name), ("assistant",))
    for sample in _list(row.get("samples")):
        if isinstance(sample, Mapping):
            yield from _texts(_inside(sample.get("completion")), ("assistant",))


def _inside(value: Any) -> Any:
    return value.get("content") if isinstance(value, Mapping) else value


def _texts(value: Any, roles: Sequence[str]) -> list[str]:
    if isinstance(value, str):
        return [value]
    turns = [one for one in _list(value) if isinstance(one, Mapping)]
    return [str(one.get("content", "")) for one in turns if one.get("role") in roles]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
