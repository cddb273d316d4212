"""Fields of ``PRMConfig``, which TRL has removed."""

from __future__ import annotations

from charter.catalogue.from_trl.field import Rows, same

SECTIONS: dict[str, Rows] = {
    "Process reward models (`PRMConfig`, removed after TRL 1.13)": (
        *same("step_separator train_on_last_step_only max_completion_length", of=("prm",)),
    ),
}
