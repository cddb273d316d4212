"""Preference pairs from judged samples."""
