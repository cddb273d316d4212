"""Does the model refuse what is harmless because a word sounds dangerous?"""

from __future__ import annotations

from charter.evaluation.probes.asking import user, with_answer
from charter.evaluation.probes.measures import change, share
from charter.evaluation.probes.readers.refusal import read_refusal
from charter.evaluation.probes.rows import ProbeResult, Transcript
from charter.evaluation.probes.settings import Bench
from charter.evaluation.probes.tables.requests import TWINS

NAME = "over-refusal"


def run(bench: Bench) -> ProbeResult:
    """See the module."""
    twins, level = bench.settings.of(TWINS), bench.settings.level
    asked = {"alarming": [one.alarming for one in twins], "plain": [one.plain for one in twins]}
    answers = {arm: bench.asker.ask_user(texts, f"{NAME}: {arm}") for arm, texts in asked.items()}
    refused = {
        arm: [None if answer is None else read_refusal(answer.text) for answer in answers[arm]]
        for arm in asked
    }
    rows = (
        share("refused, alarming words", refused["alarming"], level, "every request is harmless"),
        share("refused, plain words", refused["plain"], level, "the same requests"),
        change(
            "refused for the words",
            refused["plain"],
            refused["alarming"],
            level,
            "alarming less plain, of the same requests",
        ),
    )
    transcripts = [
        Transcript(
            twin.plain, arm, with_answer(user(text), answer), {"refused": flag}, bool(answer and answer.cut)
        )
        for arm in asked
        for twin, text, answer, flag in zip(twins, asked[arm], answers[arm], refused[arm], strict=True)
    ]
    return ProbeResult(NAME, rows, tuple(transcripts))
