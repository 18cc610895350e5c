"""Graphs for Par04, FastCaloSim and DDML: fed as those programs feed them, they give the engine's showers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import h5py
import numpy as np
import onnxruntime
import pytest
from scipy import stats
from typer import Typer
from typer.testing import CliRunner

import caloforge as cf
from caloforge.cli.export import export
from caloforge.deploy import Bundle, Engine
from caloforge.deploy.sampling import make_showers
from caloforge.detector import Detector
from caloforge.errors import BundleError, CaloforgeError, DetectorError, RangeError
from caloforge.showers import Incident
from native_toys import BARREL, BOX, toy_bundle

APP = Typer()
APP.command()(export)


class _Noise:
    """A source of given noise, where the engine wants numpy's generator."""

    def __init__(self, noise: np.ndarray) -> None:
        self.noise = noise

    def standard_normal(self, shape, dtype):
        return self.noise.reshape(shape).astype(dtype)


def _shower(bundle: Bundle, noise: np.ndarray, energy: float, theta: float) -> np.ndarray:
    incident = Incident.of(energy, pdg=11, theta=theta)
    return make_showers(Engine(bundle, threads=1), incident, _Noise(noise)).cells[0]


def _run(path: Path, *inputs: np.ndarray) -> np.ndarray:
    """Feed inputs in their order, as hosts do, with their own dimensions."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_inputs()]
    feed = {name: value.astype(np.float32) for name, value in zip(names, inputs, strict=True)}
    return session.run(None, feed)[0].ravel()


def _expanded(given: np.ndarray, count: int) -> np.ndarray:
    """SplitMix64 and Box-Muller with Python's integers, seeded by four numbers."""
    whole = 2**64

    def mixed(z: int) -> int:
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % whole
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % whole
        return z ^ (z >> 31)

    seed = 0
    for value in given[:4]:
        seed = mixed((seed + math.trunc(float(np.float32(value) * np.float32(2**24)))) % whole)
    half = (count + 1) // 2
    words = [mixed((seed + i * 0x9E3779B97F4A7C15) % whole) for i in range(1, half + 1)]
    radius = [math.sqrt(-2 * math.log(((word >> 32) + 1) / 2**32)) for word in words]
    angle = [2 * math.pi * (word % 2**32) / 2**32 for word in words]
    both = [r * f(a) for f in (math.cos, math.sin) for r, a in zip(radius, angle, strict=True)]
    return np.array(both[:count])


def _close(got: np.ndarray, expected: np.ndarray) -> None:
    assert expected.max() > 0
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-5 * expected.max())


def test_par04(tmp_path: Path) -> None:
    bundle = toy_bundle(tmp_path / "b", BARREL, latent=6)
    cf.export_host(bundle, tmp_path / "out", "par04")
    rng = np.random.default_rng(1)
    noise, energy, theta = rng.normal(size=6), 20e3, math.pi / 2 + 0.3
    # What Par04InferenceSetup::GetEnergies makes of the particle, and of the answer.
    vector = np.array([*noise, energy / 1024000.0, math.degrees(theta) / 90.0, 0, 1])
    got = energy * _run(tmp_path / "out" / "par04.onnx", vector[None])
    expected = _shower(bundle, noise, energy, 0.3)
    assert (expected == 0).any(), "a threshold that nothing meets proves nothing"
    # GetPositions: rings, sectors from -pi, layers, the last fastest.
    r, phi, z = (
        axis.ravel()
        for axis in np.meshgrid(
            (np.arange(2) + 0.5) * 5.0,
            (np.arange(4) + 0.5) * 2 * math.pi / 4 - math.pi,
            (np.arange(3) + 0.5) * 3.4,
            indexing="ij",
        )
    )
    places = np.stack([r * np.cos(phi), r * np.sin(phi), z], axis=1)
    ours = [int(np.abs(BARREL.positions - place).sum(1).argmin()) for place in places]
    assert sorted(ours) == list(range(BARREL.n_cells))
    _close(got, expected[ours])


def test_par04_macro_says_the_mesh(tmp_path: Path) -> None:
    cf.export_host(toy_bundle(tmp_path / "b", BARREL, latent=6), tmp_path / "out", "par04")
    lines = (tmp_path / "out" / "par04.mac").read_text().splitlines()
    commands = dict(line.split(" ", 1) for line in lines if line.startswith("/Par04/"))
    assert commands["/Par04/inference/setNbOfRhoCells"] == "2"
    assert commands["/Par04/inference/setNbOfPhiCells"] == "4"
    assert commands["/Par04/inference/setNbOfZCells"] == "3"
    assert commands["/Par04/inference/setSizeOfRhoCells"] == "5.0 mm"
    assert commands["/Par04/inference/setSizeOfZCells"] == "3.4 mm"
    assert commands["/Par04/inference/setSizeLatentVector"] == "6"
    assert commands["/Par04/detector/setNbOfLayers"] == "6"
    assert "/Par04/detector/setAbsorber 0 G4_W 1.4 mm true" in lines
    # The library loads the model, so it comes after the model's path and type.
    library = lines.index("/Par04/inference/setInferenceLibrary ONNX")
    assert lines.index("/Par04/inference/setModelType VAE") < library


