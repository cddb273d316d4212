"""Forms by name, and the form that a constitution's front matter asks for."""

from __future__ import annotations

from typing import Literal

from charter.constitution.front_matter import JudgeOptions
from charter.errors import ConfigError, did_you_mean
from charter.feedback.judging.all_at_once import AllAtOnce
from charter.feedback.judging.ask import Method
from charter.feedback.judging.form import PairForm, PointForm
from charter.feedback.judging.pairwise import Pairwise
from charter.feedback.judging.per_principle import PerPrinciple
from charter.feedback.judging.rubric_scale import RubricScale
from charter.feedback.judging.with_reasons import WithReasons

FormName = Literal["per_principle", "all_at_once", "pairwise", "rubric", "reasons"]
FORMS: tuple[FormName, ...] = ("per_principle", "all_at_once", "pairwise", "rubric", "reasons")
"""Names a person may write; the front matter's ``executor`` knows all but ``reasons``."""

_WITHOUT_OPTIONS = frozenset({"all_at_once", "reasons"})


def form_of(options: JudgeOptions, name: str | None = None, method: Method = "auto") -> PointForm | PairForm:
    """The form that ``options`` ask for, or another by ``name`` with the same options.

    Raises:
        ConfigError: no such form, or a method it does not have.
    """
    wanted = options.executor if name is None else name
    if method == "options" and wanted in _WITHOUT_OPTIONS:
        raise ConfigError(f"the form {wanted} is answered in words", where="method", fix="leave method out")
    if wanted == "per_principle":
        return PerPrinciple(method, options.seeds)
    if wanted == "all_at_once":
        return AllAtOnce(seeds=options.seeds)
    if wanted == "pairwise":
        return Pairwise(options.order, method, options.seeds)
    if wanted == "rubric":
        return RubricScale(options.scale, options.pass_at, method, options.seeds)
    if wanted == "reasons":
        return WithReasons(options.seeds)
    raise ConfigError(f"no form {wanted!r}", where="form", fix=did_you_mean(wanted, FORMS))
