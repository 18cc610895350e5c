"""Random numbers by seed, purpose and number: the same however the work is cut and shared out."""

from __future__ import annotations

__all__ = ["ELECTRONICS", "GUN", "SHOWERS", "stream"]

import numpy as np

GUN, SHOWERS, ELECTRONICS = range(3)
"""What random numbers are for; streams of different purposes have nothing in common."""

_PURPOSE_BITS = 8


def stream(seed: int, purpose: int, number: int, part: int = 0) -> np.random.Generator:
    """Return the generator of one event, or batch of events, and purpose.

    Args:
        seed: 0 to 2^63 - 1.
        purpose: One of those above.
        number: Of the event, less than 2^32.
        part: Of what is made for it, less than 2^24.
    """
    # As an array: two Python integers would go through float64.
    key = np.array([seed, (((part << 32) + number) << _PURPOSE_BITS) + purpose], np.uint64)
    return np.random.Generator(np.random.Philox(key=key))
