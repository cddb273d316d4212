"""A user's own loss: a function with a decorator, or a class, from a file or a module.

    import charter

    @charter.objective(data="preference", needs=["reference"])
    def my_loss(scored, beta: float = 0.1):
        h = beta * (scored.better(scored.logratios_B) - scored.worse(scored.logratios_B))
        return (1 - h).clamp_min(0)          # one loss per pair

It returns one loss per unit of its data: per pair for preferences, per sample for
labelled answers, per token for supervised data. Its keyword arguments are its options, and become flags of
``charter train``. A class works too: ``__init__`` takes the options, and
``__call__(scored)`` returns the losses; ``data`` and ``needs`` are attributes.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from charter.errors import ConfigError, did_you_mean
from charter.objectives.base import Layout, Need, Scored, Stats, Term, Unit
from charter.rundir import sha256_json
from charter.user_file import run_file

DataKind = Literal["sft", "preference", "unpaired"]
Loss = Callable[[Scored], Tensor]
_UNITS: Mapping[str, Unit] = {"sft": Unit.TOKEN, "preference": Unit.PAIR, "unpaired": Unit.SAMPLE}


class CustomObjective:
    """A user's loss with its options bound.

    Args:
        make: options in, loss out: a class, or a decorated function's binder.
        name: the term and the metrics carry it.
        defaults: option names and default values; ``inspect.Parameter.empty`` = required.
        data: what rows it trains on, and so what one loss is for.
        needs: what must be computed for it.
        options: the values bound so far.
    """

    def __init__(
        self,
        make: Callable[..., Loss],
        *,
        name: str,
        defaults: Mapping[str, Any],
        data: DataKind,
        needs: Iterable[str] = (),
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if data not in _UNITS:
            raise ConfigError(f"objective {name!r}: data={data!r}; {did_you_mean(str(data), _UNITS)}")
        known_needs = [str(need) for need in Need]
        for need in needs:
            if need not in known_needs:
                raise ConfigError(f"objective {name!r}: needs {need!r}; {did_you_mean(need, known_needs)}")
        self.make = make
        self.name = name
        self.defaults = dict(defaults)
        self.data: DataKind = data
        self.needs = frozenset({Need.LOGPS, *(Need(need) for need in needs)})
        self.options = dict(options or {})
        required = any(v is inspect.Parameter.empty for v in self.defaults.values())
        self._loss = make(**self.options) if self.options or not required else None

    def bind(self, options: Mapping[str, Any]) -> CustomObjective:
        """This objective with ``options`` set; an unknown or missing one is an error."""
        for key in options:
            if key not in self.defaults:
                raise ConfigError(
                    f"objective {self.name!r} has no option {key!r}; {did_you_mean(key, self.defaults)}"
                )
        missing = [k for k, v in self.defaults.items() if v is inspect.Parameter.empty and k not in options]
        if missing:
            raise ConfigError(f"objective {self.name!r} needs {', '.join(missing)}")
        return CustomObjective(
            self.make,
            name=self.name,
            defaults=self.defaults,
            data=self.data,
            needs=self.needs,
            options=options,
        )

    def counts(self, layout: Layout) -> dict[str, float]:
        """One unit per pair or token."""
        return {self.name: layout.count(_UNITS[self.data])}

    def __call__(self, scored: Scored, stats: Stats) -> dict[str, Term]:
        """Weighted sum of the function's losses."""
        if self._loss is None:
            raise ConfigError(f"objective {self.name!r} has required options: bind them first")
        losses = self._loss(scored)
        if not isinstance(losses, Tensor):
            raise ConfigError(f"objective {self.name!r} returned {type(losses).__name__}, not a tensor")
        unit = _UNITS[self.data]
        layout = scored.layout
        weights = {Unit.PAIR: layout.weight_P, Unit.SAMPLE: layout.weight_B}.get(unit)
        expected = len(layout.sample_N) if weights is None else len(weights)
        if losses.shape != (expected,):
            raise ConfigError(
                f"objective {self.name!r} returned shape {tuple(losses.shape)}; "
                f"it must return one loss per {unit.value}: ({expected},)"
            )
        total = losses.sum() if weights is None else (losses * weights).sum()
        return {self.name: Term(total, scored.layout.count(unit))}


def objective(
    *, data: DataKind, needs: Iterable[str] = ()
) -> Callable[[Callable[..., Tensor]], CustomObjective]:
    """Make a function ``(scored, **options) -> losses`` an objective.

    Args:
        data: ``preference`` (one loss per pair), ``unpaired`` (per sample; ``scored.layout.value_B``
            is 1 where it is desirable, else 0) or ``sft`` (per token).
        needs: names of :class:`charter.objectives.base.Need`: ``reference`` to have
            ``scored.ref_logps_N`` filled in, ``entropy``, ``sampler`` ...
    """

    def decorate(function: Callable[..., Tensor]) -> CustomObjective:
        def make(**options: Any) -> Loss:
            return functools.partial(function, **options)

        defaults = _options(inspect.signature(function).parameters.values(), skip=1)
        return CustomObjective(make, name=function.__name__, defaults=defaults, data=data, needs=needs)

    return decorate


def _options(parameters: Iterable[inspect.Parameter], skip: int = 0) -> dict[str, Any]:
    """Names and defaults of what can be given by name, but for the first ``skip``."""
    catch_all = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {p.name: p.default for p in list(parameters)[skip:] if p.kind not in catch_all}


def _from_class(cls: type) -> CustomObjective:
    return CustomObjective(
        cls,
        name=cls.__name__,
        defaults=_options(inspect.signature(cls).parameters.values()),
        data=getattr(cls, "data", "preference"),
        needs=getattr(cls, "needs", ()),
    )


def load_objective(spec: str) -> CustomObjective:
    """Load ``mine.py:MyLoss`` or ``package.module:MyLoss``.

    Raises:
        ConfigError: the file or name is missing, or it is not a decorated objective.
    """
    where, _, name = spec.rpartition(":")
    if not where or not name:
        raise ConfigError(f"--objective {spec!r} must look like mine.py:MyLoss")
    module = _module_at(where)
    if not hasattr(module, name):
        found = [k for k, v in vars(module).items() if isinstance(v, CustomObjective)]
        raise ConfigError(f"no {name!r} in it; {did_you_mean(name, found)}", where=where)
    value = getattr(module, name)
    # Not callable(): every class is, to be instantiated; its instances must be.
    if isinstance(value, type) and any("__call__" in vars(base) for base in value.__mro__):
        return _from_class(value)
    if not isinstance(value, CustomObjective):
        raise ConfigError(
            f"{name!r} is not an objective",
            where=where,
            fix="decorate the function with @charter.objective(data=..., needs=[...])",
        )
    return value


def _module_at(where: str) -> Any:
    if not where.endswith(".py"):
        try:
            return importlib.import_module(where)
        except ImportError as error:
            raise ConfigError(f"cannot import {where!r}: {error}") from None
    path = Path(where).absolute()
    if not path.is_file():
        raise ConfigError("no such file", where=where)
    try:
        return run_file(path, f"charter_user_{sha256_json(str(path))[:16]}")
    except Exception as error:
        at = _line_in(path, error)
        raise ConfigError(
            f"error while loading: {type(error).__name__}: {error}", where=f"{where}:{at}" if at else where
        ) from error


def _line_in(path: Path, error: Exception) -> int | None:
    """The last line of ``path`` that ``error`` went through; None if it never did."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename) == path:
        return error.lineno
    lines = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == str(path)
    ]
    return lines[-1] if lines else None
