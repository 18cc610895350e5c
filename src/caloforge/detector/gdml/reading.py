"""From a GDML file to a detector: a line through its middle, and what lies on it."""

from __future__ import annotations

__all__ = ["Imported", "read_gdml"]

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from caloforge.detector.canonical import runs
from caloforge.detector.detector import Detector
from caloforge.detector.gdml.materials import Materials
from caloforge.detector.gdml.numbers import Numbers
from caloforge.detector.gdml.volumes import (
    Other,
    Piece,
    Tree,
    Tube,
    Vector,
    Volume,
    Widths,
    half_widths,
    walk,
)
from caloforge.detector.markup import read_xml
from caloforge.detector.reading import described
from caloforge.documents import Document
from caloforge.errors import DetectorError, nearest

_MOST_BYTES = 100_000_000
_NEAR = 1e-6  # mm
_BESIDE = np.array([1.0, 1.3, 1.7]) * 1e-4  # mm; just in the middle two volumes often touch
_CELLS = 10


@dataclass(frozen=True)
class Imported:
    """A detector out of a GDML file.

    Attributes:
        detector: One readout layer, which is to be replaced.
        axis: The line in the file's axes along which its depth runs: `x`, `y`, `z` or `radius`.
        left_out: What of the file is not in it, in words.
    """

    detector: Detector
    axis: str
    left_out: tuple[str, ...]


def read_gdml(path: str | Path, active: Sequence[str] = (), axis: str | None = None) -> Imported:
    """Read a stack of boxes or tubes.

    A line is laid through the middle of what the world holds, and what it meets are the slabs. It is the
    axis on which it meets most; or it goes from the middle outwards, where that meets tubes with a hole.

    Args:
        path: The GDML file.
        axis: `x`, `y`, `z` or `radius`, if it is to be another line.
        active: Materials that are read out, as the detector names them; if none are given, the volumes
            that the file marks as sensitive.

    Raises:
        DetectorError: It is no GDML, or holds no such stack.
    """
    where = str(path)
    root = read_xml(Path(path), "a GDML file", _MOST_BYTES, "write it as one file, without entities")
    numbers = Numbers(root, where)
    tree, materials = Tree(root, numbers, where), Materials(root, numbers, where)
    world = tree.world
    axis, pieces = _line(tree, axis, where)
    slabs = [_slab(piece, materials) for piece in pieces]
    _mark(slabs, active, where)
    planar = axis != "radius"
    size = _size(pieces, world, axis)
    inner = None if planar else round(float(pieces[0].start), 6)
    description = _description(Path(path), slabs, size, inner, materials)
    notes = [*tree.notes, *materials.notes, *_beside(world, pieces), *_other_sizes(pieces, world, size, axis)]
    detector = described(Detector, Document(description, {(): 1}), where)
    return Imported(detector, axis, tuple(dict.fromkeys(notes)))


def _line(tree: Tree, asked: str | None, where: str) -> tuple[str, list[Piece]]:
    """The line that is asked for, or on which most is met, and what; without the world before and behind."""
    world = tree.world
    middle, found = _middle(world), {}
    for number, axis in enumerate("xyz"):
        ahead = np.eye(3)[number]
        # Places that are written with few digits leave slits between volumes.
        line = walk(world, middle + _BESIDE * (1 - ahead), ahead)
        met = [piece for piece in line if piece.end - piece.start > _NEAR]
        outwards = _without(world, [piece for piece in met if piece.start > _NEAR])
        # Along z, tubes are discs one behind the other.
        rings = axis != "z" and bool(outwards) and _rings(world, outwards)
        if not rings:
            found[axis] = _without(world, met)
        elif axis == "x":
            found["radius"] = outwards
    axis = asked or max(found, key=lambda name: len(found[name]))
    if not found.get(axis):
        raise DetectorError(
            "no stack of boxes or tubes is in the middle of this file",
            where=where,
            got="; ".join([*dict.fromkeys(tree.notes), *_beside(world, [])]) or "an empty world",
            expected="slabs one behind the other, or tubes one around the other, along an axis of the world",
        )
    return axis, found[axis]


def _middle(world: Volume) -> Vector:
    """The middle of what the world holds, mm."""
    places = [(placed.position, half_widths(placed.volume.solid, placed.turn)) for placed in world.inside]
    low = np.min([position - half for position, half in places] or [np.zeros(3)], axis=0)
    high = np.max([position + half for position, half in places] or [np.zeros(3)], axis=0)
    return np.asarray((low + high) / 2)


def _rings(world: Volume, pieces: Sequence[Piece]) -> bool:
    """Whether they are tubes around the z axis of the world."""
    solids = [(piece.volume.solid, piece.half) for piece in pieces if piece.volume is not world]
    return all(isinstance(solid, Tube) and np.allclose(half[:2], solid.outer) for solid, half in solids)


