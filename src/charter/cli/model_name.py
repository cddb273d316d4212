"""A model on the command line: a mistyped name is said at once, before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Sequence


def known_model(value: str | None) -> str | None:
    """The name as it is, once it is known to mean something: a callback for options and arguments.

    Raises:
        UserError: nothing of that name.
    """
    from charter.feedback.judging.spec import is_endpoint
    from charter.models.hub import check_name

    if value is not None and not is_endpoint(value):
        check_name(value)
    return value


def known_models(values: Sequence[str]) -> Sequence[str]:
    """Several of them; see :func:`known_model`."""
    for value in values:
        known_model(value)
    return values
