"""Algorithms: what all of them promise, and what each has from its publication."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import numpy as np
import pytest

from caloforge.errors import EvolutionError
from caloforge.evolution.algorithms import algorithm_class, make_algorithm
from caloforge.evolution.algorithms.base import Algorithm, Generation
from caloforge.evolution.algorithms.parents import Parents
from caloforge.evolution.noise import normal
from caloforge.evolution.settings import DeepGaSettings, EsSettings

SHAPES = {"weight": (3, 4, 2), "bias": (3,)}
SIZE = 27
SETTINGS = {
    "deep-ga": DeepGaSettings(population=40, parents=6, elites=3, power=0.1),
    "es": EsSettings(population=20, sigma=0.1, rate=0.1),
    "es of rank one": EsSettings(population=20, sigma=0.1, rate=0.1, rank="one"),
}
each = pytest.mark.parametrize("name", SETTINGS)


def make(name: str, seed: int = 5, size: int = SIZE, **changes: Any) -> Algorithm[Any]:
    settings = SETTINGS[name].model_copy(update=changes)
    start = np.linspace(-1, 1, size).astype(np.float32)
    spread = np.full(size, 0.5, np.float32)
    spread[24:] = 0.25
    return make_algorithm(settings, start, spread, seed, SHAPES)


def genes_of(algorithm: Algorithm[Any], generation: Generation) -> np.ndarray:
    return algorithm.decode(generation.shared, generation.chromosomes, algorithm.size)


def evolve(algorithm: Algorithm[Any], cost: Callable[[np.ndarray], np.ndarray], generations: int) -> None:
    for _ in range(generations):
        algorithm.tell(cost(genes_of(algorithm, algorithm.ask()).astype(np.float64)))
        if elites := algorithm.elites():
            algorithm.choose(cost(genes_of(algorithm, elites).astype(np.float64)))


def sphere(genes: np.ndarray) -> np.ndarray:
    return ((genes - 0.3) ** 2).sum(1)


def test_the_tables_know_every_setting() -> None:
    assert {algorithm_class(settings).__name__ for settings in SETTINGS.values()} == {
        "DeepGa",
        "Es",
        "RankOneEs",
    }


@each
def test_it_finds_the_minimum_of_a_sphere(name: str) -> None:
    algorithm = make(name)
    evolve(algorithm, sphere, 150)
    assert sphere(algorithm.best()[None])[0] < 0.05 < sphere(algorithm.start[None])[0]


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


@each
def test_a_restored_one_goes_the_same_way_bit_for_bit(name: str) -> None:
    straight, first = make(name), make(name)
    evolve(straight, sphere, 7)
    evolve(first, sphere, 4)
    second = make(name)
    second.restore({key: value.copy() for key, value in first.state().items()})
    first.ask()
    assert second.ask().chromosomes == first.ask().chromosomes
    evolve(second, sphere, 3)
    np.testing.assert_array_equal(second.best(), straight.best())
    assert second.ask().chromosomes == straight.ask().chromosomes


def test_deep_ga_decodes_stored_bits() -> None:
    """A chain made once, and what it was on the machine that made it."""
    algorithm = make("deep-ga")
    generation = algorithm.ask()
    chromosome = bytes.fromhex(
        "636667316467613158bca621898518d01b00000015cd5b07000000000000803f"
        "ffffffffffffff7fcdcccc3d2a00000000000000cdcc4c3d41649292"
    )
    genes = algorithm.decode(generation.shared, [chromosome], SIZE)
    assert (
        sha256(genes.astype("<f4").tobytes()).hexdigest()
        == "edb76c899804984c26e4a26a9f9192735785b385f1ede873a5eee0ddf76e3ac2"
    )


def test_es_decodes_stored_bits() -> None:
    algorithm = make("es")
    generation = algorithm.ask()
    chromosome = bytes.fromhex("6366673165732d31c04fe524dcc29a611b000000dc8a43f9cbd169b40f81331e")
    genes = algorithm.decode(generation.shared, [chromosome], SIZE)
    assert (
        sha256(genes.astype("<f4").tobytes()).hexdigest()
        == "85ec4de36f28a199b37ad9499b5ecbbfaa6a2a760ce3edab02c9404830986cc7"
    )


def test_deep_ga_is_a_sum_of_mutations() -> None:
    algorithm = make("deep-ga")
    evolve(algorithm, sphere, 2)
    generation = algorithm.ask()
    links = np.frombuffer(generation.chromosomes[-1][20:-4], [("seed", "<i8"), ("power", "<f4")])
    assert links["power"].tolist() == [np.float32(1), np.float32(0.1), np.float32(0.1)]
    expected = algorithm.start + sum(
        np.float64(link["power"]) * algorithm.spread * normal(int(link["seed"]), SIZE) for link in links
    )
    np.testing.assert_allclose(genes_of(algorithm, generation)[-1], expected, rtol=1e-6)


def test_es_follows_the_gradient_of_a_line() -> None:
    """Of a linear function the gradient is the line's own, in units of the spread, whatever sigma is."""
    slope = np.cos(np.arange(SIZE))
    for name in ("es", "es of rank one"):
        algorithm = make(name, population=20_000, sigma=0.3)
        gradient = algorithm.gradient(genes_of(algorithm, algorithm.ask()) @ slope)  # type: ignore[attr-defined]
        expected = slope * algorithm.spread
        assert np.linalg.norm(gradient - expected) < 0.15 * np.linalg.norm(expected), name


