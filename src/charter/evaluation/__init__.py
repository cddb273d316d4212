"""Adherence with intervals, and the measures that show a harmed model."""
