"""Rows to typed groups, templates to token ids, truncation, packing, and data checks."""
