"""The tree of volumes of a GDML file, and what a straight line meets in it."""

from __future__ import annotations

__all__ = [
    "Box",
    "Other",
    "Piece",
    "Placed",
    "Solid",
    "Tree",
    "Tube",
    "Vector",
    "Volume",
    "Widths",
    "half_widths",
    "walk",
]

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from caloforge.detector.gdml.materials import bare
from caloforge.detector.gdml.numbers import Numbers
from caloforge.errors import DetectorError

Vector = NDArray[np.float64]
Span = tuple[float, float]
Widths = tuple[float, float, float]
_MOST = 1_000_000  # placements
_DEEPEST = 100
_NEAR = 1e-9


@dataclass(frozen=True)
class Box:
    """A box; its half widths in mm."""

    half: tuple[float, float, float]

    def along(self, origin: Vector, direction: Vector) -> list[Span]:
        """Return where a line is inside, as distances from its origin."""
        first, last = -math.inf, math.inf
        for start, step, half in zip(origin, direction, self.half, strict=True):
            if abs(step) < _NEAR:
                if abs(start) >= half:
                    return []
                continue
            ends = sorted(((-half - start) / step, (half - start) / step))
            first, last = max(first, ends[0]), min(last, ends[1])
        return [(first, last)] if last > first else []


@dataclass(frozen=True)
class Tube:
    """A whole tube around its z axis: radii and half length in mm."""

    inner: float
    outer: float
    half_length: float

    @property
    def half(self) -> tuple[float, float, float]:
        """Half widths of the box around it."""
        return self.outer, self.outer, self.half_length

    def along(self, origin: Vector, direction: Vector) -> list[Span]:
        """Return where a line is inside, as distances from its origin."""
        outside = _round(origin, direction, self.outer)
        ends = Box((math.inf, math.inf, self.half_length)).along(origin, direction)
        if not outside or not ends:
            return []
        first, last = max(outside[0], ends[0][0]), min(outside[1], ends[0][1])
        hole = _round(origin, direction, self.inner) if self.inner else None
        parts = [(first, last)] if not hole else [(first, min(last, hole[0])), (max(first, hole[1]), last)]
        return [part for part in parts if part[1] - part[0] > _NEAR]


def _round(origin: Vector, direction: Vector, radius: float) -> Span | None:
    """Where a line is inside of an endless cylinder."""
    a = direction[0] ** 2 + direction[1] ** 2
    b = origin[0] * direction[0] + origin[1] * direction[1]
    c = origin[0] ** 2 + origin[1] ** 2 - radius**2
    if a < _NEAR**2:
        return (-math.inf, math.inf) if c < 0 else None
    root = b**2 - a * c
    return ((-b - math.sqrt(root)) / a, (-b + math.sqrt(root)) / a) if root > 0 else None


@dataclass(frozen=True)
class Other:
    """A solid that is no slab: only its kind is known."""

    kind: str

    def along(self, origin: Vector, direction: Vector) -> list[Span]:  # noqa: ARG002
        """Nothing is known of it."""
        return []


Solid = Box | Tube | Other


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume with what is placed in it; one object for all its placements."""

    name: str
    solid: Solid
    material: str
    sensitive: bool
    inside: list[Placed] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Placed:
    """A volume in its mother: a point of it is `turn.T @ point + position` there."""

    volume: Volume
    position: Vector
    turn: Vector


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a line that lies in a volume and in none that is placed in it."""

    start: float
    end: float
    volume: Volume
    half: Widths  # of the box around the volume, in the axes of the world
    around: Widths  # the same of the volume of the world's that it lies in, or that it is
    straight: bool  # whether its axes are those of the world, in any order


