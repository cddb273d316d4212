"""Sample completions of the training prompts, in chunks that survive an interruption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from charter.data.formats import load_groups
from charter.data.prepare import prepare
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.engines.sample import sample_prompts
from charter.interrupt import current
from charter.models.policy import Policy
from charter.pipeline.stage import Context
from charter.pipeline.stage_models import source
from charter.pipeline.stage_options import SampleStage
from charter.progress import progress
from charter.records import group_to_json, read_groups
from charter.rundir import append_jsonl
from charter.types import Context as Prompt
from charter.types import Group, Message, Sample

FILE = "samples.jsonl"
_CHUNK = 64


def run(context: Context, options: SampleStage) -> dict[str, Any]:
    """See :class:`charter.pipeline.stage.StageRunner`."""
    path = context.directory / FILE
    policy = context.policy(options.model and source(options.model, context.folders))
    loaded = load_groups(str(context.recipe.file(options.prompts)), "prompts")
    prompts = prepare(loaded, policy.template).groups
    done = {group.id for group in read_groups(path)}
    todo = [group for group in prompts if group.id not in done]
    if todo:
        engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)
        guide = context.constitution().system_prompt() if options.guided else ""
        total = len(prompts) * options.num_generations
        with progress("sample", total, done=total - len(todo) * options.num_generations) as advance:
            for chunk in _chunks(todo):
                for group in _sample(engine, policy, chunk, options, guide, advance):
                    append_jsonl(path, group_to_json(group))
                current().check(
                    f"sampling stopped, {path} is kept", fix="run the same command again to continue"
                )
    return context.finish(_summary(read_groups(path)))


def _sample(
    engine: LocalEngine,
    policy: Policy,
    prompts: Sequence[Group],
    options: SampleStage,
    guide: str,
    advance: Any,
) -> list[Group]:
    # The chunk's first prompt seeds it, so that a resumed run draws what an unbroken one would.
    sampling = Sampling(
        temperature=options.temperature,
        top_p=options.top_p,
        max_completion_length=options.max_completion_length,
        seed=_seed(options.seed, prompts[0].id),
    )
    plain = options.num_generations - options.guided
    groups = sample_prompts(engine, prompts, plain, sampling, on_progress=advance) if plain else list(prompts)
    if not options.guided:
        return groups
    under_guide = [_guided(group, guide, policy) for group in prompts]
    guided = sample_prompts(engine, under_guide, options.guided, sampling, on_progress=advance)
    return [
        replace(group, samples=(*(group.samples if plain else ()), *_unguided(prompt, more)))
        for group, prompt, more in zip(groups, prompts, guided, strict=True)
    ]


def _guided(group: Group, guide: str, policy: Policy) -> Group:
    """The same prompt with the constitution as its system turn."""
    content = group.samples[0].context.content
    turns = (Message("user", content),) if isinstance(content, str) else content
    guided = (Message("system", guide), *(turn for turn in turns if turn.role != "system"))
    ids = policy.template.render_context(guided, where=group.source)
    return replace(group, samples=(Sample(Prompt(guided, ids), group.samples[0].completion),))


def _unguided(prompt: Group, guided: Group) -> tuple[Sample, ...]:
    """What was sampled under the guide, put after the prompt without it."""
    context = prompt.samples[0].context
    return tuple(
        Sample(context, replace(sample.completion, sampled_by="guided", logps=()))
        for sample in guided.samples
    )


def _seed(seed: int, name: str) -> int:
    import hashlib

    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:7], "big")


def _chunks(groups: Sequence[Group]) -> list[Sequence[Group]]:
    return [groups[i : i + _CHUNK] for i in range(0, len(groups), _CHUNK)]


def _summary(groups: Sequence[Group]) -> dict[str, Any]:
    completions = [s.completion for g in groups for s in g.samples]
    tokens = sum(len(c.token_ids) for c in completions)
    ended = sum(c.finish_reason == "stop" for c in completions)
    return {
        "prompts": len(groups),
        "samples": len(completions),
        "tokens": tokens,
        "finished": ended,
        "line": f"{len(completions)} completions of {len(groups)} prompts, {tokens} tokens, "
        f"{ended} ended by the model",
    }
