"""Distributions, response, bins and power: faults are found, chance is not, nothing undefined crashes."""

from __future__ import annotations

import json
import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from caloforge.detector import load_detector
from caloforge.observables import observables_for
from caloforge.showers import Incident, Showers
from caloforge.validation.charts import Curve, Histogram, Table
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.metrics.column import Column
from caloforge.validation.metrics.distances import Exchanged, corrected
from caloforge.validation.metrics.equivalent import Ladder, Ranks, crossing, scaled_ks
from caloforge.validation.metrics.resolution import fit_resolution
from caloforge.validation.studies.bins import bins
from caloforge.validation.studies.distributions import distributions
from caloforge.validation.studies.power import power
from caloforge.validation.studies.response import response
from validation_toys import broken, samples_of, single_layer, toy_detector, toy_showers

N = 600
KINDS = ("geant4", "scaled", "shifted", "noisy", "empty")
STUDIES = (distributions, response, bins, power)


def quiet(_fraction, _note):
    pass


def five(n, folder, detector=None, seed=0):
    good = [toy_showers(n, 100 * seed + i, detector) for i in range(3)]
    bad = [broken(toy_showers(n, 100 * seed + 10 + i, detector), kind) for i, kind in enumerate(KINDS[1:])]
    return samples_of(folder, *good, *bad, seed=seed)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return five(N, tmp_path_factory.mktemp("samples"))


@pytest.fixture(scope="module")
def found(samples):
    return {study.__name__: study(samples, quiet) for study in STUDIES}


def numbers(study, kind):
    return {n.name: n for n in study.numbers[KINDS.index(kind)]}


def off(study, kind):
    return {d.name for d in study.distances[KINDS.index(kind)] if d.off}


def test_geant4_against_itself_is_at_its_floor(found):
    assert off(found["distributions"], "geant4") == set()
    for study in found.values():
        assert not any(n.off for n in numbers(study, "geant4").values()), study.name
        assert not any(study.findings[:1])


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("scaled", {"response"}),
        ("shifted", {"centroid_y_0", "centroid_y_1", "centroid_y_2", "profile_y_1"}),
        ("noisy", {"hits", "sparsity_0", "cell_spectrum"}),
        ("empty", {"response", "hits", "cell_spectrum", "profile_z", "width_x_1"}),
    ],
)
def test_faults_are_found_and_named(found, kind, names):
    study = found["distributions"]
    assert names <= off(study, kind)
    assert numbers(study, kind)["beyond_floor"].measure.value == len(off(study, kind))
    assert numbers(study, kind)["beyond_floor"].off
    finding = study.findings[KINDS.index(kind)][0]
    assert finding.chart in {c.key for c in study.charts}
    assert finding.chart in off(study, kind)


def test_a_fault_leaves_what_it_does_not_touch_alone(found):
    assert off(found["distributions"], "scaled").isdisjoint({"centroid_x_1", "shower_depth", "profile_z"})
    assert not off(found["distributions"], "shifted") & {"response", "shower_depth", "layer_energy_1"}
    assert not {n for n in off(found["distributions"], "shifted") if "_x_" in n}


def test_values_are_exact_and_those_of_scipy(samples, found):
    observable = next(o for o in observables_for(samples.detector) if o.name == "width_y_1")
    a, b = (s.column(observable.name) for s in (samples.reference, samples.candidates[3]))
    a, b = a[~np.isnan(a)].astype(float), b[~np.isnan(b)].astype(float)
    distance = next(d for d in found["distributions"].distances[3] if d.name == observable.name)
    assert distance.measures["ks"].value == pytest.approx(stats.ks_2samp(a, b).statistic, abs=1e-12)
    area = stats.wasserstein_distance(a, b) / a.std()
    assert distance.measures["wasserstein"].value == pytest.approx(area, rel=1e-6)
    assert distance.mean == pytest.approx(a.mean())
    assert distance.candidate_mean == pytest.approx(b.mean())
    chart = next(c for c in found["distributions"].charts if c.key == observable.name)
    assert [line.role for line in chart.lines[:3]] == ["geant4", "floor", "candidate"]
    assert all(line.values.sum() == N for line in chart.lines)
    assert chart.lines[6].values[-1] == N  # an empty shower has no width


def test_floors_are_what_independent_samples_give(samples, found, tmp_path):
    """The floor and its scatter, from cuts of two samples, against many pairs of new ones."""
    names = ("response", "width_x_1", "hits")
    seen = {name: [] for name in names}
    for i in range(12):
        more = samples_of(tmp_path, *(toy_showers(N, 5000 + 3 * i + k) for k in range(3)))
        for name in names:
            column = [more.reference.column(name), more.candidates[0].column(name)]
            seen[name].append(stats.ks_2samp(*column).statistic)
    for name in names:
        m = next(d for d in found["distributions"].distances[0] if d.name == name).measures["ks"]
        assert np.mean(seen[name]) == pytest.approx(m.floor, abs=4 * m.floor_error / math.sqrt(12))
        assert 0.4 * m.floor_error < np.std(seen[name], ddof=1) < 2 * m.floor_error


