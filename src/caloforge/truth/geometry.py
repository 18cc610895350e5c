"""A detector as Geant4 sees it: boxes one behind the other, or tubes one around the other.

Geant4's axes are the detector's own for a planar stack. For a barrel the detector's (x, y, z), which are
the way around, the way along the axis and the depth at the place where the particle enters, are Geant4's
(y, z, x), and the barrel's axis is Geant4's z. calzone measures in cm.
"""

from __future__ import annotations

__all__ = [
    "CM",
    "ENTRANCE",
    "check_stack",
    "entrance",
    "geometry",
    "material_names",
    "slab_paths",
    "to_world",
    "turned",
    "world_columns",
]

import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import Fan, Row, Slab
from caloforge.errors import DetectorError

if TYPE_CHECKING:
    from caloforge.detector import Detector, Mixture

CM = 10.0
"""Millimetres in a centimetre."""

ENTRANCE = "World.Entrance"
"""calzone's name of the volume that catches what enters the detector."""

# Geant4 finds its way among boxes in a row at once, but asks every tube of a volume whether it is near.
# Tubes in shells of twelve are 2.8 times faster than 180 side by side, with the same steps.
_TUBES_PER_SHELL = 12
_SKIN = 1e-6  # cm: corners that only touch a tube could stick out of it by rounding
_ROOM = 10.0  # mm of vacuum around the stack: a particle that leaves it is not followed further


def check_stack(detector: Detector) -> None:
    """Refuse a detector of which only the readout is known.

    Raises:
        DetectorError: The detector has no material stack.
    """
    if not detector.slabs:
        raise DetectorError(
            f"{detector.name!r} has a readout but no material to shower in",
            where="stack",
            cure="add a `stack:` to its file, or choose a detector that has one, such as calogan",
        )


def geometry(
    detector: Detector, before: Sequence[Slab] = (), recorded: NDArray[np.bool_] | None = None
) -> dict[str, Any]:
    """Return calzone's description of the detector, its deposits recorded where they count.

    Args:
        detector: What is hit; planar if anything stands before it.
        before: Slabs that stand before it, at negative depths; their deposits are not recorded.
        recorded: Of which plates deposits are recorded, shape `(n_plates,)`; by default of those that count.

    Raises:
        DetectorError: The detector has no material stack.
    """
    check_stack(detector)
    names = material_names(detector)
    world = _world(detector, names, before)
    records = iter(detector.counted if recorded is None else recorded)
    for number, slab in enumerate(detector.slabs):
        solid, plates = _solid(detector, slab), slab.plates
        some = [_filled(names, plate, next(records)) for plate in plates]
        if isinstance(slab, Slab):
            volume = some[0] | solid
        elif isinstance(slab, Fan):
            volume = some[0] | solid
            for place in range(len(plates) - 1):
                volume[f"Plate{place}"] = some[place + 1] | _inclined(slab, place, solid)
        else:
            volume = {"material": "G4_Galactic", **solid}
            for place, plate in enumerate(plates):
                volume[f"Plate{place}"] = some[place] | _plate(slab, plate, solid)
        _mother(detector, world, number)[f"Slab{number}"] = volume
    return {"World": world, "materials": _materials(detector, names)}


def entrance(detector: Detector, before: Sequence[Slab]) -> dict[str, Any]:
    """Return the same with an empty box in place of a planar detector, which catches what enters it."""
    names = material_names(detector)
    world = _world(detector, names, before)
    whole = {**_box(detector, 0.0, detector.depth), "material": "G4_Galactic", "role": "catch_ingoing"}
    return {"World": world | {"Entrance": whole}, "materials": _materials(detector, names)}


def slab_paths(detector: Detector) -> list[str]:
    """Return calzone's names of all pieces of material, in the order of `detector.plates`."""
    shell = "Shell{}." if detector.shape == "barrel" else ""
    paths = []
    for number, slab in enumerate(detector.slabs):
        path = f"World.{shell.format(number // _TUBES_PER_SHELL)}Slab{number}"
        if not isinstance(slab, Row):
            paths.append(path)
        if not isinstance(slab, Slab):
            number_inside = len(slab.plates) - isinstance(slab, Fan)
            paths += [f"{path}.Plate{place}" for place in range(number_inside)]
    return paths


def world_columns(detector: Detector) -> tuple[int, int, int]:
    """Which of Geant4's coordinates are the detector's x, y and z."""
    return (0, 1, 2) if detector.shape == "planar" else (1, 2, 0)


