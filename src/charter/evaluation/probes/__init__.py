"""The gaming watch: small probes for flattery, gaming and rewards that can be gamed.

Each probe asks a model (or a reward) items whose truth is known, and gives rows with intervals and every
transcript. What each can and cannot tell is said in ``docs/probes.md``.
"""
