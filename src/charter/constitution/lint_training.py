"""Lint against training data: a test that was trained on measures nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from charter.constitution.constitution import Constitution
from charter.constitution.findings import Finding

RUN = 8
"""Words in a row that a test and a training text share by more than chance."""

_WORD = re.compile(r"\w+")
_Words = tuple[str, ...]


def lint_training(constitution: Constitution, texts: Iterable[tuple[str, str]]) -> list[Finding]:
    """Tests whose prompt stands in training data.

    An error where a training text is the prompt (apart from case and punctuation), a
    warning where the two share a run of :data:`RUN` words.

    Args:
        texts: (where, text) of every turn or text that is trained on, prompts and answers.
    """
    wholes: dict[_Words, str] = {}
    runs: dict[_Words, str] = {}
    wanted = {_words(prompt) for prompt in constitution.test_prompts()} - {()}
    wanted_runs = {run for words in wanted for run in _runs(words)}
    for where, text in texts:
        words = _words(text)
        if words in wanted:
            wholes.setdefault(words, where)
        for run in _runs(words):
            if run in wanted_runs:
                runs.setdefault(run, where)
    return list(_findings(constitution, wholes, runs))


def _findings(
    constitution: Constitution, wholes: dict[_Words, str], runs: dict[_Words, str]
) -> Iterable[Finding]:
    for principle in constitution.active:
        for case in principle.tests:
            at = f"{constitution.path}:{case.line}"
            words = [_words(prompt) for prompt in case.prompts()]
            whole = next((wholes[said] for said in words if said in wholes), None)
            shared = next((run for said in words for run in _runs(said) if run in runs), None)
            if whole is not None:
                message = f"test {case.id!r} is trained on: {whole}"
                fix = "take the row out of the training data, or change the test"
                yield Finding("error", "test-in-training", principle.id, at, message, fix)
            elif shared is not None:
                message = f"test {case.id!r} shares {' '.join(shared)!r} with {runs[shared]}"
                fix = "look whether the row gives the test away"
                yield Finding("warning", "test-near-training", principle.id, at, message, fix)


def _words(text: str) -> _Words:
    return tuple(_WORD.findall(text.casefold()))


def _runs(words: _Words) -> Iterable[_Words]:
    return (words[i : i + RUN] for i in range(len(words) - RUN + 1))
