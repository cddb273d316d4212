"""What has been proved about each algorithm of the catalogue, and where.

The tests beside this file walk the catalogue: an entry without a declaration fails, and so does a
declaration that is not true.
"""

from __future__ import annotations

import math

from declaration import LEARNS, LN2, REVERSED, Declared
from declared_online import ONLINE

from charter.catalogue import ENTRIES

_OF_THE_MODEL = "the model's own likelihood of the answers"
_PAIR_TRL = "tests/objectives/test_pair_trl.py"
_EVERY_LOSS = f"{_PAIR_TRL}::test_every_loss_type"

_SUPERVISED = {
    "sft": Declared(
        golden=("sft",),
        toy=LEARNS,
        peer="tests/objectives/test_supervised.py::test_agrees_with_the_loss_trl_uses",
        at_reference=_OF_THE_MODEL,
    ),
    "dft": Declared(
        golden=("dft",),
        toy=LEARNS,
        peer="tests/objectives/test_supervised.py::test_dft_agrees_with_trl",
        at_reference=_OF_THE_MODEL,
        surrogate="the probability that weighs a token is held fixed",
    ),
    "pretrain": Declared(
        golden=("sft",),
        toy="it trains prompts too, of which a table has none to predict",
        peer="tests/objectives/test_supervised.py::test_agrees_with_the_loss_trl_uses",
        at_reference=_OF_THE_MODEL,
    ),
    "imitation": Declared(
        golden=("sft",),
        toy=LEARNS,
        peer="tests/objectives/test_supervised.py::test_agrees_with_the_loss_trl_uses",
        at_reference=_OF_THE_MODEL,
    ),
    "binary-discrimination": Declared(
        golden="no peer has Askell's loss on likelihoods",
        toy=LEARNS,
        peer="no peer has Askell's loss on likelihoods",
        at_reference=_OF_THE_MODEL,
    ),
    "context-distillation": Declared(
        golden=("context_distillation",),
        toy="a table has no context to distil",
        peer="tests/objectives/test_distillation.py::test_agrees_with_trl_gkd",
        at_reference="how far the context moves the model",
        options={"teacher_context": "Be kind."},
    ),
    "on-policy-distillation": Declared(
        golden=("context_distillation",),
        toy="a table has no context to distil",
        peer="tests/objectives/test_distillation.py::test_agrees_with_trl_gkd",
        at_reference="how far the context moves the model",
        options={"teacher_context": "Be kind.", "max_completion_length": 6},
    ),
}

_HEAD = "a new head gives every answer a reward of its own"

_REWARD = {
    "reward": Declared(
        golden=("bradley_terry", "bradley_terry_soft"),
        toy=LEARNS,
        peer="tests/proofs/test_reward_peer.py::test_bradley_terry_agrees_with_trl",
        at_reference=_HEAD,
    ),
    "reward-margin": Declared(
        golden=("bradley_terry_margin",),
        toy=LEARNS,
        peer="tests/proofs/test_reward_peer.py::test_bradley_terry_agrees_with_trl",
        at_reference=_HEAD,
    ),
    "reward-kwise": Declared(
        golden=("kwise_ranking",),
        toy=LEARNS,
        peer="no peer trains on all pairs of a prompt as one element",
        at_reference=_HEAD,
        rows="ranked",
    ),
    "reward-plackett-luce": Declared(
        golden=("plackett_luce",),
        toy=LEARNS,
        peer="no peer has a Plackett-Luce reward model",
        at_reference=_HEAD,
        rows="ranked",
    ),
    "reward-regression": Declared(
        golden=("multi_attribute_mse",),
        toy=LEARNS,
        peer="no peer masks missing ratings; the mean is a golden case",
        at_reference=_HEAD,
    ),
    "reward-pmp": Declared(
        golden=("preference_model_pretraining",),
        toy=LEARNS,
        peer="no peer has preference-model pretraining",
        at_reference=_HEAD,
    ),
    "process-reward": Declared(
        golden=("process_reward_model",),
        toy=LEARNS,
        peer="tests/objectives/test_process.py::test_agrees_with_the_two_class_cross_entropy_of_trl",
        at_reference="a new head gives every step a reward of its own",
    ),
    "genrm": Declared(
        golden=("genrm_loss",),
        toy="its rows are questions about answers, in words",
        peer="tests/objectives/test_generative.py::test_genrm_is_the_likelihood_of_the_verdict_under_transformers",
        at_reference=_OF_THE_MODEL,
    ),
    "genrm-pairwise": Declared(
        golden=("genrm_pairwise",),
        toy="its rows are questions about answers, in words",
        peer="TRL's SFT has the loss, not the questions; its score is a golden case",
        at_reference=_OF_THE_MODEL,
    ),
    "cloud": Declared(
        golden=("cloud",),
        toy="its rewards are read after critiques, in words",
        peer="tests/objectives/test_generative.py::test_reward_loss_is_trl_s_and_does_not_see_a_shift",
        at_reference="a new head and the likelihood of the critiques",
        rows="critiques",
    ),
    "slic-pointwise": Declared(
        golden=("genrm_loss",),
        toy="its rows are questions about answers, in words",
        peer="TRL's SFT has the loss, not the questions",
        at_reference=_OF_THE_MODEL,
    ),
    "slic-pairwise": Declared(
        golden=("genrm_loss",),
        toy="its rows are questions about answers, in words",
        peer="TRL's SFT has the loss, not the questions",
        at_reference=_OF_THE_MODEL,
    ),
}

