"""What may be said of each tested candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from charter.feedback.recovering.choose import LEAST_EFFECT, Material
from charter.feedback.recovering.metrics import Measure
from charter.feedback.recovering.partial import Partial, controls_of, partial
from charter.feedback.recovering.recovery import Finding, Options, Standing
from charter.stats.multiple import benjamini_hochberg, holm


@dataclass(frozen=True)
class Tested:
    """A candidate under test; see :class:`charter.feedback.recovering.recovery.Finding`.

    Attributes:
        at: its index.
        beside_holm: p of its effect beside the others, corrected with the rest; None = it was not chosen.
        held: what was held equal.
    """

    at: int
    train: Measure
    held_out: Measure
    p: float
    p_holm: float
    beside: Partial | None
    beside_holm: float | None
    chosen: bool
    held: Sequence[int]


def settle(train: Material, held_out: Material, tested: Sequence[Tested], options: Options) -> list[Finding]:
    """A finding of each.

    Args:
        train: pairs that candidates were chosen on.
        held_out: pairs they are tested on.
        tested: the candidates.
        options: how.
    """
    supported = {one.at for one in tested if _supported(one, options)}
    own = _own_effects([one for one in tested if one.at in supported], options)
    qs = benjamini_hochberg([one.p for one in tested])
    found = []
    for one, q in zip(tested, qs, strict=True):
        standing: Standing = _unsupported(one, options)
        by: int | None = None
        if one.at in supported:
            standing, by = "independent", None
            if not own[one.at][1]:
                by = _taker(held_out, one, supported, options)
                standing = "explained" if by is not None and own.get(by, (1.0, False))[1] else "entangled"
        found.append(
            Finding(
                held_out.candidates[one.at],
                one.train,
                one.held_out,
                one.p,
                one.p_holm,
                q,
                one.beside,
                own[one.at][0] if one.at in supported else None,
                standing,
                None if by is None else held_out.candidates[by],
                chosen=one.chosen,
            )
        )
    return found


def _supported(one: Tested, options: Options) -> bool:
    """Agreement beyond coins, alone; or, for a chosen one, an effect once the others are held equal."""
    if not one.held_out.relevant(options.min_relevance):
        return False
    if one.held_out.lead > 0 and one.p_holm < options.alpha:
        return True
    return (
        one.beside_holm is not None
        and one.beside is not None
        and one.beside.effect[0] >= LEAST_EFFECT
        and one.beside_holm < options.alpha
    )


def _own_effects(supported: Sequence[Tested], options: Options) -> dict[int, tuple[float | None, bool]]:
    """The corrected p of each one's effect beside the others, and whether it stands on its own."""
    ps = holm([1.0 if one.beside is None else one.beside.p for one in supported])
    found: dict[int, tuple[float | None, bool]] = {}
    for one, p in zip(supported, ps, strict=True):
        enough = one.beside is not None and one.beside.effect[0] >= LEAST_EFFECT and p < options.alpha
        found[one.at] = (None if one.beside is None else p, enough)
    return found


def _unsupported(one: Tested, options: Options) -> Standing:
    if not one.held_out.relevant(options.min_relevance):
        return "irrelevant"
    return "against" if one.held_out.lead < 0 and one.p_holm < options.alpha else "unsupported"


def _taker(held_out: Material, one: Tested, supported: set[int], options: Options) -> int | None:
    """Of those held equal and supported, the one that alone leaves least of the effect."""
    least, taker = float("inf"), None
    for other in [at for at in one.held if at in supported and at != one.at]:
        controls = controls_of(held_out.votes, [other], None)
        left = partial(held_out.votes, one.at, controls, held_out.labels_N, held_out.prompts_N, options.level)
        effect = 0.0 if left is None else left.effect[0]
        if effect < least:
            least, taker = effect, other
    return taker
