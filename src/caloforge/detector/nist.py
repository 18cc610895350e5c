"""Geant4's own materials (its NIST data base): names, common words for them, what they are to a shower."""

from __future__ import annotations

__all__ = ["ELEMENTS", "NIST_MATERIALS", "NistMaterial", "find_materials", "nearest_material"]

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files

from caloforge.errors import DetectorError, nearest


@dataclass(frozen=True)
class NistMaterial:
    """A material of Geant4's, with lengths for showers (docs/detectors.md says how they were computed).

    Attributes:
        name: As in a detector file.
        density: In g/cm3.
        radiation_length: In mm.
        moliere_radius: In mm.
        interaction_length: Nuclear, in mm.
        electron_density: In mol/cm3.
        mean_excitation_energy: In eV.
    """

    name: str
    density: float
    radiation_length: float
    moliere_radius: float
    interaction_length: float
    electron_density: float
    mean_excitation_energy: float


def _read() -> dict[str, NistMaterial]:
    table = (files("caloforge.detector") / "nist.txt").read_text(encoding="utf-8").splitlines()[1:]
    return {row[0]: NistMaterial(row[0], *map(float, row[1:])) for row in map(str.split, table)}


NIST_MATERIALS = _read()
"""Geant4's materials by name: elements by their number, then compounds."""

ELEMENTS = tuple(name[3:] for name in NIST_MATERIALS if len(name) <= len("G4_Pb"))
"""Symbols of the elements; each is also a material, `Pb` is `G4_Pb`."""

# What people call some of them, without the prefix G4_.
_COMMON = """
    acrylic: PLEXIGLASS; aluminium: Al; aluminum: Al; argon: Ar; baf2: BARIUM_FLUORIDE; beryllium: Be;
    carbon: C; copper: Cu; csi: CESIUM_IODIDE; glass: GLASS_PLATE; gold: Au; iron: Fe; krypton: Kr;
    lead: Pb; lead glass: GLASS_LEAD; lead tungstate: PbWO4; liquid argon: lAr; liquid krypton: lKr;
    liquid xenon: lXe; nai: SODIUM_IODIDE; nickel: Ni; perspex: PLEXIGLASS; plastic:
    PLASTIC_SC_VINYLTOLUENE; plexiglas: PLEXIGLASS; pmma: PLEXIGLASS; pwo: PbWO4; quartz:
    SILICON_DIOXIDE; scintillator: PLASTIC_SC_VINYLTOLUENE; silicon: Si; silver: Ag; steel:
    STAINLESS-STEEL; tin: Sn; titanium: Ti; tungsten: W; uranium: U; vacuum: Galactic; wolfram: W;
    xenon: Xe; zinc: Zn
"""
_WORDS = dict(pair.strip().split(": ") for pair in " ".join(_COMMON.split()).split(";"))


def find_materials(pattern: str | None = None) -> list[NistMaterial]:
    """Return Geant4's materials whose name has `pattern` in it, and the one that the word commonly means.

    Args:
        pattern: Part of a name (`iodide`), a pattern (`G4_l*`), or a common word (`lead`); all if None.

    Raises:
        DetectorError: Nothing fits.
    """
    if pattern is None:
        return list(NIST_MATERIALS.values())
    meant, low = _by_word(pattern), pattern.lower()
    wild = low if any(sign in low for sign in "*?[") else f"*{low}*"
    found = [m for name, m in NIST_MATERIALS.items() if name == meant or fnmatchcase(name.lower(), wild)]
    if not found:
        raise DetectorError(
            f"no material of Geant4's fits {pattern!r}",
            got=pattern,
            expected="a part of a name (iodide), a pattern ('G4_l*'), or a common word (lead)",
            near=nearest_material(pattern, NIST_MATERIALS),
        )
    return sorted(found, key=lambda material: material.name != meant)


def nearest_material(name: str, valid: Iterable[str]) -> str | None:
    """Return the material that `name` was probably meant to be: by word, by symbol, or by letters."""
    names, meant = list(valid), _by_word(name)
    if meant in names:
        return meant
    # The symbol of an element is close to nothing in letters, or to the wrong one.
    return nearest(name, sorted(n for n in names if len(n) > 2))


def _by_word(word: str) -> str | None:
    text = word.strip().lower().replace("_", " ").replace("-", " ").removeprefix("g4 ")
    symbol = {name[3:].lower(): name for name in NIST_MATERIALS}.get(word.strip().lower().removeprefix("g4_"))
    return f"G4_{_WORDS[text]}" if text in _WORDS else symbol