_PAIRS = {
    "dpo": Declared(golden=("dpo",), toy=LEARNS, peer=_EVERY_LOSS, at_reference=LN2),
    "cdpo": Declared(
        golden=("cdpo",),
        toy=LEARNS,
        peer="TRL 1.16 has no cDPO: its sigmoid loss ignores label_smoothing",
        at_reference=LN2,
    ),
    "robust": Declared(golden=("robust_dpo",), toy=LEARNS, peer=_EVERY_LOSS, at_reference=LN2),
    "hinge": Declared(golden=("hinge",), toy=LEARNS, peer=_EVERY_LOSS, at_reference=1.0),
    "ipo": Declared(golden=("ipo",), toy=LEARNS, peer=_EVERY_LOSS, at_reference=25.0),
    "psi-po": Declared(
        golden=("psi_po",), toy=LEARNS, peer="no peer has the family of Psi-PO", at_reference=25.0
    ),
    "exo": Declared(
        golden=("exo_pair",),
        toy=LEARNS,
        peer=_EVERY_LOSS,
        at_reference=-LN2 - 0.5 * math.log(1e-3 * (1 - 1e-3)),
    ),
    "dpo-norm": Declared(golden=("dpo_norm",), toy=LEARNS, peer=_EVERY_LOSS, at_reference=LN2),
    "ld-dpo": Declared(
        golden=("ld_dpo",), toy=LEARNS, peer=f"{_PAIR_TRL}::test_length_desensitised", at_reference=LN2
    ),
    "f-dpo": Declared(golden=("f_dpo",), toy=LEARNS, peer=f"{_PAIR_TRL}::test_divergences", at_reference=LN2),
    "wpo": Declared(
        golden=("wpo",),
        toy=LEARNS,
        peer=f"{_PAIR_TRL}::test_weighting",
        at_reference="pairs weigh as much as the model would write them",
        surrogate="the weight of a pair is held fixed",
    ),
    "rpo": Declared(
        golden=("rpo",),
        toy=LEARNS,
        peer=f"{_PAIR_TRL}::test_weighted_sums",
        at_reference="ln 2 and the model's own likelihood of the answers",
    ),
    "tr-dpo": Declared(
        golden=("dpo",),
        toy=LEARNS,
        peer=_EVERY_LOSS,
        at_reference=LN2,
        options={"ref_model_sync_steps": 5},
    ),
    "discopop": Declared(
        golden=("discopop",), toy=REVERSED, peer=_EVERY_LOSS, at_reference=(1 + math.log(2)) / 2
    ),
    "nca": Declared(golden=("nca_pair",), toy=LEARNS, peer=_EVERY_LOSS, at_reference=2 * LN2),
    "bco-pair": Declared(golden=("bco_pair",), toy=LEARNS, peer=_EVERY_LOSS, at_reference=2 * LN2),
    "sppo-hard": Declared(golden=("sppo_hard",), toy=LEARNS, peer=_EVERY_LOSS, at_reference=50.0),
    "sppo": Declared(
        golden=("sppo",),
        toy=LEARNS,
        peer="no peer has soft win rates; the authors' formula is a golden case",
        at_reference=500.0**2,
    ),
    "apo-zero": Declared(golden=("apo_zero",), toy=LEARNS, peer=_EVERY_LOSS, at_reference=1.0),
    "apo-down": Declared(golden=("apo_down",), toy=LEARNS, peer=_EVERY_LOSS, at_reference=1.0),
    "aot": Declared(golden=("aot",), toy=LEARNS, peer=_EVERY_LOSS, at_reference=LN2),
    "aot-unpaired": Declared(golden=("aot_unpaired",), toy=LEARNS, peer=_EVERY_LOSS, at_reference=LN2),
    "sdpo": Declared(
        golden=("dpo",),
        toy=LEARNS,
        peer=_EVERY_LOSS,
        at_reference=LN2,
        options={"num_stages": 2, "max_steps": 10},  # steps of each stage
    ),
    "dpo-behaviour": Declared(
        golden=("bpo",), toy=LEARNS, peer=_EVERY_LOSS, at_reference=LN2, rows="sampled"
    ),
}

