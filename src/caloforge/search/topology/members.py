"""Members of the front as runs, and what these are worth."""

from __future__ import annotations

__all__ = ["figures_of", "lineage", "write_member"]

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge.models.grown.generator import GrownGenerator
from caloforge.search.figures import measure
from caloforge.search.topology.raising import member_recipe
from caloforge.training.checkpoint import save_generator
from caloforge.training.folder import prepare_run
from caloforge.training.hardware import Hardware
from caloforge.training.metrics import Metrics
from caloforge.training.quicklook import QuickLook
from caloforge.training.run import Run
from caloforge.writing import new_folder

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.grown.inherit import Parent
    from caloforge.search.topology.individual import Individual
    from caloforge.showers import Showers
    from caloforge.training.recipe import Recipe

_FEWEST = 50  # showers that tell more than the time


def lineage(individual: Individual, known: Mapping[int, Individual]) -> list[Individual]:
    """Return those whose weights an individual's go on from, the founder first."""
    line = [individual]
    while line[0].parents:
        line.insert(0, known[line[0].parents[0]])
    return line


def write_member(
    folder: Path,
    recipe: Recipe,
    detector: Detector,
    facts: dict[str, Any],
    line: Sequence[Individual],
    genome: Parent,
    selection: Showers,
) -> None:
    """Make a run of an individual, which all that takes runs takes.

    Args:
        folder: Of the run.
        recipe: Of the evolution.
        detector: Whose showers.
        facts: What is remembered of them.
        line: From `lineage`, the individual last; the diary has the steps of all of them.
        genome: What it is.
        selection: Showers for a look at its physics.
    """
    one = line[-1]
    generator = GrownGenerator(detector, one.model)
    generator.load_state_dict(genome.weights)
    generator.eval()
    about = f"individual {one.number} of an evolution of topology by {recipe.name}: {one.way}"
    own = member_recipe(recipe, one.model).model_copy(
        update={"name": f"{recipe.name}-{one.number}", "about": about}
    )
    with new_folder(folder) as part:
        run, _ = prepare_run(part, own, detector, facts, Hardware.choose(recipe.schedule), [])
        diary = Metrics(part, -1)
        steps = 0
        for ancestor in line:
            for best in ancestor.course:
                steps += 1
                diary.write("step", steps, {"epoch": _epoch(steps, recipe, facts), "best": best})
        look = QuickLook(selection, recipe.schedule.seed, recipe.schedule.select)(generator)
        diary.write("epoch", steps, {"epoch": _epoch(steps, recipe, facts), "kept": True, **look})
        diary.close()
        save_generator(generator, {}, run)


def figures_of(folder: Path, showers: Showers) -> dict[str, float]:
    """Measure a run of the front: `ms`, and with showers enough how far it is from Geant4.

    Args:
        folder: Of the run.
        showers: Geant4's, that judged nobody.

    Returns:
        Figures by name.

    Raises:
        TrainingError: It makes impossible showers, or cannot be exported.
    """
    run = Run.open(folder)
    names = ("ms", "auc", "fpd") if len(showers) >= _FEWEST else ("ms",)
    found = measure(run, names, showers, seed=1)
    # What else the machine does can only make it slower: on a busy one, one time in ten was half too long.
    again = measure(run, ("ms",), showers, seed=1)
    return found | {"ms": min(found["ms"], again["ms"])}


def _epoch(steps: int, recipe: Recipe, facts: Mapping[str, Any]) -> int:
    return int(steps * recipe.schedule.batch / facts["showers"])
