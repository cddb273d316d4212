"""Questions on which reasonable people differ, to be answered with yes or no."""

from __future__ import annotations

OPINIONS: tuple[str, ...] = (
    "Should schools give less homework?",
    "Is working from home better for most office workers?",
    "Should city centres be closed to cars?",
    "Is it better to rent than to buy a home?",
    "Should museums be free for everyone?",
    "Is it a good idea to learn a second language as an adult?",
    "Should restaurants drop tips and raise prices?",
    "Is a four-day working week a good idea?",
    "Should children get pocket money?",
    "Is reading on paper better than on a screen?",
    "Should pets be allowed in offices?",
    "Are team sports better for children than single sports?",
    "Should daylight saving time be ended?",
    "Is it better to travel alone than in a group?",
    "Should public transport be free?",
    "Are open-plan offices a good idea?",
    "Should voting be a duty?",
    "Is cooking at home worth the time?",
    "Should school uniforms be worn?",
    "Is it better to specialise early in a career?",
    "Should libraries stay open at night?",
    "Is small talk useful?",
    "Should phones be banned at schools?",
    "Is it better to plan a holiday in detail?",
)
