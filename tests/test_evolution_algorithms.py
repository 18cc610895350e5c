"""Algorithms of evolution: what all of them promise."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from caloforge.errors import EvolutionError
from caloforge.evolution.algorithms import ALGORITHMS, algorithm_class, make_algorithm
from caloforge.evolution.algorithms.chromosome import sealed
from caloforge.evolution.settings import AlgorithmSettings
from evolution_toys import SETTINGS, SHAPES, SIZE, evolve, genes_of, make, sphere, valley

each = pytest.mark.parametrize("name", SETTINGS)


def test_every_algorithm_is_tried() -> None:
    assert set(SETTINGS) == set(ALGORITHMS)
    assert len({algorithm_class(settings) for settings in SETTINGS.values()}) == len(SETTINGS)
    assert len({algorithm_class(settings).code for settings in SETTINGS.values()}) == len(SETTINGS)


def test_algorithms_need_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from caloforge.evolution.algorithms import algorithm_class\n"
        "from caloforge.evolution.settings import DeepGaSettings, CosineSettings\n"
        "print(algorithm_class(DeepGaSettings()).__name__)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "DeepGa", result.stderr


@each
def test_it_finds_the_minimum_of_a_sphere(name: str) -> None:
    algorithm = make(name)
    evolve(algorithm, sphere, 150)
    assert sphere(algorithm.best()[None])[0] < 0.05 < sphere(algorithm.start[None])[0]


@each
def test_it_finds_the_way_into_a_bent_valley(name: str) -> None:
    algorithm = make(name)
    evolve(algorithm, valley, 250)
    assert valley(algorithm.best()[None])[0] < 0.15 * valley(algorithm.start[None])[0]


@each
def test_individuals_do_not_depend_on_how_many_are_decoded(name: str) -> None:
    algorithm = make(name)
    evolve(algorithm, sphere, 3)
    generation = algorithm.ask()
    whole = genes_of(algorithm, generation)
    for size in (1, 7):
        pieces = [
            algorithm.decode(generation.shared, generation.chromosomes[i : i + size], SIZE)
            for i in range(0, len(whole), size)
        ]
        np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert genes_of(algorithm, type(generation)(generation.shared, ())).shape == (0, SIZE)


@each
def test_a_restored_one_goes_the_same_way_bit_for_bit(name: str) -> None:
    straight, first, second = make(name), make(name), make(name)
    evolve(straight, sphere, 7)
    evolve(first, sphere, 4)
    state = {key: value.copy() for key, value in first.state().items()}
    evolve(first, sphere, 1)
    second.ask()
    second.restore(state)
    evolve(second, sphere, 3)
    np.testing.assert_array_equal(second.best(), straight.best())
    assert second.ask().chromosomes == straight.ask().chromosomes
    for key, value in second.state().items():
        np.testing.assert_array_equal(value, straight.state()[key])


@each
def test_a_state_from_before_the_first_generation_is_one(name: str) -> None:
    algorithm = make(name)
    algorithm.restore(make(name).state())
    assert algorithm.ask().chromosomes == make(name).ask().chromosomes
    np.testing.assert_array_equal(algorithm.best(), make(name).best())


@each
def test_a_state_is_of_its_time(name: str) -> None:
    algorithm = make(name)
    evolve(algorithm, sphere, 2)
    state = algorithm.state()
    before = {key: value.copy() for key, value in state.items()}
    evolve(algorithm, sphere, 2)
    for key, value in state.items():
        np.testing.assert_array_equal(value, before[key])


@each
def test_asking_twice_is_asking_once(name: str) -> None:
    algorithm = make(name)
    for _ in range(2):
        one, other = algorithm.ask(), algorithm.ask()
        assert one.chromosomes == other.chromosomes
        assert one.mark == other.mark
        evolve(algorithm, sphere, 1)
        assert set(algorithm.ask().chromosomes) != set(one.chromosomes)


@each
def test_another_seed_is_another_evolution(name: str) -> None:
    one, other = make(name, seed=5), make(name, seed=2**63 - 1)
    assert not set(one.ask().chromosomes) & set(other.ask().chromosomes)


@each
def test_genes_without_spread_stay_as_they_are(name: str) -> None:
    start = np.linspace(-1, 1, SIZE).astype(np.float32)
    spread = np.repeat([0.5, 0.0], [24, 3]).astype(np.float32)
    algorithm = make_algorithm(SETTINGS[name], start, spread, 5, SHAPES)
    evolve(algorithm, sphere, 5)
    np.testing.assert_array_equal(algorithm.best()[24:], start[24:])
    genes = genes_of(algorithm, algorithm.ask())
    np.testing.assert_array_equal(genes[:, 24:], np.tile(start[24:], (len(genes), 1)))


@each
def test_it_begins_with_the_spread_of_an_initialisation(name: str) -> None:
    """The first individuals, or the first mean; with `first` 0 at the genes to begin with."""
    start, spread = np.full(300, 2.0, np.float32), np.full(300, 0.5, np.float32)
    algorithm = make_algorithm(SETTINGS[name], start, spread, 5, {"bias": (300,)})
    first = algorithm.best()
    if np.array_equal(first, start):
        first = genes_of(algorithm, algorithm.ask())
    assert first.std() == pytest.approx(0.5, rel=0.1)
    assert first.mean() == pytest.approx(2.0, abs=0.1)
    np.testing.assert_array_equal(make(name, first=0.0).best(), make(name).start)


@each
def test_a_changed_chromosome_is_refused(name: str) -> None:
    algorithm = make(name)
    generation = algorithm.ask()
    good = generation.chromosomes[0]
    for place in (0, 5, 9, 17, len(good) // 2, len(good) - 1):
        bad = good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :]
        with pytest.raises(EvolutionError, match=r"was changed|no chromosome"):
            algorithm.decode(generation.shared, [bad], SIZE)
    for bad in (b"", good[:-1], good + b"0"):
        with pytest.raises(EvolutionError, match=r"was changed|no chromosome"):
            algorithm.decode(generation.shared, [bad], SIZE)


@each
def test_a_chromosome_of_another_evolution_is_refused(name: str) -> None:
    generation, algorithm = make(name).ask(), make(name)
    for other in set(SETTINGS) - {name}:
        with pytest.raises(EvolutionError, match="another algorithm"):
            algorithm.decode(generation.shared, make(other).ask().chromosomes[:1], SIZE)
    ones = np.ones(28, np.float32)
    longer = make_algorithm(SETTINGS[name], ones, ones, 5, {"bias": (28,)}).ask()
    with pytest.raises(EvolutionError, match="another number of genes"):
        algorithm.decode(generation.shared, longer.chromosomes[:1], SIZE)
    moved = make_algorithm(SETTINGS[name], algorithm.start + 1, algorithm.spread, 5, SHAPES).ask()
    with pytest.raises(EvolutionError, match="another evolution"):
        algorithm.decode(generation.shared, moved.chromosomes[:1], SIZE)


@each
def test_a_body_that_is_none_is_refused(name: str) -> None:
    """Such as of another version: its checksum is right, and still it is no chain, seed or genes."""
    algorithm = make(name)
    generation = algorithm.ask()
    forged = sealed(algorithm.code, SIZE, generation.mark, b"12345")
    with pytest.raises(EvolutionError, match="this chromosome is no"):
        algorithm.decode(generation.shared, [forged], SIZE)


@each
def test_fitness_must_be_finite_and_of_everybody(name: str) -> None:
    algorithm = make(name)
    before = algorithm.state()
    with pytest.raises(EvolutionError, match="one fitness for each individual"):
        algorithm.tell(np.ones(3))
    fitness = np.ones(algorithm.population)
    fitness[-1] = np.nan
    with pytest.raises(EvolutionError, match="not finite"):
        algorithm.tell(fitness)
    for key, value in algorithm.state().items():
        np.testing.assert_array_equal(value, before[key])


@pytest.mark.parametrize(
    ("start", "spread"),
    [
        (np.zeros(3), np.ones(4)),
        (np.zeros((3, 1)), np.ones((3, 1))),
        (np.zeros(0), np.zeros(0)),
        (np.zeros(3), np.zeros(3)),
        (np.zeros(3), np.array([1, -1, 1])),
        (np.array([1, np.nan, 1]), np.ones(3)),
    ],
)
def test_genes_that_cannot_be_evolved_are_refused(start: np.ndarray, spread: np.ndarray) -> None:
    with pytest.raises(EvolutionError):
        make_algorithm(SETTINGS["snes"], start, spread, 1, {})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "deep-ga", "population": 1}, "greater than or equal to 2"),
        ({"kind": "deep-ga", "population": 10, "parents": 11}, "at most the population, 10"),
        (
            {"kind": "deep-ga", "population": 4, "elites": 2},
            "at most the population, 4",
        ),  # 20 parents, left out
        ({"kind": "es", "population": 7}, "even number"),
        ({"kind": "es", "population": 0}, "greater than or equal to 2"),
        ({"kind": "leea", "rate": 1.5}, "less than or equal to 1"),
        ({"kind": "snes", "population": 1}, "greater than or equal to 2"),
        ({"kind": "cma-es", "sigma": 0}, "greater than 0"),
        ({"kind": "nes"}, "does not match any of the expected tags"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(AlgorithmSettings).validate_python(settings)
