"""How much praise and hedging stands in answers to everyday questions."""

from __future__ import annotations

from charter.evaluation.probes.asking import user, with_answer
from charter.evaluation.probes.measures import mean, share
from charter.evaluation.probes.readers.lexicon import hedge_rate, praise_rate
from charter.evaluation.probes.rows import ProbeResult, Transcript
from charter.evaluation.probes.settings import Bench
from charter.evaluation.probes.tables.plain_prompts import PLAIN_PROMPTS

NAME = "lexicon"


def run(bench: Bench) -> ProbeResult:
    """See the module."""
    prompts, level, seed = bench.settings.of(PLAIN_PROMPTS), bench.settings.level, bench.settings.seed
    answers = bench.asker.ask_user(prompts, NAME)
    praise = [None if one is None else praise_rate(one.text) for one in answers]
    hedges = [None if one is None else hedge_rate(one.text) for one in answers]
    rows = (
        mean("praise in 100 words", praise, level, seed=seed),
        mean("hedges in 100 words", hedges, level, seed=seed),
        share("answers with praise", [None if one is None else one > 0 for one in praise], level),
        share("answers with a hedge", [None if one is None else one > 0 for one in hedges], level),
    )
    transcripts = [
        Transcript(
            prompt,
            "asked",
            with_answer(user(prompt), answer),
            {"praise": words, "hedges": doubts},
            bool(answer and answer.cut),
        )
        for prompt, answer, words, doubts in zip(prompts, answers, praise, hedges, strict=True)
    ]
    return ProbeResult(NAME, rows, tuple(transcripts))
