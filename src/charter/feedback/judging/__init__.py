"""Language models as judges: who answers, what is asked, and what the answer is worth."""
