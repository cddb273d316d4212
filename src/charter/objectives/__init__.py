"""Losses: pure functions on scored samples."""
