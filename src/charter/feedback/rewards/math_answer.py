"""Whether a mathematical answer is right, by math-verify; runs in a sandbox, imports no Charter.

math-verify parses with sympy, which can take for ever: its own timeouts are off, the sandbox's holds.
"""

from __future__ import annotations

import logging
import re

_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def verified(completion: str, answer: str) -> float | None:
    """1.0 for the right answer, 0.0 for a wrong one or none; None where the right answer is unreadable.

    Args:
        completion: the answer is looked for in its last ``<answer>`` where there is one, else after
            ``</think>``, else in all of it.
        answer: the right one: plain, LaTeX, or a worked solution that ends in ``\\boxed{...}``.
    """
    from math_verify import parse, verify

    for name in ("parser", "grader"):
        logging.getLogger(f"math_verify.{name}").setLevel(logging.ERROR)  # it warns of missing timeouts
    gold = parse(answer, parsing_timeout=None) or parse(f"${answer}$", parsing_timeout=None)
    if not gold:
        return None
    found = parse(_final(completion), parsing_timeout=None, extraction_mode="first_match")
    return float(bool(found) and verify(gold, found, timeout_seconds=None))


def _final(completion: str) -> str:
    tagged = _ANSWER.findall(completion)
    return str(tagged[-1]) if tagged else completion.rpartition("</think>")[2]
