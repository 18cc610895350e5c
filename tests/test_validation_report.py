"""Whole comparisons of toy showers: one kind lies at the floor, every fault is noticed and named."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from caloforge.cli.main import app
from caloforge.detector import load_detector
from caloforge.errors import CaloforgeError, OutputError, ShowersError, ValidationError
from caloforge.showers import Incident, Showers, convert
from caloforge.validation import validate
from caloforge.validation.bar import Bar
from caloforge.validation.compare import Comparison, Given, compare
from caloforge.validation.inputs.source import open_source
from caloforge.validation.registry import ENTRIES, Entry, Options, pick
from caloforge.validation.report.page import number
from caloforge.validation.report.report import charts_of
from validation_toys import SINGLE, broken, single_layer, toy_detector, toy_showers

N = 400
FAST = "distributions,response"


def run(
    reference: Showers | Path,
    *candidates: Showers | Path,
    floor: Showers | None = None,
    training: Showers | None = None,
    metrics: str = FAST,
    seed: int = 0,
    **how: int,
) -> Comparison:
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        opened = [stack.enter_context(open_source(showers)) for showers in (reference, *candidates)]
        opened = [replace(source, **how) for source in opened]
        more = [
            None if showers is None else stack.enter_context(open_source(showers))
            for showers in (floor, training)
        ]
        given = Given(opened[0], {f"c{i}": source for i, source in enumerate(opened[1:])}, *more)
        entries = pick(metrics, [], training is not None, False)
        found = compare(given, entries, Options(trainings=2), seed, Path(folder), Bar(None, 1.0))
        found.samples.reference.column("response")  # observables are gone after this
        return found


@pytest.fixture(scope="module")
def geant4() -> Showers:
    return toy_showers(2 * N, 1)


@pytest.fixture(scope="module")
def few() -> Showers:
    return toy_showers(90, 1)


def off(comparison: Comparison, candidate: int = 0) -> set[str]:
    return {d.name for d in comparison.distances(candidate) if d.off}


def faults(comparison: Comparison, candidate: int = 0) -> set[str]:
    return {f.title for f in comparison.findings[candidate] if f.severity == "fault"}


KINDS = ("none", "scaled", "shifted", "noisy", "repeated", "empty")


@pytest.fixture(scope="module")
def judged(geant4) -> Comparison:
    """All kinds of samples in one comparison, by every study that is quick but one."""
    made = [toy_showers(N, 2 + i) for i in range(len(KINDS))]
    candidates = [s if kind == "none" else broken(s, kind) for s, kind in zip(made, KINDS, strict=True)]
    # trees on cells take a second per pair and training: they have tests of their own
    quick = [entry.name for entry in pick("quick", [], False, False) if entry.name != "cells"]
    return run(geant4, *candidates, metrics=",".join(quick))


def test_two_samples_of_one_kind_lie_at_the_floor(judged):
    assert judged.verdicts[0].level == "floor"
    assert off(judged) == set()
    assert judged.findings[0] == ()
    assert [f.title for f in judged.remarks] == ["Small samples"]
    assert judged.plan.size == N
    trials = judged.verdicts[0].trials
    assert (trials.distributions, trials.chance) == (len(judged.distances(0)), pytest.approx(0.01))
    assert trials.faults > 3  # three of the energy, and shifts and soft cells
    assert judged.verdicts[KINDS.index("empty")].trials.faults == 0
    above = {name: n.measure for name, n in judged.numbers(0).items() if n.off}
    assert above == {}
    measures = [d.measures["separation"] for d in judged.distances(0) if "separation" in d.measures]
    assert 0.8 < sum(m.value for m in measures) / sum(m.floor for m in measures) < 1.2


@pytest.mark.parametrize(
    ("kind", "names", "fault"),
    [
        ("scaled", {"response"}, "Energies 2."),
        ("shifted", {"centroid_y_0", "centroid_y_1", "profile_y_1"}, "Showers shifted along y"),
        ("noisy", {"cell_spectrum"}, "Noise: too many soft cells"),
        ("repeated", set(), "Repeated showers"),
        ("empty", {"total_energy", "shower_depth", "profile_z"}, "Empty showers"),
    ],
)
def test_faults_are_noticed_and_named(judged, kind, names, fault):
    i = KINDS.index(kind)
    assert names <= off(judged, i)
    assert any(title.startswith(fault) for title in faults(judged, i))
    assert fault.lower()[1:] in judged.verdicts[i].text.lower()
    assert judged.verdicts[i].level != "floor"
    keys = {chart.key for chart in charts_of(judged)}
    assert {f.chart for f in judged.findings[i]} - {""} <= keys


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("scaled", {"auc_trees", "response"}),
        ("shifted", {"auc_high", "auc_trees", "fpd", "figure_of_merit", "ssim"}),
        ("noisy", {"auc_high", "auc_trees", "fpd", "beyond_floor"}),
        ("empty", {"auc_high", "auc_trees", "coverage", "response"}),
    ],
)
def test_numbers_see_faults(judged, kind, names):
    numbers = judged.numbers(KINDS.index(kind))
    assert {name for name in names if not numbers[name].off} == set()


def test_a_wrong_scale_is_measured(judged):
    response = judged.numbers(KINDS.index("scaled"))["response"].measure
    assert response.value == pytest.approx(2.0, abs=4 * response.error)
    assert abs(response.floor) < 4 * response.floor_error + 0.1


def _contract(entry: Entry) -> object:
    """Convolutions take half a minute even of toys."""
    return pytest.param(entry, id=entry.name, marks=[pytest.mark.slow] if entry.name == "cnn" else [])


@pytest.mark.parametrize("entry", [_contract(entry) for entry in ENTRIES])
def test_every_study_keeps_its_promises(geant4, entry):
    """Numbers that the registry announces, each with label and floor; unique charts; odd samples."""
    if entry.needs == "model":
        pytest.skip("scans have tests of their own")
    if entry.name == "energies":
        pytest.skip("fixed energies have tests of their own")
    if entry.slow or entry.name == "cells":  # trees on cells have tests of their own
        reference, candidates = geant4[:240], (toy_showers(120, 2), broken(toy_showers(120, 3), "empty"))
    else:
        reference, candidates = geant4, (toy_showers(N, 2), broken(toy_showers(N, 3), "empty"))
    training = toy_showers(200, 50) if entry.needs else None
    found = run(reference, *candidates, training=training, metrics=entry.name)
    (study,) = found.studies
    assert study.name == entry.name
    assert study.method
    assert len(study.numbers) == 2
    names = {n.name for n in study.numbers[0]}
    assert names <= set(entry.numbers)
    assert names
    for n in study.numbers[0]:
        assert n.label
        assert n.meaning
        assert np.isfinite(n.measure.value), n.name
        assert np.isfinite(n.measure.floor), n.name
        assert not n.off, n
    keys = [chart.key for chart in study.charts]
    assert len(keys) == len(set(keys))


def test_the_reference_itself_is_no_candidate(few):
    assert "Copies of the reference" in faults(run(few, few))


def test_a_reference_without_energy_is_refused(few):
    with pytest.raises(ValidationError, match="no shower of the reference"):
        run(broken(few, "empty"), toy_showers(90, 2))


def test_showers_of_the_training_are_found(few):
    found = run(few, toy_showers(45, 2), training=Showers.concat([toy_showers(60, 5), few[:10]]))
    assert "showers in memory holds training showers" in {f.title for f in found.remarks}
    assert "10 of 90" in next(f.text for f in found.remarks if f.severity == "fault")
    found = run(few, toy_showers(45, 2), training=toy_showers(45, 2))
    assert "Copies of training showers" in faults(found)


def test_a_layer_that_geant4_never_hits(few):
    def without_back(showers: Showers) -> Showers:
        cells = showers.cells.copy()
        cells[:, showers.detector.layers[2].cells] = 0
        return Showers(showers.detector, showers.incident, cells)

    found = run(without_back(few), without_back(toy_showers(45, 2)), toy_showers(45, 2))
    assert off(found, 0) == set()
    assert {"layer_energy_2", "width_x_2", "sparsity_2"} <= off(found, 1)


def test_a_floor_file_is_used():
    found = run(toy_showers(48, 5), toy_showers(60, 6), floor=toy_showers(70, 7))
    assert found.plan.size == 48
    assert not found.plan.halves
    assert found.verdicts[0].level == "floor"


def test_other_detectors_are_refused(few):
    other = load_detector("calogan")
    showers = Showers(other, Incident.of([1e4] * 4), np.ones((4, other.n_cells), np.float32))
    for more in ({}, {"floor": toy_showers(20, 3)}):
        with pytest.raises(ValidationError, match="different cells") as error:
            run(few, showers, **more)
    assert "calogan: 3 layers, 504 cells" in str(error.value)
    with pytest.raises(ValidationError, match="different cells"):
        run(few, toy_showers(20, 2), training=showers)


def test_other_energies_are_said_or_refused(few):
    candidate = toy_showers(90, 2)
    half = candidate[candidate.incident.energy < 2.5e4]
    titles = {f.title for f in run(few, half).findings[0]}
    assert "The incident energies differ" in titles
    above = Showers(candidate.detector, Incident.of(candidate.incident.energy + 1e6), candidate.cells)
    with pytest.raises(ValidationError, match="nothing in common") as error:
        run(few, above)
    assert "GeV" in str(error.value)


def test_other_angles_and_impact_points_are_said_and_no_fault_of_the_showers(few):
    candidate = broken(toy_showers(90, 2), "scaled")
    for name, value in (("theta", 0.3), ("phi", 1.0), ("x", 5.0), ("y", -5.0)):
        incident = Incident.of(candidate.incident.energy, **{name: value})
        found = run(few, Showers(candidate.detector, incident, candidate.cells))
        assert f"The incident {name} differs" in {f.title for f in found.findings[0]}
        assert faults(found) == set()
    assert faults(run(few, candidate)) != set()


def test_a_shower_of_impossible_energy_is_a_fault(few):
    candidate = toy_showers(90, 2)
    cells = candidate.cells.copy()
    cells[7, 5] = 1e9
    found = run(few, Showers(candidate.detector, candidate.incident, cells))
    assert faults(found) == {"Impossible energies"}
    assert found.verdicts[0].level != "floor"


def test_without_distributions_and_classifiers_the_verdict_rests_on_what_there_is(few):
    assert run(few, toy_showers(45, 2), metrics="correlations").verdicts[0].level == "none"
    found = run(few, broken(toy_showers(45, 2), "shifted"), metrics="merit")
    assert found.verdicts[0].level != "floor"
    assert "Geant4's, but" not in found.verdicts[0].title


def test_no_faults_are_diagnosed_in_a_handful_of_showers():
    for count in (2, 3, 5, 10):
        assert faults(run(toy_showers(90, 1), toy_showers(count, 2), metrics="response")) == set()


def test_seven_candidates_are_refused(tmp_path, few):
    with pytest.raises(ValidationError, match="too many"):
        validate(few, {str(i): few for i in range(7)}, out=tmp_path / "r")


def test_other_particles_are_said(few):
    candidate = toy_showers(90, 2)
    photons = Showers(candidate.detector, Incident.of(candidate.incident.energy, pdg=22), candidate.cells)
    assert "The incident particles differ" in {f.title for f in run(few, photons).findings[0]}


def test_the_references_own_energies_are_said():
    reference, floor = toy_showers(48, 1), toy_showers(48, 2)
    rng = np.random.default_rng(0)
    smeared = (reference.cells * rng.normal(1, 0.001, (48, 1))).astype(np.float32)
    candidate = Showers(reference.detector, reference.incident, smeared)
    titles = {f.title for f in run(reference, candidate, floor=floor).findings[0]}
    assert "Same incident energies as the reference" in titles


@pytest.mark.parametrize(("reference", "candidate"), [(0, 10), (10, 0), (10, 1), (2, 10)])
def test_too_few_showers_are_refused(reference, candidate):
    with pytest.raises(ValidationError, match="showers"):
        run(toy_showers(12, 1)[:reference], toy_showers(12, 2)[:candidate])


def test_a_handful_of_showers_gives_a_report_that_says_so(tmp_path):
    report = validate(toy_showers(8, 1, single_layer()), toy_showers(4, 2, single_layer()), out=tmp_path)
    assert "without a classifier" in report.verdict.text
    assert "Small samples" in {f.title for f in report.comparison.remarks}
    assert "Small samples" in report.html.read_text(encoding="utf-8")


def test_bad_energies_in_memory_are_refused(few):
    showers = toy_showers(20, 2)
    cells = showers.cells.copy()
    cells[3, 4] = np.nan
    with pytest.raises(ShowersError, match="impossible energies"):
        run(few, Showers(showers.detector, showers.incident, cells))


def test_streaming_gives_what_memory_gives(tmp_path, few):
    reference, candidate = few, toy_showers(45, 2)
    whole = run(reference, candidate)
    paths = [s.save(tmp_path / f"{i}.h5") for i, s in enumerate((reference, candidate))]
    how = {"cells_at_once": 17 * reference.detector.n_cells}
    with open_source(paths[0]) as source:
        assert len(list(replace(source, **how).chunks())) == 6
    pieces = run(*paths, **how)
    for a, b in zip(whole.distances(), pieces.distances(), strict=True):
        assert a.measures.keys() == b.measures.keys()
        for key, measure in a.measures.items():
            assert measure.value == pytest.approx(b.measures[key].value, rel=1e-4, abs=1e-9), a.name
    for a, b in zip(whole.samples.candidates, pieces.samples.candidates, strict=True):
        assert (a.cells.toarray() == b.cells.toarray()).all()
        assert (a.energies == b.energies).all()


def test_the_same_seed_gives_the_same_numbers(geant4):
    candidate = toy_showers(60, 2)
    a, b, c = (run(geant4, candidate, seed=seed, metrics=FAST + ",trees") for seed in (3, 3, 4))
    assert a.numbers() == b.numbers()
    assert a.numbers() != c.numbers()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    steps = []
    folder = tmp_path_factory.mktemp("report")
    made = validate(
        toy_showers(400, 1),
        {"good": toy_showers(300, 3), "bad": broken(toy_showers(300, 2), "shifted")},
        out=folder / "new",
        metrics=FAST + ",trees",
        require="auc_trees<0.9,separation.centroid_y_1<0.3,response<5%",
        notes=["training was cut to <4> minutes"],
        speed=[{"who": "Geant4", "ms per shower": 1772.0}, {"who": "bundle", "batch": 128}],
        progress=lambda done, total, note: steps.append((done, total, note)),
    )
    return made, steps


def test_requirements_are_judged_for_each_candidate(report):
    met = {(o.candidate, o.requirement.name): o.met for o in report[0].outcomes}
    assert met[("good", "auc_trees")]
    assert met[("good", "separation.centroid_y_1")]
    assert not met[("bad", "auc_trees")]
    assert not met[("bad", "separation.centroid_y_1")]
    assert met[("good", "response")]


def test_the_json_holds_every_number(report):
    data = json.loads(report[0].json.read_text(encoding="utf-8"))
    bad = data["candidates"]["bad"]
    assert data["schema"] == 2
    assert bad["verdict"]["level"] == "far"
    assert data["showers_compared"] == 200
    assert data["speed"][1]["batch"] == 128
    shifted = bad["distances"]["centroid_y_1"]
    assert shifted["off"]
    assert shifted["measures"]["separation"]["value"] > 10 * shifted["measures"]["separation"]["floor"]
    assert bad["numbers"]["auc_trees"]["value"] > 0.9
    assert [o["met"] for o in data["required"]] == [o.met for o in report[0].outcomes]


def test_the_page_says_what_it_was_told(report):
    text = report[0].html.read_text(encoding="utf-8")
    assert "training was cut to &lt;4&gt; minutes" in text
    assert "1772" in text
    assert report[0].verdict.title in text


def test_figures_are_written_on_request(tmp_path, few):
    validate(few, toy_showers(45, 2), out=tmp_path, metrics="response", figures=True)
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {f"response_vs_energy.{kind}" for kind in ("pdf", "csv", "json")} <= names
    assert (tmp_path / "figures" / "response_vs_energy.pdf").read_bytes().startswith(b"%PDF")


def test_progress_reaches_its_end(report):
    done = [step[0] for step in report[1]]
    assert done == sorted(done)
    assert done[-1] == report[1][-1][1]
    assert all(d <= total for d, total, _ in report[1])


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("files")
    return [str(toy_showers(120, i, single_layer()).save(folder / f"{i}.h5")) for i in (1, 2)]


def command(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["validate", *arguments])
    return result.exit_code, result.output


def test_command_line_prints_numbers_beside_floors(tmp_path, files):
    code, text = command(
        *files,
        "--out",
        str(tmp_path / "report"),
        "--metrics",
        "trees,distributions",
        "--trainings",
        "2",
        "--json",
    )
    assert code == 0, text
    found = json.loads(text)["candidates"]["2"]
    assert found["beyond_floor"] == []
    assert 0.3 < found["numbers"]["auc_trees"]["value"] < 0.7
    assert (tmp_path / "report" / "report.html").is_file()


def test_command_line_fails_if_a_requirement_does(tmp_path, files):
    arguments = (*files, "--out", str(tmp_path / "r"), "--metrics", "response", "--require")
    assert command(*arguments, "response<50%")[0] == 0
    code, text = command(*arguments, "response<0.000001%")
    assert code == 1
    assert "failed by" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("--require", "nonsense"),
        ("--require", "auc_hihg<1"),
        ("--metrics", "fdp"),
        ("--recipe", "calofow"),
        ("--metrics", "memory"),
    ],
)
def test_command_line_refuses_bad_input(tmp_path, files, arguments):
    result = CliRunner().invoke(app, ["validate", *files, "--out", str(tmp_path / "r"), *arguments])
    assert isinstance(result.exception, ValidationError)
    assert not (tmp_path / "r").exists()


def test_command_line_is_told_what_was_hit(tmp_path, files):
    """Files of points do not say it; the numbers are those of the files that do."""
    (tmp_path / "single.yaml").write_text(SINGLE, encoding="utf-8")
    points = [str(convert(f, tmp_path / f"{i}.showerdata.h5").path) for i, f in enumerate(files)]
    how = ("--metrics", "response", "--json", "--out", str(tmp_path / "r"))
    there = ("--detector", str(tmp_path / "single.yaml"))
    code, text = command(files[0], f"x={points[1]}", "--floor", points[0], *there, *how)
    assert code == 0, text
    said = command(files[0], f"x={files[1]}", "--floor", files[0], *how)[1]
    numbers, expected = (json.loads(t)["candidates"]["x"]["numbers"]["response"] for t in (text, said))
    assert numbers["value"] == pytest.approx(expected["value"], rel=1e-4)
    for given, message in (
        (points, "does not say what was hit"),
        ([*files, "--detector", "calogan"], "differ"),
    ):
        result = CliRunner().invoke(app, ["validate", *given, *how])
        assert isinstance(result.exception, ShowersError)
        assert message in str(result.exception)


@pytest.mark.parametrize("text", ["=FILE", "name=", "", "twice"])
def test_command_line_refuses_candidates_without_a_name(tmp_path, files, text):
    given = [files[1], files[1]] if text == "twice" else [text.replace("FILE", files[1])]
    result = CliRunner().invoke(app, ["validate", files[0], *given, "--out", str(tmp_path / "r")])
    assert isinstance(result.exception, CaloforgeError)
    assert "candidate" in str(result.exception)


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path, few):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "report.html").mkdir(parents=True)
    for out in ("file", "file/below", "folder"):
        with pytest.raises((ValidationError, OutputError), match="cannot be written"):
            validate(few, few, out=tmp_path / out)


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
    found = run(showers[:2000], broken(showers[2000:], kind), metrics="quick")
    assert (found.verdicts[0].level == "floor") == (kind == "none")
    if kind == "none":
        assert off(found) == set()


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
        tracemalloc.start()
        run(path, path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # four times the showers, far from four times the memory: only numbers per shower are kept
    assert peaks[1] < 2 * peaks[0]


def test_toy_detector_has_unlike_grids():
    assert len({layer.grid for layer in toy_detector().layers}) == 3
