"""DPO side by side with TRL: same weights, token ids, rows per step, optimizer and order of rows.

    python benchmarks/dpo_vs_trl.py [--check] [--steps 2 --repeats 2 --threads 2 --lengths equal,lognormal]

See ``vs_trl.py`` for what it does, and README.md for the rules.
"""

from __future__ import annotations

import sys

from vs_trl import run

if __name__ == "__main__":
    sys.exit(run("dpo", __file__))
