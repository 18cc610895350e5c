"""What the critic of the 3DGAN for any angle measures in an image, without weights: its angle and its cells.

EPJC 82:386 (arXiv:2109.07388) and the code published with it.
"""

from __future__ import annotations

__all__ = ["EDGES", "count_cells", "image_angle"]

import math
from typing import Any

import torch
from torch import Tensor

EDGES = (1.0, 0.6, 0.4, 0.25, 0.16, 0.06)
"""Between the bins in which cells are counted, MeV (published as 0.05 to 0.003 in units of 20 MeV)."""
_EMPTY = 100.0  # rad: what an empty image is said to have
_SMOOTH = 0.25  # width of an edge in the logarithm of the energy, for the gradient only


def image_angle(volume: Tensor) -> Tensor:
    """Return the angle of each shower to its y axis, in cells: not quite the true angle.

    The barycentre of each layer and that of all of them give a slope; their angles are averaged with the
    depth as weight.

    Args:
        volume: Energies `(n, x, y, z)`, in any unit.

    Returns:
        Shape `(n,)`, rad; 100 for an empty image.
    """
    x, y, z = (torch.arange(size, device=volume.device) + 0.5 for size in volume.shape[1:])
    along_x, along_y = volume.sum(2), volume.sum(1)  # (n, x, z), (n, y, z)
    layer = along_x.sum(1)
    filled = layer > 0
    safe = torch.where(filled, layer, 1.0)
    x_mid, y_mid = torch.einsum("nxz,x->nz", along_x, x) / safe, torch.einsum("nyz,y->nz", along_y, y) / safe
    total = layer.sum(1, keepdim=True)
    share = layer / torch.where(total > 0, total, 1.0)
    x_ref, y_ref, z_ref = ((share * mid).sum(1, keepdim=True) for mid in (x_mid, y_mid, z))
    projected = ((x_mid - x_ref).square() + (z - z_ref).square()).clamp_min(1e-7).sqrt()
    slope = (y_mid - y_ref) / projected * torch.where(z < z_ref, -1.0, 1.0)
    weight = z * filled
    depth = weight.sum(1)
    angle = (weight * (math.pi / 2 - slope.atan())).sum(1) / depth.clamp_min(1.0)
    return torch.where(depth > 0, angle, _EMPTY)


def count_cells(cells: Tensor) -> Tensor:
    """Count the cells of each shower in bins of energy, from the highest to the empty ones.

    A number of cells has no gradient; the published loss therefore taught nothing. Here it is given that of
    steps that are smooth in the logarithm of the energy.

    Args:
        cells: `(n, n_cells)` MeV.

    Returns:
        Shape `(n, 8)`; 1 where there are none, as published, since a ratio is taken to it.
    """
    counts: Tensor = _Counts.apply(cells)  # type: ignore[no-untyped-call]
    return counts


class _Counts(torch.autograd.Function):
    """Whole numbers forth, the gradient of smooth steps back."""

    @staticmethod
    def forward(ctx: Any, cells: Tensor) -> Tensor:
        ctx.save_for_backward(cells)
        reached = [torch.zeros_like(cells[:, 0], dtype=torch.int64)]
        reached += [(cells > edge).sum(1) for edge in (*EDGES, 0.0)]
        reached.append(torch.full_like(reached[0], cells.shape[1]))
        return torch.stack(reached, dim=1).diff(dim=1).clamp_min(1).to(cells.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (cells,) = ctx.saved_tensors
        occupied = cells > 0
        energy = torch.where(occupied, cells, 1.0)
        slope = torch.zeros_like(cells)
        for k, edge in enumerate(EDGES):
            step = ((energy.log() - math.log(edge)) / _SMOOTH).sigmoid()
            # What passes an edge leaves the bin below for the one above.
            slope += (grad[:, k] - grad[:, k + 1]).unsqueeze(1) * step * (1 - step)
        return torch.where(occupied, slope / (_SMOOTH * energy), 0.0)
