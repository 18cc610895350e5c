"""Energies that no calorimeter can measure: counted, and refused, dropped or clipped."""

from __future__ import annotations

__all__ = ["BadEnergies", "Clipped"]

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError
from caloforge.showers.incident import Incident

if TYPE_CHECKING:
    from caloforge.showers.container import Showers


@dataclass
class BadEnergies:
    """How many impossible values were seen, and in how many showers."""

    nan: int = 0
    infinite: int = 0
    negative: int = 0
    incident: int = 0
    showers: int = 0

    def good(
        self, incident: Incident, cells: NDArray[np.float32], overflow: NDArray[np.float32] | None
    ) -> NDArray[np.bool_]:
        """Count the bad values of these showers; returns which showers are without any, shape `(n,)`."""
        parts = [cells] if overflow is None else [cells, overflow]
        good = _incident_good(incident)
        self.incident += int((~good).sum())
        for part in parts:
            # The least and the greatest value show NaN, too: one cheap look suffices for good showers.
            if part.size and not (part.min() >= 0 and part.max() < np.inf):
                np.logical_and(good, self._count(part), out=good)
        self.showers += int((~good).sum())
        return good

    def _count(self, energy: NDArray[np.float32]) -> NDArray[np.bool_]:
        nan, infinite, negative = np.isnan(energy), np.isinf(energy), energy < 0
        self.nan += int(nan.sum())
        self.infinite += int(infinite.sum())
        self.negative += int((negative & ~infinite).sum())
        return np.asarray(~np.any(nan | infinite | negative, axis=1))

    def __bool__(self) -> bool:
        return self.showers > 0

    def __str__(self) -> str:
        counts = {
            "NaN": self.nan,
            "infinite": self.infinite,
            "negative": self.negative,
            "impossible incident energy, angle or position": self.incident,
        }
        found = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        return f"{found or 'none'} in {self.showers} showers"

    def refuse(self, where: object) -> None:
        """Raise if anything bad was counted.

        Raises:
            ShowersError: There was.
        """
        if self:
            raise ShowersError(
                "the showers hold impossible energies",
                where=where,
                got=str(self),
                expected="finite energies of 0 or more in every cell, incident particles of more than 0 MeV",
                cure=self.cure(),
            )

    def cure(self, droppable: bool = True) -> str | None:
        """What `convert` can do; leaving showers out is no cure where none would be left (`droppable`)."""
        others = self.nan or self.infinite or self.incident
        clip, drop = "--clip sets negative cells to 0", "--drop-bad leaves these showers out"
        cures = [clip] if self.negative and (droppable or not others) else []
        cures += [drop] if droppable else []
        return f"`caloforge convert IN OUT`: {', '.join(cures)}" if cures else None


@dataclass
class Clipped:
    """Sets negative energies of cells to 0: flows and diffusion models give tiny ones in every shower."""

    showers: int = 0
    least: float = 0.0
    energy: float = 0.0

    def __call__(self, part: Showers) -> Showers:
        """Return showers without them, and count those that had any."""
        below = np.isfinite(part.cells) & (part.cells < 0)
        if not below.any():
            return part
        self.showers += int(below.any(axis=1).sum())
        self.least = min(self.least, float(part.cells[below].min()))
        self.energy += float(part.cells[below].sum(dtype=np.float64))
        return replace(part, cells=np.where(below, np.float32(0), part.cells))

    def __str__(self) -> str:
        return (
            f"negative cells of {self.showers:,} showers are 0 now: down to {self.least:.3g} MeV, "
            f"{self.energy:.3g} MeV in all"
        )


def _incident_good(incident: Incident) -> NDArray[np.bool_]:
    finite = np.ones(len(incident), np.bool_)
    for column in incident.values():
        finite &= np.isfinite(column)
    good: NDArray[np.bool_] = finite & (incident.energy > 0)
    return good
