"""A distilled judge on disk: what it is, what it was made from, and its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charter.errors import UserError
from charter.feedback.judging.distilled.cross_fit import FoldHead
from charter.feedback.judging.distilled.features import Reader, Reading
from charter.feedback.judging.distilled.head import Head, Penalty
from charter.feedback.judging.distilled.judge import DistilledJudge
from charter.rundir import check_free, read_json, sha256_json, write_json

if TYPE_CHECKING:
    from charter.models.policy import Policy

PREFIX = "distilled:"
MANIFEST, HEADS, FEATURES = "distilled_judge.json", "heads.safetensors", "features.sqlite"
VERSION = 1

_SHOWN = 8
_MADE_HERE = frozenset({MANIFEST, HEADS, FEATURES, f"{FEATURES}-journal"})


def is_distilled(spec: str, base: Path | None = None) -> bool:
    """Whether ``spec`` names a distilled judge: by its prefix, or as the folder of one."""
    return spec.startswith(PREFIX) or (folder_of(spec, base) / MANIFEST).is_file()


def folder_of(spec: str, base: Path | None = None) -> Path:
    """The folder that ``spec`` names; relative ones start at ``base``."""
    path = Path(spec.removeprefix(PREFIX)).expanduser()
    return path if base is None else base / path


def check_folder(folder: Path) -> None:
    """Refuse a folder in which something else lies; see :func:`charter.rundir.check_free`."""
    check_free(folder, _MADE_HERE, fix="name a new folder for the judge")


def write_judge(
    folder: Path,
    manifest: Mapping[str, Any],
    heads: Sequence[FoldHead],
    reading: Reading,
) -> dict[str, Any]:
    """Write a judge; the manifest comes last, so that a folder with one is whole.

    Returns:
        the manifest as it was written.
    """
    from safetensors.numpy import save_file

    arrays: dict[str, Any] = {}
    for number, one in enumerate(heads):
        arrays |= {f"{number}.{name}": array for name, array in _arrays(one.head).items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    scratch = folder / f"{HEADS}.new"
    save_file(arrays, scratch)
    scratch.replace(folder / HEADS)
    said = {
        "version": VERSION,
        **manifest,
        "reading": {"depth": reading.depth, "pooling": reading.pooling},
        "heads": [
            {
                "ridge": one.head.penalty.ridge,
                "own": one.head.penalty.own,
                "trained_on": len(one.trained),
                "prompts": sorted(one.prompts),
                "answers": sorted(one.answers),
                "principles": sorted(one.principles),
            }
            for one in heads
        ],
    }
    said["sha"] = sha256_json([said, _digest(arrays)])
    write_json(folder / MANIFEST, said)
    return said


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a judge's folder says of it.

    Raises:
        UserError: there is no distilled judge, or one of another version.
    """
    try:
        found = read_json(folder / MANIFEST)
    except ValueError:
        found = None
    if not isinstance(found, dict) or "heads" not in found:
        raise UserError(
            "no distilled judge in this folder", where=str(folder), fix="make one with charter distil-judge"
        )
    if found.get("version") != VERSION:
        raise UserError(
            f"a distilled judge of version {found.get('version')!r}, and {VERSION} is read here",
            where=str(folder),
            fix="distil it again",
        )
    return found


def open_distilled(
    spec: str, *, base: Path | None = None, load_model: Callable[[str], Policy] | None = None
) -> DistilledJudge:
    """The judge in a folder; its model is loaded when it is first asked.

    Args:
        spec: the folder, with or without ``distilled:`` before it.
        base: what relative folders start at.
        load_model: loads the model; None = :func:`charter.models.load.load`.

    Raises:
        UserError: no judge there, or its weights are not those of its manifest.
    """
    folder = folder_of(spec, base)
    said = read_manifest(folder)
    heads, arrays = _read_heads(folder, said)
    unsigned = {name: value for name, value in said.items() if name != "sha"}
    if sha256_json([unsigned, _digest(arrays)]) != said.get("sha"):
        raise UserError(
            "the judge's files do not belong together, or were changed",
            where=str(folder),
            fix="distil it again",
        )
    reading = Reading(**said["reading"])
    model = said["model"]

    def policy() -> Policy:
        if load_model is None:
            return _loaded(model["name"], model["digest"], folder)
        return _checked(load_model(model["name"]), model["digest"], folder)

    reader = _ReaderOf(policy, reading, store=folder / FEATURES, max_tokens=int(said["max_tokens"]))
    reader.known_digest = model["digest"]
    name = f"{PREFIX}{folder.resolve().name}@{said['sha'][:_SHOWN]}"
    principles = {one["clause_sha"]: int(one["number"]) for one in said["principles"].values()}
    return DistilledJudge(
        name, reader, heads, principles, float(said["temperature"]), int(said["longest_answer"])
    )


class _ReaderOf(Reader):
    """A reader whose model has been checked already."""

    known_digest = ""

    @cached_property
    def digest(self) -> str:
        """As the manifest says; the model is checked against it when it is loaded."""
        return self.known_digest


@lru_cache(maxsize=1)
def _loaded(name: str, digest: str, folder: Path) -> Policy:
    """The model, once: a card opens the judge for every principle."""
    from charter.models.load import load

    return _checked(load(name), digest, folder)


def _checked(policy: Policy, digest: str, folder: Path) -> Policy:
    if policy.digest() != digest:
        raise UserError(
            f"the model {policy.name} is not the one that the judge was distilled on",
            where=str(folder),
            fix="distil it again, or give it back its model",
        )
    return policy


def _read_heads(folder: Path, said: Mapping[str, Any]) -> tuple[list[FoldHead], dict[str, Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(folder / HEADS)
        heads = [_head(arrays, number, one) for number, one in enumerate(said["heads"])]
    except (OSError, SafetensorError, KeyError) as error:
        raise UserError(
            f"the judge's weights cannot be read ({error})", where=str(folder / HEADS), fix="distil it again"
        ) from None
    return heads, arrays


def _head(arrays: Mapping[str, Any], number: int, said: Mapping[str, Any]) -> FoldHead:
    of = {name: arrays[f"{number}.{name}"] for name in ("mean", "scale", "weight", "own", "bias", "own_bias")}
    head = Head(
        of["mean"],
        of["scale"],
        of["weight"],
        of["own"],
        float(of["bias"][0]),
        of["own_bias"],
        Penalty(float(said["ridge"]), float(said["own"])),
    )
    prompts, answers = frozenset(said["prompts"]), frozenset(said["answers"])
    return FoldHead(head, (), prompts, answers, frozenset(said["principles"]))


def _arrays(head: Head) -> dict[str, Any]:
    return {
        "mean": head.mean_D,
        "scale": head.scale_D,
        "weight": head.weight_D,
        "own": np.ascontiguousarray(head.own_PD),
        "bias": np.asarray([head.bias]),
        "own_bias": head.own_bias_P,
    }


def _digest(arrays: Mapping[str, Any]) -> str:
    import hashlib

    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(name.encode())
        found.update(np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()
