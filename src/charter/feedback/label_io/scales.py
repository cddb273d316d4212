"""The lowest and the highest rating that a question allows, as a person writes them in a file."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator


def _rising(scale: tuple[float, float]) -> tuple[float, float]:
    if not scale[0] < scale[1]:
        raise ValueError("a scale is its lowest and its highest rating, such as [1, 5]")
    return scale


Scale = Annotated[tuple[float, float], AfterValidator(_rising)]
"""``[1, 5]``; ``[0, 1]`` is a verdict, no or yes."""
