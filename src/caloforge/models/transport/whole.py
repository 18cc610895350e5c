"""What describes a shower as a whole, by a normalising flow."""

from __future__ import annotations

__all__ = ["Whole", "WholeFlow"]

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from caloforge.models.fitted.response import within
from caloforge.models.fitted.summaries import SUMMARIES
from caloforge.models.fitted.terms import fit_terms, terms
from caloforge.models.transport.coupling import coupling_flow

if TYPE_CHECKING:
    from caloforge.models.fitted.shower_copula import ShowerCopula

_TRANSFORMS, _HIDDEN = 3, (32, 32)  # more learn 10,000 showers by heart
_LEAST_SHARE = 1e-9  # of a layer that was never empty
_UNSEEN = 1e6  # before real showers say what is most
_CUT = 0.3  # of the least share that was seen: what is less is none


class Whole(NamedTuple):
    """What is known of real showers as a whole.

    Attributes:
        energy: `(n,)` incident, MeV.
        energies: `(n, n_layers)` MeV, some in each shower.
        normal: `(n, variables)` the normal variables of the fit behind these and behind the summaries.
    """

    energy: Tensor
    energies: Tensor
    normal: Tensor


class WholeFlow(nn.Module):
    """Energies of the layers and `Summaries`, distributed as a flow has learned.

    It takes the place of the Gaussian copula. What is distributed: the normal variable behind the energy in
    all layers, logarithms of the layers' energies over that of the layer with most, and the normal variables
    behind the summaries, all less a mean and over a spread that follow the incident particle. A layer that is
    sometimes without energy is then somewhere below the least share that was seen.

    Args:
        copula: Whose normal variables it speaks of.
        given: How many numbers describe the incident particle.

    Attributes:
        noise: Numbers of noise that it takes.
    """

    means: Tensor
    spreads: Tensor
    unit: Tensor
    most: Tensor
    response: Tensor
    least: Tensor
    order: Tensor

    def __init__(self, copula: ShowerCopula, given: int) -> None:
        super().__init__()
        self.layers = copula.layers.count
        self.noise = self.layers + SUMMARIES
        self.sizes = [1, self.layers - 1, SUMMARIES]
        self.register_buffer("means", torch.zeros(given + 3, self.noise))
        self.register_buffer("spreads", torch.zeros(given + 3, self.noise))
        self.register_buffer("unit", torch.ones(self.noise))
        self.register_buffer("most", torch.full((self.layers - 1,), _UNSEEN))
        self.register_buffer("response", torch.tensor([0.0, _UNSEEN]))
        self.register_buffer("least", torch.zeros(self.layers))
        self.register_buffer("order", torch.arange(self.layers))
        self.flow = coupling_flow(self.noise, given, _TRANSFORMS, _HIDDEN)

    @torch.no_grad()
    def fit(self, real: Whole, given: Tensor, copula: ShowerCopula) -> None:
        """Take means and spreads from real showers.

        Args:
            real: What is known of them.
            given: `(n, given)` what the incident particle is.
            copula: That which `real.normal` is of.
        """
        total = real.energies.sum(1, keepdim=True)
        shares, response = real.energies / total, total.squeeze(1) / real.energy
        self.response.copy_(torch.stack([response.amin(), response.amax()]))
        seen, empty = torch.where(shares > 0, shares, 0.5).amin(0), (shares <= 0).any(0)
        self.least.copy_(torch.where(empty, seen, 0.0))
        # Position of each layer among the ratios; the layer with most is the last.
        most = int(shares.mean(0).argmax())
        others = [layer for layer in range(self.layers) if layer != most]
        self.order.copy_(torch.tensor([*others, most], device=self.order.device).argsort())
        values, of = self._values(real, copula), terms(given)
        means, spreads = fit_terms(of, values)
        self.most.copy_(values[:, 1 : self.layers].amax(0))
        self.means.copy_(means)
        self.spreads.copy_(spreads)
        self.unit.copy_(_half_width((values - of @ means) / torch.exp(of @ spreads)).clamp_min(1e-6))

    def surprise(self, real: Whole, given: Tensor, copula: ShowerCopula) -> Tensor:
        """Return the negative log-likelihood of real showers, `(n,)`, up to a constant; as for `fit`."""
        found: Tensor = -self.flow(given).log_prob(self.standard(real, given, copula))
        return found

    def forward(
        self, noise: Tensor, energy: Tensor, given: Tensor, copula: ShowerCopula
    ) -> tuple[Tensor, Tensor]:
        """Draw energies, as `ShowerCopula` does.

        Args:
            noise: `(n, self.noise)`.
            energy: `(n,)` MeV.
            given: `(n, given)` what the incident particle is.
            copula: As for `fit`.

        Returns:
            Energies of the layers, `(n, n_layers)` MeV, and the normal variables behind them and the
            summaries `(n, variables)`.
        """
        return self.made(self.flow(given).transform.inv(noise), energy, given, copula)

    def made(
        self, moved: Tensor, energy: Tensor, given: Tensor, copula: ShowerCopula
    ) -> tuple[Tensor, Tensor]:
        """Return what `forward` does of noise that the flow has moved."""
        of = terms(given)
        values = torch.sinh(moved) * self.unit * torch.exp(of @ self.spreads) + of @ self.means
        total, ratios, summaries = torch.split(values, self.sizes, dim=1)
        # Nothing goes beyond what was seen: the far end of a spline is learned from few showers.
        ratios = torch.minimum(ratios, self.most)
        ratios = torch.cat([ratios, torch.zeros_like(total)], dim=1).index_select(1, self.order)
        shares = torch.softmax(ratios, dim=1)
        shares = shares * (shares >= _CUT * self.least)
        shares = shares / shares.sum(1, keepdim=True).clamp_min(_LEAST_SHARE)
        visible = copula.scale.visible_beyond(total.squeeze(1), energy)
        visible = torch.minimum(torch.maximum(visible, self.response[0] * energy), self.response[1] * energy)
        energies = shares * visible.unsqueeze(1)
        first, *_, last = copula.scale.quantiles.normal
        total = within(total, first, last)
        return energies, torch.cat([total, copula.behind_energies(energies, given), summaries], dim=1)

    def standard(self, real: Whole, given: Tensor, copula: ShowerCopula) -> Tensor:
        """Return what the flow moves to noise, `(n, noise)`: values less their mean and over their spread."""
        of = terms(given)
        unit = torch.exp(of @ self.spreads) * self.unit
        # Tails are long (leakage), and splines end at five: nothing lies so far on this scale.
        return torch.asinh((self._values(real, copula) - of @ self.means) / unit)

    def _values(self, real: Whole, copula: ShowerCopula) -> Tensor:
        total = real.energies.sum(1, keepdim=True)
        shares = real.energies / total
        # Empty layers are an exponential tail of the logarithm, beyond a gap: flows blur edges.
        below = _CUT**2 * self.least.clamp_min(_LEAST_SHARE) * (1 - torch.rand_like(shares))
        logarithms = torch.log(torch.where((shares > 0) & (shares >= self.least), shares, below))
        inside = torch.empty_like(logarithms)
        inside[:, self.order] = logarithms
        ratios = inside[:, :-1] - inside[:, -1:]
        behind = copula.scale.normal_beyond(total.squeeze(1), real.energy).unsqueeze(1)
        return torch.cat([behind, ratios, real.normal[:, 1 + self.layers :]], dim=1)


def _half_width(values: Tensor) -> Tensor:
    """Return half of the width that holds the middle 68 %, of each column: outliers do not widen it."""
    rising = values.sort(dim=0).values
    low, high = (rising[round(share * (len(rising) - 1))] for share in (0.16, 0.84))
    return 0.5 * (high - low)
