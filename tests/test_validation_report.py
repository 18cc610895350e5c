"""Whole comparisons of toy showers: two samples of one kind lie at the floor, every fault is noticed."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from caloforge.cli.main import app
from caloforge.detector import load_detector
from caloforge.errors import ShowersError, ValidationError
from caloforge.showers import Incident, Showers
from caloforge.validation import validate
from caloforge.validation.compare import Comparison, Steps, compare
from caloforge.validation.page import number
from caloforge.validation.source import open_source
from caloforge.validation.verdict import plain
from validation_toys import broken, single_layer, toy_detector, toy_showers

N = 400


def run(reference: Showers, candidate: Showers, floor: Showers | None = None, seed: int = 0) -> Comparison:
    with open_source(reference) as first, open_source(candidate) as second:
        if floor is None:
            return compare(first, second, None, seed, Steps(None, 1))
        with open_source(floor) as third:
            return compare(first, second, third, seed, Steps(None, 1))


@pytest.fixture(scope="module")
def geant4() -> Showers:
    return toy_showers(2 * N, 1)


@pytest.fixture(scope="module")
def few() -> Showers:
    """Too few to train classifiers, which takes the time."""
    return toy_showers(90, 1)


def off(comparison: Comparison) -> set[str]:
    return {d.name for d in comparison.distances if d.off}


def faults(comparison: Comparison) -> set[str]:
    return {f.title for f in comparison.findings if f.severity == "fault"}


def test_two_samples_of_one_kind_lie_at_the_floor(geant4):
    found = run(geant4, toy_showers(N, 2))
    assert found.verdict.level == "floor"
    assert off(found) == set()
    assert not any(c.off for c in found.classifiers)
    assert not any(s.off for s in found.scalars)
    assert [f.title for f in found.findings] == ["Small samples"]  # nothing else
    assert found.plan.size == N
    ratios = [d.measures["separation"].value / d.measures["separation"].floor for d in found.distances
              if "separation" in d.measures]  # fmt: skip
    assert 0.8 < np.mean(ratios) < 1.2
    assert abs(found.separation.excess) < 4


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("scaled", {"response"}),
        ("noisy", {"hits", "sparsity_0", "cell_spectrum"}),
    ],
)
def test_faults_are_noticed_and_named(geant4, kind, names):
    found = run(geant4, broken(toy_showers(N, 2), kind))
    assert names <= off(found)
    assert found.verdict.level != "floor"
    best = max(found.classifiers, key=lambda c: c.excess)
    assert best.off
    assert (
        plain(next(d.label for d in sorted(found.distances, key=lambda d: -d.excess))) in found.verdict.text
    )
    if kind == "scaled":
        response = next(s for s in found.scalars if s.name == "response")
        assert response.off
        assert response.measure.value == pytest.approx(2.0, abs=4 * response.measure.error)
        assert abs(response.measure.floor) < 4 * response.measure.floor_error


def test_shifted_cells_are_noticed_and_named(report):
    found = report[0].comparison
    assert {"centroid_y_0", "centroid_y_1", "profile_y_1"} <= off(found)
    assert found.verdict.level == "far"
    assert report[0].worst[0].quantity == "centroid_y"


def test_repeated_showers_are_counted(geant4):
    found = run(geant4, broken(toy_showers(N, 2), "repeated"))
    assert faults(found) == {"Repeated showers"}
    assert f"{N // 10} of {N}" in found.findings[0].text
    assert found.verdict.level != "floor"


def test_the_reference_itself_is_no_candidate(few):
    assert "Copies of the reference" in faults(run(few, few))


def test_showers_without_energy_are_a_fault_not_a_crash(geant4):
    found = run(geant4, broken(toy_showers(N, 2), "empty"))
    assert "Empty showers" in faults(found)
    assert found.verdict.level == "far"
    assert {"total_energy", "shower_depth", "profile_z"} <= off(found)


def test_a_reference_without_energy_is_refused(few):
    with pytest.raises(ValidationError, match="no shower of the reference"):
        run(broken(few, "empty"), toy_showers(90, 2))


def test_a_layer_that_geant4_never_hits(few):
    def without_back(showers: Showers) -> Showers:
        cells = showers.cells.copy()
        cells[:, showers.detector.layers[2].cells] = 0
        return Showers(showers.detector, showers.incident, cells)

    assert off(run(without_back(few), without_back(toy_showers(45, 2)))) == set()
    names = off(run(without_back(few), toy_showers(45, 2)))
    assert {"layer_energy_2", "width_x_2", "sparsity_2", "profile_x_2"} <= names


def test_a_floor_file_is_used(geant4):
    found = run(toy_showers(48, 5), toy_showers(60, 6), floor=toy_showers(70, 7))
    assert found.plan.size == 48
    assert not found.plan.halves
    assert found.counts == (48, 60, 70)
    assert found.verdict.level == "floor"


def test_other_detectors_are_refused(few):
    other = load_detector("calogan")
    showers = Showers(other, Incident.of([1e4] * 4), np.ones((4, other.n_cells), np.float32))
    with pytest.raises(ValidationError, match="different cells") as error:
        run(few, showers)
    assert "calogan: 3 layers, 504 cells" in str(error.value)


def test_other_energies_are_said_or_refused(few):
    candidate = toy_showers(90, 2)
    half = candidate[candidate.incident.energy < 2.5e4]
    titles = {f.title for f in run(few, half).findings}
    assert "The incident energies differ" in titles
    above = Showers(candidate.detector, Incident.of(candidate.incident.energy + 1e6), candidate.cells)
    with pytest.raises(ValidationError, match="nothing in common") as error:
        run(few, above)
    assert "GeV" in str(error.value)


def test_other_particles_are_said(few):
    candidate = toy_showers(90, 2)
    photons = Showers(candidate.detector, Incident.of(candidate.incident.energy, pdg=22), candidate.cells)
    assert "The incident particles differ" in {f.title for f in run(few, photons).findings}


def test_the_references_own_energies_are_said():
    reference, floor = toy_showers(48, 1), toy_showers(48, 2)
    rng = np.random.default_rng(0)
    smeared = (reference.cells * rng.normal(1, 0.001, (48, 1))).astype(np.float32)
    candidate = Showers(reference.detector, reference.incident, smeared)
    assert "Same incident energies as the reference" in {
        f.title for f in run(reference, candidate, floor).findings
    }


@pytest.mark.parametrize(("reference", "candidate"), [(0, 10), (10, 0), (10, 1), (2, 10)])
def test_too_few_showers_are_refused(reference, candidate):
    with pytest.raises(ValidationError, match="showers"):
        run(toy_showers(12, 1)[:reference], toy_showers(12, 2)[:candidate])


def test_a_handful_of_showers_gives_a_report_that_says_so(tmp_path):
    report = validate(toy_showers(8, 1, single_layer()), toy_showers(4, 2, single_layer()), out=tmp_path)
    assert report.classifiers == []
    assert "too few to train" in report.verdict.text
    assert "Small samples" in {f.title for f in report.comparison.findings}
    assert "Small samples" in report.html.read_text(encoding="utf-8")


def test_bad_energies_in_memory_are_refused(few):
    showers = toy_showers(20, 2)
    cells = showers.cells.copy()
    cells[3, 4] = np.nan
    with pytest.raises(ShowersError, match="impossible energies"):
        run(few, Showers(showers.detector, showers.incident, cells))


def test_streaming_gives_what_memory_gives(tmp_path, monkeypatch, few):
    reference, candidate = few, toy_showers(45, 2)
    whole = run(reference, candidate)
    paths = [s.save(tmp_path / f"{i}.h5") for i, s in enumerate((reference, candidate))]
    monkeypatch.setattr("caloforge.validation.source._CELLS_AT_ONCE", 17 * reference.detector.n_cells)
    with open_source(paths[0]) as first, open_source(paths[1]) as second:
        assert len(list(first.chunks())) == 6
        pieces = compare(first, second, None, 0, Steps(None, 1))
    for a, b in zip(whole.distances, pieces.distances, strict=True):
        assert a.measures.keys() == b.measures.keys()
        for key, measure in a.measures.items():
            assert measure.value == pytest.approx(b.measures[key].value, rel=1e-4, abs=1e-9), a.name
    for a, b in zip(whole.shown, pieces.shown, strict=True):
        assert (a.cells == b.cells).all()
        assert (a.incident.energy == b.incident.energy).all()


def test_shown_showers_are_pairs_of_nearest_energy(few):
    candidate = toy_showers(90, 2)
    found = run(few, candidate)
    for energy, other in zip(found.shown[0].incident.energy, found.shown[1].incident.energy, strict=True):
        assert abs(energy - other) == np.abs(candidate.incident.energy - energy).min()


def test_the_same_seed_gives_the_same_numbers(geant4):
    candidate = toy_showers(60, 2)
    a, b, c = (run(geant4, candidate, seed=seed) for seed in (3, 3, 4))
    assert a.classifiers == b.classifiers
    assert [d.measures for d in a.distances] == [d.measures for d in b.distances]
    assert [d.measures for d in a.distances] != [d.measures for d in c.distances]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    steps = []
    made = validate(
        toy_showers(400, 1),
        broken(toy_showers(300, 2), "shifted"),
        out=tmp_path_factory.mktemp("report") / "new",
        notes=["training was cut to <4> minutes"],
        speed=[{"who": "Geant4", "ms per shower": 1772.0}, {"who": "bundle", "batch": 128}],
        progress=lambda done, total, note: steps.append((done, total, note)),
    )  # fmt: skip
    return made, steps


class Page(HTMLParser):
    """Collects tags, links and identifiers."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.ids, self.links, self.fetched = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        if "id" in given and tag in ("section", "figure"):
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given["href"])
        for key in ("src", "href", "xlink:href"):
            value = given.get(key) or ""
            if value and not value.startswith(("#", "data:")):
                self.fetched.append(value)


