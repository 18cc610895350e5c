"""All samples of a validation, side by side: what every study is given."""

from __future__ import annotations

__all__ = ["Model", "Samples"]

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import Detector
from caloforge.validation.inputs.sample import Sample


class Model(Protocol):
    """A generator that can be asked for showers: a bundle's engine or a run's sampler.

    Attributes:
        detector: What its showers are read out with.
        conditions: Columns of the incident particles that `run` takes.
        noise_shape: Noise of one shower.
        valid: What it was trained for; `valid.energy.min` and `.max` in MeV.
    """

    detector: Detector
    conditions: tuple[str, ...]
    noise_shape: tuple[int, ...]
    valid: Any

    def run(self, noise: NDArray[np.float32], incident: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map noise `(n, *noise_shape)` and incident `(n, len(conditions))` to cells `(n, n_cells)`, MeV."""


@dataclass(frozen=True)
class Samples:
    """Samples of one detector and one size.

    Attributes:
        detector: What was hit.
        reference: Geant4.
        floor: Geant4 again: independent, as many showers.
        candidates: What is judged, one or more.
        training: The showers that the candidates were trained on, if given.
        model: The generator of the first candidate, if given.
        seed: Seed of every choice.
    """

    detector: Detector
    reference: Sample
    floor: Sample
    candidates: tuple[Sample, ...]
    training: Sample | None = None
    model: Model | None = None
    seed: int = 0

    @property
    def blocks(self) -> int:
        """Random blocks in each sample, the unit of all resampling."""
        return len(self.reference.counts)

    def __len__(self) -> int:
        return len(self.reference)
