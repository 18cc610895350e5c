"""Energies that are deposits: cells of a detector with a sampling fraction hold deposits divided by it."""

from __future__ import annotations

__all__ = ["divided", "fractions", "samples"]

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from caloforge.detector import Detector


def fractions(detector: Detector, layer: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of the energy that is deposited in what is read out, at each hit, shape `(hits,)`.

    A layer of -1 stands for none.
    """
    usual = detector.readout.sampling_fraction or 1.0
    return np.append(detector.sampling_fractions, usual)[layer]


def samples(detector: Detector) -> bool:
    """Whether a cell differs from its deposit."""
    return bool((detector.sampling_fractions != 1.0).any())


def divided(detector: Detector) -> tuple[str, ...]:
    """The note on what was done to deposits; none where nothing was."""
    if not samples(detector):
        return ()
    told = ", ".join(f"{share:g}" for share in sorted(set(detector.sampling_fractions.tolist())))
    return (f"deposits are divided by the detector's sampling fraction: {told}",)
