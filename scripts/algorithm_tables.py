"""Bring ``docs/algorithms/*.md`` up to date with the catalogue.

    python scripts/algorithm_tables.py

A page that begins with the mark is written whole. Of the others, written by hand, only what stands
between the two markers is.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from charter.catalogue import ENTRIES, Entry
from charter.catalogue.entry import Data, option_json
from charter.catalogue.from_trl import TRAINERS, trainers_of
from charter.catalogue.options import TrainOptions
from charter.cli.algorithm_words import option_groups, who_samples

PAGES = Path(__file__).parent.parent / "docs" / "algorithms"
START, END = "<!-- options: written by scripts/algorithm_tables.py -->", "<!-- end of options -->"
WHOLE = "<!-- this page is written by scripts/algorithm_tables.py -->"

COLUMNS: dict[Data, str] = {
    "sft": "`prompt` and `completion`; or `messages`; or `text`",
    "preference": "`prompt`, `chosen`, `rejected`; or `prompt`, `responses` with `ranks` or `scores`",
    "unpaired": "`prompt`, `completion`, `label`; or pairs, which are taken apart",
    "rated": "`prompt`, `responses`, `scores`",
    "attributes": "`prompt`, `response`, `scores` (`{name: number or null}`); or `responses`, each with such",
    "steps": "`prompt`, `completions` (the steps of one answer), `labels`",
    "prompts": "`prompt`",
}


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
    return f"{head}{START}\n{options_table(entry)}\n{END}{tail}"


def whole_page(entry: Entry) -> str:
    """The page of an algorithm, from its entry and the docstrings of its objectives."""
    return "\n".join(_lines(entry)) + "\n"


def _lines(entry: Entry) -> Iterator[str]:
    traits = entry.traits
    yield f"{WHOLE}\n\n# {entry.title} (`{entry.name}`)\n"
    yield f"{_sentence(entry.best_for)} Paper: {_paper(entry.paper)}.\n"
    yield f"## Loss\n\n```\n{traits.formula}\n```\n"
    yield f"**How it learns**: {traits.mechanism}.\n"
    for title, text in _objectives(entry):
        yield f"### `{title}`\n\n{text}\n"
    yield "## Data\n"
    yield f"{COLUMNS[entry.data]}. Optional columns and all formats: [data](../data.md).\n"
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
    yield from _published(entry)
    yield f"## Options\n\n{START}\n{options_table(entry)}\n{END}"


def command(entry: Entry) -> str:
    """What trains with it, with the options that must be given."""
    given = "".join(
        f" --{name.replace('_', '-')} {_NEEDED[name]}"
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
    module, _, name = spec.credit.partition(":")
    said = inspect.getdoc(getattr(importlib.import_module(module), name)) or ""
    summary = _markdown(" ".join(said.split("\n\n")[0].split()), module)
    yield f"- **Credit** (`{spec.credit}`): {summary}"
    if spec.critic:
        yield "- **A critic is trained** beside the policy, on the returns of the same rollouts."
    if not spec.tempered:
        yield "- Log-probs are those of the plain model, whatever temperature the samples had."
    if spec.restarts:
        yield "- **Every round** is trained on from the first weights."
    if spec.stepper:
        yield f"- **Steps** are taken by `{spec.stepper}`, not by AdamW alone."
    yield ""


_NEEDED = {"ptx_data": "text.jsonl", "reward_thresholds": "0.5"}
"""What stands for options without a default in an example."""


def _objectives(entry: Entry) -> Iterator[tuple[str, str]]:
    """Docstrings of the terms and of the functions they name, without how to call them."""
    shown = set()
    for dotted in dict.fromkeys(term.objective for term in entry.terms):
        module, _, name = dotted.partition(":")
        found = importlib.import_module(module)
        text = inspect.getdoc(getattr(found, name)) or ""
        for part in (name, *re.findall(r":func:`~?(\w+)`", text)):
            if part not in shown and hasattr(found, part):
                shown.add(part)
                yield part, _said(getattr(found, part), module)


def _said(thing: Any, module: str) -> str:
    text = inspect.getdoc(thing) or ""
    return _markdown(re.split(r"\n(?:Args|Returns|Raises|Attributes):\n", text)[0].strip(), module)


def _made(what: str, dotted: str) -> str:
    module, _, name = dotted.partition(":")
    text = (inspect.getdoc(getattr(importlib.import_module(module), name)) or "").split("\n\n")[0]
    return f"{what} (`{dotted}`): {_markdown(' '.join(text.split()), module)}\n"


def _markdown(text: str, module: str) -> str:
    """A docstring's reStructuredText as Markdown."""
    text = re.sub(r":\w+:`~?([\w.]+)`", lambda found: f"`{found.group(1).rsplit('.', 1)[-1]}`", text)
    return text.replace("``", "`")


def _trl(entry: Entry) -> Iterator[str]:
    configs = [TRAINERS[name].title for name in trainers_of(entry.name)]
    if configs:
        yield f"TRL: `{'`, `'.join(configs)}` ([coming from TRL](../from-trl.md)).\n"


def _published(entry: Entry) -> Iterator[str]:
    if entry.paper_settings:
        yield "`preset: paper` sets what was published:\n"
        yield "| option | value |\n|---|---|"
        for name, value in entry.paper_settings.items():
            yield f"| `{name}` | `{json.dumps(value)}` |"
        yield ""


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
    cells = (f"`{name}`", option["type"], default, option["meaning"])
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
