"""Whose opinions a model gives: its answers to a survey against those of groups of people."""
