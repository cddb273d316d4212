"""A trained GPO on disk: its weights, and what they were made from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charter.errors import UserError
from charter.feedback.gpo.predictor import GPO
from charter.feedback.judging.distilled.features import Reading
from charter.models.gpo import GPONetwork, GPOShape, shape_json
from charter.rundir import check_free, read_json, write_json

MANIFEST, WEIGHTS, FEATURES, CHECKPOINT = "gpo.json", "gpo.safetensors", "features.sqlite", "training.pt"
VERSION = 1

_MADE_HERE = frozenset({MANIFEST, WEIGHTS, FEATURES, CHECKPOINT, f"{CHECKPOINT}.new", f"{FEATURES}-journal"})


def check_folder(folder: Path) -> None:
    """Refuse a folder in which something else lies; see :func:`charter.rundir.check_free`."""
    check_free(folder, _MADE_HERE)


def save_gpo(gpo: GPO, folder: Path, said: Mapping[str, Any] | None = None) -> None:
    """Write a GPO; the manifest comes last, so that a folder with one is whole.

    Args:
        gpo: what is written.
        folder: where; made where it is missing.
        said: more to keep in the manifest.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    scratch = folder / f"{WEIGHTS}.new"
    save_file({name: value.contiguous() for name, value in gpo.network.state_dict().items()}, scratch)
    scratch.replace(folder / WEIGHTS)
    manifest = {
        "version": VERSION,
        "shape": shape_json(gpo.network.shape),
        "reading": {"depth": gpo.reading.depth, "pooling": gpo.reading.pooling},
        "model": gpo.model,
        "digest": gpo.digest,
        "groups": list(gpo.groups),
    }
    write_json(folder / MANIFEST, {**(said or {}), **manifest})


def load_gpo(folder: Path) -> GPO:
    """The GPO in a folder, exactly as it was saved.

    Raises:
        UserError: there is none, or one of another version.
    """
    from safetensors.torch import load_file

    try:
        found = read_json(folder / MANIFEST)
    except ValueError:
        found = None
    if not isinstance(found, dict) or "shape" not in found:
        raise UserError("no GPO in this folder", where=str(folder), fix="make one with charter gpo train")
    if found.get("version") != VERSION:
        raise UserError(
            f"a GPO of version {found.get('version')!r}, and {VERSION} is read here",
            where=str(folder),
            fix="train it again",
        )
    network = GPONetwork(GPOShape(**found["shape"]))
    network.load_state_dict(load_file(folder / WEIGHTS))
    return GPO(
        network.eval(), Reading(**found["reading"]), found["model"], found["digest"], tuple(found["groups"])
    )
