"""Readers of answers: words and patterns, nothing that understands. Each says what it cannot see."""
