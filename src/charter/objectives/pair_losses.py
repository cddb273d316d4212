"""Losses of a better and a worse answer, each held against a reference: one pure function a loss.

Unless a function says otherwise, ``better_P`` and ``worse_P`` are summed log-ratios
``log pi(y|x) - log ref(y|x)`` of the two answers, ``beta`` is the strength of the implicit KL
constraint (larger stays closer), and the result has one loss per pair, ``(P,)``.
Minimised; ``h = beta * (better - worse)``.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def dpo_sigmoid(
    logratio_better_P: Tensor, logratio_worse_P: Tensor, beta: float, probability_P: Tensor | float = 1.0
) -> Tensor:
    """Direct preference optimisation, ``(P,)``.

    ``-p log sigmoid(h) - (1 - p) log sigmoid(-h)`` with
    ``h = beta * (log pi/ref(better) - log pi/ref(worse))``. Rafailov et al. 2023
    (2305.18290), equation 7; soft ``p`` is the conservative form of Mitchell's
    note, with the noise rate given per pair instead of for all.

    Args:
        logratio_better_P, logratio_worse_P: summed ``log pi - log ref`` of each side, or, for the
            length-normalised loss (Tulu 3, 2411.15124), their means per token.
        beta: strength of the implicit KL constraint; larger stays closer.
        probability_P: probability that the pair is the right way round.
    """
    h_P = beta * (logratio_better_P - logratio_worse_P)
    return -probability_P * F.logsigmoid(h_P) - (1 - probability_P) * F.logsigmoid(-h_P)


def robust(better_P: Tensor, worse_P: Tensor, beta: float, label_smoothing: float) -> Tensor:
    """Robust DPO: ``(-(1 - e) log sigmoid(h) + e log sigmoid(-h)) / (1 - 2e)``.

    Unbiased where a share ``e`` of the pairs is the wrong way round, and so it can be negative.
    Chowdhury et al. 2024 (2403.00409), section 3.1.

    Args:
        label_smoothing: ``e``, below 1/2.
    """
    h_P = beta * (better_P - worse_P)
    right_P, flipped_P = -F.logsigmoid(h_P), -F.logsigmoid(-h_P)
    e = label_smoothing
    return ((1 - e) * right_P - e * flipped_P) / (1 - 2 * e)


def hinge(better_P: Tensor, worse_P: Tensor, beta: float) -> Tensor:
    """``max(0, 1 - h)``: the hinge-norm of RSO (Liu et al. 2023, 2309.06657).

    SLiC-HF's hinge has no reference. The gradient at the kink is 0.
    """
    return torch.relu(1 - beta * (better_P - worse_P))


def ipo(better_P: Tensor, worse_P: Tensor, beta: float) -> Tensor:
    """IPO: ``(better - worse - 1 / (2 beta)) ** 2`` (Azar et al. 2023, 2310.12036, equation 17).

    Args:
        better_P, worse_P: log-ratios: means per token, as the authors computed them (so says TRL's
            source, who asked them), or sums, as the equation is written.
        beta: the paper's tau. With means and 0.1 the target is a margin of 5 nats per token.
    """
    return (better_P - worse_P - 0.5 / beta) ** 2


def exo_pair(better_P: Tensor, worse_P: Tensor, beta: float, label_smoothing: float) -> Tensor:
    """EXO on pairs: ``KL((q, 1 - q) || (1 - e, e))`` with ``q = sigmoid(h)``, reverse to DPO.

    Ji et al. 2024 (2402.00856), equation 16. Its gradient vanishes where ``q`` nears 0 or 1.

    Args:
        label_smoothing: ``e``, above 0 (the paper: 1e-3).
    """
    h_P = beta * (better_P - worse_P)
    to_better_P = torch.sigmoid(h_P) * (F.logsigmoid(h_P) - math.log1p(-label_smoothing))
    to_worse_P = torch.sigmoid(-h_P) * (F.logsigmoid(-h_P) - math.log(label_smoothing))
    return to_better_P + to_worse_P


def nca_pair(better_P: Tensor, worse_P: Tensor, beta: float) -> Tensor:
    """NCA on pairs: ``-log sigmoid(b) - (log sigmoid(-b) + log sigmoid(-w)) / 2`` of the rewards b and w.

    Chen et al. 2024 (2402.05369), section 4.1: each answer against noise, so that the likelihood of
    the better one is kept from falling.
    """
    better_P, worse_P = beta * better_P, beta * worse_P
    noise_P = F.logsigmoid(-better_P) + F.logsigmoid(-worse_P)
    return -F.logsigmoid(better_P) - 0.5 * noise_P


def bco_pair(better_P: Tensor, worse_P: Tensor, beta: float) -> Tensor:
    """Binary classification of both answers: ``-log sigmoid(b) - log sigmoid(-w)`` of the rewards b and w.

    Jung et al. 2024 (2404.04656), section 4, without the reward shift: with as many better as worse
    answers it is TRL's ``bco_pair``.
    """
    return -F.logsigmoid(beta * better_P) - F.logsigmoid(-beta * worse_P)


def sppo_hard(better_P: Tensor, worse_P: Tensor, beta: float) -> Tensor:
    """SPPO with win rates 1 and 0: ``(better - 1 / (2 beta)) ** 2 + (worse + 1 / (2 beta)) ** 2``.

    Wu et al. 2024 (2405.00675), equation 4.7 with P = 1 and 0, as in TRL; not halved.
    """
    return (better_P - 0.5 / beta) ** 2 + (worse_P + 0.5 / beta) ** 2


def sppo(
    better_P: Tensor, worse_P: Tensor, beta: float, win_rate_better_P: Tensor, win_rate_worse_P: Tensor
) -> Tensor:
    """SPPO with soft win rates, halved as in the authors' code.

    ``((better - (P_b - 1/2) / beta) ** 2 + (worse - (P_w - 1/2) / beta) ** 2) / 2``.
    Wu et al. 2024 (2405.00675), equation 4.7; ``beta`` is the paper's ``1 / eta`` (1e-3). The win rates
    ``P_b`` and ``P_w`` are those of :func:`charter.objectives.preference.win_rates`.

    Args:
        win_rate_better_P, win_rate_worse_P: how often each answer beats one of the reference's.
    """
    error_better_P = better_P - (win_rate_better_P - 0.5) / beta
    error_worse_P = worse_P - (win_rate_worse_P - 0.5) / beta
    return 0.5 * (error_better_P**2 + error_worse_P**2)


def apo_zero(better_P: Tensor, worse_P: Tensor, beta: float) -> Tensor:
    """APO-zero: ``1 - sigmoid(b) + sigmoid(w)`` of the rewards b and w: better up, worse down.

    D'Oosterlinck et al. 2024 (2408.06266), equation 7: for answers better than the model's own.
    """
    return torch.sigmoid(-beta * better_P) + torch.sigmoid(beta * worse_P)


def apo_down(better_P: Tensor, worse_P: Tensor, beta: float) -> Tensor:
    """APO-down: ``sigmoid(b) + 1 - sigmoid(b - w)`` of the rewards b and w: both down, the worse further.

    D'Oosterlinck et al. 2024 (2408.06266), equation 8: for answers worse than the model's own.
    At the reference only the worse answer moves.
    """
    return torch.sigmoid(beta * better_P) + torch.sigmoid(-beta * (better_P - worse_P))


def discopop(better_P: Tensor, worse_P: Tensor, beta: float, discopop_tau: float) -> Tensor:
    """DiscoPOP: ``(1 - m) * -log sigmoid(h) + m * exp(-h)`` with ``m = sigmoid(h / tau)``.

    Lu et al. 2024 (2406.08414), equation 5: a loss that a language model wrote. It is not monotone:
    between its two valleys lies the reference, where the gradient *lowers* the margin
    (``dL/dh = 0.784`` for tau = 0.05). Authors' code and TRL agree on this formula.
    """
    h_P = beta * (better_P - worse_P)
    modulation_P = torch.sigmoid(h_P / discopop_tau)
    # One exponential of the sum: exp(-h) alone would overflow where the modulation is nearly 0.
    exponential_P = torch.exp(F.logsigmoid(h_P / discopop_tau) - h_P)
    return (1 - modulation_P) * -F.logsigmoid(h_P) + exponential_P
