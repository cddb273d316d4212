"""Fields of ``RewardConfig`` alone."""

from __future__ import annotations

from charter.catalogue.from_trl.field import Rows, same

SECTIONS: dict[str, Rows] = {
    "Reward models (`RewardConfig`)": (*same("center_rewards_coefficient", of=("reward",)),),
}
