"""The same showers from every runtime, for any batch, from any thread, without a word to anyone."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from caloforge.deploy import Engine
from caloforge.deploy.runtimes import RUNTIMES, installed_runtimes
from caloforge.errors import BundleError, CaloforgeError, MissingExtraError
from caloforge.models.blocks.noise import draw_noise
from caloforge.showers import Incident
from deploy_toys import LATENT, WEIGHT, cells_of, make_bundle, make_graph, read_manifest, write_manifest

_TOLERANCE = 1e-5  # of the hottest cell; docs/deploy.md states 1e-4


@pytest.fixture(params=list(RUNTIMES))
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each runtime that works here."""
    name: str = request.param
    if name not in installed_runtimes():
        pytest.skip(f"{name} is not installed")
    if name == "cuda":
        try:
            Engine(make_bundle(tmp_path / "probe"), runtime=name)
        except CaloforgeError as error:
            pytest.skip(str(error))
    return name


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle")


def _asked(n: int) -> tuple[np.ndarray, np.ndarray]:
    noise = draw_noise(np.random.default_rng(n), n, (LATENT,))
    return noise, np.linspace(1e3, 1e5, n, dtype=np.float32)[:, None]


@pytest.mark.parametrize("streams", [1, 3])
def test_runs_the_graph_for_any_batch(bundle: Path, runtime: str, streams: int) -> None:
    engine = Engine(bundle, threads=2, runtime=runtime, streams=streams)
    for n in (1, 0, 2, 1, 7, 64, 5):
        noise, incident = _asked(n)
        cells = engine.run(noise, incident)
        assert (cells.shape, cells.dtype) == ((n, 20), np.float32)
        np.testing.assert_allclose(cells, cells_of(noise, incident[:, 0]), rtol=1e-5, atol=1e-2)


def test_same_seed_same_showers(bundle: Path, runtime: str) -> None:
    incident = Incident.of(np.linspace(1e3, 1e5, 300), pdg=-11)
    expected = Engine(bundle, threads=1, runtime="onnxruntime").generate(incident, seed=5).cells
    for streams in (1, 4):
        got = Engine(bundle, threads=1, runtime=runtime, streams=streams).generate(incident, seed=5).cells
        np.testing.assert_allclose(got, expected, atol=_TOLERANCE * expected.max(), rtol=0)


def test_a_result_is_the_callers_own(bundle: Path, runtime: str) -> None:
    engine = Engine(bundle, threads=1, runtime=runtime)
    for n in (1, 3):
        noise, incident = _asked(n)
        first = engine.run(noise, incident)
        kept = first.copy()
        engine.run(-noise, incident)
        np.testing.assert_array_equal(first, kept)
        first[:] = -1
        np.testing.assert_array_equal(engine.run(noise, incident), kept)


def test_threads_may_share_an_engine(bundle: Path, runtime: str) -> None:
    engine = Engine(bundle, threads=1, runtime=runtime)
    asked = [_asked(1 + i % 3) for i in range(200)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda given: engine.run(*given), asked))
    for (noise, incident), cells in zip(asked, answers, strict=True):
        np.testing.assert_allclose(cells, cells_of(noise, incident[:, 0]), rtol=1e-5, atol=1e-2)


def test_arrays_of_other_layouts_are_taken(bundle: Path, runtime: str) -> None:
    noise, incident = _asked(6)
    engine = Engine(bundle, runtime=runtime)
    got = engine.run(np.asfortranarray(noise.astype(np.float64))[::2], incident[::2])
    np.testing.assert_allclose(got, cells_of(noise, incident[:, 0])[::2], rtol=1e-5, atol=1e-2)


