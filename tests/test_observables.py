"""Observables against loops over cells, analytic shapes, symmetries, and hand-made showers."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caloforge.detector import CartesianGrid, Detector, load_detector, preset_names
from caloforge.observables import (
    Observable,
    Shapes,
    calochallenge_features,
    calochallenge_names,
    evaluate,
    high_level_features,
    high_level_names,
    observables_for,
)
from caloforge.showers import Incident, Showers, open_showers

MIXED = """
name: mixed
readout:
  deposits: all
  layers:
    - {name: strips, thickness: 20 mm, grid: {kind: cartesian, window: [60 mm, 40 mm], cells: [1, 8]}}
    - {name: pads, thickness: 40 mm, grid: {kind: cartesian, window: [60 mm, 40 mm], cells: [4, 5]}}
    - {name: rings, thickness: 30 mm, grid: {kind: polar, alpha: 1, r_edges: "0, 5, 20, 60 mm"}}
    - {name: disc, thickness: 30 mm, grid: {kind: polar, alpha: 6, r_edges: "3, 10, 30 mm"}}
    - {name: block, thickness: 50 mm, grid: {kind: cartesian, window: [60 mm, 40 mm], cells: [1, 1]}}
"""


def even(layers: int = 6, cells: int = 8, cell: float = 5.0, thickness: float = 10.0) -> Detector:
    """Equal layers of square cells."""
    grid = f"{{kind: cartesian, window: [{cells * cell} mm, {cells * cell} mm], cells: [{cells}, {cells}]}}"
    return Detector.from_yaml(
        f"name: even\nreadout:\n  deposits: all\n  layers: [{{count: {layers}, thickness: {thickness} mm, "
        f"grid: {grid}}}]\n"
    )


def detector_of(name: str) -> Detector:
    return Detector.from_yaml(MIXED) if name == "mixed" else even() if name == "even" else load_detector(name)


def random_showers(detector: Detector, n: int = 7, seed: int = 0, fill: float = 0.3) -> Showers:
    rng = np.random.default_rng(seed)
    cells = rng.exponential(5.0, (n, detector.n_cells)) * (rng.random((n, detector.n_cells)) < fill)
    cells[cells < (detector.readout.threshold or 0)] = 0
    return Showers(detector, Incident.of(rng.uniform(1e3, 1e5, n)), cells.astype(np.float32))


def of_cells(detector: Detector, cells: np.ndarray) -> Showers:
    return Showers(detector, Incident.of(np.full(len(cells), 1e4)), cells.astype(np.float32))


def by_name(detector: Detector) -> dict[str, Observable]:
    return {o.name: o for o in observables_for(detector)}


def values_of(showers: Showers) -> dict[str, np.ndarray]:
    shapes = Shapes(showers)
    return {o.name: o(shapes) for o in observables_for(showers.detector)}


@pytest.mark.parametrize("preset", [*preset_names(), "mixed", "even"])
def test_every_detector_has_observables_with_unique_names_labels_and_units(preset):
    detector = detector_of(preset)
    observables = observables_for(detector)
    names = [o.name for o in observables]
    assert len(set(names)) == len(names)
    assert len({o.label for o in observables}) == len(names)
    assert {o.unit for o in observables} <= {"", "MeV", "mm", "rad", "layers", "cells"}
    deep = len(detector.layers) > 1
    assert {o.theme for o in observables} == {"energy", "lateral", "cells"} | (
        {"longitudinal"} if deep else set()
    )
    assert all(o.integer for o in observables if o.unit == "cells")
    assert all((o.layer is None) == (o.name == o.quantity) for o in observables)
    assert {"total_energy", "response", "hits"} <= set(names)
    assert ({"layer_energy_0", "shower_depth"} <= set(names)) == deep
    values = evaluate(observables, random_showers(detector, 3, fill=0.95))
    assert values.shape == (3, len(names))
    assert np.isfinite(values).all()


@pytest.mark.parametrize("preset", preset_names())
def test_the_manual_counts_them(preset):
    detector = load_detector(preset)
    manual = (Path(__file__).parents[1] / "docs" / "observables.md").read_text(encoding="utf-8")
    counts = (observables_for(detector), high_level_names(detector), calochallenge_names(detector))
    family = preset.replace("calochallenge-3", "calochallenge-2").replace("clic-angle", "clic")
    row = next(line for line in manual.splitlines() if line.startswith(f"| `{family}`"))
    assert row.endswith("".join(f" {len(found)} |" for found in counts))
    for observable in counts[0]:
        name = re.sub("_[xyr]$", "_A", observable.quantity) + ("_L" if observable.layer is not None else "")
        own = observable.quantity.startswith("hottest_")
        assert f"`{observable.quantity if own else name}`" in manual, observable.name


@pytest.mark.parametrize(("preset", "fewest", "most"), [("calogan", 70, 90), ("clic", 280, 330)])
def test_a_report_stays_readable(preset, fewest, most):
    assert fewest <= len(observables_for(load_detector(preset))) <= most


def test_geometry_decides_which_observables_there_are():
    names = by_name(load_detector("calochallenge-1-photons"))
    # layer 0 has one sector: rings have a radius but no direction
    assert {"width_r_0", "width_x_1", "width_y_1", "width_r_1", "r90", "shower_width_x"} <= set(names)
    assert not {"width_x_0", "hottest_x", "measured_theta", "r9", "depth"} & set(names)
    calogan = by_name(load_detector("calogan"))
    assert {"width_x_0", "depth", "depth_width", "skewness_y_2", "fifth_brightest_1"} <= set(calogan)
    assert not any(name.startswith("width_r") for name in calogan)
    assert not {"shower_maximum", "front_fraction", "measured_theta", "r9"} & set(calogan)
    clic = by_name(load_detector("clic"))
    assert {"shower_maximum", "shower_start", "front_fraction", "measured_theta", "r9"} <= set(clic)
    assert "second_brightest_3" not in clic
    # directions are all alike in the particle's frame, and equal layers need no depth in mm
    assert not {"measured_theta", "depth"} & set(by_name(load_detector("calochallenge-2")))
    for name, layers in (
        ("layer_energy_0", 2),
        ("shower_depth", 2),
        ("shower_start", 4),
        ("back_fraction", 6),
    ):
        assert name in by_name(even(layers))
        assert name not in by_name(even(layers - 1))
    assert "hits_above_1_mev" in calogan
    coarse = load_detector("calogan").to_yaml().replace("deposits: all", "deposits: all\n  threshold: 2 MeV")
    assert "hits_above_1_mev" not in by_name(Detector.from_yaml(coarse))


@pytest.mark.parametrize(
    "preset", ["calogan", "clic", "calochallenge-1-pions", "calochallenge-2", "mixed", "even"]
)
def test_against_loops_over_cells(preset):
    detector = detector_of(preset)
    showers = random_showers(detector, 2, seed=3)
    values = values_of(showers)
    for i, cells in enumerate(showers.cells.astype(np.float64)):
        expected = Slow(detector, cells, float(showers.incident.energy[i]))
        for observable in observables_for(detector):
            if observable.name not in ("r90", "r95"):  # tested below
                got, wanted = values[observable.name][i], expected.value(observable)
                assert got == pytest.approx(wanted, rel=1e-6, abs=1e-6, nan_ok=True), observable.name


class Slow:
    """One shower's observables, computed cell by cell from their definitions."""

    def __init__(self, detector: Detector, cells: np.ndarray, incident: float) -> None:
        self.detector, self.cells, self.incident = detector, cells, incident
        self.layers = [cells[layer.cells] for layer in detector.layers]
        self.sums = [math.fsum(layer) for layer in self.layers]
        self.total = math.fsum(self.sums)
        self.middle = [(layer.start + layer.end) / 2 for layer in detector.layers]

    def value(self, observable: Observable) -> float:
        if observable.layer is not None:
            return self.of_layer(observable.quantity, observable.layer)
        for part in (self.deep, self.wide, self.celled):
            found = part(observable.name)
            if found is not None:
                return float(found)
        raise KeyError(observable.name)

    def moment(self, energies, positions, order: int) -> float:
        total = math.fsum(energies)
        if total == 0:
            return math.nan
        mean = math.fsum(e * p for e, p in zip(energies, positions, strict=True)) / total
        if order == 1:
            return mean
        var = math.fsum(e * (p - mean) ** 2 for e, p in zip(energies, positions, strict=True)) / total
        if order == 2:
            return math.sqrt(var)
        cube = math.fsum(e * (p - mean) ** 3 for e, p in zip(energies, positions, strict=True)) / total
        return cube / var**1.5 if var > 0 else math.nan

    def deep(self, name: str) -> float | None:
        n, index = len(self.sums), range(len(self.sums))
        thirds = [round(n * k / 3) for k in range(4)]
        found = {
            "total_energy": lambda: self.total,
            "response": lambda: self.total / self.incident,
            "lateral_depth": lambda: math.fsum(i * e for i, e in enumerate(self.sums)),
            "shower_depth": lambda: self.moment(self.sums, index, 1),
            "shower_depth_width": lambda: self.moment(self.sums, index, 2),
            "depth": lambda: self.moment(self.sums, self.middle, 1),
            "depth_width": lambda: self.moment(self.sums, self.middle, 2),
            "depth_skewness": lambda: self.moment(self.sums, self.middle, 3),
            "shower_start": lambda: next(i for i in index if self.sums[i] > 0.01 * self.total),
            "shower_maximum": lambda: max(index, key=lambda i: self.sums[i]),
            "deepest_layer": lambda: max(i for i in index if self.sums[i] > 0),
            "front_fraction": lambda: sum(self.sums[thirds[0] : thirds[1]]) / self.total,
            "middle_fraction": lambda: sum(self.sums[thirds[1] : thirds[2]]) / self.total,
            "back_fraction": lambda: sum(self.sums[thirds[2] : thirds[3]]) / self.total,
        }
        return found[name]() if name in found else None

    def wide(self, name: str) -> float | None:
        if name == "r9":
            nx, ny = self.detector.layers[0].shape
            towers = sum(layer.reshape(nx, ny) for layer in self.layers)
            i, j = np.unravel_index(towers.argmax(), towers.shape)
            return towers[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].sum() / self.total
        if name in ("measured_theta", "measured_phi"):
            means = [[self.of_layer(f"centroid_{a}", i) for i in range(len(self.sums))] for a in "xy"]
            weights = np.sqrt(self.sums)  # polyfit squares them
            slope_x, slope_y = (np.polyfit(self.middle, mean, 1, w=weights)[0] for mean in means)
            theta = math.atan(math.hypot(slope_x, slope_y))
            return theta if name == "measured_theta" else math.atan2(slope_y, slope_x)
        quantity, _, axis = name.rpartition("_")
        order = {"shower_centroid": 1, "shower_width": 2, "shower_skewness": 3}.get(quantity)
        if order is None:
            return None
        known = [layer for layer in self.detector.layers if self.knows(layer.grid, axis)]
        cells = np.concatenate([self.cells[layer.cells] for layer in known])
        return self.moment(cells, np.concatenate([self.at(layer.index, axis) for layer in known]), order)

    def knows(self, grid, axis: str) -> bool:
        if isinstance(grid, CartesianGrid):
            return min(grid.cells) > 1 if axis == "r" else grid.cells["xy".index(axis)] > 1
        return grid.n_r > 1 if axis == "r" else grid.alpha > 1

    def celled(self, name: str) -> float | None:
        hottest = int(self.cells.argmax())
        found = {
            "hits": sum(e > 0 for e in self.cells),
            "hits_above_100_kev": sum(e >= 0.1 for e in self.cells),
            "hits_above_1_mev": sum(e >= 1 for e in self.cells),
            "hits_above_10_mev": sum(e >= 10 for e in self.cells),
            "shower_sparsity": sum(e == 0 for e in self.cells) / len(self.cells),
            "hottest_cell": max(self.cells),
            "hottest_layer": self.detector.layer_of_cell[hottest],
            "hottest_x": self.detector.positions[hottest, 0],
            "hottest_y": self.detector.positions[hottest, 1],
        }
        return found.get(name)

    def at(self, index: int, axis: str) -> np.ndarray:
        x, y, _ = self.detector.positions[self.detector.layers[index].cells].T
        return {"x": x, "y": y, "r": np.hypot(x, y)}[axis]

    def of_layer(self, quantity: str, index: int) -> float:
        layer, energy = self.layers[index], self.sums[index]
        first, axis = quantity.rpartition("_")[::2]
        if first in ("centroid", "width", "skewness"):
            order = ("centroid", "width", "skewness").index(first) + 1
            return self.moment(layer, self.at(index, axis), order)
        ranked = [*sorted(layer, reverse=True), 0, 0, 0, 0]
        ranks = ["brightest", *(f"{k}_brightest" for k in ("second", "third", "fourth", "fifth"))]
        if quantity in ranks:
            return ranked[ranks.index(quantity)] / energy if energy else math.nan
        return {
            "layer_energy": energy,
            "layer_fraction": energy / self.total,
            "layer_response": energy / self.incident,
            "energy_ratio": (ranked[0] - ranked[1]) / (ranked[0] + ranked[1]) if energy else math.nan,
            "layer_hits": sum(e > 0 for e in layer),
            "sparsity": sum(e == 0 for e in layer) / len(layer),
        }[quantity]


