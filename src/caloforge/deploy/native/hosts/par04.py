"""Geant4's example Par04 (Geant4 11.4): its `VAE` vector in, energies over the particle's energy out.

`Par04InferenceSetup::GetEnergies` gives [normal numbers, E / 1024 GeV, theta / 90 degrees, 0, 1], theta being
the angle to the barrel's axis, and takes (ring, sector, layer), the last fastest, from sector -pi on.
"""

from __future__ import annotations

__all__ = ["write_par04"]

import math
from pathlib import Path
from typing import Any

from caloforge.deploy.native.hosts.incident import incident_of
from caloforge.deploy.native.hosts.meshes import cylinder
from caloforge.deploy.native.hosts.noise import normals
from caloforge.deploy.native.hosts.wrapper import Wrapper
from caloforge.detector import Detector, Slab
from caloforge.errors import RangeError

GRAPH = "par04.onnx"
MOST_ENERGY = 1024e3  # MeV, fMaxEnergy
CONDITIONS = 4
# What the particle's direction loses in float32 and in degrees, and what no cell is wide enough to notice.
_SLACK = 1e-3


def write_par04(wrapper: Wrapper, pdg: int, folder: Path) -> dict[str, Any]:
    """Write the graph for Par04 and return what the macro and README mention.

    Raises:
        DetectorError: The readout is not one cylinder of equal cells.
        RangeError: The bundle was not trained for particles at right angles, and its cells do not turn.
    """
    mesh = cylinder(wrapper.detector, "Par04")
    latent = math.prod(wrapper.bundle.manifest.inputs[0].shape)
    vector = wrapper.input("input", 1, latent + CONDITIONS)
    noise = normals(wrapper, wrapper.part(vector, 0, latent), latent)
    energy = wrapper.node("Mul", wrapper.part(vector, latent, latent + 1), wrapper.constant(MOST_ENERGY))
    theta = _to_the_radius(wrapper, wrapper.part(vector, latent + 1, latent + 2))
    inside = [wrapper.energy_inside(energy), wrapper.inside(theta, *_angles(wrapper))]
    cells = wrapper.shower(noise, incident_of(wrapper, {"energy": energy, "theta": theta}, pdg))
    wrapper.output("showers", wrapper.node("Div", cells, energy), inside, mesh.order())
    wrapper.write(folder / GRAPH)
    return {
        "mesh": mesh,
        "latent": latent,
        "conditions": CONDITIONS,
        "graph": GRAPH,
        **_stack(wrapper.detector),
    }


def _to_the_radius(wrapper: Wrapper, share: str) -> str:
    """Turn theta / 90 degrees to the axis into the angle to the barrel's radius, rad."""
    off = wrapper.node("Sub", share, wrapper.constant(1.0))
    return wrapper.node("Mul", wrapper.node("Abs", off), wrapper.constant(math.pi / 2))


def _angles(wrapper: Wrapper) -> tuple[float, float]:
    """Par04's cells turn with the particle: others are right at right angles only."""
    low, high = wrapper.span("theta").limits
    if wrapper.detector.readout.frame == "particle":
        return low - _SLACK, high + _SLACK
    if not low <= 0 <= high:
        raise RangeError(
            "Par04 can place these showers at right angles only, and the bundle was not trained for those",
            got=f"theta {wrapper.span('theta')}, readout frame: detector",
            expected="0 among the angles, or a detector with readout frame: particle",
        )
    return -_SLACK, _SLACK


def _stack(detector: Detector) -> dict[str, Any]:
    """What Par04 can build: a barrel of one or two slabs that repeat."""
    fits = detector.shape == "barrel" and len(detector.stack) == 1 and len(detector.stack[0].slabs) <= 2
    fits = fits and all(isinstance(slab, Slab) for slab in detector.slabs)
    fits = fits and all(slab.material not in detector.materials for slab in detector.plates)
    group = detector.stack[0] if fits else None
    return {
        "group": group,
        "inner_radius": detector.inner_radius,
        "length": 2 * detector.size[0] if detector.size else None,
    }
