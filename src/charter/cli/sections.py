"""The commands in the order of the work, under headings."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

SECTIONS: dict[str, tuple[str, ...]] = {
    "Begin": ("init", "check", "model", "algorithms", "advise"),
    "Constitution": ("constitution", "red-team"),
    "Whole runs": ("run", "review", "report"),
    "Sample and judge": ("sample", "chat", "judge", "rank", "judge-card", "distil-judge"),
    "AI feedback": ("revise", "clair", "label-pairs"),
    "People": ("annotate", "labels", "raters", "gpo"),
    "Train": ("train", "reward-bench", "step-labels", "critiques", "verdicts"),
    "Evidence": (
        "evaluate", "compare", "compare-runs", "consistency", "probe", "tax", "pluralism", "shift",
        "pass-at-k", "overopt", "inspect",
    ),
}  # fmt: skip
"""Heading to commands; every command stands under one."""

LONGEST = max(len(name) for names in SECTIONS.values() for name in names)


class Sectioned(TyperGroup):
    """A group whose help lists its commands by section."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands under their headings, one line each."""
        for title, names in SECTIONS.items():
            rows = [(name.ljust(LONGEST), self._told(ctx, name, formatter.width)) for name in names]
            with formatter.section(title):
                formatter.write_dl(rows)

    def _told(self, ctx: Any, name: str, width: int) -> str:
        """The first sentence of the command's help."""
        command = self.get_command(ctx, name)
        return "" if command is None else command.get_short_help_str(width - 4 - LONGEST)
