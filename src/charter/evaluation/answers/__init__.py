"""Answers that are measured: asked once, kept as they come, and some of them shown."""
