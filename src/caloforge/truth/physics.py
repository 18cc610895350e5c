"""Geant4's physics lists, as calzone offers them."""

from __future__ import annotations

__all__ = ["ELECTROMAGNETIC", "HADRONIC", "Physics", "needs_hadronic"]

from dataclasses import dataclass
from typing import Any

from caloforge.errors import Geant4Error, nearest
from caloforge.particles import particle_name

ELECTROMAGNETIC = ("standard", "option1", "option2", "option3", "option4", "livermore", "penelope")
HADRONIC = ("FTFP_BERT", "FTFP_BERT_HP", "QGSP_BERT", "QGSP_BERT_HP", "QGSP_BIC", "QGSP_BIC_HP")
_ELECTROMAGNETIC_ALONE = {
    11,
    12,
    13,
    14,
    16,
    22,
    111,
}  # e, mu, neutrinos, gamma, pi0: it ends in photons


@dataclass(frozen=True)
class Physics:
    """An electromagnetic and, if wanted, a hadronic model, with the production cut.

    Args:
        electromagnetic: One of `ELECTROMAGNETIC`.
        hadronic: One of `HADRONIC`, or None for electromagnetic physics alone.
        cut: Range below which no secondary electron, positron or photon is made, mm.

    Example:
        >>> Physics.parse("FTFP_BERT+option4", cut=0.7).electromagnetic
        'option4'
    """

    electromagnetic: str
    hadronic: str | None
    cut: float

    @classmethod
    def parse(cls, text: str, cut: float) -> Physics:
        """Read `standard`, `option4`, `FTFP_BERT` or `FTFP_BERT+option4`; `cut` in mm.

        Raises:
            Geant4Error: An unknown model, two of a kind, or a cut that is not positive.
        """
        if cut <= 0:
            raise Geant4Error(
                "a production cut must be positive",
                where="--cut",
                got=f"{cut:g} mm",
                expected="0.7mm, for example",
            )
        parts = [part.strip() for part in text.split("+")]
        for part in parts:
            if part not in (*ELECTROMAGNETIC, *HADRONIC):
                raise _unknown(part)
        em = [part for part in parts if part in ELECTROMAGNETIC]
        hadronic = [part for part in parts if part in HADRONIC]
        if len(em) > 1 or len(hadronic) > 1:
            raise Geant4Error(
                "only one electromagnetic and one hadronic model can be used at a time",
                where="--physics",
                got=text,
                expected="FTFP_BERT+option4, for example",
            )
        return cls(em[0] if em else "standard", hadronic[0] if hadronic else None, cut)

    def as_dict(self) -> dict[str, Any]:
        """The models, for the provenance of what is made with them."""
        return {"physics": self.electromagnetic, "hadronic_physics": self.hadronic, "cut_mm": self.cut}

    def check(self, pdg: int) -> None:
        """Refuse to shoot what would lose its hadrons, which could only ionise.

        Raises:
            Geant4Error: The particle or what it decays to interacts strongly, and there is no model of that.
        """
        if self.hadronic is None and needs_hadronic(pdg):
            raise Geant4Error(
                f"{particle_name(pdg)} or what it decays to interacts strongly; this physics does not",
                where="--physics",
                got=self.electromagnetic,
                expected="a hadronic model: " + ", ".join(HADRONIC),
                cure="add --physics FTFP_BERT",
            )


def needs_hadronic(pdg: int) -> bool:
    """Whether a particle interacts strongly or decays to what does, as eta, tau and Sigma0 do."""
    return abs(pdg) not in _ELECTROMAGNETIC_ALONE


def _unknown(part: str) -> Geant4Error:
    models = (*ELECTROMAGNETIC, *HADRONIC)
    return Geant4Error(
        f"unknown physics {part!r}",
        where="--physics",
        got=part,
        expected=", ".join(models) + ", or one of each kind as FTFP_BERT+option4",
        near=nearest(part, models),
    )
