"""Credit assignment: from a round of rewarded rollouts to groups an objective trains on."""
