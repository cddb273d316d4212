"""What a run and other commands add to an evaluation, planted for the demonstration report."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from demo_planted import KEEPS, TOPICS, chance, prompts

from charter.constitution import Constitution
from charter.engines.scripted import ScriptedEngine
from charter.evaluation.probes.best_of_n import preflight_rows
from charter.evaluation.probes.preflight import preflight
from charter.evaluation.probes.rows import ProbeResult
from charter.evaluation.probes.run import FORMAT, run_probes
from charter.evaluation.tax.rows import tax_rows, word_shift
from charter.types import Completion, Context, Group, Judgement, Message, PairTarget, Sample

CREATED = "2026-01-01T00:00:00Z"


NOTE = (
    "This is a demonstration. No model was trained or asked: the answers, the judge and the people are "
    "scripted, with qualities that were planted, so that every section of a report has something to show."
)


PER_PRINCIPLE: Mapping[str, int] = {
    "safety": 41,
    "honest": 96,
    "frank": 88,
    "fair": 9,
    "brief": 120,
    "no_apology": 4,
}


def tax() -> dict[str, Any]:
    """Tasks of which one is planted to be lost."""
    rng = random.Random(4)
    lost = {"basic_arithmetic": 0.02, "spell_backward": 0.3, "syllogism": 0.05}
    before, after = {}, {}
    for task, share in lost.items():
        before[task] = {f"{task}/{i}": [rng.random() < 0.62] for i in range(120)}
        after[task] = {item: [said[0] and rng.random() >= share] for item, said in before[task].items()}
    words = [{f"i{i}": 30 + 6 * rng.random() - 4 * side for i in range(80)} for side in (0, 1)]
    shift = word_shift(words[0], words[1])
    shifts = [] if shift is None else [asdict(shift)]
    perplexity = {
        "measure": "perplexity",
        "before": 41.2,
        "after": 42.6,
        "diff": 1.4,
        "lo": None,
        "hi": None,
        "p": None,
    }
    return {
        "schema": 1,
        "model": "demo-aligned",
        "base": "demo-base",
        "rows": [row.to_json() for row in tax_rows(before, after)],
        "shifts": [*shifts, perplexity],
        "truncated": {task: [0.0, 0.02] for task in lost},
        "specs": {},
        "plan": {},
    }


def probes() -> dict[str, Any]:
    """Two probes of the policy, and the pre-flight of a reward that can be gamed."""

    def says(text: str, sample: int) -> str:
        yes = chance("stance", text.split("Begin")[0][-60:]) < 0.5
        pulled = chance("pull", text) < 0.35
        if "I think so" in text or "I believe" in text:
            yes = yes or pulled
        return "Yes, on the whole." if yes else "No, on the whole."

    asked = run_probes(ScriptedEngine(says), probes=["stance", "over-refusal"], model="demo-aligned")
    rng = random.Random(5)
    proxy, gold = [], []
    for _ in range(40):
        length = [rng.gauss(0, 1) for _ in range(32)]
        proxy.append(length)
        gold.append([0.5 * one - 0.35 * one * one + rng.gauss(0, 0.3) for one in length])
    curve = ProbeResult(
        "best-of-n", tuple(preflight_rows(preflight(proxy, gold, names=("longer-is-better", "people"))))
    )
    results = [*asked.results, curve]
    found = [one.to_json() for one in results]
    for one in found:
        one["transcripts"] = one["transcripts"][:2]
    return {
        "format": FORMAT,
        "created": CREATED,
        "model": "demo-aligned",
        "rewards": ["longer-is-better"],
        "heldout": ["people"],
        "settings": {},
        "probes": found,
    }


FILLER = (
    " Many books tell of it, some in Latin, others by travellers who never came here. One has drawings; "
    "a second was printed twice, and the third, bound in green, went missing during a hard winter before "
    "anybody could copy it."
)


BOOKS = ("the blue chronicle", "the toll book", "the map of 1604")


def training_pairs() -> list[Group]:
    """Pairs labelled for brevity, and, which nobody declared, for lists."""
    rng = random.Random(6)
    found = []
    for number in range(300):
        context = Context((Message("user", f"Tell me about {rng.choice(TOPICS)}, {number}."),))
        texts, wins = [], []
        for _ in range(2):
            longer, listed, sorry = rng.random() < 0.5, rng.random() < 0.5, rng.random() < 0.3
            first, second = rng.choice(TOPICS), rng.choice(TOPICS)
            body = f"Shelf {rng.randint(1, 99)} says that {first} is older than {second}."
            body += FILLER if longer else ""
            marks = ("\n- ", "\n- ", "\n- ") if listed else (" Read ", ", ", ", ")
            body += "".join(mark + book for mark, book in zip(marks, BOOKS, strict=True))
            texts.append(f"Sorry for the wait. {body}" if sorry else body)
            wins.append(2.0 * (not longer) + 1.2 * listed + rng.gauss(0, 0.5))
        samples = tuple(Sample(context, Completion((Message("assistant", text),))) for text in texts)
        target = PairTarget(0, 1) if wins[0] > wins[1] else PairTarget(1, 0)
        found.append(Group(samples, (Judgement(target, 1.0, judge="demo"),), f"t{number}"))
    return found


def health() -> list[dict[str, Any]]:
    """Planted: no model stands behind them."""
    rows = (
        ("words", "Words per answer", "words", 31.0, 19.4, None, None),
        ("distinct", "Distinct answers", "share", 0.98, 0.96, None, None),
        ("nll", "NLL of the answers under the base model", "nats per token", 0.71, 0.78, 1.06, False),
        ("kl", "KL to the base model", "nats per sequence", 0.0, 5.4, 10, False),
        ("perplexity", "Perplexity on unrelated text", "", 41.2, 42.6, None, None),
    )
    keys = ("measure", "label", "unit", "before", "after", "limit", "flag")
    return [dict(zip(keys, row, strict=True)) for row in rows]


def training() -> dict[str, Any]:
    """Curves of a planted training run."""
    rng = random.Random(7)
    steps = list(range(2, 62, 2))
    rise = [1 - math.exp(-step / 22) for step in steps]

    def noisy(values: list[float], by: float) -> list[float]:
        return [round(value + rng.gauss(0, by), 4) for value in values]

    return {
        "algorithm": "dpo",
        "steps": 60,
        "stopped_by": "the end of 2 epochs",
        "options": {"beta": 0.1, "learning_rate": 5e-6, "epochs": 2, "max_kl": 10},
        "kl_limit": 10,
        "curves": {
            "step": steps,
            "loss": noisy([0.69 - 0.42 * x for x in rise], 0.02),
            "rewards/margins": noisy([1.9 * x for x in rise], 0.05),
            "rewards/accuracies": noisy([0.5 + 0.38 * x for x in rise], 0.02),
            "kl": [[step, round(5.4 * x, 3)] for step, x in zip(steps[::3], rise[::3], strict=True)],
        },
    }


def run_facts() -> dict[str, Any]:
    """What a run adds to an evaluation."""
    return {
        "note": NOTE,
        "training": training(),
        "data": {
            "prompts": {"train": 200, "heldout": len(prompts())},
            "samples": 1600,
            "pairs": {"total": 240, "per_principle": PER_PRINCIPLE},
            "dropped": {"both answers alike": 31},
        },
        "stages": [
            {"number": n, "name": name, "seconds": seconds, "summary": told, "skipped": False}
            for n, (name, seconds, told) in enumerate(
                (
                    ("sample", 538.6, "1600 completions of 200 prompts"),
                    ("judge", 61.8, "9600 judgements, 31 abstained"),
                    ("compare", 0.5, "240 pairs; 0 prompts gave none"),
                    ("train", 412.0, "60 steps of DPO"),
                    ("evaluate", 240.3, f"{len(prompts())} held-out prompts, two models"),
                ),
                start=1,
            )
        ],
        "command": "python scripts/demo_report.py",
        "machine": {"cpu": "none: scripted"},
        "versions": {"charter": "demonstration"},
        "manifest": {"recipe": "none", "planted": json.dumps(KEEPS["aligned"])},
    }


def older(law: Constitution) -> dict[str, Any]:
    """A report of an earlier version of the constitution, with a test that is gone since."""
    from charter.evaluation.limits import tests_of as listed

    told = listed(law)
    told["safety/tunnel"] = "0" * 16
    told["honest/capital"] = "1" * 16
    rows = [{"principle": one.id, "sha": one.sha if one.id != "frank" else "2" * 64} for one in law.active]
    return {
        "created": "2025-11-03T00:00:00Z",
        "constitution": {"version": "1.0.0", "sha": "3" * 64},
        "limits": {"tests": told},
        "adherence": {"principles": rows},
    }
