"""Graphs of reduced precision: what is rounded, how, what it does to showers, and who decides."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from caloforge.deploy.precision.acceptance import Trial, conditions, judge
from caloforge.deploy.precision.adding import Wish, wish_for
from caloforge.deploy.precision.bfloat16 import to_bfloat16
from caloforge.deploy.precision.effect import effect, showers_of
from caloforge.deploy.precision.int8 import to_int8
from caloforge.deploy.precision.products import products
from caloforge.errors import BundleError, ValidationError
from deploy_toys import LATENT, cells_of, make_graph

# Looked for, not imported: imported by itself it would load the package that reports.
needs_nncf = pytest.mark.skipif(find_spec("nncf") is None, reason="nncf is not installed")
RNG = np.random.default_rng(5)


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type.lower()}_{number}"
    return model


def run(model: onnx.ModelProto, **inputs: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def feeds(n: int = 64, times: int = 4) -> list[dict[str, np.ndarray]]:
    return [
        {
            "noise": RNG.standard_normal((n, LATENT), dtype=np.float32),
            "incident": RNG.uniform(1e3, 1e5, (n, 1)).astype(np.float32),
        }
        for _ in range(times)
    ]


def convolutions() -> onnx.ModelProto:
    """A convolution on 8 x 8 places, a transposed one, and a dense layer of hardly any work."""
    weights = {"w": (4, 3, 3, 3), "t": (4, 2, 2, 2), "d": (1, 1)}
    nodes = [
        helper.make_node("Conv", ["noise", "w"], ["a"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("ConvTranspose", ["a", "t"], ["cells"], "transposed", strides=[2, 2]),
        helper.make_node("MatMul", ["incident", "d"], ["unused"], "dense"),
    ]
    ports = [("noise", ["batch", 3, 8, 8]), ("incident", ["batch", 1]), ("cells", ["batch", 2, 16, 16])]
    noise, incident, cells = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in ports)
    constants = [
        numpy_helper.from_array(RNG.normal(size=s).astype(np.float32), n) for n, s in weights.items()
    ]
    graph = helper.make_graph(nodes, "toy", [noise, incident], [cells], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_products_are_counted_as_torch_counts_them():
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        first = torch.nn.functional.conv2d(torch.ones(1, 3, 8, 8), torch.ones(4, 3, 3, 3), padding=1)
        torch.nn.functional.conv_transpose2d(first, torch.ones(4, 2, 2, 2), stride=2)
    found = products(convolutions())
    assert [product.name for product in found] == ["conv", "transposed"], "the dense layer is not worth it"
    assert 2 * sum(product.multiplications for product in found) == counter.get_total_flops()


def test_bfloat16_is_what_torch_rounds_to():
    model = named(make_graph())
    before = model.SerializeToString()
    rounded = to_bfloat16(model, {"matmul_0"})
    assert model.SerializeToString() == before
    onnx.checker.check_model(rounded, full_check=True)
    feed = feeds()[0]
    weight = torch.from_numpy(numpy_helper.to_array(model.graph.initializer[0]).copy())
    exact = torch.from_numpy(feed["noise"]).bfloat16().float() @ weight.bfloat16().float()
    expected = exact.clamp_min(0).numpy() * feed["incident"]
    np.testing.assert_allclose(run(rounded, **feed), expected, rtol=1e-5, atol=1e-3)
    assert np.abs(run(model, **feed) - expected).max() > 1, "and it is a rounding"
    stored = next(c for c in rounded.graph.initializer if c.data_type == TensorProto.BFLOAT16)
    assert len(stored.raw_data) == 2 * weight.numel()


def test_weights_that_others_use_stay_in_float32():
    model = named(make_graph())
    model.graph.node.append(helper.make_node("MatMul", ["noise", "weight"], ["other"], "other"))
    rounded = to_bfloat16(model, {"matmul_0"})
    assert [c.data_type for c in rounded.graph.initializer] == [TensorProto.FLOAT]
    onnx.checker.check_model(rounded, full_check=True)


def readers_of_integers(model: onnx.ModelProto) -> set[str]:
    nodes = model.graph.node
    quantised = {name for node in nodes if node.op_type == "DequantizeLinear" for name in node.output}
    return {node.op_type for node in nodes if quantised & set(node.input)}


@needs_nncf
def test_int8_rounds_what_is_asked_for_and_nothing_else():
    model = named(make_graph())
    before, calibrating = model.SerializeToString(), feeds()
    rounded = to_int8(model, {"matmul_0"}, calibrating)
    assert model.SerializeToString() == before
    assert readers_of_integers(rounded) == {"MatMul"}
    feed = feeds()[0]
    exact = cells_of(feed["noise"], feed["incident"][:, 0])
    changed = effect(exact, run(rounded, **feed))
    assert 0 < changed.cells < 0.05
    assert abs(changed.bias) < 0.01


@needs_nncf
def test_int8_knows_sums_within_products():
    """A `Gemm` may add what was computed, not only a constant: folded generators do."""
    model = named(make_graph())
    twice = numpy_helper.from_array(2 * np.eye(20, dtype=np.float32), "twice")
    model.graph.initializer.append(twice)
    gemm = helper.make_node("Gemm", ["linear", "twice", "linear"], ["sum"], "gemm")
    model.graph.node.insert(1, gemm)
    model.graph.node[2].input[0] = "sum"
    rounded = to_int8(model, {"gemm"}, feeds())
    onnx.checker.check_model(rounded, full_check=True)
    assert readers_of_integers(rounded) == {"Gemm"}, "what is added to the product stays in float32"
    feed = feeds()[0]
    exact = 3 * cells_of(feed["noise"], feed["incident"][:, 0])
    np.testing.assert_allclose(run(model, **feed), exact, rtol=1e-4, atol=1e-2)
    assert 0 < effect(exact, run(rounded, **feed)).cells < 0.05


@needs_nncf
@pytest.mark.slow
def test_nncf_reports_nothing(tmp_path: Path):
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from test_precision import feeds, make_graph, named\n"
        "from caloforge.deploy.precision.int8 import to_int8\n"
        "to_int8(named(make_graph()), {'matmul_0'}, feeds())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent)],
        env=_homeless(tmp_path),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stdout, "its progress bars are silent"
    assert not list(tmp_path.rglob("*cid*"))


def _homeless(home: Path) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "NNCF_CI"} | {"HOME": str(home)}


def test_an_effect_is_what_numpy_says():
    exact = RNG.gamma(1.0, 10.0, (200, 30)).astype(np.float32)
    same = effect(exact, exact)
    assert (same.bias, same.spread, same.cells, same.values, same.hottest, same.hits, same.typical) == (
        0,
        0,
        0,
        1,
        0,
        0,
        0,
    )
    assert same.strength == 0
    more = effect(exact, exact * np.float32(1.01))
    assert more.bias == pytest.approx(0.01, rel=1e-4)
    assert more.hottest == pytest.approx(0.01, rel=1e-4)
    assert more.spread < 1e-6
    assert more.typical == pytest.approx(0.01, rel=1e-3)
    assert more.strength == pytest.approx(5, rel=1e-3), "1 % of 0.2 %"
    ladder = effect(exact, np.round(exact / 4) * 4)
    assert ladder.values < 0.1
    assert ladder.strength > 1
    assert effect(exact, np.full_like(exact, np.nan)).strength == math.inf


def test_hits_that_hold_no_energy_count_too():
    exact = np.zeros((100, 50), np.float32)
    exact[:, :20] = RNG.gamma(1.0, 10.0, (100, 20)) + 1
    other = exact.copy()
    other[:10, 30], other[:20, 0] = 1e-4, 0
    other[:20, 1] += exact[:20, 0]
    assert effect(exact, other).hits == pytest.approx(30 / 2000)
    assert effect(exact, other, threshold=0.5).hits == pytest.approx(20 / 2000), "10 are not read out"
    faint = exact.copy()
    faint[::2, 40] = 1e-6
    changed = effect(exact, faint)
    assert changed.cells < 1e-6
    assert changed.strength == pytest.approx(50 / 2000 / 0.005), "hits alone decide"


def test_cells_of_little_energy_count_as_much_as_others():
    exact = np.full((100, 20), 1e-3, np.float32)
    exact[:, :2] = RNG.gamma(1.0, 1e4, (100, 2))
    moved = exact.copy()
    moved[:, 5:] *= np.float32(1.01)
    changed = effect(exact, moved)
    assert changed.cells < 1e-6
    assert changed.hits == 0
    assert changed.typical == pytest.approx(0.01, rel=1e-3)
    assert changed.strength == pytest.approx(2, rel=1e-3), "1 % of 0.5 %"


def test_examples_go_through_the_graph_in_order():
    given = feeds(8, 3)
    expected = np.concatenate([cells_of(feed["noise"], feed["incident"][:, 0]) for feed in given])
    np.testing.assert_allclose(showers_of(make_graph(), given), expected, rtol=1e-4, atol=1e-2)


def test_conditions_are_read():
    low, response, coverage, plain = conditions("auc_low<+0.01, response<+0.1%,coverage>-0.02,fpd<2e-3")
    assert (low.number.name, low.number.sign, low.number.limit, low.relative) == ("auc_low", "<", 0.01, True)
    assert response.number.percent
    assert (coverage.number.sign, coverage.relative) == (">", True)
    assert (plain.number.limit, plain.relative) == (2e-3, False)


@pytest.mark.parametrize("text", ["", "auc_low", "auc_low=0.1", "auc_low<-0.1", "auc_low<.", "a<1.2.3", "<1"])
def test_what_is_no_condition_is_refused(text: str):
    with pytest.raises(ValidationError, match="condition"):
        conditions(text)


@pytest.mark.parametrize(
    ("precisions", "accept", "reference", "floor", "words"),
    [
        (("fp32", "int9"), None, None, None, "no such precision"),
        (("fp32", "int8"), "auc_low<+0.01", None, None, "Geant4's showers"),
        (("fp32", "int8"), None, None, "f.h5", "Geant4's showers"),
        (("fp32",), None, "f.h5", None, "no reduced precision"),
        (("int8",), "", "f.h5", None, "no condition"),
        (("int8",), "auc_lou<+0.01", "f.h5", None, "auc_lou"),
        (("int8",), "memorised<0.1", "f.h5", None, "showers alone"),
    ],
)
def test_wishes_that_cannot_be_granted(
    precisions: tuple[str, ...], accept: str | None, reference: str | None, floor: str | None, words: str
):
    with pytest.raises((BundleError, ValidationError), match=words):
        wish_for(precisions, accept, reference, floor, Path("report"))


def test_a_wish_without_a_reference_is_not_judged():
    assert wish_for(("fp32", "int8", "int8"), None, None, None, Path("report")) == Wish(("int8",), None)


class Rounded:
    """A sampler whose cells come in steps of some MeV."""

    def __init__(self, inner: Any, step: float) -> None:
        self.__dict__.update({name: getattr(inner, name) for name in _SAMPLER})
        self.inner, self.step = inner, step

    def run(self, noise: np.ndarray, incident: np.ndarray) -> np.ndarray:
        cells = self.inner.run(noise, incident)
        return np.round(cells / self.step) * np.float32(self.step) if self.step else cells


_SAMPLER = ("name", "detector", "conditions", "noise_shape", "valid", "threads", "batch", "origin")


@pytest.mark.slow
def test_a_ladder_is_refused_and_a_small_rounding_accepted(tmp_path: Path):
    import caloforge as cf

    engine = cf.Engine(cf.export("calogan-tuned", tmp_path / "bundle"), threads=1)
    reference = tmp_path / "reference.h5"
    engine.generate(RNG.uniform(1e3, 1e5, 1500), seed=7).save(reference)
    samplers = {"fp32": engine, "bf16": Rounded(engine, 1e-4), "int8": Rounded(engine, 40.0)}
    wanted = conditions("auc_cells<+0.05,response<+0.3%")
    judged = judge(samplers, Trial(wanted, reference, None, tmp_path / "report"))
    assert judged["bf16"].accepted
    assert not judged["int8"].accepted
    assert any("auc_cells<+0.05: failed" in said for said in judged["int8"].said)
    assert set(judged["bf16"].acceptance.figures) == {"auc_cells", "response"}
    assert judged["bf16"].acceptance.figures["auc_cells"].fp32 is not None


@pytest.mark.slow
def test_a_bundle_with_bfloat16_is_judged_by_nobody_and_taken_when_asked_for(tmp_path: Path):
    import caloforge as cf

    bundle = cf.export("calogan-tuned", tmp_path / "bundle", precision=("fp32", "bf16"))
    entry = bundle.graph_entry("bf16")
    assert entry.rounding is not None
    assert entry.acceptance is None
    assert entry.bytes < 0.8 * bundle.graph_entry().bytes
    assert cf.Engine(bundle, threads=1).precision == "fp32"
    full = cf.Engine(bundle, threads=1).generate([5e4] * 50, seed=3).cells
    half = cf.Engine(bundle, threads=1, precision="bf16").generate([5e4] * 50, seed=3).cells
    assert not np.array_equal(full, half)
    changed = effect(full, half)
    assert changed.strength < 1


@needs_nncf
@pytest.mark.slow
def test_a_shipped_generator_bears_both_precisions(tmp_path: Path):
    """On noise and particles that neither calibrated nor chose anything, by numpy alone."""
    import caloforge as cf

    bundle = cf.export("calogan-tuned", tmp_path / "bundle", precision=("fp32", "bf16", "int8"))
    assert not bundle.manifest.refused
    energies = np.random.default_rng(3).uniform(1e3, 1e5, 400)
    cells = {
        name: cf.Engine(bundle, threads=1, precision=name, runtime="onnxruntime")
        .generate(energies, seed=9)
        .cells
        for name in ("fp32", "bf16", "int8")
    }
    full = cells["fp32"].astype(np.float64)
    for name in ("bf16", "int8"):
        entry, rounded = bundle.graph_entry(name), cells[name].astype(np.float64)
        assert entry.rounding is not None
        assert entry.rounding.share > 0.5
        assert entry.bytes < 0.8 * bundle.graph_entry().bytes
        assert not np.array_equal(full, rounded), "it is a rounding"
        assert rounded.sum() == pytest.approx(full.sum(), rel=2e-3)
        assert (rounded.sum(axis=1) / full.sum(axis=1)).std() < 5e-3
        assert np.sqrt(((rounded - full) ** 2).mean() / full.var(axis=0).mean()) < 0.02
        assert ((rounded > 0) != (full > 0)).sum() < 5e-3 * (full > 0).sum()
        assert len(np.unique(rounded)) > 0.9 * len(np.unique(full)), "no ladder of 256 steps"
