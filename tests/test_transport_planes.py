"""Flow matching of images: shapes, no movement at first, what is refused, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from caloforge.detector import Detector
from caloforge.errors import DetectorError
from caloforge.models import build_generator
from caloforge.models.fitted.factors import CommonFactors
from caloforge.models.settings import FitSettings, MatchingSettings
from caloforge.models.transport.generator import TransportGenerator
from caloforge.models.transport.planes import PlanesVelocity
from tiny_toys import planar

FIT = FitSettings(factors=4, rounds=2)
SETTINGS = MatchingSettings(fit=FIT, network="planes", width=4, blocks=1, evaluations=2)


@pytest.mark.parametrize("grid", [(8, 7, 3), (1, 1, 1), (25, 25, 25), (2, 9, 1)])
def test_velocities_have_the_shape_of_noise_and_are_zero_at_first(grid: tuple[int, int, int]) -> None:
    variables = 4 + int(np.prod(grid))
    velocity = PlanesVelocity(grid, factors=4, seen=3, width=4, blocks=2)
    found = velocity(torch.randn(2, variables), torch.rand(2, 1), torch.randn(2, 3))
    assert torch.equal(found, torch.zeros(2, variables))


def test_everything_moves_by_all_that_is_seen() -> None:
    """Velocities of factors and cells depend on factors, cells, angle and what is told of the shower."""
    torch.manual_seed(0)
    velocity = _awake(PlanesVelocity((6, 5, 3), factors=4, seen=3, width=4, blocks=1))
    told = [torch.randn(1, size, requires_grad=True) for size in (4 + 90, 1, 3)]
    for part in (slice(0, 4), slice(4, None)):
        slopes = torch.autograd.grad(velocity(*told)[:, part].square().sum(), told)
        assert all((slope != 0).all() for slope in slopes[1:])
        assert (slopes[0] != 0).all()


def test_layers_are_channels_and_x_is_rows() -> None:
    """A cell is moved by those near it in its own and in other layers: cells are sorted by layer, x, y."""
    torch.manual_seed(0)
    velocity = _awake(PlanesVelocity((40, 30, 2), factors=1, seen=1, width=4, blocks=0))
    place = torch.randn(1, 1 + 2400, requires_grad=True)
    one = velocity(place, torch.ones(1, 1), torch.zeros(1, 1))[0, 1 + 1200 + 20 * 30 + 15]
    (slopes,) = torch.autograd.grad(one, place)
    near = slopes[0, 1:].reshape(2, 40, 30) != 0
    assert near[:, 19:22, 14:17].all()
    assert not near[:, :12].any()
    assert not near[:, 29:].any()
    assert not near[:, :, :7].any()
    assert not near[:, :, 24:].any()


@pytest.mark.parametrize(
    ("detector", "got"),
    [
        (planar((4, 8, 10), (4, 4, 20)), "4 x 8"),
        (
            planar((1, 1, 10)).replace(
                "cartesian, window: [60 mm, 60 mm], cells: [1, 1]",
                "polar, alpha: 6, r_cells: 4, r_size: 5 mm",
            ),
            "polar",
        ),
    ],
    ids=["layers differ", "polar"],
)
def test_layers_that_are_no_channels_are_refused(detector: str, got: str) -> None:
    with pytest.raises(DetectorError, match="the planes network needs layers that share one cartesian grid"):
        build_generator(SETTINGS, Detector.from_yaml(detector))


def test_cells_count_as_often_as_they_are_hit() -> None:
    """A cell that is hit in a tenth of the showers counts a tenth of one that is always hit."""
    rng = np.random.default_rng(0)
    parts = rng.uniform(1, 2, (2000, 6)) * (rng.random((2000, 6)) < [1, 0.1, 0.5, 1, 1, 1])
    energy = rng.uniform(1e3, 1e5, (2000, 1))
    cells = (energy * parts / parts.sum(1, keepdims=True)).astype(np.float32)
    generator = build_generator(SETTINGS, Detector.from_yaml(planar((3, 2, 10))))
    assert isinstance(generator, TransportGenerator)
    generator.adapt(torch.from_numpy(cells), torch.from_numpy(energy.astype(np.float32)))
    weight = generator.transport.weight
    assert isinstance(weight, Tensor)
    expected = [*[1] * generator.parts[1], *(cells > 0).mean(0)]
    np.testing.assert_allclose(weight.numpy(), expected, atol=0.02)


def test_a_chain_of_factors_stays_distributed_as_they_are() -> None:
    """Those drawn on the other side have mean and covariance of the posterior, which is normal."""
    torch.manual_seed(2)
    factors = CommonFactors(6, FitSettings(factors=2))
    factors.loadings.copy_(torch.randn(2, 6))
    factors.own.copy_(0.5 + torch.rand(6))
    rest, n = torch.randn(1, 6), 100_000
    weights = factors.loadings / factors.own**2
    covariance = torch.linalg.inv(weights @ factors.loadings.T + torch.eye(2))
    mean = rest @ weights.T @ covariance
    before = factors.drawn(rest.expand(n, 6))
    after = factors.drawn(rest.expand(n, 6), before=before)
    for drawn in (before, after):
        torch.testing.assert_close(drawn.mean(0, keepdim=True), mean, atol=0.01, rtol=0)
        torch.testing.assert_close(torch.cov(drawn.T), covariance, atol=0.01, rtol=0.02)
    assert np.corrcoef(before[:, 0], after[:, 0])[0, 1] < -0.8
    some = torch.tensor([0, 1, 2, 3, 4, 5])
    assert stats.ks_2samp(factors.drawn(rest[:, some].expand(n, 6), some)[:, 0], before[:, 0]).pvalue > 1e-3


def _awake(velocity: PlanesVelocity) -> PlanesVelocity:
    for parameter in velocity.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return velocity
