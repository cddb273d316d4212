"""One file per verb over the Python API."""
