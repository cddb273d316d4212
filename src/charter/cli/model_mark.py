"""``charter model mark``: how a checkpoint was trained to judge, said by a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any


def marked(model: str, algorithm: str, options: Mapping[str, Any], *, reasons: bool, open_form: bool) -> str:
    """Write it down, and say what was written.

    Raises:
        ConfigError: an algorithm that trains no judge, an option it does not have, or a model that cannot
            have been trained with it.
        UserError: no such folder, or no model in it.
    """
    from charter.catalogue import lookup
    from charter.config import validate
    from charter.data.verdicts import open_form as asked_openly
    from charter.errors import ConfigError, UserError, did_you_mean
    from charter.feedback.trained.checkpoints import has_head
    from charter.models.hub import resolve
    from charter.models.trained_as import WITH_REASONS, judging_algorithms, kind_of, trained_with

    if kind_of(algorithm) is None:
        raise ConfigError(
            f"{algorithm} trains no reward model and no judge",
            where="--trained-with",
            fix=did_you_mean(algorithm, judging_algorithms()),
        )
    for flag, asked in (("--reasons", reasons), ("--open", open_form)):
        if asked and algorithm not in WITH_REASONS:
            raise ConfigError(f"{algorithm} gives no reasons", where=flag, fix="leave it out")
    if open_form and "question" in options:
        raise ConfigError("--question has no effect with --open, whose wording is fixed")
    checked = validate(lookup(algorithm).options, dict(options), where=f"charter model mark: {algorithm}")
    if not Path(model).expanduser().is_dir():
        raise UserError("no such folder", where=model, fix="name a model folder or a run directory")
    folder = resolve(Path(model).expanduser().resolve())
    made = trained_with(algorithm, checked, reasons=reasons or open_form)
    if has_head(folder) != made.has_head:
        raise ConfigError(
            f"{algorithm} {'trains a' if made.has_head else 'trains no'} reward head, and this model has "
            f"{'none' if made.has_head else 'one'}",
            where=str(folder),
            fix="name the algorithm it was trained with",
        )
    if open_form:
        made = replace(made, asked=asdict(asked_openly(made.question)))
    made.save(folder)
    return f"{folder}: {made.words()}"
