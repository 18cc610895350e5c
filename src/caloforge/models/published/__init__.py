"""The published GANs, one family per file."""
