"""The KL to the reference as a part of the loss.

Shapes: N scored tokens.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from charter.objectives.kl import kl_estimate

KLEstimator = Literal["k2", "k3"]


def kl_penalty(
    logps_N: Tensor, ref_logps_N: Tensor, estimator: KLEstimator, ratio_N: Tensor | None = None
) -> Tensor:
    """Estimate of ``KL(policy || reference)`` at each token that is differentiated, ``(N,)``.

    What matters here is the gradient. For tokens drawn from the policy that of k2 is exactly the gradient
    of the KL; that of k3 is the gradient of ``KL(reference || policy)``; that of k1 is zero, and so
    k1 is not offered. With ``ratio_N`` the expected gradient of both is that of
    ``KL(policy || reference)``, for tokens drawn from the old policy too: k3 is multiplied by the ratio,
    gradient and all (DeepSeek-V3.2, 2512.02556), k2 by its value.

    Args:
        logps_N: carries gradient.
        ref_logps_N: without gradient.
        estimator: see :func:`charter.objectives.kl.kl_estimate`.
        ratio_N: how much likelier each token is than under the old policy; None = the estimate alone.
    """
    estimate_N = kl_estimate(logps_N, ref_logps_N, estimator)
    if ratio_N is None:
        return estimate_N
    return estimate_N * (ratio_N.detach() if estimator == "k2" else ratio_N)