def test_charts_have_unique_keys_and_consistent_shapes(found):
    keys = [c.key for study in found.values() for c in study.charts]
    assert len(keys) == len(set(keys))
    for chart in (c for study in found.values() for c in study.charts):
        if isinstance(chart, Histogram):
            assert all(line.values.shape == (len(chart.edges) + 2,) for line in chart.lines)
        elif isinstance(chart, Curve):
            assert chart.edges is None or len(chart.edges) == len(chart.at) + 1
            assert all(line.values.shape == chart.at.shape for line in chart.lines)
            assert all(line.errors.shape == chart.at.shape for line in chart.lines)
        else:
            assert isinstance(chart, Table)
            assert all(len(row) == len(chart.columns) for row in chart.rows)
    assert {"profile_z", "profile_z.log", "response.vs_energy", "hits.energy_2", "response_vs_energy"} <= {
        *keys
    }


def test_details_are_plain(found):
    for study in found.values():
        json.dumps(study.details)
        assert study.method


def test_a_wrong_scale_is_measured(found):
    scaled = numbers(found["response"], "scaled")
    m = scaled["response"].measure
    assert m.value == pytest.approx(2.0, abs=4 * m.error)
    assert m.error == pytest.approx(100 * 0.02 * math.sqrt(2 / N), rel=0.4)
    assert scaled["response"].off
    assert scaled["response_worst"].off
    assert not scaled["resolution"].off
    assert not scaled["linearity"].off
    assert numbers(found["response"], "empty")["response"].measure.value == pytest.approx(-100)
    assert "resolution" not in numbers(found["response"], "empty")


def test_a_wider_response_is_seen_in_the_resolution_alone(tmp_path):
    wide = toy_showers(2000, 7)
    smear = np.random.default_rng(0).normal(1, 0.03, (2000, 1)).astype(np.float32)
    wide = Showers(wide.detector, wide.incident, wide.cells * smear)
    study = response(samples_of(tmp_path, toy_showers(2000, 1), toy_showers(2000, 2), wide), quiet)
    seen = {n.name: n for n in study.numbers[0]}
    expected = 100 * (math.hypot(2, 3) / 2 - 1)
    assert seen["resolution"].measure.value == pytest.approx(
        expected, abs=4 * seen["resolution"].measure.error
    )
    assert seen["resolution"].off
    assert not seen["response"].off


def test_the_fit_does_not_prefer_what_is_narrow_by_chance():
    """Widths of 30 showers each, with the errors that these have themselves."""
    rng, energy = np.random.default_rng(4), np.geomspace(1.0, 100.0, 12)
    found = []
    for _ in range(200):
        width = 0.1 / np.sqrt(energy) * np.sqrt(rng.chisquare(29, 12) / 29)
        fit = fit_resolution(energy, width, width / math.sqrt(2 * 29))
        found.append(math.hypot(fit.stochastic[0], fit.noise[0] / 10**0.5, fit.constant[0] * 10**0.5))
    assert np.mean(found) == pytest.approx(
        0.1, rel=0.03
    )  # at 10 GeV, times its root; one fit alone gives 0.092


def test_the_fit_recovers_the_terms_of_the_resolution():
    rng = np.random.default_rng(0)
    energy = np.geomspace(1, 100, 12)
    truth = np.sqrt(0.1**2 / energy + 0.05**2 / energy**2 + 0.01**2)
    error = 0.01 * truth
    pulls = []
    for _ in range(80):
        fit = fit_resolution(energy, rng.normal(truth, error), error)
        terms = zip((fit.stochastic, fit.noise, fit.constant), (0.1, 0.05, 0.01), strict=True)
        pulls.append([(value - true) / e for (value, e), true in terms])
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.6
    assert np.std(pulls, axis=0) == pytest.approx(np.ones(3), abs=0.35)


def test_the_fit_is_left_out_where_energies_do_not_tell():
    energy = np.linspace(40, 60, 9)
    assert fit_resolution(energy, 0.1 / np.sqrt(energy), 0.001 * energy) is None
    assert fit_resolution(np.array([1.0, 50.0]), np.ones(2), np.ones(2)) is None
    assert fit_resolution(np.full(9, np.nan), np.ones(9), np.ones(9)) is None


