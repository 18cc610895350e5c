"""Random numbers by seed, purpose and number: the same however the work is cut and shared out."""

from __future__ import annotations

__all__ = ["ELECTRONICS", "GUN", "LIGHT", "SHOWERS", "stream", "streams"]

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

GUN, SHOWERS, ELECTRONICS, LIGHT = range(4)
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
    return np.random.Generator(np.random.Philox(key=_key(seed, purpose, number, part)))


def streams(seed: int, purpose: int, numbers: Iterable[int]) -> Iterator[np.random.Generator]:
    """Go through the streams of several numbers: each is that of `stream`, until the next one is taken."""
    # Philox asks the system for entropy when it is made, also with a key: ten times the cost of a new key.
    philox = np.random.Philox(key=0)
    begin, rng = philox.state, np.random.Generator(philox)
    for number in numbers:
        philox.state = begin | {"state": begin["state"] | {"key": _key(seed, purpose, number)}}
        yield rng


def _key(seed: int, purpose: int, number: int, part: int = 0) -> NDArray[np.uint64]:
    # As an array: two Python integers would go through float64.
    return np.array([seed, (((part << 32) + number) << _PURPOSE_BITS) + purpose], np.uint64)