def _without(world: Volume, pieces: Sequence[Piece]) -> list[Piece]:
    others = [number for number, piece in enumerate(pieces) if piece.volume is not world]
    return list(pieces[others[0] : others[-1] + 1]) if others else []


def _slab(piece: Piece, materials: Materials) -> dict[str, Any]:
    thickness = round(float(piece.end - piece.start), 6)
    material = materials.named(piece.volume.material)
    return {"material": material, "thickness": f"{thickness!r} mm", "active": piece.volume.sensitive}


def _mark(slabs: Sequence[dict[str, Any]], active: Sequence[str], where: str) -> None:
    """Mark slabs of the given materials as active, in place of those that the file marks."""
    there = list(dict.fromkeys(slab["material"] for slab in slabs))
    for name in active:
        if name not in there:
            raise DetectorError(
                f"no slab is made of {name!r}",
                where=where,
                expected="one of " + ", ".join(there),
                near=nearest(name, there),
            )
    for slab in slabs if active else ():
        slab["active"] = slab["material"] in active


def _across(axis: str) -> list[int]:
    """Which axes of the world are the detector's x and y."""
    return {"x": [1, 2], "y": [2, 0], "z": [0, 1], "radius": [2]}[axis]


def _size(pieces: Sequence[Piece], world: Volume, axis: str) -> list[float]:
    """Full widths of the largest volume of the world's that was met; half the length for tubes."""
    met = [piece.around for piece in pieces if piece.volume is not world]
    return _widths(max(met, key=lambda half: float(np.prod(half))), axis)


def _widths(half: Widths, axis: str) -> list[float]:
    factor = 1 if axis == "radius" else 2
    return [round(factor * half[number], 6) for number in _across(axis)]


def _description(
    path: Path, slabs: list[dict[str, Any]], size: list[float], inner: float | None, materials: Materials
) -> dict[str, Any]:
    groups = [{"repeat": repeat, "slabs": list(period)} for repeat, period in runs(slabs)]
    depth = sum(float(slab["thickness"].removesuffix(" mm")) for slab in slabs)
    window = f"{min(size) if inner is None else size[0]!r} mm"
    grid = {"kind": "cartesian", "window": [window, window], "cells": [_CELLS, _CELLS]}
    active = any(slab["active"] for slab in slabs)
    return {
        "name": re.sub(r"[^\w.-]", "-", path.stem, flags=re.ASCII).lstrip("_.-") or "gdml",
        "about": "read from GDML; its readout is only a beginning",
        "source": path.name,
        "shape": "planar" if inner is None else "barrel",
        "size": [f"{width!r} mm" for width in size],
        **({} if inner is None else {"inner_radius": f"{round(inner, 6)!r} mm"}),
        "materials": {
            name: {"density": f"{mixture.density!r} g/cm3", "composition": mixture.composition}
            for name, mixture in materials.mixtures.items()
        },
        "stack": groups,
        "readout": {
            "deposits": "active" if active else "all",
            "layers": [{"thickness": f"{round(depth, 6)!r} mm", "grid": grid}],
        },
    }


def _beside(world: Volume, pieces: Sequence[Piece]) -> list[str]:
    """Name the volumes that the line does not meet, and those whose solid is no slab."""
    met = {id(piece.volume) for piece in pieces}
    left: Counter[tuple[str, str]] = Counter()
    seen, below = set(), [world]
    while below:
        mother = below.pop()
        for placed in mother.inside:
            volume = placed.volume
            if id(volume) not in seen:
                seen.add(id(volume))
                below.append(volume)
            why = volume.solid.kind if isinstance(volume.solid, Other) else ""
            if id(volume) not in met and (why or not volume.inside):
                left[_kind(volume), why] += 1
    return [_told(name, why, number) for (name, why), number in left.items()]


def _kind(volume: Volume) -> str:
    """Return the name without its numbers, so that volumes of one kind are named once."""
    return re.sub(r"\d+", "#", volume.name)


def _told(name: str, why: str, number: int) -> str:
    times = f" ({number} times)" if number > 1 else ""
    return (
        f"{name}{times}: {f'its solid is no slab ({why})' if why else 'not on the line through the middle'}"
    )


def _other_sizes(pieces: Sequence[Piece], world: Volume, size: Sequence[float], axis: str) -> list[str]:
    notes = []
    for piece in pieces:
        own, name = _widths(piece.half, axis), _kind(piece.volume)
        if not piece.straight:
            notes.append(f"{name}: it is turned against the line and becomes straight")
        elif piece.volume is not world and not np.allclose(own, size):
            words = " x ".join(f"{width:g}" for width in own)
            notes.append(f"{name}: {words} mm wide, it becomes as wide as the detector")
        elif axis != "radius" and isinstance(piece.volume.solid, Tube):
            notes.append(f"{name}: it is round and becomes a rectangle")
    return notes
