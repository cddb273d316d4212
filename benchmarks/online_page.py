"""The page of the online study; every number on it is a measured one or a setting."""

from __future__ import annotations

import argparse
import textwrap
from collections import defaultdict
from pathlib import Path

from online_plan import (
    BASE_GENERATIONS,
    COMMAND,
    END_GENERATIONS,
    STEP,
    cells_of_study,
    finished_row,
    settings_of,
)
from online_tables import FIRST_HALF, STALENESS, Study

from charter.rundir import write_json

PAGE, PICTURES = Path("docs/results/online.md"), Path("docs/images")
PPO = (FIRST_HALF, "ppo-unnormalised", "ppo-small-batch", "ppo-ema-reference")
SAID = Path(__file__).resolve().parent / "data" / "online_findings.md"
"""What a person read from the numbers; apart, so that a page made again keeps it."""


def write_results(args: argparse.Namespace, result: Path, root: Path) -> int:
    """Everything that is made of finished cells; 1 where cells are missing."""
    cache = Path(args.cache)
    cells = cells_of_study(args)
    known = [(cell, row) for cell in cells if (row := finished_row(cell, cache, args)) is not None]
    missing = [cell.name for cell in cells if cell.name not in {found.name for found, _ in known}]
    if not known:
        print("no cell has finished")
        return 1
    rows = [row for _, row in known]
    study = Study(args, rows, missing)
    result.parent.mkdir(parents=True, exist_ok=True)
    write_json(result, study.results())
    (root / PICTURES).mkdir(parents=True, exist_ok=True)
    for name, drawing in study.drawings().items():
        (root / PICTURES / f"online_{name}.svg").write_text(drawing, encoding="utf-8")
    (root / PAGE).parent.mkdir(parents=True, exist_ok=True)
    (root / PAGE).write_text(page(study), encoding="utf-8")
    print(study.frontier_table())
    if missing:
        print(f"{len(missing)} of {len(cells)} cells are missing, the first: {missing[0]}")
    return 1 if missing else 0


def page(study: Study) -> str:
    """The page, but for what only a person can say about it."""
    parts = [_head(study)]
    if SAID.exists():
        parts.append(_joined("## What it shows", SAID.read_text(encoding="utf-8").strip()))
    parts.append(_frontier(study))
    if "online-dpo-stale" in study.settings:
        parts.append(_staleness(study))
    if study.part("ppo"):
        parts.append(_ppo(study))
    if study.toy:
        parts.append(_toy(study))
    if study.part("tasks"):
        parts.append(_tasks(study))
    shared = _p("Beside what all share; everything else is the algorithm's default.")
    parts.append(_joined("## Options", shared, study.options_table()))
    return "\n".join(parts)


def _head(study: Study) -> str:
    a, rows = study.args, study.rows
    devices = ", ".join(sorted({row["device"] for row in rows}))
    hours = sum(row["seconds_all"] for row in rows) / 3600
    missing = f"{len(study.missing)} cells are missing: {', '.join(study.missing)}." if study.missing else ""
    return _joined(
        "# Online methods on the same budget",
        _p(f"""Made by `{COMMAND}` in {hours:.1f} hours (device: {devices}, {rows[0]["machine"]["cores"]}
        cores). One cell again: `{COMMAND} --cell grpo,seed0`. Numbers of every cell:
        `benchmarks/results/online_study.json`."""),
        _p(missing),
        _p(f"""**Budget.** `{a.model}` continues neutral openings of reviews and reports: 120 to train on, and
        other {a.eval_prompts} held out. Each method samples {a.rollouts} completions of at most
        {a.tokens} tokens at temperature 1, {STEP} to an optimizer step, and trains LoRA of rank 16 on
        all linear layers; AdamW at {a.learning_rate:g}, constant after 2 steps of warm-up, for every
        method alike. A completion's reward is its `{a.reward}` score (`vader`: the compound sentiment,
        -1 to 1). AFINN, another lexicon, sums the valences of a completion's words; nothing is trained
        on it."""),
        _p(f"""**Measures.** On the held-out openings: one completion each before training and on the way,
        {END_GENERATIONS} at the end, with the same random numbers every time. *KL* to the base model in
        nats per completion, exact per token. Intervals are 95%, drawing seeds and prompts with replacement;
        three seeds are few, so what varies between runs is if anything
        understated. *Different*: share of the completions that are unlike all others. *Nats a token under
        the base*: mean negative log-likelihood of the completions under the base model; low is text
        that the base model finds usual. *Seconds* are those of sampling, rewarding and training,
        without measuring. The watchdog only warns here."""),
        _p("""One learning rate for all is not the best for each, and a method may stop short of where it
        could go. PPO passes once over its rollouts, so that every method but ReST takes as many optimizer
        steps; its clip then hardly binds. So the curves are to be read at the same KL, not only at their
        ends."""),
    )


