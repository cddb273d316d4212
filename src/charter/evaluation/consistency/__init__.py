"""Four corners of a constitution: its examples, the policy as its own judge, other judges, and people."""
