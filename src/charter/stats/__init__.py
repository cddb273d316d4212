"""Statistics for evidence: intervals, paired tests, correction for many tests, sample sizes.

Free of torch; numpy and scipy are imported where they are used.
"""

from charter.stats.bootstrap import bootstrap_mean, cluster_means
from charter.stats.intervals import Interval, newcombe_paired, square_and_add, wilson
from charter.stats.multiple import holm
from charter.stats.paired import mcnemar_exact, permutation_test
from charter.stats.power import flips_needed, gate_decision, more_pairs_to_decide, more_prompts_for_gate
from charter.stats.words import p_words, percent, points

__all__ = [
    "Interval",
    "bootstrap_mean",
    "cluster_means",
    "flips_needed",
    "gate_decision",
    "holm",
    "mcnemar_exact",
    "more_pairs_to_decide",
    "more_prompts_for_gate",
    "newcombe_paired",
    "p_words",
    "percent",
    "permutation_test",
    "points",
    "square_and_add",
    "wilson",
]
