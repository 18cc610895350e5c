"""Trees on cells and single cells, against scikit-learn, numpy, and showers whose cells vary too little."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from caloforge.detector import Detector, load_detector
from caloforge.samples import positrons
from caloforge.showers import Incident, Showers
from caloforge.validation import validate
from caloforge.validation.charts import Face, Map, Maps
from caloforge.validation.classifiers.families import Trees
from caloforge.validation.classifiers.separation import Separation, separate
from caloforge.validation.classifiers.shares import MOST_CELLS, STEPS, share_inputs
from caloforge.validation.classifiers.slices import energy_slices, sliced
from caloforge.validation.diagnosis import faults_tested
from caloforge.validation.figures import plates
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.inputs.source import open_source
from caloforge.validation.measure import Measure
from caloforge.validation.metrics.distances import Exchanged
from caloforge.validation.metrics.exchange import FAULTS_LEVEL
from caloforge.validation.metrics.fluctuations import Followed, cell_sums, neighbours, separations
from caloforge.validation.metrics.shares import log_shares
from caloforge.validation.report.report import Report
from caloforge.validation.studies.cell_faults import cell_faults, cell_tests
from caloforge.validation.studies.cells import cells
from caloforge.validation.studies.family import above_chance
from caloforge.validation.studies.fluctuations import fluctuations
from caloforge.validation.study import Study
from validation_toys import broken, samples_of, toy_detector, toy_showers

N = 240
FLOOR = 1e-5


def _silent(share: float, note: str = "") -> None:
    assert 0 <= share <= 1


def rescaled(showers: Showers, factor: float) -> Showers:
    """The same showers with log-shares `factor` times as far from their trend in the layer's energy.

    Mean share of each cell and energy of each layer in each shower stay what they are.
    """
    out = np.zeros_like(showers.cells, np.float64)
    for layer in showers.detector.layers:
        energy = showers.cells[:, layer.cells].astype(float)
        total = energy.sum(axis=1, keepdims=True)
        share = np.divide(energy, total, out=np.zeros_like(energy), where=total > 0)
        for mine in share.T:
            hit = mine > FLOOR
            if hit.sum() > 20:
                x, y = np.log(total[hit, 0]), np.log(mine[hit])
                trend = np.polyval(np.polyfit(x, y, 2), x)
                mean = mine[hit].mean()
                mine[hit] = np.exp(trend + factor * (y - trend))
                mine[hit] *= mean / mine[hit].mean()
        scale = share.sum(axis=1, keepdims=True)
        out[:, layer.cells] = total * np.divide(share, scale, out=np.zeros_like(share), where=scale > 0)
    return Showers(showers.detector, showers.incident, out.astype(np.float32))


def shares_of(showers: Showers) -> np.ndarray:
    """log10 of the shares, floored, shower by shower."""
    out = np.full(showers.cells.shape, np.log10(FLOOR))
    for i, row in enumerate(showers.cells.astype(float)):
        for layer in showers.detector.layers:
            total = row[layer.cells].sum()
            if total > 0:
                out[i, layer.cells] = np.log10(np.maximum(row[layer.cells] / total, FLOOR))
    return out


@pytest.fixture(scope="module")
def narrow() -> Showers:
    return rescaled(toy_showers(N, 3), 0.8)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory, narrow: Showers) -> Samples:
    """A fair candidate and one whose cells vary 20 % too little."""
    folder = tmp_path_factory.mktemp("s")
    return samples_of(folder, toy_showers(N, 1), toy_showers(N, 2), toy_showers(N, 4), narrow)


@pytest.fixture(scope="module")
def by_trees(samples: Samples) -> Study:
    return cells(samples, _silent, trainings=2)


def test_log_shares_are_those_of_each_shower_and_leave_the_showers_alone() -> None:
    showers = toy_showers(20, 1)
    dense = showers.cells.copy()
    dense[:, 5] *= np.float32(1e-6)  # below the floor
    dense[3] = 0
    sparse = csr_array(dense)
    found = log_shares(showers.detector, sparse).toarray() - 5
    expected = shares_of(Showers(showers.detector, showers.incident, dense))
    np.testing.assert_allclose(found, expected, atol=2e-6)
    np.testing.assert_array_equal(sparse.toarray(), dense)


def test_sums_are_the_spreads_and_correlations_of_numpy() -> None:
    showers = toy_showers(300, 1)
    detector, logs = showers.detector, shares_of(showers)
    often = (logs > -5).mean(axis=0) > 0.3
    followed = Followed.of(detector, log_shares(detector, csr_array(showers.cells)), 0.3)
    assert followed.cells.tolist() == np.flatnonzero(often).tolist()
    block = np.arange(300) % 7
    sums = cell_sums(detector, csr_array(showers.cells), block, 7, followed).whole
    residual = np.full(logs.shape, np.nan)
    for layer in detector.layers:
        x = np.log10(np.maximum(showers.cells[:, layer.cells].astype(float).sum(axis=1), 1e-9))
        for cell in range(layer.cells.start, layer.cells.stop):
            hit = logs[:, cell] > -5
            if often[cell]:
                trend = np.polyval(np.polyfit(x[hit], logs[hit, cell], 2), x[hit])
                residual[hit, cell] = logs[hit, cell] - trend
    np.testing.assert_allclose(sums.hit_share[0], (logs > -5).mean(axis=0))
    mean = [logs[logs[:, c] > -5, c].mean() + 5 for c in followed.cells]
    np.testing.assert_allclose(sums.mean(1)[0], mean, rtol=1e-5)
    np.testing.assert_allclose(sums.spread(1)[0], np.nanstd(residual[:, followed.cells], axis=0), rtol=1e-3)
    half = [cell_sums(detector, csr_array(showers.cells[i::2]), block[i::2], 7, followed) for i in (0, 1)]
    powers = separations(half[0].whole, half[1].whole)[0]
    for k, cell in enumerate(followed.cells):
        hits = logs[logs[:, cell] > -5, cell]
        edges = [-9, -5 + 1e-9, *np.quantile(hits, np.arange(1, 8) / 8), 9]
        p, q = (np.histogram(logs[i::2, cell], edges)[0] / 150 for i in (0, 1))
        if len(hits) % 2 == 0:  # else an edge is a shower, which may fall on either side of it
            power = 0.5 * np.sum((p - q) ** 2 / np.maximum(p + q, 1e-9))
            assert powers[k] == pytest.approx(power, abs=1e-6)
    pairs, found = followed.pairs, sums.correlation[0]
    always = []
    for i in range(len(found)):
        a, b = residual[:, followed.cells[pairs.first[i]]], residual[:, followed.cells[pairs.second[i]]]
        both = np.isfinite(a) & np.isfinite(b)
        expected = np.sum(a[both] * b[both]) / np.sqrt(np.sum(a[both] ** 2) * np.sum(b[both] ** 2))
        assert found[i] == pytest.approx(expected, abs=2e-4)
        if both.sum() > 250:  # both are nearly always hit, so that residuals have a mean of 0
            always.append((found[i], np.corrcoef(a[both], b[both])[0, 1]))
    assert len(always) > 10
    np.testing.assert_allclose(*np.array(always).T, atol=0.03)


POLAR = """
name: rings
readout:
  deposits: all
  layers:
    - {name: one, thickness: 60 mm, grid: {kind: polar, r_edges: "0, 5, 20 mm", alpha: 8}}
    - {name: two, thickness: 60 mm, grid: {kind: polar, r_edges: "0, 5, 20, 30 mm", alpha: 1}}
    - {name: three, thickness: 60 mm, grid: {kind: polar, r_edges: "0, 5 mm", alpha: 2}}
