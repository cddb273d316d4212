"""``charter check DATA``: everything about a data file that is cheap to know before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from charter.data.findings import (
    QUESTIONS,
    Finding,
    answer_text,
    empty_completions,
    examples_of,
    prompt_text,
)
from charter.data.formats import LoadedData, detect, groups_of
from charter.data.overlap import ngram_overlap
from charter.data.read import Source, read_rows
from charter.data.render import Template
from charter.data.rows import Rows
from charter.errors import DataError
from charter.types import Content, Group

Quantile = Literal["min", "p5", "median", "p95", "max"]
_QUANTILES: dict[Quantile, float] = {"min": 0.0, "p5": 0.05, "median": 0.5, "p95": 0.95, "max": 1.0}


@dataclass(frozen=True, slots=True)
class DataCheck:
    """What was found.

    Attributes:
        name: the source.
        kind: the format the file is read as.
        formats: rows by the format each looks like on its own.
        counts: rows read, unreadable, of the wrong shape, changed.
        groups: groups the rows became.
        roles: turns by role, in conversations.
        lengths: quantiles by measure, such as ``prompt words`` or ``completion tokens``.
        findings: the worst first.
    """

    name: str
    kind: str
    formats: Mapping[str, int]
    counts: Mapping[str, int]
    groups: int
    roles: Mapping[str, int] = field(default_factory=dict)
    lengths: Mapping[str, Mapping[Quantile, int]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether training would accept every row."""
        return not any(finding.severity == "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return {**asdict(self), "ok": self.ok}


def check_data(path: Source, eval_path: Source | None = None, tokenizer: Any | None = None) -> DataCheck:
    """Check a data file, and its overlap with an evaluation file.

    Args:
        path: the training data, anything :func:`charter.data.read.read_rows` reads.
        eval_path: evaluation data whose prompts training must not have seen.
        tokenizer: adds lengths in tokens and finds rows that cannot be rendered.

    Raises:
        DataError: the file cannot be read at all, or no row has a known format.
            Single bad rows are findings.
    """
    rows = read_rows(path, on_bad="skip")
    loaded = groups_of(rows, on_bad="skip")
    findings = _bad_rows(rows, loaded)
    asked = QUESTIONS if loaded.kind == "prompts" else (empty_completions, *QUESTIONS)
    findings += [finding for ask in asked if (finding := ask(loaded.groups)) is not None]
    lengths = _word_lengths(loaded)
    if tokenizer is not None:
        in_tokens, unrendered = _token_lengths(loaded, Template(tokenizer))
        lengths |= in_tokens
        findings += unrendered
    if eval_path is not None:
        findings += _overlap(loaded, eval_path)
    order = {"error": 0, "warning": 1, "info": 2}
    return DataCheck(
        name=rows.name,
        kind=loaded.kind,
        formats=_formats(rows),
        counts=loaded.counts,
        groups=len(loaded.groups),
        roles=_roles(loaded.groups),
        lengths=lengths,
        findings=tuple(sorted(findings, key=lambda finding: order[finding.severity])),
    )


def quantiles(values: Sequence[int]) -> dict[Quantile, int]:
    """Nearest-rank quantiles of at least one value."""
    ordered = sorted(values)
    return {name: ordered[round(q * (len(ordered) - 1))] for name, q in _QUANTILES.items()}


def _bad_rows(rows: Rows, loaded: LoadedData) -> list[Finding]:
    shape = loaded.bad[len(rows.bad) :]
    kinds = (("unreadable", "cannot be read", rows.bad), ("wrong-shape", "have the wrong shape", shape))
    return [
        Finding("error", name, f"{len(bad)} rows {what}, first: {bad[0].what}", len(bad), _places(bad))
        for name, what, bad in kinds
        if bad
    ]


def _places(errors: Sequence[DataError]) -> tuple[str, ...]:
    return tuple(error.where or "" for error in errors[:5])


def _formats(rows: Rows) -> dict[str, int]:
    looks: dict[frozenset[str], str] = {}
    counts: Counter[str] = Counter()
    for row in rows.rows:
        columns = frozenset(name for name, value in row.values.items() if value is not None)
        if columns not in looks:
            try:
                looks[columns] = detect(columns)
            except DataError:
                looks[columns] = "unknown"
        counts[looks[columns]] += 1
    return dict(counts)


def _roles(groups: Sequence[Group]) -> dict[str, int]:
    """Turns by role; a context that several samples share counts once."""
    contents: list[Content] = []
    for group in groups:
        contents += dict.fromkeys(sample.context.content for sample in group.samples)
        contents += [sample.completion.content for sample in group.samples]
    turns = (turn for content in contents if not isinstance(content, str) for turn in content)
    return dict(Counter(turn.role for turn in turns))


def _word_lengths(loaded: LoadedData) -> dict[str, Mapping[Quantile, int]]:
    prompts = [len(prompt_text(g.samples[0].context.content).split()) for g in loaded.groups]
    answers = [len(answer_text(s.completion).split()) for g in loaded.groups for s in g.samples]
    lengths: dict[str, Mapping[Quantile, int]] = {}
    if loaded.kind != "text":
        lengths["prompt words"] = quantiles(prompts)
    if loaded.kind != "prompts":
        lengths["completion words"] = quantiles(answers)
    return lengths


def _token_lengths(
    loaded: LoadedData, template: Template
) -> tuple[dict[str, Mapping[Quantile, int]], list[Finding]]:
    rendered: list[Group] = []
    failed: list[DataError] = []
    for group in loaded.groups:
        try:
            rendered.append(template.render(group))
        except DataError as error:
            failed.append(error)
    findings = []
    if failed:
        message = f"{len(failed)} rows cannot be rendered, first: {failed[0].what}"
        findings.append(Finding("error", "unrendered", message, len(failed), _places(failed)))
    findings += _typed_special(loaded.groups, template)
    samples = [sample for group in rendered for sample in group.samples]
    if not samples:
        return {}, findings
    prompts = [len(sample.context.token_ids) for sample in samples]
    answers = [len(sample.completion.token_ids) for sample in samples]
    lengths: dict[str, Mapping[Quantile, int]] = {"prompt tokens": quantiles(prompts)}
    if loaded.kind != "prompts":
        lengths["completion tokens"] = quantiles(answers)
        lengths["total tokens"] = quantiles([a + b for a, b in zip(prompts, answers, strict=True)])
    return lengths, findings


def _typed_special(groups: Sequence[Group], template: Template) -> list[Finding]:
    def texts(group: Group) -> list[str]:
        contents = [c for s in group.samples for c in (s.context.content, s.completion.content)]
        return [text for c in contents for text in ([c] if isinstance(c, str) else [m.content for m in c])]

    hit = [group for group in groups if any(template.special.occurs_in(text) for text in texts(group))]
    if not hit:
        return []
    message = f"{len(hit)} rows hold special tokens as text, which are encoded as plain characters"
    return [Finding("warning", "special-token-text", message, len(hit), examples_of(hit))]


def _overlap(loaded: LoadedData, eval_path: Source) -> list[Finding]:
    evaluation = groups_of(read_rows(eval_path, on_bad="skip"), on_bad="skip")
    train = {text for group in loaded.groups for text in _asked(group)}
    asked = [(text, group) for group in evaluation.groups for text in _asked(group)]
    found = ngram_overlap(train, [text for text, _ in asked])
    message = (
        f"{found.shared} of {found.total} evaluation prompts share {found.n} words in a row with a training "
        f"prompt, {found.exact} of them are one"
    )
    where = examples_of(asked[position][1] for position in found.examples)
    return [Finding("warning" if found.shared else "info", "overlap", message, found.shared, where)]


def _asked(group: Group) -> list[str]:
    """The prompts of a group; a text without prompt stands for itself."""
    texts = [prompt_text(s.context.content) or answer_text(s.completion) for s in group.samples]
    return list(dict.fromkeys(texts))
