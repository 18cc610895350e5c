"""The showers that judge: one half is Geant4, the other the floor."""

from __future__ import annotations

__all__ = ["halves", "same_training_showers"]

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from caloforge.errors import SearchError
from caloforge.models import build_generator
from caloforge.showers import shower_files
from caloforge.training import Run
from caloforge.training.batches import TrainingData, unseen_showers

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.search.account.record import Record
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
        SearchError: There are too few, or a file of `test` is one of `data`.
        RecipeError: All of `data` trains or selects, and there is no `test`.
        ShowersError: A file cannot be read, or is of another detector.
    """
    paths = shower_files(list(test or data))
    if test:
        _train_elsewhere(paths, shower_files(list(data)))
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


def same_training_showers(folder: Path, record: Record, data: Sequence[Path]) -> None:
    """See that the arms of an account that are done were trained with these showers.

    Args:
        folder: Of the account.
        record: What is known of it.
        data: Shower files that are to train.

    Raises:
        SearchError: They were trained with others.
        RunError: The first of their runs is not there any more.
    """
    legs = [leg for member in record.members for leg in member.legs]
    if not legs:
        return
    run = Run.open(folder / legs[0].run)
    conditions = build_generator(run.recipe.model, run.detector).conditions
    cpu = torch.device("cpu")
    with closing(TrainingData(data, run.recipe, run.detector, conditions, cpu)) as batches:
        if batches.facts()["fingerprint"] != run.data["fingerprint"]:
            raise SearchError(
                "the arms of this account that are done were trained with other showers",
                where="--data",
                got=", ".join(map(str, data)),
                expected=", ".join(run.data["files"]),
                cure="go on with those, or choose another --out",
            )


def _train_elsewhere(judge: Sequence[Path], train: Sequence[Path]) -> None:
    both = {path.resolve() for path in judge} & {path.resolve() for path in train}
    if both:
        raise SearchError(
            "showers that judge are among those that train",
            where="--test",
            got=", ".join(sorted(map(str, both))),
            cure="give other files of Geant4 showers, or leave --test out: a part of --data then judges",
        )
