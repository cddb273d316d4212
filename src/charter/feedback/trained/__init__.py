"""Models that were trained to judge, opened as what they are: see :mod:`charter.models.trained_as`."""
