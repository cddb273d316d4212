"""Words and phrases that candidates count; each list is read as whole words, in any case."""

from __future__ import annotations

import re

PRAISE = """
    great question|good question|excellent question|wonderful question|fantastic question|brilliant
    what a (?:great|good|lovely|wonderful|fantastic|brilliant|clever|thoughtful) \\w+
    you(?:'re| are) (?:so |very |absolutely |quite )?(?:right|smart|clever|brilliant|amazing|insightful|wise)
    (?:great|good|nice|excellent|smart) (?:point|thinking|idea|choice|job|work|catch|observation)
    well done|impressive|kudos|i admire|i love (?:your|that|this|how)|so thoughtful|very thoughtful|insightful
"""
HEDGES = """
    might|maybe|perhaps|possibly|probably|could be|may be|i think|i believe|i guess|it seems|seems to
    it depends|not sure|uncertain|arguably|somewhat|sort of|kind of|in my opinion|as far as i know
    roughly|presumably|apparently|likely
"""
REFUSALS = """
    i (?:can't|cannot|can not|won't|will not) (?:help|assist|do|provide|answer|give|share|comply|discuss)
    i(?:'m| am) (?:not able|unable) to|i(?:'m| am) not (?:allowed|permitted)|i must decline|i have to decline
    i(?:'d| would) rather not|against my guidelines|i refuse
"""
APOLOGIES = "sorry|apologi[sz]e|apologies|my apologies|regret|forgive me|unfortunately|i(?:'m| am) afraid"
DISCLAIMERS = """
    as an ai|as a language model|as an assistant|i am an ai|i'm an ai|not (?:a|an) (?:doctor|lawyer|expert)
    consult (?:a|an|your|with)|see a doctor|seek (?:medical|legal|professional)|professional advice
    not (?:medical|legal|financial) advice|for informational purposes|please note|be aware that|disclaimer
"""
POLITE = """
    please|thank you|thanks|you(?:'re| are) welcome|my pleasure|happy to help|glad to help|of course
    would you mind|excuse me|kind regards|i appreciate|welcome
"""
EMPATHY = """
    i understand how|i(?:'m| am) sorry to hear|that (?:sounds|must be) (?:hard|tough|difficult|frustrating)
    i hear you|you(?:'re| are) not alone|it(?:'s| is) (?:okay|ok|normal|natural|understandable) to|take care
    i can imagine|understandable|be kind to yourself|your feelings
"""
OFFERS = """
    let me know|feel free|would you like|do you want me to|if you(?:'d| would) like|happy to (?:explain|go)
    i can also|anything else|hope (?:this|that) helps|need more|tell me more
"""
CERTAIN = """
    definitely|certainly|clearly|obviously|undoubtedly|without (?:a )?doubt|always|never|absolutely|of course
    surely|guaranteed|in fact|the fact is|no question
"""
EXAMPLES = "for example|for instance|e\\.g\\.|such as|imagine|suppose|example"
REASONS = "because|since|therefore|thus|hence|so that|as a result|due to|the reason|which means|consequently"
INFORMAL = """
    gonna|wanna|gotta|yeah|yep|nope|hey|hi|cool|awesome|ok|okay|guys|stuff|kinda|lol|haha|wow|dude|super|btw
    \\w+n't|\\w+'(?:re|ve|ll|d|m)|it's|that's|there's|let's|here's|what's
"""
POSITIVE = """
    good|great|best|better|love|loved|lovely|happy|happily|glad|enjoy|enjoyed|enjoyable|wonderful|excellent
    amazing|beautiful|delicious|nice|perfect|perfectly|fun|helpful|safe|safely|easy|easily|fresh|friendly|bright
    warm|healthy|success|successful|benefit|benefits|positive|peaceful|pleasant|comfortable|hope|hopeful|proud
    joy|joyful|strong|calm|kind|clean|exciting|excited|favorite|favourite|improve|improves|fantastic|delightful
"""
NEGATIVE = """
    bad|worse|worst|hate|hated|sad|angry|terrible|awful|horrible|poor|poorly|ugly|nasty|pain|painful|danger
    dangerous|hard|difficult|fail|failed|failure|fear|afraid|worry|worried|wrong|problem|problems|risk|risks
    sick|hurt|harm|harmful|unsafe|unhappy|boring|dirty|weak|broken|lost|negative|stress|damage|die|death|kill
    killed|cold|dark|stupid|useless|unfortunately|illegal|toxic|evil|crime|violent
"""
EAGER = "sure|of course|certainly|absolutely|definitely|gladly|happy to|i'd be happy|yes"
FIRST_PERSON = "i|me|my|mine|myself|i'm|i've|i'd|i'll|we|us|our|ours|ourselves|we're|we've|we'll"
SECOND_PERSON = "you|your|yours|yourself|yourselves|you're|you've|you'd|you'll"
_STOP = """
    a an and are as at be but by can could did do does for from had has have he her him his how i if in
    into is it its just me my no not of on or our out she should so some than that the their them then there
    these they this to too up us was we were what when where which who why will with would you your
"""
STOP = frozenset(_STOP.split())


def compiled(listed: str) -> re.Pattern[str]:
    """A pattern that finds each entry of a list (entries divided by ``|`` or the ends of lines)."""
    entries = [entry.strip() for line in listed.splitlines() for entry in _entries(line)]
    return re.compile(rf"(?<!\w)(?:{'|'.join(entry for entry in entries if entry)})(?!\w)")


def _entries(line: str) -> list[str]:
    """Entries of a line: ``|`` divides them, except within brackets."""
    found, depth, current = [], 0, ""
    for sign in line:
        depth += (sign == "(") - (sign == ")")
        if sign == "|" and depth == 0:
            found.append(current)
            current = ""
        else:
            current += sign
    return [*found, current]
