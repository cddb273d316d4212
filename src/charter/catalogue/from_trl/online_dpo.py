"""Fields of ``OnlineDPOConfig``, and of ``NashMDConfig`` and ``XPOConfig``, which TRL has removed."""

from __future__ import annotations

from charter.catalogue.from_trl.field import Rows, Trainer, refused, renamed, same

_ONLINE: tuple[Trainer, ...] = ("online-dpo", "nash-md", "xpo")
_SCALAR = "one number; TRL's is a list, one an epoch"

SECTIONS: dict[str, Rows] = {
    "Online DPO (`OnlineDPOConfig`); Nash-MD and XPO (`NashMDConfig`, `XPOConfig`, removed after TRL 1.13)": (
        *same("beta", default=_SCALAR, of=("online-dpo", "xpo")),
        *same("beta", default="one number, the paper's", of=("nash-md",)),
        *same(
            "loss_type",
            "ipo is of sums of log-probs, here the mean (online-ipo has the sum)",
            of=("online-dpo",),
        ),
        *same("loss_type", of=("xpo",)),
        *refused("loss_type", "does nothing in TRL's Nash-MD either", of=("nash-md",)),
        *same("alpha", default=_SCALAR, of=("xpo",)),
        *same("mixture_coef", default="one number, the paper's", of=("nash-md",)),
        *renamed("reward_model_path", "reward_funcs", "name the reward model's folder", of=_ONLINE),
        *refused(
            "judge",
            "not offered: a judge is a reward function here; pairs follow from the rewards",
            of=_ONLINE,
        ),
    ),
}
