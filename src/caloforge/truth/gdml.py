"""The geometry that Geant4 is given, written as GDML for other programs."""

from __future__ import annotations

__all__ = ["write_gdml"]

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from caloforge.errors import DetectorError
from caloforge.truth.geometry import CM, geometry, material_names
from caloforge.writing import replace_bytes

if TYPE_CHECKING:
    from caloforge.detector import Detector

_SCHEMA = "http://service-spi.web.cern.ch/service-spi/app/releases/GDML/schema/gdml.xsd"
_WORLD, _SETUP = "World", "Default"
_SOLID, _PLACED, _POSITION, _ROTATION = "_solid", "_placed", "_position", "_rotation"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"


def write_gdml(detector: Detector, path: str | Path) -> None:
    """Write material and shape of a detector; volumes whose deposits count are marked by `SensDet`.

    GDML knows no cells: readout and digitisation are not in it. Geant4's own materials are named and not
    described. A mixture that is called as one of the volumes gets another name, as names in XML are for one
    thing each.

    Args:
        detector: One with a material stack.
        path: The file, `.gdml`.

    Raises:
        DetectorError: The detector has no material stack, or the file another ending.
        OutputError: The file cannot be written.
    """
    if Path(path).suffix.lower() != ".gdml":
        raise DetectorError(
            "the geometry cannot be written there",
            where="--gdml",
            got=str(path),
            expected="a name ending in .gdml",
        )
    described = geometry(detector)
    document = _Document(_plain_names(material_names(detector), described["World"])).of(described)
    indent(document)
    replace_bytes(Path(path), tostring(document, encoding="utf-8", xml_declaration=True) + b"\n")


class _Document:
    """Writes calzone's description of a geometry as GDML.

    Args:
        plain: What mixtures are called in the document, by calzone's names.
    """

    def __init__(self, plain: Mapping[str, str]) -> None:
        self._plain = plain
        self._root = Element("gdml", {"xmlns:xsi": _INSTANCE, "xsi:noNamespaceSchemaLocation": _SCHEMA})
        SubElement(self._root, "define")
        self._materials, self._solids, self._structure = (
            SubElement(self._root, name) for name in ("materials", "solids", "structure")
        )

    def of(self, described: Mapping[str, Any]) -> Element:
        """Return the whole document."""
        for name, mixture in described["materials"]["mixtures"].items():
            self._material(self._plain[name], mixture)
        self._volume(_WORLD, described[_WORLD])
        setup = SubElement(self._root, "setup", name=_SETUP, version="1.0")
        SubElement(setup, "world", ref=_WORLD)
        return self._root

    def _material(self, name: str, mixture: Mapping[str, Any]) -> None:
        element = SubElement(self._materials, "material", name=name)
        SubElement(element, "D", value=repr(mixture["density"]), unit="g/cm3")
        for part, share in mixture["composition"].items():
            SubElement(element, "fraction", n=repr(share), ref=part)

    def _volume(self, name: str, described: Mapping[str, Any]) -> None:
        """Write a volume after all that is in it, as GDML wants it."""
        inside = _inside(described)
        for key, daughter in inside.items():
            self._volume(_below(name, key), daughter)
        self._solid(name + _SOLID, described)
        volume = SubElement(self._structure, "volume", name=name)
        material = described["material"]
        SubElement(volume, "materialref", ref=self._plain.get(material, material))
        SubElement(volume, "solidref", ref=name + _SOLID)
        for key, daughter in inside.items():
            _place(volume, _below(name, key), daughter)
        if "role" in described:
            SubElement(volume, "auxiliary", auxtype="SensDet", auxvalue="deposits")

    def _solid(self, name: str, described: Mapping[str, Any]) -> None:
        if "box" in described:
            box = SubElement(self._solids, "box", {"name": name, "lunit": "mm"})
            _set(box, "xyz", described["box"], CM)
            return
        tube = described["cylinder"]
        whole = {"name": name, "lunit": "mm", "aunit": "deg", "startphi": "0", "deltaphi": "360"}
        sizes = tube["radius"] - tube["thickness"], tube["radius"], tube["length"]
        _set(SubElement(self._solids, "tube", whole), ("rmin", "rmax", "z"), sizes, CM)


def _plain_names(names: Mapping[str, str], world: Mapping[str, Any]) -> dict[str, str]:
    """Names of mixtures in the document by calzone's: the detector's own, where nothing else has them."""
    taken = {_SETUP, *_names(_WORLD, world)}
    found = {}
    for own, name in names.items():
        plain = own if own[0].isalpha() else f"m-{own}"  # names in XML begin with a letter
        while plain in taken:
            plain += "-2"
        taken.add(plain)
        found[name] = plain
    return found


def _names(name: str, described: Mapping[str, Any]) -> Iterator[str]:
    """All names in the document that a volume and what is in it take."""
    yield from (name + what for what in ("", _SOLID, _PLACED, _POSITION, _ROTATION))
    for key, daughter in _inside(described).items():
        yield from _names(_below(name, key), daughter)


def _inside(described: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in described.items() if key[0].isupper()}  # calzone's rule


def _below(mother: str, name: str) -> str:
    return name if mother == _WORLD else f"{mother}_{name}"


def _place(mother: Element, name: str, described: Mapping[str, Any]) -> None:
    placed = SubElement(mother, "physvol", name=name + _PLACED)
    SubElement(placed, "volumeref", ref=name)
    if "position" in described:
        position = SubElement(placed, "position", name=name + _POSITION, unit="mm")
        _set(position, "xyz", described["position"], CM)
    if "rotation" in described:  # GDML turns the mother's axes to the daughter's, calzone the daughter
        rotation = SubElement(placed, "rotation", name=name + _ROTATION, unit="deg")
        _set(rotation, "xyz", described["rotation"], -1.0)


def _set(element: Element, keys: Iterable[str], values: Iterable[float], factor: float) -> None:
    for key, value in zip(keys, values, strict=True):
        element.set(key, repr(round(value * factor, 9) + 0.0))
