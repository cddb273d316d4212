"""Training data from a model's own critique: revisions, AI labels, minimal revisions, red-team prompts."""
