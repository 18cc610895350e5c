"""Showers against Geant4's own reference, against tables, and against showers that others made."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from caloforge.detector import Detector, load_detector
from caloforge.detector.nist import NIST_MATERIALS
from caloforge.quantities import Interval, Spectrum
from caloforge.showers import Showers
from caloforge.truth import simulate

pytestmark = [pytest.mark.slow, pytest.mark.geant4]


def shoot(detector, particle, energy, count, folder, **more):
    spectrum = Spectrum.parse(energy)
    path = simulate(
        detector, particle=particle, energy=spectrum, count=count, out=folder / "a.h5", seed=2, jobs=2, **more
    )
    return Showers.load(path)


def sandwich(name, layers, absorber, active, size, deposits):
    """A stack of `layers` pairs of slabs, each slab a layer of one cell."""
    thicknesses = [absorber[1], active[1]] * layers
    grid = {"kind": "cartesian", "window": [f"{size} mm"] * 2, "cells": [1, 1]}
    document = {
        "name": name,
        "size": [f"{size} mm"] * 2,
        "materials": {"Argon": {"density": "1.390 g/cm3", "composition": {"Ar": 1.0}}},
        "stack": [
            {
                "repeat": layers,
                "slabs": [
                    {"material": absorber[0], "thickness": f"{absorber[1]} mm"},
                    {"material": active[0], "thickness": f"{active[1]} mm", "active": True},
                ],
            }
        ],
        "readout": {
            "deposits": deposits,
            "layers": [{"thickness": f"{thickness} mm", "grid": grid} for thickness in thicknesses],
        },
    }
    return Detector.model_validate(document)


def agrees(values, reference, error):
    """Whether a mean and a reference with its error agree within three of their errors together."""
    own = values.std(ddof=1) / len(values) ** 0.5
    return abs(values.mean() - reference) < 3 * np.hypot(own, error)


def test_testem3(tmp_path):
    # Geant4's own output of its example TestEm3, release 11.4.0: mean energy in lead and in argon, MeV.
    detector = sandwich("testem3", 50, ("G4_Pb", 2.3), ("Argon", 5.7), 400, "all")
    showers = shoot(detector, "e-", "1GeV", 800, tmp_path)
    lead, argon = showers.cells[:, ::2].sum(1), showers.cells[:, 1::2].sum(1)
    assert agrees(lead, 774.03, 1.46)
    assert agrees(argon, 215.74, 1.34)


@pytest.mark.parametrize(("energy", "count", "fraction"), [("1GeV", 400, 0.190), ("10GeV", 60, 0.189)])
def test_the_argon_of_calogan(tmp_path, energy, count, fraction):
    detector = sandwich("calogan-argon", 80, ("G4_Pb", 2), ("Argon", 4), 1000, "active")
    showers = shoot(detector, "e+", energy, count, tmp_path)
    response = showers.cells.sum(1) / showers.incident.energy
    assert agrees(response, fraction, 0.0005)


@pytest.mark.parametrize(("energy", "count", "fraction"), [("1GeV", 400, 0.020), ("10GeV", 60, 0.0197)])
def test_silicon_and_tungsten(tmp_path, energy, count, fraction):
    detector = sandwich("silicon", 40, ("G4_W", 3.5), ("G4_Si", 0.5), 700, "active")
    showers = shoot(detector, "e-", energy, count, tmp_path)
    response = showers.cells.sum(1) / showers.incident.energy
    assert agrees(response, fraction, 0.0003)


def test_the_resolution_of_calice(tmp_path):
    # arXiv:0811.2354: (16.6 +- 0.1) % / sqrt(E/GeV) and (1.1 +- 0.1) % in quadrature, layers weighted as
    # their tungsten, 1 : 2 : 3.
    showers = shoot(load_detector("calice-siw"), "e-", "20GeV", 200, tmp_path, x="-5:5mm", y="-5:5mm")
    layers = np.stack([layer.sum(axis=(1, 2)) for layer in showers.layers()], axis=1)
    energy = layers @ np.repeat([1.0, 2.0, 3.0], 10)
    resolution = energy.std(ddof=1) / energy.mean()
    published = np.hypot(0.166 / np.sqrt(20), 0.011)
    assert abs(resolution - published) < 3 * resolution / np.sqrt(2 * len(energy))


def test_the_gaps_of_allegro_grow(tmp_path):
    # Sampling fractions of key4hep's digitisation for ALLEGRO_o1_v03 (10 GeV electrons, all polar angles):
    # ours, with its glue and steel mixed into the lead and other physics, are 2 to 6 % larger in each layer.
    published = np.array([0.13494, 0.14287, 0.14839, 0.15298, 0.15710, 0.16064, 0.16417])
    active = load_detector("allegro")
    everything = Detector.from_yaml(active.to_yaml().replace("deposits: active", "deposits: all"))
    aimed = {"x": "-20:20mm", "y": "-10:10mm", "theta": "0:40deg", "phi": "90deg"}
    read = []
    for detector in (active, everything):
        showers = shoot(detector, "e-", "10GeV", 60, tmp_path, **aimed)
        (tmp_path / "a.h5").unlink()
        read.append(np.stack([layer.sum(axis=(1, 2)) for layer in showers.layers()], axis=1).sum(axis=0))
    fractions = (read[0] / read[1])[1:8]
    np.testing.assert_allclose(fractions, published, rtol=0.08)
    assert fractions[6] / fractions[0] == pytest.approx(published[6] / published[0], rel=0.06)


def test_the_moliere_radius_of_crystals(tmp_path):
    # Review of Particle Physics: 10 % of a shower lies outside of the Moliere radius, 1 % outside of 3.5.
    radius = NIST_MATERIALS["G4_PbWO4"].moliere_radius
    grid = {"kind": "polar", "alpha": 1, "r_edges": f"0, {radius}, {3.5 * radius} mm"}
    showers = shoot(
        Detector.model_validate(
            {
                "name": "rings",
                "size": ["400 mm", "400 mm"],
                "stack": [{"slabs": [{"material": "G4_PbWO4", "thickness": "230 mm", "active": True}]}],
                "readout": {"deposits": "active", "layers": [{"thickness": "230 mm", "grid": grid}]},
            }
        ),
        "e-",
        "10GeV",
        60,
        tmp_path,
    )
    whole = showers.cells.sum(axis=1) + showers.overflow.sum(axis=1)
    inside = (showers.cells.cumsum(axis=1) / whole[:, None]).mean(axis=0)
    assert inside[0] == pytest.approx(0.90, abs=0.04)
    assert inside[1] == pytest.approx(0.99, abs=0.01)


def test_the_silicon_of_par04(tmp_path):
    # 0.0319 with these tables, 0.033 is the calibration constant of Geant4's example Par04.
    showers = shoot(load_detector("calochallenge-2"), "e-", "10GeV", 60, tmp_path)
    silicon = (showers.cells.sum(1) + showers.overflow.sum(1)) * 0.033 / showers.incident.energy
    assert agrees(silicon, 0.0319, 0.0001)
    # Nearly all of it is in the mesh; the rest is beside it, and nothing is below the threshold.
    assert 0.95 < (showers.cells.sum(1) / (showers.cells.sum(1) + showers.overflow.sum(1))).mean() < 1
    assert showers.cells[showers.cells > 0].min() >= np.float32(0.01515)


def test_calogan_agrees_with_published_showers(tmp_path, published):
    showers = shoot(load_detector("calogan"), "e+", "1:30GeV", 120, tmp_path)
    mine = calogan_figures(showers.incident.energy, showers.layers(), showers.overflow)
    with h5py.File(published / "calogan" / "positrons.h5") as file:
        energy, overflow = file["energy"][:, 0] * 1e3, file["overflow"][:]
        layers = [file[f"layer_{i}"][:] for i in range(3)]
    near = energy < 30_000
    others = calogan_figures(energy[near], [layer[near] for layer in layers], overflow[near])
    assert_alike(mine, showers.incident.energy, others, energy[near])


def calogan_figures(energy, layers, overflow):
    total = sum(layer.sum((1, 2)) for layer in layers)
    front, middle, back = layers
    y = 5 * (np.arange(96) - 47.5)
    return {
        "response": total / energy,
        "beside": overflow.sum(1) / energy,
        "front": front.sum((1, 2)) / total,
        "back": back.sum((1, 2)) / total,
        **{f"occupancy {i}": (layer > 0).mean((1, 2)) for i, layer in enumerate(layers)},
        "y": front.sum(1) @ y / front.sum((1, 2)),
        "y width": np.sqrt(front.sum(1) @ y**2 / front.sum((1, 2))),
        "x width": np.sqrt(middle.sum(2) @ (40 * (np.arange(12) - 5.5)) ** 2 / middle.sum((1, 2))),
        "maximum": front.max((1, 2)) / total,
    }


def test_clic_agrees_with_published_showers(tmp_path, published):
    cell = Interval(-2.55, 2.55)
    showers = shoot(load_detector("clic"), "e-", "10:40GeV", 80, tmp_path, x=cell, y=cell)
    mine = clic_figures(showers.incident.energy, np.stack(showers.layers(), axis=-1))
    with h5py.File(published / "clic" / "electrons.h5") as file:
        energy = file["target"][:, 1] * 1e3
        near = energy < 40_000
        others = clic_figures(energy[near], file["ECAL"][:][near] * 1e3)
    assert_alike(mine, showers.incident.energy, others, energy[near])


def clic_figures(energy, cells):
    total, layers = cells.sum((1, 2, 3)), cells.sum((1, 2))
    x = np.arange(25) - 12
    along_x = cells.sum((2, 3))
    mean = along_x @ x / total
    return {
        "response": total / energy,
        # Cells with the last crumbs depend on how a step at a border is shared: here exactly, there in parts
        # of 1 mm. That is 1.8 % of all cells with energy, and 0.4 % of those above 100 keV.
        "occupancy": (cells > 0.1).mean((1, 2, 3)),
        "first layers": layers[:, :8].sum(1) / total,
        "last layers": layers[:, 18:].sum(1) / total,
        "depth": layers @ np.arange(25) / total,
        "barycentre": mean,
        "distance of the barycentre": np.abs(mean),
        "width": np.sqrt(along_x @ x**2 / total - mean**2),
        "core": cells[:, 11:14, 11:14].sum((1, 2, 3)) / total,
        "maximum": cells.max((1, 2, 3)) / total,
    }


def assert_alike(mine, my_energy, others, energy):
    """Compare means, after what the energy explains is taken away; nothing beyond four errors."""
    pulls = {}
    for name, values in others.items():
        trend = np.polyfit(np.log(energy), values, 2)
        theirs = values - np.polyval(trend, np.log(energy))
        rest = mine[name] - np.polyval(trend, np.log(my_energy))
        error = np.hypot(rest.std() / len(rest) ** 0.5, theirs.std() / len(theirs) ** 0.5)
        pulls[name] = float((rest.mean() - theirs.mean()) / error)
    assert max(map(abs, pulls.values())) < 4, pulls
    assert np.mean(np.square(list(pulls.values()))) < 3, pulls