def _external(location: str) -> onnx.ModelProto:
    model = make_graph()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(WEIGHT.nbytes))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return model


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "{absolute}"])
def test_a_graph_reads_no_other_file(
    tmp_path: Path, runtime: str, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runtimes look into the working folder for what a graph from memory names."""
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    for folder in (tmp_path, inside):
        (folder / "weights.bin").write_bytes(WEIGHT.tobytes())
    graph = _external(location.format(absolute=inside / "weights.bin"))
    with pytest.raises(BundleError, match="refers to other files"):
        Engine(make_bundle(tmp_path / "bundle", graph), runtime=runtime)


def _for_four() -> onnx.ModelProto:
    """A graph whose author had four showers in mind, as exporters do that are not told otherwise."""
    model = make_graph()
    for port in (*model.graph.input, *model.graph.output):
        port.type.tensor_type.shape.dim[0].dim_value = 4
    return model


def _with_temperature() -> onnx.ModelProto:
    """A graph that wants a number more."""
    model = make_graph()
    model.graph.input.append(helper.make_tensor_value_info("temperature", TensorProto.FLOAT, []))
    model.graph.node[-1].output[0] = "cold"
    model.graph.node.append(helper.make_node("Mul", ["cold", "temperature"], ["cells"]))
    return model


@pytest.mark.parametrize(
    "graph",
    [make_graph(output="energies"), make_graph(WEIGHT[:5]), _for_four(), _with_temperature()],
    ids=["name", "shape", "batch", "more"],
)
def test_another_graph_than_the_manifest_says(tmp_path: Path, runtime: str, graph: onnx.ModelProto) -> None:
    with pytest.raises(BundleError, match="not what its manifest says"):
        Engine(make_bundle(tmp_path / "bundle", graph), runtime=runtime)


@pytest.mark.parametrize("content", [b"", b"\x08\x0a" + bytes(range(200)), b"<?xml version='1.0'?><net/>"])
def test_garbage_with_a_right_checksum(tmp_path: Path, runtime: str, content: bytes) -> None:
    class Garbage:
        def SerializeToString(self) -> bytes:  # noqa: N802
            return content

    folder = make_bundle(tmp_path / "bundle", Garbage())  # type: ignore[arg-type]
    with pytest.raises(BundleError):
        Engine(folder, runtime=runtime)


def test_unknown_names(bundle: Path) -> None:
    with pytest.raises(CaloforgeError) as caught:
        Engine(bundle, runtime="opnvino")
    assert caught.value.details["did you mean"] == "openvino"
    with pytest.raises(BundleError) as caught:
        Engine(bundle, precision="bf61")
    assert "fp32" in str(caught.value)


def test_a_precision_that_the_bundle_lacks(bundle: Path) -> None:
    with pytest.raises(BundleError, match="no graph of this precision"):
        Engine(bundle, precision="int8")


def test_a_graph_that_a_runtime_cannot_run(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    manifest["graphs"]["fp32"]["runtimes"] = ["onnxruntime"]
    write_manifest(bundle, manifest)
    with pytest.raises(BundleError, match="openvino cannot run this bundle in fp32"):
        Engine(bundle, runtime="openvino")
    assert Engine(bundle).runtime == "onnxruntime"


def test_an_extra_that_is_missing(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match="openvino"):
        Engine(bundle, runtime="openvino")
    assert Engine(bundle).runtime == "onnxruntime"


def test_a_build_without_cuda_is_named(bundle: Path) -> None:
    if "cuda" in installed_runtimes():
        pytest.skip("it has CUDA")
    with pytest.raises(CaloforgeError, match="without CUDA") as caught:
        Engine(bundle, runtime="cuda")
    assert "onnxruntime-gpu" in str(caught.value)


def _with_options(bundle: Path, runtime: str, options: dict[str, str]) -> Path:
    manifest = read_manifest(bundle)
    manifest["graphs"]["fp32"]["options"] = {RUNTIMES[runtime].package: options}
    write_manifest(bundle, manifest)
    return bundle


def test_options_of_the_manifest_reach_the_session(bundle: Path) -> None:
    """Shown by one that it refuses."""
    with pytest.raises(BundleError, match="cannot be loaded"):
        Engine(_with_options(bundle, "openvino", {"INFERENCE_PRECISION_HINT": "f17"}), runtime="openvino")


def test_a_bundle_may_not_set_any_option(bundle: Path, runtime: str, tmp_path: Path) -> None:
    """Some write files, some read others."""
    folder = str(tmp_path / "written")
    options = {"CACHE_DIR": folder, "session.model_external_initializers_file_folder_path": folder}
    with pytest.raises(BundleError, match="may not set"):
        Engine(_with_options(bundle, runtime, options), runtime=runtime)
    assert not Path(folder).exists()


_STACKS = """
import ctypes, gc, sys
from caloforge import Engine

class Stack(ctypes.Structure):
    _fields_ = [("place", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]

def place():
    stack = Stack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack))
    return stack.place

engines = [Engine(sys.argv[1], threads=1, runtime="openvino") for _ in range(3)]
print(place())
while engines:
    engines.pop(0)
    gc.collect()
print(place())
"""


@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
@pytest.mark.skipif(sys.platform != "linux", reason="a stack for signals is Linux's")
def test_signals_find_their_stack_when_engines_have_gone(bundle: Path) -> None:
    words = [sys.executable, "-c", _STACKS, str(bundle)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    alive, gone = done.stdout.split()
    assert alive == gone
