"""Who samples: token ids in, completions with log-probabilities and a finish reason out."""
