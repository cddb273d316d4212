"""Inspect both ways: Charter's models and constitutions there, its logs here.

Needs the extra ``charter[inspect]``; nothing of it is imported until it is used.
"""
