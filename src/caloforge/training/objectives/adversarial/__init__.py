"""GANs: a critic learns real from generated, and a generator learns to pass."""