def test_outside_the_range_nothing_is_a_number(tmp_path: Path) -> None:
    bundle = toy_bundle(tmp_path / "b", BARREL, latent=6)
    cf.export_host(bundle, tmp_path / "out", "par04")

    def cells(energy: float, theta: float) -> np.ndarray:
        vector = np.array([*np.ones(6), energy / 1024000.0, math.degrees(theta) / 90.0, 0, 1])
        return _run(tmp_path / "out" / "par04.onnx", vector[None])

    right = math.pi / 2
    assert np.isfinite(cells(1e5, right)).all()
    assert np.isfinite(cells(1e3, right - 0.5)).all()
    for energy, theta in ((2e5, right), (500.0, right), (2e4, right + 0.6), (np.nan, right), (0.0, right)):
        assert np.isnan(cells(energy, theta)).all()


@pytest.mark.parametrize("latent", [17, 30])  # as many numbers as FastCaloSim draws at most, and more
def test_fastcalosim(tmp_path: Path, latent: int) -> None:
    bundle = toy_bundle(tmp_path / "b", BOX, latent)
    cf.export_host(bundle, tmp_path / "out", "fastcalosim")
    rng = np.random.default_rng(2)
    eta, energy = 2.0, 30e3  # a planar detector: the angle to z
    shape, layers = rng.normal(size=BOX.n_cells), rng.normal(size=BOX.n_layers)
    session = onnxruntime.InferenceSession(
        tmp_path / "out" / "fastcalosim.onnx", providers=["CPUExecutionProvider"]
    )
    given = {"inn_eta_in": [eta * 10], "inn_einc_in": [energy], "cfm_z_shape": shape, "inn_z_energy": layers}
    # TFCSONNXHandler: each node gets its own list in its own dimensions, outputs become `name_number`.
    feed = {
        port.name: np.asarray(given[port.name], np.float32).reshape(port.shape)
        for port in session.get_inputs()
    }
    assert [port.shape for port in session.get_outputs()] == [[1, BOX.n_cells]]
    got = session.run(None, feed)[0].ravel()
    numbers = np.concatenate([shape, layers])
    noise = numbers[:latent] if latent <= len(numbers) else _expanded(numbers, latent)
    _close(got, _shower(bundle, noise, energy, 2 * math.atan(math.exp(-eta))))


@pytest.mark.parametrize("detector", [BOX, BARREL])
def test_fastcalosim_voxels(tmp_path: Path, detector: Detector) -> None:
    cf.export_host(toy_bundle(tmp_path / "b", detector, 4), tmp_path / "out", "fastcalosim")
    with h5py.File(tmp_path / "out" / "voxels.h5") as file:
        assert file.attrs["schema"] == "fastcalosim-voxels"
        layers, borders = file.attrs["layers"], file.attrs["layer_boundaries"]
        assert layers.tolist() == ([3, 4] if detector is BOX else [0, 1, 2])
        for i, layer in enumerate(layers):
            # TFCSBinnedShowerONNX::load_bin_boundaries and get_coordinates, at half of each range.
            names = [
                f"bin{kind}_{axis}_layer_{layer}"
                for axis in ("radius", "alpha")
                for kind in ("start", "size")
            ]
            r, dr, alpha, dalpha = (file[name][:] for name in names)
            assert [file[name].attrs["unit"] for name in names] == ["mm", "mm", "rad", "rad"]
            r, alpha = r + dr / 2, alpha + dalpha / 2
            places = np.stack([r * np.cos(alpha), r * np.sin(alpha)], axis=1)
            expected = detector.positions[borders[i] : borders[i + 1], :2]
            np.testing.assert_allclose(places, expected, atol=1e-4)
            if detector is BARREL:
                areas = ((r + dr / 2) ** 2 - (r - dr / 2) ** 2) / 2 * dalpha
                np.testing.assert_allclose(areas, detector.layers[i].grid.areas(), rtol=1e-5)


