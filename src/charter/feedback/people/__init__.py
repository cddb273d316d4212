"""Labels that people gave: how good they are, and rows to train on."""
