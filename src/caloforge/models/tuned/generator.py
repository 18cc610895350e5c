"""A generator that draws the energies of the layers first and then shares them out among the cells.

What the tuned recipes train. It puts together what has been learned since the published GANs: energies of
layers apart from their shapes (arXiv:2109.02551, 2106.05285), cells on a logarithmic scale, noise of its own
for each cell (arXiv:1812.04948), statistics of the real showers as the starting point.
"""

from __future__ import annotations

__all__ = ["FactoredGenerator"]

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.models.base import Generator
from caloforge.models.blocks.conditions import incident_columns, particle_shares, showers_of_each
from caloforge.models.blocks.incidence import Incidence
from caloforge.models.fitted.common_factors import CommonFactors
from caloforge.models.fitted.hit_spectrum import HitSpectrum
from caloforge.models.fitted.shower_copula import ShowerCopula
from caloforge.models.tuned.features import layer_index, layer_maxima, layer_sums, typical_hits
from caloforge.models.tuned.trunks import generator_trunk

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.settings import FactoredSettings

_FACTORS = 8  # that cells have in common; showers of CLIC have as many that are not chance
_OUTERMOST = 4.0  # normal variable of a cell of a real shower
_FOLLOW = 0.4  # of what is missing in a layer that cells bring in by themselves, at first
_FARTHEST = 1.0  # that they move, in units of their spread
_HIT, _LIFT = 0.1, 10.0  # where the hottest cell of a layer lies at least, and how far it is lifted at most
_NEVER = 50.0  # how far below a cell lies that was never hit
_STEP = 0.1  # of these units: a small one
_LEAST_GAIN = 0.1
_MOST = 13.0  # of a cell's variable: beyond any, and no infinity
_FAR = 1e4  # times the largest energy: nothing is told apart beyond
_ANY = 1e30  # MeV, and times the incident energy: no limit yet
_HEADROOM = 1.2  # times the largest energy that a cell had in the showers that were seen
_ROUNDS = 3  # of fitting cells and the spectrum of hits in turn, as each is fitted with the other as it is
_ENOUGH = 500  # showers that say how a layer's cells are distributed
_PARTS = 4  # of the showers, by the energy of a layer
_NARROWEST, _WIDEST = 0.05, 5.0  # spread of a cell
_UNSURE = 10  # hits that say little of how a spread changes
_STEEPEST = 0.7  # rise of a spread with energy, both logarithms
_UNSEEN = 0.2  # of a hit more than there were in each part: the mean of all cells is right within 20 % then
_FULL = 0.95  # share of showers from which on a cell counts as always hit
_LOWEST = -0.9  # times its energy: what is taken from a hard hit at most
_LEAST = 1e-3  # typical hits in a layer that count as none
_NONE = 1e-6  # of a typical hit: the largest energy of a cell that was never hit


