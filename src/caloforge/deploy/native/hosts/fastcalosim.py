"""FastCaloSim's ONNX hook (fcs-proj/FastCaloSim, July 2026): its four inputs, MeV out, voxels in HDF5.

`TFCSMLCalorimeterSimulator` gives |eta| * 10, the kinetic energy in MeV and two lists of standard normal
numbers, one as long as there are voxels and one as long as there are layers.
"""

from __future__ import annotations

__all__ = ["write_fastcalosim"]

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from caloforge import __version__
from caloforge.deploy.native.hosts.incident import incident_of
from caloforge.deploy.native.hosts.noise import normals
from caloforge.deploy.native.hosts.wrapper import Wrapper
from caloforge.detector import Detector, PolarGrid
from caloforge.detector.readout import Layer
from caloforge.errors import DetectorError

GRAPH, VOXELS = "fastcalosim.onnx", "voxels.h5"
SCHEMA, SCHEMA_VERSION = "fastcalosim-voxels", 1


def write_fastcalosim(wrapper: Wrapper, pdg: int, folder: Path) -> dict[str, Any]:
    """Write the graph and the voxels for FastCaloSim and return what the README mentions.

    Raises:
        DetectorError: The layers' numbers do not increase.
    """
    detector = wrapper.detector
    numbers = [layer.id for layer in detector.layers]
    if sorted(set(numbers)) != numbers:
        raise DetectorError(
            "FastCaloSim wants layers in the order of their numbers",
            where=f"detector {detector.name}",
            got=", ".join(map(str, numbers)),
            cure="give the layers increasing `id`s",
        )
    _graph(wrapper, pdg)
    wrapper.write(folder / GRAPH)
    borders = [0, *(int(layer.cells.stop) for layer in detector.layers)]
    _write_voxels(detector, folder / VOXELS, borders)
    return {"graph": GRAPH, "voxels": VOXELS, "layers": numbers, "borders": borders}


def _graph(wrapper: Wrapper, pdg: int) -> None:
    detector = wrapper.detector
    eta = wrapper.input("inn_eta_in", 1, 1)
    energy = wrapper.input("inn_einc_in", 1, 1)
    shape = wrapper.input("cfm_z_shape", 1, detector.n_cells)
    layers = wrapper.input("inn_z_energy", 1, detector.n_layers)
    given = wrapper.node("Concat", shape, layers, axis=1)
    inside = [wrapper.energy_inside(energy)]
    columns = {"energy": energy}
    if "theta" in (wrapper.bundle.manifest.inputs[1].columns or ()):
        columns["theta"] = _theta(wrapper, eta)
        inside.append(wrapper.inside(columns["theta"], *wrapper.span("theta").limits))
    noise = normals(wrapper, given, detector.n_cells + detector.n_layers)
    cells = wrapper.shower(noise, incident_of(wrapper, columns, pdg))
    wrapper.output("voxel", cells, inside)


def _theta(wrapper: Wrapper, eta: str) -> str:
    """Angle to the front face's normal of what comes from the origin: barrel's radius, or end cap's axis."""
    small = wrapper.node("Exp", wrapper.node("Mul", eta, wrapper.constant(-0.1)))
    polar = wrapper.node("Mul", wrapper.node("Atan", small), wrapper.constant(2.0))
    if wrapper.detector.shape == "planar":
        return polar
    return wrapper.node("Sub", wrapper.constant(math.pi / 2), polar)


def _write_voxels(detector: Detector, path: Path, borders: list[int]) -> None:
    with h5py.File(path, "w") as file:
        for layer in detector.layers:
            for name, unit, values in zip(("radius", "alpha"), ("mm", "rad"), _bins(layer), strict=True):
                for kind, column in zip(("start", "size"), values, strict=True):
                    data = column.astype("<f4")
                    file.create_dataset(f"bin{kind}_{name}_layer_{layer.id}", data=data).attrs["unit"] = unit
        file.attrs.update(
            schema=SCHEMA,
            schema_version=SCHEMA_VERSION,
            detector=detector.name,
            detector_digest=detector.digest,
            layers=np.array([layer.id for layer in detector.layers], np.int32),
            layer_boundaries=np.array(borders, np.int32),
            made_by=f"caloforge {__version__}",
        )


def _bins(layer: Layer) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]:
    """Begin and width in r and alpha of each voxel; rectangles become the point in their middle."""
    grid = layer.grid
    if isinstance(grid, PolarGrid):
        starts = np.meshgrid(grid.alpha_edges[:-1], grid.r_edges[:-1], indexing="ij")
        sizes = grid.sizes()
        return (starts[1].ravel(), sizes[:, 0]), (starts[0].ravel(), sizes[:, 1])
    x, y = grid.centres().T
    nothing = np.zeros(layer.n_cells)
    return (np.hypot(x, y), nothing), (np.arctan2(y, x), nothing)
