"""Checkpoints: all that a training needs to go on as if it had never stopped, in one file, never half."""

from __future__ import annotations

__all__ = ["load_checkpoint", "save_checkpoint", "save_generator"]

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from caloforge.errors import RunError
from caloforge.training.weights import save_weights
from caloforge.training.weights import weights_below as _below

if TYPE_CHECKING:
    from caloforge.training.objectives.base import Objective
    from caloforge.training.run import Run


def save_checkpoint(objective: Objective, state: Mapping[str, Any], run: Run) -> None:
    """Write weights, optimisers, random states and where the training is.

    Args:
        objective: What is trained.
        state: Where the loop is; must be JSON.
        run: Where it goes.
    """
    save_weights(dict(_tensors(objective)) | _random(), {**state, "of": run.origin()}, run.checkpoint)


def save_generator(generator: nn.Module, state: Mapping[str, Any], run: Run) -> None:
    """Write a generator's weights alone, under the names that they have in a checkpoint."""
    tensors = {f"generator.{key}": value for key, value in generator.state_dict().items()}
    save_weights(tensors, {**state, "of": run.origin()}, run.kept)


def load_checkpoint(objective: Objective, run: Run) -> dict[str, Any]:
    """Put everything back, random states too, and return the loop's state.

    Raises:
        RunError: The file is damaged or belongs to another model.
    """
    tensors, state = run.read(run.checkpoint)
    try:
        _restore(objective, tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RunError(
            "the checkpoint cannot be used",
            where=run.checkpoint,
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


def _random() -> dict[str, Tensor]:
    random = {"random.cpu": torch.get_rng_state()}
    return random | ({"random.cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})
