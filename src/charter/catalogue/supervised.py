"""Supervised fine-tuning."""

from __future__ import annotations

from charter.catalogue.entry import Entry, TermSpec, Traits
from charter.catalogue.options import TrainOptions


class SFTOptions(TrainOptions):
    """Options of supervised fine-tuning."""


SFT = Entry(
    name="sft",
    title="Supervised fine-tuning on completions",
    family="supervised",
    paper="2203.02155",
    data="sft",
    reference="none",
    terms=(TermSpec("charter.objectives.supervised:NLL"),),
    options=SFTOptions,
    models=("policy",),
    best_for="teaching a format or a skill from good answers; the start of most recipes",
    watch="copies the answers' faults; many epochs memorise",
    traits=Traits(
        formula="-log pi(y|x), mean over tokens",
        mechanism="imitates every token of the answers",
        stability="stable; over-fits in a few epochs, seen in the evaluation loss",
        complexity="one model, one pass, a learning rate",
    ),
)

ENTRIES: tuple[Entry, ...] = (SFT,)
