"""Events in ROOT, by uproot: a tree of events with particles and cells, and one of where the cells are."""

from __future__ import annotations

__all__ = ["root_writer"]

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.showers.formats.storage.root import jagged, new_root
from caloforge.simulation.output.base import PARTICLES, About, cell_columns, particle_columns

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.simulation.making import Made


@contextmanager
def root_writer(path: Path, about: About) -> Iterator[_RootWriter]:
    """Open a ROOT file of events.

    Raises:
        MissingExtraError: No uproot or awkward.
        OutputError: It exists, another process writes it, or the disk is full.
    """
    with new_root(path) as file:
        yield _RootWriter(file, about)


class _RootWriter:
    """Trees that grow with each batch."""

    def __init__(self, file: Any, about: About) -> None:
        self._file, self._about = file, about
        _write_places(file, about.detector)
        kinds: dict[str, Any] = {"number": "int64", "weight": "var * float64", "outside": "var * float32"}
        # As records, all columns of the particles share one counter of them, and those of the cells another.
        for group, columns in (("particle", PARTICLES), ("cell", about.cells)):
            record = ", ".join(f"{name}: {_numpy(kind)}" for name, (kind, _) in columns.items())
            kinds[group] = f"var * {{{record}}}"
        self._tree = file.mktree("events", kinds, title="one entry per event; MeV, mm, rad")

    def append(self, made: Made) -> None:
        """Write events."""
        import awkward as ak

        self._tree.extend(
            {
                "number": made.batch.numbers,
                "weight": ak.from_regular(made.batch.weights),
                "outside": ak.from_regular(made.outside),
                "particle": jagged(made.batch.offset, particle_columns(made)),
                "cell": jagged(made.offset, cell_columns(made)),
            }
        )

    def finish(self, provenance: dict[str, Any]) -> None:
        """Write how they were made, as texts."""
        about = self._about
        self._file["detector"] = about.detector.to_yaml()
        self._file["provenance"] = json.dumps(provenance, default=str)
        self._file["fates"] = json.dumps(about.fates)
        self._file["weights"] = json.dumps(about.weights)


def _write_places(file: Any, detector: Detector) -> None:
    """One entry per cell: `cell_index` counts them."""
    x, y, z = detector.positions.T
    columns = {"layer": detector.layer_of_cell.astype(np.int32), "x": x, "y": y, "z": z}
    file.mktree("cells", {name: column.dtype for name, column in columns.items()}, title="centres in mm")
    file["cells"].extend(columns)


def _numpy(kind: str) -> str:
    return np.dtype(kind).name
