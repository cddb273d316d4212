"""The parts of ``decode.py`` that run in a process of their own: the model, and each engine.

Every engine reports the same: seconds and tokens of each call, seconds of loading, and peak memory.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import vllm_peer
from common import Neighbours, peak_mib
from passages import model_folder

from charter.rundir import now, write_json

DTYPE = "bfloat16"


def run_part(job: Mapping[str, Any]) -> dict[str, Any]:
    """Do one job of the parent."""
    if job["part"] == "prepare":
        return prepare(job)
    neighbours = Neighbours()
    requests = json.loads(Path(job["requests"]).read_text(encoding="utf-8"))
    requests["prompts"] = requests["prompts"][: job["count"]]
    if job["part"] == "vllm":
        found = vllm_peer.generate(job, vllm_order(job, requests))
    else:
        import torch

        torch.set_num_threads(job["threads"])
        found = (charter_run if job["part"] == "charter" else generate_run)(job, requests)
    return {
        "variant": job["part"],
        "rows": job["rows"],
        "answers": job["count"],
        "date": now(),
        "neighbours": neighbours.seen(),
        "peak_mib": peak_mib(),
        **found,
    }


def prepare(job: Mapping[str, Any]) -> dict[str, Any]:
    """Write a random model of the named one's shape and the requests: ``{"model", "requests"}``, two paths.

    A random model's next token is any with about the same probability, so a set of tokens that is
    1/``mean`` of the vocabulary ends an answer with that probability at each token, on every engine.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    folder = Path(job["folder"])
    source = model_folder(job["model"], folder)
    target = folder / "model"
    config = AutoConfig.from_pretrained(str(source))
    config.initializer_range = 0.02
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).to(torch.bfloat16)
    model.save_pretrained(str(target))
    AutoTokenizer.from_pretrained(str(source)).save_pretrained(str(target))
    rng = random.Random("decode")
    stops = sorted(rng.sample(range(config.vocab_size), max(round(config.vocab_size / job["mean"]), 1)))
    prompts = [[rng.randrange(config.vocab_size) for _ in range(job["prompt"])] for _ in range(job["count"])]
    path = folder / "requests.json"
    write_json(path, {"prompts": prompts, "stop_ids": stops})
    return {"model": str(target), "requests": str(path)}


def charter_run(job: Mapping[str, Any], requests: Mapping[str, Any]) -> dict[str, Any]:
    """The local decoder: rows that end make room for the next request."""
    from charter.engines.base import Sampling
    from charter.engines.local import LocalEngine
    from charter.models.load import load
    from charter.types import Context

    began = time.perf_counter()
    policy = load(job["model"])
    engine = LocalEngine(
        policy.model, policy.tokenizer, max_rows=job["rows"], stop_ids=tuple(requests["stop_ids"])
    )
    loaded = time.perf_counter() - began

    def sample(prompts: Sequence[Sequence[int]], seed: int) -> list[int]:
        contexts = [Context(token_ids=tuple(ids)) for ids in prompts]
        sampling = Sampling(max_completion_length=job["most"], seed=seed)
        groups = engine.generate(contexts, 1, sampling)
        return [len(sample.completion.token_ids) for group in groups for sample in group.samples]

    return _measured(sample, job, requests["prompts"], loaded)


def generate_run(job: Mapping[str, Any], requests: Mapping[str, Any]) -> dict[str, Any]:
    """transformers' ``generate``: a batch of as many requests as may run at once, then the next."""
    import torch
    from transformers import AutoModelForCausalLM

    began = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=getattr(torch, DTYPE)).eval()
    loaded = time.perf_counter() - began
    stops = torch.tensor(requests["stop_ids"])
    options = {"do_sample": True, "temperature": 1.0, "top_k": 0, "max_new_tokens": job["most"]}
    options |= {"eos_token_id": requests["stop_ids"], "pad_token_id": requests["stop_ids"][0]}

    def sample(prompts: Sequence[Sequence[int]], seed: int) -> list[int]:
        torch.manual_seed(seed)
        lengths: list[int] = []
        for start in range(0, len(prompts), job["rows"]):
            ids = torch.tensor(prompts[start : start + job["rows"]])
            with torch.inference_mode():
                made = model.generate(ids, attention_mask=torch.ones_like(ids), **options)
            lengths += _lengths(made[:, ids.shape[1] :], stops)
        return lengths

    return _measured(sample, job, requests["prompts"], loaded)


def vllm_order(job: Mapping[str, Any], requests: Mapping[str, Any]) -> dict[str, Any]:
    """The same calls for vLLM; see ``vllm_worker.py``."""
    return {
        "model": job["model"],
        "calls": [{"prompts": requests["prompts"], "n": 1}] * job["calls"],
        "rows": job["rows"],
        "max_length": job["prompt"] + job["most"],
        "max_tokens": job["most"],
        "stop_token_ids": requests["stop_ids"],
        "warm": job["rows"],
    }


def _measured(
    sample: Any, job: Mapping[str, Any], prompts: Sequence[Sequence[int]], loaded: float
) -> dict[str, Any]:
    """Seconds and tokens of every call; what is set up at first use is not measured."""
    sample(prompts[: job["rows"]], 0)
    calls = []
    for seed in range(1, job["calls"] + 1):
        start = time.perf_counter()
        lengths = sample(prompts, seed)
        wall = time.perf_counter() - start
        calls.append({"wall": round(wall, 4), "sampled": sum(lengths), "longest": max(lengths)})
    return {"calls": calls, "load_s": round(loaded, 1)}


def _lengths(made: Any, stops: Any) -> list[int]:
    """Tokens of each row up to and with the first that ends it."""
    import torch

    ended = torch.isin(made, stops)
    first = torch.where(ended.any(1), ended.int().argmax(1) + 1, made.shape[1])
    found: list[int] = first.tolist()
    return found
