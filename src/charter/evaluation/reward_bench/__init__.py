"""How good a reward model or a judge is on pairs, and how much of that is style."""
