"""Bring ``docs/algorithms/*.md`` up to date with the catalogue.

    python scripts/algorithm_tables.py

A page that begins with the mark is written whole. Of the others, written by hand, only what stands
between the two markers is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from algorithm_losses import NEEDED, losses, markdown, summary

from charter.catalogue import ENTRIES, Entry
from charter.catalogue.entry import option_json
from charter.catalogue.from_trl import TRAINERS, trainers_of
from charter.catalogue.options import TrainOptions
from charter.cli.algorithm_words import option_groups, who_samples
from charter.training.terms import by_name

PAGES = Path(__file__).parent.parent / "docs" / "algorithms"
START, END = "<!-- options: written by scripts/algorithm_tables.py -->", "<!-- end of options -->"
WHOLE = "<!-- this page is written by scripts/algorithm_tables.py -->"


def updated(text: str, entry: Entry) -> str:
    """``text`` with what this script writes written anew; no text = a new page.

    Raises:
        ValueError: the page lacks a marker.
    """
    if not text or text.startswith(WHOLE):
        return whole_page(entry)
    head, start, rest = text.partition(START)
    _, end, tail = rest.partition(END)
    if not (start and end):
        raise ValueError(f"the page of {entry.name} lacks a marker: {START} ... {END}")
    return f"{head}{START}\n{_of_options(entry)}\n{END}{tail}"


def whole_page(entry: Entry) -> str:
    """The page of an algorithm, from its entry and the docstrings of its objectives."""
    return "\n".join(_lines(entry)) + "\n"


def _lines(entry: Entry) -> Iterator[str]:
    traits = entry.traits
    yield f"{WHOLE}\n\n# {entry.title} (`{entry.name}`)\n"
    yield f"{_sentence(entry.best_for)} Paper: {_paper(entry.paper)}.\n"
    yield f"## Loss\n\n```\n{traits.formula}\n```\n"
    yield f"**How it learns**: {traits.mechanism}.\n"
    for name, text in losses(entry):
        yield f"### {name}\n\n{text}\n"
    yield from _data(entry)
    yield from _rollouts(entry)
    if entry.rows:
        yield _made("Rows are changed first", entry.rows)
    if entry.arrange:
        yield _made("What is trained on is made of them", entry.arrange)
    yield "## Run it\n"
    yield f"```\n{command(entry)}\n```\n"
    if entry.rollouts is not None:
        yield (
            "`--reward-funcs` also takes a constitution, `FILE.py:FUNCTION`, a reward model's folder, and is "
            "given once for each reward. How a round flows, rewards and environments: "
            "[online training](../online.md).\n"
        )
    yield "## When to use it, and what goes wrong\n"
    yield f"- **Best for** {entry.best_for}."
    yield f"- **Watch**: {entry.watch}."
    yield f"- **Stability**: {traits.stability}."
    yield f"- **Moving parts**: {traits.complexity}."
    yield f"- **In memory**: {', '.join(entry.models)}. Reference: {entry.reference}.\n"
    yield from _trl(entry)
    yield f"## Options\n\n{START}\n{_of_options(entry)}\n{END}"


def _data(entry: Entry) -> Iterator[str]:
    """The columns it reads, and rows to copy."""
    columns = entry.reads()
    yield f"## Data\n\n{columns.text}. Optional columns and all formats: [data](../data.md).\n"
    if columns.rows:
        rows = "\n".join(json.dumps(row, ensure_ascii=False) for row in columns.rows)
        yield f"A file it trains on, one row a line:\n\n```json\n{rows}\n```\n"


def command(entry: Entry) -> str:
    """What trains with it, with the options that must be given."""
    given = "".join(
        f" --{name.replace('_', '-')} {NEEDED[name][0]}"
        for name, info in entry.options.model_fields.items()
        if info.is_required()
    )
    if entry.rollouts is None:
        return f"charter train {entry.name} --model smollm2-135m --data data.jsonl{given}"
    return f"charter train {entry.name} --model smollm2-135m --data prompts.jsonl --reward-funcs vader{given}"


def _rollouts(entry: Entry) -> Iterator[str]:
    """How it makes its own data."""
    spec = entry.rollouts
    if spec is None:
        return
    yield "## How it makes its own data\n"
    yield f"- **Sampled by** {who_samples(entry)}: `num_generations` completions of each prompt in all."
    yield (
        "- **Rewarded by** `reward_funcs`, which may read every other column of the prompts, and by the "
        "`environment` where one is played."
    )
    yield f"- **Credit** (`{spec.credit}`): {summary(by_name(spec.credit))}"
    if spec.critic:
        yield "- **A critic is trained** beside the policy, on the returns of the same rollouts."
    if not spec.tempered:
        yield "- Log-probs are those of the plain model, whatever temperature the samples had."
    if spec.restarts:
        yield "- **Every round** is trained on from the first weights."
    if spec.stepper:
        yield f"- **Steps** are taken by `{spec.stepper}`, not by AdamW alone."
    yield ""


def _made(what: str, dotted: str) -> str:
    return f"{what} (`{dotted}`): {summary(by_name(dotted))}\n"


def _trl(entry: Entry) -> Iterator[str]:
    configs = [TRAINERS[name].title for name in trainers_of(entry.name)]
    if configs:
        yield f"TRL: `{'`, `'.join(configs)}` ([coming from TRL](../from-trl.md)).\n"


def _of_options(entry: Entry) -> str:
    """The options, which of them were published, and what is known of the sources."""
    return "\n\n".join([options_table(entry), *_published(entry), *_sources(entry)])


def _published(entry: Entry) -> Iterator[str]:
    if entry.paper_settings:
        rows = (f"| `{name}` | `{json.dumps(value)}` |" for name, value in entry.paper_settings.items())
        yield "`preset: paper` sets what was published:"
        yield "\n".join(["| option | value |", "|---|---|", *rows])


def _sources(entry: Entry) -> Iterator[str]:
    if entry.sources:
        yield "## Sources and open points"
        points = (f"- **{'Settled' if s.settled else 'Open'}**: {s.point}. {s.found}" for s in entry.sources)
        yield "\n".join(points)


def options_table(entry: Entry) -> str:
    """The entry's own options, and those whose default it changes, then all the others."""
    if entry.rollouts is not None:
        parts = (f"### {title}\n\n{_table(entry, names)}" for title, names in option_groups(entry).items())
        return "\n\n".join(parts)
    changed = [name for name in TrainOptions.model_fields if _default(entry, name) != _base_default(name)]
    own = [*entry.own_options(), *changed]
    names = [*own, *(name for name in entry.options.model_fields if name not in own)]
    return _table(entry, names)


def _table(entry: Entry, names: Iterable[str]) -> str:
    lines = ["| option | type | default | meaning |", "|---|---|---|---|"]
    return "\n".join(lines + [_row(entry, name) for name in names])


def _row(entry: Entry, name: str) -> str:
    option = option_json(entry.options, name)
    default = "must be given" if option["required"] else f"`{json.dumps(option['default'])}`"
    cells = (f"`{name}`", option["type"], default, markdown(option["meaning"]))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(entry: Entry, name: str) -> Any:
    return entry.options.model_fields[name].default


def _base_default(name: str) -> Any:
    return TrainOptions.model_fields[name].default


def _paper(paper: str) -> str:
    return f"[{paper}](https://arxiv.org/abs/{paper})" if paper[:4].isdigit() else paper


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def main() -> None:
    """Write every page."""
    for entry in ENTRIES.values():
        path = PAGES / f"{entry.name}.md"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(updated(text, entry), encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
