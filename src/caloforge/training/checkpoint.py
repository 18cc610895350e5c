"""Checkpoints: all that a training needs to go on as if it had never stopped, in one file, never half."""

from __future__ import annotations

__all__ = ["load_checkpoint", "save_checkpoint", "save_generator"]

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from caloforge.errors import RunError

if TYPE_CHECKING:
    from caloforge.training.objectives.base import Objective


def _save(tensors: Mapping[str, Tensor], state: Mapping[str, Any], path: Path) -> None:
    """Write tensors so that `path` holds either the old file or the new one, whatever happens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(ready, part, metadata={"state": json.dumps(state)})
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)


def save_checkpoint(objective: Objective, state: Mapping[str, Any], path: Path) -> None:
    """Write weights, optimisers, random states and where the training is.

    Args:
        objective: What is trained.
        state: Where the loop is; must be JSON.
        path: A safetensors file; `state` goes into its header.
    """
    _save(dict(_tensors(objective)) | _random(), state, path)


def save_generator(generator: nn.Module, state: Mapping[str, Any], path: Path) -> None:
    """Write a generator's weights alone, under the names that they have in a checkpoint."""
    _save({f"generator.{key}": value for key, value in generator.state_dict().items()}, state, path)


def load_checkpoint(objective: Objective, path: Path) -> dict[str, Any]:
    """Put everything back, random states too, and return the loop's state.

    Raises:
        RunError: The file is damaged or belongs to another model.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            state: dict[str, Any] = json.loads(file.metadata()["state"])
        _restore(objective, tensors)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RunError(
            "the checkpoint cannot be used",
            where=path,
            got=str(error).splitlines()[0],
            cure="start anew with another --out",
        ) from None
    return state


def _tensors(objective: Objective) -> Iterator[tuple[str, Tensor]]:
    for name, module in objective.modules.items():
        for key, value in module.state_dict().items():
            yield f"{name}.{key}", value
    for name, optimiser in objective.optimisers.items():
        # Optimisers number their parameters in the order of the module.
        for index, moments in optimiser.state_dict()["state"].items():
            for key, value in moments.items():
                yield f"optimiser.{name}.{index}.{key}", value


def _restore(objective: Objective, tensors: dict[str, Tensor]) -> None:
    for name, module in objective.modules.items():
        module.load_state_dict(_below(tensors, name))
    for name, optimiser in objective.optimisers.items():
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in _below(tensors, f"optimiser.{name}").items():
            index, what = key.split(".")
            moments.setdefault(int(index), {})[what] = value
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": moments, "param_groups": groups})
        # Fused Adam goes through memory as it lies: moments must lie as their weights do, channels last too.
        for weight, state in optimiser.state.items():
            for key, value in state.items():
                if value.shape == weight.shape:
                    state[key] = torch.empty_like(weight).copy_(value)
    torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}


def _random() -> dict[str, Tensor]:
    random = {"random.cpu": torch.get_rng_state()}
    return random | ({"random.cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})
