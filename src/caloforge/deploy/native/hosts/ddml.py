"""DDML (key4hep/DDML, June 2025) with ONNX Runtime: its grid GAN for cartesian cells, its VAE for polar ones.

`RegularGridGANModel` gives 100 numbers, uniform in (-1, 1), and the energy in GeV, and takes MeV in the order
(layer, x, y). `Par04ExampleVAE` gives [10 normal numbers, E / 1024 GeV, angle to the normal / 90 degrees,
0, 1] and takes energies over the particle's energy in the order (ring, sector, layer), from sector 0 on.
"""

from __future__ import annotations

__all__ = ["write_ddml"]

import math
from pathlib import Path
from typing import Any

from caloforge.deploy.native.hosts.incident import incident_of
from caloforge.deploy.native.hosts.meshes import cylinder, window
from caloforge.deploy.native.hosts.noise import normals
from caloforge.deploy.native.hosts.wrapper import Wrapper
from caloforge.detector import PolarGrid
from caloforge.errors import DetectorError

GRAPH = "ddml.onnx"
MOST_ENERGY = 1024e3  # MeV, of Par04ExampleVAE
# Fixed when a model is built, whatever its property `LatentVectorSize` says later.
GAN_NUMBERS, VAE_NUMBERS = 100, 10
_SLACK = 1e-3  # rad


def write_ddml(wrapper: Wrapper, pdg: int, folder: Path) -> dict[str, Any]:
    """Write the graph for DDML and return what the steering file and README mention.

    Raises:
        DetectorError: The layers have not the same cells, or an odd number of sectors.
    """
    polar = isinstance(wrapper.detector.layers[0].grid, PolarGrid)
    facts = _vae(wrapper, pdg) if polar else _gan(wrapper, pdg)
    wrapper.write(folder / GRAPH)
    return {"graph": GRAPH, "polar": polar, **facts}


def _gan(wrapper: Wrapper, pdg: int) -> dict[str, Any]:
    mesh = window(wrapper.detector, "DDML")
    latent = wrapper.input("latent", 1, GAN_NUMBERS, 1, 1, 1)
    energy = wrapper.input("energy", 1, 1, 1, 1, 1)
    flat = wrapper.node("Flatten", latent, axis=1)
    mev = wrapper.node("Mul", wrapper.node("Flatten", energy, axis=1), wrapper.constant(1e3))
    inside = [wrapper.energy_inside(mev)]
    cells = wrapper.shower(normals(wrapper, flat, 0), incident_of(wrapper, {"energy": mev}, pdg))
    wrapper.output("showers", cells, inside)
    # DDML counts from the middle of n // 2 and n // 2 + 1: right for an even number of cells.
    shift = tuple(size / 2 if n % 2 else 0.0 for n, size in zip(mesh.cells, mesh.size, strict=True))
    return {"mesh": mesh, "shift": shift, "numbers": GAN_NUMBERS}


def _vae(wrapper: Wrapper, pdg: int) -> dict[str, Any]:
    mesh = cylinder(wrapper.detector, "DDML")
    if mesh.sectors % 2:
        raise DetectorError(
            "DDML cannot place these sectors: its first one begins at 0, ours at -pi",
            where=f"detector {wrapper.detector.name}",
            got=f"{mesh.sectors} sectors",
            expected="an even number",
        )
    vector = wrapper.input("input", 1, VAE_NUMBERS + 4)
    energy = wrapper.node(
        "Mul", wrapper.part(vector, VAE_NUMBERS, VAE_NUMBERS + 1), wrapper.constant(MOST_ENERGY)
    )
    theta = wrapper.node(
        "Mul", wrapper.part(vector, VAE_NUMBERS + 1, VAE_NUMBERS + 2), wrapper.constant(math.pi / 2)
    )
    low, high = wrapper.span("theta").limits
    inside = [wrapper.energy_inside(energy), wrapper.inside(theta, low - _SLACK, high + _SLACK)]
    noise = normals(wrapper, wrapper.part(vector, 0, VAE_NUMBERS), VAE_NUMBERS)
    cells = wrapper.shower(noise, incident_of(wrapper, {"energy": energy, "theta": theta}, pdg))
    wrapper.output("showers", wrapper.node("Div", cells, energy), inside, mesh.order(mesh.sectors // 2))
    return {"mesh": mesh, "numbers": VAE_NUMBERS}
