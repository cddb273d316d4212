"""How far a model adheres: rates with intervals, levels, gates, changes, and what may be claimed of them."""