def test_the_page_is_one_file_that_fetches_nothing(report):
    text = report[0].html.read_text(encoding="utf-8")
    page = Page(text)
    assert page.fetched == []
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert page.tags.count("h1") == 1
    assert page.tags.count("svg") > 30
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    # figures follow the theme: no placeholder colour is left
    assert not re.search(r"#01010\d", text)
    assert len(text) < 5_000_000


def test_the_page_says_what_it_was_told(report):
    text = report[0].html.read_text(encoding="utf-8")
    assert "training was cut to &lt;4&gt; minutes" in text
    assert "1772" in text
    assert report[0].verdict.title in text
    assert "halves of the reference" in text


def test_identifiers_of_inlined_figures_do_not_clash(report):
    text = report[0].html.read_text(encoding="utf-8")
    clips = re.findall(r'<clipPath id="([^"]+)"', text)
    assert len(clips) == len(set(clips))


def test_the_json_holds_every_number(report):
    data = json.loads(report[0].json.read_text(encoding="utf-8"))
    assert data["schema"] == 1
    assert data["verdict"]["level"] == report[0].verdict.level
    assert data["showers_compared"] == 200
    assert data["speed"][1]["batch"] == 128
    shifted = data["distances"]["centroid_y_1"]
    assert shifted["off"]
    assert shifted["measures"]["separation"]["value"] > 10 * shifted["measures"]["separation"]["floor"]
    assert sum(shifted["histogram"]["candidate"]) == 200
    assert set(data["classifiers"]) == {"mlp", "trees"}
    assert len(data["linearity"]["floor"]["response"]) == len(data["energy_bins"]) - 1
    assert data["profiles"]["profile_z"]["unit"] == "MeV"


