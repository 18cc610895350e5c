"""Materials of a GDML file as Geant4's own or as mixtures."""

from __future__ import annotations

__all__ = ["Materials", "bare"]

import re
from collections import defaultdict
from xml.etree.ElementTree import Element

from caloforge.detector.gdml.numbers import Numbers
from caloforge.detector.materials import Mixture
from caloforge.detector.nist import ELEMENTS, NIST_MATERIALS
from caloforge.errors import DetectorError

_DENSITIES = {"g/cm3": 1.0, "kg/m3": 1e-3, "mg/cm3": 1e-3, "kg/cm3": 1e3, "g/m3": 1e-6}
_VACUUM = 1e-12  # g/cm3
_SAME = 0.01  # relative difference of two densities that are one
_DEEPEST = 100  # materials made of materials


def bare(name: str) -> str:
    """Return a name without the address in memory that Geant4 appends."""
    return re.sub(r"0x[0-9a-f]{6,}$", "", name)


class Materials:
    """Finds what a material is in our words.

    Args:
        root: The file's `<gdml>`.
        numbers: Its numbers.
        where: Its name, for errors.

    Attributes:
        mixtures: What was found so far and is not Geant4's, by name.
        notes: What was not taken over.
    """

    def __init__(self, root: Element, numbers: Numbers, where: str) -> None:
        self._numbers, self._where = numbers, where
        below = list(root.iterfind("materials/*"))
        # An element and a material may have one name.
        self._elements = {one.get("name", ""): one for one in below if one.tag == "element"}
        self._isotopes = {one.get("name", ""): one for one in below if one.tag == "isotope"}
        self._materials = {one.get("name", ""): one for one in below if one.tag == "material"}
        self.mixtures: dict[str, Mixture] = {}
        self.notes: list[str] = []
        self._found: dict[str, str] = {}

    def named(self, reference: str) -> str:
        """Return the name in the detector's file of a material of the GDML file.

        Raises:
            DetectorError: Nobody knows what it is made of.
        """
        if reference not in self._found:
            self._found[reference] = self._named(reference)
        return self._found[reference]

    def _named(self, reference: str) -> str:
        name, element = bare(reference), self._materials.get(reference)
        if element is None:
            if name in NIST_MATERIALS:
                return name
            raise self._unknown(reference, "not defined, and none of Geant4's")
        density = self._density(element)
        if density < _VACUUM:
            return "G4_Galactic"
        if name in NIST_MATERIALS and self._like(name, density):
            return name
        parts = self._fractions(element, 0)
        single = f"G4_{next(iter(parts))}"
        if len(parts) == 1 and self._like(single, density):
            return single
        return self._mixture(name, density, parts, element)

    def _mixture(self, name: str, density: float, parts: dict[str, float], element: Element) -> str:
        own = re.sub(r"[^\w.-]", "-", name, flags=re.ASCII).lstrip("_.-") or "material"
        own = f"own-{own}" if own.startswith("G4_") else own
        total = sum(parts.values())
        shares = {symbol: round(part / total, 9) for symbol, part in parts.items() if part > 0}
        mixture = Mixture.model_validate({"density": f"{density:.9g} g/cm3", "composition": shares})
        while own in self.mixtures and self.mixtures[own] != mixture:
            own += "-2"
        self.mixtures[own] = mixture
        lost = [what for what in ("T", "P", "MEE") if element.find(what) is not None]
        if lost:
            words = {"T": "temperature", "P": "pressure", "MEE": "mean excitation energy"}
            self.notes.append(f"{own}: its {', '.join(words[what] for what in lost)}; Geant4 takes its own")
        return own

    def _density(self, element: Element) -> float:
        given = element.find("D")
        if given is None:
            raise self._unknown(element.get("name", ""), "it has no density <D>")
        unit = given.get("unit", "g/cm3")
        if unit not in _DENSITIES:
            raise self._unknown(element.get("name", ""), f"its density is in {unit}")
        density = self._numbers.value(given, "value") * _DENSITIES[unit]
        if density < 0:
            raise self._unknown(element.get("name", ""), f"its density is {density:g} g/cm3")
        return density

    def _like(self, name: str, density: float) -> bool:
        known = NIST_MATERIALS.get(name)
        return known is not None and abs(known.density - density) < _SAME * known.density

    def _fractions(self, material: Element, depth: int) -> dict[str, float]:
        """Shares of the mass by symbol of the element; they need not add up to 1."""
        name = material.get("name", "")
        if depth > _DEEPEST:
            raise self._unknown(name, "it is made of itself")
        if "Z" in material.attrib:
            return {self._symbol(material): 1.0}
        shares: dict[str, float] = defaultdict(float)
        for part in material.iterfind("fraction"):
            below = self._made_of(part.get("ref", ""), depth)
            weight = self._numbers.value(part, "n") / sum(below.values())
            for symbol, share in below.items():
                shares[symbol] += weight * share
        for part in material.iterfind("composite"):
            atom = self._element(part.get("ref", ""), name)
            shares[self._symbol(atom)] += self._numbers.value(part, "n") * self._mass(atom)
        if not sum(shares.values()) > 0:
            raise self._unknown(name, "it has no composition")
        return dict(shares)

    def _made_of(self, reference: str, depth: int) -> dict[str, float]:
        if reference in self._elements:
            return {self._symbol(self._elements[reference]): 1.0}
        if reference in self._materials:
            return self._fractions(self._materials[reference], depth + 1)
        name = bare(reference)
        if name.removeprefix("G4_") in ELEMENTS:
            return {name.removeprefix("G4_"): 1.0}
        if name in NIST_MATERIALS:
            return {name: 1.0}
        raise self._unknown(reference, "not defined, and none of Geant4's")

    def _element(self, reference: str, material: str) -> Element:
        if reference not in self._elements:
            raise self._unknown(material, f"the element {reference!r} is not defined")
        return self._elements[reference]

    def _isotopes_of(self, element: Element) -> list[tuple[float, Element]]:
        parts = [(self._numbers.value(p, "n"), p.get("ref", "")) for p in element.iterfind("fraction")]
        return [(share, self._isotopes[ref]) for share, ref in parts if ref in self._isotopes]

    def _symbol(self, element: Element) -> str:
        source = (
            element if "Z" in element.attrib else next((i for _, i in self._isotopes_of(element)), element)
        )
        number = round(self._numbers.value(source, "Z"))
        if not 1 <= number <= len(ELEMENTS):
            raise self._unknown(element.get("name", ""), f"there is no element {number}")
        return ELEMENTS[number - 1]

    def _mass(self, element: Element) -> float:
        """Mass of an atom, g/mole."""
        isotopes = self._isotopes_of(element)
        if isotopes:
            return sum(share * self._mass(isotope) for share, isotope in isotopes)
        atom = element.find("atom")
        if atom is None:
            raise self._unknown(element.get("name", ""), "the mass of its atoms is not given")
        return self._numbers.value(atom, "value")

    def _unknown(self, name: str, why: str) -> DetectorError:
        return DetectorError(
            f"what the material {bare(name)!r} is made of cannot be told",
            where=self._where,
            got=why,
            expected="a density and a composition, or a name of Geant4's such as G4_Pb",
        )
