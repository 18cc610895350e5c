"""The training loop that all networks of the validation share: Adam, best epoch, the same for a seed."""

from __future__ import annotations

__all__ = ["Batches", "History", "Learner", "predict"]

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from caloforge.models.blocks.threads import one_thread
from caloforge.validation.classifiers.recipes import Schedule

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

Rows = NDArray[np.int64]
_AT_ONCE = 2000
"""Showers in one forward pass outside training."""


class Batches(Protocol):
    """Inputs of a network, made for a few showers at a time."""

    @property
    def width(self) -> int:
        """Numbers per shower."""

    def __len__(self) -> int: ...

    def rows(self, index: Rows) -> NDArray[np.float32]:
        """Return the inputs of these showers, shape `(len(index), width)`."""


@dataclass
class History:
    """What happened in a training.

    Attributes:
        train: Loss of each epoch on the showers it is trained on.
        unseen: Loss of each epoch on showers that only choose the epoch.
        best: The epoch that is kept.
    """

    train: list[float] = field(default_factory=list)
    unseen: list[float] = field(default_factory=list)
    best: int = 0


@dataclass
class Learner:
    """Trains one network.

    Attributes:
        build: Makes the network; called with torch seeded.
        loss: Mean loss of outputs and targets.
        merit: Larger is better: outputs and targets of the showers that choose the epoch.
        schedule: How it is trained.
        seed: Seed of weights and batches.
    """

    build: Callable[[], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    merit: Callable[[Tensor, Tensor], float]
    schedule: Schedule
    seed: int

    def fit(
        self,
        inputs: Batches,
        targets: NDArray[np.float32],
        train: Rows,
        select: Rows,
        tell: Callable[[float], None],
    ) -> tuple[nn.Module, History]:
        """Train on some showers, and keep the epoch that is best on others.

        Args:
            inputs: Inputs of all showers.
            targets: What the network shall say of each, first axis as `inputs`.
            train: Showers to train on.
            select: Showers that choose the epoch.
            tell: Called with the share that is done.

        Returns:
            The network of the best epoch, in evaluation mode, and its history.
        """
        import torch

        with one_thread():
            with seeded(self.seed):
                network = self.build()
            optimiser = torch.optim.Adam(network.parameters(), lr=self.schedule.learning_rate, fused=True)
            answers, wanted = torch.as_tensor(targets), torch.as_tensor(targets[select])
            history, best, kept = History(), -math.inf, network.state_dict()
            rng, epochs = np.random.default_rng(self.seed), self.schedule.passes(len(train))
            for epoch in range(epochs):
                history.train.append(
                    self._epoch(network, optimiser, inputs, answers, rng.permutation(train), epoch)
                )
                outputs = predict(network, inputs, select)
                history.unseen.append(float(self.loss(outputs, wanted)))
                merit = self.merit(outputs, wanted)
                if merit > best:
                    best, history.best = merit, epoch
                    kept = {name: value.clone() for name, value in network.state_dict().items()}
                tell((epoch + 1) / epochs)
                if self.schedule.patience is not None and epoch - history.best >= self.schedule.patience:
                    break
            network.load_state_dict(kept)
            network.eval()
        return network, history

    def _epoch(
        self,
        network: nn.Module,
        optimiser: Optimizer,
        inputs: Batches,
        targets: Tensor,
        order: Rows,
        done: float,
    ) -> float:
        import torch

        network.train()
        batch = self.schedule.batch
        # a last batch of one shower would break batch normalisation
        starts = [start for start in range(0, len(order), batch) if len(order) - start > 1 or start == 0]
        total = 0.0
        for group in optimiser.param_groups:
            group["lr"] = self._rate(done)
        for start in starts:
            rows = order[start : start + batch]
            loss = self.loss(network(torch.from_numpy(inputs.rows(rows))), targets[torch.from_numpy(rows)])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += float(loss.detach()) * len(rows)
        return total / len(order)

    def _rate(self, done: float) -> float:
        if not self.schedule.cosine:
            return self.schedule.learning_rate
        turn = max(0.0, (done - 1 / 3) * 1.5)
        return self.schedule.learning_rate * 0.5 * (1 + math.cos(math.pi * turn))


def predict(network: nn.Module, inputs: Batches, rows: Rows) -> Tensor:
    """Return the network's outputs for some showers, in evaluation mode and without gradients."""
    import torch

    network.eval()
    parts = [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]
    with torch.no_grad():
        return torch.cat([network(torch.from_numpy(inputs.rows(part))) for part in parts])


_SEEDING = Lock()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Make what torch draws repeatable inside, one thread at a time, and leave it outside as it was."""
    import torch

    with _SEEDING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
