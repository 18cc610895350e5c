"""Checks of a detector as a whole: what no part can see alone."""

from __future__ import annotations

__all__ = ["check_digitisation", "check_layers", "check_materials", "check_shape", "check_stack"]

import math
from collections.abc import Iterator
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from caloforge.detector.materials import unknown_material
from caloforge.detector.nearest import NearestGrid
from caloforge.detector.nist import NIST_MATERIALS
from caloforge.detector.parts import wrong
from caloforge.detector.stack import MAX_SLABS, Fan, FanSpec, Matter, RowSpec, SlabSpec, most_plates

if TYPE_CHECKING:
    from caloforge.detector.detector import Detector
    from caloforge.detector.readout import Layer

_Place = tuple[str | int, ...]
_TOLERANCE = 1e-6  # mm; far below anything that can be built, far above rounding


def check_shape(detector: Detector) -> None:
    """Check that the shape has the sizes it needs, and no others."""
    barrel = detector.shape == "barrel"
    if barrel != (detector.inner_radius is not None):
        raise wrong(
            "a barrel needs its inner radius" if barrel else "only a barrel has an inner radius",
            at=("shape",) if barrel else ("inner_radius",),
            got=f"shape: {detector.shape}, inner_radius: {detector.inner_radius}",
            expected="shape: barrel with inner_radius: 800 mm, or shape: planar without it",
        )
    if detector.size is None:
        if detector.stack:
            raise wrong("a material stack needs a size", at=("size",), expected=_size(barrel))
    elif len(detector.size) != (1 if barrel else 2):
        raise wrong("the wrong number of sizes", at=("size",), got=len(detector.size), expected=_size(barrel))


def _size(barrel: bool) -> str:
    if barrel:
        return "size: [1 m], half the length along the barrel's axis"
    return "size: [1 m, 1 m], the full extent in x and y"


def check_materials(detector: Detector) -> None:
    """Check that every material is known, and no mixture hides one of Geant4's."""
    for name in detector.materials:
        if name.startswith("G4_"):
            raise wrong(
                "a mixture cannot have a name of Geant4's",
                at=("materials", name),
                got=name,
                expected="a name that does not begin with G4_",
            )
    valid = (*detector.materials, *NIST_MATERIALS)
    for at, spec in _specs(detector):
        for place, plate in _plates(at, spec).items():
            if plate.material not in detector.materials and plate.material not in NIST_MATERIALS:
                raise unknown_material(plate.material, valid, at=(*place, "material"))


def _specs(detector: Detector) -> Iterator[tuple[_Place, SlabSpec | RowSpec | FanSpec]]:
    for g, group in enumerate(detector.stack):
        for s, spec in enumerate(group.slabs):
            yield ("stack", g, "slabs", s), spec


def _plates(at: _Place, spec: SlabSpec | RowSpec | FanSpec) -> dict[_Place, Matter]:
    if isinstance(spec, SlabSpec):
        return {at: spec}
    gaps: dict[_Place, Matter] = {(*at, "gaps"): spec.gaps} if isinstance(spec, FanSpec) else {}
    return gaps | {(*at, "slabs", number): plate for number, plate in enumerate(spec.slabs)}


def check_stack(detector: Detector) -> None:
    """Check rows, the number of slabs, that only active ones make light, and that some slab counts."""
    for at, spec in _specs(detector):
        for place, plate in _plates(at, spec).items():
            _check_light(plate, place)
        if isinstance(spec, RowSpec):
            _check_row(detector, spec, at)
        elif isinstance(spec, FanSpec):
            _check_barrel(detector, at)
    n_slabs = sum(
        group.repeat * most_plates(spec, detector.extents) for group in detector.stack for spec in group.slabs
    )
    if n_slabs > MAX_SLABS:
        most = f"at most {MAX_SLABS:,}, each plate of a row counted"
        raise wrong("too many slabs", at=("stack",), got=f"{n_slabs:,}", expected=most)
    for at, slab in zip(_places(detector), detector.slabs, strict=True):
        if isinstance(slab, Fan):
            _check_fan(slab, at)
    if detector.stack and not detector.counted.any():
        kind = detector.readout.deposits
        raise wrong(
            f"only deposits in {kind} slabs count, and no slab is {kind}",
            at=("readout", "deposits"),
            got=kind,
            expected="deposits: all, or `active: true` at the slabs that are read out",
        )


