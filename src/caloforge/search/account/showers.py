"""The showers that judge: one half is Geant4, the other the floor."""

from __future__ import annotations

__all__ = ["halves"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

from caloforge.errors import SearchError
from caloforge.showers import shower_files
from caloforge.training.batches import unseen_showers

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.showers import Showers
    from caloforge.training.recipe import Recipe

_FEWEST = 100


def halves(
    test: Sequence[str], data: Sequence[str], recipe: Recipe, detector: Detector
) -> tuple[Showers, Showers]:
    """Return Geant4's showers that judge, and as many others, from which the floor comes.

    Args:
        test: Shower files; none: the part of `data` that neither trains nor selects.
        data: Shower files that train.
        recipe: Says which part of them does.
        detector: Of all.

    Raises:
        SearchError: There are too few.
        RecipeError: All of `data` trains or selects, and there is no `test`.
        ShowersError: A file cannot be read, or is of another detector.
    """
    paths = shower_files(list(test or data))
    found = unseen_showers(paths, None if test else recipe.data, detector)
    half = len(found) // 2
    if half < _FEWEST:
        raise SearchError(
            "too few showers judge",
            where="--test",
            got=len(found),
            expected=f"at least {2 * _FEWEST}, one half for the floor",
            cure="give a file of Geant4 showers that neither trains nor selects",
        )
    return found[:half], found[half : 2 * half]
