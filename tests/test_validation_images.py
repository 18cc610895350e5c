"""SSIM, faces, correlations and 3DGAN's figure of merit, against scikit-image, numpy and loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from caloforge.detector import Detector, load_detector
from caloforge.showers import Showers
from caloforge.validation.charts import Cloud, Maps
from caloforge.validation.charts.faces import even_layers, front_face, layer_face, main_layers, side_face
from caloforge.validation.inputs.pairs import nearest_in_energy, neighbours_in_energy
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.metrics.correlation import largest_difference, pearson, products, rms_difference
from caloforge.validation.metrics.similarity import layer_similarity, log_image, ssim_map
from caloforge.validation.studies.correlations import correlations
from caloforge.validation.studies.images import images
from caloforge.validation.studies.merit import figure_of_merit
from caloforge.validation.study import Study
from validation_toys import broken, samples_of, single_layer, toy_detector, toy_showers

EVEN = """
name: even
readout:
  deposits: all
  layers:
    - {count: 9, thickness: 10 mm, grid: {kind: cartesian, window: [80 mm, 80 mm], cells: [4, 6]}}
"""


def quiet(share: float, note: str) -> None:
    assert 0 <= share <= 1
    assert note


def value(study: Study, candidate: int, name: str) -> float:
    return {n.name: n.measure.value for n in study.numbers[candidate]}[name]


def off(study: Study, candidate: int) -> set[str]:
    return {n.name for n in study.numbers[candidate] if n.off}


def given(folder: Path, n: int, *faults: str, detector: Detector | None = None) -> Samples:
    """Geant4 twice, a good candidate, and some with faults."""
    reference, floor, good = (toy_showers(n, s, detector) for s in (1, 2, 3))
    bad = [broken(toy_showers(n, 10 + i, detector), fault) for i, fault in enumerate(faults)]
    return samples_of(folder, reference, floor, good, *bad)


# --- SSIM


@pytest.mark.parametrize("shape", [(25, 25), (12, 30)])
def test_ssim_is_that_of_scikit_image(shape: tuple[int, int]) -> None:
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(0)
    a = rng.gamma(2, 1, shape)
    b = a + rng.normal(0, 0.3, shape)
    _, expected = structural_similarity(
        a, b, data_range=4.0, gaussian_weights=True, use_sample_covariance=False, sigma=1.5, full=True
    )
    assert ssim_map(a[None], b[None], 4.0)[0] == pytest.approx(expected, abs=1e-10)


def test_ssim_of_flat_images_by_hand() -> None:
    a, b = np.full((1, 5, 5), 1.0), np.full((1, 5, 5), 3.0)
    c1 = (0.01 * 4) ** 2
    assert ssim_map(a, b, 4.0) == pytest.approx((2 * 3 + c1) / (1 + 9 + c1))
    assert ssim_map(a, a, 4.0) == pytest.approx(1)


def test_log_image_counts_decades_above_the_floor() -> None:
    cells, top = np.array([[0.0, 10.0, 1.0, 1e-9, 100.0]]), np.full(5, 10.0)
    assert log_image(cells, top, 3.0)[0] == pytest.approx([0, 3, 2, 0, 4])
    assert log_image(cells, np.zeros(5), 3.0).tolist() == [[0.0] * 5]


def test_layers_count_by_their_weight() -> None:
    detector = toy_detector()
    a = np.random.default_rng(1).gamma(2, 1, (3, detector.n_cells))
    b = a.copy()
    b[:, detector.layers[2].cells] = 0
    same = layer_similarity(detector, a, b, 4.0, np.array([1.0, 1.0, 0.0]))
    assert same == pytest.approx(1)
    half = layer_similarity(detector, a, b, 4.0, np.array([1.0, 1.0, 2.0]))
    assert (half < 0.9).all()
    assert (half > 0.4).all()


def test_rings_are_closed() -> None:
    detector = load_detector("calochallenge-1-photons")
    a = np.random.default_rng(2).gamma(2, 1, (1, detector.n_cells))
    b = np.random.default_rng(3).gamma(2, 1, (1, detector.n_cells))
    turned = [detector.join([np.roll(x, 3, axis=1) for x in detector.split(image)]) for image in (a, b)]
    weights = np.ones(detector.n_layers)
    first = layer_similarity(detector, a, b, 4.0, weights)
    assert layer_similarity(detector, *turned, 4.0, weights) == pytest.approx(first)


# --- pairs


def test_neighbours_in_energy_are_in_one_pair_each() -> None:
    energy = np.random.default_rng(4).uniform(1, 100, 1001)
    a, b = neighbours_in_energy(energy, 10_000)
    assert len(a) == 500
    assert len(np.unique(np.concatenate([a, b]))) == 1000
    assert np.abs(energy[a] - energy[b]).max() < 2
    few, _ = neighbours_in_energy(energy, 7)
    assert len(few) == 7


@pytest.mark.parametrize("n", [1, 2, 50])
def test_nearest_in_energy_is_brute_force(n: int) -> None:
    rng = np.random.default_rng(5)
    wanted, energy = rng.uniform(0, 100, 80), rng.uniform(10, 90, n)
    expected = np.abs(wanted[:, None] - energy).argmin(axis=1)
    assert nearest_in_energy(wanted, energy).tolist() == expected.tolist()


# --- faces


def test_faces_keep_the_energy() -> None:
    detector = Detector.from_yaml(EVEN)
    cells = np.random.default_rng(6).gamma(2, 1, detector.n_cells)
    assert even_layers(detector)
    assert front_face(detector, cells).values.sum() == pytest.approx(cells.sum())
    side = side_face(detector, cells)
    assert side.values.shape == (9, 6)
    assert side.values[4].sum() == pytest.approx(cells[detector.layers[4].cells].sum())
    face = layer_face(detector, 2, cells)
    assert face.values.ravel() == pytest.approx(cells[detector.layers[2].cells])
    assert face.x.shape == face.y.shape == (5, 7)
    assert not even_layers(toy_detector())
    assert not even_layers(single_layer())


def test_main_layers_are_around_the_maximum() -> None:
    detector = Detector.from_yaml(EVEN)
    for layer, expected in ((0, [0, 1, 2, 3]), (4, [2, 3, 4, 5]), (8, [5, 6, 7, 8])):
        cells = np.where(detector.layer_of_cell == layer, 1.0, 0.1)
        assert main_layers(detector, cells, 4) == expected
    assert main_layers(toy_detector(), np.ones(112), 6) == [0, 1, 2]


# --- images


def test_images_find_shifts_and_noise(tmp_path: Path) -> None:
    study = images(given(tmp_path, 600, "shifted", "noisy", "empty"), quiet)
    assert off(study, 0) == set()
    assert off(study, 1) == off(study, 3) == {"ssim", "ssim_pairs"}
    assert "ssim" in off(study, 2)
    assert value(study, 0, "ssim") > value(study, 2, "ssim") > value(study, 1, "ssim")


def test_images_show_geant4_and_all_candidates(tmp_path: Path) -> None:
    samples = given(tmp_path, 50, "shifted", detector=Detector.from_yaml(EVEN))
    study = images(samples, quiet)
    charts = {chart.key: chart for chart in study.charts}
    assert [k for k in charts if k.startswith("image_")] == [
        f"image_{k}" for k in ("front", "side", 1, 2, 3, 4, 5, 6)
    ]
    front = charts["image_front"]
    assert isinstance(front, Maps)
    assert [(panel.name, panel.scale) for panel in front.panels] == [
        ("Geant4", "energy"),
        ("candidate 0", "energy"),
        ("candidate 0 / Geant4", "ratio"),
        ("candidate 1", "energy"),
        ("candidate 1 / Geant4", "ratio"),
    ]
    first, ratio = front.panels[0].face.values, front.panels[2].face.values
    assert first.sum() == pytest.approx(samples.reference.mean_cells.sum())
    assert ratio * first == pytest.approx(front.panels[1].face.values)
    assert {"shower_0", "shower_3", "cloud"} <= set(charts)


def test_cloud_holds_the_hottest_cells(tmp_path: Path) -> None:
    samples = given(tmp_path, 30, detector=load_detector("calochallenge-1-photons"))
    (cloud,) = (chart for chart in images(samples, quiet).charts if isinstance(chart, Cloud))
    assert [role for _, role, _ in cloud.showers] == ["geant4", "candidate"]
    hits = cloud.showers[0][2]
    cells = samples.reference.cells[[0]].toarray()[0]
    assert hits[:, 3].sum() == pytest.approx(cells.sum(), rel=1e-6)
    assert hits[0, 3] == cells.max()
    assert hits[0, :3] == pytest.approx(samples.detector.positions[cells.argmax()])
    assert (np.abs(hits[:, :2]) <= np.array(cloud.size[:2]) / 2).all()


# --- correlations


def test_pearson_is_numpys() -> None:
    rng = np.random.default_rng(7)
    values = rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4))
    sums = products(values, rng.integers(0, 10, 500), 10)
    whole = [x.sum(axis=0, keepdims=True) for x in (sums.counts, sums.sums, sums.squares)]
    assert pearson(*whole)[0] == pytest.approx(np.corrcoef(values.T), abs=1e-12)


def test_undefined_showers_are_left_out_and_constants_correlate_with_nothing() -> None:
    values = np.random.default_rng(8).normal(size=(100, 3))
    values[:, 2] = 5.0
    values[3, 0] = np.nan
    sums = products(values, np.zeros(100, np.int64), 1)
    matrix = pearson(sums.counts, sums.sums, sums.squares)[0]
    expected = np.corrcoef(np.delete(values, 3, axis=0)[:, :2].T)
    assert sums.counts.tolist() == [[99.0]]
    assert matrix[:2, :2] == pytest.approx(expected)
    assert matrix[2].tolist() == [0, 0, 1]


def test_differences_of_matrices_by_hand() -> None:
    a, b = np.eye(3)[None], np.eye(3)[None].copy()
    b[0, 0, 1] = b[0, 1, 0] = 0.6
    assert rms_difference(a, b) == pytest.approx(0.6 * np.sqrt(2 / 6))
    assert rms_difference(a, b) == pytest.approx(np.linalg.norm(a[0] - b[0]) / np.sqrt(6))
    assert largest_difference(a, b) == pytest.approx(0.6)


def shuffled(showers: Showers) -> Showers:
    """Layers of different showers put together: the same distributions, other correlations."""
    parts = showers.layers()
    rng, order = np.random.default_rng(9), np.argsort(showers.incident.energy)
    mixed = []
    for part in parts:
        # only within groups of ten of nearly the same energy, so that energies stay as they are
        new = np.concatenate([rng.permutation(group) for group in np.array_split(order, len(order) // 10)])
        out = np.empty_like(part)
        out[order] = part[new]
        mixed.append(out)
    return Showers(showers.detector, showers.incident, showers.detector.join(mixed))


def test_correlations_see_layers_of_different_showers(tmp_path: Path) -> None:
    reference, floor, good, other = (toy_showers(1500, s) for s in (1, 2, 3, 4))
    samples = samples_of(tmp_path, reference, floor, good, shuffled(other))
    study = correlations(samples, quiet)
    assert off(study, 0) == set()
    assert {"correlation", "correlation_worst", "correlation_fractions"} <= off(study, 1)
    assert {f.chart for f in study.findings[1]} <= {chart.key for chart in study.charts}
    energies = np.stack([reference.layers()[i].sum(axis=(1, 2)) for i in range(3)])
    expected = np.corrcoef(energies / reference.incident.energy)
    assert np.array(study.details["layers"]) == pytest.approx(expected, abs=1e-4)


def test_one_layer_has_no_layer_correlations(tmp_path: Path) -> None:
    study = correlations(given(tmp_path, 60, "empty", detector=single_layer()), quiet)
    assert {chart.key for chart in study.charts} == {"correlation_observables"}
    assert "correlation" in off(study, 1)


# --- figure of merit


def test_figure_of_merit_sees_broken_showers(tmp_path: Path) -> None:
    study = figure_of_merit(given(tmp_path, 900, "shifted", "noisy", "empty"), quiet)
    assert off(study, 0) == set()
    assert off(study, 1) == off(study, 3) == {"figure_of_merit", "merit_moments", "merit_profiles"}
    assert "merit_profiles" in off(study, 2)
    assert value(study, 3, "merit_moments") == pytest.approx(1)
    assert value(study, 3, "merit_profiles") == pytest.approx(1)
    total = value(study, 1, "merit_moments") + value(study, 1, "merit_profiles")
    assert value(study, 1, "figure_of_merit") == pytest.approx(total)


@pytest.mark.parametrize("n", [4, 20])
def test_few_and_empty_showers_are_taken(tmp_path: Path, n: int) -> None:
    samples = given(tmp_path, n, "empty", detector=single_layer())
    for study in (images, correlations, figure_of_merit):
        found = study(samples, quiet)
        assert len(found.numbers) == 2
        assert all(np.isfinite(number.measure.value) for numbers in found.numbers for number in numbers)
