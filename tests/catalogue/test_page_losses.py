"""The page of an algorithm states its own loss, with the paper's equation, and nobody else's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from charter.catalogue import ENTRIES

PAGES = Path(__file__).parents[2] / "docs" / "algorithms"
BY_HAND = {"dpo", "sft"}
WRITTEN = [name for name in ENTRIES if name not in BY_HAND]

OWN = {
    "alphapo": ("cpo_loss", "alpha_reward"),
    "aot": ("aot_loss", "paired_atoms"),
    "aot-unpaired": ("aot_loss",),
    "apo-down": ("apo_down",),
    "apo-zero": ("apo_zero",),
    "apo-zero-unpaired": ("kto_loss",),
    "bco": ("bco_loss",),
    "bco-pair": ("bco_pair",),
    "binary-discrimination": ("bradley_terry",),
    "cdpo": ("dpo_sigmoid",),
    "cloud": ("bradley_terry", "nll"),
    "context-distillation": ("Divergence",),
    "cpo": ("cpo_loss",),
    "cpo-triplets": ("cpo_loss", "ChosenNLL"),
    "dft": ("dft",),
    "discopop": ("discopop",),
    "dpo-norm": ("dpo_sigmoid",),
    "exo": ("exo_pair",),
    "exo-k": ("exo_loss",),
    "f-dpo": ("dpo_sigmoid", "f_score"),
    "gdpo": ("belief_kl", "dpo_sigmoid", "BeliefNLL"),
    "genrm": ("nll",),
    "gr-dpo": ("dpo_sigmoid", "mirror_ascent"),
    "gr-ipo": ("ipo", "mirror_ascent"),
    "grpo": ("clipped_surrogate", "importance_ratio"),
    "hinge": ("hinge",),
    "infonca": ("infonca_loss",),
    "ipo": ("ipo",),
    "iterative-dpo": ("dpo_sigmoid",),
    "kto": ("kto_loss",),
    "ld-dpo": ("dpo_sigmoid", "desensitised_sums"),
    "modpo": ("modpo_loss",),
    "nca": ("nca_pair",),
    "nca-k": ("nca_loss",),
    "online-ipo": ("OnlineIPO",),
    "orpo": ("odds_ratio_loss", "ORPONLL"),
    "p3o": ("pairwise", "jointly_clipped"),
    "ppo": ("clipped_surrogate", "ValueLoss"),
    "process-reward": ("step_loss",),
    "psi-po": ("psi_po",),
    "reward": ("bradley_terry",),
    "reward-by-group": ("bradley_terry",),
    "reward-kwise": ("bradley_terry",),
    "reward-margin": ("bradley_terry",),
    "reward-plackett-luce": ("plackett_luce",),
    "reward-pmp": ("bradley_terry", "ChosenNLL"),
    "reward-regression": ("squared_errors",),
    "rloo": ("clipped_surrogate", "RLOO"),
    "robust": ("robust",),
    "rpo": ("dpo_sigmoid", "ChosenNLL"),
    "rs-dpo": ("dpo_sigmoid",),
    "rso": ("hinge",),
    "simpo": ("cpo_loss",),
    "slic-hf": ("slic_loss", "SLiCNLL"),
    "sppo": ("sppo", "win_rates"),
    "sppo-hard": ("sppo_hard",),
    "sppo-iterative": ("sppo", "win_rates"),
    "trpo": ("ImportanceSurrogate",),
    "wpo": ("dpo_sigmoid", "on_policy_weights", "sequence_weights"),
    "xpo": ("XPO",),
}
"""What must be stated on a page, by the names of functions and classes."""


def loss_section(name: str) -> str:
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    return page.partition("\n## Loss\n")[2].partition("\n## Data\n")[0]


def stated(name: str) -> list[str]:
    return re.findall(r"^### `(\w+)`", loss_section(name), flags=re.MULTILINE)


@pytest.mark.parametrize("name", OWN)
def test_a_page_states_its_own_loss(name: str) -> None:
    assert set(OWN[name]) <= set(stated(name))


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_stated_cites_its_source(name: str) -> None:
    section = loss_section(name)
    assert stated(name)
    assert re.search(r"\b\d{4}\.\d{4,5}\b|\b(19|20)\d\d\b", section), section


@pytest.mark.parametrize(
    ("function", "pages"),
    [
        ("win_rates", {"sppo", "sppo-iterative"}),
        ("sppo", {"sppo", "sppo-iterative"}),
        ("dft", {"dft"}),
        ("exo_pair", {"exo"}),
        ("sppo_hard", {"sppo-hard"}),
        ("apo_zero", {"apo-zero"}),
        ("alpha_reward", {"alphapo"}),
        ("plackett_luce", {"reward-plackett-luce"}),
        ("infonca_loss", {"infonca"}),
        ("f_score", {"f-dpo"}),
        ("desensitised_sums", {"ld-dpo"}),
        ("sequence_weights", {"wpo"}),
    ],
)
def test_a_loss_is_stated_where_it_is_used_and_nowhere_else(function: str, pages: set[str]) -> None:
    assert {name for name in WRITTEN if function in stated(name)} == pages


@pytest.mark.parametrize("name", WRITTEN)
def test_nothing_is_stated_twice_or_in_markup_of_docstrings(name: str) -> None:
    section = loss_section(name)
    titles = re.findall(r"^### (.+)$", section, flags=re.MULTILINE)
    assert len(titles) == len(set(titles))
    assert not re.search(r":(func|class|mod|data|meth):|(?<!`)``(?!`)|^Args:", section, flags=re.MULTILINE)
