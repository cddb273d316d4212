"""Answers of the model among which rewards choose, sampled once for all probes that need them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from charter.data.render import Template
from charter.engines.base import Engine, Sampling
from charter.engines.sample import sample_prompts
from charter.evaluation.probes.asking import user
from charter.evaluation.probes.tables.plain_prompts import PLAIN_PROMPTS
from charter.progress import progress
from charter.types import Completion, Context, Group, Sample


@dataclass(frozen=True)
class Drawn:
    """Sampled answers.

    Attributes:
        groups: one a prompt.
        missing: prompts that have none, by reason.
    """

    groups: tuple[Group, ...]
    missing: Counter[str]


def draw(
    engine: Engine, template: Template | None, prompts: Sequence[Group], n: int, sampling: Sampling
) -> Drawn:
    """``n`` answers of every prompt that fits into the model."""
    most = getattr(engine, "max_length", None)
    rendered = [_rendered(group, template) for group in prompts]
    fitting = [one for one in rendered if most is None or len(one.samples[0].context.token_ids) < most]
    missing: Counter[str] = Counter()
    if len(fitting) < len(rendered):
        missing["the prompt is too long for the model"] = len(rendered) - len(fitting)
    if not fitting:
        return Drawn((), missing)
    with progress("answers", len(fitting) * n) as advance:
        groups = sample_prompts(engine, fitting, n, sampling, on_progress=advance)
    return Drawn(tuple(groups), missing)


def plain_prompts(count: int | None) -> list[Group]:
    """The shipped prompts, unrendered."""
    return [
        Group((Sample(Context(user(text)), Completion()),), id=f"plain-{number}")
        for number, text in enumerate(PLAIN_PROMPTS[:count], start=1)
    ]


def _rendered(group: Group, template: Template | None) -> Group:
    sample = group.samples[0]
    if template is None or sample.context.token_ids:
        return group
    content = sample.context.content
    context = Context(content, template.render_context(content, where=group.source or group.id))
    return replace(group, samples=(replace(sample, context=context),))
