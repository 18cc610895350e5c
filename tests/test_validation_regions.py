"""Energies outside the training, scans of a generator, and faults that have a name."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from caloforge.showers import Incident, Showers
from caloforge.validation.diagnosis import diagnose
from caloforge.validation.studies.regions import regions, trained_energies
from caloforge.validation.studies.scans import scans
from validation_toys import broken, samples_of, toy_detector, toy_showers


def told(_: float, __: str) -> None:
    pass


def cut(showers: Showers, keep: np.ndarray) -> Showers:
    return showers[np.flatnonzero(keep)]


@pytest.fixture(scope="module")
def geant4() -> tuple[Showers, Showers, Showers]:
    return toy_showers(1500, 1), toy_showers(1500, 2), toy_showers(1500, 3)


def test_gaps_and_ends_of_training_are_found(tmp_path, geant4):
    learned = toy_showers(3000, 9)
    energy = learned.incident.energy
    learned = cut(learned, (energy > 5e3) & (energy < 4e4) & ((energy < 2e4) | (energy > 2.6e4)))
    samples = samples_of(tmp_path, *geant4, training=learned)
    (a, b), (c, d) = trained_energies(samples)
    assert [a, b, c, d] == pytest.approx([5e3, 2e4, 2.6e4, 4e4], rel=0.01)


def test_a_generator_that_fails_outside_its_training_is_seen(tmp_path, geant4):
    reference, floor, candidate = geant4
    learned = cut(toy_showers(3000, 9), toy_showers(3000, 9).incident.energy < 3e4)
    beyond = candidate.incident.energy > 3.05e4
    wrong = candidate.cells * np.where(beyond, np.float32(0.9), np.float32(1))[:, None]
    samples = samples_of(
        tmp_path,
        reference,
        floor,
        candidate,
        Showers(candidate.detector, candidate.incident, wrong),
        training=learned,
    )
    good, bad = ({n.name: n for n in numbers} for numbers in regions(samples, told).numbers)
    assert set(good) == {"trained_shift", "extrapolation_shift"}
    assert not good["extrapolation_shift"].off
    assert not bad["trained_shift"].off
    assert bad["extrapolation_shift"].off
    assert bad["extrapolation_shift"].measure.value > 3 * good["extrapolation_shift"].measure.value


def test_with_a_model_its_range_is_what_was_trained(tmp_path, geant4):
    samples = samples_of(tmp_path, *geant4)
    object.__setattr__(samples, "model", Toy())
    assert trained_energies(samples).tolist() == [[1e3, 5e4]]
    assert {n.name for n in regions(samples, told).numbers[0]} == {"trained_shift"}


class Toy:
    """A generator whose shower widens smoothly with its first noise, or jumps."""

    def __init__(self, jump: bool = False) -> None:
        self.detector, self.conditions, self.noise_shape, self.jump = toy_detector(), ("energy",), (3,), jump
        self.valid = SimpleNamespace(energy=SimpleNamespace(min=1e3, max=5e4))

    def run(self, noise: np.ndarray, incident: np.ndarray) -> np.ndarray:
        x, y, z = self.detector.positions.T
        width = 9 + (np.sign(noise[:, :1]) if self.jump else 0.3 * noise[:, :1])
        cells = np.exp(-0.5 * (x**2 + y**2) / width**2 - 0.5 * ((z - 100 + 5 * noise[:, 1:2]) / 40) ** 2)
        return (incident * cells / cells.sum(axis=1, keepdims=True)).astype(np.float32)


def test_scans_show_energy_and_latent_space(tmp_path, geant4):
    values = {}
    for jump in (False, True):
        samples = samples_of(tmp_path, *geant4)
        object.__setattr__(samples, "model", Toy(jump))
        study = scans(samples, told)
        values[jump] = study.numbers[0][0].measure.value
        response = next(c for c in study.charts if c.key == "scan.response")
        assert np.allclose(response.lines[1].values, 1.0, atol=1e-5)
        assert {c.key for c in study.charts} >= {"scan.total_energy", "walk.shower_depth"}
    assert values[True] > 4 * values[False]


TITLES = {
    "scaled": "Energies 2.0% too high",
    "shifted": "Showers shifted along y",
    "noisy": "Noise: too many soft cells",
}


@pytest.mark.parametrize("kind", TITLES)
def test_a_fault_is_called_by_its_name(tmp_path, geant4, kind):
    reference, floor, candidate = geant4
    samples = samples_of(tmp_path, reference, floor, broken(candidate, kind))
    found = {f.title for f in diagnose(samples, samples.candidates[0])}
    assert TITLES[kind] in found
    if kind != "noisy":  # noise adds energy, too
        assert found == {TITLES[kind]}


def test_size_of_a_fault_is_measured(tmp_path, geant4):
    reference, floor, candidate = geant4
    samples = samples_of(tmp_path, reference, floor, broken(candidate, "shifted"))
    (finding,) = diagnose(samples, samples.candidates[0])
    # cells of the middle and back layers are 10 and 20 mm
    assert "of its cells" in finding.text
    assert "3 of 3 layers" in finding.text
    assert finding.chart.startswith("centroid_y_")


def test_soft_cells_that_are_missing_are_named(tmp_path, geant4):
    reference, floor, candidate = geant4
    hard = np.where(candidate.cells > 2.0, candidate.cells, np.float32(0))
    samples = samples_of(tmp_path, reference, floor, Showers(candidate.detector, candidate.incident, hard))
    assert "Soft cells missing" in {f.title for f in diagnose(samples, samples.candidates[0])}


def test_geant4_itself_has_no_fault(tmp_path, geant4):
    samples = samples_of(tmp_path, *geant4)
    assert diagnose(samples, samples.candidates[0]) == ()


def test_a_wrong_resolution_and_a_bent_response_are_told_apart(tmp_path, geant4):
    reference, floor, candidate = geant4
    rng = np.random.default_rng(5)
    wide = candidate.cells * rng.normal(1, 0.04, len(candidate)).astype(np.float32)[:, None]
    bent = candidate.cells * (candidate.incident.energy / 2.5e4)[:, None].astype(np.float32) ** np.float32(
        0.05
    )
    incident = Incident.of(candidate.incident.energy)
    samples = samples_of(
        tmp_path, reference, floor, *(Showers(candidate.detector, incident, cells) for cells in (wide, bent))
    )
    assert {f.title for f in diagnose(samples, samples.candidates[0])} == {"Energy resolution too wide"}
    assert "Response depends on the energy in a wrong way" in {
        f.title for f in diagnose(samples, samples.candidates[1])
    }


def test_nothing_is_said_of_showers_without_energy(tmp_path, geant4):
    reference, floor, candidate = geant4
    samples = samples_of(tmp_path, reference, floor, broken(candidate, "empty"))
    assert diagnose(samples, samples.candidates[0]) == ()
