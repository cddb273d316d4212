"""Of which family a model is, told from where it comes: relatives may favour each other's answers."""

from __future__ import annotations

import json
from pathlib import Path

from charter.feedback.judging.family import family_of

_DEPTH = 4


def lineage_family(name: str) -> str:
    """The family of a model that is named as for loading: that of what it was trained from.

    A run directory names the model that was trained, an adapter its base, a checkpoint what it was loaded
    from. "" = nothing tells.
    """
    for known in reversed(_lineage(name)):
        if family := family_of(known):
            return family
    return ""


def _lineage(name: str) -> list[str]:
    """The name, and what each model was made from, the oldest last."""
    found = [name]
    for _ in range(_DEPTH):
        older = _parent(Path(found[-1]).expanduser())
        if not older or older in found:
            break
        found.append(older)
    return found


def _parent(folder: Path) -> str:
    """What a folder's model was made from; "" = it does not say."""
    for file, key in (
        (folder / "manifest.json", "model"),
        (folder.parent / "manifest.json" if folder.name == "model" else folder / "-", "model"),
        (folder / "adapter_config.json", "base_model_name_or_path"),
        (folder / "config.json", "_name_or_path"),
    ):
        try:
            value = json.loads(file.read_text(encoding="utf-8")).get(key)
        except (OSError, ValueError, AttributeError):
            continue
        if isinstance(value, str) and value:
            return value
    return ""
