"""The geometry that Geant4 is given, written as GDML for other programs."""

from __future__ import annotations

__all__ = ["write_gdml"]

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from caloforge.errors import DetectorError
from caloforge.truth.geometry import CM, geometry, material_names
from caloforge.writing import replace_bytes

if TYPE_CHECKING:
    from caloforge.detector import Detector

_SCHEMA = "http://service-spi.web.cern.ch/service-spi/app/releases/GDML/schema/gdml.xsd"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"


def write_gdml(detector: Detector, path: str | Path) -> None:
    """Write material and shape of a detector; volumes whose deposits count are marked by `SensDet`.

    GDML knows no cells: readout and digitisation are not in it. Geant4's own materials are named and not
    described.

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
    document = _Document(material_names(detector)).of(geometry(detector))
    indent(document)
    replace_bytes(Path(path), tostring(document, encoding="utf-8", xml_declaration=True) + b"\n")


class _Document:
    """Writes calzone's description of a geometry as GDML, with the detector's own names of mixtures."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._plain = {name: plain for plain, name in names.items()}
        self._root = Element("gdml", {"xmlns:xsi": _INSTANCE, "xsi:noNamespaceSchemaLocation": _SCHEMA})
        SubElement(self._root, "define")
        self._materials, self._solids, self._structure = (
            SubElement(self._root, name) for name in ("materials", "solids", "structure")
        )

    def of(self, described: Mapping[str, Any]) -> Element:
        """Return the whole document."""
        for name, mixture in described["materials"]["mixtures"].items():
            self._material(self._plain[name], mixture)
        self._volume("World", described["World"])
        setup = SubElement(self._root, "setup", name="Default", version="1.0")
        SubElement(setup, "world", ref="World")
        return self._root

    def _material(self, name: str, mixture: Mapping[str, Any]) -> None:
        element = SubElement(self._materials, "material", name=name)
        SubElement(element, "D", value=repr(mixture["density"]), unit="g/cm3")
        for part, share in mixture["composition"].items():
            SubElement(element, "fraction", n=repr(share), ref=part)

    def _volume(self, name: str, described: Mapping[str, Any]) -> None:
        """Write a volume after all that is in it, as GDML wants it."""
        inside = {key: value for key, value in described.items() if key[0].isupper()}  # calzone's rule
        for key, daughter in inside.items():
            self._volume(_below(name, key), daughter)
        self._solid(f"{name}_solid", described)
        volume = SubElement(self._structure, "volume", name=name)
        material = described["material"]
        SubElement(volume, "materialref", ref=self._plain.get(material, material))
        SubElement(volume, "solidref", ref=f"{name}_solid")
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


def _below(mother: str, name: str) -> str:
    return name if mother == "World" else f"{mother}_{name}"


def _place(mother: Element, name: str, described: Mapping[str, Any]) -> None:
    placed = SubElement(mother, "physvol", name=f"{name}_placed")
    SubElement(placed, "volumeref", ref=name)
    if "position" in described:
        position = SubElement(placed, "position", name=f"{name}_position", unit="mm")
        _set(position, "xyz", described["position"], CM)
    if "rotation" in described:  # GDML turns the mother's axes to the daughter's, calzone the daughter
        rotation = SubElement(placed, "rotation", name=f"{name}_rotation", unit="deg")
        _set(rotation, "xyz", described["rotation"], -1.0)


def _set(element: Element, keys: Iterable[str], values: Iterable[float], factor: float) -> None:
    for key, value in zip(keys, values, strict=True):
        element.set(key, repr(round(value * factor, 9) + 0.0))