def test_radius_of_a_gaussian_shower():
    detector = even(layers=2, cells=200, cell=1.0)
    x, y, _ = detector.positions.T
    found = values_of(of_cells(detector, np.exp(-0.5 * (x**2 + y**2) / 11.0**2)[None]))
    assert found["r90"][0] == pytest.approx(11 * math.sqrt(2 * math.log(10)), rel=1e-3)
    assert found["r95"][0] == pytest.approx(11 * math.sqrt(2 * math.log(20)), rel=1e-3)


def test_radius_spreads_energy_over_cells_of_any_size():
    rng = np.random.default_rng(1)
    for name in ("calogan", "calochallenge-1-photons"):
        detector = load_detector(name)
        # energy falls over distances that few cells resolve
        x, y, _ = detector.positions.T
        cells = np.exp(-np.hypot(x, y) / 30) * detector.volumes
        got = values_of(of_cells(detector, cells[None]))["r90"][0]
        at = anywhere_in(detector, rng.choice(detector.n_cells, 400_000, p=cells / cells.sum()), rng)
        assert got == pytest.approx(np.quantile(at, 0.9), rel=0.01), name


def anywhere_in(detector: Detector, cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Radii of random points in the given cells, uniform in area."""
    x, y, _ = detector.positions[cells].T
    dx, dy, _ = detector.sizes[cells].T
    if isinstance(detector.layers[0].grid, CartesianGrid):
        return np.hypot(x + dx * rng.uniform(-0.5, 0.5, len(x)), y + dy * rng.uniform(-0.5, 0.5, len(x)))
    r = np.hypot(x, y)
    low, high = np.square(r - dx / 2), np.square(r + dx / 2)
    return np.sqrt(rng.uniform(low, high))


def test_radius_is_interpolated_within_a_ring():
    detector = Detector.from_yaml(
        "name: rings\nreadout:\n  deposits: all\n  layers: [{name: only, thickness: 10 mm, grid: "
        '{kind: polar, alpha: 3, r_edges: "0, 10, 20 mm"}}]\n'
    )
    cells = np.zeros((1, 6))
    cells[0, [0, 3]] = 80, 20  # inner ring of one sector, outer of another
    found = values_of(of_cells(detector, cells))
    assert found["r90"][0] == pytest.approx(math.sqrt(100 + 0.5 * 300))
    assert found["r95"][0] == pytest.approx(math.sqrt(100 + 0.75 * 300))


def test_moments_of_analytic_showers():
    detector = even(layers=1, cells=400, cell=1.0)
    x, y, _ = detector.positions.T
    wide = np.exp(-0.5 * (((x - 3) / 20) ** 2 + ((y + 7) / 11) ** 2))
    tail = np.where((x > -190) & (np.abs(y) < 1), np.exp(-(x + 190) / 15), 0)
    found = values_of(of_cells(detector, np.stack([wide, tail])))
    assert found["centroid_x_0"][0] == pytest.approx(3, abs=1e-3)
    assert found["centroid_y_0"][0] == pytest.approx(-7, abs=1e-3)
    assert found["width_x_0"][0] == pytest.approx(20, rel=1e-3)
    assert found["shower_width_y"][0] == pytest.approx(11, rel=1e-3)
    assert found["skewness_x_0"][0] == pytest.approx(0, abs=1e-3)
    assert found["width_x_0"][1] == pytest.approx(15, rel=2e-3)
    assert found["skewness_x_0"][1] == pytest.approx(2, rel=2e-3)  # of an exponential


def test_radius_of_an_exponential_shower_in_rings():
    edges = ", ".join(str(r) for r in range(0, 401, 2))
    detector = Detector.from_yaml(
        "name: rings\nreadout:\n  deposits: all\n  layers:\n    - {name: only, thickness: 10 mm, grid: "
        f'{{kind: polar, alpha: 1, r_edges: "{edges} mm"}}}}\n'
    )
    r = np.hypot(*detector.positions[:, :2].T)
    found = values_of(of_cells(detector, (np.exp(-r / 20) * r)[None]))
    # density exp(-r/a) over the plane: <r> = 2a, spread a sqrt(2), skewness sqrt(2), R90 solves its integral
    assert found["centroid_r_0"][0] == pytest.approx(40, rel=2e-3)
    assert found["width_r_0"][0] == pytest.approx(20 * math.sqrt(2), rel=2e-3)
    assert found["skewness_r_0"][0] == pytest.approx(math.sqrt(2), rel=2e-3)
    assert found["r90"][0] == pytest.approx(20 * 3.88972, rel=2e-3)


def test_depth_of_an_exponential_shower():
    detector = even(layers=400, cells=2, thickness=1.0)
    z = detector.positions[:, 2]
    found = values_of(of_cells(detector, np.exp(-z / 12)[None]))
    assert found["depth_skewness"][0] == pytest.approx(2, rel=2e-3)
    assert found["shower_depth_width"][0] == pytest.approx(12, rel=2e-3)
    assert found["shower_maximum"][0] == 0


def test_where_a_shower_starts_peaks_and_ends():
    detector = even(layers=7, cells=2)
    share = np.array([0.004, 0.009, 0.012, 0.3, 0.675, 0, 0])  # 1 % first passed in layer 2
    cells = np.repeat(share, 4)[None] * 50
    found = values_of(of_cells(detector, cells))
    assert [found[k][0] for k in ("shower_start", "shower_maximum", "deepest_layer")] == [2, 4, 4]
    # thirds of seven layers: two, three, two
    assert found["front_fraction"][0] == pytest.approx(0.013)
    assert found["middle_fraction"][0] == pytest.approx(0.987)
    assert found["back_fraction"][0] == 0


@settings(max_examples=25, deadline=None)
@given(st.floats(-0.6, 0.6), st.floats(-math.pi, math.pi), st.integers(0, 9))
def test_measured_angle_is_the_one_of_a_straight_shower(theta, phi, seed):
    detector = even(layers=8, cells=30, cell=4.0, thickness=5.0)
    rng = np.random.default_rng(seed)
    slope = math.tan(abs(theta))
    images = []
    for layer in detector.layers:
        z = (layer.start + layer.end) / 2 - 20
        share = [np.zeros(30), np.zeros(30)]
        for axis, direction in zip(share, (math.cos(phi), math.sin(phi)), strict=True):
            # shared by two cells, so that the barycentre is where the line is
            at = slope * z * direction / 4.0 + 14.5
            axis[int(at)], axis[int(at) + 1] = 1 - at % 1, at % 1
        images.append(np.outer(*share) * rng.uniform(1, 100))
    found = values_of(of_cells(detector, np.concatenate([image.ravel() for image in images])[None]))
    assert found["measured_theta"][0] == pytest.approx(abs(theta), abs=1e-5)
    if abs(theta) > 0.01:
        assert math.cos(found["measured_phi"][0] - phi) == pytest.approx(1, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.floats(1e-3, 1e3), st.integers(0, 99), st.sampled_from(["calogan", "mixed", "even"]))
def test_scaling_all_cells_scales_energies_and_leaves_shapes(factor, seed, name):
    detector = detector_of(name)
    showers = random_showers(detector, 3, seed)
    scaled = Showers(detector, showers.incident, showers.cells * np.float32(factor))
    before, after = values_of(showers), values_of(scaled)
    for observable in observables_for(detector):
        if observable.quantity.startswith("hits_above"):
            continue
        energy = observable.unit == "MeV" or observable.quantity in ("response", "layer_response")
        expected = before[observable.name] * (float(np.float32(factor)) if energy else 1)
        assert after[observable.name] == pytest.approx(expected, rel=1e-4, abs=1e-5, nan_ok=True), (
            observable.name
        )


@settings(max_examples=20, deadline=None)
@given(st.integers(-2, 2), st.integers(-2, 2), st.integers(0, 99))
def test_shifting_by_cells_moves_centroids_by_their_size(right, up, seed):
    detector = even(cells=12)
    showers = random_showers(detector, 3, seed)
    images = np.stack(showers.layers(), axis=1)
    images[:, :, :2] = images[:, :, -2:] = images[:, :, :, :2] = images[:, :, :, -2:] = 0
    first = of_cells(detector, images.reshape(3, -1))
    second = of_cells(detector, np.roll(images, (right, up), axis=(2, 3)).reshape(3, -1))
    before, after = values_of(first), values_of(second)
    radial = {"shower_centroid_r", "shower_width_r", "shower_skewness_r", "r90", "r95"}
    for observable in observables_for(detector):
        name, shift = observable.name, 0.0
        if "centroid" in name or name.startswith("hottest_"):
            shift = {"x": 5.0 * right, "y": 5.0 * up}.get(observable.quantity[-1], 0.0)
        if name not in radial:
            assert after[name] - before[name] == pytest.approx(shift, abs=1e-5), name


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99))
def test_a_mirror_turns_the_sign_of_centroid_and_skewness(seed):
    detector = even()
    showers = random_showers(detector, 3, seed)
    mirrored = of_cells(
        detector, np.concatenate([i[:, ::-1].reshape(3, -1) for i in showers.layers()], axis=1)
    )
    before, after = values_of(showers), values_of(mirrored)
    odd = {"shower_centroid_x", "shower_skewness_x", "centroid_x_2", "skewness_x_3", "hottest_x"}
    same = {"shower_width_x", "width_x_1", "shower_skewness_y", "centroid_y_2", "r90", "r9", "measured_theta"}
    for name in odd:
        assert after[name] == pytest.approx(-before[name], abs=1e-6), name
    for name in same:
        assert after[name] == pytest.approx(before[name], abs=1e-6), name


def test_what_an_empty_layer_does_not_define_is_nan():
    detector = load_detector("calogan")
    cells = random_showers(detector, 4).cells.copy()
    cells[0] = 0
    cells[1, detector.layers[2].cells] = 0
    values = values_of(of_cells(detector, cells))
    for name in ("total_energy", "response", "lateral_depth", "hits", "hits_above_1_mev", "hottest_cell"):
        assert values[name][0] == 0, name
    assert values["layer_energy_2"][1] == 0
    assert values["layer_fraction_2"][1] == 0
    assert values["layer_hits_2"][1] == 0
    assert values["sparsity_2"][1] == 1
    assert values["shower_sparsity"][0] == 1
    assert values["deepest_layer"][1] == 1
    undefined = {
        "shower_depth",
        "layer_fraction_0",
        "width_x_0",
        "brightest_0",
        "energy_ratio_0",
        "r90",
        "r95",
    }
    for name in undefined | {
        "shower_width_x",
        "shower_skewness_r",
        "deepest_layer",
        "hottest_x",
        "depth_skewness",
    }:
        assert math.isnan(values[name][0]), name
    for name in (
        "width_x_2",
        "centroid_y_2",
        "skewness_x_2",
        "brightest_2",
        "third_brightest_2",
        "energy_ratio_2",
    ):
        assert math.isnan(values[name][1]), name
        assert math.isfinite(values[name][2]), name


def test_a_shower_in_one_cell_has_no_width_and_no_skewness():
    detector = load_detector("clic")
    cells = np.zeros((2, detector.n_cells))
    cells[0, 3 * 625 + 24 * 25 + 24] = 7.5  # the corner of the window
    cells[1, 3 * 625 + 12 * 25 + 12] = 7.5
    values = values_of(of_cells(detector, cells))
    for name in ("width_x_3", "shower_width_x", "shower_width_r", "depth_width", "shower_depth_width"):
        assert (values[name] == 0).all(), name
    for name in ("depth_skewness", "shower_skewness_x", "measured_theta", "measured_phi"):
        assert np.isnan(values[name]).all(), name
    for name in ("energy_ratio_3", "brightest_3", "r9", "layer_fraction_3"):
        assert values[name] == pytest.approx(1), name
    assert values["hottest_x"] == pytest.approx([61.2, 0])
    assert (values["shower_start"] == 3).all()
    assert (values["hottest_layer"] == 3).all()


def test_showers_in_one_tower_have_no_width_wherever_it_is():
    detector, rng = load_detector("clic"), np.random.default_rng(0)
    cells = np.zeros((300, 25, 625))
    for shower in cells:
        shower[rng.choice(25, 3, replace=False), rng.integers(625)] = rng.exponential(10, 3)
    values = values_of(of_cells(detector, cells.reshape(300, -1)))
    assert (values["shower_width_x"] == 0).all()
    assert (values["shower_width_r"] == 0).all()
    assert np.isnan(values["shower_skewness_y"]).all()
    assert (values["depth_width"] > 0).all()
    assert values["measured_theta"] == pytest.approx(0, abs=1e-9)
    assert values["r9"] == pytest.approx(1)


def test_skewness_is_exact_where_nearly_all_energy_is_far_from_the_axis():
    detector = load_detector("clic")
    cells = np.zeros((1, detector.n_cells))
    cells[0, [24 * 25, 23 * 25, 22 * 25]] = 1e4, 1, 0.5
    slow = Slow(detector, cells[0], 1e4)
    values = values_of(of_cells(detector, cells))
    assert values["width_x_0"][0] == pytest.approx(slow.of_layer("width_x", 0), rel=1e-6)
    assert values["shower_skewness_x"][0] == pytest.approx(slow.of_layer("skewness_x", 0), rel=1e-4)
    cells[0, [24 * 25, 23 * 25, 22 * 25]] = 1e6, 1e-3, 0  # a third moment would be rounding
    assert math.isnan(values_of(of_cells(detector, cells))["shower_skewness_x"][0])


@pytest.mark.parametrize("preset", [*preset_names(), "mixed"])
def test_empty_showers_are_quiet(preset):
    detector = detector_of(preset)
    empty = of_cells(detector, np.zeros((2, detector.n_cells)))
    assert evaluate(observables_for(detector), empty).shape == (2, len(observables_for(detector)))
    for features, names in (
        (high_level_features(empty), high_level_names(detector)),
        (calochallenge_features(empty), calochallenge_names(detector)),
    ):
        assert features.shape == (2, len(names))
        assert np.isfinite(features).all()


def test_no_showers_are_no_rows():
    detector = even()
    none = of_cells(detector, np.zeros((0, detector.n_cells)))
    assert evaluate(observables_for(detector), none).shape == (0, len(observables_for(detector)))
    assert calochallenge_features(none).shape == (0, len(calochallenge_names(detector)))


@pytest.mark.parametrize("preset", ["calogan", "calochallenge-1-photons", "even"])
def test_a_sample_may_be_read_in_pieces(preset):
    detector = detector_of(preset)
    showers = random_showers(detector, 11, seed=2)
    observables = observables_for(detector)
    pieces = [evaluate(observables, showers[start : start + 4]) for start in (0, 4, 8)]
    assert np.concatenate(pieces) == pytest.approx(
        evaluate(observables, showers), rel=1e-5, abs=1e-6, nan_ok=True
    )


def test_cells_below_the_threshold_count_as_empty():
    detector = load_detector("calochallenge-2")
    threshold = detector.readout.threshold
    cells = np.zeros((1, detector.n_cells), np.float32)
    cells[0, :3] = threshold * 0.99, threshold * 1.01, 5.0
    showers = of_cells(detector, cells)
    found = values_of(showers)
    assert found["hits"][0] == 2
    assert found["hits_above_100_kev"][0] == 1
    assert found["total_energy"][0] == pytest.approx(threshold * 1.01 + 5.0)
    assert showers.cells[0, 0] > 0  # the showers themselves are untouched


def test_brightest_cells_fall_and_are_filled_up():
    detector = Detector.from_yaml(MIXED)
    showers = random_showers(detector, 5)
    brightest = Shapes(showers).brightest
    assert brightest.shape == (5, detector.n_layers, 5)
    assert (np.diff(brightest, axis=2) <= 0).all()
    pads = np.sort(showers.cells[:, detector.layers[1].cells], axis=1)[:, ::-1]
    assert brightest[:, 1] == pytest.approx(pads[:, :5])
    assert (brightest[:, 4, 1:] == 0).all()  # a layer of one cell


def test_high_level_features_are_the_published_ones():
    detector = load_detector("calogan")
    showers = random_showers(detector, 6)
    names, features = high_level_names(detector), high_level_features(showers)
    assert features.shape == (6, len(names))
    assert len(set(names)) == len(names)
    # arXiv 2106.05285: 41 features with one width per layer; here both widths, and the response
    assert len(names) == 41 + 3 + 1
    column = {name: features[:, i] for i, name in enumerate(names)}
    values = values_of(showers)
    assert column["log_incident_energy"] == pytest.approx(np.log10(showers.incident.energy), rel=1e-6)
    assert column["log_response"] == pytest.approx(np.log10(values["response"]), rel=1e-3)
    assert column["shower_depth"] == pytest.approx(values["shower_depth"], rel=1e-5)
    assert column["brightest_1_0"] == pytest.approx(values["brightest_1"], rel=1e-5)
    assert column["brightest_1_2"] == pytest.approx(values["third_brightest_1"], rel=1e-5)
    assert column["width_y_2"] == pytest.approx(values["width_y_2"], rel=1e-5)
    assert column["sparsity_0"] == pytest.approx(values["sparsity_0"], rel=1e-5)
    assert column["log_lateral_depth"] == pytest.approx(np.log10(values["lateral_depth"] + 1e-3), rel=1e-5)


def test_against_calogans_published_formulas(published):
    """CaloGAN's analysis computes these with histogram centres; systems.md (a)."""
    import h5py

    with h5py.File(published / "calogan" / "positrons.h5") as file:
        layers = [file[f"layer_{i}"][:50].astype(np.float64) for i in range(3)]
        energy = file["energy"][:50, 0] * 1e3
    detector = load_detector("calogan")
    cells = np.concatenate([layer.reshape(50, -1) for layer in layers], axis=1)
    values = values_of(Showers(detector, Incident.of(energy), cells.astype(np.float32)))
    for i, (layer, bins) in enumerate(zip(layers, (3, 12, 12), strict=True)):
        sums = layer.sum(axis=(1, 2))
        filled = sums > 0
        edges = np.linspace(-240, 240, bins + 1)
        centres = (edges[1:] + edges[:-1]) / 2
        x = (layer.sum(axis=2) @ centres)[filled] / sums[filled]
        x2 = (layer.sum(axis=2) @ centres**2)[filled] / sums[filled]
        assert values[f"layer_energy_{i}"] == pytest.approx(sums, rel=1e-5)
        assert values[f"width_x_{i}"][filled] == pytest.approx(np.sqrt(x2 - x**2), rel=1e-4, abs=1e-3)
    sums = np.stack([layer.sum(axis=(1, 2)) for layer in layers], axis=1)
    assert values["shower_depth"] == pytest.approx(sums @ [0, 1, 2] / sums.sum(axis=1), rel=1e-5)
    assert values["lateral_depth"] == pytest.approx(sums @ [0, 1, 2], rel=1e-5)


def test_the_angle_of_geant4s_electrons_is_measured(published):
    """300 electrons at 60 to 120 degrees to the image's y axis; the fit sees a shower, not the particle."""
    with open_showers(published / "clic" / "electrons-angle.h5") as file:
        showers = file.read(0, len(file))
    values, true = values_of(showers), showers.incident
    slope = np.tan(values["measured_theta"]) * np.sin(values["measured_phi"])
    assert np.corrcoef(slope, np.tan(true.theta) * np.sin(true.phi))[0, 1] > 0.995
    assert np.median(np.abs(values["measured_theta"] - true.theta)) < 0.02
