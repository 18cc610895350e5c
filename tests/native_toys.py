"""Bundles for programs in C++: a barrel of polar cells, a box of others, showers that depend on theta."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from caloforge.deploy import Bundle
from caloforge.deploy.bundle.agreement import cells_output, detector_entry, incident_input, noise_input
from caloforge.deploy.bundle.validity import Span
from caloforge.detector import Detector
from deploy_toys import make_bundle

BARREL = Detector.from_yaml("""
name: barrel
shape: barrel
size: [1 m]
inner_radius: 800 mm
stack:
  - repeat: 6
    slabs: [{material: G4_W, thickness: 1.4 mm}, {material: G4_Si, thickness: 0.3 mm, active: true}]
readout:
  deposits: active
  frame: particle
  threshold: 2 MeV
  layers: [{count: 3, thickness: 3.4 mm, grid: {kind: polar, alpha: 4, r_cells: 2, r_size: 5 mm}}]
""")
BOX = Detector.from_yaml("""
name: box
readout:
  deposits: all
  threshold: 2 MeV
  layers: [{id: 3, count: 2, thickness: 5 mm, grid: {kind: cartesian, window: [40 mm, 30 mm], cells: [4, 2]}}]
""")
ENERGY = Span(min=1e3, max=1e5, unit="MeV")
THETA = Span(min=0.0, max=0.5, unit="rad")


def toy_bundle(folder: Path, detector: Detector, latent: int, particles: tuple[int, ...] = (11,)) -> Bundle:
    """A bundle whose cells are `relu(noise @ weight) * energy * (1 + theta)`."""
    make_bundle(folder, _graph(latent, detector.n_cells))
    toy = Bundle.open(folder)
    columns = ("energy", "theta")
    manifest = toy.manifest.model_copy(
        update={
            "detector": detector_entry(detector),
            "inputs": (noise_input((latent,)), incident_input(columns)),
            "output": cells_output(detector),
            "threshold_mev": detector.readout.threshold,
            "valid": toy.manifest.valid.model_copy(
                update={"particles": particles, "energy": ENERGY, "theta": THETA}
            ),
        }
    )
    return replace(toy, manifest=manifest, detector=detector)


def _graph(latent: int, cells: int) -> onnx.ModelProto:
    weight = np.random.default_rng(0).normal(0, 0.004, (latent, cells)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["noise", "weight"], ["linear"]),
        helper.make_node("Relu", ["linear"], ["positive"]),
        helper.make_node("Split", ["incident"], ["energy", "theta"], axis=1, num_outputs=2),
        helper.make_node("Add", ["theta", "one"], ["factor"]),
        helper.make_node("Mul", ["energy", "factor"], ["scale"]),
        helper.make_node("Mul", ["positive", "scale"], ["cells"]),
    ]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])
        for name, width in (("noise", latent), ("incident", 2), ("cells", cells))
    ]
    constants = [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(np.float32(1.0), "one")]
    graph = helper.make_graph(nodes, "toy", ports[:2], ports[2:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
