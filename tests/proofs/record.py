"""Record the losses of every algorithm's run on the tiny model.

    python tests/proofs/record.py            all of them
    python tests/proofs/record.py dpo kto    these; the others stay

Do this only where a change of the numbers is meant, and say why in the commit.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from running import Workshop
from test_command import RECORDED, ROUNDS, SAMPLED

from charter.catalogue import ENTRIES
from charter.testing import save_tiny


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    recorded, sampled, rounds = _read(RECORDED), _read(SAMPLED), _read(ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(save_tiny(f"{folder}/tiny"), Path(folder))
        for name in names or list(ENTRIES):
            recorded[name] = [float(f"{loss:.8g}") for loss in workshop.losses(name)]
            if ENTRIES[name].data == "prompts":
                sampled[name] = workshop.sampled(name)
                rounds[name] = workshop.round_to_record(name)
    for path, found in ((RECORDED, recorded), (SAMPLED, sampled), (ROUNDS, rounds)):
        _write(path, found)


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def _write(path: Path, found: dict[str, Any]) -> None:
    """One algorithm a line, in the order of the catalogue."""
    kept = {name: found[name] for name in ENTRIES if name in found}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(values)}" for name, values in kept.items())
    path.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
