"""The glossary: what a reader who is no statistician needs, and only of what the page says."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

GLOSSARY: Mapping[str, tuple[str, str]] = {
    "interval": (
        "Interval",
        "The range that holds the true rate in 95 of 100 such measurements (or at the level named). A "
        "wide one means few answers. Two rates whose ranges overlap may still differ: that is what "
        "the test is for.",
    ),
    "held_out": (
        "Held-out",
        "Kept away from training, so that the model could not learn the answers.",
    ),
    "level": (
        "Level",
        "The rank of a principle. Where two principles pull apart, the one of the higher level goes first.",
    ),
    "gate": (
        "Gate",
        "A bound that the constitution sets for a level. It passes only if the whole interval is at "
        "or above it, fails only if the whole interval is below it, and is undecided between.",
    ),
    "judge": (
        "Judge",
        "A model, or a rule, that says whether an answer keeps to a principle.",
    ),
    "card": (
        "Judge card",
        "The examination of a judge on answers whose truth is known. A judge that fails it for a "
        "principle is not used for that principle.",
    ),
    "corrected": (
        "Corrected",
        "A judge makes known mistakes. The corrected rate is what the true rate must be, given what "
        "the judge said and how often it errs; its interval is wider, since the mistakes are known "
        "only roughly.",
    ),
    "counted": (
        "As counted",
        "The share of answers that the judge passes, mistakes and all.",
    ),
    "sensitivity": (
        "Sensitivity",
        "Of the answers that keep to a principle, the share that the judge passes.",
    ),
    "specificity": (
        "Specificity",
        "Of the answers that break a principle, the share that the judge catches.",
    ),
    "kappa": (
        "Kappa",
        "Agreement of two beyond what chance would give: 1 is complete, 0 is chance, below 0 is worse "
        "than chance.",
    ),
    "alpha": (
        "Alpha",
        "Agreement of people among themselves beyond chance (Krippendorff): 1 is complete, 0 is chance.",
    ),
    "p": (
        "p",
        "How often a change at least this large would come about if nothing had changed. Small is telling.",
    ),
    "holm": (
        "Holm",
        "A correction of p for looking at many things at once: with twenty looks, one in twenty is "
        "found by luck.",
    ),
    "over": (
        "Over-enforcement",
        "Refusing what is harmless. It is measured on requests that must be met, and stands beside "
        "violation because a model that refuses everything breaks nothing.",
    ),
    "violation": (
        "Violation",
        "The share of test answers that break the principle.",
    ),
    "precedence": (
        "Declared winner",
        "The principle that the constitution says goes first where two pull apart.",
    ),
    "seed": (
        "Seed",
        "The number that fixes the luck of sampling. Another seed is another roll of the dice.",
    ),
    "order_flip": (
        "Order flip",
        "A judge that changes its preference when the same two answers change places.",
    ),
    "three_way": (
        "Three-way consistency",
        "How often a model, as its own judge, passes its own answers under its own constitution (SpecEval).",
    ),
    "kl": (
        "KL",
        "How far the aligned model's answers have moved from those of the base model, in nats; 0 is "
        "not at all.",
    ),
    "reward_margin": (
        "Reward margin",
        "How much more the trained model prefers the better answer than the base model does.",
    ),
    "perplexity": (
        "Perplexity",
        "How surprised the model is by ordinary text. It rises when a model forgets how to write.",
    ),
    "nll": (
        "NLL",
        "Negative log-likelihood: how unlikely the base model finds a text, in nats per token.",
    ),
    "attribution": (
        "Attribution",
        "The change of a principle beside the amount of training data that carries its id. It proves "
        "no cause.",
    ),
    "tax": (
        "Alignment tax",
        "What the model lost elsewhere while it was aligned: arithmetic, logic, knowledge.",
    ),
    "probe": (
        "Probe",
        "A small experiment that tempts a model, or a reward, into a known bad habit.",
    ),
    "preflight": (
        "Best of n",
        "Taking the best of n answers by a reward. If a second, held-out measure falls while the "
        "reward rises, the reward is being gamed.",
    ),
    "steer": (
        "Steerable",
        "Adherence to a group's view when the group is named, minus when it is not. Higher is better.",
    ),
    "overton": (
        "Overton",
        "The share of reasonable viewpoints that an answer covers. Higher is better.",
    ),
    "distribution": (
        "Distributional",
        "How far the spread of the model's answers lies from that of the people it should reflect "
        "(Jensen-Shannon distance, 0 to 1). Lower is better.",
    ),
    "round_trip": (
        "Round trip",
        "What the training data reward is read off the data and compared with the constitution. What they "
        "reward and the constitution does not say is a hidden objective.",
    ),
    "sha": (
        "sha256",
        "A fingerprint of a text. If one letter changes, so does it.",
    ),
}


class Terms:
    """Names terms on a page, links the first mention of each, and remembers which were used."""

    def __init__(self) -> None:
        self._used: dict[str, None] = {}

    def __call__(self, key: str, words: str = "") -> Markup:
        """``words`` (or the term itself), linked to the glossary where it is first used."""
        name = GLOSSARY[key][0]
        shown = words or (name if name[:2].isupper() else name[:1].lower() + name[1:])
        if key in self._used:
            return Markup("{}").format(shown)
        self._used[key] = None
        return Markup('<a class="term" href="#term-{}">{}</a>').format(key, shown)

    @property
    def used(self) -> list[tuple[str, str, str]]:
        """(key, heading, meaning) of the terms used, by heading."""
        return sorted(((key, *GLOSSARY[key]) for key in self._used), key=lambda one: one[1].lower())
