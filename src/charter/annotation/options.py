"""How a campaign of labelling is run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from charter.config import Config

Mode = Literal["pair", "ranking", "rating", "revision", "spans"]
MODES: tuple[Mode, ...] = ("pair", "ranking", "rating", "revision", "spans")
"""What a rater does with an item; the kinds of :class:`charter.label.Label`."""

Policy = Literal["random", "active"]

Share = Annotated[float, Field(ge=0.0, le=0.5)]


class CampaignOptions(Config):
    """Written into the database when a campaign is made, and never changed afterwards."""

    overlap: Annotated[int, Field(ge=1, le=20)] = 2
    """Raters who label each ordinary item."""
    calibration: Annotated[int, Field(ge=0)] = 0
    """Ordinary items that ``calibration_overlap`` raters label, before the others."""
    calibration_overlap: Annotated[int, Field(ge=1, le=20)] = 3
    """Raters who label each calibration item."""
    gold_share: Share = 0.06
    """Share of what a rater sees that tests the rater; 5 to 8 % is usual."""
    repeat_share: Share = 0.04
    """Share that shows an earlier item again, sides swapped; 3 to 5 % is usual."""
    repeat_gap: Annotated[int, Field(ge=1)] = 8
    """Fewest labels of the rater between an item and its repeat."""
    policy: Policy = "random"
    """How the next item is chosen within a stratum: by chance, or the most uncertain first."""
    random_share: Annotated[float, Field(ge=0.05, le=1.0)] = 0.25
    """With ``policy: active``, the share that is still drawn by chance: what an estimate may rest on."""
    extra_overlap: Annotated[int, Field(ge=0, le=20)] = 0
    """With ``policy: active``, more raters for an item on which the first ones disagree."""
    lease_s: Annotated[float, Field(gt=0)] = 1800.0
    """Seconds for which an item that is shown to a rater counts as taken."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Decides sides, gold, repeats and the order of items."""
    reveal: bool = False
    """After a label was submitted, show who wrote the answers and what the judge said."""
    span_tags: tuple[Annotated[str, Field(min_length=1, max_length=40)], ...] = (
        "breaks the principle",
        "helps the principle",
        "not true",
    )
    """What a marked place can be called."""
    groups: tuple[str, ...] = ()
    """Groups a rater may say to belong to; saying so is voluntary."""
    min_cell: Annotated[int, Field(ge=1)] = 5
    """Smallest number of raters of a group that is reported."""

    @model_validator(mode="after")
    def _parts_fit(self) -> CampaignOptions:
        if self.gold_share + self.repeat_share > 0.5:
            raise ValueError("gold and repeats together are more than half of the work")
        if not 1 <= len(self.span_tags) <= 9 or len(set(self.span_tags)) != len(self.span_tags):
            raise ValueError("span_tags are one to nine different names")
        return self
