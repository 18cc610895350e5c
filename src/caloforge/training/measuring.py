"""What models measure of real showers before anything is learned."""

from __future__ import annotations

__all__ = ["adapt"]

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

from caloforge.models.blocks.processes import gather

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.base import Network
    from caloforge.progress import Progress
    from caloforge.training.batches import TrainingData

_SHOWERS = 40_000  # mirror images counted
_CELLS = 1 << 26  # of all showers at most, empty ones counted: this bounds the memory


def adapt(networks: Iterable[Network], data: TrainingData, progress: Progress | None = None) -> None:
    """Show networks real showers, which tell them where to begin.

    Showers that have mirror images are shown as often as they have these, each time as one of them.
    """
    told = progress or (lambda *_: None)
    told(0, 1, "measuring the showers")
    images = data.images
    cells, incident = _shown(data, 1 if images is None else len(images))
    for network in networks:
        network.adapt(cells, incident, None if images is None else images.cpu())


def _shown(data: TrainingData, times: int) -> tuple[Tensor, Tensor]:
    batches: list[list[Tensor]] = []
    for epoch in range(times):
        for batch in data.epoch(epoch):
            batches.append([gather(part).cpu() for part in batch])
            shown = len(batches) * len(batches[0][0])
            if shown >= _SHOWERS or shown * batches[0][0].shape[1] >= _CELLS:
                return _joined(batches)
    return _joined(batches)


def _joined(batches: list[list[Tensor]]) -> tuple[Tensor, Tensor]:
    cells, incident = (torch.cat(parts) for parts in zip(*batches, strict=True))
    return cells, incident
