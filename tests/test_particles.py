"""Names of particles, and errors that name the nearest."""

from __future__ import annotations

import pytest

from caloforge.errors import ParticleError
from caloforge.particles import particle_name, pdg_id


@pytest.mark.parametrize(
    ("name", "pdg"),
    [
        ("e+", -11),
        (" e+", -11),
        ("e-", 11),
        ("gamma", 22),
        ("pi0", 111),
        ("pi+", 211),
        ("mu-", 13),
        ("K+", 321),
        ("K_S0", 310),
        ("K(S)0", 310),
        ("p", 2212),
        ("p+", 2212),
        ("n", 2112),
        ("He4", 1000020040),
        ("22", 22),
        ("+22", 22),
        ("electron", 11),
        ("Positron ", -11),
        ("photon", 22),
        ("proton", 2212),
        ("neutron", 2112),
        (-11, -11),
    ],
)
def test_particles_go_by_name_or_pdg_id(name, pdg):
    assert pdg_id(name) == pdg


@pytest.mark.parametrize(
    ("name", "near"), [("gama", "gamma"), ("pi_0", "pi0"), ("K_+", "K+"), ("pion", "pi+"), ("muon", "mu-")]
)
def test_an_unknown_particle_is_refused_with_the_nearest_name(name, near):
    with pytest.raises(ParticleError, match="unknown particle") as error:
        pdg_id(name)
    assert error.value.details["did you mean"] == near


@pytest.mark.parametrize(
    "name", ["", "123456789", "0", "electron?", "²", "1" * 5000, "-22", "1e3", "99999999999999999999"]
)
def test_what_is_no_particle_is_refused(name):
    with pytest.raises(ParticleError, match="unknown particle"):
        pdg_id(name)


def test_particle_names_come_back():
    names = [particle_name(pdg) for pdg in (-11, 22, 111, 310, 0, 424242, 12345678, -999)]
    assert names == ["e+", "gamma", "pi0", "K(S)0", "unknown", "PDG 424242", "PDG 12345678", "PDG -999"]
