"""Where answers and verdicts are kept when nobody named a folder for them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from charter.models import cache
from charter.rundir import sha256_json

_LONGEST = 40


def kept_place(model: str, constitution: str) -> Path | None:
    """A folder in the user's cache, the same for the same model and constitution; None = none can be made.

    It is made when something is written to it, and may be deleted: what is missing is asked again.

    Args:
        model: as the person named it.
        constitution: name of the constitution.
    """
    path = Path(model).expanduser()
    source = str(path.resolve()) if path.exists() else model
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.name)[:_LONGEST]
    found = cache.root() / "evaluate" / f"{name}-{constitution}-{sha256_json([source])[:12]}"
    there = next((one for one in (found, *found.parents) if one.exists()), None)
    return found if there is not None and there.is_dir() and os.access(there, os.W_OK) else None
