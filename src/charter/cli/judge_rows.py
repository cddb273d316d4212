"""``charter critiques`` and ``charter verdicts``: what a judge writes, as rows to train it on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from charter.engines.base import Sampling
    from charter.models.trained_as import TrainedAs
    from charter.types import Context, Group

_OUT = "File for the rows (.jsonl)."

_Temperature = Annotated[float, typer.Option(min=0.0, help="0 = greedy.")]
_Length = Annotated[
    int, typer.Option("--max-completion-length", "--max_completion_length", min=1, help="Most tokens.")
]
_Bf16 = Annotated[bool, typer.Option("--bf16/--no-bf16", help="Compute in bfloat16.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")]


def critiques_command(
    pairs: Annotated[str, typer.Argument(help="Preference rows: a file or hub id.")],
    model: Annotated[str, typer.Option("--model", help="The model of stage 1: name, hub id or folder.")],
    out: Annotated[Path, typer.Option("--out", help=_OUT)],
    temperature: _Temperature = 1.0,
    max_completion_length: _Length = 256,
    seed: int = 0,
    bf16: _Bf16 = True,
    as_json: _AsJson = False,
) -> None:
    """Let a model critique both answers of pairs. For stage 2 of `charter train cloud`.

    The same command goes on where it stopped.
    """
    from charter.cli.made_rows import rows_at
    from charter.data.formats import load_groups
    from charter.data.questions import CRITIQUE
    from charter.errors import ConfigError
    from charter.feedback.trained.critiques import BLANK, critique_questions, critique_rows

    trained = _checked(model)
    if trained is not None and trained.kind != "critique":
        raise ConfigError(
            f"this model was trained as {trained.words()}: it writes no critiques to be scored",
            where=model,
            fix="name one trained with `charter train cloud` or sft on critiques, or a language model",
        )
    question = CRITIQUE if trained is None else trained.asked["question"]
    groups = load_groups(pairs, "preference").groups
    contexts = critique_questions(groups, question)
    made = rows_at(out, Path(pairs))
    sampling = _sampling(temperature, max_completion_length, seed)
    with made.run.lock():
        texts = [one[0].strip() for one in _texts(model, contexts, 1, sampling, made.journals, bf16=bf16)]
        rows = critique_rows(groups, texts)
        counts = {"pairs": len(rows), "critiques": len(texts), "blank critiques": texts.count("")}
        made.write(rows, {"counts": counts, "model": model, "question": question, "blank": BLANK})
    _tell({"out": str(out), "counts": counts}, as_json)
    if not as_json:
        print(f"rows: {out} (charter train cloud --model {model} --data {out})")


def verdicts_command(
    data: Annotated[str, typer.Argument(help="Pairs (judged as A or B), or answers with a label.")],
    model: Annotated[str, typer.Option("--model", help="The judge: name, hub id or folder.")],
    out: Annotated[Path, typer.Option("--out", help=_OUT)],
    num_generations: Annotated[
        int, typer.Option("--num-generations", "--num_generations", "-n", min=1, help="Replies a question.")
    ] = 4,
    rows_for: Annotated[
        str, typer.Option("--for", help="dpo: right over wrong verdicts; sft: the right ones alone.")
    ] = "dpo",
    temperature: _Temperature = 1.0,
    max_completion_length: _Length = 256,
    seed: int = 0,
    bf16: _Bf16 = True,
    as_json: _AsJson = False,
) -> None:
    """Let a judge argue for its verdicts. Rows for `charter train dpo` or sft.

    The same command goes on where it stopped.
    """
    from charter.cli.made_rows import rows_at
    from charter.data.questions import BETTER, CORRECT
    from charter.data.verdicts import open_form, open_questions, right_verdicts, verdict_pairs
    from charter.errors import ConfigError, DataError

    if rows_for not in ("dpo", "sft"):
        raise ConfigError(f"it is dpo or sft, not {rows_for!r}", where="--for")
    if rows_for == "dpo" and (num_generations < 2 or temperature == 0):
        raise ConfigError(
            "right and wrong replies to one question take two that differ",
            where="--num-generations" if num_generations < 2 else "--temperature",
        )
    trained = _checked(model)
    groups, pairs = _asked_about(data, trained, model)
    question = trained.question if trained is not None else open_form(BETTER if pairs else CORRECT)
    asked = open_questions(groups, question, as_trained=True)
    made = rows_at(out, Path(data))
    sampling = _sampling(temperature, max_completion_length, seed)
    with made.run.lock():
        contexts = [one.samples[0].context for one in asked]
        texts = _texts(model, contexts, num_generations, sampling, made.journals, bf16=bf16)
        replied = [_replied(group, of) for group, of in zip(asked, texts, strict=True)]
        found = (verdict_pairs if rows_for == "dpo" else right_verdicts)(replied, question)
        counts = {
            "questions": len(asked),
            "replies with the right verdict": found.right,
            "replies with the wrong verdict": found.wrong,
            "replies without a verdict": found.undecided,
            "questions that gave no row": found.unused,
            "rows": len(found.rows),
        }
        made.write(found.rows, {"counts": counts, "model": model, "question": question.think})
    _tell({"out": str(out), "counts": counts}, as_json)
    if not found.rows:
        raise DataError(
            "no reply gave a row to train on",
            where=str(made.journals),
            fix="read the replies there; sample more of them (-n), or take a model that ends with a verdict",
        )
    if as_json:
        return
    print(f"rows: {out} (charter train {rows_for} --model {model} --data {out} --output-dir RUN)")
    if trained is None:
        kind = "genrm-pairwise" if pairs else "genrm"
        print(f"then say what it became: charter model mark RUN --trained-with {kind} --open")


def _checked(model: str) -> TrainedAs | None:
    """A sound checkpoint, and how it was trained; nothing is loaded."""
    from charter.feedback.trained.checkpoints import trained_here
    from charter.models.check import check_checkpoint
    from charter.models.hub import resolve

    check_checkpoint(resolve(model))
    return trained_here(model)


def _asked_about(data: str, trained: TrainedAs | None, model: str) -> tuple[tuple[Group, ...], bool]:
    """Pairs or labelled answers, and whether they are pairs: what the judge was trained on, else the data.

    Raises:
        ConfigError: a model that gives no verdicts, or was trained to give no reasons.
        DataError: neither kind of data.
    """
    from charter.data.formats import load_groups
    from charter.errors import ConfigError, DataError
    from charter.feedback.trained.checkpoints import judges

    if trained is None:
        if judges(model):
            raise ConfigError("this model has a reward head, and gives no verdicts in words", where=model)
        loaded = load_groups(data)
        if loaded.kind == "unpaired":
            return loaded.groups, False
        if loaded.kind not in ("preference", "ranked", "rated"):
            raise DataError(f"these are {loaded.kind} rows, wanted pairs or labelled answers", where=data)
        return load_groups(data, "preference").groups, True
    if trained.kind not in ("pairwise", "verdict"):
        raise ConfigError(f"this model was trained as {trained.words()}: it gives no verdicts", where=model)
    if not trained.reasons:
        raise ConfigError(
            f"{trained.algorithm} was trained to give its verdict at once: it writes no reasons",
            where=model,
            fix="train it on reasons (columns critique, rationale), or start from the language model",
        )
    pairs = trained.kind == "pairwise"
    return load_groups(data, "preference" if pairs else "unpaired").groups, pairs


def _sampling(temperature: float, max_completion_length: int, seed: int) -> Sampling:
    from charter.engines.base import Sampling

    return Sampling(temperature=temperature, max_completion_length=max_completion_length, seed=seed)


def _texts(
    model: str, contexts: list[Context], n: int, sampling: Sampling, journals: Path, *, bf16: bool
) -> list[tuple[str, ...]]:
    from charter.engines.local import LocalEngine
    from charter.feedback.trained.written import written_texts
    from charter.interrupt import graceful
    from charter.models.load import load

    policy = load(model, bf16=bf16)
    engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)
    with graceful():
        return written_texts(
            engine,
            policy.template,
            contexts,
            n,
            sampling,
            journal=journals / "texts.jsonl",
            model=policy.digest(),
            title="replies",
        )


def _replied(group: Any, texts: tuple[str, ...]) -> Any:
    """The question with its replies."""
    from dataclasses import replace

    from charter.types import Completion, Message, Sample

    context = group.samples[0].context
    plain = isinstance(context.content, str)
    said = (Completion(text if plain else (Message("assistant", text),)) for text in texts)
    return replace(group, samples=tuple(Sample(context, one) for one in said))


def _tell(found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(f"{count} {name}" for name, count in found["counts"].items()))
