"""Algorithms of evolution on functions of 27 genes, whose minimum is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from caloforge.detector import Detector
from caloforge.evolution.algorithms import make_algorithm
from caloforge.evolution.algorithms.base import Algorithm, Generation
from caloforge.evolution.settings import CmaEsSettings, DeepGaSettings, EsSettings, LeeaSettings, SnesSettings
from caloforge.showers import Incident, Showers
from tiny_toys import planar

SHAPES = {"weight": (3, 4, 2), "bias": (3,)}
SIZE = 27
SETTINGS = {
    "deep-ga": DeepGaSettings(population=40, parents=6, elites=3, power=0.1),
    "leea": LeeaSettings(population=60, power=0.3),
    "es": EsSettings(population=20, sigma=0.1, rate=0.1),
    "es of rank one": EsSettings(population=20, sigma=0.1, rate=0.1, rank="one"),
    "snes": SnesSettings(sigma=0.5),
    "cma-es": CmaEsSettings(sigma=0.5),
}
"""One of each algorithm."""


def make(name: str, seed: int = 5, **changes: Any) -> Algorithm[Any]:
    """Return an algorithm that has not asked yet, with some of its settings changed."""
    start = np.linspace(-1, 1, SIZE).astype(np.float32)
    spread = np.repeat([0.5, 0.25], [24, 3]).astype(np.float32)
    return make_algorithm(SETTINGS[name].model_copy(update=changes), start, spread, seed, SHAPES)


def genes_of(algorithm: Algorithm[Any], generation: Generation) -> np.ndarray:
    return algorithm.decode(generation.shared, generation.chromosomes, algorithm.size)


def evolve(algorithm: Algorithm[Any], cost: Callable[[np.ndarray], np.ndarray], generations: int) -> None:
    """Let generations pass, elites included."""
    for _ in range(generations):
        algorithm.tell(cost(genes_of(algorithm, algorithm.ask()).astype(np.float64)))
        if elites := algorithm.elites():
            algorithm.choose(cost(genes_of(algorithm, elites).astype(np.float64)))


def sphere(genes: np.ndarray) -> np.ndarray:
    return ((genes - 0.3) ** 2).sum(1)


def valley(genes: np.ndarray) -> np.ndarray:
    """Return a flatter Rosenbrock function: along a bent valley to (1, 1, ...)."""
    return (10 * (genes[:, 1:] - genes[:, :-1] ** 2) ** 2 + (1 - genes[:, :-1]) ** 2).sum(1)


IMAGE = planar((6, 5, 10), name="image")


def image_showers(n: int = 120, seed: int = 5) -> Showers:
    """Showers of one layer, densest in its middle."""
    rng = np.random.default_rng(seed)
    energy = rng.uniform(1e3, 5e4, n)
    place = np.add.outer((np.arange(6) - 2.5) ** 2, (np.arange(5) - 2) ** 2).ravel() / 3
    cells = rng.exponential(size=(n, 30)) * np.exp(-place)
    cells *= (energy * rng.normal(0.9, 0.02, n) / cells.sum(1))[:, None]
    return Showers(Detector.from_yaml(IMAGE), Incident.of(energy, pdg=11), cells.astype(np.float32))
