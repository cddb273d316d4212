"""Proxy against truth: curves, a fitted law, and held-out reward while a run goes on."""
