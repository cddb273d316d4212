"""``charter chat MODEL``: talk to it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from charter.cli.model_name import known_model


def chat_command(
    model: Annotated[
        str, typer.Argument(help="Known name, hub id, folder or run directory.", callback=known_model)
    ] = "smollm2-135m",
    system: Annotated[str | None, typer.Option("--system", help="A system prompt.")] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 = greedy.")] = 0.0,
    max_completion_length: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 256,
) -> None:
    """Talk to a model. An empty line or Ctrl-D ends, /new starts over."""
    from charter import api
    from charter.engines.base import Sampling
    from charter.engines.local import LocalEngine
    from charter.types import Context, Message

    policy = api.load(model)
    engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)
    opening = (Message("system", system),) if system else ()
    turns = opening
    number = 0
    while True:
        text = _ask()
        if not text:
            return
        if text == "/new":
            turns = opening
            continue
        turns = (*turns, Message("user", text))
        number += 1
        sampling = Sampling(temperature=temperature, max_completion_length=max_completion_length, seed=number)
        context = Context(turns, policy.template.render_context(turns))
        answer = engine.generate([context], 1, sampling)[0].samples[0].completion.text.strip()
        print(answer)
        turns = (*turns, Message("assistant", answer))


def _ask() -> str:
    try:
        return input("> " if sys.stdin.isatty() else "").strip()
    except (EOFError, KeyboardInterrupt):
        return ""
