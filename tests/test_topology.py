"""Topology and weights in one step: NSGA-II by its definition, the cost by counting, runs that come out."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from browser import Browser
from caloforge.cli.main import app
from caloforge.detector import Detector
from caloforge.errors import EvolutionError, RecipeError, RunError
from caloforge.models.grown.generator import GrownGenerator
from caloforge.models.grown.inherit import Parent, weight_count
from caloforge.models.grown.morph import Limits, random_settings
from caloforge.models.settings import GrownSettings, Stage
from caloforge.search.evolve import evolve
from caloforge.search.topology import results
from caloforge.search.topology.breeding import bred, founders
from caloforge.search.topology.cost import milliseconds, work
from caloforge.search.topology.evolve import evolve_topology
from caloforge.search.topology.figures.ancestry import ancestors
from caloforge.search.topology.individual import Individual, values_of, violations
from caloforge.search.topology.members import lineage
from caloforge.search.topology.nsga2 import (
    Standing,
    crowding,
    hypervolume,
    ranks,
    stand,
    survivors,
    tournament,
)
from caloforge.search.topology.store import Store
from caloforge.training import Recipe, Run, load_recipe, train
from evolution_toys import IMAGE, image_showers
from tiny_toys import planar

TINY = (
    "model={kind: grown, latent: 4, filters: 3, stages: [{filters: 3, grow: 2}]}",
    "objective.algorithm={kind: es, population: 4, rank: one}",
    "schedule.batch=16",
    "data.mirror=false",
)
SMALL = "limits: {stages: 3, filters: 8, weights: 2000}"


def recipe(*settings: str) -> Recipe:
    topology = f"topology={{population: 3, generations: 2, steps: 1, first_steps: 2, {SMALL}}}"
    return load_recipe("evolve-topology", [*TINY, topology, *settings])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_showers().save(tmp_path_factory.mktemp("data") / "image.h5")


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evolution that nobody interrupted."""
    folder = tmp_path_factory.mktemp("topology") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        unmeasured(patch)
        evolve_topology(recipe(), data, folder)
    return folder


def unmeasured(patch: pytest.MonkeyPatch) -> None:
    """Exports take seconds each; the slow test does them."""
    patch.setattr(results, "figures_of", lambda *_: {"ms": 0.125})


def assert_same(one: Path, other: Path) -> None:
    first, second = Store(one).read(), Store(other).read()
    for key in ("population", "individuals", "lived"):
        assert getattr(first, key) == getattr(second, key)
    for individual in (one for one in first.individuals if one.number in first.population):
        a, b = (Store(folder).genome(individual).weights for folder in (one, other))
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)
    fronts = [sorted(entry.name for entry in (folder / "front").iterdir()) for folder in (one, other)]
    assert fronts[0] == fronts[1]


# --- NSGA-II ---


