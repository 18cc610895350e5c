"""`train`: from a recipe and showers to a run."""

from __future__ import annotations

__all__ = ["train"]

import os
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge.detector import Detector, load_detector
from caloforge.errors import RecipeError, RunError
from caloforge.machine import processor, versions
from caloforge.training.recipe import Recipe, load_recipe
from caloforge.training.run import Run
from caloforge.training.seal import sealed_json, sealed_yaml
from caloforge.writing import locked_folder, replace_text

if TYPE_CHECKING:
    from caloforge.progress import Progress
    from caloforge.training.hardware import Hardware
    from caloforge.training.recipe import Objective

# What may differ when a training is resumed: it changes when to stop and what to keep, not what is learned.
_FREE = {"epochs", "minutes", "checkpoint_seconds"}


def train(
    recipe: Recipe | str | Path,
    data: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    resume: bool = False,
    init: str | Path | Sequence[str | Path] = (),
    minutes: float | None = None,
    tensorboard: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Train a generator.

    What is learned is kept at every moment: a training that is stopped, killed or diverges leaves its last
    checkpoint, and `resume` goes on from there as if nothing had happened.

    Started in several processes by torchrun, srun or mpirun, these share each batch and learn what one would.

    Args:
        recipe: A recipe, the name of a preset, or a file.
        data: Shower files of the recipe's detector: names, folders, patterns such as `a/*.h5`, or several.
        out: Folder of the run.
        resume: Go on with the training in `out`, or start it if there is none.
        init: Weights to begin with: folders of runs, safetensors files, or HDF5 files of the published 3DGAN,
            each for generator, critic or both. Without meaning once there is a checkpoint.
        minutes: Stop after this time; overrides the recipe's `schedule.minutes`.
        tensorboard: Also write TensorBoard's event files.
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
    import torch

    from caloforge.models import build_critic, build_generator
    from caloforge.models.blocks.processes import rank, world
    from caloforge.showers import shower_files
    from caloforge.training.adversarial import AdversarialObjective
    from caloforge.training.batches import TrainingData
    from caloforge.training.fitting import adapt, fit_once
    from caloforge.training.hardware import Hardware
    from caloforge.training.loop import Training
    from caloforge.training.place import find_place
    from caloforge.training.processes import all_or_none, together
    from caloforge.training.warm import warm_start

    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    if minutes is not None and not minutes > 0:  # nor NaN
        raise RecipeError("this is no time to train", where="--minutes", got=minutes, expected="more than 0")
    _needs_no_start(chosen.objective, _paths(init))
    paths = shower_files(data)
    budget = (minutes or chosen.schedule.minutes or float("inf")) * 60
    detector = load_detector(chosen.detector)
    place = find_place()
    hardware = Hardware.choose(chosen.schedule, place)
    gpus = [hardware.device] if hardware.device.type == "cuda" else []
    with ExitStack() as stack:
        stack.enter_context(together(place))
        stack.enter_context(torch.random.fork_rng(gpus))
        torch.manual_seed(chosen.schedule.seed)
        with all_or_none():
            if rank() == 0:
                stack.enter_context(locked_folder(Path(out)))
            _is_free(Path(out), resume)
            _shared_equally(chosen)
            generator = build_generator(chosen.model, detector)
            trained = chosen.objective.kind == "adversarial"
            critic = build_critic(chosen.model, detector) if trained else None
            batches = TrainingData(
                paths, chosen, detector, generator.conditions, hardware.device, rank(), world()
            )
            stack.callback(batches.close)
            mean, response = batches.response()
            _hold_energy(mean)
            _contained(mean, chosen.objective)
        adapt(generator, critic, batches, progress)
        with all_or_none():
            environment = _environment(hardware)
            run, begin = _prepare(Path(out), chosen, detector, batches.facts(), environment, _paths(init))
            if begin and critic is not None:
                story = warm_start(begin, {"generator": generator, "critic": critic})
                if rank() == 0:
                    replace_text(run.path / "init.json", sealed_json({"began_with": story}))
        if critic is None or chosen.objective.kind == "fit":
            fit_once(generator, batches, chosen, run)
            return run
        objective = AdversarialObjective(
            generator,
            critic,
            chosen.objective,
            batches.requests(),
            response,
            hardware,
            chosen.schedule.accumulate,
        )
        if chosen.schedule.compile:
            objective.compile()
        Training(objective, batches, chosen, run, budget, tensorboard, progress).run()
    return run


def _paths(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]


def _needs_no_start(objective: Objective, init: list[Path]) -> None:
    if objective.kind == "fit" and init:
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
    if _is_run(out) and not resume:
        raise RunError(
            "there is a run already", where=out, cure="go on with it by --resume, or choose another --out"
        )


def _is_run(folder: Path) -> bool:
    return (folder / "recipe.yaml").exists()


def _hold_energy(response: float) -> None:
    if not response > 0:
        raise RecipeError(
            "the cells of these showers hold no energy",
            got=f"a mean response of {response:.3g}",
            cure="look at the files with `caloforge inspect`",
        )


def _contained(response: float, objective: Objective) -> None:
    """Some objectives ask that the cells hold the incident energy: they must do so in Geant4."""
    asked = (
        objective.kind == "adversarial" and objective.energy_weight and objective.energy_target == "incident"
    )
    if asked and not 0.5 < response < 1.5:
        raise RecipeError(
            "the cells of these showers do not add up to the incident energy, as this model demands",
            got=f"a mean response of {response:.3g}",
            expected="0.5 to 1.5",
            cure=f"write the detector's readout with sampling_fraction: {response:.3g}",
        )


def _prepare(
    out: Path,
    recipe: Recipe,
    detector: Detector,
    data: dict[str, Any],
    environment: dict[str, Any],
    init: list[Path],
) -> tuple[Run, list[Path]]:
    """Make the run's folder, or see that the one there is the same training.

    Returns:
        The run, and what it begins with: nothing if there is a checkpoint to go on from.
    """
    from caloforge.models.blocks.processes import rank

    run = Run(out)
    if _is_run(out):
        _same_training(Run.open(out), recipe, detector, data)
        # Stopped before its first checkpoint: it begins again as it did.
        init = [] if run.checkpoint.is_file() else init or [Path(one["path"]) for one in run.init]
    if rank() > 0:
        return run, init
    if not _is_run(out):  # what weights are held against stays as it was
        replace_text(out / "detector.yaml", sealed_yaml(detector.to_yaml()))
        replace_text(out / "data.json", sealed_json(data))
    replace_text(out / "environment.json", sealed_json(environment))
    # Last, as it is what makes the folder a run.
    replace_text(out / "recipe.yaml", sealed_yaml(recipe.to_yaml()))
    return run, init


def _same_training(run: Run, recipe: Recipe, detector: Detector, data: dict[str, Any]) -> None:
    old, new = _fixed(run.recipe), _fixed(recipe)
    different = [key for key in new if old.get(key) != new[key]]
    if "fingerprint" not in run.data:
        raise RunError(
            "this run was not trained with caloforge, so there is nothing to resume",
            where=run.path,
            cure=f"begin a new run with its weights: --init {run.path} and another --out",
        )
    if run.data["fingerprint"] != data["fingerprint"]:
        different.append("showers")
    if run.detector.digest != detector.digest:
        different.append("detector")
    if different:
        raise RunError(
            "this is another training than the one in the folder",
            where=run.path,
            got="different " + ", ".join(different),
            expected="the same recipe and showers; only " + ", ".join(sorted(_free(recipe))) + " may change",
            cure="choose another --out, or resume with what it was started with",
        )


def _fixed(recipe: Recipe) -> dict[str, Any]:
    """All settings that decide what is learned, by their path."""
    tree = recipe.model_dump(exclude={"name", "about", "published", "detector"})
    flat = {f"{section}.{key}": value for section, part in tree.items() for key, value in part.items()}
    return {key: value for key, value in flat.items() if key.removeprefix("schedule.") not in _free(recipe)}


def _free(recipe: Recipe) -> set[str]:
    return _FREE - {"epochs"} if recipe.schedule.rates == "cosine" else _FREE


def _environment(hardware: Hardware) -> dict[str, Any]:
    import torch

    from caloforge.models.blocks.processes import world

    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "processor": processor(),
        "gpu": torch.cuda.get_device_name() if hardware.device.type == "cuda" else None,
        "device": hardware.device.type,
        "precision": hardware.precision,
        "processes": world(),
        "threads": torch.get_num_threads(),
        "versions": versions("torch", "numpy", "safetensors"),
    }
