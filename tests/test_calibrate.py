"""Sampling fractions from showers: the best unbiased estimate, against formulas that are written out here."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from caloforge.cli.main import app
from caloforge.detector import Detector, load_detector
from caloforge.errors import DetectorError, ShowersError
from caloforge.observables.calibration import calibrate
from caloforge.showers import Incident, Showers, open_showers

SECTIONS = """
name: sections
shape: planar
size: [1 m, 1 m]
stack:
  - repeat: 2
    slabs: [{material: G4_W, thickness: 1 mm}, {material: G4_Si, thickness: 1 mm, active: true}]
  - repeat: 2
    slabs: [{material: G4_W, thickness: 3 mm}, {material: G4_Si, thickness: 1 mm, active: true}]
readout:
  deposits: active
  %s
  layers:
    - {name: thin, count: 2, thickness: 2 mm, grid: {kind: cartesian, window: [1 m, 1 m], cells: [1, 2]}}
    - {name: thick, count: 2, thickness: 4 mm, grid: {kind: cartesian, window: [1 m, 1 m], cells: [1, 2]}}
"""


def detector(more=""):
    return Detector.from_yaml(SECTIONS % more)


def written(path, layers, energy, which=None):
    """A file of showers with given energies in the layers, each in one of its two cells."""
    cells = np.zeros((len(energy), 8), np.float32)
    cells[:, ::2] = layers
    Showers(which or detector(), Incident.of(energy, pdg=11), cells).save(path)
    return path


def fitted(path, by="section"):
    with open_showers(path) as source:
        return calibrate(source, by)


def sample(n, seed=1):
    """Deposits that share the energy at random, with noise of their own in each layer."""
    rng = np.random.default_rng(seed)
    energy = rng.uniform(5e3, 5e4, n).astype(np.float32).astype(float)
    share = rng.beta(8, 8, n)
    of = np.stack([0.06 * share, 0.05 * share, 0.012 * (1 - share), 0.02 * (1 - share)], axis=1)
    return energy, of * energy[:, None] * rng.normal(1, 0.05, of.shape)


def best(shares, energy):
    """The weights of least variance whose mean is 1, by the inverse covariance (Lagrange)."""
    mean = np.average(shares, axis=0, weights=energy)
    solved = np.linalg.solve(np.cov(shares.T, aweights=energy, ddof=0), mean)
    return solved / (mean @ solved)


def test_the_fractions_are_the_best_unbiased_ones(tmp_path):
    energy, layers = sample(2000)
    path = written(tmp_path / "s.h5", layers, energy)
    shares = (layers / energy[:, None]).astype(np.float32).astype(float)
    found = fitted(path, "layer")
    assert [s.layers for s in found.sections] == [("thin_0",), ("thin_1",), ("thick_0",), ("thick_1",)]
    assert [1 / s.sampling_fraction for s in found.sections] == pytest.approx(best(shares, energy), rel=1e-3)
    found = fitted(path)
    assert [s.layers for s in found.sections] == [("thin_0", "thin_1"), ("thick_0", "thick_1")]
    two = np.stack([shares[:, :2].sum(1), shares[:, 2:].sum(1)], axis=1)
    assert [1 / s.sampling_fraction for s in found.sections] == pytest.approx(best(two, energy), rel=1e-3)
    one = fitted(path, "detector")
    mean = np.average(shares.sum(1), weights=energy)
    assert one.sections[0].sampling_fraction == pytest.approx(mean, rel=1e-4)
    assert found.precision.constant[0] < 0.3 * one.precision.constant[0]
    assert found.single.constant == pytest.approx(one.precision.constant, rel=1e-9)


def test_errors_are_those_of_samples_made_anew(tmp_path):
    found = [fitted(written(tmp_path / f"{i}.h5", *sample(400, i)[::-1])).sections[0] for i in range(20)]
    spread = np.std([section.sampling_fraction for section in found], ddof=1)
    assert np.mean([section.error for section in found]) == pytest.approx(spread, rel=0.5)


def test_the_terms_of_the_resolution_come_back(tmp_path):
    rng = np.random.default_rng(3)
    energy = np.exp(rng.uniform(np.log(1e3), np.log(1e5), 20_000)).astype(np.float32).astype(float)
    sigma = np.hypot(0.15 / np.sqrt(energy / 1e3), 0.02)
    layers = np.zeros((len(energy), 4))
    layers[:, 0] = 0.03 * energy * rng.normal(1, sigma)
    found = fitted(written(tmp_path / "s.h5", layers, energy), "detector")
    (a, da), (c, dc) = found.precision.stochastic, found.precision.constant
    assert abs(a - 0.15) < 4 * da < 0.01
    assert abs(c - 0.02) < 4 * dc < 0.01
    assert [b.showers for b in found.bins] == [4000] * 5
    for b in found.bins:
        assert b.resolution[0] == pytest.approx(
            np.hypot(0.15 / np.sqrt(np.sqrt(b.low * b.high) / 1e3), 0.02), rel=0.15
        )


def test_a_layer_of_noise_counts_as_little_as_is_possible(tmp_path):
    energy, layers = sample(1000)
    layers[:, 3] = np.random.default_rng(2).exponential(2e3, len(energy))
    found = fitted(written(tmp_path / "s.h5", layers, energy), "layer")
    assert [s.at_limit for s in found.sections] == [False, False, False, True]
    assert found.detector.sampling_fractions[3] == 1.0


def test_the_calibrated_detector_adds_up_and_is_read_back(tmp_path):
    energy, layers = sample(1000)
    found = fitted(written(tmp_path / "s.h5", layers, energy)).detector
    total = (layers / found.sampling_fractions).sum(1) / energy
    assert np.average(total, weights=energy) == pytest.approx(1, abs=1e-4)
    assert Detector.from_yaml(found.to_yaml()) == found
    assert found.slabs == detector().slabs
    # Fractions that the showers were made with are taken out first.
    given = detector("sampling_fraction: 0.5")
    again = fitted(written(tmp_path / "t.h5", layers / 0.5, energy, given)).detector
    assert again.sampling_fractions == pytest.approx(found.sampling_fractions, rel=1e-4)


def test_one_fraction_is_that_of_the_readout():
    calogan = load_detector("calogan")
    same = calogan.with_fractions([0.2] * 3)
    assert same.readout.sampling_fraction == 0.2
    assert [layer.sampling_fraction for layer in same.layers] == [None] * 3
    own = calogan.with_fractions([0.2, 0.3, 0.3])
    assert own.sampling_fractions.tolist() == [0.2, 0.3, 0.3]
    assert [layer.grid for layer in own.layers] == [layer.grid for layer in calogan.layers]
    with pytest.raises(DetectorError, match="one sampling fraction for each layer"):
        calogan.with_fractions([0.2])


def test_what_cannot_be_fitted_says_why(tmp_path):
    energy, layers = sample(50)
    few = written(tmp_path / "few.h5", layers, energy)
    with pytest.raises(ShowersError, match="too few showers for 4 sampling fractions") as error:
        fitted(few, "layer")
    assert "100 or more" in str(error.value)
    with pytest.raises(ShowersError, match="unknown --by"):
        fitted(few, "sections")
    energy, layers = sample(500)
    layers[:, 2:] = 0
    with pytest.raises(ShowersError, match="layers without any energy") as error:
        fitted(written(tmp_path / "empty.h5", layers, energy))
    assert "thick_0, thick_1" in str(error.value)


def test_the_command_prints_and_writes(tmp_path):
    energy, layers = sample(500)
    path = written(tmp_path / "s.h5", layers, energy)
    out = tmp_path / "cal.yaml"
    result = CliRunner().invoke(
        app, ["detector", "calibrate", str(path), "--out", str(out)], catch_exceptions=False
    )
    for words in ("thin_0, thin_1", "weight of a deposit", "sigma/E = (", "with one fraction"):
        assert words in result.output
    assert load_detector(out).sampling_fractions[0] == load_detector(out).sampling_fractions[1]
    result = CliRunner().invoke(app, ["detector", "calibrate", str(path), "--json"], catch_exceptions=False)
    told = json.loads(result.stdout)
    assert told["sections"][0]["sampling_fraction"] == pytest.approx(
        load_detector(out).sampling_fractions[0], rel=1e-4
    )
