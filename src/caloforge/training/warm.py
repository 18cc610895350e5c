"""Warm starts: weights that a training begins with instead of random ones."""

from __future__ import annotations

__all__ = ["warm_start"]

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from caloforge.errors import RunError
from caloforge.models.published.keras import is_keras_weights, read_keras_weights
from caloforge.training.pretrained import pretrained_names, run_folder
from caloforge.training.run import Run
from caloforge.training.weights import Weights, read_foreign_weights, weights_below

_SHOWN = 12  # names in an error


def warm_start(paths: Sequence[Path], networks: Mapping[str, nn.Module]) -> list[dict[str, Any]]:
    """Put weights from elsewhere into a generator and what learns beside it.

    Args:
        paths: Folders of runs, which give the generator and, where their checkpoint is still there, the
            other networks; safetensors files with the names that a run uses; or Keras' HDF5 files of one
            network. What comes later replaces what came before.
        networks: `generator` and the others, by name.

    Returns:
        For each path what it gave and where that was trained, for the run to remember.

    Raises:
        RunError: Nothing is there, or it is of another network.
    """
    return [_one(Path(path), networks) for path in paths]


def _one(path: Path, networks: Mapping[str, nn.Module]) -> dict[str, Any]:
    path = run_folder(path)
    if path.is_dir():
        found, story = _from_run(Run.open(path), networks)
    elif not path.is_file():
        cure = "give the folder of a run, a file of weights, or one of " + ", ".join(pretrained_names())
        raise RunError("there is nothing to start from", where=path, cure=cure)
    elif is_keras_weights(path):
        found, story = _from_keras(path, networks), {}
    else:
        found, story = _from_safetensors(path, networks), {}
    for name, weights in found.items():
        _load(networks[name], weights, f"{path}, {name}")
    return {"path": str(path.resolve()), "networks": list(found), "sha256": _digest(path), **story}


def _from_run(run: Run, networks: Mapping[str, nn.Module]) -> tuple[dict[str, Weights], dict[str, Any]]:
    """The generator that the run holds, and the other networks of its last checkpoint."""
    found = {"generator": weights_below(run.read(run.weights)[0], "generator")}
    state = run.read(run.checkpoint)[0] if run.checkpoint.is_file() else {}
    others = {name: weights_below(state, name) for name in networks if name != "generator"}
    found |= {name: weights for name, weights in others.items() if weights}
    return found, {"recipe": run.recipe.name, "trained_on": run.incident_range}


def _from_keras(path: Path, networks: Mapping[str, nn.Module]) -> dict[str, Weights]:
    """Whichever network the file is of; if none fits, what is wrong with it as a generator."""
    faults = []
    for name, module in networks.items():
        try:
            return {name: read_keras_weights(path, module)}
        except RunError as error:
            faults.append(error)
    raise faults[0]


def _from_safetensors(path: Path, networks: Mapping[str, nn.Module]) -> dict[str, Weights]:
    tensors = read_foreign_weights(path)
    found = {name: weights_below(tensors, name) for name in networks}
    if any(found.values()):
        return {name: weights for name, weights in found.items() if weights}
    # Without the names of networks in front: what fits best tells which one is meant.
    likeliest = max(networks, key=lambda name: len(networks[name].state_dict().keys() & tensors.keys()))
    return {likeliest: tensors}


def _load(module: nn.Module, weights: Weights, where: str) -> None:
    try:
        module.load_state_dict(weights)
    except RuntimeError:
        # Looked at now: what takes the size of the weights, as the tables of a fit, has done so.
        raise RunError(
            "these weights are of another network",
            where=where,
            got=_differences(module.state_dict(), weights),
            cure="take the model's settings and the detector from the run that these weights come from",
        ) from None


def _differences(wanted: Weights, weights: Weights) -> str:
    shapes = [name for name in wanted if name in weights and wanted[name].shape != weights[name].shape]
    faults = {
        "missing": _names(wanted.keys() - weights.keys()),
        "unknown": _names(weights.keys() - wanted.keys()),
        "of another shape": _names(
            shapes, lambda n: f"{n} {tuple(weights[n].shape)}, here {tuple(wanted[n].shape)}"
        ),
    }
    return "; ".join(f"{what}: {names}" for what, names in faults.items() if names)


def _names(names: Iterable[str], show: Callable[[str], str] = str) -> str:
    every = sorted(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(show(name) for name in every[:_SHOWN]) + more


def _digest(path: Path) -> str:
    file = Run.open(path).weights if path.is_dir() else path
    return hashlib.sha256(file.read_bytes()).hexdigest()
