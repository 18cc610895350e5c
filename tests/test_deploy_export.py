"""From a run to a bundle that makes the same showers, checked for real with torch and ONNX Runtime."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from caloforge.deploy import Bundle, Engine, export, generate
from caloforge.deploy.parity import measure_parity
from caloforge.deploy.torch_sampler import RunSampler
from caloforge.errors import BundleError, OutputError, RunError
from caloforge.showers import Showers
from deploy_toys import DETECTOR, LATENT


def test_parity(toy_export: Bundle) -> None:
    parity = toy_export.graph_entry().parity
    assert 1 in parity.batches
    assert parity.showers > 100
    assert 0 < parity.max_relative < 1e-5, "float32 rounding, and not nothing: the graph was folded"


def test_manifest(toy_export: Bundle) -> None:
    manifest = toy_export.manifest
    noise, incident = manifest.inputs
    assert noise.shape == (LATENT,)
    assert (incident.columns, incident.units) == (("energy",), ("MeV",))
    assert manifest.output.shape == (DETECTOR.n_cells,)
    assert manifest.valid.particles == (-11,)
    assert (manifest.valid.energy.min, manifest.valid.energy.max) == (1e3, 1e5)
    assert manifest.threshold_mev == 5.0
    assert [(layer.first_cell, layer.shape) for layer in manifest.detector.layers] == [
        (0, (4, 4)),
        (16, (2, 2)),
    ]
    assert manifest.provenance["training_steps"] == 7
    assert manifest.provenance["data"]["files"] == ["showers.h5"], "no paths of the machine that trained"
    assert manifest.graphs["fp32"].parameters < manifest.graphs["fp32"].trained_parameters


def test_batch_is_dynamic_and_names_are_as_promised(toy_export: Bundle) -> None:
    model = onnx.load_from_string(toy_export.graph())
    assert [port.name for port in model.graph.input] == ["noise", "incident"]
    assert [port.name for port in model.graph.output] == ["cells"]
    assert model.opset_import[0].version == toy_export.graph_entry().opset == 20
    for port in (*model.graph.input, *model.graph.output):
        assert port.type.tensor_type.shape.dim[0].dim_param


def test_run_and_bundle_give_the_same_showers(toy_run: Path, toy_export: Bundle, tmp_path: Path) -> None:
    files = [tmp_path / "run.h5", tmp_path / "bundle.h5"]
    for source, file in zip((toy_run, toy_export.path), files, strict=True):
        generate(source, energy="1:100GeV", count=600, seed=11, out=file, threads=1)
    a, b = map(Showers.load, files)
    assert np.array_equal(a.incident.energy, b.incident.energy)
    # A cell at the threshold may fall on either side of it by rounding.
    near = np.abs(np.maximum(a.cells, b.cells) - 5) < 1e-2
    assert near.mean() < 1e-3
    np.testing.assert_allclose(np.where(near, 0, a.cells), np.where(near, 0, b.cells), rtol=1e-3, atol=1e-2)
    assert a.cells.max() > 20


def test_bundle_stays_when_the_run_is_gone(toy_export: Bundle) -> None:
    names = {path.name for path in toy_export.path.iterdir()}
    assert names == {"manifest.json", "generator.onnx", "detector.yaml", "recipe.yaml"}
    assert Engine(toy_export.path).run(np.zeros((1, LATENT)), np.full((1, 1), 1e4)).shape == (
        1,
        DETECTOR.n_cells,
    )


def test_a_graph_that_differs_is_not_shipped(toy_run: Path, tmp_path: Path, toy_export: Bundle) -> None:
    other = shutil.copytree(toy_export.path, tmp_path / "other")
    model = onnx.load_from_string(toy_export.graph())
    weight = max(model.graph.initializer, key=lambda c: np.prod(c.dims))
    values = numpy_helper.to_array(weight) * np.float32(1.01)
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, other / toy_export.graph_entry().file)
    with pytest.raises(BundleError, match="does not make the model's showers"):
        measure_parity(RunSampler(toy_run), Engine(replace(toy_export, path=other)))


def test_precision_and_target_are_checked_first(toy_run: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such precision") as caught:
        export(toy_run, tmp_path / "b", precision=["fp23"])
    assert caught.value.details["expected"] == "fp32, bf16, int8"
    (tmp_path / "b").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        export(toy_run, tmp_path / "b")
    with pytest.raises(OutputError, match="no such folder"):
        export(toy_run, tmp_path / "c" / "d")
    with pytest.raises(RunError):
        export(tmp_path / "none", tmp_path / "e")
