"""Run by the Python of vLLM's own environment: ``vllm_worker.py ORDER RESULT``. Imports nothing of Charter.

The order holds ``model``, ``calls`` (each ``prompts`` as token ids, and ``n``), ``warm`` (prompts of a
call that is not measured), ``rows`` (most sequences at once), ``max_length``, ``max_tokens``,
``stop_token_ids``, ``threads`` and ``eager``. The result holds the seconds and the sampled tokens of
every call, the seconds of loading, and the peak memory.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path


def main() -> None:
    order = json.loads(Path(sys.argv[1]).read_text())
    began = time.perf_counter()
    import torch

    torch.set_num_threads(order["threads"])
    import vllm

    llm = vllm.LLM(
        model=order["model"],
        dtype="bfloat16",
        max_num_seqs=order["rows"],
        max_model_len=order["max_length"],
        enforce_eager=order["eager"],
        seed=0,
        disable_log_stats=True,
    )
    loaded = time.perf_counter() - began
    calls = []
    # One call goes before: what is set up at first use is not measured.
    first = order["calls"][0]
    warm = {**first, "prompts": first["prompts"][: order["warm"]]}
    for call in [warm, *order["calls"]]:
        # A seed for each request would make vLLM draw row by row; the engine's own serves them all.
        sampling = vllm.SamplingParams(
            n=call["n"],
            temperature=1.0,
            max_tokens=order["max_tokens"],
            stop_token_ids=order["stop_token_ids"],
            logprobs=0,
            detokenize=False,
        )
        prompts = [{"prompt_token_ids": ids} for ids in call["prompts"]]
        start = time.perf_counter()
        found = llm.generate(prompts, sampling, use_tqdm=False)
        seconds = time.perf_counter() - start
        lengths = [len(one.token_ids) for request in found for one in request.outputs]
        calls.append({"wall": round(seconds, 4), "sampled": sum(lengths), "longest": max(lengths)})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {"calls": calls[1:], "load_s": round(loaded, 1), "peak_mib": round(peak, 1)}
    result["vllm"] = vllm.__version__
    Path(sys.argv[2]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
