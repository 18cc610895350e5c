"""Cross-validation of one recipe: a training for each division of the showers, their mean and spread."""

from __future__ import annotations

__all__ = ["cross_validate"]

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.cluster import Chunk, open_cluster
from caloforge.errors import RunError, TrainingError
from caloforge.quantities import MOST_WORKERS, check_whole
from caloforge.search.figures import FIGURES
from caloforge.search.job import Job, Report, Trainer
from caloforge.search.trial import replace_data
from caloforge.training.curves import draw_run
from caloforge.training.folder import is_run
from caloforge.training.recipe import MOST_FOLDS, Recipe, load_recipe
from caloforge.training.run import Run
from caloforge.writing import replace_text

if TYPE_CHECKING:
    from caloforge.progress import Progress

_MEASURED = "score", "response", "fpd"


def cross_validate(
    recipe: Recipe | str | Path,
    data: str | Path | Sequence[str | Path],
    out: str | Path,
    folds: int,
    *,
    groups: int = 1,
    cluster: str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train a recipe once for each of several divisions of the showers.

    What trains and selects is divided into `folds` parts. Each training leaves out another part, and is
    measured on it. What tests is never looked at.

    Args:
        recipe: A recipe, the name of a preset, or a file.
        data: Shower files of one detector.
        out: Folder; the runs are in `fold-0`, `fold-1`, ..., the result in `folds.json`.
        folds: How many, 2 or more.
        groups: Trainings at a time on this machine; a cluster has its own number.
        cluster: Where, see `open_cluster`; None: on this machine.
        resume: Go on with what is in `out`.
        progress: Called with (folds done, folds in all, the last one's score).

    Returns:
        `folds` (figures of each), `mean` and `spread` (standard deviation) by figure, and `runs`.

    Raises:
        RecipeError: The recipe, or what it asks of these showers, is impossible.
        RunError: There are runs already.
        TrainingError: A fold could not be trained.
    """
    from caloforge.showers import shower_files
    from caloforge.training.trained_detector import from_anywhere

    check_whole(folds, "--folds", 2, MOST_FOLDS)
    check_whole(groups, "--groups", 1, MOST_WORKERS)
    asked = from_anywhere(recipe if isinstance(recipe, Recipe) else load_recipe(recipe))
    paths, folder = tuple(str(path.absolute()) for path in shower_files(data)), Path(out).absolute()
    runs = [folder / f"fold-{fold}" for fold in range(folds)]
    if not resume and any(is_run(run) for run in runs):
        raise RunError(
            "there are runs already",
            where=folder,
            cure="go on with them by --resume, or choose another --out",
        )
    jobs = [
        Job(replace_data(asked, folds=folds, fold=fold), paths, str(run), str(folder / "measured"), _MEASURED)
        for fold, run in enumerate(runs)
    ]
    reports: dict[int, Report] = {}
    with open_cluster(cluster, groups) as found:
        chunks = (Chunk(fold, (job,)) for fold, job in enumerate(jobs))
        with closing(found.run(Trainer(), chunks)) as outcomes:
            for outcome in outcomes:
                if outcome.fault:
                    raise outcome.fault.error
                fold = outcome.chunk.number
                if outcome.result.failed:
                    raise TrainingError(f"fold {fold} could not be trained", got=outcome.result.failed)
                reports[fold] = outcome.result
                draw_run(Run.open(runs[fold]))
                if progress:
                    progress(len(reports), folds, f"fold {fold}: score {outcome.result.figures['score']:.4g}")
    return _told(folder, runs, [reports[fold].figures for fold in range(folds)])


def _told(folder: Path, runs: Sequence[Path], figures: list[dict[str, float]]) -> dict[str, Any]:
    values = np.array([[one[name] for name in _MEASURED] for one in figures])
    told = {
        "folds": figures,
        "mean": dict(zip(_MEASURED, values.mean(0).tolist(), strict=True)),
        "spread": dict(zip(_MEASURED, values.std(0, ddof=1).tolist(), strict=True)),
        "units": {name: FIGURES[name].unit for name in _MEASURED},
        "runs": [str(run) for run in runs],
    }
    replace_text(folder / "folds.json", json.dumps(told, indent=2) + "\n")
    return told
