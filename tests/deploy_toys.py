"""A detector, a bundle and a run that are small enough to make in every test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from caloforge.deploy.bundle import DETECTOR_FILE, GRAPH_FILE, MANIFEST_FILE, RECIPE_FILE, file_entry
from caloforge.deploy.bundle.agreement import statement_of
from caloforge.deploy.bundle.manifest import SCHEMA, Manifest, digest_of
from caloforge.deploy.bundle.wire import with_statement
from caloforge.detector import Detector

LATENT = 8
DETECTOR = Detector.from_yaml("""
name: toy
stack:
  - repeat: 4
    slabs: [{material: G4_Pb, thickness: 2 mm}, {material: G4_lAr, thickness: 4 mm, active: true}]
size: [80 mm, 80 mm]
readout:
  deposits: all
  threshold: 5 MeV
  layers:
    - {name: front, thickness: 12 mm, grid: {kind: cartesian, window: [80 mm, 80 mm], cells: [4, 4]}}
    - {name: back, thickness: 12 mm, grid: {kind: cartesian, window: [80 mm, 80 mm], cells: [2, 2]}}
""")
WEIGHT = np.random.default_rng(0).normal(0, 0.002, (LATENT, DETECTOR.n_cells)).astype(np.float32)


def cells_of(noise: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """What the toy bundle's graph computes, in numpy."""
    return np.maximum(noise @ WEIGHT, 0) * energy[:, None]


def make_graph(weight: np.ndarray = WEIGHT, output: str = "cells", width: int = 1) -> onnx.ModelProto:
    """`cells = relu(noise @ weight) * incident`."""
    nodes = [
        helper.make_node("MatMul", ["noise", "weight"], ["linear"]),
        helper.make_node("Relu", ["linear"], ["positive"]),
        helper.make_node("Mul", ["positive", "incident"], [output]),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [_port("noise", weight.shape[0]), _port("incident", width)],
        [_port(output, weight.shape[1])],
        [numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _port(name: str, width: int) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])


def make_bundle(
    folder: Path, model: onnx.ModelProto | None = None, particles: Sequence[int] = (-11,)
) -> Path:
    """Write a bundle around a graph that was trained for these particles."""
    folder.mkdir()
    manifest = _manifest(list(particles))
    promised = manifest | {"files": {}, "sha256": "0" * 64}
    statement = statement_of(Manifest.model_validate_json(json.dumps(promised)))
    (folder / GRAPH_FILE).write_bytes(with_statement((model or make_graph()).SerializeToString(), statement))
    (folder / DETECTOR_FILE).write_text(DETECTOR.to_yaml())
    (folder / RECIPE_FILE).write_text("name: toy\n")
    files = {name: file_entry(folder / name) for name in (GRAPH_FILE, DETECTOR_FILE, RECIPE_FILE)}
    manifest["files"] = {name: entry.model_dump() for name, entry in files.items()}
    manifest["graphs"]["fp32"]["bytes"] = files[GRAPH_FILE].bytes
    write_manifest(folder, manifest)
    return folder


def read_manifest(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / MANIFEST_FILE).read_text())
    return content


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write it with the digest that it has now: as one who wants to be believed would."""
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest | {"sha256": digest_of(manifest)}))


def _manifest(particles: list[int]) -> dict[str, Any]:
    def span(low: float, high: float, unit: str) -> dict[str, Any]:
        return {"min": low, "max": high, "unit": unit}

    def tensor(name: str, width: int, unit: str, columns: list[str] | None = None) -> dict[str, Any]:
        return {"name": name, "shape": [width], "about": "", "columns": columns, "units": [unit]}

    layers = [
        {"name": layer.name, "first_cell": layer.cells.start, "shape": layer.shape, "axes": ["x", "y"]}
        for layer in DETECTOR.layers
    ]
    graph = {"file": GRAPH_FILE, "opset": 20, "bytes": 1, "parameters": 1, "trained_parameters": 1}
    parity = {"batches": [1], "showers": 1, "max_abs_mev": 0.0, "max_relative": 0.0, "tolerance": 1e-4}
    return {
        "bundle": "caloforge",
        "schema_version": SCHEMA,
        "caloforge": "0.1.0",
        "created": "2026-11-22T00:00:00+00:00",
        "name": "toy",
        "about": "",
        "licence": "not stated",
        "citation": "not stated",
        "detector": {"name": "toy", "digest": DETECTOR.digest, "layers": layers},
        "valid": {
            "particles": particles,
            "energy": span(1e3, 1e5, "MeV"),
            "theta": span(0.0, 0.0, "rad"),
            "phi": span(0.0, 0.0, "rad"),
            "x": span(-2.0, 2.0, "mm"),
            "y": span(0.0, 0.0, "mm"),
        },
        "inputs": [tensor("noise", LATENT, "1"), tensor("incident", 1, "MeV", ["energy"])],
        "output": tensor("cells", DETECTOR.n_cells, "MeV"),
        "threshold_mev": 5.0,
        "graphs": {"fp32": graph | {"made_with": {}, "parity": parity, "probe": _probe()}},
        "report": "not made",
        "provenance": {
            "data": {
                "particles": particles,
                **{name: [0.0, 0.0] for name in ("theta", "phi", "y")},
                "x": [-2.0, 2.0],
                "energy": [1e3, 1e5],
            }
        },
    }


def _probe() -> dict[str, Any]:
    noise = np.random.default_rng(3).standard_normal((2, LATENT), dtype=np.float32)
    energy = np.array([1e3, 1e5], np.float32)
    cells = cells_of(noise, energy)
    layers = np.stack([cells[:, layer.cells].sum(axis=1) for layer in DETECTOR.layers], axis=1)
    return {"seed": 3, "incident": energy[:, None].tolist(), "layers_mev": layers.tolist(), "tolerance": 1e-4}


def make_run(folder: Path, **facts: Any) -> Path:
    """Write a run with random weights; training one would take longer than all tests of this room.

    `facts` replace those of the data.
    """
    import torch

    from caloforge.models import build_generator
    from caloforge.training import Run, load_recipe
    from caloforge.training.checkpoint import save_generator
    from caloforge.training.seal import sealed_json, sealed_yaml

    torch.manual_seed(3)
    recipe = load_recipe("calogan", [f"model.latent={LATENT}", "detector=toy.yaml"])
    generator = build_generator(recipe.model, DETECTOR)
    with torch.no_grad():
        for name, values in generator.named_buffers():
            if name.endswith("running_var"):
                values.uniform_(0.5, 2.0)
            elif name.endswith("running_mean"):
                values.normal_(0, 0.1)
        for name, values in generator.named_parameters():
            if name.endswith("bias"):
                values.add_(torch.empty_like(values).uniform_(-0.1, 0.1))
    folder.mkdir()
    (folder / "recipe.yaml").write_text(sealed_yaml(recipe.to_yaml()))
    (folder / "detector.yaml").write_text(sealed_yaml(DETECTOR.to_yaml()))
    ranges = {name: [0.0, 0.0] for name in ("theta", "phi", "x", "y")} | {"energy": [1e3, 1e5]}
    data = {"files": ["/somewhere/showers.h5"], "showers": 64, "particles": [-11], **ranges}
    (folder / "data.json").write_text(sealed_json(data | facts))
    (folder / "environment.json").write_text(sealed_json({}))
    save_generator(generator, {}, Run(folder))
    (folder / "metrics.jsonl").write_text('{"kind": "step", "steps": 7}\n')
    return folder
