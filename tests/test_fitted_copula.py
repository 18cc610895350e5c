"""What describes a shower as a whole, drawn from a copula that was fitted where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from caloforge.detector import load_detector
from caloforge.models.fitted.parts import divided
from caloforge.models.fitted.shower_copula import ShowerCopula, _roots
from caloforge.models.fitted.summaries import Summaries
from caloforge.models.settings import FitSettings

_SHOWERS = 20_000
_EDGE = 1.2  # of the logarithm of the energy
_FIT = FitSettings()


def cells_of(layers: Tensor, places: Tensor | None = None) -> Tensor:
    """Cells of CaloGAN's detector, whose layers hold their energies in one cell, the first at `places`."""
    detector = load_detector("calogan")
    first = torch.tensor([0, *np.cumsum([layer.n_cells for layer in detector.layers])[:-1]])
    cells = torch.zeros(len(layers), detector.n_cells)
    cells[:, first[1:]] = layers[:, 1:]
    row = torch.zeros(len(layers), dtype=torch.long) if places is None else places
    cells[torch.arange(len(layers)), row] = layers[:, 0]
    return cells


def fitted(
    layers: Tensor, logarithm: Tensor, places: Tensor | None = None
) -> tuple[ShowerCopula, Tensor, Tensor]:
    """Fit showers whose layers hold shares of the incident energy; return energies of others, and normals."""
    energy, given = 20e3 * torch.exp(logarithm), logarithm.unsqueeze(1)
    copula = ShowerCopula(load_detector("calogan"), _FIT, 1)
    copula.fit(cells_of(layers * energy.unsqueeze(1), places), energy, given)
    with torch.no_grad():
        return copula, *copula(torch.randn(len(layers), copula.noise), energy, given)


@pytest.fixture
def logarithm() -> Tensor:
    torch.manual_seed(0)
    return _EDGE * (2 * torch.rand(_SHOWERS) - 1)


def shares(uneven: Tensor) -> Tensor:
    return torch.softmax(uneven + torch.tensor([-1.0, 0.0, -2.0]), dim=1)


def correlated(truth: Tensor) -> Tensor:
    """Shares of the layers, of which the logarithms of the first and third over the second go together."""
    one, other = torch.randn(2, len(truth))
    both = torch.stack([one, truth * one + torch.sqrt(1 - truth**2) * other], dim=1)
    uneven = torch.zeros(len(truth), 3)
    uneven[:, [0, 2]] = 0.3 * both
    return shares(uneven)


def ratios(layers: Tensor) -> Tensor:
    return torch.log(layers[:, [0, 2]] / layers[:, 1:2])


def test_what_goes_together_changes_with_the_energy(logarithm: Tensor) -> None:
    layers = correlated(0.9 * logarithm / _EDGE)
    _, energies, normal = fitted(layers, logarithm)
    for low in np.linspace(-_EDGE, _EDGE, 6)[:-1]:
        here = (logarithm >= low) & (logarithm < low + _EDGE / 2.5)
        own, real = (np.corrcoef(ratios(x[here]).T)[0, 1] for x in (energies, layers))
        assert own == pytest.approx(real, abs=0.12)
        for layer in range(3):
            own, real = (float((x / x.sum(1, keepdim=True))[here, layer].std()) for x in (energies, layers))
            assert own == pytest.approx(real, rel=0.1)
    np.testing.assert_allclose(normal[:, :4].std(0), 1, atol=0.03)


def test_what_lies_between_two_beams_is_as_wide(logarithm: Tensor) -> None:
    logarithm = torch.where(logarithm > 0, _EDGE, -_EDGE)
    copula, _, normal = fitted(correlated(0.95 * logarithm.sign()), logarithm)
    low, high = (np.corrcoef(normal[sign * logarithm > 0][:, [1, 3]].T)[0, 1] for sign in (-1, 1))
    middle = torch.zeros(_SHOWERS)
    with torch.no_grad():
        _, normal = copula(torch.randn(_SHOWERS, copula.noise), 20e3 * torch.exp(middle), middle.unsqueeze(1))
    between = np.corrcoef(normal[:, [1, 3]].T)[0, 1]
    assert low + 0.1 < between < high - 0.1
    np.testing.assert_allclose(normal.std(0), 1, atol=0.03)


def test_the_way_back_is_the_way_there(logarithm: Tensor) -> None:
    layers = correlated(torch.full((_SHOWERS,), 0.5)) * (1 + 0.05 * torch.randn(_SHOWERS, 1))
    energy, given = 20e3 * torch.exp(logarithm), logarithm.unsqueeze(1)
    copula, _, _ = fitted(layers, logarithm)
    behind = copula.normal(cells_of(layers * energy.unsqueeze(1)), energy, given)
    np.testing.assert_allclose(behind[:, :4].mean(0), 0, atol=0.03)
    np.testing.assert_allclose(behind[:, :4].std(0), 1, atol=0.03)
    # Its noise is what the normal variables are a mixture of: showers with the same are the same.
    with torch.no_grad():
        total = copula.scale.visible(behind[:, 0], energy)
    some = (layers.sum(1) > 0.9) & (layers.sum(1) < 1.1)  # within the outermost quantiles of all parts
    torch.testing.assert_close(total[some], (layers.sum(1) * energy)[some], rtol=1e-3, atol=0)


