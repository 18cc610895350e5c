"""Folded generators make the showers of what they were folded from."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from caloforge.deploy import Engine, export
from caloforge.deploy.torch_sampler import RunSampler
from caloforge.detector import Detector
from caloforge.models import build_generator
from caloforge.models.base import Generator
from caloforge.models.blocks.noise import draw_noise
from caloforge.models.inference.generator import FoldedGenerator, for_inference
from caloforge.models.inference.layerwise import LayerProducts, SomeProducts, one_after_the_other
from caloforge.models.inference.tables import Steps, bends, joined
from caloforge.models.settings import TunedSettings
from caloforge.training.pretrained import run_folder
from caloforge.training.run import Run


def _shipped(name: str) -> Generator:
    return Run.open(run_folder(name)).generator().eval()


@pytest.mark.parametrize("name", ["calogan-tuned", "conv2d-tuned"])
def test_showers_are_those_of_the_training_form(name: str) -> None:
    _same_showers(_shipped(name))


_SAME, _OTHERS = [(6, 9)] * 4, [(6, 9), (3, 4), (1, 1), (5, 2)]  # even and odd numbers


@pytest.mark.parametrize("power", [8, 200])  # many hits, and few
@pytest.mark.parametrize(
    ("network", "grids"), [("dense", _SAME), ("dense", _OTHERS), ("planes", _SAME), ("volume", _SAME)]
)
def test_showers_are_those_of_the_training_form_of_any_network(
    network: str, grids: list[tuple[int, int]], power: int
) -> None:
    detector = _detector(grids)
    settings = TunedSettings(network=network, latent=3, width=8)  # type: ignore[arg-type]
    generator = build_generator(settings, detector).eval()
    energy = 1e4 + 9e4 * torch.rand(60, 1, generator=torch.Generator().manual_seed(1))
    source = torch.Generator().manual_seed(2)
    showers = torch.rand(60, detector.n_cells, generator=source) ** power * energy / detector.n_cells
    showers[showers < 1.0] = 0
    generator.adapt(showers, energy)
    trunk: Any = generator.trunk
    with torch.no_grad():  # a correction that can be seen
        trunk.out.weight.normal_(std=0.3, generator=source)
        if trunk.neighbours is not None:
            trunk.neighbours.weight.normal_(std=0.1, generator=source)
            trunk.neighbours.strength.weight.normal_(std=0.3, generator=source)
    _same_showers(generator)


def _detector(grids: list[tuple[int, int]]) -> Detector:
    layers = [
        f"{{thickness: 10 mm, grid: {{kind: cartesian, window: [60 mm, 60 mm], cells: {list(cells)}}}}}"
        for cells in grids
    ]
    text = f"readout: {{deposits: all, layers: [{', '.join(layers)}]}}"
    return Detector.from_yaml(f"name: four\nshape: planar\nsize: [100 mm, 100 mm]\n{text}")


def _same_showers(generator: Generator) -> None:
    folded = for_inference(generator)
    assert isinstance(folded, FoldedGenerator)
    noise = generator.sample_noise(12, torch.Generator().manual_seed(3))
    energy = torch.linspace(1.1e4, 9.9e4, 12).unsqueeze(1)
    with torch.inference_mode():
        cells, same = generator(noise, energy), folded(noise, energy)
    # A cell at its very threshold may fall on either side of it, as processors round differently.
    either = (cells > 0) != (same > 0)
    assert int(either.sum()) <= 2
    cells, same = (torch.where(either, 0, x) for x in (cells, same))
    torch.testing.assert_close(same, cells, rtol=1e-3, atol=1e-5 * float(cells.max()))
    torch.testing.assert_close(same.sum(1), cells.sum(1), rtol=1e-5, atol=0)
    assert folded(noise[:0], energy[:0]).shape == (0, generator.detector.n_cells)


@pytest.mark.parametrize("name", ["calogan-tuned", pytest.param("conv2d-tuned", marks=pytest.mark.slow)])
def test_graphs_make_the_showers_of_the_training_form_in_any_batch(name: str, tmp_path: Path) -> None:
    trained, bundle = RunSampler(run_folder(name)), export(run_folder(name), tmp_path / "bundle")
    runtimes = ["onnxruntime", *(["openvino"] if find_spec("openvino") else [])]
    for runtime in runtimes:
        engine = Engine(bundle, threads=1, runtime=runtime)
        for n in (0, 1, 3):
            noise = draw_noise(np.random.default_rng(n), n, trained.noise_shape)
            energy = np.linspace(2e4, 9e4, n, dtype=np.float32)[:, None]
            expected, cells = trained.run(noise, energy), engine.run(noise, energy)
            np.testing.assert_allclose(cells, expected, rtol=0, atol=1e-4 * expected.max(initial=0))


def test_steps_interpolate_as_numpy_does() -> None:
    rng = np.random.default_rng(1)
    first, second = np.sort(rng.normal(size=6)), np.sort(rng.normal(size=4))
    values, others = rng.normal(size=(6, 2)), rng.normal(size=(4, 1))
    tables = [tuple(map(torch.from_numpy, table)) for table in ((first, values), (second, others))]
    places, table = joined(tables)  # type: ignore[arg-type]
    x = np.linspace(-3, 3, 50)
    found = table[0] + Steps(places)(torch.from_numpy(x).unsqueeze(1)) @ table.diff(dim=0)
    expected = [np.interp(x, first, column) for column in values.T] + [np.interp(x, second, others[:, 0])]
    np.testing.assert_allclose(found.numpy(), np.stack(expected, 1), atol=1e-9)


def test_bends_make_a_quantile_function() -> None:
    normal, value = np.linspace(-2, 2, 9), np.sort(np.random.default_rng(2).normal(size=9))
    turn = bends(torch.from_numpy(normal), torch.from_numpy(value)).numpy()
    x = np.linspace(-4, 4, 40)
    found = value[0] + (np.maximum(x[:, None] - normal, 0) * turn).sum(1)
    np.testing.assert_allclose(found, np.interp(x, normal, value), atol=1e-12)


@pytest.mark.parametrize("sizes", [(3, 3), (2, 4)])
def test_each_layer_has_a_product_of_its_own(sizes: tuple[int, int]) -> None:
    source = torch.Generator().manual_seed(1)
    matrix = torch.randn(5, 6, generator=source)
    numbers = torch.randn(7, 2, 5, generator=source)
    parts = torch.split(matrix, list(sizes), dim=1)
    expected = torch.cat([numbers[:, i] @ part for i, part in enumerate(parts)], dim=1)
    flat = numbers.transpose(1, 2).flatten(1)
    torch.testing.assert_close(LayerProducts(matrix, sizes)(flat), expected)
    torch.testing.assert_close(flat @ one_after_the_other(matrix, sizes), expected)


@pytest.mark.parametrize("kept", [1, 4])
def test_columns_of_zeros_are_left_out(kept: int) -> None:
    source = torch.Generator().manual_seed(1)
    matrix, constant = torch.zeros(3, 5), torch.zeros(5)
    matrix[:, :kept] = torch.randn(3, kept, generator=source)
    constant[:kept] = 2.0
    numbers = torch.randn(4, 3, generator=source)
    torch.testing.assert_close(SomeProducts(matrix, constant)(numbers), numbers @ matrix + constant)


@pytest.mark.parametrize("size", [100, 4097])
def test_noise_is_standard_normal_and_drawn_shower_by_shower(size: int) -> None:
    noise = draw_noise(np.random.default_rng(5), 60, (size,))
    assert noise.dtype == np.float32
    assert stats.kstest(noise.ravel()[:100_000], "norm").pvalue > 1e-3
    # Neither the two halves of a shower nor neighbours go together.
    for other in (np.roll(noise, 1, axis=1), np.roll(noise, -(-size // 2), axis=1)):
        assert abs(np.corrcoef(noise.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(noise.size)
    rng = np.random.default_rng(5)
    parts = [draw_noise(rng, n, (size,)) for n in (1, 0, 20, 39)]
    np.testing.assert_array_equal(np.concatenate(parts), noise)