def to_world(detector: Detector, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn vectors from the detector's axes to Geant4's, shape `(n, 3)`."""
    turned = np.empty_like(vectors)
    turned[:, world_columns(detector)] = vectors
    return turned


def turned(detector: Detector, x: NDArray[Any], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn vectors around the axis of a barrel by the arc `x`, mm, where it matters from where it is seen.

    Args:
        detector: Any.
        x: One for each vector, or one for all.
        vectors: In Geant4's axes, shape `(n, 3)`.
    """
    if detector.shape == "planar" or detector.alike_around:
        return vectors
    angle = np.asarray(x, np.float64) / (detector.inner_radius or 1.0)
    c, s = np.cos(angle), np.sin(angle)
    first, second, third = vectors.T
    return np.column_stack([c * first - s * second, s * first + c * second, third])


def material_names(detector: Detector) -> dict[str, str]:
    """Return what calzone calls the mixtures of a detector."""
    return {name: _unique(name, mixture) for name, mixture in detector.materials.items()}


def _materials(detector: Detector, names: dict[str, str]) -> dict[str, Any]:
    return {"mixtures": {names[name]: _mixture(mixture) for name, mixture in detector.materials.items()}}


def _unique(name: str, mixture: Mixture) -> str:
    """A name of its own for each mixture: Geant4 cannot redefine a material once it has one."""
    return f"{name}_{hashlib.sha256(mixture.model_dump_json().encode()).hexdigest()[:12]}"


def _mixture(mixture: Mixture) -> dict[str, Any]:
    total = sum(mixture.nist.values())
    return {
        "density": mixture.density,
        "composition": {name: part / total for name, part in mixture.nist.items()},
    }


def _world(detector: Detector, names: dict[str, str], before: Sequence[Slab]) -> dict[str, Any]:
    if detector.shape == "barrel":
        return _barrel_world(detector)
    world = _planar_world(detector, max([detector.depth, *(-slab.start for slab in before)]))
    for number, slab in enumerate(before):
        box = _box(detector, slab.start, slab.thickness)
        world[f"Before{number}"] = {"material": names.get(slab.material, slab.material), **box}
    return world


def _planar_world(detector: Detector, reach: float) -> dict[str, Any]:
    width, height = detector.size or (0.0, 0.0)
    box = [width + 2 * _ROOM, height + 2 * _ROOM, 2 * (reach + _ROOM)]
    return {"material": "G4_Galactic", "box": [side / CM for side in box]}


def _barrel_world(detector: Detector) -> dict[str, Any]:
    (half_length,) = detector.size or (0.0,)
    across = 2 * ((detector.inner_radius or 0.0) + detector.depth + _ROOM)
    box = [across, across, 2 * (half_length + _ROOM)]
    return {"material": "G4_Galactic", "box": [side / CM for side in box]}


def _filled(names: dict[str, str], slab: Slab, recorded: bool) -> dict[str, Any]:
    """A piece of material without its shape."""
    role = {"role": "record_deposits"} if recorded else {}
    return {"material": names.get(slab.material, slab.material), **role}


def _plate(row: Row, plate: Slab, whole: dict[str, Any]) -> dict[str, Any]:
    """The part of a row's solid that one of its plates fills, in the row's own axes."""
    thickness, middle = plate.thickness / CM, (plate.start + plate.thickness / 2) / CM
    if "cylinder" in whole:
        return {"cylinder": whole["cylinder"] | {"length": thickness}, "position": [0.0, 0.0, middle]}
    box, position = list(whole["box"]), [0.0, 0.0, 0.0]
    axis = "xy".index(row.across)
    box[axis], position[axis] = thickness, middle
    return {"box": box, "position": position}


def _inclined(fan: Fan, number: int, whole: dict[str, Any]) -> dict[str, Any]:
    """The box of one of a fan's plates: along its x axis it goes outwards, and it is turned around z."""
    azimuth = 2 * math.pi * number / (fan.around * len(fan.sequence))
    across, thickness = azimuth + fan.angle, fan.sequence[number % len(fan.sequence)].thickness
    first, last = fan.reach(thickness)
    middle, length = (first + last) / 2, last - first
    x = fan.radius * math.cos(azimuth) + middle * math.cos(across)
    y = fan.radius * math.sin(azimuth) + middle * math.sin(across)
    return {
        "box": [length / CM - _SKIN, thickness / CM, whole["cylinder"]["length"]],
        "position": [x / CM, y / CM, 0.0],
        "rotation": [0.0, 0.0, math.degrees(across)],
    }


def _solid(detector: Detector, slab: Slab | Row | Fan) -> dict[str, Any]:
    if detector.shape == "planar":
        return _box(detector, slab.start, slab.thickness)
    return _tube(detector, slab.end, slab.thickness / CM)


def _box(detector: Detector, start: float, thickness: float) -> dict[str, Any]:
    """A box as wide as the detector that begins at a depth in mm."""
    width, height = detector.size or (0.0, 0.0)
    centre = (start + thickness / 2) / CM
    return {"box": [width / CM, height / CM, thickness / CM], "position": [0.0, 0.0, centre]}


def _tube(detector: Detector, end: float, thickness: float) -> dict[str, Any]:
    """A tube that ends at a depth in mm; its thickness in cm."""
    (half_length,) = detector.size or (0.0,)
    outer = ((detector.inner_radius or 0.0) + end) / CM
    return {"cylinder": {"length": 2 * half_length / CM, "radius": outer, "thickness": thickness}}


def _mother(detector: Detector, world: dict[str, Any], number: int) -> dict[str, Any]:
    """The volume to put a slab in: the world, or a shell of its barrel, made when it is needed."""
    if detector.shape == "planar":
        return world
    shell = number // _TUBES_PER_SHELL
    name = f"Shell{shell}"
    if name not in world:
        tubes = detector.slabs[shell * _TUBES_PER_SHELL : (shell + 1) * _TUBES_PER_SHELL]
        thickness = (tubes[-1].end - tubes[0].start) / CM
        world[name] = {"material": "G4_Galactic", **_tube(detector, tubes[-1].end, thickness)}
    mother: dict[str, Any] = world[name]
    return mother
