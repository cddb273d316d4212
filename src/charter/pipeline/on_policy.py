"""Answers of the student itself, sampled once before the first step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from charter.catalogue.distillation import OnPolicyDistillationOptions
from charter.data.formats import LoadedData
from charter.data.prepare import prepare
from charter.engines.base import Sampling
from charter.engines.local import LocalEngine
from charter.engines.sample import sample_prompts
from charter.interrupt import graceful
from charter.models.policy import Policy
from charter.progress import progress, say
from charter.records import group_to_json, read_groups
from charter.rundir import append_jsonl, sha256_json
from charter.types import Group

_CHUNK = 64


def answered(
    loaded: LoadedData, policy: Policy, options: OnPolicyDistillationOptions, directory: Path
) -> LoadedData:
    """The prompts with one answer each of ``policy`` as it is now, the teacher's samples with the same.

    Answers are kept in ``directory``, under the identity of the model, the prompts and the
    sampling options, so that an interrupted run continues with the same ones.

    Raises:
        Interrupted: the person asked to stop; what was sampled is kept.
    """
    prepared = prepare(loaded, policy.template, options.max_length)
    for why, count in prepared.report.dropped.items():
        say(f"prompts: {count} dropped: {why} (first: {prepared.report.first[why]})")
    prompts = prepared.groups
    sampling = {
        "temperature": options.temperature,
        "top_p": options.top_p,
        "max_completion_length": options.max_completion_length,
        "seed": options.seed,
    }
    contexts = [prompt.samples[0].context.token_ids for prompt in prompts]
    path = directory / f"answers-{sha256_json([policy.digest(), sampling, contexts])[:16]}.jsonl"
    answers = read_groups(path)
    if len(answers) < len(prompts):
        _sample(prompts, len(answers), policy, sampling, path)
        answers = read_groups(path)
    groups = (
        replace(
            prompt, samples=tuple(replace(s, completion=answer.samples[0].completion) for s in prompt.samples)
        )
        for prompt, answer in zip(prompts, answers, strict=True)
    )
    return replace(loaded, groups=tuple(groups), kind="completion")


def _sample(
    prompts: Sequence[Group], done: int, policy: Policy, sampling: Mapping[str, Any], path: Path
) -> None:
    """Append the answers of every prompt after the first ``done`` to ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = LocalEngine(policy.model, policy.tokenizer, compute_dtype=policy.compute_dtype)
    with graceful() as stop, progress("sample", len(prompts), done=done) as advance:
        for start in range(done // _CHUNK * _CHUNK, len(prompts), _CHUNK):
            # A chunk is sampled whole, with a seed of its own, so that a resumed run draws the same.
            seeded = Sampling(**{**sampling, "seed": sampling["seed"] + start // _CHUNK})
            chunk = prompts[start : start + _CHUNK]
            answered = sample_prompts(engine, chunk, 1, seeded)
            new = answered[max(done - start, 0) :]
            for group in new:
                append_jsonl(path, group_to_json(group))
            advance(len(new))
            stop.check(f"sampling stopped, {path} is kept", fix="run the same command again to continue")
