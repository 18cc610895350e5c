"""States of algorithms and archives as tensors, for checkpoints."""

from __future__ import annotations

__all__ = ["Kept"]

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Stateful(Protocol):
    """What goes on from a state."""

    def state(self) -> dict[str, NDArray[Any]]: ...

    def restore(self, state: dict[str, NDArray[Any]]) -> None: ...


class Kept(nn.Module):
    """Things with a state, as if they were a network.

    Args:
        parts: By name.
    """

    def __init__(self, **parts: Stateful) -> None:
        super().__init__()
        self._kept = parts

    def state_dict(self, *_: object, **__: object) -> dict[str, Tensor]:  # type: ignore[override]
        return {
            f"{part}.{name}": torch.from_numpy(np.array(value))
            for part, kept in self._kept.items()
            for name, value in kept.state().items()
        }

    def load_state_dict(self, state: Mapping[str, Tensor], *_: object, **__: object) -> None:  # type: ignore[override]
        for part, kept in self._kept.items():
            below = f"{part}."
            kept.restore(
                {
                    name.removeprefix(below): value.numpy()
                    for name, value in state.items()
                    if name.startswith(below)
                }
            )
