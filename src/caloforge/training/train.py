"""`train`: from a recipe and showers to a run."""

from __future__ import annotations

__all__ = ["train"]

import json
import os
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge.detector import Detector, load_detector
from caloforge.errors import RecipeError, RunError
from caloforge.machine import processor, versions
from caloforge.training.recipe import Recipe, load_recipe
from caloforge.training.run import Run, atomic_text

if TYPE_CHECKING:
    from caloforge.progress import Progress

# What may differ when a training is resumed: it changes when to stop and what to keep, not what is learned.
_FREE = {"epochs", "minutes", "checkpoint_seconds"}


def train(
    recipe: Recipe | str | Path,
    data: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    resume: bool = False,
    minutes: float | None = None,
    tensorboard: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Train a generator.

    What is learned is kept at every moment: a training that is stopped, killed or diverges leaves its last
    checkpoint, and `resume` goes on from there as if nothing had happened.

    Args:
        recipe: A recipe, the name of a preset, or a file.
        data: One or more shower files of the recipe's detector.
        out: Folder of the run.
        resume: Go on with the training in `out`, or start it if there is none.
        minutes: Stop after this time; overrides the recipe's `schedule.minutes`.
        tensorboard: Also write TensorBoard's event files.
        progress: Called with (steps done, steps in all, losses and speed).

    Returns:
        The run.

    Raises:
        RecipeError: The recipe, or what it asks of these showers, is impossible.
        RunError: `out` already holds a run, or cannot be resumed.
        TrainingError: The training diverged; the run keeps its last good weights.
    """
    # Large pages halve the time that fresh memory costs; torch looks at this once, at its first tensor.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    import torch

    from caloforge.models import build_critic, build_generator
    from caloforge.training.adversarial import AdversarialObjective
    from caloforge.training.batches import TrainingData
    from caloforge.training.hardware import Hardware
    from caloforge.training.loop import Training

    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    if _is_run(Path(out)) and not resume:
        raise RunError(
            "there is a run already", where=out, cure="go on with it by --resume, or choose another --out"
        )
    paths = [Path(data)] if isinstance(data, str | Path) else [Path(path) for path in data]
    budget = (minutes or chosen.schedule.minutes or float("inf")) * 60
    hardware = Hardware.choose(chosen.schedule)
    detector = load_detector(chosen.detector)
    with torch.random.fork_rng():
        torch.manual_seed(chosen.schedule.seed)
        generator, critic = build_generator(chosen.model, detector), build_critic(chosen.model, detector)
        batches = TrainingData(paths, chosen, detector, generator.conditions, hardware.device)
        mean, response = batches.response()
        if chosen.objective.energy_target == "incident":
            _contained(mean)
        environment = _environment(str(hardware.device), hardware.precision)
        run = _prepare(Path(out), chosen, detector, batches.facts(), environment)
        objective = AdversarialObjective(
            generator, critic, chosen.objective, batches.requests(), response, hardware
        )
        try:
            Training(objective, batches, chosen, run, budget, tensorboard, progress).run()
        finally:
            batches.close()
    return run


def _is_run(folder: Path) -> bool:
    return (folder / "recipe.yaml").exists()


def _contained(response: float) -> None:
    """The adversarial objective asks that the cells hold the incident energy: they must do so in Geant4."""
    if not 0.5 < response < 1.5:
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
) -> Run:
    """Make the run's folder, or see that the one there is the same training."""
    if _is_run(out):
        _same_training(Run.open(out), recipe, detector, data)
    out.mkdir(parents=True, exist_ok=True)
    atomic_text(out / "detector.yaml", detector.to_yaml())
    atomic_text(out / "data.json", json.dumps(data, indent=2))
    atomic_text(out / "environment.json", json.dumps(environment, indent=2))
    # Last, as it is what makes the folder a run.
    atomic_text(out / "recipe.yaml", recipe.to_yaml())
    return Run(out)


def _same_training(run: Run, recipe: Recipe, detector: Detector, data: dict[str, Any]) -> None:
    old, new = _fixed(run.recipe), _fixed(recipe)
    different = [key for key in new if old.get(key) != new[key]]
    if run.data["fingerprint"] != data["fingerprint"]:
        different.append("showers")
    if run.detector.digest != detector.digest:
        different.append("detector")
    if different:
        raise RunError(
            "this is another training than the one in the folder",
            where=run.path,
            got="different " + ", ".join(different),
            expected="the same recipe and showers; only " + ", ".join(sorted(_FREE)) + " may change",
            cure="choose another --out, or resume with what it was started with",
        )


def _fixed(recipe: Recipe) -> dict[str, Any]:
    """All settings that decide what is learned, by their path."""
    tree = recipe.model_dump(exclude={"name", "about", "published", "detector"})
    flat = {f"{section}.{key}": value for section, part in tree.items() for key, value in part.items()}
    return {key: value for key, value in flat.items() if key.removeprefix("schedule.") not in _FREE}


def _environment(device: str, precision: str) -> dict[str, Any]:
    import torch

    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "processor": processor(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "device": device,
        "precision": precision,
        "threads": torch.get_num_threads(),
        "versions": versions("torch", "numpy", "safetensors"),
    }
