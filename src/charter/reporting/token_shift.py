"""One self-contained HTML page of a token shift, from ``token_shift.json``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from charter.errors import UserError
from charter.reporting.node import Node
from charter.reporting.page import page_template, styles
from charter.rundir import read_json, write_text
from charter.stats import percent

JSON, PAGE = "token_shift.json", "token_shift.html"

KINDS = ("unshifted", "marginal", "shifted")


@dataclass(frozen=True, slots=True)
class Share:
    """A share of tokens; ``lo`` and ``hi`` are None where there is no interval."""

    rate: float
    count: int
    lo: float | None
    hi: float | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Tokens of one stretch of the answers, ready to draw."""

    name: str
    n: int
    kl: float
    shares: dict[str, Share]


@dataclass(frozen=True, slots=True)
class Token:
    """One token of an answer.

    Attributes:
        text: as it is shown.
        kind: one of :data:`KINDS`.
        title: what the base model made of it; "" where it would have said the same.
    """

    text: str
    kind: str
    title: str


def write_token_shift(directory: Path) -> Path:
    """Render ``token_shift.json`` of a directory as ``token_shift.html`` beside it.

    Raises:
        UserError: it is missing, or holds something else.
    """
    source = directory / JSON
    value = read_json(source)
    if value is None:
        raise UserError("no such file, or not JSON", where=str(source), fix="run charter shift again")
    write_text(directory / PAGE, render_token_shift(Node(value, str(source))))
    return directory / PAGE


def render_token_shift(report: Node) -> str:
    """The page; equal reports give equal pages."""
    overall = _stretch(report.must_child("overall"), "all tokens")
    return page_template("token_shift").render(
        css=styles("page", "token_shift"),
        base=report.text("base"),
        aligned=report.text("aligned"),
        framed=report.text("framed"),
        created=report.text("created"),
        prompts=report.count("prompts"),
        not_greedy=report.rate("not_greedy"),
        overall=overall,
        stretches=[_stretch(node, _place(node)) for node in report.children("by_position")],
        words=[
            (shown(node.text("token")), node.count("shifted"), node.count("n"), shown(node.text("instead")))
            for node in report.children("words")
        ],
        answers=[(node.text("prompt"), _tokens(node)) for node in report.children("examples")],
        verdict=_verdict(overall),
        kinds=KINDS,
        bar=_bar,
    )


def shown(token: str) -> str:
    """A token with what cannot be seen made visible."""
    return token.replace("\n", "⏎").replace("\t", "⇥").replace(" ", "␣") or "(empty)"


def _stretch(node: Node, name: str) -> Stretch:
    shares = {}
    for kind in KINDS:
        share = node.must_child(kind)
        shares[kind] = Share(
            share.rate("rate"), share.count("count") or 0, share.number("lo"), share.number("hi")
        )
    return Stretch(name, node.count("n") or 0, node.must_number("kl"), shares)


def _place(node: Node) -> str:
    first, last = node.count("first"), node.count("last")
    if last is None:
        return f"token {first} and later"
    return f"token {first}" if first == last else f"tokens {first} to {last}"


def _tokens(node: Node) -> list[Token]:
    found = []
    for item in node.children("tokens"):
        kind, rank = item.text("kind"), item.count("rank")
        if kind not in KINDS:
            raise UserError(f"no kind of token {kind!r}", where=node.where, fix="run charter shift again")
        told = "" if kind == "unshifted" else f"rank {rank} for the base model, which would say"
        title = f"{told} {shown(item.text('instead'))}" if told else ""
        text = item.text("text")
        if title and not text.strip():  # a marked space or line break must be seen
            text = shown(text) + "\n" * text.count("\n")
        found.append(Token(text, kind, title))
    return found


def _bar(stretch: Stretch) -> Markup:
    """One bar to 100%: unshifted, marginal, shifted."""
    parts, at = [], 0.0
    for kind in KINDS:
        width = 100 * stretch.shares[kind].rate
        part = '<rect class="{}" x="{:.3f}%" width="{:.3f}%" y="0" height="22"/>'
        parts.append(Markup(part).format(kind, at, width))
        at += width
    words = ", ".join(f"{kind} {percent(stretch.shares[kind].rate)}" for kind in KINDS)
    svg = '<svg class="shiftbar" role="img" aria-label="{}: {}" height="22">{}</svg>'
    return Markup(svg).format(stretch.name, words, Markup("").join(parts))


def _verdict(overall: Stretch) -> str:
    """The finding in one sentence."""
    shifted = overall.shares["shifted"]
    interval = "" if shifted.lo is None else f" ({percent(shifted.lo)} to {percent(shifted.hi or 0.0)})"
    return (
        f"At {percent(overall.shares['unshifted'].rate)} of {overall.n} tokens the base model would have "
        f"said the same; at {percent(shifted.rate)}{interval} the aligned model's token is not among its "
        "first three."
    )