@each
def test_a_changed_chromosome_is_refused(name: str) -> None:
    algorithm = make(name)
    generation = algorithm.ask()
    good = generation.chromosomes[0]
    for place in (0, 5, 9, 17, len(good) // 2, len(good) - 1):
        bad = good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :]
        with pytest.raises(EvolutionError, match=r"was changed|no chromosome"):
            algorithm.decode(generation.shared, [bad], SIZE)


@pytest.fixture
def parents(monkeypatch: pytest.MonkeyPatch) -> Parents:
    """Those of a process that has decoded nothing yet."""
    fresh = Parents(limit=1 << 20)
    monkeypatch.setattr("caloforge.evolution.algorithms.deep_ga.PARENTS", fresh)
    return fresh


def _draws(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the seeds that are drawn from then on."""
    seeds: list[int] = []
    draw = lambda seed, *others: seeds.append(seed) or normal(seed, *others)  # noqa: E731
    monkeypatch.setattr("caloforge.evolution.algorithms.deep_ga.normal", draw)
    return seeds


def test_a_chain_costs_its_length_only_once(parents: Parents, monkeypatch: pytest.MonkeyPatch) -> None:
    algorithm = make("deep-ga")
    seeds = _draws(monkeypatch)
    for _ in range(10):
        evolve(algorithm, sphere, 1)
        del seeds[:]
        genes_of(algorithm, algorithm.ask())
        # Each child costs its own mutation, and each parent its own, once.
        assert len(seeds) <= algorithm.population + algorithm.settings.parents


def test_what_is_kept_changes_no_bit(parents: Parents) -> None:
    algorithm = make("deep-ga")
    evolve(algorithm, sphere, 8)
    generation = algorithm.ask()
    kept = genes_of(algorithm, generation)
    for limit in (0, 3 * SIZE * 4, 1 << 20):
        parents.__init__(limit)  # type: ignore[misc]
        for _ in range(2):
            np.testing.assert_array_equal(genes_of(algorithm, generation), kept)
            assert sum(genes.nbytes for genes in parents._kept.values()) == parents._bytes <= limit


def test_another_evolution_uses_none_of_what_is_kept(parents: Parents) -> None:
    one = make("deep-ga")
    other = make_algorithm(one.settings, one.start + 1, one.spread, one.seed, SHAPES)
    for algorithm in (one, other):
        evolve(algorithm, lambda genes: genes[:, 0], 2)
    assert one._parents == other._parents  # type: ignore[attr-defined]
    np.testing.assert_allclose(other.best(), one.best() + 1, rtol=0, atol=1e-6)
