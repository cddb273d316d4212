"""The questions of ``charter constitution new``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from charter.constitution.draft import DraftPrinciple


def interview(suggested: str) -> tuple[str, list[DraftPrinciple]]:
    """The name of a new constitution and its principles.

    Args:
        suggested: the name when none is given.

    Raises:
        typer.Abort: Ctrl-C or Ctrl-D.
    """
    typer.echo("A constitution is a list of principles, each with a way to check it. Ctrl-D stops.")
    name = _ask("Name", default=suggested, wrong=_name_problem)
    principles: list[DraftPrinciple] = []
    while True:
        typer.echo(f"\nPrinciple {len(principles) + 1}")
        principle = _ask_principle(optional=bool(principles))
        if principle is None:
            return name, principles
        principles.append(principle)


def _ask_principle(optional: bool) -> DraftPrinciple | None:
    from charter.constitution.draft import DraftPrinciple, problem_with

    more = " (empty when done)" if optional else ""
    title = _ask(f"Title{more}", optional=optional, wrong=lambda said: problem_with(said, title=True))
    if not title:
        return None
    statement = _ask("What should the model do? One or two sentences", wrong=problem_with)
    rules = _ask_rules()
    rubric = ("", "")
    if not rules:
        rubric = (_ask("What does a clear violation look like?"), _ask("And full adherence?"))
    prompt = _ask("A question that a person might ask", wrong=problem_with)
    good = _ask("A good answer to it", wrong=_answer_problem(rules, prompt, wanted=True))
    bad = _ask("A bad answer to it", wrong=_answer_problem(rules, prompt, wanted=False))
    typer.echo("Tests are prompts that are never trained on (empty to leave one out).")
    test = _ask("A prompt to measure it with", optional=True, wrong=_differs_from(prompt))
    comply = _ask(
        "A harmless request that must still be answered", optional=True, wrong=_differs_from(prompt)
    )
    return DraftPrinciple(title, statement, prompt, good, bad, rules, rubric, test, comply)


def _ask_rules() -> tuple[str, ...]:
    typer.echo("How can it be checked?")
    for number, (label, _) in enumerate(_MENU, start=1):
        typer.echo(f"  {number:>2}  {label}")
    return _MENU[_ask_number("Number", at_most=len(_MENU)) - 1][1]()


def _length_rule() -> tuple[str, ...]:
    low = _ask_number("At least how many words")
    high = _ask_number("At most how many words", at_least=low)
    return (f"length: {{min_words: {low}, max_words: {high}, finished: true}}",)


def _words_rule(key: str) -> Callable[[], tuple[str, ...]]:
    def ask() -> tuple[str, ...]:
        said = _ask("Words or phrases, with commas between them", wrong=_no_words)
        return (f"contains: {{{key}: {json.dumps(_split(said), ensure_ascii=False)}}}",)

    return ask


def _pattern_rule() -> tuple[str, ...]:
    pattern = _ask("Regular expression that must match", wrong=_pattern_problem)
    return (f"regex: {{pattern: {json.dumps(pattern, ensure_ascii=False)}}}",)


def _language_rule() -> tuple[str, ...]:
    from charter.constitution.languages import LANGUAGES
    from charter.errors import did_you_mean

    code = _ask(
        "Language code, such as en",
        wrong=lambda said: "" if said in LANGUAGES else f"unknown; {did_you_mean(said, LANGUAGES)}",
    )
    return (f'language: {{code: "{code}"}}',)


def _readability_rule() -> tuple[str, ...]:
    grade = _ask_number("At most how many years of school should it take to read")
    return (f"readability: {{metric: automated_readability_index, max: {grade}}}",)


def _fixed_rule(rule: str) -> Callable[[], tuple[str, ...]]:
    return lambda: (rule,)


_MENU: tuple[tuple[str, Callable[[], tuple[str, ...]]], ...] = (
    ("its length in words, and that it is finished", _length_rule),
    ("it contains at least one of some words", _words_rule("any_of")),
    ("it contains none of some words", _words_rule("none_of")),
    ("it matches a regular expression", _pattern_rule),
    ("it has no lists, headings or tables", _fixed_rule("list_free: {}")),
    ("its language", _language_rule),
    ("how easy it is to read", _readability_rule),
    ("it has no profanity", _fixed_rule("profanity: {}")),
    ("it is valid JSON", _fixed_rule("json_valid: {}")),
    ("none of these: a judge must read it", lambda: ()),
)


def _ask(
    question: str, *, default: str = "", optional: bool = False, wrong: Callable[[str], str] = lambda said: ""
) -> str:
    """Ask until the answer is fit; ``wrong`` says what is the matter with one, or ""."""
    while True:
        said = str(typer.prompt(question, default=default, show_default=bool(default))).strip()
        if not said and optional:
            return ""
        problem = wrong(said) if said else "an answer is needed"
        if not problem:
            return said
        typer.echo(f"  {problem}")


def _ask_number(question: str, at_least: int = 1, at_most: int = 10_000) -> int:
    def wrong(said: str) -> str:
        fits = said.isdecimal() and at_least <= int(said) <= at_most
        return "" if fits else f"a number from {at_least} to {at_most}"

    return int(_ask(question, wrong=wrong))


def _name_problem(said: str) -> str:
    fits = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", said)
    return "" if fits else "letters, digits, dots, dashes and underscores only"


def _differs_from(prompt: str) -> Callable[[str], str]:
    return lambda said: "that is the example's question; tests need another" if said == prompt else ""


def _split(said: str) -> list[str]:
    return [part.strip() for part in said.split(",") if part.strip()]


def _no_words(said: str) -> str:
    return "" if _split(said) else "name at least one word"


def _pattern_problem(said: str) -> str:
    from charter.constitution.rules import compile_pattern

    try:
        compile_pattern(said, ignore_case=True)
    except ValueError as error:
        return str(error)
    return ""


def _answer_problem(rules: tuple[str, ...], prompt: str, wanted: bool) -> Callable[[str], str]:
    """The rules' own word on an example answer, at once."""
    from charter.constitution.draft import problem_with
    from charter.constitution.rule_tree import read_rules
    from charter.constitution.yaml_block import YamlBlock
    from charter.feedback.rules.rules import evaluate

    def wrong(said: str) -> str:
        if problem := problem_with(said):
            return problem
        if not rules:
            return ""
        block = YamlBlock("all:\n" + "\n".join(f"  - {rule}" for rule in rules), "answer", 1)
        outcome = evaluate(read_rules(block, block.value).rule, said, "given", prompt, Path())
        if outcome.passed is wanted:
            return ""
        verdict = {True: "passes the rule", False: "fails the rule", None: "is one the rule cannot judge"}
        return f"this answer {verdict[outcome.passed]} ({outcome.reason}); give another"

    return wrong
