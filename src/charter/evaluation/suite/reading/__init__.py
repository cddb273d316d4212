"""Readings of an answer that need no judge: small, documented, and no more than heuristics."""
