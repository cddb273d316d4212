"""Names of models become folders: local paths, named models in the cache, hub ids.

Nothing here imports torch unless a model has to be converted.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from charter.errors import EnvironmentFault, UserError, did_you_mean
from charter.models import cache
from charter.models.named import DEFAULT, NAMED, make_named, named_folder

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_HUB_FILES = ("*.json", "*.safetensors", "*.jinja", "*.txt", "*.model")


def resolve(name_or_path: str | os.PathLike[str]) -> Path:
    """The folder that holds a model.

    In this order: a name Charter knows or has cached (fetched when missing; write
    ``./name`` for a folder of the same name), a local model folder, a run directory
    (its ``model/``), a hub id ``owner/name`` (downloaded by ``huggingface_hub``,
    safetensors only, or taken from its cache when offline).

    Raises:
        UserError: nothing of that name.
        EnvironmentFault: it cannot be fetched.
    """
    name = os.fspath(name_or_path)
    here = _here(name)
    if here is not None:
        return here
    return named_folder(name) if name in NAMED else _snapshot(name)


def check_name(name_or_path: str | os.PathLike[str]) -> None:
    """Raise what :func:`resolve` would, as far as that can be told without fetching anything.

    Raises:
        UserError: nothing of that name.
    """
    _here(os.fspath(name_or_path))


def pull(name: str = DEFAULT) -> Path:
    """Fetch a named model or hub id and return its folder; contents already there are verified.

    Two processes that pull the same model do the work once. An interrupted pull
    leaves nothing half-made, and a finished download is not repeated.

    Raises:
        UserError: nothing of that name.
        EnvironmentFault: no network, no space, or the result is not what was expected.
    """
    if name in NAMED:
        return make_named(name)
    if _HUB_ID.fullmatch(name):
        return _snapshot(name)
    raise _unknown(name)


def is_hub_id(name: str) -> bool:
    """Whether ``name`` means a model on the hub: ``owner/name``, and no folder of that name is here."""
    return bool(_HUB_ID.fullmatch(name)) and not Path(name).exists()


def is_model_folder(path: Path) -> bool:
    """Whether ``path`` holds a full model or an adapter."""
    return (path / "config.json").is_file() or (path / "adapter_config.json").is_file()


# -- paths and hub ids -------------------------------------------------------


def _here(name: str) -> Path | None:
    """The folder of a model that lies here; None = a named model or a hub id: it may have to be fetched."""
    if name in NAMED:
        return None
    if _is_name(name) and (cache.models() / name / "config.json").exists():
        return cache.models() / name
    path = Path(name).expanduser()
    if path.exists():
        return _local(path)
    if _HUB_ID.fullmatch(name):
        return None
    raise _unknown(name)


def _local(path: Path) -> Path:
    if is_model_folder(path):
        return path
    if is_model_folder(path / "model"):
        return path / "model"
    what = "no config.json or adapter_config.json in this folder" if path.is_dir() else "not a folder"
    raise UserError(
        f"not a model: {what}", where=str(path), fix="name a model folder, a run directory or a model"
    )


def _is_name(name: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9][\w.-]*", name))


def _snapshot(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(_HUB_FILES)))
    except GatedRepoError:
        raise UserError(
            f"model {hub_id!r} asks for its terms to be accepted",
            fix="accept them on its page, then log in with `hf auth login`",
        ) from None
    except RepositoryNotFoundError:
        raise UserError(
            f"no folder {hub_id!r}, and no public model of that name on the hub",
            fix="check the spelling; log in if the model is private",
        ) from None
    except Exception as error:  # the hub client lets its transport's own errors through
        raise EnvironmentFault(
            f"no folder {hub_id!r}, and it cannot be downloaded: {_first_line(error)}",
            fix=f"check the path and the network; {DEFAULT!r} needs only the package index",
        ) from None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _unknown(name: str) -> UserError:
    known = {*NAMED, *(model.name for model in cache.listing())}
    if _is_name(name):
        return UserError(
            f"no model named {name!r}; {did_you_mean(name, known)}",
            fix="name one of these, a folder, or a hub id owner/name",
        )
    return UserError("no such folder", where=name, fix="check the path")
