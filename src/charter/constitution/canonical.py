"""A constitution as the text of a file that reads back as the same constitution."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from charter.constitution.cases import Case
from charter.constitution.constitution import Constitution
from charter.constitution.document import Heading
from charter.constitution.examples import Answer, Comparison, Example, Turn
from charter.constitution.front_matter import FrontMatter
from charter.constitution.principle import Principle
from charter.constitution.rule_tree import Check, Rule, Rules
from charter.constitution.yaml_flow import flow
from charter.errors import ConstitutionError

_FENCE_MARK = re.compile(r"^ {0,3}(~{3,})", re.MULTILINE)
_NOTHING: Mapping[str, str] = MappingProxyType({})


def canonical_text(constitution: Constitution, meta: Mapping[str, str] = _NOTHING) -> str:
    """The file: front matter, headings and principles in their order.

    Prose under headings that are no principle, and ``!!! meta`` notes, are not
    part of a :class:`Constitution` and so cannot be written.

    Args:
        meta: text of a ``!!! meta "Related"`` note by principle id.

    Raises:
        ConstitutionError: something in it cannot be written so that it reads back as it is.
    """
    by_id = {principle.id: principle for principle in constitution.principles}
    parts = [_front_matter(constitution.front)]
    for heading in constitution.headings:
        principle = by_id.get(heading.id)
        if principle is None:
            parts.append(_structure(heading))
        else:
            parts.append(_principle(principle, heading.depth, meta.get(principle.id, "")))
    text = "\n".join(parts)
    _reads_back(constitution, text)
    return text


# -- writing ------------------------------------------------------------------


def _front_matter(front: FrontMatter) -> str:
    said = front.model_dump(mode="json", exclude_defaults=True)
    gates = said.pop("gates", {})
    values = {"constitution": front.constitution, "name": front.name, "version": front.version}
    values |= {key: value for key, value in said.items() if key not in values}
    values["levels"] = list(front.levels)
    if gates:
        flat = dict(gates.get("levels", {}))
        values["gates"] = flat | ({"regression": gates["regression"]} if gates.get("regression") else {})
    lines = [f"{key}: {flow(value)}" for key, value in values.items()]
    return "\n".join(["---", *lines, "---", ""])


def _structure(heading: Heading) -> str:
    attributes = f" {{#{heading.id}}}" if heading.id else ""
    return f"{'#' * heading.depth} {heading.title}{attributes}\n"


def _principle(principle: Principle, depth: int, meta: str) -> str:
    blocks = [f"{'#' * depth} {principle.title} {{{_attributes(principle)}}}".replace("  {", " {")]
    if principle.text:
        blocks.append(principle.text)
    if principle.rationale:
        blocks.append(_note("why", "Reason", principle.rationale))
    if meta:
        blocks.append(_note("meta", "Related", meta))
    if principle.rubric is not None:
        values = principle.rubric.model_dump(exclude_defaults=True)
        blocks.append(_block("rubric", [f"{key}: {flow(value)}" for key, value in values.items()]))
    if principle.rules is not None:
        blocks.append(_block("rules", _rules_lines(principle.rules)))
    blocks += [_example(example) for example in principle.examples]
    if principle.tests:
        blocks.append(_block("tests", [f"- {flow(case_values(case))}" for case in principle.tests]))
    if principle.provenance is not None:
        values = principle.provenance.model_dump(mode="json", exclude_defaults=True)
        blocks.append(_block("provenance", [f"{key}: {flow(value)}" for key, value in values.items()]))
    return "\n\n".join(blocks) + "\n"


def _attributes(principle: Principle) -> str:
    words = [f"#{principle.id}"]
    if principle.level:
        words.append(f"authority={shlex.quote(principle.level)}")
    if principle.type is not None:
        words.append(f"type={principle.type}")
    if principle.weight != 1.0:
        whole = principle.weight.is_integer()
        words.append(f"weight={int(principle.weight) if whole else repr(principle.weight)}")
    if principle.hard:
        words.append("hard=true")
    if principle.tags:
        words.append(f"tags={shlex.quote(','.join(principle.tags))}")
    if not principle.active:
        words.append(f"status={principle.status}")
    return " ".join(words)


def _note(kind: str, title: str, text: str) -> str:
    indented = "\n".join(f"    {line}".rstrip() for line in text.split("\n"))
    return f'!!! {kind} "{title}"\n{indented}'


def _block(kind: str, lines: list[str]) -> str:
    return "\n".join([f"```yaml {kind}", *lines, "```"])


def case_values(case: Case) -> dict[str, Any]:
    """A test as the mapping that a ``yaml tests`` block holds."""
    values = case.to_dict()
    ordered = {key: values.pop(key) for key in ("id", "kind")}
    values.pop("rules", None)
    return {**ordered, **values, **({"rules": _rules(case.rules)} if case.rules else {})}


def _rules(rules: Rules) -> dict[str, Any]:
    tree = _rule(rules.rule)
    if rules.applies_when is None:
        return tree
    return {"applies_when": rules.applies_when.model_dump(mode="json", exclude_defaults=True), **tree}


def _rules_lines(rules: Rules) -> list[str]:
    lines: list[str] = []
    for key, value in _rules(rules).items():
        if isinstance(value, list):
            lines += [f"{key}:", *(f"  - {flow(item)}" for item in value)]
        else:
            lines.append(f"{key}: {flow(value)}")
    return lines


def _rule(rule: Rule) -> dict[str, Any]:
    if isinstance(rule, Check):
        return {rule.name: rule.config.model_dump(mode="json", exclude_defaults=True)}
    parts = [_rule(part) for part in rule.parts]
    return {rule.combine: parts[0] if rule.combine == "not" else parts}


def _example(example: Example) -> str:
    body = "\n".join(line for step in example.steps for line in _step(step))
    longest = max((len(mark) for mark in _FENCE_MARK.findall(body)), default=2)
    fence = "~" * max(3, longest + 1)
    return "\n".join([f"**Example**: {example.title}".rstrip(), "", f"{fence}xml", body, fence])


def _step(step: Turn | Comparison) -> Iterator[str]:
    if isinstance(step, Turn):
        attributes = f" {step.attributes}" if step.attributes else ""
        yield from (f"<{step.speaker}{attributes}>", step.text, f"</{step.speaker}>")
        return
    yield "<comparison>"
    for answer in step.answers:
        yield from (f"<assistant> <!-- {_label(answer)} -->", answer.text, "</assistant>")
    yield "</comparison>"


def _label(answer: Answer) -> str:
    about = f"[#{answer.about}]" if answer.about else ""
    return f"{answer.label.upper()}{about}{f': {answer.reason}' if answer.reason else ''}"


# -- checking -----------------------------------------------------------------


def _reads_back(meant: Constitution, text: str) -> None:
    found = Constitution.from_text(text, meant.path)
    if found.front != meant.front:
        raise ConstitutionError("the front matter would not read back as it is", where=meant.path)
    outline = [(heading.depth, heading.title, heading.id) for heading in meant.headings]
    if [(heading.depth, heading.title, heading.id) for heading in found.headings] != outline:
        raise ConstitutionError("the headings would not read back as they are", where=meant.path)
    here = {principle.id: principle.to_dict() for principle in found.principles}
    for principle in meant.principles:
        if here.get(principle.id) != principle.to_dict():
            changed = _changed(principle.to_dict(), here.get(principle.id, {}))
            raise ConstitutionError(
                f"principle {principle.id!r} would not read back as it is: {changed}",
                where=f"{meant.path}:{principle.line}",
                fix="remove what has a meaning in the file: headings, fences and tags inside its texts",
            )


def _changed(meant: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    return ", ".join(key for key in meant if key != "sha" and meant[key] != found.get(key))
