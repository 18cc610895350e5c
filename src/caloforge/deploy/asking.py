"""Which incident particles are meant when only some of their columns are given."""

from __future__ import annotations

__all__ = ["incident_for", "sample_incident", "spread_incident", "wanted_particle"]

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caloforge.deploy.bundle.validity import Span, Validity
from caloforge.errors import RangeError
from caloforge.particles import particle_name, pdg_id
from caloforge.quantities import Interval
from caloforge.showers import Incident


def incident_for(
    valid: Validity,
    energy: ArrayLike,
    rng: np.random.Generator,
    particle: str | int | None = None,
    places: Mapping[str, Interval | str | None] | None = None,
) -> Incident:
    """Complete energies to incident particles.

    Args:
        valid: What the generator was trained for.
        energy: In MeV, one value or shape `(n,)`.
        rng: Source of directions and impact points.
        particle: Name or PDG id; the only one of the training if None.
        places: Of `theta`, `phi`, `x`, `y` those that are not drawn from the trained range (or from the
            values of the training, where these were few).

    Raises:
        RangeError: The training had several particles, and none is named.
        QuantityError: A quantity without its unit.
    """
    asked, n = places or {}, np.size(energy)
    columns = {
        name: _drawn_from(name, asked.get(name), span).sample(rng, n)
        for name, span in valid.spans()
        if name != "energy"
    }
    return Incident.of(energy, pdg=wanted_particle(valid, particle), **columns)


def _drawn_from(name: str, asked: Interval | str | None, span: Span) -> Interval | Span:
    return (
        span if asked is None else Interval.of(asked, "length" if span.unit == "mm" else "angle", f"--{name}")
    )


def wanted_particle(valid: Validity, particle: str | int | None) -> int:
    """Return the PDG id that is asked for; the only one of the training if none is.

    Raises:
        RangeError: The training had several particles, and none is named.
    """
    if particle is not None:
        return pdg_id(particle)
    if len(valid.particles) != 1:
        raise RangeError(
            "the generator knows several particles: which one is wanted?",
            expected=", ".join(particle_name(pdg) for pdg in valid.particles),
            cure="say it with --particle (Python: particle='e-', or Incident.of(..., pdg='e-')), "
            "or use --like with a file of the particles that you want",
        )
    return valid.particles[0]


def sample_incident(valid: Validity, rng: np.random.Generator, n: int, particles: Sequence[int]) -> Incident:
    """Draw `n` incident particles from the trained range, each of `particles` equally often.

    Args:
        valid: What the generator was trained for.
        rng: Source of everything.
        n: How many.
        particles: PDG ids.
    """
    columns = {name: span.sample(rng, n) for name, span in valid.spans()}
    return Incident.of(pdg=rng.choice(particles, n), **columns)


def spread_incident(
    valid: Validity, columns: Sequence[str], rng: np.random.Generator, n: int
) -> NDArray[np.float32]:
    """Spread incident particles over the trained range, its ends included.

    Args:
        valid: What the generator was trained for.
        columns: Those that its graph takes.
        rng: Source of what is between the ends.
        n: How many, at least 1.

    Returns:
        Shape `(n, len(columns))` in MeV, rad and mm; each column begins with the lower end of its range.
    """
    spans = dict(valid.spans())
    drawn = []
    for name in columns:
        if name == "pdg":
            drawn.append(rng.choice(valid.particles, n).astype(float))
            continue
        low, high = spans[name].min, spans[name].max
        values = rng.uniform(low, high, n)
        values[0], values[-1] = low, high
        drawn.append(values)
    return np.stack(drawn, axis=1).astype(np.float32)
