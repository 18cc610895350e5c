"""The reconstruction: energies, angles and particles of showers whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from caloforge.showers import Incident, Showers
from caloforge.validation.charts import Curve, Histogram
from caloforge.validation.classifiers import triforce as network
from caloforge.validation.classifiers.triforce import Residuals, apply, task_of, train
from caloforge.validation.measure import Number
from caloforge.validation.studies.triforce import _accuracy, _deviation, _particle_auc, triforce
from caloforge.validation.study import Study
from validation_toys import broken, sample_of, samples_of, toy_showers

N = 600


def _silent(share: float, note: str = "") -> None:
    assert 0 <= share <= 1


@pytest.fixture(scope="module", autouse=True)
def _short() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "SCHEDULE", replace(network.SCHEDULE, steps=200))
        yield


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    candidates = (toy_showers(N, 3), broken(toy_showers(N, 4), "scaled"), broken(toy_showers(N, 5), "empty"))
    folder = tmp_path_factory.mktemp("s")
    return triforce(
        samples_of(folder, toy_showers(N, 1), toy_showers(N, 2), *candidates), _silent, trainings=2
    )


def _by_name(numbers: tuple[Number, ...]) -> dict[str, Number]:
    return {number.name: number for number in numbers}


def test_energies_that_are_two_percent_too_high_are_measured_so(study: Study) -> None:
    fair, scaled, _ = (_by_name(numbers) for numbers in study.numbers)
    assert list(fair) == [
        "regression_bias",
        "regression_resolution",
        "transfer_bias",
        "transfer_resolution",
    ]
    assert not any(number.off for number in fair.values())
    forward, reverse = scaled["regression_bias"].measure, scaled["transfer_bias"].measure
    assert forward.value - forward.floor == pytest.approx(-2.0, abs=0.5)
    assert reverse.value - reverse.floor == pytest.approx(2.0, abs=0.7)
    assert scaled["regression_bias"].off
    assert "Regression, bias" in [finding.title for finding in study.findings[1]]


def test_resolution_is_what_the_showers_have(study: Study) -> None:
    # the response of the toys has a spread of 2 % that no network can know
    resolution = _by_name(study.numbers[0])["regression_resolution"].measure
    assert 1.9 < resolution.floor < 3.5


def test_showers_without_energy_are_seen_and_stay_finite(study: Study) -> None:
    empty = _by_name(study.numbers[2])
    assert empty["regression_bias"].measure.value == pytest.approx(100, abs=1)
    assert all(np.isfinite(number.measure.value) for number in empty.values())


def test_charts_show_geant4_and_every_candidate(study: Study) -> None:
    keys = [chart.key for chart in study.charts]
    assert keys == [
        f"{kind}_{what}"
        for kind in ("regression", "transfer")
        for what in ("bias_energy", "resolution_energy", "residual")
    ]
    for chart in study.charts:
        assert isinstance(chart, Curve | Histogram)
        assert [line.role for line in chart.lines] == ["geant4", *["candidate"] * 3]
        if isinstance(chart, Histogram):
            assert all(line.values.sum() == N for line in chart.lines)


def _mixed(n: int, seed: int) -> Showers:
    """Electrons, and photons with less in the last layer; the energy in the first tells the angle."""
    showers = toy_showers(n, seed)
    rng = np.random.default_rng(seed)
    cells, theta = showers.cells.copy(), rng.uniform(0, 0.5, n)
    pdg = np.where(rng.random(n) < 0.5, 11, 22)
    front, _, back = (layer.cells for layer in showers.detector.layers)
    cells[:, front] *= (0.5 + 2 * theta)[:, None]
    cells[:, back] *= np.where(pdg == 22, 0.3, 1.0)[:, None]
    incident = Incident.of(showers.incident.energy, pdg=pdg, theta=theta)
    return Showers(showers.detector, incident, cells.astype(np.float32))


def test_particles_and_angles(tmp_path: Path) -> None:
    sample, other = sample_of(tmp_path, _mixed(800, 1)), sample_of(tmp_path, _mixed(400, 2), seed=1)
    task = task_of(sample)
    assert (task.particles, task.angle, task.outputs) == ((11, 22), True, 4)
    found = apply(task, train(task, sample, 0, _silent), other)
    assert found.angle is not None
    assert found.classes is not None
    spread = 1e3 * other.incident.theta.std()
    assert found.angle.std() < 0.7 * spread
    np.testing.assert_allclose(found.classes.sum(axis=1), 1)
    truth = other.incident.pdg[other.chosen] == 22
    assert roc_auc_score(truth, found.classes[:, 1]) > 0.8
    pair = _particle_auc(found)
    assert pair is not None
    assert pair.value == pytest.approx(roc_auc_score(truth, found.classes[:, 1]))


def test_numbers_of_particles_and_angles_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "SCHEDULE", replace(network.SCHEDULE, steps=60))
    mixed = samples_of(tmp_path, _mixed(200, 1), _mixed(200, 2), _mixed(200, 3))
    names = [number.name for number in triforce(mixed, _silent).numbers[0]]
    for name in ("bias", "resolution", "angle_bias", "angle_resolution", "accuracy", "particle_auc"):
        assert f"regression_{name}" in names
        assert f"transfer_{name}" in names


def test_unknown_particles_are_left_out() -> None:
    classes = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    values = np.zeros(3)
    found = Residuals(values, values, None, np.array([0, 0, -1]), classes)
    pair = _accuracy(found)
    assert pair is not None
    assert pair.value == 50.0
    assert _particle_auc(found) is None
    assert _accuracy(Residuals(values, values, None, np.full(3, -1), classes)) is None


def test_error_of_a_resolution_is_its_scatter() -> None:
    rng = np.random.default_rng(1)
    draws = [_deviation(rng.standard_t(9, 400)) for _ in range(400)]
    values, errors = np.array([(pair.value, pair.error) for pair in draws if pair is not None]).T
    assert np.mean(errors) == pytest.approx(values.std(), rel=0.2)


def test_one_energy_has_no_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "SCHEDULE", replace(network.SCHEDULE, steps=60))

    def single(seed: int) -> Showers:
        showers = toy_showers(150, seed)
        scale = (1e4 / showers.incident.energy).astype(np.float32)
        return Showers(showers.detector, Incident.of(np.full(150, 1e4)), showers.cells * scale[:, None])

    found = triforce(samples_of(tmp_path, single(1), single(2), single(3)), _silent)
    assert [chart.key for chart in found.charts] == ["regression_residual", "transfer_residual"]
    assert [n.name for n in found.numbers[0] if n.name.startswith("regression") and n.off] == []


@pytest.mark.parametrize("n", [2, 20])
def test_too_few_showers_give_no_number(tmp_path: Path, n: int) -> None:
    found = triforce(samples_of(tmp_path, toy_showers(n, 1), toy_showers(n, 2), toy_showers(n, 3)), _silent)
    assert found.numbers == ((),)
    assert f"{n} showers of each kind are too few, 100 are needed" in found.method
