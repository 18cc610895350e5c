"""What models measure of real showers before anything is learned, and runs that consist of that alone."""

from __future__ import annotations

__all__ = ["adapt", "fit_once"]

import time
from typing import TYPE_CHECKING

import torch

from caloforge.models.blocks.processes import gather, rank
from caloforge.training.checkpoint import save_generator
from caloforge.training.metrics import Metrics
from caloforge.training.quicklook import QuickLook

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.models.base import Critic, Generator
    from caloforge.progress import Progress
    from caloforge.training.batches import TrainingData
    from caloforge.training.recipe import Recipe
    from caloforge.training.run import Run

_SHOWERS = 40_000  # mirror images counted
_CRITIC = 4096  # of these that a critic takes its statistics from
_CELLS = 1 << 26  # of all showers at most, empty ones counted: this bounds the memory


def adapt(
    generator: Generator, critic: Critic | None, data: TrainingData, progress: Progress | None = None
) -> None:
    """Show the models real showers, which tell them where to begin.

    Showers that have mirror images are shown as often as they have these, each time as one of them.
    """
    told = progress or (lambda *_: None)
    told(0, 1, "measuring the showers")
    images = data.images
    cells, incident = _shown(data, 1 if images is None else len(images))
    generator.adapt(cells, incident, None if images is None else images.cpu())
    if critic is not None:
        critic.adapt(cells[:_CRITIC], incident[:_CRITIC])


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


def fit_once(generator: Generator, data: TrainingData, recipe: Recipe, run: Run) -> None:
    """Write the run of a generator that is fitted and not trained: its weights, and a look at the physics."""
    begin, look = time.monotonic(), None
    if data.selection is not None:
        # Made by all processes, so that a detector that it refuses ends them all with the same error.
        look = QuickLook(data.selection, recipe.schedule.seed, recipe.schedule.select)
    if rank() > 0:
        return
    found = None if look is None else look(generator)
    save_generator(generator, {}, run)  # before the diary says so
    metrics = Metrics(run.path, -1)
    if found is not None:
        metrics.write("epoch", 0, {"epoch": 0, "seconds": time.monotonic() - begin, "kept": True, **found})
    metrics.close()
