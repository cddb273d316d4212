from __future__ import annotations

import signal

import pytest

from charter.errors import (
    CharterError,
    ConfigError,
    ConstitutionError,
    DataError,
    EnvironmentFault,
    Interrupted,
    ServiceFault,
    TrainingFault,
    UserError,
    did_you_mean,
    exit_code_of,
)


def test_says_where_what_and_the_fix() -> None:
    error = DataError("not JSON", where="pairs.jsonl:3", fix="close the brace")
    assert str(error) == "pairs.jsonl:3: not JSON\n  fix: close the brace"
    assert (error.what, error.where, error.fix) == ("not JSON", "pairs.jsonl:3", "close the brace")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (UserError("wrong"), "wrong"),
        (UserError("wrong", where="a.yaml"), "a.yaml: wrong"),
        (UserError("wrong", fix="mend it"), "wrong\n  fix: mend it"),
    ],
)
def test_parts_that_are_missing_leave_no_trace(error: CharterError, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("x"), 2),
        (ConfigError("x"), 2),
        (DataError("x"), 2),
        (ConstitutionError("x"), 2),
        (EnvironmentFault("x"), 3),
        (TrainingFault("x"), 4),
        (ServiceFault("x"), 5),
        (Interrupted("x"), 130),
        (Interrupted("x", signum=signal.SIGTERM), 143),
    ],
)
def test_exit_codes(error: CharterError, code: int) -> None:
    assert exit_code_of(error) == code
    assert isinstance(error, CharterError)


@pytest.mark.parametrize("cls", [ConfigError, DataError, ConstitutionError])
def test_bad_input_of_any_kind_is_a_user_error(cls: type[CharterError]) -> None:
    assert issubclass(cls, UserError)


@pytest.mark.parametrize("cls", [EnvironmentFault, TrainingFault, ServiceFault, Interrupted])
def test_faults_are_no_user_errors(cls: type[CharterError]) -> None:
    assert not issubclass(cls, UserError)


def test_did_you_mean() -> None:
    known = ["learning_rate", "beta", "max_steps"]
    assert did_you_mean("lerning_rate", known) == "did you mean 'learning_rate'?"
    assert did_you_mean("qqq", known) == "known: beta, learning_rate, max_steps"
    assert did_you_mean("qqq", []) == "nothing is known here"
    assert did_you_mean("bata", iter(known)) == "did you mean 'beta'?"
