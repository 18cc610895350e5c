"""What a generator was trained for, and showers that were asked for outside it."""

from __future__ import annotations

__all__ = ["Outside", "Span", "Validity"]

import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from caloforge.errors import RangeError
from caloforge.particles import particle_name
from caloforge.showers import Incident
from caloforge.showers.incident import COLUMNS, RANGED

Outside = Literal["refuse", "warn"]
"""What to do when showers are asked for outside the trained range."""

# The least and greatest value of a sample lie a little inside the range that it was drawn from.
_EDGE = 0.01


class Span(BaseModel):
    """A closed interval of one incident column, in its unit (MeV, rad or mm).

    Attributes:
        min: Its lower end.
        max: Its upper end.
        unit: Of all numbers here.
        values: The only ones that were seen, where these were few; else empty.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    min: float
    max: float
    unit: Literal["MeV", "rad", "mm"]
    values: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _ordered(self) -> Span:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """Draw from the values that were seen, or uniformly if they were many; shape `(n,)`."""
        return rng.choice(self.values, n) if self.values else rng.uniform(self.min, self.max, n)

    @cached_property
    def limits(self) -> tuple[float, float]:
        """The interval widened by 1 % of its width, but never by more than a tenth of a positive lower end.

        A sample's extremes are inside the range that it was drawn from: without the slack, asking for the
        very range that was simulated would be refused.
        """
        slack = _EDGE * (self.max - self.min)
        rounding = 1e-6 * max(abs(self.min), abs(self.max), 1e-3)
        below = min(slack, 0.1 * self.min) if self.min > 0 else slack
        return self.min - below - rounding, self.max + slack + rounding

    def __str__(self) -> str:
        scale, unit = (1e3, "GeV") if self.unit == "MeV" else (1.0, self.unit)
        ends = dict.fromkeys(f"{end / scale:.4g}" for end in (self.min, self.max))
        return f"{' to '.join(ends)} {unit}"


class Validity(BaseModel):
    """The incident particles that a generator has seen in training.

    Attributes:
        particles: PDG ids; 0 stands for "the training data did not say".
        energy: Kinetic energy in MeV.
        theta: Angle to +z in rad.
        phi: Azimuth in rad.
        x: Impact point on the front face in mm.
        y: Impact point on the front face in mm.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    particles: tuple[int, ...]
    energy: Span
    theta: Span
    phi: Span
    x: Span
    y: Span

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> Validity:
        """Say what was seen by whoever learned from these data.

        Args:
            data: What a run remembers of them: particles, ranges, and `values` where these were few.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: Something else than a run remembers.
        """
        values = data.get("values", {})
        spans = {
            name: Span(min=low, max=high, unit=COLUMNS[name][1], values=values.get(name, ()))
            for name, (low, high) in ((name, data[name]) for name in RANGED)
        }
        return cls(particles=tuple(int(pdg) for pdg in data["particles"]), **spans)

    def spans(self) -> Iterator[tuple[str, Span]]:
        """Name and interval of each column."""
        return ((name, getattr(self, name)) for name in RANGED)

    def complaints(self, incident: Incident) -> list[str]:
        """Say in one sentence per column what lies outside; an empty list if nothing does."""
        if self._all_inside(incident):
            return []
        found = [self._particles(incident)] if len(incident) else []
        found += [_span(name, span, getattr(incident, name)) for name, span in self.spans()]
        return [sentence for sentence in found if sentence]

    def _all_inside(self, incident: Incident) -> bool:
        """All columns at once: a simulation asks for one particle at a time."""
        low, high = self._limits
        values = np.array([getattr(incident, name) for name in RANGED])
        inside = bool(((values >= low) & (values <= high)).all())
        return inside and not self._particles(incident)

    @cached_property
    def _limits(self) -> NDArray[np.float32]:
        ends = [span.limits for _, span in self.spans()]
        return np.array(ends, np.float32).T[:, :, None]

    def _particles(self, incident: Incident) -> str:
        strange = sorted(set(incident.pdg.tolist()) - set(self.particles))
        if not strange or 0 in self.particles:
            return ""
        return f"particle {_names(strange)}, trained on {_names(self.particles)}"

    def admit(self, incident: Incident, outside: Outside = "refuse") -> list[str]:
        """Let incident particles pass, or not.

        Args:
            incident: What showers are asked for.
            outside: "refuse" raises when something lies outside; "warn" gives a warning and goes on.

        Returns:
            One sentence for each column that lies outside.

        Raises:
            RangeError: Something lies outside and `outside` is "refuse"; or there are no such particles at
                all, as one without energy.
        """
        complaints = self.complaints(incident)
        if complaints and outside == "refuse":
            raise RangeError(
                "the generator was not trained for these showers",
                got="; ".join(complaints),
                expected=str(self),
                cure="stay inside, or go on at your own risk with --outside warn (Python: outside='warn')",
            )
        if complaints:
            _refuse_impossible(incident)
            warnings.warn(f"outside the trained range: {'; '.join(complaints)}", RuntimeWarning, stacklevel=3)
        return complaints

    def __str__(self) -> str:
        spans = [f"{name} {span}" for name, span in self.spans()]
        return ", ".join([_names(self.particles), *spans])


def _refuse_impossible(incident: Incident) -> None:
    """A graph may stop at such particles, and what it makes of them is nothing."""
    possible = incident.energy > 0
    for name in RANGED:
        possible &= np.isfinite(getattr(incident, name))
    if not possible.all():
        raise RangeError(
            "there are no such incident particles",
            got=f"{int((~possible).sum())} of {len(incident)} without energy, or with a number that is none",
            expected="energies above 0, and finite angles and impact points",
        )


def _span(name: str, span: Span, values: np.ndarray) -> str:
    low, high = span.limits
    # One value is seen faster without numpy. Both are written so that NaN lies outside, too.
    if len(values) == 1 and low <= values.item() <= high:
        return ""
    bad = ~((values >= low) & (values <= high))
    if not bad.any():
        return ""
    counted = f"({int(bad.sum())} of {len(values)} showers outside), trained on {span}"
    finite = values[np.isfinite(values)]
    if not len(finite):
        return f"{name} not finite {counted}"
    return f"{name} {Span(min=float(finite.min()), max=float(finite.max()), unit=span.unit)} {counted}"


def _names(particles: Iterable[int]) -> str:
    return ", ".join(particle_name(pdg) for pdg in particles) or "none"