_REFERENCE_FREE = {
    "cpo": Declared(
        golden=("cpo",),
        toy=LEARNS,
        peer="tests/objectives/test_reference_free.py::test_agrees_with_trl_cpo",
        at_reference="it has no reference policy",
    ),
    "simpo": Declared(
        golden=("simpo",),
        toy=LEARNS,
        peer="tests/objectives/test_reference_free.py::test_agrees_with_trl_cpo",
        at_reference="it has no reference policy",
    ),
    "alphapo": Declared(
        golden=("alphapo",),
        toy=LEARNS,
        peer="tests/objectives/test_reference_free.py::test_agrees_with_trl_cpo",
        at_reference="it has no reference policy",
    ),
    "orpo": Declared(
        golden=("orpo",),
        toy=LEARNS,
        peer="tests/objectives/test_reference_free.py::test_agrees_with_trl_orpo",
        at_reference="it has no reference policy",
    ),
    "slic-hf": Declared(
        golden=("slic",),
        toy=LEARNS,
        peer="no peer has SLiC-HF as published: TRL's hinge has a reference",
        at_reference="it has no reference policy",
    ),
}

_LISTS = {
    "infonca": Declared(
        golden=("infonca",),
        toy=LEARNS,
        peer="tests/objectives/test_listwise.py::test_agrees_with_the_authors_nca",
        at_reference=math.log(4),
    ),
    "nca-k": Declared(
        golden=("nca_k",),
        toy=LEARNS,
        peer="tests/objectives/test_listwise.py::test_agrees_with_the_authors_nca",
        at_reference=2 * LN2,
    ),
    "exo-k": Declared(
        golden=("exo_k",),
        toy=LEARNS,
        peer="tests/objectives/test_listwise.py::test_agrees_with_the_authors_exo",
        at_reference="how unequal the ratings are",
    ),
    "modpo": Declared(
        golden=("modpo",),
        toy=LEARNS,
        peer="no peer but the authors' code; its formula is a golden case",
        at_reference="what the other ratings say of the pairs",
        rows="also rated",
    ),
    "gdpo": Declared(
        golden=("gdpo_belief", "gdpo_total"),
        toy="its rows are beliefs and answers, in words",
        peer="tests/objectives/test_belief.py::test_agrees_with_torch_kl_div",
        at_reference="the model's own belief in what people believe",
        rows="beliefs",
    ),
}

_ROBUST = "tests/objectives/test_group_robust.py"

# The weights of groups are held fixed while the policy steps, but at their step sizes one step hardly moves
# them: the gradient is that of the value to four digits.
_BY_GROUP = {
    "gr-dpo": Declared(
        golden="one group is DPO, to the last bit, which test_group_robust.py says",
        toy=LEARNS,
        peer=f"{_ROBUST}::test_agrees_with_the_algorithm_as_it_is_published",
        at_reference="how many pairs of each group the step holds",
        rows="grouped",
    ),
    "gr-ipo": Declared(
        golden="one group is IPO on sums, which test_group_robust.py says",
        toy=LEARNS,
        peer=f"{_ROBUST}::test_agrees_with_the_algorithm_as_it_is_published",
        at_reference="how many pairs of each group the step holds",
        rows="grouped",
    ),
    "reward-by-group": Declared(
        golden=("bradley_terry", "bradley_terry_soft"),
        toy=LEARNS,
        peer="tests/proofs/test_reward_peer.py::test_bradley_terry_agrees_with_trl",
        at_reference=_HEAD,
        rows="grouped",
    ),
}

_UNPAIRED = {
    "kto": Declared(
        golden=("kto",),
        toy=LEARNS,
        peer="tests/objectives/test_unpaired.py::test_kto_agrees_with_trl",
        at_reference=0.5,
    ),
    "apo-zero-unpaired": Declared(
        golden=("kto",),
        toy=LEARNS,
        peer="tests/objectives/test_unpaired.py::test_kto_agrees_with_trl",
        at_reference=0.5,
    ),
    "bco": Declared(
        golden=("bco",),
        toy=LEARNS,
        peer="tests/objectives/test_unpaired.py::test_bco_agrees_with_trl",
        at_reference=LN2,
    ),
}

_OFFLINE = _SUPERVISED | _REWARD | _PAIRS | _REFERENCE_FREE | _LISTS | _BY_GROUP | _UNPAIRED

DECLARED: dict[str, Declared] = _OFFLINE | ONLINE

PROVED = [name for name in ENTRIES if name in DECLARED]
"""Entries with a declaration; that there are no others is a test of its own."""
