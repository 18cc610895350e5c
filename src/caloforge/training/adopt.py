"""Weights that others trained and published become a run, which everything after `train` takes."""

from __future__ import annotations

__all__ = ["adopt"]

import hashlib
from pathlib import Path
from typing import Any

from caloforge.detector import Detector, load_detector
from caloforge.errors import RecipeError, RunError
from caloforge.machine import versions
from caloforge.particles import pdg_id
from caloforge.quantities import Interval
from caloforge.training.recipe import Recipe, load_recipe
from caloforge.training.run import Run
from caloforge.training.seal import sealed_json, sealed_yaml
from caloforge.training.trained_detector import for_detector
from caloforge.writing import new_folder, replace_text


def adopt(
    weights: str | Path,
    out: str | Path,
    *,
    recipe: Recipe | str | Path,
    particle: str,
    energy: str,
    theta: str = "0deg",
    phi: str = "0deg",
) -> Run:
    """Make a run of a published generator's weights, without training.

    What such a file does not say has to be said here: a generator is only worth as much as the range that it
    is used in.

    Args:
        weights: The generator's weights, as Keras wrote them (HDF5).
        out: Folder of the run; it must not exist.
        recipe: What the generator is: a recipe, the name of a preset, or a file.
        particle: Name of the incident particle that it was trained with.
        energy: Range of the incident energy, e.g. "10:500GeV".
        theta: Range of the angle to +z.
        phi: Range of the azimuth.

    Returns:
        The run.

    Raises:
        OutputError: `out` exists.
        RunError: The weights are those of another network.
        RecipeError, DetectorError, QuantityError: The recipe, its detector, or a range is impossible.
    """
    from caloforge.models import build_generator
    from caloforge.models.published.keras import read_keras_weights
    from caloforge.training.checkpoint import save_generator

    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    detector = _detector(chosen)
    facts = _facts(Path(weights), detector, particle, energy, theta, phi)
    generator = build_generator(chosen.model, detector)
    generator.load_state_dict(read_keras_weights(weights, generator))
    environment = {"versions": versions("torch", "h5py", "safetensors")}
    Path(out).absolute().parent.mkdir(parents=True, exist_ok=True)
    with new_folder(Path(out)) as folder:
        replace_text(folder / "detector.yaml", sealed_yaml(detector.to_yaml()))
        replace_text(folder / "data.json", sealed_json(facts))
        replace_text(folder / "environment.json", sealed_json(environment))
        replace_text(folder / "recipe.yaml", sealed_yaml(for_detector(chosen, detector).to_yaml()))
        save_generator(generator, {}, Run(folder))
    return Run.open(out)


def _detector(recipe: Recipe) -> Detector:
    if recipe.usual_detector is None:
        raise RecipeError(
            "nothing says which detector these weights are for",
            where=f"recipe {recipe.name}",
            cure="--set detector=NAME or FILE.yaml",
        )
    return load_detector(recipe.usual_detector)


def _facts(
    weights: Path, detector: Detector, particle: str, energy: str, theta: str, phi: str
) -> dict[str, Any]:
    """What a run remembers of its data; there is none here, but the ranges that it had."""
    asked = {"energy": (energy, "energy"), "theta": (theta, "angle"), "phi": (phi, "angle")}
    ranges = {name: Interval.parse(text, kind, f"--{name}") for name, (text, kind) in asked.items()}
    x, y = _impact(detector)
    return {
        "files": [],
        "showers": 0,
        "selection": 0,
        "units": {"energy": "MeV", "theta": "rad", "phi": "rad", "x": "mm", "y": "mm"},
        "particles": [pdg_id(particle)],
        **{name: [interval.low, interval.high] for name, interval in ranges.items()},
        "x": [-x, x],
        "y": [-y, y],
        "adopted": {"file": weights.name, "sha256": _digest(weights)},
    }


def _impact(detector: Detector) -> tuple[float, float]:
    """Half a cell where the window follows the shower, as any point of a cell may then be hit; else 0."""
    if detector.readout.centre == "axis":
        return 0.0, 0.0
    widths = detector.sizes[0]
    return float(widths[0]) / 2, float(widths[1]) / 2


def _digest(weights: Path) -> str:
    try:
        return hashlib.sha256(weights.read_bytes()).hexdigest()
    except OSError as error:
        raise RunError("the weights cannot be read", where=weights, got=error.strerror) from None
