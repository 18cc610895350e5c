"""The noise that seeds showers, drawn without torch so that runs and bundles give the same showers."""

from __future__ import annotations

__all__ = ["draw_noise"]

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def draw_noise(rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Draw standard normal noise for `n` showers.

    Showers are drawn one after the other, so ten calls with `n=1` give the same as one with `n=10`.

    Args:
        rng: Source of randomness, advanced by the call.
        n: Number of showers.
        shape: Noise of one shower, a generator's `noise_shape`.

    Returns:
        Noise, shape `(n, *shape)`, float32.
    """
    return rng.standard_normal((n, *shape), dtype=np.float32)
