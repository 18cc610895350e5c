"""Many generators at once: what each makes is what it makes alone, whatever its layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from caloforge.detector import Detector
from caloforge.errors import EvolutionError
from caloforge.evolution.population.many import Change, many, one_by_one
from caloforge.evolution.population.pieces import Pieces
from caloforge.evolution.population.showers import batchable, showers_of_each
from caloforge.models import build_generator
from caloforge.models.base import Generator
from caloforge.models.settings import CaloganSettings, GrownSettings, Stage, TunedSettings
from tiny_toys import TINY, planar

COUNT = 3
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "dense": (lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2, bias=False)), (4,)),
    "dense, of sequences": (lambda: nn.Linear(4, 5), (6, 4)),
    "convolution": (lambda: nn.Conv2d(2, 3, 3, padding="same"), (2, 5, 4)),
    "convolution of single cells": (lambda: nn.Conv2d(2, 3, 1), (2, 5, 4)),
    "volumes of single cells": (lambda: nn.Conv3d(2, 3, 1, bias=False), (2, 5, 4, 3)),
    "convolution of every second cell": (lambda: nn.Conv2d(2, 3, 1, stride=2), (2, 5, 4)),
    "volumes": (lambda: nn.Conv3d(2, 3, 3, stride=2, padding=1), (2, 5, 4, 3)),
    "transposed": (lambda: nn.ConvTranspose2d(2, 3, 3, 2), (2, 5, 4)),
    "norm": (lambda: nn.LayerNorm(4), (6, 4)),
}


def individuals(network: nn.Module, names: list[str] | None = None) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(1)
    return {
        name: torch.stack([value + torch.randn(value.shape, generator=random) for _ in range(COUNT)])
        for name, value in network.named_parameters()
        if names is None or name in names
    }


@torch.no_grad()
def alone(network: nn.Module, weights: dict[str, Tensor], rows: Tensor) -> Tensor:
    """What torch makes of each, by its own way to call a module with other weights."""
    made = []
    for number, part in enumerate(rows.chunk(COUNT)):
        own = {name: values[number] for name, values in weights.items()}
        made.append(torch.func.functional_call(network, own, (part,)))
    return torch.cat(made)


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_many_networks_make_what_each_makes_alone(name: str) -> None:
    make, shape = NETWORKS[name]
    network, rows = make(), torch.randn(COUNT * 7, *shape)
    before = network(rows)
    weights = individuals(network)
    with many(network, weights, COUNT):
        made = network(rows)
    torch.testing.assert_close(made, alone(network, weights, rows))
    assert torch.equal(network(rows), before)  # it is itself again


@torch.no_grad()
def test_what_is_not_named_is_shared() -> None:
    network, rows = NETWORKS["dense"][0](), torch.randn(COUNT * 7, 4)
    weights = individuals(network, ["0.bias", "2.weight"])
    with many(network, weights, COUNT):
        made = network(rows)
    torch.testing.assert_close(made, alone(network, weights, rows))


@torch.no_grad()
def test_a_change_of_rank_one_is_an_outer_product() -> None:
    network, rows = nn.Linear(4, 5), torch.randn(COUNT * 7, 4)
    left, right = torch.randn(COUNT, 5), torch.randn(COUNT, 4)
    dense = network.weight + left[:, :, None] * right[:, None, :]
    with many(network, {"weight": Change(left, right)}, COUNT):
        made = network(rows)
    torch.testing.assert_close(made, alone(network, {"weight": dense}, rows))


def test_only_dense_layers_take_changes() -> None:
    change = {"weight": Change(torch.ones(COUNT, 3), torch.ones(COUNT, 18))}
    with pytest.raises(TypeError, match="dense"), many(nn.Conv2d(2, 3, 3), change, COUNT):
        pass


@torch.no_grad()
def test_after_an_error_a_network_is_itself() -> None:
    network = nn.Linear(4, 5)
    weights = individuals(network)
    before = network.weight
    with pytest.raises(RuntimeError), many(network, weights, COUNT):
        network(torch.randn(COUNT * 7, 9))
    with pytest.raises(ZeroDivisionError), one_by_one(network, {"weight": weights["weight"][0]}):
        raise ZeroDivisionError
    assert network.weight is before
    assert "forward" not in network.__dict__


# --- generators ---

ONE = planar((5, 4, 10))
STACK = planar(*[(6, 6, 10)] * 4)
GENERATORS: dict[str, tuple[str, Any, bool]] = {
    "grown, an image": (ONE, GrownSettings(latent=3, filters=2, stages=(Stage(filters=3, grow=2),)), True),
    "grown, a volume": (
        STACK,
        GrownSettings(dimensions=3, latent=3, filters=2, stages=(Stage(filters=2, grow=2, noise=True),)),
        True,
    ),
    # Its images are stored with their rows in front of the showers.
    "calogan": (TINY, CaloganSettings(latent=4), False),
    "tuned, dense": (TINY, TunedSettings(network="dense", latent=4, width=4), True),
    # Its last layer is computed with weights that it does not own.
    "tuned": (STACK, TunedSettings(network="planes", latent=4, width=4), False),
}


def built(name: str) -> tuple[Generator, Tensor, Tensor]:
    text, settings, _ = GENERATORS[name]
    torch.manual_seed(2)
    generator = build_generator(settings, Detector.from_yaml(text)).eval()
    incident = torch.linspace(1e4, 5e4, 7)[:, None]
    if name.startswith("grown"):  # which divides an energy that it has measured
        cells = torch.rand(200, generator.detector.n_cells) * 1e3
        generator.adapt(cells, cells.sum(1, keepdim=True))
    return generator, generator.sample_noise(7), incident


@pytest.mark.parametrize("name", GENERATORS)
@torch.no_grad()
def test_many_generators_make_the_showers_of_each(name: str) -> None:
    generator, noise, incident = built(name)
    at_once = batchable(generator, dict(generator.named_parameters()), incident)
    assert at_once == GENERATORS[name][2]
    weights = {key: 0.3 * value for key, value in individuals(generator).items()}
    made = showers_of_each(generator, weights, COUNT, noise, incident, at_once)
    assert made.shape == (COUNT, 7, generator.detector.n_cells)
    for number in range(COUNT):
        own = {key: values[number] for key, values in weights.items()}
        expected = torch.func.functional_call(generator, own, (noise, incident))
        same = torch.isclose(made[number], expected, rtol=1e-3, atol=1e-4 * float(expected.max()))
        # Rounding may move a number across the threshold of a hit.
        # Rounding may move a number across the threshold of a hit, and with it others of that shower.
        assert float(same.all(1).float().mean()) > 0.7


def test_what_looks_across_showers_is_made_one_after_the_other() -> None:
    class Centred(Generator):
        noise_shape = (2,)

        def __init__(self) -> None:
            super().__init__(Detector.from_yaml(ONE))
            self.layer = nn.Linear(2, 20)

        def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
            made: Tensor = self.layer(noise)
            return (made - made.mean(0)).abs() * incident

    generator = Centred()
    incident = torch.linspace(1e4, 5e4, 7)[:, None]
    assert not batchable(generator, dict(generator.named_parameters()), incident)


# --- memory ---


def test_pieces_fit_the_memory_and_hold_everyone() -> None:
    for memory, most in ((10_000_000, 64), (40_000, 40_000 // 1_700)):
        pieces = Pieces(weights=200, activations=250, cells=50, memory=memory)
        assert pieces.each == 1_700
        found = list(pieces.of(1000))
        assert max(piece.stop - piece.start for piece in found) == most
        assert np.concatenate([np.arange(piece.start, piece.stop) for piece in found]).tolist() == list(
            range(1000)
        )


def test_pieces_stay_near_the_processor() -> None:
    pieces = Pieces(weights=100, activations=1 << 20, cells=100, memory=1 << 40)
    assert max(piece.stop - piece.start for piece in pieces.of(1000)) == 8
    assert list(Pieces(weights=100, activations=1 << 30, cells=100, memory=1 << 40).of(5)) == [
        slice(0, 4),
        slice(4, 5),
    ]


def test_too_little_memory_is_said() -> None:
    with pytest.raises(EvolutionError, match=r"(?s)not even one.*memory_mb.*at least 3 MB"):
        Pieces(weights=1 << 20, activations=0, cells=1 << 14, memory=1 << 20)


def test_memory_is_measured_by_one_individual() -> None:
    generator, _, incident = built("grown, an image")
    pieces = Pieces.measured(generator, dict(generator.named_parameters()), incident, 1 << 20)
    assert pieces.weights == 4 * sum(weight.numel() for weight in generator.parameters())
    assert pieces.cells == 7 * 20 * 4
    assert pieces.activations >= pieces.cells
