"""What proposes individuals and learns from their fitness: one file per algorithm, imported when needed."""

from __future__ import annotations

__all__ = ["ALGORITHMS", "algorithm_class", "make_algorithm"]

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from caloforge.evolution.algorithms.base import Algorithm
    from caloforge.evolution.settings import AlgorithmSettings

# Where each kind of algorithm is; of `es`, one that draws changes of rank one has a class of its own.
ALGORITHMS = {
    "deep-ga": "deep_ga.DeepGa",
    "leea": "leea.Leea",
    "es": "es.Es",
    "es of rank one": "rank_one.RankOneEs",
    "snes": "snes.Snes",
    "cma-es": "cma_es.CmaEs",
}


def algorithm_class(settings: AlgorithmSettings) -> type[Algorithm[Any]]:
    """Return the class that settings are of; its `decode` is all that a worker needs."""
    kind = "es of rank one" if settings.kind == "es" and settings.rank == "one" else settings.kind
    module, name = ALGORITHMS[kind].rsplit(".", 1)
    found: type[Algorithm[Any]] = getattr(import_module(f"{__name__}.{module}"), name)
    return found


def make_algorithm(
    settings: AlgorithmSettings,
    start: NDArray[np.float32],
    spread: NDArray[np.float32],
    seed: int,
    shapes: Mapping[str, tuple[int, ...]],
) -> Algorithm[Any]:
    """Return an algorithm that has not asked yet.

    Args:
        settings: Which one, and how.
        start: Genes to begin with, shape `(size,)`.
        spread: Scale of each gene, shape `(size,)`; 0 leaves a gene as it is.
        seed: Of all its random numbers.
        shapes: The genes as tensors, in order (`evolving` of a dense coding), for changes of rank one.

    Raises:
        EvolutionError: Genes that the algorithm cannot evolve.
    """
    wanted = algorithm_class(settings)
    if settings.kind == "es" and settings.rank == "one":
        from caloforge.evolution.algorithms.rank_one import RankOneEs

        return RankOneEs(settings, start, spread, seed, shapes)
    return wanted(settings, start, spread, seed)
