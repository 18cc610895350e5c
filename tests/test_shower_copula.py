"""What describes a shower as a whole, drawn from a copula that was fitted where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from caloforge.detector import load_detector
from caloforge.models.fitted.parts import EnergyParts
from caloforge.models.fitted.shower_copula import ShowerCopula, _roots
from caloforge.models.tuned.features import layer_index

_SHOWERS = 20_000
_EDGE = 1.2  # of the logarithm of the energy


def fitted(
    layers: Tensor, factors: Tensor, logarithm: Tensor, *which: Tensor
) -> tuple[ShowerCopula, tuple[Tensor, ...]]:
    """Fit showers of CaloGAN's detector, whose layers hold their energies in one cell, and draw others."""
    detector = load_detector("calogan")
    energy, given = 20e3 * torch.exp(logarithm), torch.cat([logarithm.unsqueeze(1), *which], dim=1)
    first = torch.searchsorted(layer_index(detector), torch.arange(3))
    cells = torch.zeros(len(layers), detector.n_cells).index_copy(1, first, layers * energy.unsqueeze(1))
    particles = which[0].shape[1] if which else 0
    copula = ShowerCopula(detector, given.shape[1], factors.shape[1], particles=particles)
    copula.fit(cells, factors, energy, given)
    with torch.no_grad():
        return copula, copula(torch.randn(len(cells), copula.noise), energy, given)


@pytest.fixture
def logarithm() -> Tensor:
    torch.manual_seed(0)
    return _EDGE * (2 * torch.rand(_SHOWERS) - 1)


def shares(uneven: Tensor) -> Tensor:
    return torch.softmax(uneven + torch.tensor([-1.0, 0.0, -2.0]), dim=1)


@pytest.mark.parametrize("particles", [0, 2])
def test_what_goes_together_changes_with_the_energy(particles: int, logarithm: Tensor) -> None:
    pion = torch.rand(_SHOWERS) < 0.4
    which = [torch.stack([~pion, pion], dim=1).float()] if particles else []
    truth = 0.9 * logarithm / _EDGE * torch.where(pion & bool(particles), -1.0, 1.0)
    one, other = torch.randn(2, _SHOWERS)
    factors = torch.stack([one, truth * one + torch.sqrt(1 - truth**2) * other], dim=1)
    layers = shares(0.3 * torch.randn(_SHOWERS, 3))
    _, (_, drawn, _) = fitted(layers, factors, logarithm, *which)
    for sign, some in ((1, ~pion), (-1, pion)) if particles else ((1, torch.ones_like(pion)),):
        for low in np.linspace(-_EDGE, _EDGE, 6)[:-1]:
            here = some & (logarithm >= low) & (logarithm < low + _EDGE / 2.5)
            expected = 0.9 * sign * (low / _EDGE + 0.2)
            assert np.corrcoef(drawn[here].T)[0, 1] == pytest.approx(expected, abs=0.15)
            np.testing.assert_allclose(drawn[here].std(0), 1, atol=0.12)


def test_what_lies_between_two_beams_is_as_wide(logarithm: Tensor) -> None:
    logarithm = torch.where(logarithm > 0, _EDGE, -_EDGE)
    truth = 0.95 * logarithm.sign()
    one, other = torch.randn(2, _SHOWERS)
    factors = torch.stack([one, truth * one + torch.sqrt(1 - truth**2) * other], dim=1)
    copula, _ = fitted(shares(0.3 * torch.randn(_SHOWERS, 3)), factors, logarithm)
    middle = torch.zeros(_SHOWERS)
    _, _, normal = copula(torch.randn(_SHOWERS, copula.noise), 20e3 * torch.exp(middle), middle.unsqueeze(1))
    assert abs(np.corrcoef(normal[:, -2:].T)[0, 1]) < 0.1
    np.testing.assert_allclose(normal.std(0), 1, atol=0.03)


