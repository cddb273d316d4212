"""The proofs of the algorithms that write their own training data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from declaration import LEARNS, LN2, Declared

_HERE = Path(__file__).parent

RUN: dict[str, Any] = {
    "per_device_train_batch_size": 12,
    "num_generations": 4,
    "max_completion_length": 4,
    "reward_funcs": (f"{_HERE / 'reward_of_letters.py'}:remainders",),
    "watchdog": "off",
}
"""What all online runs here have; an option that is None in a declaration is left out."""

TASK: dict[str, Any] = {
    "per_device_train_batch_size": 48,
    "num_generations": 8,
    "max_completion_length": 2,
    "reward_funcs": (f"{_HERE / 'reward_of_letters.py'}:letters",),
    "learning_rate": 2e-2,
    "max_steps": 6,
}
"""What all runs on the task have: two characters, of which a fifth are letters at first."""

_POLICY_TRL = "tests/objectives/test_policy_gradient_trl.py"
_ADVANTAGES = "tests/objectives/test_advantages.py"
_EVERY_LOSS = f"{_POLICY_TRL}::test_every_loss_type"
_PAIR_TRL = "tests/objectives/test_pair_trl.py::test_every_loss_type"
_SFT_TRL = "tests/objectives/test_supervised.py::test_agrees_with_the_loss_trl_uses"

_LENGTHS = "answers of other lengths weigh otherwise"
_OWN_WORDS = "the model's own likelihood of its answers"
_CRITIC = "the critic's error: how large the rewards are"
_ONE_STEP = {"steps_per_generation": 1}
_OWN = {"sampled_by": "policy"}
"""What the first model writes does not change: test_learning.py asks those methods by themselves, too."""
_IMITATION = {**_ONE_STEP, "mask_truncated_completions": False}
_PPO = ("ppo_clip", "ppo_dual_clip", "ppo_total", "value_clip", "ppo_rewards_gae", "kl_controller_adaptive")
_CRITIC_TASK = {"num_iterations": 2, "max_steps": 12, "kl_coef": 0.0}

_POLICY_GRADIENT = {
    "grpo": Declared(
        golden=("grpo", "grpo_two_sided", "bnpo", "grpo_advantage", "importance_sampling_weights"),
        toy=LEARNS,
        peer=_EVERY_LOSS,
        at_reference=_LENGTHS,
    ),
    "dapo": Declared(
        golden=("dapo", "dapo_tis", "grpo_advantage", "soft_overlong_punishment"),
        toy=LEARNS,
        peer=_EVERY_LOSS,
        at_reference=_LENGTHS,
    ),
    "dr-grpo": Declared(
        golden=("dr_grpo", "grpo_advantage"), toy=LEARNS, peer=_EVERY_LOSS, at_reference=_LENGTHS
    ),
    "gspo": Declared(
        golden=("gspo", "gspo_token", "gspo_ratio", "grpo_advantage"),
        toy=LEARNS,
        peer=_EVERY_LOSS,
        at_reference=0.0,
    ),
    "cispo": Declared(
        golden=("cispo", "grpo_advantage"),
        toy=LEARNS,
        peer=_EVERY_LOSS,
        at_reference=_OWN_WORDS,
        surrogate="the weight of a token is held fixed",
    ),
    "reinforce": Declared(
        golden=("reinforce",),
        toy=LEARNS,
        peer="no peer has REINFORCE by itself; it is a golden case",
        at_reference=_OWN_WORDS,
    ),
    "remax": Declared(
        golden=("reinforce",),
        toy=LEARNS,
        peer="no peer has ReMax in its trainers",
        at_reference=_OWN_WORDS,
    ),
    "rloo": Declared(
        golden=("rloo", "rloo_advantage", "rloo_kl_advantage"),
        toy=LEARNS,
        peer=f"{_POLICY_TRL}::test_rloo",
        at_reference=0.0,
    ),
    "reinforce-plus-plus": Declared(
        golden=("reinforce_plus_plus_advantage", "ppo_clip"),
        toy=LEARNS,
        peer="TRL has no REINFORCE++; verl's numbers are golden cases",
        at_reference=0.0,
    ),
    "reinforce-plus-plus-baseline": Declared(
        golden=("reinforce_plus_plus_baseline_advantage", "kl_loss"),
        toy=LEARNS,
        peer="TRL has no REINFORCE++; verl's numbers are golden cases",
        at_reference=0.0,
    ),
    "p3o": Declared(
        golden=("p3o_pg", "p3o_separate_clip", "p3o_joint_clip", "p3o_expected_gradient"),
        toy=LEARNS,
        peer="no peer has pairwise PPO; its expectation is a golden case",
        at_reference=_OWN_WORDS,
        surrogate="the product of both ratios is held fixed",
    ),
}

_ACTOR_CRITIC = {
    "ppo": Declared(
        golden=(*_PPO, "entropy"),
        toy=LEARNS,
        peer="TRL 1.16 has no PPO; its numbers of 0.19 and verl's are golden cases",
        at_reference=_CRITIC,
        task=_CRITIC_TASK,
    ),
    "ppo-penalty": Declared(
        golden=("ppo_penalty", "kl_controller_ppo_penalty", "value_clip", "ppo_rewards_gae"),
        toy=LEARNS,
        peer="no peer has PPO's penalty; its controller is a golden case",
        at_reference=_CRITIC,
        task=_CRITIC_TASK,
    ),
    "ppo-ptx": Declared(
        golden=(*_PPO, "ppo_ptx"),
        toy=LEARNS,
        peer="no peer mixes pretraining gradients; the sum is a golden case",
        at_reference="the critic's error and the likelihood of the text",
        options={"ptx_data": str(_HERE / "pretraining.jsonl"), "ptx_batch_size": 2},
        task={**_CRITIC_TASK, "ptx_coef": 0.1},
    ),
    "reinforce-value": Declared(
        golden=("reinforce", "value_clip", "ppo_rewards_gae"),
        toy=LEARNS,
        peer="no peer has a critic without a clip",
        at_reference=_CRITIC,
        task={"kl_coef": 0.0},
    ),
    "trpo": Declared(
        golden=("trpo", "value_clip", "ppo_rewards_gae"),
        toy=LEARNS,
        peer="no peer has it for language models; spinningup's step is a golden case",
        at_reference=_CRITIC,
        options={"learning_rate": None, "cg_iters": 3},
        task={
            "kl_coef": 0.0,
            "max_kl_step": 1.0,
            "damping": 0.03,
            "whiten_advantages": False,
            "max_steps": 9,
            "critic_learning_rate": 2e-2,
        },
    ),
}

_ONLINE_PREFERENCE = {
    "online-dpo": Declared(
        golden=("online_dpo_selection", "dpo"), toy=LEARNS, peer=_PAIR_TRL, at_reference=LN2
    ),
    "online-ipo": Declared(
        golden=("online_ipo", "online_ipo_regression"),
        toy=LEARNS,
        peer="TRL's IPO is of means; the paper's is a golden case",
        at_reference=25.0,
    ),
    "ipo-md": Declared(
        golden=("online_ipo", "geometric_mixture"),
        toy=LEARNS,
        peer="no peer has IPO-MD; the mixture is a golden case",
        at_reference=25.0,
    ),
    "xpo": Declared(
        golden=("xpo",),
        toy=LEARNS,
        peer="TRL's XPO needs its own sampler; its loss is a golden case",
        at_reference="ln 2 and the bonus, which is a log-probability",
    ),
    "nash-md": Declared(
        golden=("nash_md", "geometric_mixture"),
        toy=LEARNS,
        peer="TRL 1.16 has no Nash-MD; that of 0.19 is a golden case",
        at_reference=_OWN_WORDS,
        surrogate="the KL is a part of the reward, and held fixed",
    ),
    "nash-ema": Declared(
        golden=("nash_md", "nash_ema"),
        toy=LEARNS,
        peer="no peer has Nash-EMA; its recursion is a golden case",
        at_reference=_OWN_WORDS,
        surrogate="the KL is a part of the reward, and held fixed",
    ),
    "bpo": Declared(golden=("bpo", "dpo"), toy=LEARNS, peer=_PAIR_TRL, at_reference=LN2),
    "iterative-dpo": Declared(
        golden=("online_dpo_selection", "dpo", "tr_dpo_sync"),
        toy=LEARNS,
        peer=_PAIR_TRL,
        at_reference=LN2,
        options={**_ONE_STEP, "ref_model_sync_steps": 1},
    ),
    "sppo-iterative": Declared(
        golden=("sppo",),
        toy=LEARNS,
        peer="no peer has soft win rates; the authors' formula is a golden case",
        at_reference="how often the samples win",
        options={**_ONE_STEP, "ref_model_sync_steps": 1},
    ),
}

_OWN_SAMPLES = {
    "best-of-n": Declared(
        golden=("best_of_n", "sft"), toy=LEARNS, peer=_SFT_TRL, at_reference=_OWN_WORDS, options=_IMITATION
    ),
    "rejection-sampling": Declared(
        golden=("sft",),
        toy=LEARNS,
        peer=_SFT_TRL,
        at_reference=_OWN_WORDS,
        options={**_IMITATION, "top_k_samples": 6},
    ),
    "rest": Declared(
        golden=("rest_filter", "sft"),
        toy=LEARNS,
        peer=_SFT_TRL,
        at_reference=_OWN_WORDS,
        options={**_IMITATION, "reward_thresholds": (0.3, 0.4)},
        task={"max_steps": 10},
    ),
    "expert-iteration": Declared(
        golden=("rest_filter", "sft"),
        toy=LEARNS,
        peer=_SFT_TRL,
        at_reference=_OWN_WORDS,
        options={**_IMITATION, "reward_thresholds": (0.4,)},
    ),
    "rest-em": Declared(
        golden=("rest_filter", "sft"),
        toy=LEARNS,
        peer=_SFT_TRL,
        at_reference=_OWN_WORDS,
        options={**_IMITATION, "reward_threshold": 0.4},
        task={"num_iterations": 3, "max_steps": 12},
    ),
    "rso": Declared(
        golden=("rso_acceptance", "hinge"),
        toy=LEARNS,
        peer=_PAIR_TRL,
        at_reference=1.0,
        options={**_ONE_STEP, "num_accepted": 2},
        task=_OWN,
    ),
    "rs-dpo": Declared(
        golden=("rs_dpo_pairs", "dpo"),
        toy=LEARNS,
        peer=_PAIR_TRL,
        at_reference=LN2,
        options={**_ONE_STEP, "tau": 0.1, "eta": 0.6},
        task=_OWN,
    ),
    "slic-rank": Declared(
        golden=("slic",),
        toy=LEARNS,
        peer="no peer has SLiC-HF as published: TRL's hinge has a reference",
        at_reference=_OWN_WORDS,
        options=_ONE_STEP,
        task=_OWN,
    ),
    "cpo-triplets": Declared(
        golden=("cpo",),
        toy=LEARNS,
        peer="tests/objectives/test_reference_free.py::test_agrees_with_trl_cpo",
        at_reference=_OWN_WORDS,
        options=_ONE_STEP,
    ),
}

ONLINE: dict[str, Declared] = _POLICY_GRADIENT | _ACTOR_CRITIC | _ONLINE_PREFERENCE | _OWN_SAMPLES
