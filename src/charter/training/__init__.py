"""THE loop."""
