"""`evolve`: an ordinary run comes out of it, the same from one process or several, killed or not."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from caloforge.cli.main import app
from caloforge.deploy import Engine, export
from caloforge.errors import CaloforgeError, EvolutionError, RecipeError, RunError, TrainingError
from caloforge.evolution.fitness.faulty import all_numbers
from caloforge.search.evolve import evolve
from caloforge.showers import Incident
from caloforge.training import Recipe, Run, load_recipe, train
from evolution_toys import image_showers

TINY = (
    "model={kind: grown, latent: 4, filters: 3, stages: [{filters: 3, grow: 2}]}",
    "schedule.batch=16",
    "schedule.epochs=2",
    "data.mirror=false",
)


def recipe(*settings: str) -> Recipe:
    return load_recipe("evolve-2d", [*TINY, "objective.algorithm={kind: es, population: 36}", *settings])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_showers().save(tmp_path_factory.mktemp("data") / "image.h5")


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return evolve(recipe(), data, tmp_path_factory.mktemp("runs") / "alone")


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.weights)


def assert_same(one: Run, other: Run) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert not [name for name in first if not torch.equal(first[name], second[name])]


# --- what comes out ---


def test_a_run_comes_out(alone: Run, tmp_path: Path) -> None:
    assert alone.summary()["steps"] == 2 * (84 // 16)
    steps = [entry for entry in alone.metrics() if entry["kind"] == "step"]
    assert all(entry["best"] <= entry["median"] <= entry["worst"] for entry in steps)
    assert {entry["faulty"] for entry in steps} == {0}
    assert steps[0]["bytes"] < 100  # a seed, and what says whose it is
    export(alone.path, tmp_path / "bundle")
    cells = Engine(tmp_path / "bundle").generate(Incident.of([2e4, 3e4], pdg=11), seed=1).cells
    assert cells.shape == (2, 30)
    assert 0.5 < cells.sum() / 5e4 < 1.5


def test_fitness_falls(data: Path, tmp_path: Path) -> None:
    run = evolve(recipe("schedule.epochs=12", "objective.algorithm.rate=0.1"), data, tmp_path / "run")
    median = [entry["median"] for entry in run.metrics() if entry["kind"] == "step"]
    assert np.mean(median[-5:]) < 0.7 * median[0]


@pytest.mark.parametrize(
    ("algorithm", "coding"),
    [
        ("{kind: es, rank: one, population: 8}", "dense"),
        ("{kind: deep-ga, population: 8, parents: 3, elites: 2}", "separable"),
        ("{kind: leea, population: 8}", "cosine"),
        ("{kind: snes, population: 8}", "hypernetwork"),
        ("{kind: cma-es, population: 8}", "dense"),
    ],
)
def test_every_algorithm_goes_on_as_if_never_stopped(
    algorithm: str, coding: str, data: Path, tmp_path: Path
) -> None:
    asked = recipe(f"objective.algorithm={algorithm}", f"objective.coding.kind={coding}")
    whole = evolve(asked, data, tmp_path / "whole")
    train(asked, data, tmp_path / "halved", until=1)
    assert_same(whole, evolve(asked, data, tmp_path / "halved", resume=True))


def test_only_named_weights_evolve(data: Path, tmp_path: Path) -> None:
    first = evolve(recipe("schedule.epochs=1"), data, tmp_path / "first")
    some = recipe("objective.evolve=[head.*, cells.bias]", "schedule.epochs=1")
    before, after = weights(first), weights(evolve(some, data, tmp_path / "more", init=first.path))
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed == {"generator.head.weight", "generator.cells.bias"}


def test_it_begins_with_given_weights_and_training_goes_on(alone: Run, data: Path, tmp_path: Path) -> None:
    still = recipe("schedule.epochs=1", "objective.algorithm.rate=1e-30")
    for name, value in weights(evolve(still, data, tmp_path / "still", init=alone.path)).items():
        torch.testing.assert_close(value, weights(alone)[name])
    gradients = recipe("objective={kind: distance}", "schedule.epochs=1")
    trained = train(gradients, data, tmp_path / "trained", init=alone.path)
    assert "generator" in trained.init[0]["networks"]


# --- processes ---


def test_two_processes_give_the_same(alone: Run, data: Path, tmp_path: Path) -> None:
    assert_same(alone, evolve(recipe(), data, tmp_path / "two", jobs=2))


def test_elites_are_judged_elsewhere_too(data: Path, tmp_path: Path) -> None:
    asked = recipe(
        "objective.algorithm={kind: deep-ga, population: 20, parents: 4, elites: 3}", "schedule.epochs=1"
    )
    here, there = (evolve(asked, data, tmp_path / f"{jobs}", jobs=jobs) for jobs in (1, 2))
    assert_same(here, there)


def test_a_killed_process_costs_only_time(alone: Run, data: Path, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_one(done: int, _total: int, _note: str) -> None:
        if done >= 3 and not killed:
            tasks = Path("/proc/self/task").iterdir()
            children = [child for task in tasks for child in (task / "children").read_text().split()]
            killed.append(int(children[-1]))
            os.kill(killed[0], signal.SIGKILL)

    asked = recipe("schedule.report_steps=1")
    run = evolve(asked, data, tmp_path / "killed", cluster="processes:2", progress=kill_one)
    assert killed
    assert_same(alone, run)


# --- against each other ---


def test_generators_and_critics_evolve_against_each_other(data: Path, tmp_path: Path) -> None:
    settings = ["objective.algorithm.population=6", "objective.critics.population=4", "objective.opponents=3"]
    small = "model.critic=[{filters: 3, stride: 2}]"
    run = evolve(load_recipe("evolve-adversarial", [*TINY, small, *settings]), data, tmp_path / "run")
    steps = [entry for entry in run.metrics() if entry["kind"] == "step"]
    assert len(steps) > 0
    assert all(np.isfinite([entry["generator"], entry["critic"]]).all() for entry in steps)
    with pytest.raises(RecipeError, match="one process"):
        evolve(load_recipe("evolve-adversarial", [*TINY, small]), data, tmp_path / "two", jobs=2)


# --- what is refused ---


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["objective={kind: distance}"], "trained, not evolved"),
        (["schedule.rates=cosine"], "no learning rates"),
        (["objective.evolve=[heads.*]"], "no weights have such a name"),
    ],
)
def test_what_cannot_be_evolved_is_said(settings: list[str], words: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=words):
        evolve(recipe(*settings), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_directions_are_of_runs_of_the_same_model(alone: Run, data: Path, tmp_path: Path) -> None:
    asked = recipe(
        "model={kind: grown, latent: 4, filters: 5, stages: [{filters: 5, grow: 2}]}",
        f"objective.coding={{kind: directions, runs: [{alone.path}, {alone.path}]}}",
    )
    with pytest.raises(RunError, match="another model") as refused:
        evolve(asked, data, tmp_path / "run")
    assert str(alone.path) == refused.value.details["where"]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("objective.algorithm={population: 1}", "population"),
        ("objective.algorithm={population: 7}", "even number"),
        ("objective.algorithm={kind: ga}", "deep-ga"),
        ("objective.fitness={distanze: 1}", "distance"),
        ("objective.fitness={distance: 0}", "a weight that is not 0"),
        ("objective.coding={kind: sparse}", "separable"),
        ("objective={kind: evolution, algorithm: {rank: one}, coding: {kind: cosine}}", "kind: dense"),
    ],
)
def test_bad_settings_are_said(setting: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        recipe(setting)


def test_memory_for_not_even_one_is_said(data: Path, tmp_path: Path) -> None:
    big = "model={kind: grown, latent: 400, filters: 250, stages: [{filters: 250, kernel: 5}]}"
    with pytest.raises(EvolutionError, match=r"objective\.memory_mb"):
        evolve(recipe(big, "objective.memory_mb=1", "objective.algorithm.population=2"), data, tmp_path / "r")


def test_a_generation_without_showers_ends_it(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not one individual"):
        evolve(recipe("objective.algorithm.sigma=1e38"), data, tmp_path / "run")


def test_what_is_no_number_is_the_worst_and_counted() -> None:
    fitness, faulty = all_numbers(np.array([0.3, np.inf, -0.1, np.nan]))
    assert faulty == 2
    assert np.isfinite(fitness).all()
    assert fitness[[0, 2]].tolist() == [0.3, -0.1]
    assert (fitness[[1, 3]] > 0.3).all()


# --- the command ---


def test_the_command(data: Path, tmp_path: Path) -> None:
    words = ["evolve", "evolve-2d", "--data", str(data), "--out", str(tmp_path / "run"), "--json"]
    settings = [*TINY, "objective.algorithm={kind: es, population: 4}", "schedule.epochs=1"]
    done = CliRunner().invoke(app, [*words, *(word for one in settings for word in ("--set", one))])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["steps"] == 84 // 16


def test_the_command_refuses_what_is_trained(data: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["evolve", "calogan", "--data", str(data), "--out", str(tmp_path / "run")])
    assert isinstance(done.exception, CaloforgeError)
    assert "caloforge train calogan" in str(done.exception)


def test_a_start_that_is_refused_leaves_the_folder_free(data: Path, tmp_path: Path) -> None:
    large = "model={kind: grown, latent: 16, filters: 16, stages: [{filters: 16, grow: 2}]}"
    out = tmp_path / "run"
    with pytest.raises(EvolutionError, match="too many genes"):
        evolve(recipe(large, "objective.algorithm={kind: cma-es}"), data, out)
    assert not out.exists()
    assert evolve(recipe("schedule.epochs=1"), data, out).kept.is_file()
