"""`train`: from a recipe and showers to a run."""

from __future__ import annotations

__all__ = ["train"]

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from caloforge.errors import RecipeError, RunError
from caloforge.quantities import MOST_AT_ONCE, check_whole
from caloforge.training.folder import beginning, is_run, prepare_run
from caloforge.training.objectives import objective_class
from caloforge.training.recipe import Recipe, load_recipe
from caloforge.training.run import CHECKPOINT, Run
from caloforge.training.seal import sealed_json
from caloforge.training.trained_detector import for_showers
from caloforge.writing import locked_folder, replace_text

if TYPE_CHECKING:
    from caloforge.cluster import Cluster
    from caloforge.progress import Progress
    from caloforge.training.hardware import Hardware
    from caloforge.training.objectives.base import Objective


def train(
    recipe: Recipe | str | Path,
    data: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    resume: bool = False,
    init: str | Path | Sequence[str | Path] = (),
    minutes: float | None = None,
    core_seconds: float | None = None,
    until: int | None = None,
    measured: str | Path | None = None,
    tensorboard: bool = False,
    picture: bool = True,
    cluster: Cluster | None = None,
    progress: Progress | None = None,
) -> Run:
    """Train a generator.

    What is learned is kept at every moment: a training that is stopped, killed or diverges leaves its last
    checkpoint, and `resume` goes on from there as if nothing had happened.

    Started in several processes by torchrun, srun or mpirun, these share each batch and learn what one would.

    Args:
        recipe: A recipe, the name of a preset, or a file.
        data: Shower files of one detector: names, folders, patterns such as `a/*.h5`, or several. Theirs is
            trained if the recipe names none.
        out: Folder of the run.
        resume: Go on with the training in `out`, or start it if there is none.
        init: Weights to begin with: folders of runs, safetensors files, or HDF5 files of the published 3DGAN,
            each for one or several networks. Without meaning once there is a checkpoint.
        minutes: Stop after this time; overrides the recipe's `schedule.minutes`.
        core_seconds: Stop after this time of processors, all before a resume included.
        until: Stop after this epoch, with the physics looked at; `resume` goes on from there.
        measured: Folder where what the model measures of these showers before it learns is kept for other
            trainings of the same showers. A fit takes much longer to make than to read.
        tensorboard: Also write TensorBoard's event files.
        picture: Draw `curves.svg` now and then, which takes a second.
        cluster: Processes that may compute too, for objectives that can use them: see `evolve`.
        progress: Called with (steps done, steps in all, losses and speed).

    Returns:
        The run.

    Raises:
        RecipeError: The recipe, or what it asks of these showers, is impossible.
        RunError: `out` already holds a run, or cannot be resumed, or `init` is of another network.
        OutputError: `out` cannot be written, another process trains there, or the disk is full.
        TrainingError: The training diverged, or another of its processes died; the run keeps what was good.
    """
    # Large pages halve the time that fresh memory costs; torch looks at this once, at its first tensor.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    from caloforge.models import build_generator
    from caloforge.models.blocks.processes import largest, rank, world
    from caloforge.showers import shower_files
    from caloforge.training.batches import TrainingData
    from caloforge.training.hardware import Hardware
    from caloforge.training.loop import Ends, Training
    from caloforge.training.measuring import Measured, adapt
    from caloforge.training.objectives.base import Task
    from caloforge.training.place import find_place
    from caloforge.training.processes import all_or_none, together

    asked = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    _stays_as_it_is(asked)
    learning, folder, begin = objective_class(asked.objective.kind), Path(out), _paths(init)
    if not learning.learns:
        _needs_no_start(begin)
    if until is not None:
        check_whole(until, "until", 1, MOST_AT_ONCE)
    for name, time in (("--minutes", minutes), ("core_seconds", core_seconds)):
        if time is not None and not time > 0:  # nor NaN
            raise RecipeError("this is no time to train", where=name, got=time, expected="more than 0")
    paths = shower_files(data)
    chosen, detector = for_showers(asked, paths[0])
    place = find_place()
    hardware = Hardware.choose(chosen.schedule, place)
    with together(place), _seeded(hardware, chosen.schedule.seed), ExitStack() as stack:
        with all_or_none():
            if rank() == 0:
                stack.enter_context(locked_folder(folder))
            _is_free(folder, resume)
            _shared_equally(chosen)
            generator = build_generator(chosen.model, detector)
            batches = TrainingData(
                paths, chosen, detector, generator.conditions, hardware.device, rank(), world()
            )
            stack.callback(batches.close)
            _hold_energy(batches.response()[0])
            objective = learning.of(generator, Task(chosen, detector, batches, hardware, cluster))
            stack.callback(objective.close)
            _enough(batches.steps, objective.batches_per_step)
        start = monotonic()
        if not largest((folder / CHECKPOINT).is_file())[0]:  # which holds what was measured
            known = None if measured is None else Measured.by(Path(measured), chosen, batches)
            adapt(objective.networks.values(), batches, chosen.schedule.seed, known, progress)
        adapted = monotonic() - start
        with beginning(folder):
            with all_or_none():
                run, begin = prepare_run(folder, chosen, detector, batches.facts(), hardware, begin)
                _start_from(begin, objective, run)
            objective.begin()
        if chosen.schedule.compile:
            objective.compile()
        seconds = (minutes or chosen.schedule.minutes or math.inf) * 60
        ends = Ends(seconds, core_seconds or math.inf, until)
        shown = tensorboard, picture
        Training(objective, batches, chosen, run, ends, shown, progress, adapted).run()
    return run


