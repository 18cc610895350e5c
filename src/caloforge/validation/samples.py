"""All samples of a validation, side by side: what every study is given."""

from __future__ import annotations

__all__ = ["Samples"]

from collections.abc import Callable
from dataclasses import dataclass

from caloforge.detector import Detector
from caloforge.showers import Incident, Showers
from caloforge.validation.sample import Sample


@dataclass(frozen=True)
class Samples:
    """Samples of one detector and one size.

    Attributes:
        detector: What was hit.
        reference: Geant4.
        floor: Geant4 again: independent, as many showers.
        candidates: What is judged, one or more.
        training: The showers that the candidates were trained on, if given.
        sampler: Makes showers of the first candidate for given particles and a seed, if a model was given.
        seed: Seed of every choice.
    """

    detector: Detector
    reference: Sample
    floor: Sample
    candidates: tuple[Sample, ...]
    training: Sample | None = None
    sampler: Callable[[Incident, int], Showers] | None = None
    seed: int = 0

    @property
    def blocks(self) -> int:
        """Random blocks in each sample, the unit of all resampling."""
        return len(self.reference.counts)

    def __len__(self) -> int:
        return len(self.reference)
