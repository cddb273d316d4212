"""The inverse constitution: which principles explain a set of preferences (ICAI, 2406.06560)."""
