"""Names of particles, by scikit-hep's `particle`."""

from __future__ import annotations

__all__ = ["known_particle", "particle_name", "pdg_id"]

import re
from functools import cache
from typing import Any

from caloforge.errors import ParticleError, nearest

_WORDS = {"electron": "e-", "positron": "e+", "photon": "gamma", "proton": "p", "neutron": "n"}
_OF_TWO_CHARGES = {"muon": "mu-", "pion": "pi+", "kaon": "K+", "tau": "tau-"}
_COMMON = ("e-", "e+", "gamma", "mu-", "mu+", "pi0", "pi+", "pi-", "K+", "K-", "K(L)0", "p", "n")


def pdg_id(name: str | int, where: object = "--particle") -> int:
    """Return the PDG id of a particle.

    Args:
        name: A name (`e+`, `gamma`, `pi0`, `K_S0`, `He4`, `electron`) or a PDG id (`-11`, `"22"`).
        where: What to name in an error.

    Raises:
        ParticleError: No such particle.

    Example:
        >>> pdg_id("e+"), pdg_id("22")
        (-11, 22)
    """
    text = str(name).strip()
    text = _WORDS.get(text.lower(), text)
    try:
        found = known_particle(int(text)) if _is_number(text) else _by_name(text)
    except LookupError:
        raise _unknown(text, where) from None
    return int(found.pdgid)


def particle_name(pdg: int) -> str:
    """Return the name of a PDG id: `unknown` for 0, `PDG 424242` where it has none."""
    try:
        return str(known_particle(pdg).name) if pdg else "unknown"
    except LookupError:
        return f"PDG {pdg}"


def known_particle(pdg: int) -> Any:
    """Return what `particle` knows of a PDG id: mass, lifetime, kind.

    Raises:
        LookupError: There is no particle of this id.
    """
    from particle import InvalidParticle, Particle, ParticleNotFound

    try:
        return Particle.from_pdgid(pdg)
    except (InvalidParticle, ParticleNotFound):
        raise LookupError(pdg) from None


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]{1,20}", text) is not None


def _by_name(name: str) -> Any:
    from particle import Particle, ParticleNotFound
    from particle.exceptions import MatchingIDNotFound

    for search in (Particle.from_name, Particle.from_evtgen_name):
        try:
            return search(name)
        except (ParticleNotFound, MatchingIDNotFound):
            continue
    raise LookupError(name)


@cache
def _all_names() -> tuple[str, ...]:
    from particle import Particle

    return *_COMMON, *(str(particle.name) for particle in Particle.all())


def _unknown(text: str, where: object) -> ParticleError:
    return ParticleError(
        f"unknown particle {text!r}",
        where=where,
        got=text,
        expected=f"{', '.join(_COMMON)}, another name of the Particle Data Group, or a PDG id",
        near=_OF_TWO_CHARGES.get(text.lower()) or nearest(text, _COMMON) or nearest(text, _all_names()),
    )
