"""Algorithms of evolution, each against its publication and numbers that were calculated otherwise."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest
from cmaes import CMA

from caloforge.errors import EvolutionError
from caloforge.evolution.algorithms import make_algorithm
from caloforge.evolution.algorithms.es import Es
from caloforge.evolution.algorithms.leea import Leea, wheel
from caloforge.evolution.algorithms.parents import Parents
from caloforge.evolution.algorithms.rank_one import RankOneEs
from caloforge.evolution.algorithms.shaping import by_rank
from caloforge.evolution.noise import normal, random_generator
from caloforge.evolution.settings import CmaEsSettings, EsSettings
from evolution_toys import SETTINGS, SHAPES, SIZE, evolve, genes_of, make, sphere, valley


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


def test_the_elite_lives_on_and_the_best_have_children() -> None:
    algorithm = make("deep-ga")
    first = algorithm.ask().chromosomes
    algorithm.tell(np.arange(40.0)[::-1].copy())
    candidates = algorithm.elites()
    assert candidates is not None
    assert candidates.chromosomes == first[:-4:-1]
    algorithm.choose(np.array([2.0, 3.0, 1.0]))
    second = algorithm.ask().chromosomes
    assert second[0] == first[-3]
    parents = {chromosome[20:32] for chromosome in second}
    assert parents <= {chromosome[20:32] for chromosome in first[-6:]}
    assert len(parents) > 3
    # The elite is a candidate again, though it was the worst of its generation.
    algorithm.tell(np.arange(40.0)[::-1].copy())
    candidates = algorithm.elites()
    assert candidates is not None
    assert candidates.chromosomes[-1] == first[-3]


def test_only_deep_ga_has_elites() -> None:
    algorithms = {name: make(name) for name in SETTINGS}
    assert not any(algorithm.elites() for algorithm in algorithms.values())
    for algorithm in algorithms.values():
        evolve(algorithm, sphere, 1)
    assert [name for name, algorithm in algorithms.items() if algorithm.elites()] == ["deep-ga"]


def test_equal_fitness_is_equal_utility() -> None:
    utilities = by_rank(np.array([3.0, 1.0, 3.0, 2.0]), np.array([4.0, 3.0, 2.0, 0.0]))
    assert utilities.tolist() == [1.0, 4.0, 1.0, 3.0]
    algorithm = make("es")
    before = algorithm.best()
    algorithm.tell(np.ones(20))
    np.testing.assert_array_equal(algorithm.best(), before)


def _strategy(name: str, **changes: object) -> Es:
    algorithm = make(name, **changes)
    assert isinstance(algorithm, Es)
    return algorithm


@pytest.mark.parametrize("name", ["es", "es of rank one"])
def test_es_follows_the_gradient_of_a_line(name: str) -> None:
    """Of a linear function the gradient is the line's own, in units of the spread, whatever sigma is."""
    slope = np.cos(np.arange(SIZE))
    algorithm = _strategy(name, population=8_000, sigma=0.3)
    gradient = algorithm.gradient(genes_of(algorithm, algorithm.ask()) @ slope)
    expected = slope * algorithm.spread
    # Chance alone: sqrt(27 genes / 4,000 pairs) is 8 %, and a little more for products.
    assert np.linalg.norm(gradient - expected) < 0.15 * np.linalg.norm(expected)


@pytest.mark.parametrize("name", ["es", "es of rank one"])
def test_the_gradient_is_the_sum_over_individuals(name: str) -> None:
    """Of rank one, too, where it is a product of all factors: here each individual is built and weighted."""
    values = np.random.default_rng(3).standard_normal(20)
    algorithm = _strategy(name)
    noise = (genes_of(algorithm, algorithm.ask()) - algorithm.best()) / (0.1 * algorithm.spread)
    expected = (values[:, None] * noise).sum(0) / (20 * 0.1)
    np.testing.assert_allclose(algorithm.gradient(values), expected, rtol=1e-4, atol=1e-4)


