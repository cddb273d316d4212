"""A model's distance from groups of people, as a table."""

from __future__ import annotations

from charter.evaluation.pluralism.measure import Measured, Pluralism


def print_pluralism(found: Pluralism) -> None:
    """Groups, the worst first, then what to know of the answers."""
    from rich.console import Console
    from rich.table import Table

    steered = any(row.steered is not None for row in found.rows)
    heads = ["group", "distance [95%]"]
    if steered:
        heads += ["where named [95%]", "change [95%]"]
    counted = any(row.by_chance is not None for row in found.rows)
    heads += ["beyond chance [95%]"] * counted + ["scale", "mean of groups", "uniform", "questions"]
    table = Table(*heads)
    for row in found.rows:
        cells = [row.group, _cell(row.js)]
        best, left = row.wasserstein, row.beyond
        if steered:
            cells += [_cell(row.steered), _cell(row.change, signed=True)]
            best, left = row.steered_wasserstein or best, row.steered_beyond or left
        if counted:
            cells.append("people not counted" if row.by_chance is None else _cell(left))
        cells += [_cell(best), f"{row.js_group_mean:.2f}", f"{row.js_uniform:.2f}", str(row.js.questions)]
        table.add_row(*cells)
    console = Console()
    console.print(table)
    console.print(_notes(found, steered), soft_wrap=True)


def _notes(found: Pluralism, steered: bool) -> str:
    notes = [
        "distance: Jensen-Shannon, 0 = the group's shares, 1 = none in common; scale: 1-Wasserstein on "
        "ordered questions, as a share of the scale" + (", where the group is named" if steered else "")
    ]
    unknown = sum(row.by_chance is None for row in found.rows)
    if unknown < len(found.rows):
        notes.append(
            "beyond chance: the distance less what as many people, drawn from the group itself, would show; "
            "groups are ranked by it"
        )
    if unknown:
        notes.append(
            f"{unknown} groups do not say how many people answered: they are ranked by the distance as it "
            "is, which chance makes larger for small groups"
        )
    if found.order_gap is not None:
        notes.append(f"turning the options round moves {found.order_gap:.0%} of the answers")
    if found.replies:
        notes.append(f"{found.unread} of {found.replies} replies name no option and are left out")
    missing = sum(row.missing for row in found.rows)
    if missing:
        notes.append(f"{missing} questions of groups have no answer of the model")
    return "\n".join(notes)


def _cell(one: Measured | None, *, signed: bool = False) -> str:
    if one is None or one.value is None:
        return "not measured"
    form = "+.2f" if signed else ".2f"
    if one.interval is None:
        return f"{one.value:{form}}"
    return f"{one.value:{form}} [{one.interval.lo:{form}}, {one.interval.hi:{form}}]"
