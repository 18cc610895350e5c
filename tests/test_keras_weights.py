"""Weights that Keras wrote: CERN's own 3DGAN, checked against its network in plain numpy."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from typer.testing import CliRunner

from caloforge.cli.main import app
from caloforge.deploy import generate
from caloforge.detector import load_detector
from caloforge.errors import OutputError, RunError
from caloforge.models import build_critic, build_generator
from caloforge.models.base import Critic, Generator
from caloforge.models.blocks.noise import draw_noise
from caloforge.models.published.keras import is_keras_weights, read_keras_weights
from caloforge.models.settings import Gan3dSettings
from caloforge.showers import Showers
from caloforge.training import Run, adopt, load_recipe

Array = NDArray[np.float64]
VEGAN = ["model.scale=1"]
"""The networks of September 2017 saw cells in GeV."""


@pytest.fixture(scope="module")
def weights(published: Path) -> Path:
    folder = published / "3dgan-weights"
    if not folder.is_dir():
        pytest.skip(f"CERN's weights of 3DGAN are not in {folder}")
    return folder / "params_generator_epoch_029.hdf5"


@pytest.fixture(scope="module")
def critic_weights(weights: Path) -> Path:
    return weights.with_name("params_discriminator_epoch_029.hdf5")


@pytest.fixture(scope="module")
def generator(weights: Path) -> Generator:
    module = build_generator(Gan3dSettings(scale=1), load_detector("clic"))
    module.load_state_dict(read_keras_weights(weights, module))
    return module.eval()


@pytest.fixture(scope="module")
def critic(critic_weights: Path) -> Critic:
    module = build_critic(Gan3dSettings(scale=1), load_detector("clic"))
    module.load_state_dict(read_keras_weights(critic_weights, module))
    return module.eval()


class _Keras:
    """The published layers in numpy and float64, from a description of them; one shower, channels last."""

    def __init__(self, file: h5py.File, group: str) -> None:
        self.file, self.group = file, group

    def get(self, name: str) -> Array:
        found = [key for key in (f"{self.group}/{name}", f"{name.split('/')[0]}/{name}") if key in self.file]
        return np.asarray(self.file[found[0]], np.float64)

    def dense(self, x: Array, name: str) -> Array:
        return x @ self.get(f"{name}/kernel:0") + self.get(f"{name}/bias:0")

    def conv(self, x: Array, name: str, bias: bool = True) -> Array:
        kernel = self.get(f"{name}/kernel:0")
        seen = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:3], axis=(0, 1, 2))
        y = np.tensordot(seen, kernel, axes=((3, 4, 5, 6), (3, 0, 1, 2)))
        return y + self.get(f"{name}/bias:0") if bias else y

    def norm(self, x: Array, name: str) -> Array:
        gamma, beta, mean, variance = (
            self.get(f"{name}/{key}:0") for key in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta


def _leaky(x: Array) -> Array:
    return np.where(x > 0, x, 0.3 * x)


def _pad(x: Array, *sizes: tuple[int, int]) -> Array:
    return np.pad(x, (*sizes, (0, 0)))


def _up(x: Array, *factors: int) -> Array:
    for axis, factor in enumerate(factors):
        x = x.repeat(factor, axis)
    return x


def _numpy_generator(file: h5py.File, noise: Array, gev: float) -> Array:
    """Energies in GeV as `(25, 25, 25)` in x, y, z."""
    net = _Keras(file, "sequential_1")
    x = net.dense(noise * gev / 100, "dense_1").reshape(7, 7, 8, 8)
    # 'same' with a kernel of 6, 6, 8: one more zero after than before.
    x = net.norm(_leaky(net.conv(_pad(x, (2, 3), (2, 3), (3, 4)), "conv3d_1")), "batch_normalization_1")
    x = _pad(_up(x, 2, 2, 2), (2, 2), (2, 2), (0, 0))
    x = net.norm(_leaky(net.conv(x, "conv3d_2")), "batch_normalization_2")
    x = _pad(_up(x, 2, 2, 3), (1, 1), (0, 0), (3, 3))
    x = _leaky(net.conv(x, "conv3d_3"))
    return np.maximum(net.conv(x, "conv3d_4", bias=False)[..., 0], 0)


def _numpy_critic(file: h5py.File, image: Array) -> tuple[float, float]:
    net = _Keras(file, "model_3")
    x = _leaky(net.conv(_pad(image[..., None], *[(2, 2)] * 3), "conv3d_5"))
    for conv, pad in ((6, 2), (7, 2), (8, 1)):
        x = net.conv(_pad(x, *[(pad, pad)] * 3), f"conv3d_{conv}")
        x = net.norm(_leaky(x), f"batch_normalization_{conv - 3}")
    halves = x[:22, :22, :22].reshape(11, 2, 11, 2, 11, 2, 8).mean((1, 3, 5)).reshape(-1)
    return float(net.dense(halves, "generation")[0]), float(net.dense(halves, "auxiliary")[0])


@pytest.mark.parametrize("gev", [10.0, 100.0, 450.0])
def test_generator_and_critic_agree_with_numpy(
    gev: float, generator: Generator, critic: Critic, weights: Path, critic_weights: Path
) -> None:
    noise = draw_noise(np.random.default_rng(int(gev)), 1, generator.noise_shape)
    incident = torch.tensor([[gev * 1e3]])
    with torch.no_grad():
        cells = generator(torch.from_numpy(noise), incident)
        readings = critic(cells, incident)
    with h5py.File(weights) as file:
        expected = _numpy_generator(file, noise[0].astype(np.float64), gev)
    # Cells are stored layer by layer.
    image = cells[0].double().numpy().reshape(25, 25, 25).transpose(1, 2, 0) / 1e3
    assert np.abs(image - expected).max() < 1e-4 * expected.max()
    with h5py.File(critic_weights) as file:
        logit, auxiliary = _numpy_critic(file, expected)
    assert readings["logit"].item() == pytest.approx(logit, abs=2e-4)
    assert readings["auxiliary"].item() == pytest.approx(auxiliary, rel=2e-4)


@pytest.mark.parametrize(
    ("gev", "response", "spread", "occupied", "peak"),
    [
        (50, 0.0244, 0.0010, 0.053, {11}),
        (100, 0.0181, 0.0020, 0.060, {11}),
        (200, 0.0181, 0.0017, 0.076, {13}),
        (400, 0.0180, 0.0054, 0.093, {14, 15}),
    ],
)
def test_showers_are_those_of_the_published_weights(
    gev: float, response: float, spread: float, occupied: float, peak: set[int], generator: Generator
) -> None:
    """Sum over incident energy, occupancy and shower maximum, as an earlier reading of the file gave them."""
    n = 32
    noise = torch.from_numpy(draw_noise(np.random.default_rng(1), n, generator.noise_shape))
    with torch.no_grad():
        cells = generator(noise, torch.full((n, 1), gev * 1e3))
    ratio = cells.sum(1) / (gev * 1e3)
    assert ratio.mean().item() == pytest.approx(response, abs=4 * max(spread, ratio.std().item()) / n**0.5)
    assert (cells > 0).float().mean().item() == pytest.approx(occupied, abs=0.01)
    assert int(cells.reshape(n, 25, 625).sum(2).mean(0).argmax()) in peak


def test_adopted_weights_are_a_run(weights: Path, tmp_path: Path) -> None:
    words = ["--recipe", "gan3d", "--set", *VEGAN, "--particle", "e-", "--energy", "10:500GeV"]
    result = CliRunner().invoke(app, ["adopt", str(weights), *words, "--out", str(tmp_path / "run")])
    assert result.exit_code == 0, result.exception
    run = Run.open(tmp_path / "run")
    assert run.incident_range["particles"] == [11]
    assert run.incident_range["energy"] == [1e4, 5e5]
    assert run.provenance["data"]["adopted"]["file"] == weights.name
    assert run.summary()["steps"] == 0
    generate(run.path, energy="50GeV", count=3, out=tmp_path / "a.h5", threads=1)
    showers = Showers.load(tmp_path / "a.h5")
    assert 0.02 < float((showers.cells.sum(1) / showers.incident.energy).mean()) < 0.03


def test_adopting_refuses(weights: Path, critic_weights: Path, tmp_path: Path) -> None:
    recipe = load_recipe("gan3d", VEGAN)
    known = {"recipe": recipe, "particle": "e-", "energy": "10:500GeV"}
    with pytest.raises(RunError, match="not the weights of this Gan3dGenerator"):
        adopt(critic_weights, tmp_path / "run", **known)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "run").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        adopt(weights, tmp_path / "run", **known)


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A file as Keras writes it: two layers, a norm whose statistics come last."""
    file = tmp_path / "toy.h5"
    with h5py.File(file, "w") as out:
        out.attrs["backend"] = b"tensorflow"
        out.attrs["layer_names"] = [b"input_1", b"model_1", b"out"]
        out.create_group("input_1").attrs["weight_names"] = np.zeros(0)
        names = {"model_1": ["c_1/kernel:0", "b_1/gamma:0", "b_1/beta:0", "b_1/moving_mean:0"]}
        names["model_1"].append("b_1/moving_variance:0")
        names["out"] = ["out/kernel:0", "out/bias:0"]
        for group, paths in names.items():
            out.create_group(group).attrs["weight_names"] = [path.encode() for path in paths]
            for i, path in enumerate(paths):
                shape = {"c_1/kernel:0": (1, 2, 3, 4), "out/kernel:0": (5, 2), "out/bias:0": (2,)}
                size = shape.get(path, (4,))
                out[f"{group}/{path}"] = np.arange(np.prod(size), dtype=np.float32).reshape(size) + 10 * i
    return file