@contextmanager
def _seeded(hardware: Hardware, seed: int) -> Iterator[None]:
    """Leave the caller's random numbers as they are."""
    import torch

    gpus = [hardware.device] if hardware.device.type == "cuda" else []
    with torch.random.fork_rng(gpus):
        torch.manual_seed(seed)
        yield


def _start_from(begin: list[Path], objective: Objective, run: Run) -> None:
    """Let the networks begin with given weights, and the run remember it."""
    from caloforge.models.blocks.processes import rank
    from caloforge.training.warm import warm_start

    if begin:
        story = warm_start(begin, objective.networks)
        objective.warm = True
        if rank() == 0:
            replace_text(run.path / "init.json", sealed_json({"began_with": story}))


def _paths(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]


def _stays_as_it_is(recipe: Recipe) -> None:
    if recipe.topology is not None:
        raise RecipeError(
            "the stages of this recipe's model evolve, which is no training",
            where=f"recipe {recipe.name}",
            got="a section topology",
            cure=f"caloforge evolve {recipe.name}, or take the section out: --set topology=",
        )


def _needs_no_start(init: list[Path]) -> None:
    if init:
        raise RunError(
            "a fit measures everything anew, so it cannot begin with weights",
            where="--init",
            got=", ".join(map(str, init)),
            cure="leave --init out",
        )


def _shared_equally(recipe: Recipe) -> None:
    from caloforge.models.blocks.processes import world

    batch, parts = recipe.schedule.batch, world() * recipe.schedule.accumulate
    if batch % parts or batch < 2 * parts:
        raise RecipeError(
            "the batch cannot be shared equally",
            where="schedule.batch",
            got=f"{batch} showers for {world()} processes, schedule.accumulate {recipe.schedule.accumulate}",
            expected=f"a multiple of {parts}, and two showers or more for each part",
            cure=f"--set schedule.batch={max(2, round(batch / parts)) * parts}",
        )


def _is_free(out: Path, resume: bool) -> None:
    if is_run(out) and not resume:
        raise RunError(
            "there is a run already", where=out, cure="go on with it by --resume, or choose another --out"
        )


def _enough(batches: int, at_once: int) -> None:
    if batches < at_once:
        raise RecipeError(
            "an epoch has fewer batches than a step takes",
            where="schedule.batch",
            got=f"{batches} batches",
            expected=f"{at_once}, which all go into one step",
            cure="train on more showers, with a smaller schedule.batch, or with fewer batches in a step",
        )


def _hold_energy(response: float) -> None:
    if not response > 0:
        raise RecipeError(
            "the cells of these showers hold no energy",
            got=f"a mean response of {response:.3g}",
            cure="look at the files with `caloforge inspect`",
        )
