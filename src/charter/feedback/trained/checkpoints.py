"""What a name means: which checkpoint, trained as what; every mistake found from the files alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charter.config import Config
from charter.errors import CharterError, ConfigError, UserError, did_you_mean
from charter.feedback.trained.options import OutcomeOptions, options_of
from charter.models.trained_as import TrainedAs
from charter.rundir import read_json

ENSEMBLE = "ensemble:"
"""``ensemble:A+B``: several reward models as one."""
WHERE = "reward_funcs"


@dataclass(frozen=True)
class Named:
    """Checkpoints that judge together: several reward models, or one model of any kind.

    Attributes:
        models: what :func:`charter.models.load.load` takes.
        trained: how they were trained; None = nothing is written, or they are not here yet.
        options: checked, see :mod:`charter.feedback.trained.options`.
        where: as it was written, for errors.
    """

    models: tuple[str, ...]
    trained: TrainedAs | None
    options: Config
    where: str


def named(
    target: str,
    values: Mapping[str, Any],
    base: Path,
    *,
    where: str | None = None,
    known: Sequence[str] = (),
) -> Named:
    """What ``FOLDER``, a model's name, or ``ensemble:A+B`` means.

    Args:
        target: without options.
        values: the options as written.
        base: folder that folders are relative to.
        where: for errors; None = the target.
        known: other names that might have been meant.

    Raises:
        ConfigError: no such checkpoint, one that does not judge, kinds that do not go together, or an
            option it does not have.
        UserError: a damaged checkpoint.
    """
    where = where or target
    parts = _members(target, where)
    folders = [_folder(part, base, where, known) for part in parts]
    marks = [None if folder is None else _checked(folder, where) for folder in folders]
    if len(parts) > 1:
        _require_outcomes(marks, where)
        _require_same_dimensions(parts, folders, where)
    options = options_of(marks[0], len(parts), values, where)
    if isinstance(options, OutcomeOptions) and options.weights is not None:
        for folder in folders:
            _check_weights(options.weights, folder, where)
    models = tuple(str(_beside(base, part)) if _beside(base, part).exists() else part for part in parts)
    return Named(models, marks[0], options, where)


def trained_here(name: str, base: Path | None = None) -> TrainedAs | None:
    """How the checkpoint of that name was trained, if it is on this machine and says so."""
    folder = _local(name, base or Path())
    return None if folder is None else TrainedAs.load(folder)


def judges(name: str, base: Path | None = None) -> bool:
    """Whether the checkpoint of that name is here and judges by itself: it says so, or has a reward head.

    Raises:
        UserError: a damaged checkpoint.
    """
    from charter.models.hub import is_model_folder

    folder = _local(name, base or Path())
    if folder is None or not is_model_folder(folder):
        return False
    return TrainedAs.load(folder) is not None or has_head(folder)


def _members(target: str, where: str) -> list[str]:
    if not target.startswith(ENSEMBLE):
        return [target]
    parts = [part.strip() for part in target.removeprefix(ENSEMBLE).split("+")]
    if len(parts) < 2 or not all(parts):
        raise ConfigError("an ensemble is of two reward models or more", where=where, fix="ensemble:A+B")
    if len(set(parts)) < len(parts):
        raise ConfigError("the same reward model twice", where=where, fix="name different ones")
    return parts


def _beside(base: Path, name: str) -> Path:
    return base / Path(name).expanduser()


def _local(name: str, base: Path) -> Path | None:
    """The folder with the weights, where they are on this machine."""
    from charter.models import cache
    from charter.models.hub import is_model_folder

    path = _beside(base, name)
    if path.exists():
        return path if is_model_folder(path) else path / "model"
    return cache.models() / name if any(one.name == name for one in cache.listing()) else None


def _folder(name: str, base: Path, where: str, known: Sequence[str]) -> Path | None:
    """As :func:`_local`; None for a model on the hub that is not here yet."""
    from charter.models import cache
    from charter.models.hub import is_hub_id
    from charter.models.named import NAMED

    found = _local(name, base)
    if found is not None and (name not in NAMED or _beside(base, name).exists()):
        return found
    if name in NAMED:
        raise ConfigError(f"{name} is a language model, not a reward model", where=where)
    if not is_hub_id(name):
        names = [*known, *(model.name for model in cache.listing())]
        raise ConfigError(
            f"no built-in reward, file, folder or model {name!r}", where=WHERE, fix=did_you_mean(name, names)
        )
    return None


def has_head(folder: Path) -> bool:
    """Whether a sound checkpoint has a reward head, seen from its files.

    Raises:
        UserError: the folder is damaged.
    """
    from charter.models.check import check_checkpoint, read_json_object

    if check_checkpoint(folder).kind == "adapter":
        return bool(read_json_object(folder / "adapter_config.json").get("task_type") == "SEQ_CLS")
    written = read_json_object(folder / "config.json").get("architectures") or [""]
    return str(written[0]).endswith("ForSequenceClassification")


def _checked(folder: Path, where: str) -> TrainedAs | None:
    """A sound checkpoint that judges, seen from its files.

    Raises:
        ConfigError: a language model, or a head where none was trained.
        UserError: a damaged folder.
    """
    try:
        head = has_head(folder)
        trained = TrainedAs.load(folder)
    except CharterError as fault:
        raise UserError(fault.what, where=f"{where}: {fault.where}", fix=fault.fix) from None
    if trained is None and not head:
        raise ConfigError(
            "this model has no reward head: it is a language model",
            where=where,
            fix="name a model trained with `charter train reward`; if it was trained to give verdicts, "
            f"say so: charter model mark {folder} --trained-with genrm",
        )
    if trained is not None and trained.has_head != head:
        raise ConfigError(
            f"{trained.algorithm} reads {'a reward head' if trained.has_head else 'words'}, and this model "
            f"has {'a' if head else 'no'} reward head",
            where=where,
            fix=f"say how it was trained: charter model mark {folder} --trained-with ...",
        )
    return trained


def _require_outcomes(marks: Sequence[TrainedAs | None], where: str) -> None:
    for trained in marks:
        if trained is not None and trained.kind != "outcome":
            raise ConfigError(
                f"an ensemble is of outcome reward models, and one of these is {trained.words()}",
                where=where,
                fix="name it as a reward of its own",
            )


def _require_same_dimensions(parts: Sequence[str], folders: Sequence[Path | None], where: str) -> None:
    """As far as the files say which dimensions there are."""
    names = [(part, of) for part, f in zip(parts, folders, strict=True) if f and (of := _dimensions(f))]
    for part, of in names[1:]:
        if of != names[0][1]:
            raise ConfigError(
                f"{part} has the dimensions {', '.join(of)}, {names[0][0]} {', '.join(names[0][1])}",
                where=where,
                fix="combine reward models of the same dimensions",
            )


def _check_weights(weights: Mapping[str, float], folder: Path | None, where: str) -> None:
    """Refuse a weight of a dimension that is not there, where the files say which there are."""
    names = None if folder is None else _dimensions(folder)
    for name in weights if names else ():
        if name not in (names or ()):
            raise ConfigError(f"no dimension {name!r}; {did_you_mean(name, names or ())}", where=where)
    if not any(weights.values()):
        raise ConfigError("every weight is 0", where=where, fix="give a dimension some weight")


def _dimensions(folder: Path) -> tuple[str, ...] | None:
    written = (read_json(folder / "reward.json") or {}).get("dimensions")
    return tuple(str(name) for name in written) if isinstance(written, list) else None
