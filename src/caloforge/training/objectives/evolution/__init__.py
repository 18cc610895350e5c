"""Evolution as an objective: a population of which each step judges a generation."""
