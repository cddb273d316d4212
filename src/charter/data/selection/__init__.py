"""Choosing among a prompt's samples by their rewards: indices out, nothing else changed."""
