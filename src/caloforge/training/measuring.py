"""What models measure of real showers before anything is learned."""

from __future__ import annotations

__all__ = ["Measured", "adapt"]

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from caloforge.errors import RunError
from caloforge.machine import versions
from caloforge.models.base import Network
from caloforge.models.blocks.processes import gather, largest, rank
from caloforge.training.weights import read_weights, save_weights

if TYPE_CHECKING:
    from torch import Tensor

    from caloforge.progress import Progress
    from caloforge.training.batches import TrainingData
    from caloforge.training.recipe import Recipe

_SHOWERS = 40_000  # mirror images counted
_CELLS = 1 << 26  # of all showers at most, empty ones counted: this bounds the memory


@dataclass(frozen=True)
class Measured:
    """A folder that keeps what was measured, for other trainings of the same showers.

    Args:
        folder: It is made when there is something to keep.
        of: What decides which showers are measured, and in which order; must be JSON.
    """

    folder: Path
    of: dict[str, Any]

    @classmethod
    def by(cls, folder: Path, recipe: Recipe, data: TrainingData) -> Measured:
        """Return that of the showers that a recipe shows to its networks."""
        schedule = recipe.schedule
        return cls(
            folder,
            {
                "facts": {key: value for key, value in data.facts().items() if key != "files"},
                "data": recipe.data.model_dump(mode="json"),
                "order": [schedule.batch, schedule.seed],
                "versions": versions("torch"),
            },
        )

    def file(self, network: Network) -> Path | None:
        """Where that of a network is kept, or None if it is not worth keeping."""
        by = network.measures_by()
        if by is None:
            return None
        what = {"kind": type(network).__name__, "by": by, "detector": network.detector.digest, **self.of}
        key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
        return self.folder / f"{key[:32]}.safetensors"

    def restore(self, network: Network) -> bool:
        """Give a network what was measured before; return whether that was all there."""
        file = self.file(network)
        if file is None:
            return False
        try:
            tensors, _ = read_weights(file)
            network.load_state_dict(network.state_dict() | tensors)  # tables may have other lengths
        except (RunError, RuntimeError):  # missing or damaged: it is measured again
            return not largest(True)[0]  # of several processes all measure, or none
        return not largest(False)[0]

    def keep(self, network: Network, before: dict[str, Tensor]) -> None:
        """Keep what of a network has changed since its state was `before`."""
        file, now = self.file(network), network.state_dict()
        if file is not None and rank() == 0:
            changed = {n: t for n, t in now.items() if not torch.equal(t, before[n])}
            save_weights(changed, {}, file)


def adapt(
    networks: Iterable[Network],
    data: TrainingData,
    seed: int,
    measured: Measured | None = None,
    progress: Progress | None = None,
) -> None:
    """Show networks real showers, which tell them where to begin.

    Showers that have mirror images are shown as often as they have these, each time as one of them. What is
    measured depends on the showers, the seed and the settings of what measures alone.

    Args:
        networks: Those of a training.
        data: What it learns from.
        seed: Of what is random in measuring.
        measured: What earlier trainings have measured.
        progress: Told that this is going on.
    """
    looking = [one for one in networks if type(one).adapt is not Network.adapt]
    wanting = [one for one in looking if measured is None or not measured.restore(one)]
    if not wanting:
        return
    told = progress or (lambda *_: None)
    told(0, 1, "measuring the showers")
    images = data.images
    cells, incident = _shown(data, 1 if images is None else len(images))
    for network in wanting:
        before = {name: value.clone() for name, value in network.state_dict().items()}
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            network.adapt(cells, incident, None if images is None else images.cpu())
        if measured is not None:
            measured.keep(network, before)


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
