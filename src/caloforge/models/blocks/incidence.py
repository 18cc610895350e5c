"""The incident particle as numbers of the order of one, the logarithm of its energy first."""

from __future__ import annotations

__all__ = ["Incidence"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from caloforge.models.blocks.conditions import Particles, Placement

if TYPE_CHECKING:
    from caloforge.detector import Detector


class Incidence(nn.Module):
    """Energy on two scales, direction and impact point, and which particle it is.

    Where both angles are known, how far the direction leans along x and y stands beside them.

    Args:
        detector: Whose cells are the unit of the impact point.
        columns: The generator's `conditions`.
        particles: PDG ids that are told apart.

    Attributes:
        width: How many numbers there are.
    """

    def __init__(self, detector: Detector, columns: Sequence[str], particles: Sequence[int]) -> None:
        super().__init__()
        self.placement = Placement(detector, columns)
        self.particles = Particles(particles) if "pdg" in columns else None
        angles = [columns.index(name) for name in ("theta", "phi") if name in columns]
        self.angles = angles if len(angles) == 2 else []
        self.width = 2 + self.placement.width + len(self.angles) + (len(particles) if self.particles else 0)

    def forward(self, incident: Tensor) -> Tensor:
        """Map incident columns `(n, k)` in MeV, rad and mm to `(n, width)`."""
        energy = incident[:, :1]
        seen = [torch.log(energy / 20e3), energy / 50e3 - 1]
        if self.placement.width:
            seen.append(self.placement(incident))
        if self.angles:
            theta, phi = (incident[:, place : place + 1] for place in self.angles)
            seen += [theta.sin() * phi.cos(), theta.sin() * phi.sin()]
        if self.particles is not None:
            seen.append(self.particles(incident[:, -1]))
        return torch.cat(seen, dim=1)
