"""Observables against hand-made showers, against loops over cells, and against analytic shapes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from caloforge.detector import Detector, load_detector, preset_names
from caloforge.observables import (
    Observable,
    Shapes,
    evaluate,
    high_level_features,
    high_level_names,
    observables_for,
)
from caloforge.showers import Incident, Showers
from validation_toys import toy_showers


def random_showers(detector: Detector, n: int = 7, seed: int = 0, fill: float = 0.3) -> Showers:
    rng = np.random.default_rng(seed)
    cells = rng.exponential(5.0, (n, detector.n_cells)) * (rng.random((n, detector.n_cells)) < fill)
    cells[cells < (detector.readout.threshold or 0)] = 0
    return Showers(detector, Incident.of(rng.uniform(1e3, 1e5, n)), cells.astype(np.float32))


def by_name(detector: Detector) -> dict[str, Observable]:
    return {o.name: o for o in observables_for(detector)}


@pytest.mark.parametrize("preset", preset_names())
def test_every_detector_has_observables_with_unique_names(preset):
    detector = load_detector(preset)
    observables = observables_for(detector)
    names = [o.name for o in observables]
    assert len(set(names)) == len(names)
    assert {"total_energy", "response", "layer_energy_0", "shower_depth", "hits"} <= set(names)
    values = evaluate(observables, random_showers(detector, 3, fill=0.95))
    assert values.shape == (3, len(names))
    assert np.isfinite(values).all()


def test_geometry_decides_which_axes_there_are():
    names = by_name(load_detector("calochallenge-1-photons"))
    # layer 0 has one sector: rings have a radius but no direction
    assert "width_r_0" in names
    assert "width_x_0" not in names
    assert {"width_x_1", "width_y_1", "width_r_1"} <= set(names)
    calogan = by_name(load_detector("calogan"))
    assert "width_x_0" in calogan
    assert not any(name.startswith("width_r") for name in calogan)
    assert {"depth", "depth_width"} <= set(calogan)
    assert "depth" not in by_name(load_detector("calochallenge-2"))
    assert "shower_maximum" in by_name(load_detector("clic"))
    assert "shower_maximum" not in calogan


@pytest.mark.parametrize("preset", ["calogan", "clic", "calochallenge-1-pions", "calochallenge-2"])
def test_against_loops_over_cells(preset):
    detector = load_detector(preset)
    showers = random_showers(detector, 3)
    x, y, _ = detector.positions.T
    where = {"x": x, "y": y, "r": np.hypot(x, y)}
    for observable in observables_for(detector):
        got = observable(showers)
        for i, cells in enumerate(showers.cells.astype(np.float64)):
            expected = one_by_one(observable, cells, showers.incident.energy[i], detector, where)
            assert got[i] == pytest.approx(expected, rel=1e-6, abs=1e-6), observable.name


def one_by_one(observable, cells, incident, detector, where):
    layers = [cells[layer.cells] for layer in detector.layers]
    sums = [math.fsum(layer) for layer in layers]
    total = math.fsum(sums)
    quantity, _, axis = observable.quantity.rpartition("_")
    if observable.layer is None:
        index = np.arange(len(sums))
        middle = np.array([(layer.start + layer.end) / 2 for layer in detector.layers])
        mean = {p: sum(s * v for s, v in zip(sums, at, strict=True)) / total for p, at in
                (("l", index), ("ll", index**2), ("z", middle), ("zz", middle**2))}  # fmt: skip
        return {
            "total_energy": total,
            "response": total / incident,
            "shower_depth": mean["l"],
            "shower_depth_width": math.sqrt(mean["ll"] - mean["l"] ** 2),
            "depth": mean["z"],
            "depth_width": math.sqrt(mean["zz"] - mean["z"] ** 2),
            "shower_maximum": int(np.argmax(sums)),
            "hits": sum(int((layer > 0).sum()) for layer in layers),
        }[observable.name]
    layer, energy = layers[observable.layer], sums[observable.layer]
    if quantity in ("centroid", "width"):
        at = where[axis][detector.layers[observable.layer].cells]
        mean = math.fsum(layer * at) / energy
        spread = math.sqrt(max(math.fsum(layer * (at - mean) ** 2) / energy, 0))
        return mean if quantity == "centroid" else spread
    first, second = sorted(layer)[::-1][:2]
    return {
        "layer_energy": energy,
        "layer_fraction": energy / total,
        "brightest": first / energy,
        "energy_ratio": (first - second) / (first + second),
        "sparsity": 1 - (layer > 0).sum() / layer.size,
    }[observable.quantity]


def fine(cells: int, window: int) -> Detector:
    grid = f"{{kind: cartesian, window: [{window} mm, {window} mm], cells: [{cells}, {cells}]}}"
    return Detector.from_yaml(
        f"name: fine\nreadout:\n  deposits: all\n  layers: [{{name: only, thickness: 10 mm, grid: {grid}}}]\n"
    )


def test_width_of_a_gaussian_shower_is_its_sigma():
    detector = fine(200, 400)
    x, y, _ = detector.positions.T
    cells = np.exp(-0.5 * (((x - 3) / 20) ** 2 + ((y + 7) / 11) ** 2))[None]
    showers = Showers(detector, Incident.of([1000.0]), cells.astype(np.float32))
    found = by_name(detector)
    assert found["centroid_x_0"](showers)[0] == pytest.approx(3, abs=1e-3)
    assert found["centroid_y_0"](showers)[0] == pytest.approx(-7, abs=1e-3)
    assert found["width_x_0"](showers)[0] == pytest.approx(20, rel=1e-3)
    assert found["width_y_0"](showers)[0] == pytest.approx(11, rel=1e-3)


def test_radius_of_an_exponential_shower_in_rings():
    edges = ", ".join(str(r) for r in range(0, 401, 2))
    detector = Detector.from_yaml(
        "name: rings\nreadout:\n  deposits: all\n  layers:\n    - {name: only, thickness: 10 mm, grid: "
        f'{{kind: polar, alpha: 1, r_edges: "{edges} mm"}}}}\n'
    )
    r = np.hypot(*detector.positions[:, :2].T)
    showers = Showers(detector, Incident.of([1e3]), (np.exp(-r / 20) * r)[None].astype(np.float32))
    found = by_name(detector)
    # density exp(-r/a) over the plane: <r> = 2a, spread a sqrt(2)
    assert found["centroid_r_0"](showers)[0] == pytest.approx(40, rel=2e-3)
    assert found["width_r_0"](showers)[0] == pytest.approx(20 * math.sqrt(2), rel=2e-3)


def test_what_an_empty_layer_does_not_define_is_nan():
    showers = toy_showers(4, 0)
    cells = showers.cells.copy()
    cells[0] = 0
    cells[1, showers.detector.layers[2].cells] = 0
    values = {
        o.name: o(Showers(showers.detector, showers.incident, cells))
        for o in observables_for(showers.detector)
    }
    assert values["total_energy"][0] == 0
    assert values["response"][0] == 0
    assert values["layer_energy_2"][1] == 0
    assert values["layer_fraction_2"][1] == 0
    assert values["sparsity_2"][1] == 1
    for name in ("shower_depth", "layer_fraction_0", "width_x_0", "brightest_0", "energy_ratio_0"):
        assert math.isnan(values[name][0]), name
    for name in ("width_x_2", "centroid_y_2", "brightest_2", "energy_ratio_2"):
        assert math.isnan(values[name][1]), name
        assert math.isfinite(values[name][2]), name


def test_cells_below_the_threshold_count_as_empty():
    detector = load_detector("calochallenge-2")
    threshold = detector.readout.threshold
    cells = np.zeros((1, detector.n_cells), np.float32)
    cells[0, :3] = threshold * 0.99, threshold * 1.01, 5.0
    showers = Showers(detector, Incident.of([1e3]), cells)
    found = by_name(detector)
    assert found["hits"](showers)[0] == 2
    assert found["total_energy"](showers)[0] == pytest.approx(threshold * 1.01 + 5.0)
    assert cells[0, 0] > 0  # the showers themselves are untouched


def test_brightest_cells_fall_and_are_filled_up():
    detector = load_detector("calochallenge-1-photons")
    showers = random_showers(detector, 5)
    brightest = Shapes(showers).brightest
    assert brightest.shape == (5, detector.n_layers, 5)
    assert (np.diff(brightest, axis=2) <= 0).all()
    layer = detector.layers[1]
    assert brightest[:, 1, 0] == pytest.approx(showers.cells[:, layer.cells].max(axis=1))


def test_high_level_features_are_the_published_ones():
    detector = load_detector("calogan")
    showers = random_showers(detector, 6)
    names, features = high_level_names(detector), high_level_features(showers)
    assert features.shape == (6, len(names))
    assert len(set(names)) == len(names)
    # arXiv 2106.05285: 41 features with one width per layer; here both widths, and the response
    assert len(names) == 41 + 3 + 1
    column = {name: features[:, i] for i, name in enumerate(names)}
    values = {o.name: o(showers) for o in observables_for(detector)}
    assert column["log_incident_energy"] == pytest.approx(np.log10(showers.incident.energy), rel=1e-6)
    assert column["log_response"] == pytest.approx(np.log10(values["response"]), rel=1e-3)
    assert column["shower_depth"] == pytest.approx(values["shower_depth"], rel=1e-5)
    assert column["brightest_1_0"] == pytest.approx(values["brightest_1"], rel=1e-5)
    assert column["width_y_2"] == pytest.approx(values["width_y_2"], rel=1e-5)
    assert column["sparsity_0"] == pytest.approx(values["sparsity_0"], rel=1e-5)
    lateral = sum(layer * values[f"layer_energy_{layer}"] for layer in range(3))
    assert column["log_lateral_depth"] == pytest.approx(np.log10(lateral + 1e-3), rel=1e-5)


def test_features_of_empty_showers_are_finite():
    detector = load_detector("calogan")
    empty = Showers(detector, Incident.of([1e3, 2e3]), np.zeros((2, detector.n_cells), np.float32))
    assert np.isfinite(high_level_features(empty)).all()


def test_against_calogans_published_formulas(published):
    """CaloGAN's analysis computes these with histogram centres; systems.md (a)."""
    import h5py

    with h5py.File(published / "calogan" / "positrons.h5") as file:
        layers = [file[f"layer_{i}"][:50].astype(np.float64) for i in range(3)]
        energy = file["energy"][:50, 0] * 1e3
    detector = load_detector("calogan")
    cells = np.concatenate([layer.reshape(50, -1) for layer in layers], axis=1)
    showers = Showers(detector, Incident.of(energy), cells.astype(np.float32))
    values = {o.name: o(showers) for o in observables_for(detector)}
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