def _toy_network(out: int = 2) -> torch.nn.Sequential:
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, (1, 2), bias=False), torch.nn.BatchNorm2d(4), torch.nn.Linear(5, out)
    )


def test_arrays_find_their_places(toy: Path) -> None:
    module = _toy_network()
    module.load_state_dict(read_keras_weights(toy, module))
    conv, norm, dense = module
    for i, j, channel, feature in np.ndindex(1, 2, 3, 4):
        assert conv.weight[feature, channel, i, j] == ((i * 2 + j) * 3 + channel) * 4 + feature
    assert norm.weight.tolist() == [10, 11, 12, 13]
    assert norm.running_var.tolist() == [40, 41, 42, 43]
    assert dense.weight[1].tolist() == [1, 3, 5, 7, 9]


def test_other_networks_are_told(toy: Path) -> None:
    with pytest.raises(RunError) as caught:
        read_keras_weights(toy, _toy_network(out=3))
    assert caught.value.details["got"] == "out: weight 2 x 5, bias 2"
    assert caught.value.details["expected"] == "2: weight 3 x 5, bias 3"
    with pytest.raises(RunError) as caught:
        read_keras_weights(toy, _toy_network()[:2])
    assert caught.value.details["expected"] == "no more layers"


def test_other_files_are_told(toy: Path, tmp_path: Path) -> None:
    assert is_keras_weights(toy)
    other = tmp_path / "showers.h5"
    with h5py.File(other, "w") as file:
        file["ECAL"] = np.zeros(3)
    for path in (other, tmp_path / "none.h5", tmp_path):
        assert not is_keras_weights(path)
        with pytest.raises(RunError, match="not weights that Keras wrote"):
            read_keras_weights(path, _toy_network())
    with h5py.File(toy, "a") as file:
        file.attrs["backend"] = b"theano"
    with pytest.raises(RunError, match="another backend"):
        read_keras_weights(toy, _toy_network())


def test_damage_is_told(toy: Path) -> None:
    with h5py.File(toy, "a") as file:
        del file["out/out/kernel:0"]
    with pytest.raises(RunError, match="lacks a dataset"):
        read_keras_weights(toy, _toy_network())
