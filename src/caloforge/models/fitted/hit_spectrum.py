"""The spectrum of the hits of each layer, taken from real showers."""

from __future__ import annotations

__all__ = ["HitSpectrum"]

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.models.tuned.features import layer_index

if TYPE_CHECKING:
    from caloforge.detector import Detector

# Of the variable, multiples of the step: close where the spectrum changes fast, at its soft end.
_KNOTS = 0.0, 0.01, 0.03, 0.07, 0.12, 0.18, 0.25, 0.33, 0.42, 0.52, 0.65, 0.8, 1.0, 1.4, 2.0, 3.0
_STEP = 0.01
_PLACES = round(_KNOTS[-1] / _STEP) + 1
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
    first: Tensor

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.sizes = [layer.n_cells for layer in detector.layers]
        self.register_buffer("knots", torch.tensor(_KNOTS))
        bends = torch.zeros(len(_KNOTS), len(self.sizes))
        bends[0] = 1
        self.register_buffer("bends", bends)
        self.register_buffer("first", _PLACES * layer_index(detector).int(), persistent=False)

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
        # Which line it is, is looked up: a sum of bends takes four times as long, and five with the way back.
        place = (variables / _STEP).int().clamp(0, _PLACES - 1) + self.first
        starts, slopes = (line.index_select(0, place.flatten()).view_as(place) for line in self._lines())
        return starts + slopes * variables

    def _lines(self) -> tuple[Tensor, Tensor]:
        """Return value at zero and slope of the line at each place of each layer, `(n_layers * places,)`."""
        slopes = self.bends.cumsum(0)
        rises = self.knots.diff().unsqueeze(1) * slopes[:-1]
        starts = F.pad(rises.cumsum(0), (0, 0, 1, 0)) - slopes * self.knots.unsqueeze(1)
        middles = _STEP * (torch.arange(_PLACES, device=self.knots.device) + 0.5)
        line = (middles.unsqueeze(1) > self.knots).sum(1) - 1
        return starts[line].T.flatten(), slopes[line].T.flatten()

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
