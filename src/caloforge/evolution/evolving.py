"""The weights of a network that evolve: where they begin, and what genes make of them."""

from __future__ import annotations

__all__ = ["Evolving", "evolved", "initial"]

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caloforge.errors import RecipeError
from caloforge.evolution.algorithms import make_algorithm
from caloforge.evolution.codings import make_coding

if TYPE_CHECKING:
    from caloforge.evolution.algorithms.base import Algorithm
    from caloforge.evolution.codings.base import Coding
    from caloforge.evolution.settings import AlgorithmSettings, CodingSettings

Begin = tuple[dict[str, NDArray[np.float32]], dict[str, float]]
"""Weights that an initialisation draws around, and how widely; both by name."""

_ELSE = 0.1  # spread of weights that nothing drawn stands beside


class Evolving:
    """Weights, the genes that they are made of, and the algorithm that proposes these.

    Args:
        weights: Those that evolve, by name, on their device.
        begin: From `initial`, before any weights were given.
        given: Whether they were.
        algorithm: How they evolve.
        coding: How genes become weights.
        seed: Of all random numbers.
        examples: Weights of trained runs, for the coding `directions`.

    Attributes:
        coding: On the device of the weights.
        algorithm: It has not asked yet.

    Raises:
        EvolutionError: They cannot evolve so.
    """

    def __init__(
        self,
        weights: Mapping[str, nn.Parameter],
        begin: Begin,
        given: bool,
        algorithm: AlgorithmSettings,
        coding: CodingSettings,
        seed: int,
        examples: Sequence[Mapping[str, NDArray[np.float32]]] = (),
    ) -> None:
        centre, spread = begin
        if given:
            centre = {name: weight.detach().cpu().numpy() for name, weight in weights.items()}
        shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
        self.weights = weights
        self.device = next(iter(weights.values())).device
        self.coding: Coding = make_coding(coding, shapes, centre, spread, examples).to(self.device)
        self.algorithm: Algorithm[Any] = make_algorithm(
            algorithm.beginning_with(given),
            self.coding.start,
            self.coding.spread,
            seed,
            self.coding.evolving,
        )

    def decoded(self, genes: NDArray[np.float32]) -> dict[str, Tensor]:
        """Return the weights of individuals with these genes, `(k, size)`: `(k, *shape)` each."""
        return self.coding.decode(torch.from_numpy(np.ascontiguousarray(genes)).to(self.device))

    @torch.no_grad()
    def give_best(self) -> None:
        """Let the network have the weights that are wanted in the end."""
        for name, value in self.decoded(self.algorithm.best()[None]).items():
            self.weights[name].copy_(value[0])


def evolved(network: nn.Module, patterns: Sequence[str]) -> dict[str, nn.Parameter]:
    """Return the weights that have one of these names; `*` stands for anything.

    Raises:
        RecipeError: A pattern fits none.
    """
    weights = dict(network.named_parameters())
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in weights):
            raise RecipeError(
                "no weights have such a name",
                where="objective.evolve",
                got=pattern,
                expected=", ".join(list(weights)[:12]) + (", ..." if len(weights) > 12 else ""),
            )
    return {name: w for name, w in weights.items() if any(fnmatchcase(name, p) for p in patterns)}


def initial(network: nn.Module, weights: Mapping[str, nn.Parameter]) -> Begin:
    """Return where an initialisation draws weights around, and how widely.

    Weights that begin alike, as biases do, vary as widely as those beside them, or as their layer says in an
    attribute `spread`.

    Args:
        network: Which nothing has trained yet.
        weights: Those of it that evolve, by name.
    """
    drawn = {
        name: float(weight.detach().std()) if weight.numel() > 1 else 0.0 for name, weight in weights.items()
    }
    centre, spread = {}, {}
    for name, weight in weights.items():
        value = weight.detach().cpu().numpy()
        centre[name] = np.zeros_like(value) if drawn[name] else value.copy()
        layer = name.rpartition(".")[0]
        beside = max(width for other, width in drawn.items() if other.rpartition(".")[0] == layer)
        spread[name] = drawn[name] or beside or getattr(network.get_submodule(layer), "spread", _ELSE)
    return centre, spread
