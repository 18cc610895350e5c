"""The CaloChallenge's official code and caloforge see the same in the same files; recorded, not run here."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from caloforge.detector import Detector
from caloforge.observables import (
    Shapes,
    calochallenge_features,
    calochallenge_names,
    evaluate,
    observables_for,
)
from caloforge.showers.formats.calochallenge import FORMAT
from caloforge.validation.metrics.one_dimensional import separation_power
from official_toys import DATA_SETS, official_showers

RECORD = json.loads((Path(__file__).parent / "data" / "calochallenge_official.json").read_text())
LOWEST_MEV = {"1-photons": 10, "1-pions": 10, "2": 0.5e-3 / 0.033}
QUANTITIES = {
    "E": "layer_energy",
    "EC Eta": "centroid_x",
    "EC Phi": "centroid_y",
    "Width Eta": "width_x",
    "Width Phi": "width_y",
}


@pytest.mark.parametrize("preset", DATA_SETS)
def test_high_level_features_are_the_official_ones(preset):
    official = np.array(RECORD["data_sets"][preset]["features"])
    ours = calochallenge_features(official_showers(preset, len(official)))
    assert ours.shape == official.shape
    assert np.abs(ours - official).max() < 1e-6 * np.maximum(np.abs(official), 1).max()
    # no column is right by chance: showers differ, and so do columns
    assert len(official) == 1 or (np.ptp(official, axis=0) > 1e-4).mean() > 0.9


@pytest.mark.parametrize("preset", DATA_SETS)
def test_a_file_holds_what_the_official_code_checks(preset, tmp_path):
    showers = official_showers(preset, 3)
    FORMAT.write(tmp_path / "out.h5", showers.detector, [showers])
    cells = {"1-photons": 368, "1-pions": 533, "2": 6480, "3": 40500}[DATA_SETS[preset][0]]
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["showers"].shape == (3, cells)
        assert file["incident_energies"].shape == (3, 1)
        assert file["showers"].dtype == file["incident_energies"].dtype == np.float64
        assert (file["showers"][:] == showers.cells).all()
        assert (file["incident_energies"][:, 0] == showers.incident.energy).all()


@pytest.mark.parametrize("preset", [name for name, of in RECORD["data_sets"].items() if "separation" in of])
def test_separation_powers_are_the_official_ones(preset):
    recorded, n = RECORD["data_sets"][preset]["separation"], {"calochallenge-2": 100}.get(preset, 200)
    generated = Shapes(official_showers(preset, n, seed=1, wider=1.1))
    reference = Shapes(official_showers(preset, n, seed=2))
    lowest = LOWEST_MEV[DATA_SETS[preset][0]]
    assert len(recorded) > 10
    for title, (official, first, last, bins) in recorded.items():
        a, b = (values(title, shapes) for shapes in (generated, reference))
        if title.startswith(("E layer", "Voxel")):
            # the highest reference value is the last edge: rounding decides whether it is within
            edges = [np.geomspace(lowest, b.max() * (1 + e), int(bins) + 1) for e in (-1e-6, 1e-6)]
        else:
            edges = [np.linspace(first, last, int(bins) + 1)]
        assert edges[0][[0, -1]] == pytest.approx([first, last], rel=1e-5), title
        powers = [float(separation_power(np.histogram(a, e)[0], np.histogram(b, e)[0])) for e in edges]
        assert min(abs(power - official) for power in powers) < 1e-6, title


def values(title: str, shapes: Shapes) -> np.ndarray:
    """What the official code fills into the histogram of this title."""
    if title.startswith("Voxel"):
        return np.asarray(shapes.cells, np.float64).ravel()
    if title.startswith("Etot"):
        return shapes.energy / shapes.incident_energy
    what, layer_id = title.split(" layer ")
    index = next(layer.index for layer in shapes.detector.layers if layer.id == int(layer_id))
    found = next(o for o in observables_for(shapes.detector) if o.name == f"{QUANTITIES[what]}_{index}")
    return np.nan_to_num(found(shapes))  # an empty layer counts as 0 there


def test_rectangular_cells_have_the_same_features_without_radius():
    grid = "{kind: cartesian, window: [40 mm, 30 mm], cells: [4, 1]}"
    detector = Detector.from_yaml(
        f"name: bars\nreadout:\n  deposits: all\n  layers: [{{count: 2, thickness: 9 mm, grid: {grid}}}]\n"
    )
    expected = ["log_incident_energy", "log_layer_energy_0", "log_layer_energy_1", "centroid_x_0"]
    expected += ["centroid_x_1", "width_x_0", "width_x_1", "log_total_energy", "sparsity_0", "sparsity_1"]
    assert calochallenge_names(detector) == expected


@pytest.mark.parametrize("preset", DATA_SETS)
def test_columns_are_what_their_names_say(preset):
    showers = official_showers(preset, 3)
    names = calochallenge_names(showers.detector)
    features = dict(zip(names, calochallenge_features(showers).T, strict=True))
    known = {o.name: o for o in observables_for(showers.detector)}
    shared = [name for name in names if name in known]
    assert len(shared) > 20
    for name, column in zip(shared, evaluate([known[name] for name in shared], showers).T, strict=True):
        scale = 1 if name.startswith("sparsity") else 100
        assert features[name] * scale == pytest.approx(np.nan_to_num(column), rel=1e-4, abs=1e-4), name
