"""Reads files of events that were written as HDF5."""

from __future__ import annotations

__all__ = ["EventFile", "Events"]

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import EventError
from caloforge.hdf5 import open_hdf5
from caloforge.simulation.output.base import PARTICLES
from caloforge.simulation.output.hdf5 import SCHEMA

if TYPE_CHECKING:
    from typing_extensions import Self

    from caloforge.hdf5 import Dataset

_CELLS = 1 << 23  # of the events that are read at once


@dataclass(frozen=True)
class Events:
    """Some events of a file.

    Attributes:
        number: Numbers of the events in their source, shape `(n,)`.
        weight: Shape `(n, n_weights)`.
        particles: Columns of all particles: `pdg`, `energy` (kinetic, MeV), `theta`, `phi` (rad), `x`, `y`
            (mm, on the face; NaN of those that do not reach it), `fate`.
        offset: Where each event's particles begin, shape `(n + 1,)`.
        cells: Energy in every cell in MeV, shape `(n, n_cells)`; of digitised events after calibration.
        counts: Of the ADC, the same shape, or None.
        gain: Index of the gain, the same shape, or None.
        outside: Energy beside each layer's window in MeV, shape `(n, n_layers)`.
    """

    number: NDArray[np.int64]
    weight: NDArray[np.float64]
    particles: dict[str, NDArray[Any]]
    offset: NDArray[np.int64]
    cells: NDArray[np.float32]
    counts: NDArray[np.uint32] | None
    gain: NDArray[np.uint8] | None
    outside: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.number)


class EventFile:
    """A file of events, read piece by piece; a context manager.

    Args:
        path: What `caloforge event` has written as HDF5.

    Attributes:
        detector: Where the events happened.
        provenance: How they were made.
        fates: What the numbers in the column `fate` mean.
        weights: Names of the weights.

    Raises:
        EventError: Another file.
        ShowersError: A damaged one.

    Example:
        >>> with EventFile("events.h5") as file:
        ...     for events in file.chunks():
        ...         print(events.cells.sum(axis=1).mean())
    """

    def __init__(self, path: str | Path) -> None:
        from caloforge.detector import Detector

        self.path = Path(path)
        self._file = open_hdf5(self.path)
        try:
            schema = self._file.attribute("schema")
            if schema != SCHEMA:
                raise EventError(
                    "this is no file of events", where=self.path, got=f"schema {schema!r}", expected=SCHEMA
                )
            self.detector = Detector.from_yaml(self._text("detector"), str(self.path))
            self.provenance: dict[str, Any] = json.loads(self._text("provenance"))
            self.fates = tuple(json.loads(self._text("fates")))
            self.weights = tuple(json.loads(self._text("weights")))
            self._number = self._file.dataset("events/number", (None,))
            n = len(self._number)
            self._weight = self._file.dataset("events/weight", (n, len(self.weights)))
            self._outside = self._file.dataset("outside", (n, self.detector.n_layers))
            self._offset = {
                group: self._file.dataset(f"{group}/offset", (n + 1,)) for group in ("particles", "cells")
            }
            self._particles = {name: self._file.dataset(f"particles/{name}", (None,)) for name in PARTICLES}
            names = ("index", "energy", "counts", "gain")
            self._cells = {
                name: self._file.dataset(f"cells/{name}", (None,))
                for name in names
                if f"cells/{name}" in self._file
            }
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._number)

    def read(self, start: int, stop: int) -> Events:
        """Return the events from `start` to `stop - 1`."""
        start, stop, _ = slice(start, stop).indices(len(self))
        stop = max(start, stop)
        offset = self._rows("particles", start, stop)
        first, last = int(offset[0]), int(offset[-1])
        cells = self._dense(start, stop)
        return Events(
            self._number[start:stop],
            self._weight[start:stop],
            {name: column[first:last] for name, column in self._particles.items()},
            offset - first,
            cells["energy"],
            cells.get("counts"),
            cells.get("gain"),
            self._outside[start:stop],
        )

    def chunks(self, size: int | None = None) -> Iterator[Events]:
        """All events, some at a time."""
        size = size or max(1, _CELLS // self.detector.n_cells)
        return (self.read(start, start + size) for start in range(0, len(self), size))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _text(self, name: str) -> str:
        text = self._file.attribute(name)
        if text is None:
            raise self._damaged(f"its attribute {name!r} is missing")
        return text

    def _rows(self, group: str, start: int, stop: int) -> NDArray[np.int64]:
        offset = self._offset[group][start : stop + 1].astype(np.int64)
        columns: dict[str, Dataset] = self._particles if group == "particles" else self._cells
        length = min(map(len, columns.values()))
        if offset[0] < 0 or (np.diff(offset) < 0).any() or offset[-1] > length:
            raise self._damaged(f"the offsets of its {group} point outside")
        return offset

    def _dense(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        offset = self._rows("cells", start, stop)
        hits = slice(int(offset[0]), int(offset[-1]))
        shape = stop - start, self.detector.n_cells
        index = self._cells["index"][hits].astype(np.int64)
        if len(index) and index.max() >= shape[1]:
            raise self._damaged("a cell number is outside the detector")
        row = np.repeat(np.arange(shape[0]), np.diff(offset))
        found = {}
        for name, column in self._cells.items():
            if name != "index":
                found[name] = np.zeros(shape, column.dtype)
                found[name][row, index] = column[hits]
        return found

    def _damaged(self, what: str) -> EventError:
        return EventError(
            f"damaged file of events: {what}", where=self.path, cure="make or copy the file again"
        )