def beats(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


@pytest.mark.parametrize("seed", range(5))
def test_ranks_by_definition(seed: int) -> None:
    """A front is what nothing beats, once the fronts before it are gone (Deb et al. 2002, section III A)."""
    values = np.random.default_rng(seed).integers(0, 6, (25, 3)).astype(float)
    left, expected = set(range(25)), np.zeros(25, int)
    number = 0
    while left:
        on = {i for i in left if not any(beats(values[j], values[i]) for j in left)}
        expected[list(on)] = number
        left, number = left - on, number + 1
    assert number > 2
    assert (ranks(values, np.zeros(25)) == expected).all()


def test_those_that_break_a_constraint_come_last() -> None:
    values = np.array([[0.0, 0.0], [5.0, 5.0], [6.0, 6.0], [1.0, 1.0], [1.0, 1.0]])
    assert ranks(values, np.array([2.0, 0.0, 0.0, 1.0, 1.0])).tolist() == [3, 0, 1, 2, 2]
    assert ranks(values, np.full(5, 0.5)).tolist() == [0] * 5


def test_crowding_by_hand() -> None:
    """Sums over the objectives of what lies between both neighbours, as shares of the extent."""
    values = np.array([[0.0, 10.0], [1.0, 6.0], [4.0, 5.0], [10.0, 0.0]])
    assert crowding(values).tolist() == pytest.approx([np.inf, 0.4 + 0.5, 0.9 + 0.6, np.inf])
    assert np.isinf(crowding(values[:2])).all()


def test_survivors_are_whole_fronts_then_the_loneliest() -> None:
    values = np.array([[0.0, 10.0], [1.0, 6.0], [4.0, 5.0], [10.0, 0.0], [11.0, 11.0]])
    standing = stand(values, np.zeros(5))
    assert sorted(survivors(standing, 3).tolist()) == [0, 2, 3]
    assert sorted(survivors(standing, 4).tolist()) == [0, 1, 2, 3]


def test_tournaments_are_won_by_the_better_one() -> None:
    standing = Standing(np.array([1, 0, 1]), np.array([0.5, 0.1, 0.7]))
    won = [tournament(standing, np.random.default_rng(seed)) for seed in range(60)]
    # The worst one beats nobody; the best of three is in two of three pairs.
    assert set(won) == {1, 2}
    assert 25 < won.count(1) < 55


def test_hypervolume_by_counting() -> None:
    rng = np.random.default_rng(1)
    points, corner = rng.random((7, 2)), np.array([0.9, 0.8])
    grid = (np.indices((400, 400)).reshape(2, -1).T + 0.5) / 400 * corner
    covered = (points[None] <= grid[:, None]).all(2).any(1).mean() * corner.prod()
    assert hypervolume(points, corner) == pytest.approx(covered, abs=5e-3)


def test_it_finds_a_known_front() -> None:
    """Schaffer's problem, x^2 and (x - 2)^2: the front is 0 <= x <= 2."""
    rng = np.random.default_rng(3)

    def values(x: np.ndarray) -> np.ndarray:
        return np.stack([x**2, (x - 2) ** 2], axis=1)

    x = rng.uniform(-50, 50, 20)
    for _ in range(40):
        standing = stand(values(x), np.zeros(len(x)))
        children = np.array([x[tournament(standing, rng)] for _ in range(20)]) + rng.normal(0, 1, 20)
        both = np.concatenate([x, children])
        x = both[survivors(stand(values(both), np.zeros(40)), 20)]
    assert x.min() > -0.1
    assert x.max() < 2.1
    assert np.diff(np.sort(x)).max() < 0.4


def individual(number: int, fitness: float | None, **changes: object) -> Individual:
    told = {"number": number, "generation": 0, "way": "founder", "parents": (), "model": GrownSettings()}
    told |= {"fitness": fitness, "terms": {}, "ms": 0.2, "weights": 1000, "course": ()}
    return Individual.model_validate(told | changes)


def test_what_is_too_bad_is_on_no_front() -> None:
    everyone = [
        individual(0, 0.1),
        individual(1, 0.2),
        individual(2, 0.4, ms=0.1),
        individual(3, None, ms=0.01),
    ]
    too_bad = violations(everyone, tolerance=3)
    assert too_bad.tolist() == pytest.approx([0, 0, 0.1, 1e9])
    assert ranks(values_of(everyone), too_bad).tolist() == [0, 1, 2, 3]


# --- cost ---


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("layers", [((25, 25, 10),), ((6, 5, 10),) * 3])
def test_work_is_what_the_layers_do(layers: tuple[tuple[int, int, float], ...], seed: int) -> None:
    detector = Detector.from_yaml(planar(*layers))
    base = GrownSettings(latent=4, dimensions=3 if len(layers) > 1 else 2)
    drawn = random_settings(base, detector, Limits(4, 16, 20_000), np.random.default_rng(seed))
    generator = GrownGenerator(detector, drawn).eval()
    seen = {"products": 0, "numbers": 0}

    def count(layer: torch.nn.Module, _: object, made: torch.Tensor) -> None:
        seen["products"] += made.numel() * layer.weight[0].numel()
        seen["numbers"] += made.numel()

    for layer in (generator.seed, *generator.stages, generator.head):
        layer.register_forward_hook(count)
    with torch.no_grad():
        generator(generator.sample_noise(1), torch.tensor([[1e4]]))
    found = work(drawn, detector)
    assert (found.products, found.numbers) == (seen["products"], seen["numbers"])
    wide = work(drawn, detector, lanes=16)
    assert wide.products > found.products
    assert wide._replace(products=found.products) == found


def test_more_work_costs_more() -> None:
    detector = Detector.from_yaml(IMAGE)
    stages = tuple(Stage(filters=filters) for filters in (8, 24))
    times = [milliseconds(GrownSettings(stages=stages[:n]), detector) for n in (1, 2)]
    assert 0 < times[0] < times[1]


# --- children ---


def genomes(asked: Recipe, detector: Detector) -> dict[int, Parent]:
    torch.manual_seed(0)
    own = GrownGenerator(detector, asked.model)
    rng = np.random.default_rng(0)
    own.adapt(torch.from_numpy(rng.random((60, 30), np.float32)) * 1e3, torch.rand(60, 1) * 1e4 + 1e4)
    base = Parent(asked.model, own.state_dict())
    return {one.number: one.genome for one in founders(base, detector, asked.topology, seed=1)}


def test_children_fit_the_detector_and_the_limits() -> None:
    asked, detector = recipe("topology.population=16"), Detector.from_yaml(IMAGE)
    living = genomes(asked, detector)
    numbers = list(living)
    standing = Standing(np.zeros(16, np.int64), np.zeros(16))
    children = list(bred(16, numbers, living, standing, detector, asked.topology, seed=1))
    assert [child.number for child in children] == list(range(16, 32))
    assert {child.way for child in children} == {"weights", "preserve", "change", "crossover"}
    noise = torch.Generator().manual_seed(2)
    for child in children:
        generator = GrownGenerator(detector, child.genome.settings).eval()
        generator.load_state_dict(child.genome.weights)
        assert Limits(3, 8, 2000).allow(child.genome.settings, detector)
        cells = generator(generator.sample_noise(3, noise), torch.full((3, 1), 2e4))
        assert cells.shape == (3, 30)
        assert len(child.parents) == 1 + (child.way == "crossover")
        parent = living[child.parents[0]]
        if child.way == "weights":
            assert child.genome.settings == parent.settings
        if child.way == "preserve":
            assert weight_count(child.genome.settings, detector) > weight_count(parent.settings, detector)
            own = GrownGenerator(detector, parent.settings).eval()
            own.load_state_dict(parent.weights)
            drawn = generator.sample_noise(5, noise)
            given = torch.full((5, 1), 2e4)
            torch.testing.assert_close(generator(drawn, given), own(drawn, given), rtol=1e-3, atol=1e-2)


def test_the_same_seed_has_the_same_children() -> None:
    asked, detector = recipe("topology.population=5"), Detector.from_yaml(IMAGE)
    one, other = (genomes(asked, detector) for _ in range(2))
    for number, genome in one.items():
        assert genome.settings == other[number].settings
        assert all(torch.equal(value, other[number].weights[name]) for name, value in genome.weights.items())
    assert len({genome.settings.model_dump_json() for genome in one.values()}) > 3
    assert one[0].settings == asked.model


# --- what comes out ---


def test_runs_come_out(whole: Path) -> None:
    state = Store(whole).read()
    assert len(state.individuals) == 3 * 3
    assert [len(lived) for lived in state.lived] == [3, 3, 3]
    assert {len(one.course) for one in state.individuals} == {1, 2}
    record = json.loads((whole / "topology.json").read_text())
    members = [entry.name for entry in (whole / "front").iterdir()]
    assert sorted(members) == sorted(map(str, record["front"]))
    known = {one.number: one for one in state.individuals}
    for number in record["front"]:
        run = Run.open(whole / "front" / str(number))
        assert run.recipe.model == known[number].model
        assert run.recipe.topology is None
        cells = run.generator()(torch.zeros(2, *run.generator().noise_shape), torch.full((2, 1), 2e4))
        assert 1e4 < cells.sum(1).mean().item() < 3e4
        line = lineage(known[number], known)
        assert run.summary()["steps"] == sum(len(one.course) for one in line)
        assert run.summary()["look"]["score"] > 0


def test_the_diary(whole: Path) -> None:
    lines = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert [entry["generation"] for entry in lines] == [0, 1, 2]
    best = [entry["best"] for entry in lines]
    assert best == sorted(best, reverse=True)  # the best lives on
    assert all(entry["best"] <= entry["median"] for entry in lines)
    assert lines[-1]["hypervolume"] >= 0.999 * lines[0]["hypervolume"]


def test_the_page(whole: Path) -> None:
    page = (whole / "index.html").read_text()
    record = json.loads((whole / "topology.json").read_text())
    assert all(f'id="fig-member-{number}"' in page for number in record["front"])
    assert "caloforge train front/" in page
    assert "src=" not in page
    known = {one.number: one for one in Store(whole).read().individuals}
    shown = ancestors([known[number] for number in record["front"]], known)
    assert {parent for one in shown for parent in one.parents} <= {one.number for one in shown}
    assert {one.generation for one in shown} >= {0}


def test_training_goes_on_with_gradients(whole: Path, data: Path, tmp_path: Path) -> None:
    member = next((whole / "front").iterdir())
    gradients = load_recipe(member / "recipe.yaml", ["objective={kind: distance}", "schedule.epochs=1"])
    run = train(gradients, data, tmp_path / "on", init=member)
    assert run.recipe.model == Run.open(member).recipe.model


class HereError(Exception):
    pass


@pytest.mark.parametrize("after", [2, 8])
def test_it_goes_on_as_if_never_stopped(
    after: int, whole: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unmeasured(monkeypatch)

    def stop(done: int, total: int, note: str) -> None:
        if done == after and total == 9:
            raise HereError

    folder = tmp_path / "stopped"
    with pytest.raises(HereError):
        evolve_topology(recipe(), data, folder, progress=stop)
    if after > 3:  # weights that a killed process has left
        Store(folder).keep(77, {"a": torch.zeros(2)})
    evolve_topology(recipe(), data, folder, resume=True)
    assert_same(whole, folder)
    names = {int(file.stem) for file in (folder / "individuals").iterdir()}
    assert names == set(Store(folder).read().population)


def test_more_generations_later(
    whole: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unmeasured(monkeypatch)
    folder = tmp_path / "later"
    evolve_topology(recipe("topology.generations=1"), data, folder)
    evolve_topology(recipe(), data, folder, resume=True)
    assert_same(whole, folder)


def test_no_time_for_anything(data: Path, tmp_path: Path) -> None:
    record = evolve_topology(recipe(), data, tmp_path / "out", minutes=1e-9)
    assert record["generation"] == 0
    assert "No generation has lived yet" in (tmp_path / "out" / "index.html").read_text()


# --- what is refused ---


def test_another_evolution(whole: Path, data: Path) -> None:
    with pytest.raises(EvolutionError, match="already"):
        evolve_topology(recipe(), data, whole)
    with pytest.raises(EvolutionError, match=r"topology\.steps"):
        evolve_topology(recipe("topology.steps=2"), data, whole, resume=True)


def test_a_changed_record(data: Path, tmp_path: Path) -> None:
    (tmp_path / "topology.json").write_text('{"checksum": "' + "0" * 64 + '"}')
    with pytest.raises(RunError, match="checksum is wrong"):
        evolve_topology(recipe(), data, tmp_path, resume=True)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("topology.limits.weights=20",), "larger than its topology may become"),
        (("data.select=0",), "too few showers select"),
    ],
)
def test_impossible_recipes(settings: tuple[str, ...], told: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=told):
        evolve_topology(recipe(*settings), data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "settings", [["model={kind: calogan}"], ["objective={kind: distance}"], ["topology.ways={weights: 0}"]]
)
def test_sections_that_do_not_fit(settings: list[str]) -> None:
    if settings[0].startswith("topology"):
        settings = ["topology.ways={weights: 0, preserve: 0, change: 0, crossover: 0}"]
    with pytest.raises(RecipeError, match="topology"):
        load_recipe("evolve-topology", settings)


