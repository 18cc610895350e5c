"""Materials: the names Geant4 knows (its NIST database), and mixtures of one's own."""

from __future__ import annotations

__all__ = ["ELEMENTS", "NIST_MATERIALS", "Mixture", "unknown_material"]

from typing import Annotated

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from caloforge.detector.parts import Density, Part, wrong
from caloforge.errors import nearest

# Elements of Geant4's NIST database, Z = 1 to 98 in order; each is also a material named G4_<symbol>.
_ELEMENTS = """
    H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb
    Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu
    Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf
"""
# Its compounds, without the prefix G4_.
_COMPOUNDS = """
    A-150_TISSUE ACETONE ACETYLENE ADENINE ADIPOSE_TISSUE_ICRP AIR ALANINE ALUMINUM_OXIDE AMBER AMMONIA
    ANILINE ANTHRACENE B-100_BONE BAKELITE BARIUM_FLUORIDE BARIUM_SULFATE BENZENE BERYLLIUM_OXIDE BGO
    BLOOD_ICRP BONE_COMPACT_ICRU BONE_CORTICAL_ICRP BORON_CARBIDE BORON_OXIDE BRAIN_ICRP BUTANE
    N-BUTYL_ALCOHOL C-552 CADMIUM_TELLURIDE CADMIUM_TUNGSTATE CALCIUM_CARBONATE CALCIUM_FLUORIDE
    CALCIUM_OXIDE CALCIUM_SULFATE CALCIUM_TUNGSTATE CARBON_DIOXIDE CARBON_TETRACHLORIDE
    CELLULOSE_CELLOPHANE CELLULOSE_BUTYRATE CELLULOSE_NITRATE CERIC_SULFATE CESIUM_FLUORIDE
    CESIUM_IODIDE CHLOROBENZENE CHLOROFORM CONCRETE CYCLOHEXANE 1,2-DICHLOROBENZENE
    DICHLORODIETHYL_ETHER 1,2-DICHLOROETHANE DIETHYL_ETHER N,N-DIMETHYL_FORMAMIDE DIMETHYL_SULFOXIDE
    ETHANE ETHYL_ALCOHOL ETHYL_CELLULOSE ETHYLENE EYE_LENS_ICRP FERRIC_OXIDE FERROBORIDE FERROUS_OXIDE
    FERROUS_SULFATE FREON-12 FREON-12B2 FREON-13 FREON-13B1 FREON-13I1 GADOLINIUM_OXYSULFIDE
    GALLIUM_ARSENIDE GEL_PHOTO_EMULSION Pyrex_Glass GLASS_LEAD GLASS_PLATE GLUTAMINE GLYCEROL GUANINE
    GYPSUM N-HEPTANE N-HEXANE KAPTON LANTHANUM_OXYBROMIDE LANTHANUM_OXYSULFIDE LEAD_OXIDE LITHIUM_AMIDE
    LITHIUM_CARBONATE LITHIUM_FLUORIDE LITHIUM_HYDRIDE LITHIUM_IODIDE LITHIUM_OXIDE LITHIUM_TETRABORATE
    LUNG_ICRP M3_WAX MAGNESIUM_CARBONATE MAGNESIUM_FLUORIDE MAGNESIUM_OXIDE MAGNESIUM_TETRABORATE
    MERCURIC_IODIDE METHANE METHANOL MIX_D_WAX MS20_TISSUE MUSCLE_SKELETAL_ICRP MUSCLE_STRIATED_ICRU
    MUSCLE_WITH_SUCROSE MUSCLE_WITHOUT_SUCROSE NAPHTHALENE NITROBENZENE NITROUS_OXIDE NYLON-8062
    NYLON-6-6 NYLON-6-10 NYLON-11_RILSAN OCTANE PARAFFIN N-PENTANE PHOSPHORIC_ACID PHOTO_EMULSION
    PLASTIC_SC_VINYLTOLUENE PLUTONIUM_DIOXIDE POLYACRYLONITRILE POLYCARBONATE POLYCHLOROSTYRENE
    POLYETHYLENE MYLAR PLEXIGLASS POLYOXYMETHYLENE POLYPROPYLENE POLYSTYRENE TEFLON
    POLYTRIFLUOROCHLOROETHYLENE POLYVINYL_ACETATE POLYVINYL_ALCOHOL POLYVINYL_BUTYRAL POLYVINYL_CHLORIDE
    POLYVINYLIDENE_CHLORIDE POLYVINYLIDENE_FLUORIDE POLYVINYL_PYRROLIDONE POTASSIUM_IODIDE
    POTASSIUM_OXIDE PROPANE lPROPANE N-PROPYL_ALCOHOL PYRIDINE RUBBER_BUTYL RUBBER_NATURAL
    RUBBER_NEOPRENE SILICON_DIOXIDE SILVER_BROMIDE SILVER_CHLORIDE SILVER_HALIDES SILVER_IODIDE
    SKIN_ICRP SODIUM_CARBONATE SODIUM_IODIDE SODIUM_MONOXIDE SODIUM_NITRATE STILBENE SUCROSE TERPHENYL
    TESTIS_ICRP TETRACHLOROETHYLENE THALLIUM_CHLORIDE TISSUE_SOFT_ICRP TISSUE_SOFT_ICRU-4 TISSUE-METHANE
    TISSUE-PROPANE TITANIUM_DIOXIDE TOLUENE TRICHLOROETHYLENE TRIETHYL_PHOSPHATE TUNGSTEN_HEXAFLUORIDE
    URANIUM_DICARBIDE URANIUM_MONOCARBIDE URANIUM_OXIDE UREA VALINE VITON WATER WATER_VAPOR XYLENE
    GRAPHITE lH2 lN2 lO2 lAr lBr lKr lXe PbWO4 Galactic GRAPHITE_POROUS LUCITE BRASS BRONZE
    STAINLESS-STEEL CR39 OCTADECANOL KEVLAR DACRON NEOPRENE CYTOSINE THYMINE URACIL DEOXYRIBOSE
    DNA_DEOXYRIBOSE DNA_PHOSPHATE DNA_ADENINE DNA_GUANINE DNA_CYTOSINE DNA_THYMINE DNA_URACIL
"""
ELEMENTS = tuple(_ELEMENTS.split())
NIST_MATERIALS = frozenset(f"G4_{name}" for name in (*ELEMENTS, *_COMPOUNDS.split()))


