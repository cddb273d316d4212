"""Rules of a constitution: what they count, what they say of an answer, and the feedback they give."""