def test_es_moves_as_adam_says() -> None:
    """Three generations against the formulas of arXiv:1703.03864 and arXiv:1412.6980, in float64."""
    algorithm = make("es", decay=0.1)
    mean, moment, square = algorithm.best().astype(np.float64), np.zeros(SIZE), np.zeros(SIZE)
    for t in (1, 2, 3):
        genes = genes_of(algorithm, algorithm.ask())
        noise = (genes - algorithm.best()) / (0.1 * algorithm.spread)
        worth = 0.5 - np.argsort(np.argsort(sphere(genes.astype(np.float64)))) / 19
        gradient = worth @ noise / (20 * 0.1)
        moment = 0.9 * moment + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        step = moment / (1 - 0.9**t) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)
        mean = mean - 0.1 * 0.1 * mean + 0.1 * algorithm.spread * step
        evolve(algorithm, sphere, 1)
        np.testing.assert_allclose(algorithm.best(), mean, rtol=1e-3, atol=1e-4)


def test_rank_one_factors_are_the_decoded_change() -> None:
    algorithm = make("es of rank one")
    evolve(algorithm, sphere, 2)
    generation = algorithm.ask()
    factors = RankOneEs.factors(generation.shared, generation.chromosomes, SHAPES)
    assert {name: (u.shape, v.shape) for name, (u, v) in factors.items()} == {
        "weight": ((20, 3), (20, 8)),
        "bias": ((20, 1), (20, 3)),
    }
    changes = [np.einsum("kr,kc->krc", u, v).reshape(20, -1) for u, v in factors.values()]
    expected = algorithm.best() + np.concatenate(changes, axis=1)
    np.testing.assert_allclose(genes_of(algorithm, generation), expected, rtol=1e-6, atol=1e-7)
    # A mirror image stands behind each individual.
    np.testing.assert_array_equal(factors["weight"][0][0::2], -factors["weight"][0][1::2])
    np.testing.assert_array_equal(factors["weight"][1][0::2], factors["weight"][1][1::2])


def test_rank_one_changes_have_the_spread_of_sigma() -> None:
    shapes = {"matrix": (20, 30), "row": (1, 40), "column": (50, 1), "number": (1,)}
    spread = np.repeat([0.5, 2.0, 1.0, 0.1], [600, 40, 50, 1]).astype(np.float32)
    settings = EsSettings(population=4000, rank="one", sigma=0.1)
    algorithm = make_algorithm(settings, np.zeros(691, np.float32), spread, 3, shapes)
    change = (genes_of(algorithm, algorithm.ask()) - algorithm.best())[0::2]
    for part in np.split(np.arange(691), [600, 640, 690]):
        assert change[:, part].std() == pytest.approx(0.1 * spread[part[0]], rel=0.05)
    one = change[0, :600].reshape(20, 30)
    assert np.linalg.matrix_rank(one, tol=1e-4 * np.linalg.norm(one)) == 1
    # A single row, column or number is normal in each element: kurtosis 3, where a product has 9.
    kurtosis = (change**4).mean(0) / (change**2).mean(0) ** 2
    assert kurtosis[:600].mean() == pytest.approx(9, rel=0.1)
    assert kurtosis[600:].mean() == pytest.approx(3, rel=0.1)


def test_rank_one_needs_one_spread_a_tensor_and_all_genes() -> None:
    start, spread = np.zeros(SIZE, np.float32), np.linspace(1, 2, SIZE).astype(np.float32)
    with pytest.raises(EvolutionError, match="one spread for each tensor"):
        make_algorithm(SETTINGS["es of rank one"], start, spread, 1, SHAPES)
    with pytest.raises(EvolutionError, match="not the genes"):
        make_algorithm(SETTINGS["es of rank one"], start, spread, 1, {"bias": (3,)})
    generation = make("es of rank one").ask()
    with pytest.raises(EvolutionError, match="of other tensors"):
        RankOneEs.factors(generation.shared, generation.chromosomes, {"weight": (4, 3, 2), "bias": (3,)})


