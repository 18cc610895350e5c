"""What the C++ templates say of a bundle: constants, written so that no text of a manifest becomes code."""

from __future__ import annotations

__all__ = ["facts_of"]

import math
import zlib
from collections.abc import Sequence
from typing import Any

from caloforge import __version__
from caloforge.deploy.bundle import Bundle
from caloforge.deploy.native.literals import line, literal, type_name
from caloforge.detector import CartesianGrid, Grid, NearestGrid, PolarGrid
from caloforge.detector.readout import Layer
from caloforge.particles import particle_name


def facts_of(bundle: Bundle) -> dict[str, Any]:
    """Return what the templates fill in.

    Args:
        bundle: An open bundle.
    """
    manifest, detector = bundle.manifest, bundle.detector
    noise, incident = manifest.inputs
    valid = manifest.valid
    rings = _rings(detector.layers)
    polygons = list(
        dict.fromkeys(g for g in (la.grid for la in detector.layers) if isinstance(g, NearestGrid))
    )
    content = bundle.graph()
    first = (valid.particles[0], (valid.energy.min + valid.energy.max) / 2)
    return {
        "version": __version__,
        "type": type_name(manifest.name),
        "name": line(manifest.name),
        "detector": line(detector.name),
        "summary": f"{detector.n_layers} layers, {detector.n_cells} cells.",
        "valid": line(str(valid)),
        "graph": bundle.graph_entry().file,
        "n_cells": detector.n_cells,
        "n_noise": math.prod(noise.shape),
        "noise_shape": noise.shape,
        "threshold": float(detector.readout.threshold or 0.0),
        "conditions": [f"Column::{name}" for name in incident.columns or ()],
        "particles": valid.particles,
        "particle_names": ", ".join(map(particle_name, valid.particles)),
        "spans": [_span(name, span) for name, span in valid.spans()],
        "rings": rings,
        "polygons": [grid.centres().ravel().tolist() for grid in polygons],
        "layers": [_layer(layer, rings, polygons) for layer in detector.layers],
        "graph_bytes": len(content),
        "graph_crc32": zlib.crc32(content),
        "example": ", ".join(map(str, (*first, 0.0, 0.0, 0.0, 0.0))),
    }


def _span(name: str, span: Any) -> dict[str, Any]:
    low, high = span.limits
    return {"name": name, "unit": span.unit, "min": span.min, "max": span.max, "low": low, "high": high}


def _rings(layers: tuple[Layer, ...]) -> list[tuple[float, ...]]:
    """Each kind of rings once, as layers often share them."""
    return list(dict.fromkeys(layer.grid.r_edges for layer in layers if isinstance(layer.grid, PolarGrid)))


def _layer(layer: Layer, rings: list[tuple[float, ...]], polygons: Sequence[Grid]) -> str:
    grid, shape = layer.grid, f"{{{layer.shape[0]}, {layer.shape[1]}}}"
    kind, size, edges, centres = "cartesian", (0.0, 0.0), "nullptr", "nullptr"
    if isinstance(grid, CartesianGrid):
        size = grid.cell
    elif isinstance(grid, PolarGrid):
        kind, size, edges = "polar", (2 * math.pi / grid.alpha, 0.0), f"r_edges_{rings.index(grid.r_edges)}"
    else:
        kind, centres = "polygons", f"centres_{polygons.index(grid)}"
    place = f"{float(layer.start)}, {float(layer.thickness)}, {{{size[0]}, {size[1]}}}"
    first = f"{literal(layer.name)}, {layer.id}, Grid::{kind}, {layer.cells.start}"
    return f"{{{first}, {shape}, {place}, {edges}, {centres}}}"
