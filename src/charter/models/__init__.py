"""Load, score, reference, export."""
