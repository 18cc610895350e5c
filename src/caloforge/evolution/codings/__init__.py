"""Compact chromosomes: how genes become weights, one file per coding, imported when it is needed."""

from __future__ import annotations

__all__ = ["CODINGS", "coding_class", "make_coding"]

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from caloforge.evolution.codings.base import Coding
    from caloforge.evolution.settings import CodingSettings

CODINGS = {
    "dense": "dense.DenseCoding",
    "separable": "separable.SeparableCoding",
    "cosine": "cosine.CosineCoding",
    "hypernetwork": "hypernetwork.HypernetworkCoding",
    "directions": "directions.DirectionsCoding",
}


def coding_class(kind: str) -> type[Coding]:
    """Return the class of a recipe's coding."""
    module, name = CODINGS[kind].rsplit(".", 1)
    found: type[Coding] = getattr(import_module(f"{__name__}.{module}"), name)
    return found


def make_coding(
    settings: CodingSettings,
    shapes: Mapping[str, tuple[int, ...]],
    start: Mapping[str, NDArray[np.float32]],
    spread: Mapping[str, float],
    examples: Sequence[Mapping[str, NDArray[np.float32]]] = (),
) -> Coding:
    """Return a coding for the weights of a network.

    Args:
        settings: Which one, and how.
        shapes: Of the tensors, by name.
        start: Weights around which initialisation draws, or trained ones.
        spread: Standard deviation that initialisation gives each tensor; 0: it is left as it is.
        examples: Weights of the trained runs that `directions` names, in that order.

    Raises:
        EvolutionError: Tensors that the coding cannot serve, or examples of other networks.
    """
    wanted = coding_class(settings.kind)
    more: dict[str, Any] = {"examples": examples} if settings.kind == "directions" else {}
    return wanted(settings, shapes, start, spread, **more)
