"""What shows a harmed model: KL, fluency, repetition, drift; and when to stop for it."""
