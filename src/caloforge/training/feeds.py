"""Where batches come from: kept on the device as one tensor, or read ahead and unpacked there."""

from __future__ import annotations

__all__ = ["Batch", "Feed", "Kept", "Streamed", "to_device", "unpack"]

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caloforge.training.ahead import Ahead

if TYPE_CHECKING:
    from caloforge.showers import StreamingReader
    from caloforge.showers.sparse import Sparse

Batch = tuple[Tensor, Tensor]
"""Cells `(n, n_cells)` in MeV and incident columns `(n, k)`."""


class Feed(Protocol):
    """Gives the rounds of an epoch (`caloforge.showers.order`)."""

    def round(self, epoch: int, number: int) -> Callable[[slice], Batch]:
        """Get ready for a round; what is returned gives some of its showers, counted from its first."""

    def close(self) -> None:
        """Give back what it needs beside memory."""


class Kept:
    """All showers as one tensor on the device.

    Args:
        reader: What is read, once.
        conditions: Incident columns that are wanted.
        device: Where the tensor lives.
    """

    def __init__(self, reader: StreamingReader, conditions: Sequence[str], device: torch.device) -> None:
        n, self._reader = len(reader), reader
        self._cells = torch.empty((n, reader.detector.n_cells), device=device)
        self._incident = torch.empty((n, len(conditions)), device=device)
        done = 0
        for rows in reader.in_order():
            place = slice(done, done + len(rows))
            self._cells[place], self._incident[place] = unpack(rows, conditions, device)
            done = place.stop

    def round(self, epoch: int, number: int) -> Callable[[slice], Batch]:
        rows = to_device(self._reader.rows(epoch, number), self._cells.device)

        def take(place: slice) -> Batch:
            return self._cells.index_select(0, rows[place]), self._incident.index_select(0, rows[place])

        return take

    def close(self) -> None:
        pass


class Streamed:
    """Showers that another process reads from the files meanwhile.

    Args:
        reader: What is read.
        conditions: Incident columns that are wanted.
        device: Where batches are wanted.
    """

    def __init__(self, reader: StreamingReader, conditions: Sequence[str], device: torch.device) -> None:
        self._ahead, self._conditions, self._device = Ahead(reader), conditions, device

    def round(self, epoch: int, number: int) -> Callable[[slice], Batch]:
        rows = self._ahead.round(epoch, number)
        return lambda place: unpack(rows[place], self._conditions, self._device)

    def close(self) -> None:
        self._ahead.close()


def unpack(rows: Sparse, conditions: Sequence[str], device: torch.device) -> Batch:
    """Bring showers to the device without their empty cells, and put these back there."""
    first = np.repeat(np.arange(len(rows)) * rows.n_cells, np.diff(rows.offset))
    cells = torch.zeros(len(rows) * rows.n_cells, device=device)
    cells.scatter_(0, to_device(first + rows.index, device), to_device(rows.energy, device))
    incident = to_device(rows.incident.matrix(conditions), device)
    return cells.view(len(rows), rows.n_cells), incident


def to_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """Copy an array; to a GPU through pinned memory, so that nobody waits for it."""
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)
