"""Direct preference methods: losses on pairs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.options import MOVING, MovingReference


class DPOOptions(MovingReference):
    """Options of direct preference optimisation."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW. With use_peft, 5e-4 moves a 135M model in 30 steps and 2e-3 wrecks it."""

    beta: float = Field(0.1, gt=0)
    """Strength of the implicit KL constraint; larger stays closer to the reference."""

    loss_type: Literal["sigmoid"] = "sigmoid"
    """The loss on the log-ratio margin."""


DPO = Entry(
    name="dpo",
    title="Direct preference optimisation",
    family="preference",
    paper="2305.18290",
    data="preference",
    reference="frozen",
    terms=(TermSpec("charter.objectives.preference:DPO", ("beta", "loss_type")),),
    options=DPOOptions,
    models=("policy", "reference (its cached log-probs)"),
    best_for="pairs of a better and a worse answer, without a reward model",
    watch="loss keeps falling long after the model is harmed: stop on KL (max_kl)",
    elsewhere=MOVING,
    paper_settings={"beta": 0.1, "learning_rate": 1e-6, "per_device_train_batch_size": 64},
    traits=Traits(
        formula="-log sigmoid(beta * (D_w - D_l)), D = log pi(y|x) - log ref(y|x)",
        mechanism="raises the likelihood of better answers over worse ones, relative to the reference",
        stability="likelihood of both sides can fall while the margin grows; seen in logps/chosen and KL",
        complexity="reference log-probs once, beta and a learning rate",
    ),
)

ENTRIES: tuple[Entry, ...] = (DPO,)
