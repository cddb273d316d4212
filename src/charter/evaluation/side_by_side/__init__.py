"""Many evaluated checkpoints side by side: principles, wins, ratings, and the helpful-harmless front."""
