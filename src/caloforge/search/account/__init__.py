"""The account: one generator evolved, and trained by gradients, at equal cost."""