def test_progress_reaches_its_end(report):
    done = [step[0] for step in report[1]]
    assert done == sorted(done)
    assert done[-1] == report[1][-1][1]
    assert all(d <= total for d, total, _ in report[1])


def test_command_line_prints_numbers_beside_floors(tmp_path, report):
    from typer.testing import CliRunner

    paths = [str(toy_showers(120, i, single_layer()).save(tmp_path / f"{i}.h5")) for i in (1, 2)]
    result = CliRunner().invoke(app, ["validate", *paths, "--out", str(tmp_path / "report"), "--json"])
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["beyond_floor"] == []
    assert 0.3 < data["auc"]["mlp"]["value"] < 0.7
    assert (tmp_path / "report" / "report.html").is_file()


def test_numbers_are_written_to_their_error():
    assert number(0.012345, 0.00214) == "0.0123 ± 0.0021"
    assert number(0.99, 0.1) == "0.99 ± 0.10"
    assert number(1234.5, 67) == "1234 ± 67"
    assert number(29653, 3202) == "29700 ± 3200"
    assert number(float("nan"), 1.0) == "—"
    assert number(0.25) == "0.25"
    assert number(2.0, 0.5, "+") == "+2.00 ± 0.50"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["none", "scaled", "shifted", "noisy", "repeated"])
def test_real_geant4_showers(published, kind):
    from caloforge.showers import open_showers

    with open_showers(published / "calogan" / "positrons.h5") as file:
        showers = file.read(0, 4000)
    found = run(showers[:2000], broken(showers[2000:], kind))
    assert (found.verdict.level == "floor") == (kind == "none")
    if kind == "none":
        assert off(found) == set()


@pytest.mark.slow
def test_the_floor_is_honest():
    """Over many pairs of samples of one kind the family-wise rate of false alarms is what it claims, 1 %."""
    alarms = sum(bool(off(run(toy_showers(200, 100 + i), toy_showers(100, 900 + i)))) for i in range(60))
    assert alarms <= 4


@pytest.mark.slow
def test_memory_for_cells_is_constant(tmp_path):
    import tracemalloc

    peaks = []
    for n in (2000, 8000):
        detector = load_detector("clic")
        rng = np.random.default_rng(n)
        rows = rng.exponential(1.0, (n, detector.n_cells)).astype(np.float32)
        rows[rng.random(rows.shape) < 0.98] = 0
        path = Showers(detector, Incident.of(rng.uniform(1e3, 1e5, n)), rows).save(tmp_path / f"{n}.h5")
        del rows
        with open_source(path) as a, open_source(path) as b:
            tracemalloc.start()
            compare(a, b, None, 0, Steps(None, 1))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    # four times the showers, far from four times the memory: only numbers per shower are kept
    assert peaks[1] < 2 * peaks[0]


def test_toy_detector_has_unlike_grids():
    assert len({layer.grid for layer in toy_detector().layers}) == 3