class Tree:
    """Builds volumes when they are asked for.

    Args:
        root: The file's `<gdml>`.
        numbers: Its numbers.
        where: Its name, for errors.

    Attributes:
        notes: What was not taken over.
    """

    def __init__(self, root: Element, numbers: Numbers, where: str) -> None:
        self._root, self._numbers, self._where = root, numbers, where
        self._solids = {one.get("name", ""): one for one in root.iterfind("solids/*")}
        self._volumes = {one.get("name", ""): one for one in root.iterfind("structure/volume")}
        self._assemblies = {one.get("name", ""): one for one in root.iterfind("structure/assembly")}
        self._built: dict[str, Volume] = {}
        self._under_way: list[str] = []
        self.notes: list[str] = []

    @cached_property
    def world(self) -> Volume:
        """The outermost volume, with all that is in it."""
        if not self._volumes:
            problem, expected = (
                "this file has no volumes",
                "a GDML file: <gdml> with a <structure> of volumes",
            )
            raise DetectorError(problem, where=self._where, got=f"<{self._root.tag}>", expected=expected)
        setup = self._root.find("setup/world")
        reference = setup.get("ref", "") if setup is not None else next(reversed(self._volumes), "")
        return self._volume(reference)

    def _volume(self, name: str) -> Volume:
        if name in self._built:
            return self._built[name]
        element = self._enter(name, self._volumes)
        volume = Volume(
            bare(name),
            self._solid(_reference(element, "solidref")),
            _reference(element, "materialref"),
            any(one.get("auxtype") == "SensDet" for one in element.iterfind("auxiliary")),
            list(self._placements(element)),
        )
        self._under_way.pop()
        self._built[name] = volume
        return volume

    def _enter(self, name: str, known: Mapping[str, Element]) -> Element:
        """Return what is to be built, and see that it is not yet under way."""
        if name not in known or name in self._under_way or len(self._under_way) > _DEEPEST:
            raise DetectorError(
                f"the volume {bare(name)!r} cannot be built",
                where=self._where,
                got="it is not defined" if name not in known else "it lies in itself",
            )
        self._under_way.append(name)
        return known[name]

    def _placements(self, element: Element) -> Iterator[Placed]:
        mother = bare(element.get("name", ""))
        for below in element:
            if below.tag == "physvol" and below.find("volumeref") is not None:
                yield from self._placed(below, mother)
            elif below.tag == "replicavol":
                yield from self._replicas(below, mother)
            elif below.tag in ("physvol", "divisionvol", "paramvol", "loop"):
                self.notes.append(f"a {below.tag} in {mother}: not read")

    def _placed(self, element: Element, mother: str) -> Iterator[Placed]:
        """Yield the volume that is placed, or those of an assembly."""
        position, rotation = (
            self._numbers.vector(_either(element, what)) for what in ("position", "rotation")
        )
        scale = _either(element, "scale")
        if scale is not None and self._numbers.vector(scale, "1") != (1.0, 1.0, 1.0):
            self.notes.append(f"mirror images in {mother}: taken as they were before")
        name, place, turn = _reference(element, "volumeref"), np.array(position), _turn(rotation)
        if name not in self._assemblies:
            yield Placed(self._volume(name), place, turn)
            return
        parts = list(self._placements(self._enter(name, self._assemblies)))
        self._under_way.pop()
        for part in parts:
            yield Placed(part.volume, place + turn.T @ part.position, part.turn @ turn)

    def _replicas(self, element: Element, mother: str) -> Iterator[Placed]:
        along = element.find("replicate_along_axis")
        axis = along.find("direction") if along is not None else None
        ways = [n for n in "xyz" if axis is not None and self._numbers.value(axis, n, "0")]
        if along is None or axis is None or len(ways) != 1:
            self.notes.append(f"copies around an axis in {mother}: not read")
            return
        number = round(self._numbers.value(element, "number"))
        if not 0 < number <= _MOST:
            raise DetectorError("too many copies", where=f"{self._where}, {mother}", got=number)
        width, offset = (self._length(along, key) for key in ("width", "offset"))
        volume = self._volume(_reference(element, "volumeref"))
        for copy in range(number):
            position = np.zeros(3)
            position["xyz".index(ways[0])] = offset + (copy - (number - 1) / 2) * width
            yield Placed(volume, position, np.eye(3))

    def _length(self, element: Element, key: str) -> float:
        given = element.find(key)
        return 0.0 if given is None else self._numbers.value(given, "value", "0", given.get("unit", "mm"))

    def _solid(self, name: str) -> Solid:
        element = self._solids.get(name)
        if element is None:
            raise DetectorError(f"the solid {bare(name)!r} is not defined", where=self._where)
        unit = element.get("lunit", "mm")
        if element.tag == "box":
            x, y, z = (self._numbers.value(element, key, unit=unit) / 2 for key in "xyz")
            return Box((x, y, z))
        turn = self._numbers.value(element, "deltaphi", "0", element.get("aunit", "rad"))
        if element.tag == "tube" and turn > 2 * math.pi - 1e-6:
            inner = self._numbers.value(element, "rmin", "0", unit)
            outer, length = (self._numbers.value(element, key, unit=unit) for key in ("rmax", "z"))
            return Tube(inner, outer, length / 2)
        return Other("part of a tube" if element.tag == "tube" else element.tag)


