"""``docs/results/pluralism.md``, its plots and its numbers, from the finished cells."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pluralism_budget import Budget
from pluralism_data import HELD_OUT
from pluralism_many import HELD, SEEN
from pluralism_model import Cell, Study
from pluralism_plots import drawings
from pluralism_summary import Found, missing_answers, numbers_of
from pluralism_tables import (
    FAIR,
    HELPED,
    few_table,
    group_table,
    paired_table,
    robust_differences,
    robust_table,
    skew_differences,
    skew_table,
    worst_table,
)

from charter.errors import UserError
from charter.rundir import machine, now, sha256_json, versions, write_json, write_text

COMMAND = "python benchmarks/pluralism_study.py"
ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "results" / "pluralism.md"
RESULTS = ROOT / "benchmarks" / "results" / "pluralism_study.json"
FINDINGS = Path(__file__).parent / "data" / "pluralism_findings.md"

_MARK = re.compile(r"<!-- pluralism study: settings ([0-9a-f]+), (\d+) cells -->")
_OF = re.compile(r"<!-- of: (\S+) -->\n")


def check_page(page: Path, settings: str, cells: int) -> None:
    """Refuse to write over a page that knows more, or is of other settings.

    Raises:
        UserError: it does.
    """
    found = _MARK.search(page.read_text(encoding="utf-8")) if page.exists() else None
    if found is None:
        return
    if found.group(1) != settings:
        raise UserError(
            "the page there is of another model or budget",
            where=str(page),
            fix="write another one with --out, or over it with --overwrite",
        )
    if int(found.group(2)) > cells:
        raise UserError(
            f"the page there is of {found.group(2)} cells, and {cells} are measured",
            where=str(page),
            fix="measure the others first, or write over it with --overwrite",
        )


def write_results(found: Found, cells: Sequence[Cell], study: Study, settings: str, page: Path) -> None:
    """Write the page, its plots, and its numbers as JSON: another page's beside it."""
    pictures = page.parent.parent / "images"
    pictures.mkdir(parents=True, exist_ok=True)
    page.parent.mkdir(parents=True, exist_ok=True)
    drawn = drawings(found, study.budget)
    for name, drawing in drawn.items():
        write_text(pictures / f"pluralism_{name}.svg", drawing)
    key = digest_of(found)
    said = {"command": COMMAND, "date": now(), "machine": machine(), "versions": versions(), "key": key}
    missing = [cell.name for cell in cells if cell.name not in found]
    seconds = {name: result["seconds"] for name, result in found.items()}
    numbers = {**said, "missing": missing, **numbers_of(found, study.budget), "seconds": seconds}
    write_json(RESULTS if page == PAGE else page.with_suffix(".json"), numbers)
    lines = [
        f"<!-- pluralism study: settings {settings}, {len(found)} cells -->",
        *_head(found, cells, study),
        *findings_of(key),
        *_skew(found, study.budget, drawn),
        *_few(found, study.budget, drawn),
        *_robust(found, study.budget, drawn),
        *_method(study.budget),
    ]
    write_text(page, "\n".join(lines))


def digest_of(found: Found) -> str:
    """Of the numbers."""
    return sha256_json({name: {k: v for k, v in of.items() if k != "seconds"} for name, of in found.items()})[
        :12
    ]


def findings_of(key: str, file: Path = FINDINGS) -> Iterator[str]:
    """What a person wrote about these very numbers; of others they are not shown."""
    yield "## What was found\n"
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    of = _OF.match(text)
    if of is None or of.group(1) != key:
        yield "Nobody has written about these numbers yet.\n"
    else:
        yield text[of.end() :].strip() + "\n"


def _head(found: Found, cells: Sequence[Cell], study: Study) -> Iterator[str]:
    budget = study.budget
    minutes = sum(one["seconds"] for one in found.values()) / 60
    yield "# Preferences of groups, kept apart\n"
    yield _p(f"""Made by `{COMMAND}`, which also goes on where it was stopped. {len(found)} of {len(cells)}
        cells are measured, in {minutes:.1f} minutes. Model: `{study.model}`. Every number is in
        `benchmarks/results/pluralism_study.json`.""")
    missing = [cell for cell in cells if cell.name not in found]
    if missing:
        kinds = Counter(_part(cell.name) for cell in missing)
        yield _p(f"**Missing**: {', '.join(f'{kind}: {count}' for kind, count in kinds.items())}.")
    unanswered = missing_answers(found)
    if unanswered:
        yield _p(f"{unanswered} questions have no answer of the model and are left out.")
    yield _p(f"""The survey is synthetic: 12 groups of 40 to 620 people, {budget.questions} questions,
        shares that are known. Methods see what a finite number of people answered; every distance is from
        the true shares: Jensen-Shannon, 0 = the same, 1 = nothing in common. Intervals are 95% and draw the
        questions, each with all its groups, draws and runs. They say how sure the result is for other
        questions put to these groups and these runs, and nothing of other groups, other surveys or other
        models.""")


