"""What a model acts in: conversations of several turns, with tools, games and rewards."""
