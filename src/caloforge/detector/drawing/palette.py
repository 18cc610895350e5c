"""Colours: warm for what is read out, cool and dark for absorbers, nearly white for gas."""

from __future__ import annotations

__all__ = ["ACTIVE_HATCH", "CELL", "FIRST", "GREY", "INK", "SECOND", "material_colours"]

from caloforge.detector.detector import Detector

INK = "#1f2a37"
GREY = "#55606e"
CELL = "#eef3f8"
FIRST = "#e4572e"
SECOND = "#f3a712"
ACTIVE_HATCH = "//"  # for eyes and printers without colours

_ABSORBERS = ("#66788c", "#3f7d6b", "#a5673f", "#8a6fae", "#9aa5b1", "#4a6fa5", "#7f8c4f")
_ACTIVE = ("#f6c344", "#6fc3df", "#ef8f6b", "#b7d968")
_GAS = {"G4_AIR", "G4_Galactic"}


def material_colours(detector: Detector) -> dict[str, str]:
    """Return a colour for each material of the stack, in order of depth."""
    colours: dict[str, str] = {}
    active = {plate.material for plate in detector.plates if plate.active}
    used = {"active": 0, "absorber": 0}
    for material in dict.fromkeys(plate.material for plate in detector.plates):
        if material in _GAS:
            colours[material] = "#f7f9fb"
            continue
        kind, choices = ("active", _ACTIVE) if material in active else ("absorber", _ABSORBERS)
        colours[material] = choices[used[kind] % len(choices)]
        used[kind] += 1
    return colours
