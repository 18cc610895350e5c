"""What a person wants to know of a detector: stack, materials, readout rule, layers; as text and as data."""

from __future__ import annotations

__all__ = [
    "cell_count",
    "cell_size",
    "depth_axis",
    "describe",
    "digitisation_rule",
    "layer_groups",
    "material_thickness",
    "readout_rule",
    "stack_runs",
]

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.detector.canonical import runs
from caloforge.detector.detector import Detector
from caloforge.detector.grids import CartesianGrid, Grid, PolarGrid
from caloforge.detector.nearest import HexagonalGrid
from caloforge.detector.readout import Layer, alike
from caloforge.detector.stack import Layered, Row, Slab


@dataclass(frozen=True)
class StackRun:
    """A sequence of slabs that repeats: `repeat` times `slabs`, from `start` to `end` mm of depth."""

    repeat: int
    slabs: tuple[Layered, ...]
    start: float
    end: float


def stack_runs(detector: Detector) -> list[StackRun]:
    """Fold the stack into sequences that repeat, in order of depth."""
    found, position = [], 0
    for repeat, period in runs([slab.content for slab in detector.slabs]):
        last = position + repeat * len(period)
        slabs = detector.slabs[position : position + len(period)]
        found.append(StackRun(repeat, slabs, slabs[0].start, detector.slabs[last - 1].end))
        position = last
    return found


def layer_groups(detector: Detector) -> list[list[Layer]]:
    """Group neighbouring layers that are alike."""
    groups: list[list[Layer]] = []
    for layer in detector.layers:
        before = groups[-1][-1] if groups else None
        if before and alike(before, layer):
            groups[-1].append(layer)
        else:
            groups.append([layer])
    return groups


def readout_rule(detector: Detector) -> str:
    """Say in one sentence how a deposit becomes a cell."""
    readout = detector.readout
    counted = list(compress(detector.plates, detector.counted))
    materials = sorted({plate.material for plate in counted})
    where = "all slabs" if readout.deposits == "all" else " and ".join(materials)
    where = where or f"{readout.deposits} material"
    saturated = "(saturated by Birks' law) " if any(plate.birks for plate in counted) else ""
    text = f"A cell is the energy {saturated}deposited in {where}"
    if readout.gate is not None:
        text += f" within {readout.gate:g} ns after light from the front face could be there"
    fractions = list(dict.fromkeys(detector.sampling_fractions.tolist()))
    if len(fractions) > 1:
        text += f", divided by the sampling fraction of its layer ({', '.join(f'{f:g}' for f in fractions)})"
    elif fractions != [1]:
        text += f", divided by the sampling fraction {fractions[0]:g}"
    if readout.threshold is not None:
        text += f"; below {_energy(readout.threshold)} it is 0"
    frame = depth_axis(detector) if readout.frame == "detector" else "the particle's direction"
    text += f". Depth runs along {frame}; cells are centred on "
    on_axis = depth_axis(detector) if readout.frame == "detector" else "the particle's line"
    text += (on_axis if readout.centre == "axis" else "the energy barycentre, rounded to a cell") + "."
    if readout.time is not None:
        text += " Its time is the mean of these deposits, after light from the front face could be there."
    return text


def digitisation_rule(detector: Detector) -> str:
    """Say in a few words what the electronics do; nothing where there are none."""
    block = detector.digitisation
    if block is None:
        return ""
    words = {
        "crosstalk": ("cross-talk {} to each neighbour", lambda share: f"{100 * share:g} %"),
        "light_yield": ("{} photoelectrons per MeV", lambda light: f"{light:g}"),
        "noise": ("noise {}", _energy),
        "saturation": ("saturation at {}", _energy),
        "threshold": (
            "cells below {} are left out",
            lambda least: str(least) if least.in_sigma else _energy(least.value),
        ),
    }
    parts = {
        key: words[key][0].format(" / ".join(map(words[key][1], values)))
        for key, values in block.by_layer().items()
    }
    if block.bits is not None:
        gains = " / ".join(f"{gain:g}" for gain in sorted(block.gains or (1.0,)))
        pedestal = f", pedestal {block.pedestal}" if block.pedestal else ""
        parts["saturation"] += f", ADC of {block.bits} bits with gain {gains}{pedestal}"
    return "Digitisation: " + "; ".join(parts.values()) + "."


def depth_axis(detector: Detector) -> str:
    """Name the line that depth is measured along."""
    return "the radius" if detector.shape == "barrel" else "the z axis"


