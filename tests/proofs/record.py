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

import torch
from running import Workshop
from test_command import RECORDED

from charter.catalogue import ENTRIES
from charter.testing import save_tiny


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    recorded = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(save_tiny(f"{folder}/tiny"), Path(folder))
        for name in names or list(ENTRIES):
            recorded[name] = [float(f"{loss:.8g}") for loss in workshop.losses(name)]
    kept = {name: recorded[name] for name in ENTRIES if name in recorded}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(losses)}" for name, losses in kept.items())
    RECORDED.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
