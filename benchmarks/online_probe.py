"""How often the base model solves easy tasks, and which two are worth training on."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from online_measure import scored
from online_plan import TASKS
from online_tasks import EASY, LUCK, PROBE_SEED, choose, family, held_out_tasks, same_answer, spec_of

import charter
from charter.data.formats import LoadedData
from charter.data.prepare import prepare
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.engines.sample import sample_prompts
from charter.errors import CharterError
from charter.feedback.rewards import open_rewards
from charter.rundir import write_json

QUESTIONS, GENERATIONS, TOKENS, RIGHT, WANTED = 20, 2, 24, 0.99, 2
"""Questions of a candidate, answers to each, most tokens, the score of a right answer, tasks wanted."""

ASKED = ("", "instruction=answer", "shots=6")
"""How: as it stands, with an instruction on the form, after solved examples."""


def probe(model: str, held_out: int, tasks: Sequence[str] = EASY, file: Path = TASKS) -> list[dict[str, Any]]:
    """Print the success rate of each candidate, and write the rates and the two chosen to ``file``.

    A candidate must have ``held_out`` questions that are not trained on.
    """
    policy = charter.load(model)
    engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)
    rows: list[dict[str, Any]] = []
    print(f"{'right':>6} {'score':>6} {'luck':>5} {'tokens':>6} {'cut':>5}  task")
    with closing(open_rewards(["reasoning-gym"])) as rewards:
        for spec in (spec_of(task, asked) for task in tasks for asked in ASKED):
            try:
                held_out_tasks(spec, held_out)
                luck = same_answer(spec)
                questions = tuple(held_out_tasks(spec, QUESTIONS, PROBE_SEED))
                asked = prepare(LoadedData(questions, {}, "prompts", spec), policy.template).groups
            except (CharterError, ValueError) as fault:
                print(f"left out: {str(fault).splitlines()[0]}")
                continue
            sampling = Sampling(temperature=1.0, max_completion_length=TOKENS, seed=PROBE_SEED)
            groups = sample_prompts(engine, asked, GENERATIONS, sampling)
            values = [v for each in scored({"reward": rewards}, groups)["reward"] for v in each]
            known = [v for v in values if v is not None]
            if not known:
                print(f"left out: no answer could be scored  {spec}")
                continue
            said = [s.completion for group in groups for s in group.samples]
            row = {
                "spec": spec,
                "right": statistics.fmean(v >= RIGHT for v in known),
                "score": statistics.fmean(known),
                "luck": luck,
                "missing": len(values) - len(known),
                "tokens": statistics.fmean(len(c.token_ids) for c in said),
                "cut": statistics.fmean(c.finish_reason == "length" for c in said),
            }
            rows.append(row)
            rates = f"{row['right']:6.0%} {row['score']:6.2f} {row['luck']:5.0%}"
            print(f"{rates} {row['tokens']:6.1f} {row['cut']:5.0%}  {spec}", flush=True)
    chosen = choose([(row["spec"], row["right"]) for row in rows if row["luck"] <= LUCK])
    write_json(
        file,
        {
            "model": model,
            "chosen": [{"name": family(spec), "spec": spec, "tokens": TOKENS} for spec in chosen],
            "rates": rows,
        },
    )
    print(f"chosen: {', '.join(chosen) or 'none'}")
    if len(chosen) < WANTED:
        print(f"fewer than {WANTED} kinds of tasks start in the band: add candidates to online_tasks.EASY")
    return rows
