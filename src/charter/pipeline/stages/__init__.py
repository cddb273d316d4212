"""One file per kind of stage."""
