"""The dense network for an FPGA: found in the graph, cut out, put into fixed point; hls4ml where it is."""

from __future__ import annotations

import json
import shutil
import sys
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer import Typer
from typer.testing import CliRunner

import caloforge as cf
from caloforge.cli.export import export
from caloforge.deploy import Bundle, Engine
from caloforge.deploy.hls.agreement import compared
from caloforge.deploy.hls.chains import Dense, largest_chain
from caloforge.deploy.hls.firmware import require
from caloforge.deploy.hls.fixed import formats_of
from caloforge.deploy.hls.host import host_parts
from caloforge.deploy.hls.sample import Sample
from caloforge.errors import BundleError, CaloforgeError, MissingExtraError, ShowersError
from caloforge.showers import Incident
from deploy_toys import DETECTOR, LATENT, make_bundle
from tiny_toys import tiny_showers

APP = Typer()
APP.command()(export)
RNG = np.random.default_rng(0)
SIZES = (LATENT, 12, 16, DETECTOR.n_cells)
WEIGHTS = [RNG.normal(0, 0.6 / np.sqrt(a), (a, b)).astype(np.float32) for a, b in pairwise(SIZES)]
BIASES = [RNG.normal(0, 0.1, b).astype(np.float32) for b in SIZES[1:]]


def _dense(x: np.ndarray) -> np.ndarray:
    """The network of `_graph`, in numpy."""
    for i, (weight, bias) in enumerate(zip(WEIGHTS, BIASES, strict=True)):
        x = x @ weight + bias
        x = np.where(x >= 0, x, 0.2 * x) if i < 2 else x
    return x


def _graph() -> onnx.ModelProto:
    """`cells = relu(net(noise) - net(-noise)) * incident / 500`: a dense network at two places.

    Once as MatMul and Add, with a matrix that is transposed elsewhere, once as Gemm.
    """
    values = {f"w{i}": weight for i, weight in enumerate(WEIGHTS)} | {
        f"b{i}": bias for i, bias in enumerate(BIASES)
    }
    values["small"] = np.float32(1 / 500)
    nodes = [helper.make_node("Neg", ["noise"], ["minus"])]
    for start, tag in (("noise", "p"), ("minus", "m")):
        name = start
        for i in range(3):
            out = f"{tag}{i}"
            if tag == "p":
                nodes.append(helper.make_node("MatMul", [name, f"w{i}"], [f"{out}x"]))
                nodes.append(helper.make_node("Add", [f"b{i}", f"{out}x"], [f"{out}s"]))
            else:
                nodes.append(helper.make_node("Gemm", [name, f"w{i}", f"b{i}"], [f"{out}s"]))
            name = f"{out}s"
            if i < 2:
                nodes.append(helper.make_node("LeakyRelu", [name], [out], alpha=0.2))
                name = out
    nodes += [
        helper.make_node("Sub", ["p2s", "m2s"], ["both"]),
        helper.make_node("Relu", ["both"], ["positive"]),
        helper.make_node("Mul", ["positive", "incident"], ["large"]),
        helper.make_node("Mul", ["large", "small"], ["cells"]),
    ]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])
        for name, width in (("noise", LATENT), ("incident", 1), ("cells", DETECTOR.n_cells))
    ]
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "dense", ports[:2], ports[2:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle.open(make_bundle(tmp_path / "bundle", _graph()))


def test_chain_is_found_at_both_places() -> None:
    chain = largest_chain(_graph())
    assert [layer.weight.shape for layer in chain.layers] == list(pairwise(SIZES))
    assert [layer.activation for layer in chain.layers] == ["LeakyRelu", "LeakyRelu", None]
    assert chain.uses == (("noise", "p2s"), ("minus", "m2s"))
    assert chain.multiplications == 8 * 12 + 12 * 16 + 16 * 20
    for layer, weight, bias in zip(chain.layers, WEIGHTS, BIASES, strict=True):
        np.testing.assert_array_equal(layer.weight, weight)
        np.testing.assert_array_equal(layer.bias, bias)


def test_a_linear_map_is_no_network_however_large() -> None:
    model = _graph()
    large = np.ones((DETECTOR.n_cells, 4096), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(large, "large map"))
    model.graph.node.append(helper.make_node("MatMul", ["cells", "large map"], ["more"]))
    assert large.size > largest_chain(model).multiplications
    assert len(largest_chain(model).layers) == 3


def test_host_parts_with_the_network_itself_are_the_bundle(bundle: Bundle) -> None:
    model = onnx.load_model_from_string(bundle.graph())
    parts = host_parts(model, largest_chain(model))
    noise = RNG.normal(size=(7, LATENT)).astype(np.float32)
    incident = RNG.uniform(1e3, 1e5, (7, 1)).astype(np.float32)
    expected = Engine(bundle, threads=1).run(noise, incident)
    assert expected.max() > 0
    got = parts.run(noise, incident, lambda seen: _dense(seen).astype(np.float32))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-3)
    left = [part for part in (parts.before, parts.behind) if part]
    products = [node for part in left for node in part.graph.node if node.op_type in ("MatMul", "Gemm")]
    assert not products, "the host still has the network"