def test_snes_is_that_of_the_publication() -> None:
    """Ten generations against algorithm 6 of arXiv:1106.4487, in float64."""
    algorithm = make("snes")
    assert algorithm.population == 13
    mean, sigma = algorithm.best().astype(np.float64), 0.5 * algorithm.spread.astype(np.float64)
    weights = np.maximum(0, np.log(13 / 2 + 1) - np.log(np.arange(1, 14)))
    utilities = weights / weights.sum() - 1 / 13
    for _ in range(10):
        genes = genes_of(algorithm, algorithm.ask()).astype(np.float64)
        s = ((genes - mean) / sigma)[np.argsort(sphere(genes))]
        evolve(algorithm, sphere, 1)
        mean = mean + sigma * (utilities @ s)
        sigma = sigma * np.exp((3 + np.log(SIZE)) / (5 * np.sqrt(SIZE)) / 2 * (utilities @ (s**2 - 1)))
        np.testing.assert_allclose(algorithm.best(), mean, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(algorithm.state()["deviation"], sigma, rtol=1e-3)


def test_cma_es_is_that_of_the_package() -> None:
    algorithm = make("cma-es", first=0.0)
    package = CMA(np.zeros(SIZE), 0.5, population_size=algorithm.population)
    for generation in range(12):
        package.reseed_rng(int(random_generator(5, generation).integers(2**32)))
        points = [package.ask() for _ in range(algorithm.population)]
        genes = (algorithm.start + algorithm.spread * np.array(points)).astype(np.float32)
        np.testing.assert_array_equal(genes_of(algorithm, algorithm.ask()), genes)
        package.tell(list(zip(points, valley(genes.astype(np.float64)), strict=True)))
        evolve(algorithm, valley, 1)
    expected = (algorithm.start + algorithm.spread * package.mean).astype(np.float32)
    np.testing.assert_array_equal(algorithm.best(), expected)


def test_cma_es_refuses_many_genes() -> None:
    many = np.ones(1001, np.float32)
    with pytest.raises(EvolutionError, match="too many genes"):
        make_algorithm(CmaEsSettings(), many, many, 1, {})


def _leea(**changes: object) -> Leea:
    algorithm = make("leea", **changes)
    assert isinstance(algorithm, Leea)
    return algorithm


def test_leea_inherits_by_hand() -> None:
    """One parent: its count is inherited whole, and 0.2 of that is forgotten."""
    algorithm = _leea(population=3, parents=0.3)
    assert algorithm.inherited().tolist() == [0, 0, 0]
    algorithm.tell(np.array([3.0, 1.0, 2.0]))
    assert algorithm.inherited().tolist() == [1, 1, 1]
    algorithm.tell(np.array([0.5, 0.7, 0.1]))
    np.testing.assert_allclose(algorithm.state()["counts"], [1.3, 1.5, 0.9])
    algorithm.tell(np.array([0.5, 0.2, 0.1]))
    np.testing.assert_allclose(algorithm.state()["counts"], [1.22, 0.92, 0.82])


def test_leea_children_of_two_inherit_the_mean_and_half_the_genes() -> None:
    algorithm = _leea(population=100, parents=1.0, crossover=1.0)
    parents = genes_of(algorithm, algorithm.ask())
    counts = np.linspace(1, 2, 100)
    algorithm.tell(counts)
    shares = []
    for child, count in zip(genes_of(algorithm, algorithm.ask()), algorithm.inherited(), strict=True):
        common = (parents == child).sum(1)
        first, second = np.argsort(-common)[:2]
        if common[first] == SIZE:  # both parents are the same
            assert count == counts[first]
            continue
        assert common[first] + common[second] == SIZE
        assert count == pytest.approx((counts[first] + counts[second]) / 2)
        shares.append((child == parents[min(first, second)]).mean())
    assert len(shares) > 80
    assert np.mean(shares) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(SIZE * len(shares)))


def test_leea_mutates_some_genes_ever_less() -> None:
    algorithm = _leea(population=400, parents=0.0025, crossover=0.0, rate=0.25, power=0.4, power_decay=0.5)
    for power in (0.4, 0.2):
        parent = genes_of(algorithm, algorithm.ask())[:1]
        algorithm.tell(np.arange(400.0) * 1e6)
        change = (genes_of(algorithm, algorithm.ask()) - parent) / algorithm.spread
        assert (change != 0).mean() == pytest.approx(0.25, abs=0.02)
        assert change[change != 0].std() == pytest.approx(power, rel=0.06)


def test_the_wheel_turns_by_how_far_parents_are_ahead() -> None:
    counts = np.array([7.0, 2.0, 5.0, 1.0])
    drawn = wheel(counts, 2, (30_000,), np.random.default_rng(1))
    # 5 is the best that has no children: 1 is ahead by 4, 2 by 3.
    assert np.bincount(drawn, minlength=4) / 30_000 == pytest.approx(
        np.array([0, 3 / 7, 0, 4 / 7]), abs=0.015
    )
    assert set(wheel(np.ones(4), 3, (100,), np.random.default_rng(1))) == {0, 1, 2}
    assert set(wheel(counts, 1, (5,), np.random.default_rng(1))) == {3}
