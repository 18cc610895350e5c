"""Geant4's physics lists, as calzone offers them."""

from __future__ import annotations

__all__ = ["ELECTROMAGNETIC", "HADRONIC", "Physics", "interacts_strongly"]

from dataclasses import dataclass

from caloforge.errors import Geant4Error, nearest
from caloforge.particles import known_particle, particle_name

ELECTROMAGNETIC = ("standard", "option1", "option2", "option3", "option4", "livermore", "penelope")
HADRONIC = ("FTFP_BERT", "FTFP_BERT_HP", "QGSP_BERT", "QGSP_BERT_HP", "QGSP_BIC", "QGSP_BIC_HP")


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

    def check(self, pdg: int) -> None:
        """Refuse to shoot a hadron that could only ionise.

        Raises:
            Geant4Error: The particle interacts strongly and there is no hadronic model.
        """
        if self.hadronic is None and interacts_strongly(pdg):
            raise Geant4Error(
                f"{particle_name(pdg)} interacts strongly; this physics knows electromagnetism only",
                where="--physics",
                got=self.electromagnetic,
                expected="a hadronic model: " + ", ".join(HADRONIC),
                cure="add --physics FTFP_BERT",
            )


def interacts_strongly(pdg: int) -> bool:
    """Whether a particle needs hadronic physics: a hadron that does not decay to photons at once."""
    from hepunits import mm

    particle = known_particle(pdg)
    # pi0 and eta decay electromagnetically within micrometres, whatever the physics list.
    short_lived = particle.ctau is not None and particle.ctau < mm
    return bool(particle.pdgid.is_hadron or particle.pdgid.is_nucleus) and not short_lived


def _unknown(part: str) -> Geant4Error:
    models = (*ELECTROMAGNETIC, *HADRONIC)
    return Geant4Error(
        f"unknown physics {part!r}",
        where="--physics",
        got=part,
        expected=", ".join(models) + ", or one of each kind as FTFP_BERT+option4",
        near=nearest(part, models),
    )
