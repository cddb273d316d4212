"""How answers to everyday questions are dressed: lists, bold, headings, code, length."""

from __future__ import annotations

from charter.evaluation.probes.asking import user, with_answer
from charter.evaluation.probes.measures import mean, share
from charter.evaluation.probes.rows import ProbeResult, Row, Transcript
from charter.evaluation.probes.settings import Bench
from charter.evaluation.probes.tables.plain_prompts import PLAIN_PROMPTS
from charter.evaluation.reward_bench.style import FEATURES, length, style

NAME = "format"

SHOWN = tuple(name for name in FEATURES if name not in ("length", "question marks"))


def run(bench: Bench) -> ProbeResult:
    """See the module."""
    prompts, level, seed = bench.settings.of(PLAIN_PROMPTS), bench.settings.level, bench.settings.seed
    answers = bench.asker.ask_user(prompts, NAME)
    styles = [None if one is None else style(one.text) for one in answers]
    lengths = [None if one is None else float(length(one.text)) for one in answers]
    rows: list[Row] = [mean("characters", lengths, level, seed=seed)]
    rows += [
        share(
            f"answers with {name}",
            [None if one is None else one[name] > 0 for one in styles],
            level,
        )
        for name in SHOWN
    ]
    rows.append(
        share("answers cut by the limit", [None if one is None else one.cut for one in answers], level)
    )
    transcripts = [
        Transcript(
            prompt, "asked", with_answer(user(prompt), answer), dict(found or {}), bool(answer and answer.cut)
        )
        for prompt, answer, found in zip(prompts, answers, styles, strict=True)
    ]
    return ProbeResult(NAME, tuple(rows), tuple(transcripts))