def _check_light(slab: Matter, at: _Place) -> None:
    if slab.birks is not None and not slab.active:
        raise wrong(
            "only an active slab makes light that can saturate",
            at=(*at, "birks"),
            got=f"birks at a slab of {slab.material} that is not active",
            expected="birks beside `active: true`",
        )


def _check_row(detector: Detector, row: RowSpec, at: _Place) -> None:
    extent = detector.extents.get(row.across)
    if extent is None:
        raise wrong(
            "plates cannot follow each other around a barrel: the gaps between them would grow with depth",
            at=(*at, "across"),
            got=f"across: {row.across}",
            expected="across: y, along the axis of the barrel, or `around:` for plates with growing gaps",
        )
    if row.period > extent + _TOLERANCE:
        raise wrong(
            "the sequence of plates is longer than the detector is wide",
            at=(*at, "slabs"),
            got=f"{row.period:g} mm",
            expected=f"at most {extent:g} mm in {row.across} (size: of the detector)",
        )


def _check_barrel(detector: Detector, at: _Place) -> None:
    if detector.inner_radius is None:
        raise wrong(
            "only a barrel has plates all around",
            at=(*at, "around"),
            got=f"shape: {detector.shape}",
            expected="shape: barrel, or `across:` for plates side by side",
        )


def _places(detector: Detector) -> Iterator[_Place]:
    """Yield for each slab in its place where the file has it."""
    for g, group in enumerate(detector.stack):
        for _ in range(group.repeat):
            yield from (("stack", g, "slabs", s) for s in range(len(group.slabs)))


def _check_fan(fan: Fan, at: _Place) -> None:
    pitch = 2 * math.pi * fan.radius / (fan.around * len(fan.sequence)) * math.cos(fan.angle)
    for number, plate in enumerate(fan.sequence):
        between = (plate.thickness + fan.sequence[number - 1].thickness) / 2
        if between >= pitch:
            raise wrong(
                "the plates have no room beside each other at their inner ends",
                at=(*at, "slabs", number, "thickness"),
                got=f"{between:g} mm from middle to middle",
                expected=f"less than {pitch:g} mm, for that many plates at this angle",
            )
        first, last = fan.reach(plate.thickness)
        if last - first < _TOLERANCE:
            raise wrong(
                "the plate is too thick for its depth: no box of it fits in",
                at=(*at, "slabs", number, "thickness"),
                got=f"{plate.thickness:g} mm thick, {fan.thickness:g} mm deep",
                expected="a thinner plate, a larger `thickness:` of the fan, or a smaller angle",
            )


def check_layers(detector: Detector) -> None:
    """Check that layers have unique names and rising ids, do not overlap, and lie in the stack."""
    names: dict[str, int] = {}
    before: Layer | None = None
    for spec, layer in _layers(detector):
        at: tuple[str | int, ...] = ("readout", "layers", spec)
        if layer.name in names:
            raise wrong(
                f"two layers are named {layer.name!r}",
                at=(*at, "name"),
                got=layer.name,
                expected=f"another name than layer number {names[layer.name]}",
                cure="names must be unique",
            )
        if before is not None:
            _check_order(before, layer, at)
        elif layer.start < -_TOLERANCE:
            raise wrong(
                "a layer starts before the front face",
                at=(*at, "start"),
                got=f"{layer.start:g} mm",
                expected="0 mm or more",
            )
        _check_extent(detector, layer, spec)
        names[layer.name], before = layer.index, layer
    _check_depth(detector)
    _check_binning(detector)


