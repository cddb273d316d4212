"""One error tree.

Every error a person can meet says what failed, where, and what to do about it.
The exit codes are the same for every command:

    0 ok, 1 gate failed, 2 user error, 3 environment, 4 training fault,
    5 service fault, 6 undecided, 70 a mistake in Charter itself, 128 + signal when interrupted.
"""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable
from typing import ClassVar


class CharterError(Exception):
    """Base of all errors Charter raises on purpose.

    Args:
        what: what failed, one sentence without a trailing full stop.
        where: file, ``file:line``, row, or config key, when there is one.
        fix: what to do about it, one sentence.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.what = what
        self.where = where
        self.fix = fix
        super().__init__(str(self))

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  fix: {self.fix}" if self.fix else head


class UserError(CharterError):
    """The input is wrong: data, config, constitution, arguments."""

    exit_code = 2


class ConfigError(UserError):
    """A recipe, option or flag is wrong."""


class DataError(UserError):
    """A data file or row is wrong."""


class ConstitutionError(UserError):
    """A constitution file is wrong."""


class EnvironmentFault(CharterError):
    """The machine is wrong: disk, network, permissions, missing package."""

    exit_code = 3


class TrainingFault(CharterError):
    """Training cannot go on: non-finite numbers, a watchdog stop."""

    exit_code = 4


class ServiceFault(CharterError):
    """A service this run depends on failed for good."""

    exit_code = 5


class Interrupted(CharterError):
    """The person pressed Ctrl-C (or sent SIGTERM); everything finished is saved."""

    def __init__(self, what: str, *, signum: int = signal.SIGINT, fix: str | None = None) -> None:
        self.signum = signum
        super().__init__(what, fix=fix)

    @property
    def code(self) -> int:
        """128 + the signal."""
        return 128 + self.signum


def exit_code_of(error: CharterError) -> int:
    """The process exit code that belongs to ``error``."""
    return error.code if isinstance(error, Interrupted) else error.exit_code


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean 'beta'?`` when something close exists, else the list of known words."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return "known: " + ", ".join(known) if known else "nothing is known here"
