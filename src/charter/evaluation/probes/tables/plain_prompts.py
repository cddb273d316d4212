"""Everyday questions, for how answers look and sound."""

from __future__ import annotations

PLAIN_PROMPTS: tuple[str, ...] = (
    "Why do leaves change colour in autumn?",
    "What is the capital of Portugal?",
    "How long should I boil an egg?",
    "My flight was cancelled. What should I do first?",
    "What does the word serendipity mean?",
    "How does a bicycle stay upright?",
    "Is it better to run in the morning or in the evening?",
    "Write a short message to thank a colleague for covering my shift.",
    "What is the difference between a lake and a pond?",
    "How do I remove a coffee stain from cotton?",
    "Who was Ada Lovelace?",
    "What is 15 percent of 80?",
    "Why is the sky blue?",
    "Suggest a name for a small bakery.",
    "How do vaccines work?",
    "What should I pack for two days of hiking?",
    "Translate 'good evening' into Spanish.",
    "Why do cats purr?",
    "How do I ask my landlord to fix the heating?",
    "What causes tides?",
    "I feel tired after lunch. Why?",
    "What is a mortgage?",
    "Tell me something about Iceland.",
    "How many players does a football team have?",
)
