"""Several files of labels as one: ids that meet are told apart by file, duplicates are kept once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charter.errors import DataError
from charter.label import Label, read_labels
from charter.rundir import sha256_json


@dataclass(frozen=True, slots=True)
class Merged:
    """What :func:`merge_labels` made.

    Attributes:
        labels: file after file, in each file's order.
        duplicates: labels that say the same in two files: ``(file:id, file:id of the one that was kept)``.
        renamed: ids that stood in several files, as ``(file, id, new id)``.
    """

    labels: tuple[Label, ...]
    duplicates: tuple[tuple[str, str], ...]
    renamed: tuple[tuple[str, str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Counts and lists, without the labels."""
        return {
            "labels": len(self.labels),
            "duplicates": [list(one) for one in self.duplicates],
            "renamed": [list(one) for one in self.renamed],
        }


def merge_labels(paths: Sequence[str | Path]) -> Merged:
    """Read the files and put them together.

    A label of another file is a duplicate where everything but its id is the same. Within one file
    nothing is a duplicate: there a rater may have said the same twice.

    Raises:
        DataError: a file is wrong, stands here twice, or two files have one name.
    """
    files = [Path(path) for path in paths]
    if len({file.resolve() for file in files}) < len(files):
        raise DataError("a file is named twice", fix="name each file once")
    names = _names(files)
    read = {name: read_labels(file) for name, file in zip(names, files, strict=True)}
    kept: list[tuple[str, Label]] = []
    duplicates: list[tuple[str, str]] = []
    # What a dropped label's id stands for, so that repeats of it still find it.
    stands_for: dict[tuple[str, str], tuple[str, str]] = {}
    seen: dict[str, tuple[str, str]] = {}
    for name, labels in read.items():
        mine: dict[str, tuple[str, str]] = {}
        for label in labels:
            said = sha256_json({k: v for k, v in label.to_json().items() if k not in ("id", "repeat_of")})
            if said in seen:
                other, id = seen[said]
                duplicates.append((f"{name}:{label.id}", f"{other}:{id}"))
                stands_for[name, label.id] = seen[said]
                continue
            mine[said] = (name, label.id)
            kept.append((name, label))
        seen.update(mine)
    new, renamed = _new_ids(kept)
    labels = [
        replace(label, id=new[name, label.id], repeat_of=_repeat(name, label, new, stands_for))
        for name, label in kept
    ]
    return Merged(tuple(labels), tuple(duplicates), tuple(renamed))


def _names(files: Sequence[Path]) -> list[str]:
    """What each file is called in ids: its stem, with its folder where two stems are the same."""
    stems = Counter(file.stem for file in files)
    names = [file.stem if stems[file.stem] == 1 else f"{file.parent.name}/{file.stem}" for file in files]
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise DataError(f"two files are called {twice}", fix="rename one: ids are told apart by file")
    return names


def _new_ids(
    kept: Sequence[tuple[str, Label]],
) -> tuple[dict[tuple[str, str], str], list[tuple[str, str, str]]]:
    count = Counter(label.id for _, label in kept)
    taken = set(count)
    new: dict[tuple[str, str], str] = {}
    renamed: list[tuple[str, str, str]] = []
    for name, label in kept:
        id = label.id
        if count[id] > 1:
            id = f"{name}:{id}"
            while id in taken:
                id = f"{name}:{id}"
            taken.add(id)
            renamed.append((name, label.id, id))
        new[name, label.id] = id
    return new, renamed


def _repeat(
    name: str,
    label: Label,
    new: dict[tuple[str, str], str],
    stands_for: dict[tuple[str, str], tuple[str, str]],
) -> str:
    if not label.repeat_of:
        return ""
    key = (name, label.repeat_of)
    return new.get(stands_for.get(key, key), label.repeat_of)
