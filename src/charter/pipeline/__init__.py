"""Recipes: stages that are skipped and resumed by content hash."""
