"""The fit with a trained correction, and the critic that trains it."""