def test_formats_hold_what_was_seen() -> None:
    layer = Dense(np.array([[2.0, -40.0]], np.float32), np.zeros(2, np.float32), "Relu")
    formats = formats_of([layer], np.array([[1.0], [0.5]], np.float32))
    # With a quarter to spare: 1.25 needs 2 bits, 40 weights 7, sums of 50 need 7, results of 2.5 need 3.
    assert (formats.given, formats.weights, formats.sums, formats.results) == (2, (7,), (7,), (3,))
    for bits, largest in ((formats.given, 1.0), (formats.sums[0], 40.0), (formats.results[0], 2.0)):
        assert 2.0 ** (bits - 1) > largest


def test_a_bundle_without_a_dense_network_is_refused() -> None:
    node = helper.make_node("Mul", ["noise", "incident"], ["cells"])
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1])
        for name in ("noise", "incident", "cells")
    ]
    model = helper.make_model(helper.make_graph([node], "none", ports[:2], ports[2:]))
    with pytest.raises(BundleError, match="no dense network"):
        largest_chain(model)


def test_agreement_sees_what_is_wrong(bundle: Bundle) -> None:
    engine = Engine(bundle, threads=1)
    incident = Incident.of(RNG.uniform(1e3, 1e5, 600), pdg=-11)
    own, other = engine.generate(incident, 1), engine.generate(incident, 2)
    same = compared(16, own, own, other)
    assert (same.response, same.spread, same.hits, same.hottest) == (0, 0, 0, 0)
    assert abs(same.auc_high - 0.5) < 0.1
    assert abs(same.auc_low - 0.5) < 0.1
    cells = own.cells * np.where(np.arange(own.cells.shape[1]) < 16, 1.3, 0.5).astype(np.float32)
    wrong = compared(4, type(own)(own.detector, incident, cells), own, other)
    total = own.cells.sum(1)
    assert wrong.response == pytest.approx(cells.sum() / own.cells.sum() - 1, abs=1e-6)
    assert wrong.spread == pytest.approx(
        (cells.sum(1) / np.where(total > 0, total, 1))[total > 0].std(), rel=1e-3
    )
    assert wrong.auc_high > 0.7


def test_command_refuses(bundle: Bundle, tmp_path: Path) -> None:
    for words in (["--cpp", "--hls"], ["--hls", "--bits", "wide"], ["--hls", "--bits", "2"]):
        result = CliRunner().invoke(APP, [str(bundle.path), "--out", str(tmp_path / "no"), *words])
        assert isinstance(result.exception, CaloforgeError)
    assert not (tmp_path / "no").exists()


def test_a_reference_that_cannot_judge_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    engine = Engine(bundle, threads=1)
    engine.generate(Incident.of([5e3] * 99, pdg=-11), 1).save(tmp_path / "few.h5")
    with pytest.raises(ShowersError, match="too few"):
        Sample.of(bundle, 200, tmp_path / "few.h5")
    tiny_showers().save(tmp_path / "other.h5")
    with pytest.raises(ShowersError, match="other cells"):
        Sample.of(bundle, 200, tmp_path / "other.h5")
    engine.generate(Incident.of([5e3] * 150, pdg=-11), 1).save(tmp_path / "enough.h5")
    sample = Sample.of(bundle, 200, tmp_path / "enough.h5")
    assert (len(sample.own), len(sample.other), sample.real) == (150, 150, True)


def test_without_g_plus_plus_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hls4ml", ModuleType("hls4ml"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CaloforgeError, match=r"g\+\+, which is not here"):
        require()


@pytest.mark.skipif(find_spec("hls4ml") is not None, reason="hls4ml is here")
def test_without_hls4ml_the_extra_is_named(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match="hls4ml"):
        cf.export_hls(bundle, tmp_path / "out", count=100)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("hls4ml") is None or shutil.which("g++") is None, reason="needs hls4ml and g++")
def test_emulation_comes_nearer_with_more_bits(bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [
        str(bundle.path),
        "--out",
        str(out),
        "--hls",
        "--bits",
        "8,16",
        "--count",
        "500",
        "--reuse",
        "4",
        "--json",
    ]
    content = json.loads(CliRunner().invoke(APP, words).stdout)
    exact, silent, coarse, fine = content["rows"]
    assert (exact["bits"], silent["bits"], silent["response"], content["runs"]) == (None, 0, -1, 2)
    # Not nothing: a cell at the threshold falls on the other side now and then, in showers with few cells.
    assert fine["spread"] < coarse["spread"] / 3 < 0.1
    assert abs(fine["response"]) < 0.001
    assert abs(fine["auc_high"] - exact["auc_high"]) < 0.02
    assert content["multipliers"] == sum(a * b // 4 for a, b in pairwise(SIZES))
    page = (out / "README.md").read_text()
    assert "Nothing was synthesised" in page
    assert {"bits_8", "bits_16", "host_before.onnx", "host_behind.onnx", "agreement.json"} <= {
        path.name for path in out.iterdir()
    }
