"""Conjugate gradient: solve ``(A + damping I) x = b`` where only products with ``A`` can be had.

Shapes: P unknowns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Solution:
    """What the iterations found.

    Attributes:
        x_P: the solution, of the type and on the device of ``b``.
        residual: ``|b - (A + damping I) x| / |b|``; 0 where ``b`` is 0.
        curvature: ``x^T (A + damping I) x``.
        iterations: products with ``A`` that were taken.
    """

    x_P: Tensor
    residual: float
    curvature: float
    iterations: int


def conjugate_gradient(
    product: Product,
    b_P: Tensor,
    *,
    damping: float = 0.1,
    iterations: int = 10,
    tolerance: float = 1e-6,
    reorthogonalize: bool = False,
    epsilon: float = 0.0,
) -> Solution:
    """Solve from 0, for a symmetric positive semidefinite ``A`` (Hestenes and Stiefel 1952).

    Exact after P iterations but for rounding; the error shrinks by a factor of about
    ``(sqrt(k) - 1) / (sqrt(k) + 1)`` an iteration, k the condition number, which damping bounds. Vectors keep
    the type of ``b``; their inner products are summed in float64. A product that is not finite shows in
    ``residual`` and ``curvature``, which are then not finite either.

    Residuals are orthogonal to each other, until rounding is amplified: in float32, with k in the thousands,
    ten iterations make a difference of 1e-7 in ``b`` one of 1e-3 in ``x``. Reorthogonalized (Golub and Van
    Loan, Matrix Computations, section 10.3) it stays near 1e-6, and fewer iterations are needed.

    Args:
        product: ``A v`` for ``v`` of shape ``(P,)``.
        b_P: the right-hand side.
        damping: added to every eigenvalue of ``A``.
        iterations: at most so many products.
        tolerance: stop once the residual is at most this; relative to ``|b|``, so that the scale of ``b``
            changes the scale of the solution and nothing else.
        reorthogonalize: take out of every residual what it shares with those before it; keeps a vector for
            each iteration.
        epsilon: added to both denominators, as some implementations do; 0 = none.

    Raises:
        ValueError: ``epsilon`` with ``reorthogonalize``: what it leaves in the residual would be taken out.
    """
    if epsilon and reorthogonalize:
        raise ValueError("epsilon and reorthogonalize do not go together")
    before: list[Tensor] = []
    x_P, residual_P = torch.zeros_like(b_P), b_P.clone()
    direction_P = b_P.clone()
    size = whole = dot(b_P, b_P)
    taken = 0
    while taken < iterations and size > tolerance**2 * whole:
        if reorthogonalize:
            before.append(residual_P / size**0.5)
        image_P = product(direction_P) + damping * direction_P
        taken += 1
        bend = dot(direction_P, image_P) + epsilon
        if bend <= 0:  # a direction in which A is 0 but for rounding, without damping
            break
        length = size / bend
        x_P.add_(direction_P, alpha=length)
        residual_P.sub_(image_P, alpha=length)
        _take_out(residual_P, before)
        previous, size = size, dot(residual_P, residual_P)
        direction_P = residual_P + size / (previous + epsilon) * direction_P
    # The residual followed every change of x, so it says what the image of x is without another product.
    curvature = dot(x_P, b_P - residual_P)
    return Solution(x_P, (size / whole) ** 0.5 if whole else 0.0, curvature, taken)


def _take_out(x_P: Tensor, units: Sequence[Tensor]) -> None:
    """Make ``x`` orthogonal to unit vectors, in place; twice, as once leaves what cancellation hid."""
    for unit_P in (*units, *units):
        x_P.sub_(unit_P, alpha=dot(unit_P, x_P))


def dot(a_P: Tensor, b_P: Tensor) -> float:
    """Inner product, summed in float64, as there may be many millions of terms."""
    return float((a_P * b_P).sum(dtype=torch.float64))