class FactoredGenerator(Generator):
    r"""Energies of the layers, and a network that says how the cells of a layer share its energy.

    Each cell is a normal variable of which the part below zero is no hit: :math:`E = k (e^{h(u)} - 1)` of
    :math:`u = s \max(0, \mu + \sigma n)`, scaled so that the layer has its energy; :math:`k` is a typical hit
    of the layer, above which cells fall off as a power law and below which they are flat; :math:`h` gives the
    layer the `HitSpectrum` of real showers. The network gives :math:`\mu` and :math:`\sigma`; these and
    :math:`s` begin with what each cell has in showers of that energy in the layer (`adapt`). No cell gets
    much more energy, or a much larger share of the incident energy, than it ever had there: the tails of a
    normal variable on a logarithmic scale would be far too long.

    Args:
        detector: Any; `planes` and `volume` networks need layers of the same cartesian grid.
        settings: The `model` part of a recipe.

    Raises:
        DetectorError: The network does not fit the detector.
    """

    layer: Tensor
    usual: Tensor
    middle: Tensor
    typical: Tensor
    most: Tensor
    largest_share: Tensor

    def __init__(self, detector: Detector, settings: FactoredSettings) -> None:
        super().__init__(detector)
        self.conditions = incident_columns(settings.given, settings.particles)
        self.incidence = Incidence(detector, self.conditions, settings.particles)
        particles = len(settings.particles) if "pdg" in self.conditions else 0
        self.factors = CommonFactors(detector.n_cells, _FACTORS)
        self.copula = ShowerCopula(
            detector, self.incidence.width, self.factors.count, settings.refine, particles
        )
        self.trunk = generator_trunk(
            detector, settings, settings.latent + self.copula.noise + self.incidence.width
        )
        self.spectrum = HitSpectrum(detector)
        self.particles = particles
        shape = (particles, detector.n_cells) if particles else (detector.n_cells,)
        self.centre, self.rise, self.width, self.growth = (nn.Parameter(torch.zeros(shape)) for _ in range(4))
        self.follow = nn.Parameter(torch.zeros(len(detector.layers)))
        self.register_buffer("usual", torch.zeros(len(detector.layers)))
        self.register_buffer("middle", torch.zeros(len(detector.layers)))
        self.register_buffer("typical", torch.ones(len(detector.layers)))
        self.register_buffer("most", torch.full(shape, _ANY))
        self.register_buffer("largest_share", torch.full(shape, _ANY))
        self.parts = [self.copula.noise, settings.latent, detector.n_cells, self.trunk.noise]
        self.noise_shape = (sum(self.parts),)
        self.register_buffer("layer", layer_index(detector), persistent=False)

    @torch.no_grad()
    def adapt(self, cells: Tensor, incident: Tensor) -> None:
        self.typical.copy_(typical_hits(cells, self.detector))
        given = self.incidence(incident)
        each = self._of_each(given)
        for limit, values in ((self.most, cells), (self.largest_share, cells / incident[:, :1])):
            limit.copy_(_HEADROOM * torch.stack([values[mine].amax(0) for mine in each]).view_as(limit))
        hits = torch.log1p(cells / self.typical[self.layer])
        energies = layer_sums(cells, self.detector)
        self.middle.copy_(torch.log1p(energies / self.typical).mean(0))
        logarithms = self._logarithms(energies)
        some = slice(None, None, -(-len(cells) // _ENOUGH))
        for _ in range(_ROUNDS):
            self._fit(self.spectrum.back(hits), logarithms, given)
            self.spectrum.fit(self._above(energies[some], given[some]), hits)
        factors = self.factors.fit(*self._told(hits, logarithms, given))
        self.copula.fit(cells, factors, incident[:, 0], given)
        most = self._largest(incident[some, :1], given[some])
        self._fit_follow(energies[some], given[some], factors[some], most)

    def _fit(self, variables: Tensor, logarithms: Tensor, given: Tensor) -> None:
        """Give each cell the normal variable of real showers, of each particle by itself."""
        sizes = [layer.n_cells for layer in self.detector.layers]
        for row, mine in enumerate(self._of_each(given)):
            parts = zip(logarithms[mine].T, torch.split(variables[mine], sizes, dim=1), strict=True)
            found = zip(*(_along(*part) for part in parts), strict=True)
            for parameter, of_layers in zip(self._described(), found, strict=True):
                (parameter[row] if self.particles else parameter).copy_(torch.cat(of_layers))

    def _described(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.centre, self.rise, self.width, self.growth

    def _of_each(self, given: Tensor) -> list[Tensor]:
        """Return what showers say of each particle, `(n,)`, or all if there is one."""
        if self.particles:
            return showers_of_each(given[:, -self.particles :])
        return [torch.ones(len(given), dtype=torch.bool, device=given.device)]

    def _own(self, values: Tensor, given: Tensor) -> Tensor:
        """Return what the particle of each shower has, `(n, n_cells)`, or `(n_cells,)` if there is one."""
        return particle_shares(given[:, -self.particles :]) @ values if self.particles else values

    def _of(self, given: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return mean and its rise, spread and its growth of each cell: `(n, n_cells)`, or `(n_cells,)`."""
        centre, rise, width, growth = (self._own(values, given) for values in self._described())
        return centre - _NEVER * (self._own(self.most, given) <= 0), rise, F.softplus(width), growth

    def _above(self, energies: Tensor, given: Tensor) -> Tensor:
        """Return how many cells of a layer lie above each knot of the spectrum, `(knots, n_layers)`."""
        over = self._over_cells(self._logarithms(energies))
        centre, rise, spread, growth = self._of(given)
        mean, less = centre + rise * over, torch.exp(-growth * over)
        shares = [torch.special.ndtr((mean - knot / spread) * less).mean(0) for knot in self.spectrum.knots]
        return layer_sums(torch.stack(shares), self.detector)

    def _told(self, hits: Tensor, logarithms: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """Return what showers tell of the normal variables of cells, of spread 1, and its expected variance.

        Where no cell was hit, it is their mean below zero: `(n, n_cells)` and `(n_cells,)`.
        """
        over = self._over_cells(logarithms)
        centre, rise, spread, growth = self._of(given)
        mean, less = centre + rise * over, torch.exp(-growth * over)
        normal = (self.spectrum.back(hits) / spread - mean) * less
        least = -mean * less
        density = torch.exp(-0.5 * least.square()) / math.sqrt(2 * math.pi)
        below = torch.exp(-0.5 * least.square() - torch.special.log_ndtr(least)) / math.sqrt(2 * math.pi)
        told = torch.special.ndtr(-least) + least * density + below * density
        return torch.where(hits > 0, normal, -below).clamp(-_OUTERMOST, _OUTERMOST), told.mean(0)

    def _fit_follow(self, energies: Tensor, given: Tensor, factors: Tensor, most: Tensor) -> None:
        """Find what layers usually miss, and how much cells must move to bring in some of it."""
        over = self._over_cells(self._logarithms(energies))
        centre, rise, spread, growth = self._of(given)
        noise = self.factors(factors, torch.randn_like(over))
        normal = centre + rise * over + torch.exp(growth * over) * noise
        moved = [self._held((normal + x) * spread, most) for x in (-_STEP, 0.0, _STEP)]
        less, as_it_is, more = (torch.log(energy + _LEAST) for energy in moved)
        self.usual.copy_((torch.log(energies / self.typical + _LEAST) - as_it_is).mean(0))
        gain = (more - less).mean(0) / (2 * _STEP)
        self.follow.copy_(_FOLLOW / gain.clamp_min(_LEAST_GAIN))

    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        for_whole, for_shower, for_cells, for_trunk = torch.split(noise, self.parts, dim=1)
        # Energies need more digits than bfloat16 has.
        with torch.autocast(noise.device.type, enabled=False):
            given = self.incidence(incident)
            energies, factors, normal = self.copula(for_whole, incident[:, 0], given)
            seed = torch.cat([for_shower, given, normal], dim=1)
        added, wider = self.trunk(seed, for_trunk)
        for_cells = self.trunk.mixed(for_cells, seed)
        with torch.autocast(noise.device.type, enabled=False):
            over = self._over_cells(self._logarithms(energies))
            centre, rise, spread, growth = self._of(given)
            mean = centre + rise * over + added.float()
            varied = self.factors(factors, for_cells)
            normal = mean + torch.exp(growth * over + wider.float().clamp(-2, 2)) * varied
            energies = energies / self.typical
            most = self._largest(incident[:, :1], given)
            # Layers that would hold too little get more hits, and harder ones, before they are scaled.
            held = self._held(normal * spread, most)
            missing = torch.log((energies + _LEAST) / (held + _LEAST)) - self.usual
            shift = (self.follow * missing).clamp(-_FARTHEST, _FARTHEST)
            # No layer that has energy is without a hit.
            shift = torch.maximum(shift, (_HIT - layer_maxima(normal, self.detector)).clamp(max=_LIFT))
            cells = _bent(self._cells((normal + self._over_cells(shift)) * spread), most)
            return self._scaled(cells, energies) * self.typical[self.layer]

    def _cells(self, values: Tensor) -> Tensor:
        """Map variables whose positive part is a hit to energies in typical hits."""
        return torch.expm1(self.spectrum(values.clamp(0.0, _MOST)))

    def _held(self, values: Tensor, most: Tensor) -> Tensor:
        """Return what layers hold of such cells, `(n, n_layers)`; a plain bound does, and is cheaper."""
        return layer_sums(torch.minimum(self._cells(values), most), self.detector)

    def _scaled(self, cells: Tensor, energies: Tensor) -> Tensor:
        """Give layers their energies, all in typical hits.

        The harder a hit, the more of what differs it takes, so soft ones, of which there are many, keep their
        spectrum. Where the hard ones do not have as much as must go, all shrink alike.
        """
        hard = cells * cells / (cells + 1)
        missing = energies - layer_sums(cells, self.detector)
        factor = (missing / (layer_sums(hard, self.detector) + _LEAST)).clamp_min(_LOWEST)
        cells = cells + hard * self._over_cells(factor)
        return cells * self._over_cells(energies / (layer_sums(cells, self.detector) + _LEAST))

    def _logarithms(self, energies: Tensor) -> Tensor:
        """Return logarithms of the layers' energies, in typical hits and one more, from their middle."""
        return torch.log1p(energies / self.typical) - self.middle

    def _over_cells(self, values: Tensor) -> Tensor:
        """Repeat a value of each layer, `(n, n_layers)`, for each of its cells, `(n, n_cells)`."""
        sizes = [one.n_cells for one in self.detector.layers]
        if len(set(sizes)) == 1:
            return values.unsqueeze(2).expand(-1, -1, sizes[0]).flatten(1)
        return values[:, self.layer]

    def _largest(self, energy: Tensor, given: Tensor) -> Tensor:
        """Return the largest energies of cells, in typical hits, for incident energies `(n, 1)` MeV."""
        unit = 1 / self.typical[self.layer]
        most, share = (self._own(limit, given) * unit for limit in (self.most, self.largest_share))
        return torch.minimum(most.clamp_min(_NONE), share.clamp_min(_NONE) * energy)


def _bent(cells: Tensor, most: Tensor) -> Tensor:
    """Keep energies below the largest, smoothly: half of it loses 1.5 %, and nothing comes beyond it."""
    ratio = (cells / most).clamp(max=_FAR)  # its fourth power must be finite
    square = ratio * ratio
    return most * ratio * torch.rsqrt(torch.sqrt(1 + square * square))


def _along(energy: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Describe the cells of a layer by normal variables that change with the logarithm of its energy.

    Args:
        energy: `(n,)` logarithm, from its middle.
        values: `(n, n_cells)` on the logarithmic scale.

    Returns:
        Mean at the middle and its rise, in units of the spread there, that spread before softplus, and the
        rise of its logarithm, `(n_cells,)` each.
    """
    parts = energy.argsort().chunk(_PARTS)
    found = [_censored_normal(values[part], energy[part]) for part in parts]
    means, spreads, hits, full = (torch.stack(column) for column in zip(*found, strict=True))
    at = torch.stack([energy[part].mean() for part in parts]).unsqueeze(1)
    # The fewer hits, the less is known of a spread. Showers of one energy say nothing of a rise.
    weight, logarithms = hits / hits.sum(0).clamp_min(1), torch.log(spreads)
    # Not the mean logarithm, which few hits make too small.
    centre, level = (weight * at).sum(0), torch.log((weight * spreads).sum(0).clamp_min(_NARROWEST))
    square = (weight * (at - centre).square()).sum(0) + _UNSURE / (1 + hits.sum(0))
    growth = ((weight * (at - centre) * logarithms).sum(0) / square).clamp(-_STEEPEST, _STEEPEST)
    spread = torch.exp(level - growth * centre)
    # The mean keeps the share of hits; of a cell that is nearly always hit, itself.
    means = torch.where(full, means * spreads / spread, means * torch.exp(growth * at))
    away = at - at.mean()
    rise = (away * means).sum(0) / away.square().sum().clamp_min(1e-3)
    return means.mean(0) - rise * at.mean(), rise, torch.log(torch.expm1(spread)), growth


def _censored_normal(values: Tensor, energy: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r"""Describe each column as the positive part of a normal variable.

    With a share p of hits of mean m, :math:`t = \Phi^{-1}(p)`: :math:`\sigma = m / (t + \phi(t)/p)` and
    :math:`\mu = t \sigma`. A cell that is nearly always hit has its own mean, and the spread around its rise
    with the energy.

    Returns:
        :math:`\mu / \sigma`, :math:`\sigma`, the number of hits, and whether it is nearly always hit,
        `(n_cells,)` each.
    """
    n, count = len(values), (values > 0).sum(0)
    share = ((count + _UNSEEN) / (n + 2 * _UNSEEN)).clamp(max=0.98)
    t = math.sqrt(2) * torch.erfinv(2 * share - 1)
    density = torch.exp(-0.5 * t**2) / math.sqrt(2 * math.pi)
    rare = values.sum(0) / count.clamp_min(1) / (t + density / share)
    full = count > _FULL * n
    away = (energy - energy.mean()).unsqueeze(1)
    rise = (away * values).sum(0) / away.square().sum().clamp_min(1e-3)
    own = (values - rise * away).std(0, correction=0)
    spread = torch.where(full, own, rare).clamp(_NARROWEST, _WIDEST)
    return torch.where(full, values.mean(0) / spread, t), spread, count, full
