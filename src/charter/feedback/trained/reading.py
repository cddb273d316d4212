"""A checkpoint is read only where it was trained to be read."""

from __future__ import annotations

from charter.errors import ConfigError
from charter.models.policy import Policy
from charter.models.trained_as import Kind
from charter.progress import say


def require(policy: Policy, kind: Kind, *, warn: bool = False) -> None:
    """Refuse a model that was trained as another kind of judge.

    Args:
        policy: the model.
        kind: as what it is about to be read.
        warn: say so where nothing is written about its training.

    Raises:
        ConfigError: it was trained as another kind.
    """
    trained = policy.trained_as
    if trained is None:
        if warn:
            say(
                f"{policy.name} does not say how it was trained: it is read as a reward model, at the end of "
                "each answer (`charter model mark` writes down what it is)"
            )
        return
    if trained.kind != kind:
        raise ConfigError(
            f"{policy.name} was trained to give {trained.words().partition(': ')[2]} ({trained.algorithm}): "
            "read in another way its numbers mean nothing",
            fix="open it as what it is: charter.judge(groups, judge=FOLDER), or name it in --reward-funcs",
        )
