"""`ShowerCopula` with all that the fit knows folded into few matrices."""

from __future__ import annotations

__all__ = ["FlownWhole", "FoldedWhole"]

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from caloforge.models.fitted.shower_copula import JUST, TINY
from caloforge.models.inference.flows import FoldedFlow
from caloforge.models.inference.tables import Steps, bends, joined

if TYPE_CHECKING:
    from caloforge.models.fitted.shower_copula import ShowerCopula
    from caloforge.models.transport.whole import WholeFlow

# Units of `energy_terms`, and of the polynomial and the least response in `EnergyScale.mean`.
_OF_LOGARITHM, _OF_POWERS, _LOWEST = 20e3, 100e3, 1e-6


class FoldedWhole(nn.Module):
    """Draws the energies of layers as the `ShowerCopula` does that it is made of.

    All that goes along straight lines between parts of the energies comes of one matrix product; all that is
    a polynomial, of another.

    Args:
        copula: A fitted one.
    """

    first: Tensor
    rises: Tensor
    knots: Tensor
    polynomials: Tensor
    constants: Tensor
    order: Tensor
    least: Tensor
    most: Tensor

    def __init__(self, copula: ShowerCopula) -> None:
        super().__init__()
        self.layers, self.variables, self.refine = copula.layers.count, copula.noise, copula.refine
        self._fold_tables(copula)
        self._fold_polynomials(copula)
        # The energy in all layers, whose normal variable is the first, stands behind the shares of these.
        self.register_buffer("order", torch.tensor([*range(1, self.layers + 1), 0]))
        self.ends: list[float] = copula.scale.ends.tolist()
        self.register_buffer("least", copula.least.clone())
        self.register_buffer("most", copula.most.clone())

    def _fold_tables(self, copula: ShowerCopula) -> None:
        scale, quantiles, whole = copula.scale, copula.quantiles, copula.scale.quantiles
        shares, visible = quantiles.value[:, : self.layers], whole.value
        bent = [bends(quantiles.normal, shares).flatten(1), bends(whole.normal, visible).flatten(1)]
        of_shares = torch.cat([shares[:, :, 0], bent[0], copula.mixing.flatten(1)], dim=1)
        of_whole = torch.cat([visible[:, :, 0], bent[1]], dim=1)
        below = scale.parts.places - torch.log(torch.tensor(_OF_LOGARITHM))
        places, table = joined([(copula.parts.places, of_shares), (below, of_whole)])
        self.steps = Steps(places)
        columns = torch.arange(table.shape[1])
        start, end = torch.split(columns, [of_shares.shape[1], of_whole.shape[1]])
        first, own, mixing = torch.split(start, [self.layers, bent[0].shape[1], self.variables**2])
        table = table[:, torch.cat([first, end[:1], own, end[1:], mixing])]
        self.sizes = [self.layers + 1, sum(part.shape[1] for part in bent), self.variables**2]
        self.register_buffer("first", table[0].clone())
        self.register_buffer("rises", table.diff(dim=0))
        knots = [quantiles.normal.expand(self.layers, -1), whole.normal.unsqueeze(0)]
        self.register_buffer("knots", torch.cat(knots))

    def _fold_polynomials(self, copula: ShowerCopula) -> None:
        """Powers 1 to 4 of three numbers follow what is given: see `_powers`."""
        scale, wanted = copula.scale, slice(0, self.layers)
        given = len(copula.means) - 3
        matrix = torch.zeros(given + 12, 2 * self.layers + 2)
        constants = torch.zeros(2 * self.layers + 2)
        spreads = slice(0, self.layers), slice(self.layers + 1, 2 * self.layers + 1)
        for columns, terms in zip(spreads, (copula.spreads, copula.means), strict=True):
            constants[columns] = terms[0, wanted]
            matrix[:given, columns] = terms[1 : given + 1, wanted]
            matrix[given + 3, columns], matrix[given + 6, columns] = terms[-2, wanted], terms[-1, wanted]
        constants[self.layers] = scale.spreads[0]
        matrix[given + 1, self.layers], matrix[given + 4, self.layers] = scale.spreads[1:]
        constants[-1] = scale.coefficients[-1]
        matrix[given + 2 :: 3, -1] = scale.coefficients[:-1].flip(0)
        self.register_buffer("polynomials", matrix)
        self.register_buffer("constants", constants)

    def forward(self, noise: Tensor, energy: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """Draw energies.

        Args:
            noise: `(n, variables)`.
            energy: `(n, 1)` MeV.
            given: `(n, given)` what the incident particle is.

        Returns:
            Energies of the layers, `(n, n_layers)` MeV, and the normal variables behind them and the
            summaries `(n, variables)`.
        """
        table = torch.addmm(self.first, self.steps(given[:, :1]), self.rises)
        first, bent, mixing = torch.split(table, self.sizes, dim=1)
        normal = self._normal(noise, given, mixing)
        bent = bent.reshape(-1, *self.knots.shape)
        over = torch.relu(normal.index_select(1, self.order).unsqueeze(2) - self.knots)
        unit = first + (over * bent).sum(2)
        terms = torch.addmm(self.constants, self._powers(energy, given), self.polynomials)
        spread, mean, response = torch.split(terms, [self.layers + 1, self.layers, 1], dim=1)
        shares, visible = torch.split(unit * torch.exp(spread), [self.layers, 1], dim=1)
        visible = torch.relu(1 + visible) * response.clamp_min(_LOWEST) * energy
        return self._shared(shares + mean) * visible, normal

    def _normal(self, noise: Tensor, given: Tensor, mixing: Tensor) -> Tensor:
        mixing = mixing.reshape(-1, self.variables, self.variables)
        # What is between two roots is too narrow.
        length: Tensor = torch.linalg.vector_norm(mixing, dim=2)
        normal = (mixing * noise.unsqueeze(1)).sum(2) / length
        if self.refine is None:
            return normal
        added: Tensor = self.refine(torch.cat([noise, given], dim=1))
        return normal + added

    def _powers(self, energy: Tensor, given: Tensor) -> Tensor:
        """Return what is given, and four powers of the energy's logarithm, of that within the energies of
        the fit, and of that energy.
        """
        inside = energy.clamp(*self.ends)
        one = torch.cat([given[:, :1], torch.log(inside / _OF_LOGARITHM), inside / _OF_POWERS], dim=1)
        two = one * one
        return torch.cat([given, one, two, two * one, two * two], dim=1)

    def _shared(self, logarithms: Tensor) -> Tensor:
        """Return shares with a sum of 1, as `ShowerCopula.forward` makes them of their logarithms."""
        shares = torch.exp(torch.minimum(logarithms, self.most))
        nearest = (shares / self.least).amax(1, keepdim=True)
        shares = torch.relu(shares - self.least * (JUST * nearest).clamp(max=1.0))
        return shares / shares.sum(1, keepdim=True).clamp_min(TINY)


class FlownWhole(nn.Module):
    """Draws what a `WholeFlow` does, as `FoldedWhole` is asked.

    Args:
        flow: A trained one.
        copula: That which it speaks of.
    """

    def __init__(self, flow: WholeFlow, copula: ShowerCopula) -> None:
        super().__init__()
        self.whole, self.copula = flow, copula
        self.flow = FoldedFlow(flow.flow)

    def forward(self, noise: Tensor, energy: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        return self.whole.made(self.flow(noise, given), energy.squeeze(1), given, self.copula)
