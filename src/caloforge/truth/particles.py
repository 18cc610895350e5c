"""Names of particles, by scikit-hep's `particle`."""

from __future__ import annotations

__all__ = ["interacts_strongly", "particle_name", "pdg_id"]

from typing import Any

from caloforge.errors import Geant4Error, nearest

_COMMON = ("e-", "e+", "gamma", "mu-", "mu+", "pi0", "pi+", "pi-", "K+", "K-", "K(L)0", "p", "n")


def pdg_id(name: str | int) -> int:
    """Return the PDG id of a particle.

    Args:
        name: A name (`e+`, `gamma`, `pi0`, `K+`, `p`) or a PDG id (`-11`, `"22"`).

    Raises:
        Geant4Error: No such particle.

    Example:
        >>> pdg_id("e+"), pdg_id("22")
        (-11, 22)
    """
    text = str(name).strip()
    try:
        found = _by_id(int(text)) if text.lstrip("+-").isdigit() else _by_name(text)
    except LookupError:
        raise _unknown(text) from None
    return int(found.pdgid)


def particle_name(pdg: int) -> str:
    """Return the name of a PDG id, or the id itself where it has none."""
    try:
        return str(_by_id(pdg).name)
    except LookupError:
        return str(pdg)


def interacts_strongly(pdg: int) -> bool:
    """Whether a particle needs hadronic physics: a hadron that does not decay to photons at once."""
    from hepunits import mm

    particle = _by_id(pdg)
    # pi0 and eta decay electromagnetically within micrometres, whatever the physics list.
    short_lived = particle.ctau is not None and particle.ctau < mm
    return bool(particle.pdgid.is_hadron or particle.pdgid.is_nucleus) and not short_lived


def _by_id(pdg: int) -> Any:
    from particle import InvalidParticle, Particle, ParticleNotFound

    try:
        return Particle.from_pdgid(pdg)
    except (InvalidParticle, ParticleNotFound):
        raise LookupError(pdg) from None


def _by_name(name: str) -> Any:
    from particle import Particle, ParticleNotFound
    from particle.exceptions import MatchingIDNotFound

    for search in (Particle.from_name, Particle.from_evtgen_name):
        try:
            return search(name)
        except (ParticleNotFound, MatchingIDNotFound):
            continue
    raise LookupError(name)


def _unknown(text: str) -> Geant4Error:
    from particle import Particle

    names = [*_COMMON, *(particle.name for particle in Particle.all())]
    return Geant4Error(
        f"unknown particle {text!r}",
        where="--particle",
        got=text,
        expected=f"{', '.join(_COMMON)}, another name of the Particle Data Group, or a PDG id",
        near=nearest(text, _COMMON) or nearest(text, names),
    )