def test_where_a_shower_lies_goes_with_its_energies(logarithm: Tensor) -> None:
    places = torch.randint(96, (_SHOWERS,))
    layers = shares(0.02 * (places.unsqueeze(1) - 48) * torch.tensor([1.0, 0, 0]))
    copula, _, _ = fitted(layers, logarithm, places)
    cells = cells_of(layers, places)
    centre = (cells @ copula.summaries.places)[:, 1] / cells.sum(1)
    behind = copula.normal(cells, cells.sum(1), logarithm.unsqueeze(1))
    assert abs(np.corrcoef(behind[:, 5], centre)[0, 1]) > 0.95
    with torch.no_grad():
        energies, normal = copula(
            torch.randn(_SHOWERS, copula.noise), 20e3 * torch.exp(logarithm), logarithm.unsqueeze(1)
        )
    own, real = (
        np.corrcoef(x[:, 0] / x.sum(1), y)[0, 1]
        for x, y in ((energies, normal[:, 5]), (layers, behind[:, 5]))
    )
    assert own == pytest.approx(real, abs=0.1)


def test_summaries_are_moments_of_the_cells() -> None:
    detector = load_detector("calogan")
    rng = np.random.default_rng(0)
    cells = rng.exponential(size=(30, detector.n_cells)) * (rng.random((30, detector.n_cells)) < 0.3)
    found = Summaries(detector)(torch.from_numpy(cells).float())
    for shower, row in zip(found.numpy(), cells, strict=True):
        places = detector.positions[:, :2]
        centre = np.average(places, axis=0, weights=row)
        variance = np.average(((places - centre) ** 2).sum(1), weights=row)
        np.testing.assert_allclose(shower[:2], centre, rtol=1e-3, atol=0.02)
        assert shower[2] == pytest.approx(0.5 * np.log(variance), abs=1e-3)
        assert shower[3] == pytest.approx(np.log1p((row > 0).sum()))
    assert bool(Summaries(detector)(torch.zeros(2, detector.n_cells)).isfinite().all())


def test_layers_are_empty_as_often_as_in_real_showers(logarithm: Tensor) -> None:
    layers = shares(0.3 * torch.randn(_SHOWERS, 3))
    empty = torch.rand(_SHOWERS) < 0.3 * torch.sigmoid(-4 * logarithm)
    layers[empty, 2] = 0
    layers *= (1 + 0.05 * torch.randn(_SHOWERS, 1)) / layers.sum(1, keepdim=True)
    _, energies, _ = fitted(layers, logarithm)
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
    copula, energies, _ = fitted(layers, logarithm[:40])
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
    _, energies, _ = fitted(layers, logarithm)
    response = energies.sum(1) / (20e3 * torch.exp(logarithm))
    np.testing.assert_allclose(response, 0.9, rtol=1e-3)


def test_showers_without_energy_leave_layers_of_others_alone(logarithm: Tensor) -> None:
    layers = shares(0.3 * torch.randn(_SHOWERS, 3)) * (1 + 0.05 * torch.randn(_SHOWERS, 1))
    lost = torch.rand(_SHOWERS) < 0.1
    layers[lost] = 0
    _, energies, _ = fitted(layers, logarithm)
    none = (energies <= 0).all(1)
    assert not (energies[~none] <= 0).any()
    assert none.any()
    faint = energies.sum(1) < 4e3 * torch.exp(logarithm)  # a fifth of the incident energy
    assert float(faint.float().mean()) == pytest.approx(0.1, abs=0.02)


def test_correlations_of_few_showers_lean_on_those_of_all_once() -> None:
    torch.manual_seed(0)
    logarithm = torch.linspace(-_EDGE, _EDGE, 1000)
    truth = 0.9 * logarithm / _EDGE
    one, other = torch.randn(2, 1000)
    normal = torch.stack([one, truth * one + torch.sqrt(1 - truth**2) * other], dim=1)
    parts = divided(logarithm, _FIT)
    assert parts[-1] is parts[-2]
    for root, part in zip(_roots(normal, parts, 100.0), parts, strict=True):
        own, whole = (np.corrcoef(x.T)[0, 1] for x in (normal[part].numpy(), normal.numpy()))
        expected = (len(part) * own + 100 * whole) / (len(part) + 100)
        assert float((root @ root.T)[0, 1]) == pytest.approx(expected, abs=1e-4)


def test_what_never_varies_in_a_part_leaves_the_others() -> None:
    torch.manual_seed(0)
    normal = torch.randn(2000, 1).expand(-1, 3) + 0.3 * torch.randn(2000, 3)
    parts = divided(torch.linspace(0, 1, 2000), _FIT)
    normal[parts[0], 2] = 0
    root = _roots(normal, parts, 1)[0]
    correlation = root @ root.T
    assert float(correlation[0, 1]) > 0.8
    assert correlation.isfinite().all()
