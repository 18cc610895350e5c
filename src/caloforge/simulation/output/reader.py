"""Reads files of events in HDF5: those of `event` and those of `fastsim`."""

from __future__ import annotations

__all__ = ["EventFile", "Events"]

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import EventError
from caloforge.hdf5 import open_hdf5
from caloforge.showers.store import SCHEMA as SHOWERS
from caloforge.showers.store import ShowerFile
from caloforge.simulation.output.base import CELLS, PARTICLES
from caloforge.simulation.output.hdf5 import SCHEMA

if TYPE_CHECKING:
    from typing_extensions import Self


_CELLS = 1 << 23  # of the events that are read at once
_COLUMNS = {"particles": (*PARTICLES, "generated"), "cells": tuple(CELLS)}
_ABSENT = {"particles/fate", "particles/generated", "cells/counts", "cells/gain"}  # from some files


@dataclass(frozen=True)
class Events:
    """Some events of a file.

    Attributes:
        number: Numbers of the events in their source, or in the file of `fastsim`, shape `(n,)`.
        weight: Shape `(n, n_weights)`.
        particles: Columns of all particles: `pdg`, `energy` (kinetic, MeV), `theta`, `phi` (rad), `x`, `y`
            (mm, on the face; NaN of those that do not reach it), `origin`: 1 followed by Geant4, 2 generated,
            3 both, 0 neither. Of `event` also `fate`, of `fastsim` also `generated`: MeV that bundles took.
        offset: Where each event's particles begin, shape `(n + 1,)`.
        cells: Energy in every cell in MeV, shape `(n, n_cells)`; of digitised events after calibration.
        counts: Of the ADC, the same shape, or None.
        gain: Index of the gain, the same shape, or None.
        origin: Of the energy in each cell, the same shape: 1 Geant4, 2 generated, 3 both, 0 neither.
        outside: Energy beside each layer's window in MeV, shape `(n, n_layers)`; None where it was not kept
            (`fastsim`).
    """

    number: NDArray[np.int64]
    weight: NDArray[np.float64]
    particles: dict[str, NDArray[Any]]
    offset: NDArray[np.int64]
    cells: NDArray[np.float32]
    counts: NDArray[np.uint32] | None
    gain: NDArray[np.uint8] | None
    origin: NDArray[np.uint8]
    outside: NDArray[np.float32] | None

    def __len__(self) -> int:
        return len(self.number)


class EventFile:
    """A file of events, read piece by piece; a context manager.

    Args:
        path: What `caloforge event` or `caloforge fastsim` has written as HDF5.

    Attributes:
        detector: Where the events happened.
        provenance: How they were made.
        fates: What the numbers in the column `fate` mean; empty without that column.
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
        self.path = Path(path)
        self._file = open_hdf5(self.path)
        try:
            schema = self._file.attribute("schema")
            if schema == SHOWERS and "cells/origin" in self._file:
                self._read_about_rows()
            elif schema == SCHEMA:
                self._read_about()
            else:
                raise EventError(
                    "this is no file of events",
                    where=self.path,
                    got=f"schema {schema!r}" + (", without flags of its cells" if schema == SHOWERS else ""),
                    expected=f"{SCHEMA}, or what `caloforge fastsim` writes",
                )
            self._find_datasets()
        except BaseException:
            self.close()
            raise

    def _read_about(self) -> None:
        from caloforge.detector import Detector

        self.detector = Detector.from_yaml(self._text("detector"), str(self.path))
        self.provenance: dict[str, Any] = json.loads(self._text("provenance"))
        self.fates = tuple(json.loads(self._text("fates")))
        self.weights = tuple(json.loads(self._text("weights")))
        self._signed = self.detector.digitisation is not None  # noise around a pedestal

    def _read_about_rows(self) -> None:
        """Of a shower file with one row per event, which has checksums of what it says."""
        with ShowerFile(self.path) as rows:
            self.detector, self.provenance = rows.detector, rows.provenance
        self.fates, self.weights, self._signed = (), ("",), False

    def _find_datasets(self) -> None:
        n = self._n = len(self._file.dataset("cells/offset", (None,))) - 1
        self._offset = {group: self._file.dataset(f"{group}/offset", (n + 1,)) for group in _COLUMNS}
        self._columns = {
            group: {
                name: self._file.dataset(f"{group}/{name}", (None,))
                for name in names
                if f"{group}/{name}" in self._file or f"{group}/{name}" not in _ABSENT
            }
            for group, names in _COLUMNS.items()
        }
        shapes = {
            "events/number": (n,),
            "events/weight": (n, len(self.weights)),
            "outside": (n, self.detector.n_layers),
        }
        self._events = {
            name: self._file.dataset(name, shape) for name, shape in shapes.items() if name in self._file
        }

    def __len__(self) -> int:
        return self._n

    def read(self, start: int, stop: int) -> Events:
        """Return the events from `start` to `stop - 1`."""
        start, stop, _ = slice(start, stop).indices(len(self))
        stop = max(start, stop)
        offset = self._rows("particles", start, stop)
        cells, particles = self._dense(start, stop), self._columns["particles"]
        events = {name: column[start:stop] for name, column in self._events.items()}
        return Events(
            events.get("events/number", np.arange(start, stop)),
            events.get("events/weight", np.ones((stop - start, 1))),
            {name: column[int(offset[0]) : int(offset[-1])] for name, column in particles.items()},
            offset - offset[0],
            cells["energy"],
            cells.get("counts"),
            cells.get("gain"),
            cells["origin"],
            events.get("outside"),
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

    def __exit__(self, *error: object) -> None:
        self.close()

    def _text(self, name: str) -> str:
        text = self._file.attribute(name)
        if text is None:
            raise self._damaged(f"its attribute {name!r} is missing")
        return text

    def _rows(self, group: str, start: int, stop: int) -> NDArray[np.int64]:
        offset = self._offset[group][start : stop + 1].astype(np.int64)
        length = min(map(len, self._columns[group].values()))
        if offset[0] < 0 or (np.diff(offset) < 0).any() or offset[-1] > length:
            raise self._damaged(f"the offsets of its {group} point outside")
        if group == "cells" and (np.diff(offset) > self.detector.n_cells).any():
            raise self._damaged("an event has more cells than the detector")
        return offset

    def _dense(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        offset = self._rows("cells", start, stop)
        hits = slice(int(offset[0]), int(offset[-1]))
        shape = stop - start, self.detector.n_cells
        columns = {name: column[hits] for name, column in self._columns["cells"].items()}
        index, energy = columns.pop("index").astype(np.int64), columns["energy"]
        if len(index) and index.max() >= shape[1]:
            raise self._damaged("a cell number is outside the detector")
        if not (np.isfinite(energy).all() and (self._signed or (energy >= 0).all())):
            raise self._damaged("the energy of a cell is NaN, infinite or negative")
        row = np.repeat(np.arange(shape[0]), np.diff(offset))
        found = {name: np.zeros(shape, column.dtype) for name, column in columns.items()}
        for name, column in columns.items():
            found[name][row, index] = column
        return found

    def _damaged(self, what: str) -> EventError:
        return EventError(
            f"damaged file of events: {what}", where=self.path, cure="make or copy the file again"
        )
