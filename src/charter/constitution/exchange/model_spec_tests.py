"""The evaluation prompts of a Model Spec: ``abcd.md`` holds those of the footnote ``[^abcd]``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from charter.constitution.constitution import Constitution, read_text
from charter.constitution.document import Fence, Prose, read_document
from charter.constitution.examples import Example, Turn, read_example
from charter.constitution.exchange.imported import Remark
from charter.constitution.principle import Principle
from charter.constitution.yaml_flow import flow
from charter.errors import ConstitutionError

_FOOTNOTE = re.compile(r"\[\^(\w+)\]")
_TITLE = re.compile(r"^\*\*Example(?:\*\*:|:\*\*)\s*(.*)$")


@dataclass(frozen=True, slots=True)
class Gathered:
    """Tests to be written into a constitution.

    Attributes:
        blocks: lines of a tests block by the line of the text that they go before, from 1.
        counts: what the folder held.
        left_out: prompts and footnotes without a place.
    """

    blocks: Mapping[int, list[str]]
    counts: Mapping[str, int]
    left_out: tuple[Remark, ...]


@dataclass
class _Tests:
    of: dict[str, list[str]] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)
    prompts: set[str] = field(default_factory=set)
    conversations: int = 0
    left_out: list[Remark] = field(default_factory=list)


def no_tests() -> Gathered:
    """Where no folder was given."""
    return Gathered({}, {}, ())


def gather(constitution: Constitution, text: str, folder: str) -> Gathered:
    """Tests from ``folder`` for the principles of ``constitution``, which ``text`` holds.

    A test is a prompt, or a conversation where there are several messages or a system's or developer's.
    Prompts that an example of the file shows, and answers that a file gives, are left out.

    Raises:
        ConstitutionError: no such folder, no prompt file in it, or a file that cannot be read.
    """
    files = _files(folder)
    tagged = _tagged(constitution, text)
    tests = _Tests(shown={_normal(prompt) for prompt in _shown(constitution)})
    for name, path in files.items():
        if name not in tagged:
            tests.left_out.append(Remark(str(path), f"no footnote [^{name}] in the text"))
        elif tagged[name][1] is None:
            where = f"{constitution.path}:{tagged[name][0]}"
            tests.left_out.append(Remark(str(path), f"the footnote on {where} stands under no principle"))
    for name, (line, principle) in tagged.items():
        if name not in files:
            tests.left_out.append(
                Remark(f"{constitution.path}:{line}", f"no file for the footnote [^{name}]")
            )
        elif principle is not None:
            _add(tests, principle, name, files[name])
    counts = {
        "footnotes": len(tagged),
        "footnotes without a file": sum(name not in files for name in tagged),
        "files of prompts": len(files),
        "files without a footnote": sum(name not in tagged for name in files),
        "prompts read": sum(len(_conversations(path)) for path in files.values()),
        "tests that are conversations": tests.conversations,
        "principles of some level without a test": sum(
            bool(p.level) and not p.tests and p.id not in tests.of for p in constitution.principles
        ),
    }
    return Gathered(_blocks(constitution, text, tests), counts, tuple(tests.left_out))


def _files(folder: str) -> dict[str, Path]:
    where = Path(folder)
    if not where.is_dir():
        raise ConstitutionError("no such folder", where=folder, fix="give the folder of the prompt files")
    found = {path.stem: path for path in sorted(where.glob("*.md"))}
    if not found:
        raise ConstitutionError("no prompt file in it", where=folder, fix="expected files such as abcd.md")
    return found


def _tagged(constitution: Constitution, text: str) -> dict[str, tuple[int, Principle | None]]:
    """Line and principle of each footnote's first mention."""
    by_id = {principle.id: principle for principle in constitution.principles}
    found: dict[str, tuple[int, Principle | None]] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        for name in _FOOTNOTE.findall(line):
            above = [heading for heading in constitution.headings if heading.line <= number]
            found.setdefault(name, (number, by_id.get(above[-1].id) if above else None))
    return found


def _add(tests: _Tests, principle: Principle, name: str, path: Path) -> None:
    if principle.tests:
        where = str(path)
        tests.left_out.append(Remark(where, f"{principle.id!r} has a tests block of its own"))
        return
    for number, example in enumerate(_conversations(path), start=1):
        where = f"{path}:{example.line}"
        lines = _lines(example)
        if lines is None:
            tests.left_out.append(Remark(where, "nothing to ask: no message, an empty one, or answers"))
            continue
        said = _normal(" ".join(line["content"] for line in lines))
        by_user = _normal(" ".join(line["content"] for line in lines if line["role"] == "user"))
        if said in tests.prompts or by_user in tests.shown:
            tests.left_out.append(Remark(where, "an example or another test asks the same"))
            continue
        tests.prompts.add(said)
        tests.left_out += [Remark(where, f"what a tag says: {extra}") for extra in _attributes(example)]
        single = len(lines) == 1 and lines[0]["role"] == "user"
        tests.conversations += not single
        asked = {"prompt": lines[0]["content"]} if single else {"conversation": lines}
        values = {"id": f"{name}-{number}", "kind": "judge", **asked}
        tests.of.setdefault(principle.id, []).append(f"- {flow(values)}")


def _conversations(path: Path) -> list[Example]:
    parts = read_document(read_text(path), str(path)).parts
    title, found = "", list[Example]()
    for part in parts:
        if isinstance(part, Prose) and (said := _TITLE.match(part.text)):
            title = said[1]
        elif isinstance(part, Fence) and part.info.split()[:1] == ["xml"]:
            found.append(read_example(title, part, part.line, str(path)))
    return found


def _lines(example: Example) -> list[dict[str, str]] | None:
    """The messages before the answer that is tested; None where none is left to give."""
    turns = [step for step in example.steps if isinstance(step, Turn)]
    if not turns or len(turns) < len(example.steps) or turns[-1].speaker == "assistant":
        return None
    if not all(turn.text for turn in turns):
        return None
    return [{"role": turn.speaker, "content": turn.text} for turn in turns]


def _attributes(example: Example) -> list[str]:
    return [step.attributes for step in example.steps if isinstance(step, Turn) and step.attributes]


def _shown(constitution: Constitution) -> Iterator[str]:
    for principle in constitution.principles:
        for example in principle.examples:
            yield from example.prompts()
        yield from (prompt for case in principle.tests for prompt in case.prompts())


def _blocks(constitution: Constitution, text: str, tests: _Tests) -> dict[int, list[str]]:
    """Each principle's block stands before the next heading, or at the end."""
    starts = [heading.line for heading in constitution.headings]
    end = text.count("\n") + 2
    blocks = {}
    for principle in constitution.principles:
        if principle.id in tests.of:
            at = min((line for line in starts if line > principle.line), default=end)
            block = ["```yaml tests", *tests.of[principle.id], "```", ""]
            blocks[at] = block if at < end else ["", *block]
    return blocks


def _normal(text: str) -> str:
    return re.sub(r"\W+", " ", text.casefold()).strip()
