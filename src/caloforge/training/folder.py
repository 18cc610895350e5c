"""The folder of a training: made, or seen to be that of the same training."""

from __future__ import annotations

__all__ = ["beginning", "is_run", "prepare_run"]

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge.detector import Detector
from caloforge.errors import CaloforgeError, RunError
from caloforge.machine import processor, versions
from caloforge.training.objectives import objective_class
from caloforge.training.pretrained import run_folder
from caloforge.training.recipe import Recipe
from caloforge.training.run import Run
from caloforge.training.seal import sealed_json, sealed_yaml
from caloforge.writing import replace_text

if TYPE_CHECKING:
    from caloforge.training.hardware import Hardware

# What may differ when a training is resumed: it changes when to stop and what to keep, not what is learned.
_FREE = {"epochs", "minutes", "checkpoint_seconds", "report_steps", "memory_mb"}
_FILES = "recipe.yaml", "init.json", "environment.json", "data.json", "detector.yaml"
_OF_THE_RECIPE = {"name", "about", "published", "made_for", "detector", "topology"}


def is_run(folder: Path) -> bool:
    """Whether a training has begun there."""
    return (folder / "recipe.yaml").exists()


@contextmanager
def beginning(folder: Path) -> Iterator[None]:
    """Leave a folder free again if a training that is new there is refused before its first step."""
    new = not is_run(folder)
    try:
        yield
    except CaloforgeError:
        if new:
            for name in _FILES:
                (folder / name).unlink(missing_ok=True)
        raise


def prepare_run(
    out: Path,
    recipe: Recipe,
    detector: Detector,
    data: dict[str, Any],
    hardware: Hardware,
    init: list[Path],
) -> tuple[Run, list[Path]]:
    """Begin a run, or see that the one there is the same training.

    Args:
        out: The folder, which is there.
        recipe: As it is trained.
        detector: Which it is trained for.
        data: What it is trained on.
        hardware: What it is trained with.
        init: What it is to begin with.

    Returns:
        The run, and what it begins with: nothing if there is a checkpoint to go on from.

    Raises:
        RunError: It is that of another training.
    """
    from caloforge.models.blocks.processes import rank

    run = Run(out)
    if is_run(out):
        _same_training(Run.open(out), recipe, detector, data)
        # Stopped before its first checkpoint: it begins again as it did.
        init = [] if run.checkpoint.is_file() else init or [Path(one["path"]) for one in run.init]
    if rank() > 0:
        return run, init
    if not is_run(out):  # what weights are held against stays as it was
        replace_text(out / "detector.yaml", sealed_yaml(detector.to_yaml()))
        replace_text(out / "data.json", sealed_json(data))
    replace_text(out / "environment.json", sealed_json(_environment(hardware)))
    if init:
        # Before the run is one: killed while they are read, it begins with these weights again.
        begin = [{"path": str(run_folder(path).resolve())} for path in init]
        replace_text(out / "init.json", sealed_json({"began_with": begin}))
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
            expected="the same recipe and showers" + _may_change(recipe),
            cure="choose another --out, or resume with what it was started with",
        )


def _fixed(recipe: Recipe) -> dict[str, Any]:
    """All settings that decide what is learned, by their path."""
    tree = recipe.model_dump(exclude=_OF_THE_RECIPE)
    flat = {f"{section}.{key}": value for section, part in tree.items() for key, value in part.items()}
    return {key: value for key, value in flat.items() if key.removeprefix("schedule.") not in _free(recipe)}


def _may_change(recipe: Recipe) -> str:
    if not objective_class(recipe.objective.kind).learns:
        return ""
    return "; only " + ", ".join(sorted(_free(recipe))) + " may change"


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
