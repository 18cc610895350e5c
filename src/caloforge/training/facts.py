"""What is known of all incident particles of a training, gathered in one pass that holds few at a time."""

from __future__ import annotations

__all__ = ["Facts"]

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caloforge.showers.incident import COLUMNS

if TYPE_CHECKING:
    from caloforge.showers import Incident


_FEW = 8


class Facts:
    """Number, ranges, particles, moments and a fingerprint of incident particles.

    Args:
        parts: The particles, some at a time, but no empty part.

    Attributes:
        showers: How many there are.
        low: Lowest value of each column.
        high: Highest value of each column.
        values: The values of each column that has several, but no more than eight.
        particles: PDG ids, sorted.
        across: Mean `(2,)` and mean square `(2, 2)` of the impact point (x, y) in mm, and of the
            direction's part across the axis.
        fingerprint: Tells whether two trainings see the same particles in the same order.
    """

    def __init__(self, parts: Iterable[Incident]) -> None:
        self.showers = 0
        self.low = dict.fromkeys(COLUMNS, np.inf)
        self.high = dict.fromkeys(COLUMNS, -np.inf)
        particles: set[int] = set()
        seen: dict[str, set[float]] = {name: set() for name in COLUMNS}
        sums = [(np.zeros(2), np.zeros((2, 2))) for _ in range(2)]
        digests = {name: hashlib.sha256() for name in COLUMNS}
        for part in parts:
            self.showers += len(part)
            particles |= {int(code) for code in np.unique(part.pdg)}
            for name, values in part.items():
                self.low[name] = min(self.low[name], float(values.min()))
                self.high[name] = max(self.high[name], float(values.max()))
                digests[name].update(values.tobytes())
                if len(seen[name]) <= _FEW:
                    seen[name] |= set(np.unique(values).tolist())
            for (total, squares), vector in zip(sums, _across(part), strict=True):
                total += vector.sum(axis=1)
                squares += vector @ vector.T
        self.particles = sorted(particles)
        self.values = {name: sorted(found) for name, found in seen.items() if 1 < len(found) <= _FEW}
        self.across = [(total / self.showers, squares / self.showers) for total, squares in sums]
        whole = "".join(f"{name} {digest.hexdigest()}\n" for name, digest in digests.items())
        self.fingerprint = hashlib.sha256(whole.encode()).hexdigest()


def _across(incident: Incident) -> list[NDArray[np.float64]]:
    """Impact points and directions across the axis, shapes `(2, n)`."""
    theta, phi = incident.theta.astype(np.float64), incident.phi.astype(np.float64)
    direction = np.sin(theta) * np.stack([np.cos(phi), np.sin(phi)])
    return [np.stack([incident.x, incident.y]).astype(np.float64), direction]
