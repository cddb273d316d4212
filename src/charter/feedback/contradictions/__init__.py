"""Principles of one constitution that contradict each other, as far as a judge can tell."""

from charter.feedback.contradictions.find import Contradictions, contradictions

__all__ = ["Contradictions", "contradictions"]
