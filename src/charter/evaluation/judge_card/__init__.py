"""The judge card: what a judge is worth, principle by principle, before anybody believes it."""