def test_ddml_grid(tmp_path: Path) -> None:
    bundle = toy_bundle(tmp_path / "b", BOX, latent=9)
    cf.export_host(bundle, tmp_path / "out", "ddml")
    latent, energy = np.random.default_rng(3).uniform(-1, 1, 100), 50e3
    # RegularGridGANModel::prepareInput, with the dimensions of m_tensDims.
    got = _run(
        tmp_path / "out" / "ddml.onnx",
        latent.reshape(1, 100, 1, 1, 1),
        np.reshape(energy / 1e3, (1, 1, 1, 1, 1)),
    )
    _close(got, _shower(bundle, _expanded(latent, 9), energy, 0.0))
    # convertOutput: layer, x, y; the middle is at half the number of cells.
    middles = [((i - 2 + 0.5) * 10.0, (j - 1 + 0.5) * 15.0) for i in range(4) for j in range(2)]
    np.testing.assert_allclose(BOX.positions[:, :2], [*middles, *middles])
    text = (tmp_path / "out" / "ddml_steer.py").read_text()
    compile(text, "ddml_steer.py", "exec")
    assert "model.NCellsX = 4\n    model.NCellsY = 2\n    model.NCellsZ = 2\n" in text
    assert "beside their place" not in (tmp_path / "out" / "README.md").read_text()


def test_ddml_polar(tmp_path: Path) -> None:
    bundle = toy_bundle(tmp_path / "b", BARREL, latent=25)
    cf.export_host(bundle, tmp_path / "out", "ddml")
    normal, energy, theta = np.random.default_rng(4).normal(size=10), 5e3, 0.2
    vector = np.array([*normal, energy / 1024000.0, theta / (math.pi / 2), 0, 1])
    got = energy * _run(tmp_path / "out" / "ddml.onnx", vector[None])
    # Par04ExampleVAE::convertOutput: rings, sectors from 0, layers.
    angles = [(j + 0.5) * 2 * math.pi / 4 for j in range(4)]
    turn = [(r * math.cos(a), r * math.sin(a)) for r in (2.5, 7.5) for a in angles]
    places = [(x, y, (k + 0.5) * 3.4) for x, y in turn for k in range(3)]
    ours = [int(np.abs(BARREL.positions - place).sum(1).argmin()) for place in places]
    assert sorted(ours) == list(range(BARREL.n_cells))
    _close(got, _shower(bundle, _expanded(normal, 25), energy, theta)[ours])


def test_noise_of_the_graph_is_normal_and_new_for_each_shower() -> None:
    rng = np.random.default_rng(5)
    noise = np.array([_expanded(rng.uniform(-1, 1, 100), 101) for _ in range(400)])
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    assert stats.kstest(noise.sum(1) / math.sqrt(101), "norm").pvalue > 1e-3
    pairs = np.corrcoef(noise.T)[np.triu_indices(101, 1)]
    assert abs(pairs.std() * math.sqrt(400) - 1) < 0.05
    assert len(np.unique(noise[:, 0])) == 400


@pytest.mark.parametrize(
    ("host", "detector", "error"),
    [("par04", BOX, DetectorError), ("ddml", "calogan", DetectorError), ("geant", BOX, BundleError)],
)
def test_what_a_host_cannot_do_is_said(
    tmp_path: Path, host: str, detector: Detector | str, error: type
) -> None:
    chosen = cf.load_detector(detector) if isinstance(detector, str) else detector
    with pytest.raises(error):
        cf.export_host(toy_bundle(tmp_path / "b", chosen, 4), tmp_path / "out", host)
    assert not (tmp_path / "out").exists()


def test_one_particle_of_several(tmp_path: Path) -> None:
    bundle = toy_bundle(tmp_path / "b", BOX, 4, particles=(11, 22))
    with pytest.raises(RangeError, match="which one is wanted"):
        cf.export_host(bundle, tmp_path / "out", "ddml")
    with pytest.raises(RangeError, match=r"does not know this particle(.|\n)*expected: *e-, gamma"):
        cf.export_host(bundle, tmp_path / "out", "ddml", particle="mu-")
    cf.export_host(bundle, tmp_path / "out", "ddml", particle="gamma")
    assert "Made for gamma" in (tmp_path / "out" / "README.md").read_text()


def test_angles_that_a_host_does_not_give(tmp_path: Path) -> None:
    bundle = toy_bundle(tmp_path / "b", BOX, 4)
    oblique = bundle.manifest.valid.theta.model_copy(update={"min": 0.2})
    valid = bundle.manifest.valid.model_copy(update={"theta": oblique})
    away = Bundle(bundle.path, bundle.manifest.model_copy(update={"valid": valid}), bundle.detector)
    with pytest.raises(BundleError, match="depend on theta"):
        cf.export_host(away, tmp_path / "out", "ddml")


def test_command(tmp_path: Path) -> None:
    from deploy_toys import make_bundle

    bundle = make_bundle(tmp_path / "b")
    words = ["--host", "fastcalosim", "--out", str(tmp_path / "out"), "--json"]
    content = json.loads(CliRunner().invoke(APP, [str(bundle), *words]).stdout)
    assert content["files"] == ["README.md", "fastcalosim.onnx", "voxels.h5"]
    for wrong in (["--cpp", "--host", "ddml"], ["--cpp", "--particle", "e-"]):
        result = CliRunner().invoke(APP, [str(bundle), "--out", str(tmp_path / "no"), *wrong])
        assert isinstance(result.exception, CaloforgeError)
