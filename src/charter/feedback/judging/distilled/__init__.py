"""A judge distilled from examples and labels: a small head on the frozen states of a language model."""