def _part(name: str) -> str:
    parts = name.split("/")
    return f"{parts[0]} ({parts[-1]})" if parts[0] in ("in-context", "fine-tuned") else "/".join(parts[:2])


def _skew(found: Found, budget: Budget, drawn: dict[str, str]) -> Iterator[str]:
    yield "## One model for everybody: does the majority take all?\n"
    yield _p(f"""{budget.pairs} votes of people drawn from all groups, on two thirds of the questions. The
        same votes train each method: DPO on the option chosen against another one; GDPO (2412.20299), whose
        target shares are *estimated from these votes* ({budget.pairs // max(1, 2 * budget.questions // 3)}
        or so a question, half a vote added to each option), with the option chosen as the belief; SFT on
        the option chosen, which is GDPO without its other terms. LoRA, one pass, learning rate
        {budget.lr:g} for all, chosen for none of them. *Majority*: the model's share of the option that
        most people chose, less the people's. *Peak*: the same of whichever option the model likes best. 0
        is right for both.""")
    yield "### Held-out questions\n"
    yield from _picture("skew", "Distances of methods on held-out questions", drawn)
    yield from skew_table(found, budget, HELD)
    yield _p(
        "*Mean of groups* is the mean of what all groups answered to these very questions: no method has it."
    )
    yield from skew_differences(found, budget, HELD)
    yield "### Questions that were trained on\n"
    yield _p("""Here GDPO's loss names the shares it should reach, as far as the votes tell them; *votes,
        smoothed* is that estimate itself, without a model.""")
    yield from skew_table(found, budget, SEEN)
    yield from skew_differences(found, budget, SEEN)


def _few(found: Found, budget: Budget, drawn: dict[str, str]) -> Iterator[str]:
    count = budget.questions // 3
    yield "## New groups, from a few answers\n"
    yield _p(f"""Held out: {", ".join(HELD_OUT)}. All predictors are asked the same {count} questions of
        each, and know the same of its other answers. Which ones are known is drawn {budget.draws} times,
        for the language model {budget.model_draws} times, as far as measured (*draws*); a smaller number of
        known answers is part of a larger one. GPO (2310.11523) learned from the other eight groups and
        never sees a group's name. The language model is told the name; *in-context* also reads the known
        answers, *fine-tuned* is trained on them and on nothing else. Learning rates were chosen on training
        groups: GPO's by leaving each of {budget.gpo_folds} of them out once, fine-tuning's on
        {budget.tuned_on} of them ({_rates(found)}).""")
    yield "### Target questions that no training group was asked\n"
    yield _p(
        "The comparison that is fair to the language model, which has not seen any group's answers to them."
    )
    yield from _picture("few", "Distance by number of known answers", drawn)
    yield from few_table(found, budget, FAIR)
    yield from worst_table(found, budget, FAIR)
    yield from paired_table(found, budget, FAIR[0], FAIR[1:])
    yield "### Target questions that the training groups were asked\n"
    yield _p("""GPO and the baselines over groups hold eight groups' answers to the very questions they
        predict; in-context and fine-tuning do not. This is the usual case where the same survey is put to a
        new group, and no comparison of methods with the language model above.""")
    yield from few_table(found, budget, HELPED)
    yield from worst_table(found, budget, HELPED)
    yield from paired_table(found, budget, HELPED[0], HELPED[1:])


def _rates(found: Found) -> str:
    said = {}
    for cell, result in found.items():
        if "learning_rate" in result:
            said[cell.split("/")[0]] = f"{cell.split('/')[0]} {result['learning_rate']:g}"
    return ", ".join(said.values()) or "not chosen yet"


def _robust(found: Found, budget: Budget, drawn: dict[str, str]) -> Iterator[str]:
    yield "## The worst-off group\n"
    yield _p(f"""{budget.pairs} preferences, from each group in proportion to its people, the group named in
        the prompt; measured on questions that were not trained on, the group named. gr-dpo is 2405.20304.
        The worst of twelve means is too high by selection, the same for each method.""")
    yield from _picture("groups", "Distances of groups under DPO and group-robust DPO", drawn)
    yield from robust_table(found, budget)
    yield from robust_differences(found, budget)
    yield from group_table(found, budget)


def _method(budget: Budget) -> Iterator[str]:
    yield "## How it was measured\n"
    yield _p(f"""The model's answer is the probability of each option's letter, the mean of both orders of
        the options. Means are over groups, questions, draws and {budget.seeds} seeds of what is trained. A
        cell's file holds each question's distance, so any other mean can be made of them. Cells are kept by
        settings and code, and a change of code measures anew.""")


def _picture(name: str, said: str, drawn: dict[str, str]) -> Iterator[str]:
    if name in drawn:
        yield f"![{said}](../images/pluralism_{name}.svg)\n"


def _p(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 140) + "\n"
