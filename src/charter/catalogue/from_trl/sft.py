"""Fields of ``SFTConfig`` alone."""

from __future__ import annotations

from charter.catalogue.from_trl.field import Rows, Trainer, same

_SFT: tuple[Trainer, ...] = ("sft",)

SECTIONS: dict[str, Rows] = {
    "Supervised fine-tuning (`SFTConfig`)": (
        *same("loss_type", "nll or dft", of=_SFT),
        *same("completion_only_loss", of=_SFT),
        *same(
            "assistant_only_loss",
            "needs no markers in the chat template",
            default="a user's turns are not trained unless you say so",
            of=_SFT,
        ),
    ),
}