def cell_size(grid: Grid) -> str:
    """Say how large the cells of a grid are."""
    if isinstance(grid, CartesianGrid):
        return " x ".join(f"{width:g}" for width in grid.cell) + " mm"
    if isinstance(grid, PolarGrid):
        return f"{_span(np.diff(grid.r_edges))} mm x {360 / grid.alpha:g} deg"
    if isinstance(grid, HexagonalGrid):
        return f"{grid.width:g} mm from side to side"
    return f"{_span(grid.areas())} mm2"


def cell_count(grid: Grid) -> str:
    """Say how many cells a grid has, and in which order they are."""
    if isinstance(grid, CartesianGrid):
        return f"{grid.shape[0]} x {grid.shape[1]} (x, y)"
    if isinstance(grid, PolarGrid):
        return f"{grid.shape[0]} x {grid.shape[1]} (alpha, r)"
    return f"{grid.n_cells} ({'hexagons' if isinstance(grid, HexagonalGrid) else 'polygons'})"


def _span(values: NDArray[np.float64]) -> str:
    found = np.unique(values.round(6))
    return f"{found[0]:g}" if len(found) == 1 else f"{found[0]:g} to {found[-1]:g}"


def describe(detector: Detector) -> dict[str, Any]:
    """Return everything a program wants to know, ready for JSON; lengths in mm, energies in MeV."""
    return {
        **{
            key: getattr(detector, key)
            for key in ("name", "about", "source", "shape", "size", "inner_radius")
        },
        **{
            key: getattr(detector, key)
            for key in ("depth", "depth_is_nominal", "n_layers", "n_cells", "digest")
        },
        "stack": [
            {
                "repeat": run.repeat,
                "start": run.start,
                "end": run.end,
                "slabs": [_slab(slab) for slab in run.slabs],
            }
            for run in stack_runs(detector)
        ],
        "material_thickness": material_thickness(detector.slabs),
        "mixtures": {name: mixture.model_dump() for name, mixture in detector.materials.items()},
        "readout": detector.readout.model_dump(exclude={"layers"}) | {"rule": readout_rule(detector)},
        "layers": [_layer(layer) for layer in detector.layers],
        "binning": detector.binning.model_dump() if detector.binning else None,
        "digitisation": _electronics(detector),
    }


def _slab(slab: Layered) -> dict[str, Any]:
    if isinstance(slab, Slab):
        return {key: getattr(slab, key) for key in ("material", "thickness", "active", "birks")}
    plates = {"thickness": slab.thickness, "slabs": [_slab(plate) for plate in slab.sequence]}
    if isinstance(slab, Row):
        return plates | {"across": slab.across}
    return plates | {"around": slab.around, "angle": slab.angle, "gaps": _slab(slab.filling)}


def _electronics(detector: Detector) -> dict[str, Any] | None:
    """The digitisation with one value for each layer; a threshold as a text with its unit."""
    block = detector.digitisation
    if block is None:
        return None
    n = detector.n_layers
    by_layer = {key: values * (n if len(values) == 1 else 1) for key, values in block.by_layer().items()}
    if "threshold" in by_layer:
        by_layer["threshold"] = tuple(map(str, by_layer["threshold"]))
    rest = {key: getattr(block, key) for key in ("gains", "bits", "pedestal")}
    return {**by_layer, **rest, "rule": digitisation_rule(detector)}


def material_thickness(slabs: Sequence[Layered]) -> dict[str, float]:
    """Return how much of each material particles straight ahead cross on average, mm, thickest first."""
    total: dict[str, float] = defaultdict(float)
    for slab in slabs:
        for material, share in slab.shares:
            total[material] = round(total[material] + share, 9)
    return dict(sorted(total.items(), key=lambda item: -item[1]))


def _layer(layer: Layer) -> dict[str, Any]:
    grid = layer.grid
    if isinstance(grid, CartesianGrid):
        cells: dict[str, Any] = {"kind": "cartesian", "window": grid.window, "cell": grid.cell}
    elif isinstance(grid, PolarGrid):
        cells = {"kind": "polar", "alpha": grid.alpha, "r_edges": grid.r_edges}
    else:
        cells = {
            "kind": grid.kind,
            "centres": grid.centres().tolist(),
            "areas": grid.areas().tolist(),
            "neighbours": grid.sides().tolist(),
            "polygons": [corners.tolist() for corners in grid.polygons],
        }
    place = {key: getattr(layer, key) for key in ("name", "id", "start", "end", "shape", "n_cells")}
    return place | {"first_cell": layer.cells.start, "grid": cells}


def _energy(value: float) -> str:
    units = (("keV", 1e-3), ("MeV", 1.0), ("GeV", 1e3))
    unit, size = max((u for u in units if value >= u[1]), key=lambda u: u[1], default=units[0])
    return f"{value / size:.6g} {unit}"