def check_digitisation(detector: Detector) -> None:
    """Check that values by layer are one for each layer, or one for all, and that no cell gives all away."""
    given = detector.digitisation.by_layer() if detector.digitisation else {}
    for key, values in given.items():
        if len(values) not in (1, detector.n_layers):
            raise wrong(
                "the list has another length than there are layers",
                at=("digitisation", key),
                got=f"{len(values)} values",
                expected=f"{detector.n_layers} values, one for each layer, or a single one for all",
            )
    for layer, share in zip(detector.layers, cycle(given.get("crosstalk", (0.0,))), strict=False):
        if share and isinstance(layer.grid, NearestGrid):
            _check_crosstalk(layer.name, share, layer.grid)


def _check_crosstalk(name: str, share: float, grid: NearestGrid) -> None:
    """Rectangles and parts of rings have four neighbours at most, polygons may have any number."""
    most = int(np.bincount(grid.sides().ravel(), minlength=1).max())
    if share * most > 1:
        raise wrong(
            "a cell cannot give away more than it has",
            at=("digitisation", "crosstalk"),
            got=f"{share:g} for each of up to {most} neighbours in layer {name!r}",
            expected=f"at most {math.floor(1e3 / most) / 1e3:g}",
        )


def _layers(detector: Detector) -> Iterator[tuple[int, Layer]]:
    """Pair each layer with the index of its entry in the file."""
    entries = (i for i, spec in enumerate(detector.readout.layers) for _ in range(spec.count))
    return zip(entries, detector.layers, strict=True)


def _check_order(before: Layer, layer: Layer, at: tuple[str | int, ...]) -> None:
    if layer.start < before.end - _TOLERANCE:
        raise wrong(
            f"layer {layer.name!r} overlaps {before.name!r}",
            at=(*at, "start"),
            got=f"start: {layer.start:g} mm",
            expected=f"{before.end:g} mm or more, where {before.name!r} ends",
        )
    if layer.id <= before.id:
        raise wrong(
            "layer ids must rise", at=(*at, "id"), got=f"{layer.id} after {before.id}", expected="a larger id"
        )


def _check_extent(detector: Detector, layer: Layer, spec: int) -> None:
    if not detector.size:
        return
    if detector.shape == "planar":
        room = detector.size[0] / 2, detector.size[-1] / 2
    else:
        # Along the axis of a barrel; around it there is no border.
        room = detector.size[0], detector.size[0]
    for axis, (need, have) in enumerate(zip(layer.grid.reach, room, strict=True)):
        if need > have + _TOLERANCE:
            raise wrong(
                f"the cells of layer {layer.name!r} reach out of the stack",
                at=("readout", "layers", spec, "grid"),
                got=f"|{'xy'[axis]}| up to {need:g} mm",
                expected=f"at most {have:g} mm (size: of the detector)",
            )


def _check_depth(detector: Detector) -> None:
    missing = [i for i, spec in enumerate(detector.readout.layers) if spec.thickness is None]
    if missing and (detector.stack or len(missing) < len(detector.readout.layers)):
        raise wrong(
            "a layer has no thickness",
            at=("readout", "layers", missing[0], "thickness"),
            expected="thickness: 90 mm; it may be absent only from all layers of a detector without a stack",
        )
    if not detector.stack:
        return
    for spec, layer in _layers(detector):
        if layer.end > detector.slabs[-1].end + _TOLERANCE:
            raise wrong(
                f"layer {layer.name!r} ends behind the stack",
                at=("readout", "layers", spec, "thickness"),
                got=f"{layer.end:g} mm deep",
                expected=f"at most {detector.slabs[-1].end:g} mm, the depth of the stack",
            )


def _check_binning(detector: Detector) -> None:
    ids = detector.binning.layer_ids if detector.binning else None
    if ids is not None and ids <= detector.layers[-1].id:
        raise wrong(
            "a layer's id is beyond the number of ids",
            at=("binning", "layer_ids"),
            got=ids,
            expected=f"more than {detector.layers[-1].id}, the id of {detector.layers[-1].name!r}",
        )
