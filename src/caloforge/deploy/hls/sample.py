"""Showers that a fixed-point network is compared with: the bundle's of the same noise, and others."""

from __future__ import annotations

__all__ = ["FEWEST", "SEED", "Sample"]

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caloforge.deploy.asking import sample_incident
from caloforge.deploy.bundle import Bundle
from caloforge.deploy.engine import Engine
from caloforge.errors import ShowersError
from caloforge.models.blocks.noise import draw_noise
from caloforge.showers import Incident, Showers, open_showers

FEWEST = 100
"""Showers that trees can learn something from."""

SEED, _OTHER = 1, 2


@dataclass(frozen=True)
class Sample:
    """What is compared.

    Attributes:
        engine: The bundle's.
        incident: Particles.
        noise: Of each, `(n, *noise_shape)`.
        own: Showers that the bundle makes of these.
        other: Real ones of the same particles, or the bundle's of other noise.
        real: Whether these are real.
    """

    engine: Engine
    incident: Incident
    noise: NDArray[np.float32]
    own: Showers
    other: Showers
    real: bool

    @classmethod
    def of(cls, bundle: Bundle, count: int, reference: str | Path | None) -> Sample:
        """Make one of `count` showers, or as many as there are in the reference.

        Raises:
            RangeError: The reference has particles outside the trained range.
            ShowersError: It cannot be read, has other cells, or fewer than 100 showers.
        """
        engine = Engine(bundle)
        real = None if reference is None else _read(reference, engine, count)
        rng = np.random.default_rng(SEED)
        everywhere = sample_incident(engine.valid, rng, count, engine.valid.particles)
        incident = everywhere if real is None else real.incident
        own = engine.generate(incident, SEED)
        other = engine.generate(incident, _OTHER) if real is None else real
        noise = draw_noise(np.random.default_rng(SEED), len(incident), engine.noise_shape)
        return cls(engine, incident, noise, own, other, real is not None)

    def columns(self) -> NDArray[np.float32]:
        """Return what the graph is told of the particles, `(n, columns)`."""
        return self.incident.matrix(self.engine.conditions)


def _read(path: str | Path, engine: Engine, count: int) -> Showers:
    with open_showers(path) as file:
        real = file.read(0, min(count, len(file.incident())))
    _check_reference(real, engine, path)
    engine.valid.admit(real.incident)
    return real


def _check_reference(real: Showers, engine: Engine, path: str | Path) -> None:
    wanted = engine.detector
    if [layer.grid for layer in real.detector.layers] != [layer.grid for layer in wanted.layers]:
        raise ShowersError(
            "the showers of the reference have other cells than the bundle's",
            where=path,
            got=f"{real.detector.name}: {real.detector.n_layers} layers, {real.detector.n_cells} cells",
            expected=f"{wanted.name}: {wanted.n_layers} layers, {wanted.n_cells} cells",
        )
    if len(real) < FEWEST:
        raise ShowersError(
            "these are too few showers to compare with",
            where=path,
            got=len(real),
            expected=f"at least {FEWEST}",
        )
