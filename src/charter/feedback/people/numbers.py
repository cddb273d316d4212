"""The numbers a report would state of these labels, for asking whose labels they rest on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from charter.feedback.people.heard import choice, question
from charter.feedback.people.votes import votes_of
from charter.label import Label
from charter.stats.raters.influence import Statistic
from charter.stats.raters.noisy_bradley_terry import Comparison

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WIN = "win rate: "
RATING = "mean rating: "
LONGER = "the longer answer wins"


def reported(labels: Sequence[Label]) -> tuple[list[str], Statistic]:
    """The rater of each label, and the numbers of the labels that are kept.

    Win rates of models, mean ratings by principle, and how often the longer answer wins. Observations of one
    item are averaged first: an item is not worth more because more raters saw it.
    """
    import numpy as np

    names: dict[str, int] = {}
    cells: dict[tuple[int, Any], int] = {}
    cell_N: list[int] = []
    label_N: list[int] = []
    value_N: list[float] = []

    def note(number_of_label: int, name: str, item: Any, value: float) -> None:
        number = names.setdefault(name, len(names))
        cell_N.append(cells.setdefault((number, item), len(cells)))
        label_N.append(number_of_label)
        value_N.append(value)

    for at, label in enumerate(labels):
        value = choice(label)
        if label.kind == "rating" and value is not None:
            note(at, _rating_name(label), question(label), value)
        for vote in votes_of(label):
            if vote.value is None:
                continue
            a, b = vote.sides
            key = (*question(label), vote.name)
            if label.models and label.models[a] and label.models[b] and label.models[a] != label.models[b]:
                note(at, WIN + label.models[a], key, vote.value)
                note(at, WIN + label.models[b], key, 1.0 - vote.value)
            first, second = len(label.answers[a]), len(label.answers[b])
            if first != second:
                note(at, LONGER, key, vote.value if first > second else 1.0 - vote.value)
    of_cell = np.array([number for number, _ in cells], dtype=int)
    where_N, what_N, whose_N = np.array(cell_N, dtype=int), np.array(value_N), np.array(label_N, dtype=int)

    def statistic(kept_L: NDArray[np.bool_]) -> dict[str, float]:
        kept_N = kept_L[whose_N]
        count_C = np.bincount(where_N[kept_N], minlength=len(cells))
        sum_C = np.bincount(where_N[kept_N], weights=what_N[kept_N], minlength=len(cells))
        seen_C = count_C > 0
        mean_C = sum_C[seen_C] / count_C[seen_C]
        items_S = np.bincount(of_cell[seen_C], minlength=len(names))
        total_S = np.bincount(of_cell[seen_C], weights=mean_C, minlength=len(names))
        return {name: float(total_S[i] / items_S[i]) for name, i in names.items() if items_S[i]}

    return [label.rater for label in labels], statistic


def _rating_name(label: Label) -> str:
    """Ratings on different scales are different numbers."""
    said = RATING + (label.principle or "overall")
    if not label.scale:
        return said
    low, high = label.scale
    return f"{said} ({low:g} to {high:g})"


def ranking(numbers: dict[str, float]) -> list[str]:
    """Models by win rate, the best first."""
    return sorted((name for name in numbers if name.startswith(WIN)), key=lambda name: -numbers[name])


def comparisons(labels: Sequence[Label]) -> list[Comparison]:
    """Votes on answers of two models, the one shown first before the other (stored order where unknown)."""
    found = []
    for label in labels:
        for vote in votes_of(label):
            a, b = vote.sides
            if vote.value is None or not label.models or not label.models[a] or not label.models[b]:
                continue
            if label.models[a] == label.models[b]:
                continue
            first, second, value = label.models[a], label.models[b], vote.value
            if label.shown and label.shown.index(b) < label.shown.index(a):
                first, second, value = second, first, 1.0 - value
            found.append(Comparison(label.rater, first, second, value, (*question(label), vote.name)))
    return found
