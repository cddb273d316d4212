"""The signals watched by default, with their thresholds; ``docs/watchdog.md`` explains each."""

from __future__ import annotations

from charter.evaluation.watchdog.garbage import GARBAGE, GarbagePays
from charter.evaluation.watchdog.heldout import HeldOutFell
from charter.evaluation.watchdog.in_vain import ShrunkInVain
from charter.evaluation.watchdog.rules import Above, Below, Grown, Shrunk, Surged
from charter.evaluation.watchdog.signal import Signal

ENTROPY, LENGTH, KL = "entropy", "completions/mean_length", "kl"
TRUNCATED, REPETITION = "completions/clipped_ratio", "completions/repetition"
CLIPPED, FLAT = "clip_ratio/region_mean", "frac_reward_zero_std"

KL_PER_TOKEN = "kl per token"
"""``kl`` over ``completions/mean_length``: a series the watchdog makes."""

SIGNALS: tuple[Signal, ...] = (
    Signal("entropy_collapse", "warn", Shrunk(ENTROPY, 0.35, least=0.05)),
    Signal("entropy_collapse", "pause", ShrunkInVain(ENTROPY, 0.15, least=0.05)),
    Signal("entropy_explosion", "warn", Grown(ENTROPY, 1.5, by=0.5)),
    Signal("entropy_explosion", "pause", Grown(ENTROPY, 2.0, by=1.0)),
    Signal("length_collapse", "warn", Shrunk(LENGTH, 0.4, least=4)),
    Signal("length_collapse", "pause", Shrunk(LENGTH, 0.2, least=4)),
    Signal("empty_completions", "pause", Below(LENGTH, 1.5)),
    Signal("length_explosion", "warn", Grown(LENGTH, 2.5, by=8)),
    Signal("length_explosion", "pause", Surged(LENGTH, 2.0, z=6, by=8)),
    # A base model that hardly ever ends its turn within the limit is no collapse: what counts is more of it.
    Signal("truncation", "warn", Above(TRUNCATED, 0.3, margin=0.2)),
    Signal("truncation", "pause", Above(TRUNCATED, 0.6, margin=0.3)),
    Signal("repetition", "warn", Above(REPETITION, 0.3)),
    Signal("repetition", "pause", Above(REPETITION, 0.5, margin=0.2)),
    Signal("clip_fraction", "warn", Above(CLIPPED, 0.3)),
    Signal("clip_fraction", "pause", Above(CLIPPED, 0.5, margin=0.1)),
    Signal("kl", "warn", Above(KL_PER_TOKEN, 0.5)),
    Signal("kl", "pause", Above(KL_PER_TOKEN, 1.0, margin=0.5)),
    Signal("kl_surge", "pause", Surged(KL, 3.0, z=6, by=5)),
    Signal("flat_groups", "warn", Above(FLAT, 0.8)),
    Signal("flat_groups", "pause", Above(FLAT, 0.95, margin=0.2), patience=10),
    Signal("heldout_reward", "warn", HeldOutFell(4.0), patience=2),
    Signal("heldout_reward", "pause", HeldOutFell(7.0), patience=2),
    *(Signal(f"garbage_{kind}", "warn", GarbagePays(kind, 0.05), patience=1) for kind in GARBAGE),
    *(Signal(f"garbage_{kind}", "pause", GarbagePays(kind, 0.5), patience=2) for kind in GARBAGE),
)
