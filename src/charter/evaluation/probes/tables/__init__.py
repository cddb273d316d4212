"""The items of the probes, written for this purpose."""
