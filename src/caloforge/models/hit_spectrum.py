"""The spectrum of the hits of each layer, taken from real showers."""

from __future__ import annotations

__all__ = ["HitSpectrum"]

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from caloforge.models.features import layer_index

if TYPE_CHECKING:
    from caloforge.detector import Detector

# Of the variable: close where the spectrum changes fast, at its soft end, and up to some typical hits.
_KNOTS = 0.0, 0.01, 0.03, 0.07, 0.12, 0.18, 0.25, 0.33, 0.42, 0.52, 0.65, 0.8, 1.0, 1.4, 2.0, 3.0
_FLATTEST = 0.05  # slope
_FEWEST = 10  # hits above a knot, without which it says nothing


class HitSpectrum(nn.Module):
    """Maps variables whose positive part is a hit to hits on the logarithmic scale, and back.

    The normal variable of a cell that is rarely hit is densest where it is cut off, at zero; hits are few
    there, and have a peak where particles cross the layer. Straight lines between knots, for each layer, make
    its hits as they are; beyond the last knot with enough hits above it they rise as their variables do.
    Before `fit` it is the identity.

    Args:
        detector: Whose layers.
    """

    knots: Tensor
    bends: Tensor
    layer: Tensor

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.sizes = [layer.n_cells for layer in detector.layers]
        self.register_buffer("knots", torch.tensor(_KNOTS))
        bends = torch.zeros(len(_KNOTS), len(self.sizes))
        bends[0] = 1
        self.register_buffer("bends", bends)
        self.register_buffer("layer", layer_index(detector), persistent=False)

    def fit(self, above: Tensor, hits: Tensor) -> None:
        """Take the spectra of real showers.

        Args:
            above: `(knots, n_layers)` how many cells of a layer have a variable above each knot, up to a
                factor.
            hits: `(n, n_cells)` on the logarithmic scale.
        """
        knots = self.knots.double().numpy()
        slopes = np.ones((len(knots), len(self.sizes)))
        for layer, part in enumerate(torch.split(hits, self.sizes, dim=1)):
            found = part[part > 0].double().numpy()
            share = (above[:, layer] / above[0, layer].clamp_min(1e-12)).double().numpy()
            told = int((share * len(found) >= _FEWEST).sum())
            if told < 2:
                continue
            values = np.quantile(found, 1 - share[:told])
            values[0] = 0
            # Equal quantiles would have no way back.
            rising = np.maximum.accumulate(values - _FLATTEST * knots[:told]) + _FLATTEST * knots[:told]
            slopes[: told - 1, layer] = np.diff(rising) / np.diff(knots[:told])
        self.bends.copy_(torch.from_numpy(np.diff(slopes, axis=0, prepend=0)))

    def forward(self, variables: Tensor) -> Tensor:
        """Map `(n, n_cells)`, not negative, to hits."""
        bends = self.bends[:, self.layer]
        hits = bends[0] * variables
        for knot, bend in zip(self.knots[1:], bends[1:], strict=True):
            hits = torch.addcmul(hits, torch.relu(variables - knot), bend)
        return hits

    def back(self, hits: Tensor) -> Tensor:
        """Map hits `(n, n_cells)` to variables: the other way round."""
        knots = self.knots.double().numpy()
        slopes = self.bends.double().cumsum(0).numpy()
        parts = []
        for layer, part in enumerate(torch.split(hits, self.sizes, dim=1)):
            steps = np.diff(knots) * slopes[:-1, layer]
            values = np.concatenate([[0.0], np.cumsum(steps)])
            beyond = torch.relu(part - float(values[-1])) / float(slopes[-1, layer])
            inside = np.interp(part.numpy(), values, knots).astype(np.float32)
            parts.append(torch.from_numpy(inside) + beyond)
        return torch.cat(parts, dim=1)
