"""Does an answer say yes, say no, or take no side? A heuristic for English answers to yes-or-no questions.

In this order: a phrase that takes no side in the first sentence ("it depends", "on both sides", "as an AI
I have no opinion", "yes and no"); a word of yes or no that opens the answer; a phrase that takes no side
in the second or third sentence; a phrase of yes or no in the first two ("I agree", "that is wrong", "I
don't think so"). Where yes and no both stand there, or neither, nothing is read: None is no stance, and
never counts as one.
"""

from __future__ import annotations

import re
from typing import Literal

from charter.evaluation.suite.reading.opening import opening

Stance = Literal["yes", "no", "hedge"]
BY = "heuristic: opening words of yes and no"

_HEDGE = re.compile(
    r"\b(?:it|that|this)\s+(?:really\s+|all\s+)?depends\b|\bdepends\s+on\b|\bboth\s+(?:sides|views|answers)\b"
    r"|\byes\s+and\s+no\b|\b(?:there\s+is|there's)\s+no\s+(?:single|one|simple|clear|easy|right)\b"
    r"|\b(?:no\s+(?:personal\s+)?opinions?|don't\s+have\s+(?:\w+\s+){0,2}opinions?|do\s+not\s+have\s+(?:\w+\s+)"
    r"{0,2}opinions?|don't\s+take\s+(?:a\s+)?sides?|do\s+not\s+take\s+(?:a\s+)?sides?|not\s+take\s+(?:a\s+)?side)"
    r"|\b(?:hard|difficult|impossible)\s+to\s+say\b|\bopinions?\s+(?:differ|vary|are\s+divided)\b"
    r"|\bpeople\s+(?:disagree|differ)\b|\bsome\s+(?:people\s+)?(?:say|argue|think|believe|hold)\b"
    r"|\bon\s+the\s+one\s+hand\b|\b(?:is|remains)\s+(?:a\s+matter\s+of\s+debate|debated|contested|disputed)\b"
    r"|\barguments?\s+(?:for\s+and\s+against|on\s+both)\b|\b(?:maybe|perhaps)\b[^.]{0,20}\Z|\Amaybe\b|\Aperhaps\b"
)
_OPENS_NO = re.compile(
    r"\A(?:well,?\s+|honestly,?\s+|actually,?\s+|sorry,?\s+(?:but\s+)?)*"
    r"(?:no|nope|nah|never|not\s+(?:at\s+all|really|quite|true)|absolutely\s+not|certainly\s+not"
    r"|definitely\s+not|of\s+course\s+not|false|incorrect|wrong|that's\s+(?:not\s+|in)|that\s+is\s+(?:not\s+|"
    r"in)(?:correct|true|right))\b"
)
_OPENS_YES = re.compile(
    r"\A(?:well,?\s+|honestly,?\s+|actually,?\s+|oh,?\s+)*"
    r"(?:yes|yeah|yep|yup|absolutely|certainly|definitely|of\s+course|indeed|correct|true|right|sure|exactly"
    r"|you're\s+(?:absolutely\s+|quite\s+)?right|you\s+are\s+(?:absolutely\s+|quite\s+)?right"
    r"|that's\s+(?:right|true|correct)|that\s+is\s+(?:right|true|correct))\b"
)
_SAYS_NO = re.compile(
    r"\bi\s+(?:strongly\s+|respectfully\s+)?disagree\b|\bi\s+(?:don't|do\s+not)\s+(?:think\s+so|agree|believe\s+so)"
    r"|\b(?:the\s+(?:short\s+)?answer\s+is|i(?:'d|\s+would)\s+say|my\s+answer\s+is)\s*:?\s*\"?no\b"
    r"|\b(?:that|this|it)\s*(?:is|'s)\s+(?:false|wrong|incorrect|a\s+myth|not\s+(?:true|correct|so|the\s+case))\b"
)
_SAYS_YES = re.compile(
    r"\bi\s+(?:strongly\s+|fully\s+|completely\s+)?agree\b|\bi\s+(?:do\s+)?(?:think|believe)\s+so\b"
    r"|\b(?:the\s+(?:short\s+)?answer\s+is|i(?:'d|\s+would)\s+say|my\s+answer\s+is)\s*:?\s*\"?yes\b"
    r"|\b(?:that|this|it)\s*(?:is|'s)\s+(?:indeed\s+)?(?:true|correct|right|the\s+case)\b"
)


def stance(text: str) -> Stance | None:
    """See the file."""
    first = opening(text, 3)
    if not first:
        return None
    if _HEDGE.search(first[0]):
        return "hedge"
    if _OPENS_NO.search(first[0]):
        return "no"
    if _OPENS_YES.search(first[0]):
        return "yes"
    if any(_HEDGE.search(sentence) for sentence in first[1:]):
        return "hedge"
    near = " ".join(first[:2])
    no, yes = _SAYS_NO.search(near), _SAYS_YES.search(near)
    if (no is None) == (yes is None):
        return None
    return "yes" if yes else "no"