def test_a_fault_at_low_energies_is_found_in_their_bin(tmp_path):
    showers = toy_showers(N, 5)
    low = showers.incident.energy < 1.0e4
    cells = np.where(low[:, None], showers.cells * np.float32(1.04), showers.cells)
    bad = Showers(showers.detector, showers.incident, cells)
    given = samples_of(tmp_path, toy_showers(N, 1), toy_showers(N, 2), bad)
    study = bins(only(given, "response", "hits", "depth", "shower_"), quiet)
    seen = {name for name, d in study.details["bins"][0].items() if d["p_value"] < 0.01}
    assert "response.energy_0" in seen
    assert {name.split(".")[1] for name in seen} == {"energy_0"}
    table = next(c for c in study.charts if c.key == "bins.table")
    assert sum(row[-1] < 0.01 for row in table.rows) == len(seen)
    assert {f.chart for f in study.findings[0]} <= {c.key for c in study.charts}
    assert {n.name: n.off for n in response(given, quiet).numbers[0]}["linearity"]


@pytest.mark.parametrize(("showers", "why"), [(6, "no bin of energy"), (40, "one incident energy")])
def test_what_lacks_numbers_of_the_response_is_said(tmp_path, showers, why):
    """Few showers of one energy have no resolution for want of showers, not of energies."""

    def beam(seed):
        found = toy_showers(showers, seed)
        return Showers(found.detector, Incident.of(np.full(showers, 5e3)), found.cells)

    study = response(samples_of(tmp_path, beam(1), beam(2), beam(3)), quiet)
    assert ("resolution" in {n.name for n in study.numbers[0]}) == (showers == 40)
    assert why in str(study.absent)


def test_angle_and_position_have_bins_if_they_vary(tmp_path):
    def tilted(seed):
        showers = toy_showers(400, seed)
        rng = np.random.default_rng(seed)
        theta, x = rng.uniform(0, 0.5, 400), rng.uniform(-40, 40, 400)
        incident = Incident.of(showers.incident.energy, theta=theta, x=x)
        return Showers(showers.detector, incident, showers.cells)

    given = samples_of(tmp_path, tilted(1), tilted(2), tilted(3))
    study = bins(only(given, "response", "hits", "depth"), quiet)
    assert set(study.details["edges"]) == {"energy", "theta", "impact"}
    assert study.details["edges"]["theta"][-1] == pytest.approx(math.degrees(0.5), rel=0.02)
    assert not study.numbers[0][0].off


def test_equivalent_showers_are_those_of_the_theory():
    """For a shift of a Gaussian, against the same tests of independent samples of each size."""
    rng = np.random.default_rng(0)
    n, shift = 40_000, 0.25
    values = [rng.normal(s, 1, n).astype(np.float32) for s in (0, 0, shift)]
    blocks = [rng.permutation(np.arange(n) % 100) for _ in values]
    ladder = Ladder.of(n, 100, 0)
    a, b, c = Ranks.of(values, blocks)
    threshold = np.quantile(scaled_ks(a, b, ladder, null=True), 0.95, axis=1)[:, None]
    # the asymptotic threshold of Kolmogorov's distribution is 1.358; discrete ranks are a little below
    assert threshold[-5:] == pytest.approx(1.32, abs=0.12)
    got = crossing(ladder.sizes, (scaled_ks(a, c, ladder) > threshold).mean(axis=1))

    def rejected(size):
        pairs = [(rng.normal(0, 1, size), rng.normal(shift, 1, size)) for _ in range(200)]
        return np.mean([stats.ks_2samp(x, y, method="asymp").pvalue < 0.05 for x, y in pairs])

    sizes = np.array([60, 100, 150, 220])
    expected = crossing(sizes.astype(float), np.array([rejected(s) for s in sizes]))
    assert got == pytest.approx(expected, rel=0.3)
    again = (scaled_ks(a, b, ladder) > threshold).mean(axis=1)
    assert again[: len(ladder.small) + 2].mean() == pytest.approx(0.05, abs=0.05)


def test_equivalent_showers_of_the_toys(found):
    study = found["power"]
    top = study.details["sizes"][-1]
    alike = numbers(study, "geant4")["equivalent_showers"]
    assert alike.measure.value == alike.measure.floor == top
    assert "More than 300" in alike.meaning
    scaled = numbers(study, "scaled")["equivalent_showers"]
    assert 10 <= scaled.measure.value < 100
    assert scaled.off
    assert next(iter(study.details["showers"][1])) in {"response", "layer_response_1"}
    assert "At most" in numbers(study, "empty")["equivalent_showers"].meaning


