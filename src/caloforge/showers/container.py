"""Showers in memory: what was deposited, by what, in which detector."""

from __future__ import annotations

__all__ = ["Showers"]

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError
from caloforge.showers.incident import Incident
from caloforge.showers.sparse import of_all
from caloforge.showers.times import check_times

if TYPE_CHECKING:
    from caloforge.detector import Detector


@dataclass(frozen=True, eq=False)
class Showers:
    """Showers of one detector.

    Attributes:
        detector: What was hit.
        incident: The particles, `n` rows.
        cells: Energy in every cell in MeV, shape `(n, n_cells)`, float32, layer-major.
        overflow: Energy beside each layer's grid in MeV, shape `(n, n_layers)`, or None if it was not kept.
        provenance: How the showers were made: command, seed, physics, versions.
        time: Of every cell in ns, shape `(n, n_cells)`, float32, without meaning where no energy is; or
            None if cells have no times.

    Raises:
        ShowersError: Shapes that do not fit the detector or each other, or times that are no numbers.

    Example:
        >>> showers = Showers(detector, Incident.of([1e4, 2e4]), cells)
        >>> showers[showers.incident.energy > 1.5e4].layers()[0].shape
        (1, 3, 96)
    """

    detector: Detector
    incident: Incident
    cells: NDArray[np.float32]
    overflow: NDArray[np.float32] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    time: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        n = len(self.incident)
        object.__setattr__(self, "cells", np.asarray(self.cells, np.float32))
        _expect("cells", self.cells.shape, (n, self.detector.n_cells))
        if self.overflow is not None:
            object.__setattr__(self, "overflow", np.asarray(self.overflow, np.float32))
            _expect("overflow", np.shape(self.overflow), (n, self.detector.n_layers))
        if self.time is not None:
            object.__setattr__(self, "time", np.asarray(self.time, np.float32))
            _expect("times", self.time.shape, self.cells.shape)
            check_times(self.time)

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, rows: Any) -> Showers:
        """Showers by slice, mask or index array."""
        outside = None if self.overflow is None else self.overflow[rows]
        time = None if self.time is None else self.time[rows]
        return Showers(self.detector, self.incident[rows], self.cells[rows], outside, self.provenance, time)

    def layers(self) -> list[NDArray[np.float32]]:
        """One image stack per layer, each of shape `(n, *layer.shape)`, MeV; views of `cells`."""
        return list(self.detector.split(self.cells))

    @classmethod
    def concat(cls, parts: Sequence[Showers]) -> Showers:
        """Join showers of one detector; the first part's provenance is kept, and what all parts have.

        Raises:
            ShowersError: No parts, or parts of different detectors.
        """
        if not parts:
            raise ShowersError("there are no showers to join")
        first = parts[0]
        for part in parts[1:]:
            same_detector(first.detector, part.detector)
        return cls(
            first.detector,
            Incident.concat([part.incident for part in parts]),
            np.concatenate([part.cells for part in parts]),
            of_all([part.overflow for part in parts]),
            first.provenance,
            of_all([part.time for part in parts]),
        )

    def save(self, path: str | Path) -> Path:
        """Write to a new shower file; see `ShowerWriter` for what is refused."""
        from caloforge.showers.writer import write_all

        write_all(Path(path), self.detector, [self])
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Showers:
        """Read a whole shower file into memory; `ShowerFile` reads one piece by piece."""
        from caloforge.showers.store import ShowerFile

        with ShowerFile(path) as file:
            return file.read(0, len(file))


def same_detector(first: Detector, second: Detector, where: object = None) -> None:
    """Raise unless two detectors are one and the same.

    Raises:
        ShowersError: They differ.
    """
    if first.digest != second.digest:
        raise ShowersError(
            "these showers come from different detectors",
            where=where,
            got=f"{second.name} ({second.digest[:12]}, {second.n_cells} cells)",
            expected=f"{first.name} ({first.digest[:12]}, {first.n_cells} cells)",
            cure="use showers of one detector; `caloforge inspect` prints which one a file holds",
        )


def _expect(what: str, got: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if tuple(got) != expected:
        raise ShowersError(f"the {what} have the wrong shape", got=tuple(got), expected=expected)
