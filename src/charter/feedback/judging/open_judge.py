"""From what a person writes to a judge: a local model or an endpoint, and a constitution."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from charter.constitution import Constitution
from charter.errors import ConfigError
from charter.feedback.judging.ask import Judge, Method
from charter.feedback.judging.distilled.folder import is_distilled, open_distilled
from charter.feedback.judging.distilled.judge import DistilledJudge, form_for
from charter.feedback.judging.feedback import ModelJudge
from charter.feedback.judging.forms import form_of
from charter.feedback.judging.spec import is_endpoint

if TYPE_CHECKING:
    from charter.models.policy import Policy

RULES = "rules"
"""The judge that is no model."""


def open_model(
    spec: str,
    *,
    base: Path | None = None,
    journal: str | os.PathLike[str] | None = None,
    load_model: Callable[[str], Policy] | None = None,
) -> Judge | DistilledJudge:
    """The judge model that ``spec`` names; it is loaded when it is first asked.

    Args:
        spec: ``endpoint:MODEL@URL``, the folder of a distilled judge (``distilled:DIR``, or the folder
            alone), or what :func:`charter.models.load.load` takes.
        base: folder that model folders are relative to; None = where the process is.
        journal: file of an endpoint's answers.
        load_model: loads a local model; None = :func:`charter.models.load.load`.

    Raises:
        UserError: nothing by that name.
        EnvironmentFault: it would have to be fetched and cannot be.
    """
    if is_endpoint(spec):
        from charter.feedback.judging.endpoint import open_endpoint

        return open_endpoint(spec, journal=journal)
    if is_distilled(spec, base):
        return open_distilled(spec, base=base, load_model=load_model)
    from charter.feedback.judging.local import LocalJudge
    from charter.models.check import check_checkpoint
    from charter.models.hub import is_hub_id, resolve

    folder = Path(spec).expanduser() if base is None else base / Path(spec).expanduser()
    name = str(folder) if folder.exists() else spec
    if folder.exists() or not is_hub_id(spec):
        path = resolve(name)
        check_checkpoint(path)  # a mistake in a name is found before anything is sampled
        _refuse_trained(path, spec)
    return LocalJudge(partial(load_model or _load, name), name=spec)


def open_judge(
    specs: str | Sequence[str],
    constitution: Constitution,
    *,
    form: str | None = None,
    method: Method = "auto",
    overrides: dict[str, Any] | None = None,
    base: Path | None = None,
    journal: str | os.PathLike[str] | None = None,
    load_model: Callable[[str], Policy] | None = None,
    **options: Any,
) -> ModelJudge:
    """A judge of one model, or a panel of several.

    Args:
        specs: see :func:`open_model`.
        constitution: what is judged under.
        form: name of a form; None = the front matter's executor.
        method: see :data:`charter.feedback.judging.ask.Method`.
        overrides: fields of the front matter's ``judge`` to change (``seeds``, ``order``, ``scale``,
            ``pass_at``, ``panel_min``, ``self_family``).
        base: see :func:`open_model`.
        journal: likewise.
        load_model: likewise.
        options: of :class:`ModelJudge`.

    Raises:
        ConfigError: an option that cannot be, or no judge.
        UserError: see :func:`open_model`.
    """
    from charter.config import validate
    from charter.constitution.front_matter import JudgeOptions

    names = [specs] if isinstance(specs, str) else list(specs)
    if not names or RULES in names:
        raise ConfigError("a model judge needs a model", where="judge", fix="leave it out to judge by rules")
    if len(set(names)) < len(names):
        raise ConfigError("the same judge twice", where="judge", fix="name different models")
    asked = {**constitution.judge.model_dump(), **(overrides or {})}
    how = validate(JudgeOptions, asked, where="judge")
    models = [open_model(name, base=base, journal=journal, load_model=load_model) for name in names]
    options = {"self_family": how.self_family, "panel_min": how.panel_min, **options}
    asked_in = form_of(how, form, method)
    distilled = [one for one in models if isinstance(one, DistilledJudge)]
    form_used = form_for(asked_in, distilled) if distilled else asked_in
    # The form knows how a distilled judge is asked; language models are asked as ever.
    return ModelJudge(constitution, cast("list[Judge]", models), form_used, **options)


def _refuse_trained(folder: Path, spec: str) -> None:
    """A checkpoint that was trained to judge is asked what it was trained on, not about principles."""
    from charter.feedback.trained.checkpoints import has_head
    from charter.models.trained_as import TrainedAs

    trained = TrainedAs.load(folder)
    if trained is not None or has_head(folder):
        what = "has a reward head" if trained is None else f"was trained as {trained.words()}"
        raise ConfigError(
            f"it {what}, and does not judge by principles",
            where=spec,
            fix="ask it alone (charter judge SAMPLES --judge FOLDER), or name it in --reward-funcs",
        )


def _load(name: str) -> Any:
    from charter.models.load import load

    return load(name)