def test_corrected_p_values_count_the_largest_of_all():
    rng = np.random.default_rng(0)
    chance = [Exchanged(0, np.zeros(200), rng.normal(size=201), np.zeros(50)) for _ in range(50)]
    far = rng.normal(size=201)
    far[0] = 20
    p = corrected([*chance, Exchanged(20, np.zeros(200), far, np.zeros(50))])
    assert p[-1] == pytest.approx(1 / 201)
    assert min(p[:-1]) > 1 / 201
    alone = [e.p_value for e in chance]
    assert all(a <= b for a, b in zip(alone, p[:-1], strict=True))


@pytest.mark.parametrize("n", [2, 20])
def test_tiny_samples_neither_crash_nor_warn(tmp_path, n):
    given = five(n, tmp_path, single_layer())
    for study in STUDIES:
        made = study(given, quiet)
        assert len(made.numbers) == len(KINDS)
        assert all(math.isfinite(x.measure.value) for c in made.numbers for x in c)
        json.dumps(made.details)


@pytest.mark.parametrize("name", ["clic-angle", "calochallenge-1-photons"])
def test_other_detectors_are_compared(tmp_path, name):
    detector = load_detector(name)
    few = [toy_showers(24, i, detector) for i in range(3)]
    given = samples_of(tmp_path, *few)
    study = distributions(only(given, "layer_energy", "response", "width_r"), quiet)
    keys = {c.key for c in study.charts}
    assert ("layer_energy.layers" in keys) == (detector.n_layers > 8)
    assert not any(n.off for n in study.numbers[0])


def only(samples, *starts):
    """Leave observables out: there are hundreds."""

    def part(sample):
        return _Part(sample, tuple(n for n in sample.names if n.startswith(starts)))

    each = (samples.reference, samples.floor, *samples.candidates)
    reference, floor, *candidates = (part(s) for s in each)
    return Samples(samples.detector, reference, floor, tuple(candidates), seed=samples.seed)


class _Part:
    def __init__(self, sample, names):
        self._sample, self.names = sample, names

    def __getattr__(self, name):
        return getattr(self._sample, name)

    def __len__(self):
        return len(self._sample)


class _Made:
    """A sample whose observables are made when they are asked for, to see what a study keeps of them."""

    def __init__(self, n, seed, names):
        rng = np.random.default_rng(seed)
        self.name, self.detector, self.names, self.n, self.seed = (
            f"made {seed}",
            toy_detector(),
            names,
            n,
            seed,
        )
        self.block = rng.permutation(np.arange(n) % 100)
        self.counts = np.bincount(self.block)
        self.incident = Incident.of(rng.uniform(1e3, 5e4, n))
        self.images = rng.gamma(2, 1, (100, self.detector.n_cells)) * self.counts[:, None]
        self.spectrum = rng.poisson(1000, (100, 240))

    def column(self, name):
        rng = np.random.default_rng([self.seed, self.names.index(name)])
        return rng.gamma(2, 1, self.n).astype(np.float32)

    def __len__(self):
        return self.n


def _peak(study, n, names):
    made = [_Made(n, i, names) for i in range(3)]
    tracemalloc.start()
    found = study(Samples(made[0].detector, made[0], made[1], (made[2],)), quiet)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not any(x.off for x in found.numbers[0])
    return peak


@pytest.mark.parametrize("study", [distributions, power])
def test_memory_does_not_grow_with_the_observables(study):
    names = tuple(o.name for o in observables_for(toy_detector()))
    few, many = _peak(study, 20_000, names[:5]), _peak(study, 20_000, names[:20])
    assert many < 1.25 * few


@pytest.mark.slow
def test_a_million_showers_fit():
    names = tuple(o.name for o in observables_for(toy_detector()))
    assert _peak(distributions, 1_000_000, names) < 300e6


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_stated(tmp_path):
    """Over many pairs of samples of one kind, an alarm at the 1 % level is raised in 1 % of reports."""
    alarms, reports = dict.fromkeys((s.__name__ for s in STUDIES), 0), 100
    for i in range(reports):
        folder = tmp_path / str(i)
        folder.mkdir()
        given = samples_of(folder, *(toy_showers(60, 3000 + 3 * i + k) for k in range(3)), seed=i)
        for study in STUDIES:
            alarms[study.__name__] += any(n.off for n in study(given, quiet).numbers[0])
    # 1 % each: five or more of a hundred have a probability of 0.3 %
    assert max(alarms.values()) <= 4, alarms


def test_columns_count_what_lies_outside():
    column = Column("", np.array([-1, 0, 0.5, 1, 2, np.nan, np.inf], np.float32), np.zeros(7, int), 1)
    assert column.counts(np.array([0.0, 0.5, 1.0])).tolist() == [1, 1, 1, 2, 2]
