"""The sampler in C++: what its headers say, compiled and run; with OpenVINO it makes the engine's showers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer import Typer
from typer.testing import CliRunner

import caloforge as cf
from caloforge.cli.export import export
from caloforge.deploy import Bundle, Engine
from caloforge.deploy.native.literals import literal, type_name
from caloforge.detector import Detector
from caloforge.errors import BundleError, OutputError
from caloforge.models.blocks.noise import draw_noise
from caloforge.showers import Incident
from deploy_toys import make_bundle, make_graph
from native_toys import BARREL, BOX, toy_bundle

APP = Typer()
APP.command()(export)
PROBE = Path(__file__).parent / "data" / "probe.cpp"
STRICT = ("-std=c++17", "-Wall", "-Wextra", "-Werror", "-O1")
compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


class _Probe:
    """A program with the headers of one detector's bundle and no runtime."""

    def __init__(self, folder: Path, detector: Detector) -> None:
        self.bundle = toy_bundle(folder / "bundle", detector, latent=5, particles=(11, -11))
        self.out = cf.export_cpp(self.bundle, folder / "cpp")
        self.program = folder / "probe"
        words = ["g++", *STRICT, "-I", self.out / "include", PROBE, "-o", self.program]
        subprocess.run(list(map(str, words)), check=True)

    def __call__(self, mode: str, particles: list[tuple] = ()) -> list[str]:  # type: ignore[assignment]
        lines = "".join(" ".join(map(repr, particle)) + "\n" for particle in particles)
        words = [self.program, self.out / "generator.onnx", mode]
        done = subprocess.run(words, input=lines, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> _Probe:
    return _Probe(tmp_path_factory.mktemp("box"), BOX)


@compiler
def test_sampler_knows_where_cells_are(box: _Probe) -> None:
    got = np.array([line.split() for line in box("places")], float)
    np.testing.assert_allclose(got, BOX.positions, atol=1e-4)


@compiler
def test_sampler_admits_what_the_engine_admits(box: _Probe) -> None:
    edges = [999.0, 900.0, 1e3 - 1e2, 1e5, 100_990.0, 101_000.0, float("nan"), -5e3]
    asked = [(11, energy, 0.1, 0.0, 0.0, 0.0) for energy in edges]
    asked += [(11, 2e4, 0.1, 0.0, 2.03, 0.0), (11, 2e4, 0.1, 0.0, 2.05, 0.0), (11, 2e4, 0.6, 0.0, 0.0, 0.0)]
    asked += [(pdg, 2e4, 0.1, 0.0, 0.0, 0.0) for pdg in (11, -11, 22)]
    valid = box.bundle.manifest.valid
    columns = ("theta", "phi", "x", "y")
    expected = [
        not valid.complaints(Incident.of(energy, pdg=pdg, **dict(zip(columns, rest, strict=True))))
        for pdg, energy, *rest in asked
    ]
    assert sum(expected) == 8
    assert [line == "1" for line in box("admits", asked)] == expected


@compiler
def test_sampler_makes_showers_in_calls_of_one_size(box: _Probe) -> None:
    """Seven showers in calls of three; the noise is drawn shower by shower; the threshold is applied."""
    energies = [1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5]
    got = np.array(box("generate", [(11, energy, 0.1, 0.0, 0.0, 0.0) for energy in energies]), float)
    noise = np.arange(1, 36).reshape(7, 5) * 1e-3
    expected = np.tile(noise, 4)[:, : BOX.n_cells] * np.array(energies)[:, None]
    expected[expected < 2.0] = 0.0
    assert (expected == 0).any()
    np.testing.assert_allclose(got.reshape(7, -1), expected, rtol=1e-4)


@compiler
def test_sampler_refuses(box: _Probe) -> None:
    good, bad = (11, 2e4, 0.1, 0.0, 0.0, 0.0), (11, 2e5, 0.1, 0.0, 0.0, 0.0)
    (line,) = box("generate", [good] * 4 + [bad])
    assert line.startswith("OutOfRange caloforge: toy was not trained for energy 200000 MeV")
    assert line.endswith("but for 1000 to 100000 MeV after 0 calls")
    assert box("generate", [(22, *good[1:])])[0].startswith(
        "OutOfRange caloforge: toy was not trained for particle 22"
    )
    assert box("impossible", [good]) == ["BadGraph caloforge: toy gives impossible energies"]
    graph = box.out / "generator.onnx"
    whole = graph.read_bytes()
    graph.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    try:
        assert "is not the graph that this header was written for" in box("generate", [good])[0]
        graph.unlink()
        assert "cannot read" in box("generate", [good])[0]
    finally:
        graph.write_bytes(whole)


@compiler
def test_normals_are_normal(box: _Probe) -> None:
    numbers = np.array(box("normals"), float)
    assert stats.kstest(numbers, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.02


@compiler
def test_polar_cells(tmp_path: Path) -> None:
    got = np.array([line.split() for line in _Probe(tmp_path, BARREL)("places")], float)
    np.testing.assert_allclose(got, BARREL.positions, atol=1e-4)


def test_a_graph_with_other_ports_is_not_written(tmp_path: Path) -> None:
    """The header would ask for what the graph does not have."""
    other = make_bundle(tmp_path / "bundle", make_graph(output="energies"))
    with pytest.raises(BundleError, match="not what its manifest says"):
        cf.export_cpp(other, tmp_path / "cpp")
    with pytest.raises(BundleError, match="not what its manifest says"):
        cf.export_host(other, tmp_path / "ddml", "ddml")
    assert {path.name for path in tmp_path.iterdir()} == {"bundle"}


def test_names_of_a_bundle_are_no_code() -> None:
    assert type_name("calogan-tuned") == "CaloganTuned"
    assert type_name("3dgan") == "Bundle3dgan"
    assert type_name("int") == "Int"
    assert type_name("∂") == "Bundle"
    assert literal('a"; system("x"); //\n\\ü') == '"a\\"; system(\\"x\\"); //?\\\\?"'


@compiler
def test_a_hostile_name_compiles_to_a_string(tmp_path: Path) -> None:
    name = 'toy */ } #error \n"; int x = 1; // \\'
    toy = Bundle.open(make_bundle(tmp_path / "b"))
    toy = replace(toy, manifest=toy.manifest.model_copy(update={"name": name}))
    out = cf.export_cpp(toy, tmp_path / "cpp")
    headers = [path.name for path in (out / "include" / "caloforge").glob("Toy*.hpp")]
    source = f'#include "caloforge/{headers[0]}"\nint main() {{ return 0; }}\n'
    words = ["g++", *STRICT, "-fsyntax-only", "-I", str(out / "include"), "-x", "c++", "-"]
    subprocess.run(words, input=source, text=True, check=True)


def test_command(tmp_path: Path) -> None:
    words = [str(make_bundle(tmp_path / "b")), "--cpp", "--out", str(tmp_path / "cpp")]
    content = json.loads(CliRunner().invoke(APP, [*words, "--json"]).stdout)
    assert "include/caloforge/Toy.hpp" in content["files"]
    assert {"CMakeLists.txt", "README.md", "generator.onnx", "main.cpp"} <= set(content["files"])
    assert isinstance(CliRunner().invoke(APP, words).exception, OutputError)


def _built(out: Path, *settings: str) -> Path:
    words = ["cmake", "-S", str(out), "-B", str(out / "build"), "-DCMAKE_CXX_FLAGS=-Werror", *settings]
    subprocess.run(words, check=True, capture_output=True)
    subprocess.run(["cmake", "--build", str(out / "build")], check=True, capture_output=True)
    return out / "build"


def _settings() -> dict[str, list[str]]:
    """How CMake finds each runtime that is here."""
    found = {}
    if find_spec("openvino"):
        from openvino.utils import get_cmake_path

        found["openvino"] = [f"-DOpenVINO_DIR={get_cmake_path()}"]
    home = os.environ.get("ONNXRUNTIME_HOME")  # a folder with include/ and lib/
    if home:
        library = next((Path(home) / "lib").glob("libonnxruntime.so"))
        found["onnxruntime"] = [
            f"-DONNXRUNTIME_INCLUDE_DIR={home}/include",
            f"-DONNXRUNTIME_LIBRARY={library}",
            "-DCMAKE_DISABLE_FIND_PACKAGE_OpenVINO=ON",
        ]
    return found


@compiler
@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_example_makes_the_engines_showers(tmp_path: Path, runtime: str) -> None:
    if runtime not in _settings():
        pytest.skip(f"{runtime} with its headers is not here")
    bundle = toy_bundle(tmp_path / "bundle", BOX, latent=5)
    out = cf.export_cpp(bundle, tmp_path / "cpp")
    example = _built(out, *_settings()[runtime]) / f"example_{runtime}"
    rng = np.random.default_rng(4)
    n, seed = 11, 9
    incident = Incident.of(rng.uniform(1e3, 1e5, n), pdg=11, theta=rng.uniform(0, 0.5, n))
    particles = "".join(
        f"11 {energy!r} {theta!r} 0 0 0\n"
        for energy, theta in zip(incident.energy.tolist(), incident.theta.tolist(), strict=True)
    )
    (tmp_path / "particles").write_text(particles)
    draw_noise(np.random.default_rng(seed), n, (5,)).tofile(tmp_path / "noise")
    expected = Engine(bundle, threads=1).generate(incident, seed).cells
    for batch in (1, 4):
        words = [
            example,
            out / "generator.onnx",
            *(tmp_path / name for name in ("particles", "noise", "cells")),
        ]
        subprocess.run([*map(str, words), str(batch)], check=True)
        got = np.fromfile(tmp_path / "cells", np.float32).reshape(n, -1)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-3)
    text = subprocess.run(
        [example, out / "generator.onnx"], check=True, capture_output=True, text=True
    ).stdout
    assert "refused: caloforge: toy was not trained for energy 200000 MeV" in text
