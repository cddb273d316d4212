"""Group preference optimisation: what a new group of people would prefer, from a few of its answers."""