def walk(
    volume: Volume,
    origin: Vector,
    direction: Vector,
    turned: Vector | None = None,
    around: Widths | None = None,
) -> list[Piece]:
    """Return what a line meets, in its order; volumes inside others go before these.

    Args:
        volume: In whose axes the line is given.
        origin: A point of the line, mm.
        direction: A unit vector.
        turned: From the axes of the world to those of the volume; none for the world.
        around: Half widths of the volume of the world's in which it lies.
    """
    outermost = turned is None
    turned = np.eye(3) if turned is None else turned
    pieces: list[Piece] = []
    for placed in volume.inside:
        local = placed.turn @ (origin - placed.position), placed.turn @ direction
        if placed.volume.solid.along(*local):
            below = placed.turn @ turned
            outer = half_widths(placed.volume.solid, below) if outermost else around
            pieces += walk(placed.volume, *local, below, outer)
    pieces.sort(key=lambda piece: piece.start)
    half = half_widths(volume.solid, turned)
    straight = bool(np.allclose(np.abs(turned).max(axis=0), 1.0))
    for first, last in volume.solid.along(origin, direction):
        pieces += [
            Piece(start, end, volume, half, around or half, straight)
            for start, end in _gaps(pieces, first, last)
        ]
    return sorted(pieces, key=lambda piece: piece.start)


def _gaps(pieces: list[Piece], first: float, last: float) -> list[Span]:
    """What is left of an interval between pieces in order."""
    gaps = []
    for piece in [piece for piece in pieces if first < piece.end and piece.start < last]:
        if piece.start - first > _NEAR:
            gaps.append((first, piece.start))
        first = max(first, piece.end)
    return [*gaps, (first, last)] if last - first > _NEAR else gaps


def half_widths(solid: Solid, turned: Vector) -> Widths:
    """Return half the widths in mm of the box around a solid, in axes from which it is `turned`."""
    if isinstance(solid, Other):
        return 0.0, 0.0, 0.0
    x, y, z = np.abs(turned.T) @ np.array(solid.half)
    return float(x), float(y), float(z)


def _reference(element: Element, key: str) -> str:
    below = element.find(key)
    return "" if below is None else below.get("ref", "")


def _either(element: Element, what: str) -> Element | None:
    """A position or rotation that is written there, or a reference to one."""
    here = element.find(what)
    return here if here is not None else element.find(f"{what}ref")


def _turn(angles: tuple[float, float, float]) -> Vector:
    """GDML's rotation: first around x, then y, then z; from the mother's axes to the daughter's."""
    turn: Any = np.eye(3)
    for axis, angle in enumerate(angles):
        step = np.eye(3)
        one, two = (axis + 1) % 3, (axis + 2) % 3
        step[[one, two], [one, two]] = math.cos(angle)
        step[two, one], step[one, two] = math.sin(angle), -math.sin(angle)
        turn = step @ turn
    return np.asarray(turn)