class Mixture(Part):
    """A material of one's own: density in g/cm3, and what it is made of by fraction of mass.

    Example:
        >>> Mixture(density="17.8 g/cm3", composition={"W": 0.93, "Ni": 0.061, "Fe": 0.009}).nist["G4_W"]
        0.93
    """

    density: Density
    composition: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(min_length=1)

    @field_validator("density")
    @classmethod
    def _dense(cls, value: float) -> float:
        if value <= 0:
            raise wrong("a density must be positive", got=f"{value:g} g/cm3", expected="more than 0 g/cm3")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Mixture:
        for name in self.composition:
            if name not in ELEMENTS and name not in NIST_MATERIALS:
                raise unknown_material(name, (*ELEMENTS, *NIST_MATERIALS), at=("composition", name))
        total = sum(self.composition.values())
        if abs(total - 1) > 1e-3:
            raise wrong(
                "the mass fractions do not add up to 1",
                at=("composition",),
                got=f"{total:g}",
                expected="1, within 0.001",
            )
        return self

    @property
    def nist(self) -> dict[str, float]:
        """Mass fractions by Geant4's material names (`W` is `G4_W`)."""
        return {f"G4_{name}" if name in ELEMENTS else name: part for name, part in self.composition.items()}


def unknown_material(
    name: str, valid: tuple[str, ...], at: tuple[str | int, ...] = ()
) -> PydanticCustomError:
    """Return the error for a material nobody knows, with the closest name."""
    # `Pb` is close to nothing in the list and yet clear; `Argon` is close to `Rn` only in letters.
    near = f"G4_{name}" if f"G4_{name}" in valid else nearest(name, sorted(v for v in valid if len(v) > 2))
    return wrong(
        f"unknown material {name!r}",
        at=at,
        got=name,
        expected="a Geant4 NIST name such as G4_Pb, or a mixture defined under `materials:`",
        near=near,
    )