def test_layers_are_empty_as_often_as_in_real_showers(logarithm: Tensor) -> None:
    layers = shares(0.3 * torch.randn(_SHOWERS, 3))
    empty = torch.rand(_SHOWERS) < 0.3 * torch.sigmoid(-4 * logarithm)
    layers[empty, 2] = 0
    layers *= (1 + 0.05 * torch.randn(_SHOWERS, 1)) / layers.sum(1, keepdim=True)
    _, (energies, _, _) = fitted(layers, torch.randn(_SHOWERS, 1), logarithm)
    none = energies <= 0
    assert not none[:, :2].any()
    for part, off in ((logarithm < 9, 0.015), (logarithm < -0.6, 0.06), (logarithm > 0.6, 0.06)):
        own, real = (float(one[part].float().mean()) for one in (none[:, 2], empty))
        assert own == pytest.approx(real, abs=off)
    # Where it has energy, it has as much as before.
    shared, layers = energies[:, 2] / energies.sum(1), layers / layers.sum(1, keepdim=True)
    assert float(shared[~none[:, 2]].median()) == pytest.approx(float(layers[~empty, 2].median()), rel=0.05)


def test_few_showers_and_a_layer_without_energy(logarithm: Tensor) -> None:
    layers = shares(0.3 * torch.randn(40, 3))
    layers[:, 0] = 0
    copula, (energies, _, _) = fitted(layers, torch.randn(40, 1), logarithm[:40])
    assert energies.isfinite().all()
    assert (energies[:, 0] == 0).all()
    assert all(buffer.isfinite().all() for buffer in copula.buffers())
    response = energies.sum(1) / (20e3 * torch.exp(logarithm[:40]))
    assert float(response.mean()) == pytest.approx(float(layers.sum(1).mean()), rel=0.1)


@pytest.mark.parametrize("hit", [1, 2])
def test_no_shower_loses_all_of_its_layers(hit: int, logarithm: Tensor) -> None:
    """Each shower has energy in one or two of three layers, which ones is chance."""
    layers = shares(0.3 * torch.randn(_SHOWERS, 3))
    chosen = torch.rand(_SHOWERS, 3).argsort(dim=1) < hit
    layers = 0.9 * layers * chosen / (layers * chosen).sum(1, keepdim=True)
    _, (energies, _, _) = fitted(layers, torch.randn(_SHOWERS, 1), logarithm)
    response = energies.sum(1) / (20e3 * torch.exp(logarithm))
    np.testing.assert_allclose(response, 0.9, rtol=1e-3)


def test_showers_without_energy_leave_layers_of_others_alone(logarithm: Tensor) -> None:
    layers = shares(0.3 * torch.randn(_SHOWERS, 3)) * (1 + 0.05 * torch.randn(_SHOWERS, 1))
    lost = torch.rand(_SHOWERS) < 0.1
    layers[lost] = 0
    _, (energies, _, _) = fitted(layers, torch.randn(_SHOWERS, 1), logarithm)
    none = (energies <= 0).all(1)
    assert not (energies[~none] <= 0).any()
    assert none.any()


def test_correlations_of_few_showers_lean_on_those_of_all_once() -> None:
    torch.manual_seed(0)
    logarithm = torch.linspace(-_EDGE, _EDGE, 1000)
    truth = 0.9 * logarithm / _EDGE
    one, other = torch.randn(2, 1000)
    normal = torch.stack([one, truth * one + torch.sqrt(1 - truth**2) * other], dim=1)
    parts = EnergyParts().fit(logarithm)
    assert parts[-1] is parts[-2]
    roots = _roots(normal, parts, 1)
    middle = sum((root @ root.T)[0, 1] for root in roots[:4]) / 4
    assert float(middle) == pytest.approx(0, abs=0.08)


def test_what_never_varies_in_a_part_leaves_the_others() -> None:
    torch.manual_seed(0)
    normal = torch.randn(2000, 1).expand(-1, 3) + 0.3 * torch.randn(2000, 3)
    parts = EnergyParts().fit(torch.linspace(0, 1, 2000))
    normal[parts[0], 2] = 0
    root = _roots(normal, parts, 1)[0]
    correlation = root @ root.T
    assert float(correlation[0, 1]) > 0.8
    assert correlation.isfinite().all()
