"""Settings of the whole suite."""

from __future__ import annotations

import os

# Idle OpenMP threads that spin starve the rest of a busy machine. Before torch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

from hypothesis import settings

# A shared machine may stall any example; what is slow is for the test timeout to say.
settings.register_profile("charter", deadline=None, derandomize=True)
settings.load_profile("charter")