def test_other_verbs_refuse_it(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="stages of this recipe's model evolve"):
        train(recipe(), data, tmp_path / "a")
    with pytest.raises(RecipeError, match="many runs"):
        evolve(recipe(), data, tmp_path / "b")
    words = ["evolve", "evolve-topology", "--data", str(data), "--out", str(tmp_path / "c"), "--init", "x"]
    answer = CliRunner().invoke(app, words)
    assert isinstance(answer.exception, RecipeError)
    assert not list(tmp_path.iterdir())


# --- the whole of it ---


@pytest.mark.slow
def test_killed_and_by_any_number_of_workers(whole: Path, data: Path, tmp_path: Path) -> None:
    """Measured for real, killed with no warning, by two processes and by one: the same front."""
    words = [sys.executable, "-m", "caloforge", "evolve", "evolve-topology", "--data", str(data), "--resume"]
    for setting in (*TINY, f"topology={recipe().topology.model_dump_json()}"):
        words += ["--set", setting]
    two, killed = tmp_path / "two", tmp_path / "killed"
    process = subprocess.Popen([*words, "--out", str(killed)], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 200
    while not (killed / "metrics.jsonl").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    answers = [
        subprocess.run([*words, "--json", "--out", *end], capture_output=True, text=True, check=True)
        for end in ([str(killed)], [str(two), "--jobs", "2"])
    ]
    assert_same(whole, killed)
    assert_same(whole, two)
    found = json.loads(answers[1].stdout)
    assert all(0 < found["figures"][str(number)]["ms"] < 20 for number in found["front"])
    browser = Browser()
    try:
        for width, height, phone in ((1366, 768, False), (390, 844, True)):
            browser.size(width, height, phone)
            for place in ("summary", "front", "drawings", "ancestry", "progress", "evolved"):
                browser.open(two / "index.html", f"#{place}")
                assert browser.run("document.documentElement.scrollWidth") <= width
        assert not browser.errors
        assert all(request.startswith("file:") for request in browser.requests)
    finally:
        browser.close()
