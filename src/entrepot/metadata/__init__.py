"""What the cache knows of itself: SQL lives here and nowhere else."""
