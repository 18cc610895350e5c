"""`evolve`: a generator from a population of them, spread over processes here or elsewhere."""

from __future__ import annotations

__all__ = ["evolve"]

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.cluster import open_cluster
from caloforge.errors import RecipeError
from caloforge.quantities import MOST_WORKERS, check_whole
from caloforge.training import Recipe, load_recipe, train

if TYPE_CHECKING:
    from caloforge.progress import Progress
    from caloforge.training import Run

_EVOLVING = "evolution", "coevolution"


def evolve(
    recipe: Recipe | str | Path,
    data: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    resume: bool = False,
    init: str | Path | Sequence[str | Path] = (),
    minutes: float | None = None,
    jobs: int = 1,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> Run:
    """Evolve a generator instead of training it.

    What comes out does not depend on how many processes judge the individuals. An evolution that is stopped
    or killed goes on with `resume` as if nothing had happened.

    Args:
        recipe: A recipe whose objective is an evolution: the name of a preset, or a file.
        data: Shower files, as in `train`.
        out: Folder of the run.
        resume: Go on with the evolution in `out`, or start it if there is none.
        init: Runs or weights to begin with, as in `train`.
        minutes: Stop after this time.
        jobs: Processes that judge individuals; 1: this one alone.
        cluster: Judge them elsewhere, see `open_cluster`; it has a number of its own.
        progress: Called with (generations done, in all, fitness and speed).

    Returns:
        The run, as of `train`.

    Raises:
        RecipeError: The recipe is no evolution, or impossible with these showers.
        EvolutionError: Genes that the algorithm cannot evolve, or too little memory.
        RunError: As in `train`.
        ClusterError: The cluster cannot be reached, or is lost.
    """
    check_whole(jobs, "--jobs", 1, MOST_WORKERS)
    asked = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    if asked.topology is not None:
        raise RecipeError(
            "the topology of this recipe evolves, so that many runs come out",
            where=f"recipe {asked.name}",
            cure="caloforge.evolve_topology, or take the section out: --set topology=",
        )
    if asked.objective.kind not in _EVOLVING:
        raise RecipeError(
            "this recipe is trained, not evolved",
            where="objective.kind",
            got=asked.objective.kind,
            cure=f"caloforge train {asked.name}, or --set objective.kind=evolution",
        )
    more = {"resume": resume, "init": init, "minutes": minutes, "progress": progress}
    if jobs == 1 and cluster is None:
        return train(asked, data, out, **more)  # type: ignore[arg-type]
    with open_cluster(cluster, jobs) as found:
        return train(asked, data, out, cluster=found, **more)  # type: ignore[arg-type]
