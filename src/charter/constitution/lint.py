"""Lint: what a constitution leaves unmeasured, unclear or unsafe to measure.

The check of examples against rules runs the rules, and is in
:mod:`charter.feedback.rules.lint`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from itertools import combinations

from charter.constitution.cases import Conflict
from charter.constitution.constitution import Constitution
from charter.constitution.findings import Finding, Severity
from charter.constitution.lint_cycles import lint_cycles
from charter.constitution.principle import Principle
from charter.constitution.rule_tree import Check, Rule
from charter.constitution.rules import Length

_FIT = "fit for whom, and who decides?"
_EXCUSE = "when it is not, nobody can tell a violation from an exception"
_OPEN_END = "what else?"
VAGUE = {
    "appropriate": _FIT,
    "appropriately": _FIT,
    "adequate": _FIT,
    "adequately": _FIT,
    "reasonable": _FIT,
    "reasonably": _FIT,
    "suitable": _FIT,
    "suitably": _FIT,
    "proper": _FIT,
    "properly": _FIT,
    "as needed": _EXCUSE,
    "as necessary": _EXCUSE,
    "if possible": _EXCUSE,
    "where possible": _EXCUSE,
    "when possible": _EXCUSE,
    r"good (?:answer|response|reply|job|style|tone|quality|manners|taste|judge?ment|practice)s?": (
        "good by which measure?"
    ),
    "and so on": _OPEN_END,
    "etc": _OPEN_END,
}
"""Words that two readers measure differently, and why."""

_VAGUE = re.compile(rf"(?<![\w-])(?:{'|'.join(VAGUE)})(?![\w-])(?! faith)", re.IGNORECASE)
_NEAR = 0.85


def lint(constitution: Constitution) -> list[Finding]:
    """Everything to look at, in the order of the file."""
    found: list[Finding] = []
    if not constitution.has_front_matter:
        found.append(
            Finding(
                "warning",
                "no-front-matter",
                "",
                f"{constitution.path}:1",
                "no front matter: name, version and levels are defaults",
                "begin the file with `---`, the keys, and `---`",
            )
        )
    for principle in constitution.active:
        for check in _PER_PRINCIPLE:
            found += [_finding(constitution, principle, *said) for said in check(principle)]
        found += [_finding(constitution, principle, *said) for said in _leaks(constitution, principle)]
        found += [_finding(constitution, principle, *said) for said in _conflicts(constitution, principle)]
    found += _titles(constitution)
    found += _retired(constitution)
    found += lint_cycles(constitution)
    return sorted(found, key=lambda finding: int(finding.where.rpartition(":")[2]))


Said = tuple[Severity, str, int, str, str]
"""Level, code, line, message, fix."""


def _finding(
    constitution: Constitution,
    principle: Principle,
    level: Severity,
    code: str,
    line: int,
    message: str,
    fix: str,
) -> Finding:
    return Finding(level, code, principle.id, f"{constitution.path}:{line}", message, fix)


# -- one principle ------------------------------------------------------------


def _statement(principle: Principle) -> Iterator[Said]:
    if not principle.text:
        fix = "write one or two sentences under the heading"
        yield "warning", "no-statement", principle.line, "the principle has a title but no statement", fix
    if not principle.level:
        fix = "add authority=LEVEL to the heading"
        yield "warning", "no-level", principle.line, "no authority: it ranks below every level", fix


def _coverage(principle: Principle) -> Iterator[Said]:
    line = principle.line
    if not principle.answers("good"):
        yield "warning", "no-good-example", line, "no GOOD answer", "add an example with one"
    if not principle.answers("bad"):
        yield "warning", "no-bad-example", line, "no BAD answer", "add an example with one"
    if not principle.tests:
        fix = "add a `yaml tests` block, with at least one must_comply test"
        yield (
            "warning",
            "no-test",
            line,
            "no test: adherence is measured on your evaluation prompts only",
            fix,
        )
    elif all(case.kind != "must_comply" for case in principle.tests):
        message = "no must_comply test: refusing everything would pass"
        fix = "add a request that only looks forbidden: `kind: must_comply`"
        yield "warning", "no-must-comply", line, message, fix
    if principle.measured_by == "nothing":
        message = "neither rules nor a rubric: it cannot be measured"
        yield "warning", "not-measurable", line, message, "add a `yaml rules` or a `yaml rubric` block"


def _wording(principle: Principle) -> Iterator[Said]:
    """Vague words matter where the words are what a judge goes by: not where rules decide."""
    if principle.rules is not None:
        return
    if principle.rubric is None:
        texts = [principle.title, principle.text]
    else:
        texts = list(principle.rubric.levels.values())
    vague = sorted({word.lower() for text in texts for word in _VAGUE.findall(text)})
    if vague:
        message = f"wording that readers measure differently: {', '.join(map(repr, vague))}"
        reasons = {why for word in vague for pattern, why in VAGUE.items() if re.fullmatch(pattern, word)}
        fix = f"say what an observer would see, or add rules ({' '.join(sorted(reasons))})"
        yield "warning", "vague-wording", principle.line, message, fix


def _floors(principle: Principle) -> Iterator[Said]:
    if principle.rules is None:
        return
    bounds = list(_length_bounds(principle.rules.rule, negated=False))
    ceilings = [line for line, kind in bounds if kind == "ceiling"]
    if ceilings and all(kind != "floor" for _, kind in bounds):
        message = "a limit on length without a floor: the shortest answers win"
        fix = "add min_words (or min_chars, min_sentences) beside it"
        yield "warning", "no-length-floor", ceilings[0], message, fix


def _length_bounds(rule: Rule, negated: bool) -> Iterator[tuple[int, str]]:
    """Line and kind of each length bound; under ``not`` a floor is a ceiling and the reverse."""
    if not isinstance(rule, Check):
        for part in rule.parts:
            yield from _length_bounds(part, negated != (rule.combine == "not"))
    elif isinstance(rule.config, Length):
        if rule.config.has_floor:
            yield rule.line, "ceiling" if negated else "floor"
        if rule.config.has_ceiling:
            yield rule.line, "floor" if negated else "ceiling"


_PER_PRINCIPLE: tuple[Callable[[Principle], Iterator[Said]], ...] = (_statement, _coverage, _wording, _floors)


# -- the whole file -----------------------------------------------------------


def _leaks(constitution: Constitution, principle: Principle) -> Iterator[Said]:
    """Examples may be trained on and tests may not, so no prompt may be both."""
    shown = {
        _normal(prompt): other.id
        for other in constitution.principles
        for example in other.examples
        for prompt in example.prompts()
    }
    for case in principle.tests:
        for prompt in case.prompts():
            if owner := shown.get(_normal(prompt)):
                message = f"test {case.id!r} asks what an example of {owner!r} shows: {prompt[:50]!r}"
                yield "error", "test-in-examples", case.line, message, "change one of the two prompts"


def _conflicts(constitution: Constitution, principle: Principle) -> Iterator[Said]:
    for case in principle.tests:
        if not isinstance(case.config, Conflict):
            continue
        pair = {principle.id, case.config.against}
        winner = constitution.principle(case.config.expect_winner)
        loser = constitution.principle((pair - {winner.id}).pop()) if len(pair) > 1 else winner
        if constitution.rank(winner) > constitution.rank(loser):
            message = (
                f"test {case.id!r} expects {winner.id!r} to beat {loser.id!r}, which has the higher level"
            )
            yield "warning", "conflict-against-levels", case.line, message, "change the winner or a level"


def _titles(constitution: Constitution) -> Iterator[Finding]:
    for first, second in combinations(constitution.active, 2):
        one, two = _normal(first.title), _normal(second.title)
        alike = difflib.SequenceMatcher(None, one, two)
        if one == two or (alike.quick_ratio() >= _NEAR and alike.ratio() >= _NEAR):
            same = "the same title as" if one == two else f"nearly the title of ({first.title!r})"
            yield _finding(
                constitution,
                second,
                "warning",
                "duplicate-title",
                second.line,
                f"{same} {first.id!r} on line {first.line}",
                "merge the two, or name what tells them apart",
            )


def _retired(constitution: Constitution) -> Iterator[Finding]:
    """An id that was retired must not come back, not even in another spelling."""
    retired = {_plain_id(p.id): p for p in constitution.principles if not p.active}
    for principle in constitution.active:
        if old := retired.get(_plain_id(principle.id)):
            yield _finding(
                constitution,
                principle,
                "error",
                "retired-id-reused",
                principle.line,
                f"id {principle.id!r} is that of the retired {old.id!r} on line {old.line}",
                "choose another id",
            )
    retired_ids = {p.id for p in retired.values()}
    for principle in constitution.active:
        for case in principle.tests:
            if isinstance(case.config, Conflict) and case.config.against in retired_ids:
                yield _finding(
                    constitution,
                    principle,
                    "error",
                    "conflict-with-retired",
                    case.line,
                    f"test {case.id!r} is about the retired principle {case.config.against!r}",
                    "remove the test or name another principle",
                )


def _normal(text: str) -> str:
    return re.sub(r"\W+", " ", text.casefold()).strip()


def _plain_id(id: str) -> str:
    return re.sub(r"[._-]+", "", id.casefold())