"""


@pytest.mark.parametrize("detector", [toy_detector(), load_detector("calogan"), Detector.from_yaml(POLAR)])
def test_neighbours_share_a_side_or_a_corner(detector: Detector) -> None:
    followed = np.random.default_rng(1).random(detector.n_cells) < 0.8
    expected = set()
    for layer in detector.layers:
        (a, b), start = layer.shape, layer.cells.start
        for one in range(a * b):
            for other in range(one + 1, a * b):
                along = abs(one // b - other // b)
                if "kind: polar" in detector.to_yaml() and a > 2:
                    along = min(along, a - along)
                across = abs(one % b - other % b)
                if max(along, across) == 1 and followed[start + one] and followed[start + other]:
                    expected.add((start + one, start + other, along + across == 2))
    pairs = neighbours(detector, followed)
    found = [
        (min(a, b), max(a, b), bool(d))
        for a, b, d in zip(pairs.first.tolist(), pairs.second.tolist(), pairs.diagonal, strict=True)
    ]
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_trees_find_narrow_cells_and_no_fault_of_geant4(by_trees: Study) -> None:
    fair, narrow = ({n.name: n for n in numbers} for numbers in by_trees.numbers)
    assert set(fair) == {"auc_cells", "jsd_cells", "slice_auc_worst"}
    assert not any(number.off for number in fair.values())
    assert narrow["auc_cells"].off
    assert narrow["auc_cells"].measure.value > 0.6
    assert narrow["slice_auc_worst"].measure.value >= narrow["auc_cells"].measure.value - 0.02
    assert [len(found) for found in by_trees.findings] == [0, 1]


def test_auc_is_that_of_scikit_learn_on_the_log_shares(narrow: Showers, by_trees: Study) -> None:
    inputs = np.concatenate([shares_of(toy_showers(N, 1)), shares_of(narrow)])
    truth = np.repeat([True, False], N)
    model = HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.1, max_leaf_nodes=15, early_stopping=False, random_state=0
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(model, inputs, truth, cv=folds, method="predict_proba")[:, 1]
    measure = by_trees.numbers[1][0].measure
    assert measure.value == pytest.approx(roc_auc_score(truth, scores), abs=3 * measure.error)


def test_inputs_are_steps_of_the_log_shares_of_the_cells_hit_most(samples: Samples) -> None:
    first, second = samples.reference, samples.candidates[1]
    found = share_inputs(first, second)
    logs = log_shares(samples.detector, first.cells).toarray()
    hits = (logs > 0).sum(axis=0) + (log_shares(samples.detector, second.cells).toarray() > 0).sum(axis=0)
    hit = np.flatnonzero(hits)
    assert found.steps.shape == (2 * N, len(hit))
    assert len(hit) < MOST_CELLS
    assert found.steps.max() < STEPS
    for i, cell in enumerate(hit):
        steps, values = found.steps[:N, i], logs[:, cell]
        assert not steps[values == 0].any()
        order = np.argsort(values, kind="stable")
        assert (np.diff(steps[order].astype(int)) >= 0).all()


def test_which_cells_and_steps_does_not_depend_on_whose_the_showers_are(samples: Samples) -> None:
    first, second = samples.reference, samples.candidates[1]
    one, other = share_inputs(first, second), share_inputs(second, first)
    np.testing.assert_array_equal(one.layer, other.layer)
    np.testing.assert_array_equal(one.steps, np.concatenate([other.steps[N:], other.steps[:N]]))


def test_slices_are_the_aucs_of_their_showers() -> None:
    rng = np.random.default_rng(0)
    energy = rng.uniform(1, 100, 400)
    tested = np.concatenate([rng.permutation(400)[:300], rng.permutation(400)[:300]])
    truth, score, training = tested < 200, rng.random(600), np.repeat([0, 1], 300)
    found = Separation(np.zeros(2), np.zeros(2), 0, 0, tested, truth, score, score, training)
    edges = np.array([1.0, 30.0, 100.0])
    for i, part in enumerate(sliced(found, energy, edges)):
        mine = (energy[tested] >= edges[i]) & (energy[tested] < edges[i + 1])
        aucs = [roc_auc_score(truth[mine & (training == t)], score[mine & (training == t)]) for t in (0, 1)]
        assert part.auc == pytest.approx(np.mean(aucs))


@pytest.mark.parametrize(
    ("energy", "slices"),
    [
        (np.full(1000, 5e4), 1),
        (np.repeat([1e4, 2e4, 5e4], 50), 3),
        (np.linspace(1e3, 1e5, 1000), 4),
        (np.linspace(1e3, 1e5, 200), 1),
    ],
)
def test_slices_hold_equally_many_showers_or_one_energy_each(energy: np.ndarray, slices: int) -> None:
    edges = energy_slices(energy)
    counts = np.histogram(energy, edges)[0]
    assert len(counts) == slices
    assert counts.sum() == len(energy)
    assert counts.max() - counts.min() <= 1


def test_beams_of_one_energy_have_one_slice(tmp_path: Path) -> None:
    def beam(seed: int) -> Showers:
        showers = toy_showers(120, seed)
        energy = showers.incident.energy.astype(float)
        cells = showers.cells * (2e4 / energy)[:, None]
        return Showers(showers.detector, Incident.of(np.full(120, 2e4)), cells.astype(np.float32))

    made = samples_of(tmp_path, beam(1), beam(2), beam(3))
    trees, single = cells(made, _silent, trainings=2), fluctuations(made, _silent)
    assert len(trees.details["slices"]["energy_edges"]) == 2
    numbers = {n.name: n.measure.value for n in trees.numbers[0]}
    assert numbers["slice_auc_worst"] == pytest.approx(numbers["auc_cells"])
    assert not any(n.off for study in (trees, single) for n in study.numbers[0])


def test_tests_of_other_trainings_calibrate_as_well() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(6000, 2)).astype(np.float32)
    values[:3000, 0] += np.float32(1.2)
    held, used = (separate(3000, Trees(values, hold=hold), 3, 0, _silent) for hold in (True, False))
    assert used.auc.mean() == pytest.approx(held.auc.mean(), abs=0.02)
    # of two Gaussians the logarithm of the odds is known: 1.2 x - 1.2**2 / 2
    odds = 1 / (1 + np.exp(-(1.2 * values[:, 0] - 0.72)))
    divergence = 1 - log_loss(np.arange(6000) < 3000, odds) / np.log(2)
    assert divergence - 0.04 < used.jsd.mean() < divergence + 0.01


def test_single_cells_have_numbers_and_charts(samples: Samples) -> None:
    study = fluctuations(samples, _silent)
    fair, narrow = ({n.name: n for n in numbers} for numbers in study.numbers)
    assert not any(number.off for number in fair.values())
    assert narrow["cell_spread"].off
    keys = [chart.key for chart in study.charts]
    assert len(keys) == len(set(keys))
    assert {"cell_spread_sorted", "cell_shape_sorted", "cell_spread_1", "cell_mean_1", "cell_hits_1"} <= set(
        keys
    )
    assert {"neighbours_side_1", "neighbours_diagonal_1"} <= set(keys)


@pytest.mark.parametrize(
    ("grid", "missing"),
    [
        ("{kind: hexagonal, cell: 20 mm, rings: 2}", {"diagonal": "of this detector touch at a corner only"}),
        (
            "{kind: cartesian, window: [9 m, 9 m], cells: [3, 3]}",
            {
                "side": "that Geant4 hits often have a side in common",
                "diagonal": "that Geant4 hits often touch at a corner only",
            },
        ),
        ("{kind: cartesian, window: [80 mm, 80 mm], cells: [4, 4]}", {}),
    ],
)
def test_neighbours_that_are_not_there_are_told(grid: str, missing: dict[str, str], tmp_path: Path) -> None:
    detector = Detector.from_yaml(
        f"{{name: one, readout: {{deposits: all, layers: [{{thickness: 200 mm, grid: {grid}}}]}}}}"
    )
    first, second, third = (toy_showers(150, seed, detector) for seed in (1, 2, 3))
    absent = report(str(tmp_path), first, second, {"x": third}).comparison.absent(0)
    assert {name: str(why) for name, why in absent.items() if name.startswith("neighbours")} == {
        f"neighbours_{kind}": f"no two cells {why}" for kind, why in missing.items()
    }


def test_all_deviations_of_a_chart_have_one_scale() -> None:
    corners = np.meshgrid(np.arange(3.0), np.arange(3.0), indexing="ij")
    small, large = (Face(*corners, k * np.array([[1.0, -1.0], [1.0, 0.5]]), ("", "")) for k in (1, 40))
    panels = (Map("a", small, "deviation"), Map("b", large, "deviation"))
    chart = Maps(key="k", title="t", theme="fluctuations", panels=panels)
    one, other = (set(plate.words().values()) for plate in plates(chart))
    alone = set(plates(replace(chart, panels=panels[:1]))[0].words().values())
    assert "40" in one
    assert "40" in other
    assert "40" not in alone


def report(tmp: str, reference: Showers, floor: Showers, candidates: dict[str, Showers]) -> Report:
    return validate(reference, candidates, floor=floor, metrics="fluctuations", out=Path(tmp))


def titles(found: Report, candidate: int) -> set[str]:
    return {f.title for f in found.comparison.findings[candidate] if f.severity == "fault"}


def test_a_report_of_1500_showers_names_cells_that_vary_too_little_or_too_much() -> None:
    n, fair = 1500, toy_showers(1500, 3)
    made = {"fair": fair, "little": rescaled(fair, 0.8), "much": rescaled(fair, 1.2)}
    with tempfile.TemporaryDirectory() as tmp:
        found = report(tmp, toy_showers(n, 1), toy_showers(n, 2), made)
    assert titles(found, 0) == set()
    assert titles(found, 1) == {"Single cells vary too little"}
    assert "Single cells vary too much" in titles(found, 2)
    assert "single cells vary too little" in found.comparison.verdicts[1].text
    only_cells = [study for study in found.comparison.studies if study.name == "fluctuations"]
    for i, verdict in enumerate(found.comparison.verdicts):
        samples = found.comparison.samples
        others = faults_tested(samples, samples.candidates[i])
        assert verdict.trials.faults == others + only_cells[0].faults_tested[i]
    fault = next(f for f in found.comparison.findings[1] if f.severity == "fault")
    assert fault.chart == "cell_spread_sorted"
    varies = float(fault.text.split("varies ")[1].split()[0])
    assert varies == pytest.approx(0.8, abs=0.02)
    numbers = found.comparison.numbers(1)
    assert numbers["cell_spread"].measure.value == pytest.approx(20, abs=3)
    assert not numbers["cell_hits"].off


def exchanged(sigmas: float, value: float) -> Exchanged:
    """A ratio of spreads whose logarithm lies so many scatters from what exchanges give."""
    chance = norm.ppf((np.arange(200) + 0.5) / 200)
    chance /= chance.std()
    rows = np.exp(np.log(value) / sigmas * np.concatenate([[sigmas], chance]))
    return Exchanged(value, rows[1:], rows, rows[1:])


@pytest.mark.parametrize("tests", [1, 40, 400])
def test_faults_of_cells_have_the_level_of_all_faults(tests: int) -> None:
    edge = norm.isf(FAULTS_LEVEL / 2 / tests)
    for sigmas, named in ((edge - 0.02, 0), (edge + 0.02, 1)):
        found = {"layer 0": exchanged(sigmas, 0.8), "layer 1": exchanged(1.0, 1.01)}
        assert len(list(cell_faults(toy_detector(), found, tests))) == named
    assert not list(
        cell_faults(toy_detector(), {"layer 0": exchanged(9.0, 1.02)}, tests)
    )  # too little to matter


def test_tests_of_cells_are_counted(samples: Samples) -> None:
    study = fluctuations(samples, _silent)
    layers = len(study.details["samples"]["candidate 0"]["spread_by_layer"])
    assert study.faults_tested == (layers + 2,) * 2
    assert cell_tests({"layer 3": exchanged(1, 1.1), "cell_mean": exchanged(1, 1.1)}) == 1


def test_cells_that_vary_too_little_here_and_too_much_there_are_named() -> None:
    n, fair = 1500, toy_showers(1500, 3)
    little, much = rescaled(fair, 0.8).cells, rescaled(fair, 1.25).cells
    even = np.arange(fair.detector.n_cells) % 2 == 0
    mixed = Showers(fair.detector, fair.incident, np.where(even, little, much))
    with tempfile.TemporaryDirectory() as tmp:
        found = report(tmp, toy_showers(n, 1), toy_showers(n, 2), {"mixed": mixed})
    assert "Single cells vary too little here and too much there" in titles(found, 0)


def test_cells_of_right_mean_and_spread_but_wrong_shape_are_named() -> None:
    """Log-shares mirrored about their trend: a tail to small shares becomes one to large shares."""
    n = 1500
    mirrored = rescaled(toy_showers(n, 3), -1.0)
    with tempfile.TemporaryDirectory() as tmp:
        found = report(tmp, toy_showers(n, 1), toy_showers(n, 2), {"mirrored": mirrored})
    assert found.numbers["cell_shape"].off
    assert any(title.startswith("Single cells") for title in titles(found, 0))


def test_narrow_cells_are_found_in_real_showers_and_real_ones_are_not_blamed() -> None:
    """The showers that ship: 775 and 775, and the second ones again with narrow cells."""
    with open_source(positrons()) as source:
        showers = Showers.concat(list(source.chunks()))
    half = len(showers) // 2
    with tempfile.TemporaryDirectory() as tmp:
        made = {"narrow": rescaled(showers[half:], 0.8)}
        found = report(tmp, showers[:half], showers[half:], made)
    assert "Single cells vary too little" in titles(found, 0)
    assert found.numbers["cell_spread"].off


def test_real_showers_of_two_productions_are_not_blamed(published: Path) -> None:
    with open_source(published / "calogan" / "positrons-2.h5") as source:
        showers = Showers.concat(list(source.chunks()))
    parts = [showers[i : i + 1500] for i in (0, 1500, 3000)]
    with tempfile.TemporaryDirectory() as tmp:
        made = {"geant4": parts[2], "narrow": rescaled(parts[2], 0.8)}
        found = report(tmp, *parts[:2], made)
    assert titles(found, 0) == set()
    assert not any(n.off for n in found.comparison.numbers(0).values())
    assert "Single cells vary too little" in titles(found, 1)


@pytest.mark.parametrize("n", [2, 20])
def test_too_few_showers_give_no_number(tmp_path: Path, n: int) -> None:
    few = samples_of(tmp_path, toy_showers(n, 1), toy_showers(n, 2), toy_showers(n, 3))
    for study in (cells, fluctuations):
        found = study(few, _silent)
        assert found.numbers == ((),)
        assert found.method


def test_showers_without_energy_are_no_end_of_it(tmp_path: Path) -> None:
    made = samples_of(tmp_path, toy_showers(90, 1), toy_showers(90, 2), broken(toy_showers(90, 3), "empty"))
    trees, single = cells(made, _silent, trainings=2), fluctuations(made, _silent)
    assert trees.numbers[0][0].measure.value > 0.95
    numbers = {n.name: n for n in single.numbers[0]}
    assert numbers["cell_hits"].off
    assert "cell_spread" not in numbers
    assert single.faults_tested == (0,)
    assert single.findings == ((),)
    for chart in single.charts:
        plates(chart)


def test_a_floor_below_a_guess_makes_nobody_guilty() -> None:
    assert not above_chance(Measure(0.53, 0.008, 0.46, 0.008), 0.5)
    assert above_chance(Measure(0.56, 0.008, 0.46, 0.008), 0.5)
    assert not above_chance(Measure(0.56, 0.008, 0.53, 0.008), 0.5)


def test_the_only_cell_of_a_layer_does_not_vary() -> None:
    text = """
name: one
shape: planar
size: [100 mm, 100 mm]
readout:
  deposits: all
  layers: [{name: a, thickness: 10 mm, grid: {kind: cartesian, window: [60 mm, 60 mm], cells: [1, 1]}}]
"""
    detector, energy = Detector.from_yaml(text), np.geomspace(1e3, 1e5, 300)
    cells = (energy * np.random.default_rng(1).normal(0.9, 0.05, 300))[:, None].astype(np.float32)
    followed = Followed.of(detector, log_shares(detector, csr_array(cells)), 0.2)
    sums = cell_sums(detector, csr_array(cells), np.arange(300) % 7, 7, followed).whole
    assert np.isnan(sums.spread(10)).all()  # it was that of rounding, and its ratio to another any number