def _frontier(study: Study) -> str:
    best = ""
    if study.best:
        best = _p(f"""Best of n, from {BASE_GENERATIONS} completions of the base model to each held-out
        opening and seed: the reward chooses, and the KL is at most log n - (n - 1) / n. Nothing is
        trained, and each answer costs n completions, now and whenever one is wanted. Curves begin higher, at
        what the base model's one completion each scored with the random numbers that all of them share
        ({_starts(study)}).""")
    return _joined(
        "## Reward against KL",
        study.frontier_table(),
        "![Reward against KL](../images/online_reward_kl.svg)",
        "![Held-out scorer against KL](../images/online_held_out_kl.svg)",
        best,
        study.best_table() if study.best else "",
        "The first held-out opening at the end of training, first seed:",
        study.answers(),
        _alarms(study),
    )


def _starts(study: Study) -> str:
    """Where the curves begin; settings of fewer seeds begin elsewhere."""
    full = [s for s in study.part("frontier") if s["seeds"] == study.args.seeds]
    return ", ".join(sorted({f"{s['points'][0]['reward'][0]:.2f}" for s in full})) or "not all measured"


def _alarms(study: Study) -> str:
    """What the watchdog said, and what was skipped."""
    raised: dict[str, list[str]] = defaultdict(list)
    for s in study.settings.values():
        for name in s["alarms"]:
            raised[name.removeprefix("watchdog/")].append(s["setting"])
    said = [f"- {name}: {', '.join(where)}" for name, where in sorted(raised.items())]
    skipped = [
        f"- {s['setting']}: {s['skipped_steps']}" for s in study.settings.values() if s["skipped_steps"]
    ]
    return _joined(
        "The watchdog warned of:" if said else "The watchdog warned of nothing.",
        "\n".join(said),
        "Steps without a gradient, because rewards were alike or none passed:" if skipped else "",
        "\n".join(skipped),
    ).rstrip("\n")


def _staleness(study: Study) -> str:
    return _joined(
        "## Fresh and stale pairs",
        _p("""After Tajwar et al. (2404.14367): the same loss (DPO, beta 0.1), as many completions and steps,
        and samples that are ever older. `online-dpo` samples its pairs for each step, `offline-dpo`
        samples them all from the base model before the first, `online-dpo-stale` is between."""),
        study.compared_table(STALENESS, "offline-dpo"),
        "![Fresh and stale pairs](../images/online_staleness.svg)",
    )


def _ppo(study: Study) -> str:
    n = next(s for s in settings_of(study.args) if s.part == "ppo").rollouts
    return _joined(
        "## What matters in PPO",
        _p(f"""The ablation of Xu et al. (2404.10719), each after {n} rollouts: advantage normalisation, batch
        size, and a reference that follows the policy, beside the frontier's PPO after as many. KL is to the
        base model in all of them."""),
        study.compared_table(PPO, FIRST_HALF),
        "![PPO with and without its parts](../images/online_ppo.svg)",
    )


def _toy(study: Study) -> str:
    return _joined(
        "## Where the pairs say nothing",
        _p(f"""After the out-of-distribution experiment of the same paper: 8 prompts with 8 answers, a policy
        of one small network, and for each prompt only some answers in pairs. DPO reads the pairs; PPO a
        reward model fitted to the same pairs. *On answers in no pair*: their probability. *Poor ones
        raised*: share of the answers in no pair, of less than middling worth, that are likelier than
        under the reference. {study.toy[0]["seeds"]} seeds, intervals over seeds."""),
        study.toy_lines(),
    )


def _tasks(study: Study) -> str:
    n = next(s for s in settings_of(study.args) if s.part == "tasks").rollouts
    return _joined(
        "## GRPO on tasks with right answers",
        _p(f"""Tasks of reasoning-gym on which `--probe` found the base model right between 10% and 60% of the
        time; {n} rollouts, 8 to a question, rewarded by the task's own score. Right: a score of at
        least 0.99. Held-out questions are not among those trained on."""),
        study.tasks_table(),
        "![Share of right answers](../images/online_tasks.svg)",
    )


def _p(text: str) -> str:
    """A paragraph, wrapped as it is filled in; what stands between backticks stays on one line."""
    parts = " ".join(text.split()).split("`")
    held = "`".join(part.replace(" ", "\0") if at % 2 else part for at, part in enumerate(parts))
    filled = textwrap.fill(held, 118, break_long_words=False, break_on_hyphens=False)
    return filled.replace("\0", " ")


def _joined(*parts: str) -> str:
    """Parts that are not empty, an empty line between."""
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"
