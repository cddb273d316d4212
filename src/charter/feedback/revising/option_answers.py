"""Log-probs of options, each question asked once and journalled as it is answered."""

from __future__ import annotations

import math
from collections.abc import Sequence

from charter.feedback.judging.model import OptionModel, Question
from charter.feedback.revising.journal import Journal
from charter.interrupt import current
from charter.progress import progress
from charter.rundir import sha256_json

CHUNK = 64
"""Questions asked at once; what an interruption can cost."""

_NEVER = "-inf"


def option_answers(
    model: OptionModel,
    journal: Journal,
    questions: Sequence[Question],
    options: Sequence[str],
    *,
    label: str,
) -> list[tuple[float, ...]]:
    """:meth:`OptionModel.option_logps` of the same options, asking only what the journal lacks.

    Equal questions are asked once. What is missing (NaN) is not journalled: the next run asks again.

    Args:
        model: scores the options.
        journal: of this stage.
        questions: what is asked.
        options: the texts compared.
        label: for the progress bar.

    Raises:
        Interrupted: everything answered before is in the journal.
    """
    keys = [sha256_json([model.name, question.sha, list(options)]) for question in questions]
    todo = {key: one for key, one in zip(keys, questions, strict=True) if journal.get(key) is None}
    missing: dict[str, tuple[float, ...]] = {}
    if todo:
        distinct = len(set(keys))
        with progress(label, distinct, done=distinct - len(todo)) as advance:
            waiting = list(todo)
            for start in range(0, len(waiting), CHUNK):
                chunk = waiting[start : start + CHUNK]
                asked = [todo[key] for key in chunk]
                found = model.option_logps(asked, [tuple(options)] * len(asked))
                for key, question, logps in zip(chunk, asked, found, strict=True):
                    if any(math.isnan(one) for one in logps):
                        missing[key] = tuple(logps)
                    else:
                        journal.add(key, _row(model.name, label, question, options, logps))
                advance(len(chunk))
                current().check(
                    f"{label} stopped, what was answered is kept",
                    fix="run the same command again to continue",
                )
    return [missing.get(key) or _read(journal, key) for key in keys]


def _row(
    name: str, label: str, question: Question, options: Sequence[str], logps: Sequence[float]
) -> dict[str, object]:
    return {
        "stage": label,
        "prompt_sha": question.prompt_sha,
        "model": name,
        "options": list(options),
        # JSON has no infinity.
        "logps": [_NEVER if one == -math.inf else float(one) for one in logps],
    }


def _read(journal: Journal, key: str) -> tuple[float, ...]:
    row = journal.get(key)
    assert row is not None
    return tuple(float(one) for one in row["logps"])
