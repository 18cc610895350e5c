"""Showers on disk: HDF5 with incident columns and the cells as compressed sparse rows."""

from __future__ import annotations

__all__ = ["SCHEMA", "ShowerFile", "write_store"]

import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from caloforge.errors import ShowersError
from caloforge.showers.checks import BadEnergies
from caloforge.showers.container import Showers
from caloforge.showers.hdf5 import attribute, dataset, open_hdf5, reading
from caloforge.showers.hdf5_output import hdf5_into
from caloforge.showers.incident import COLUMNS, Incident
from caloforge.showers.journal import Journal, is_journal
from caloforge.showers.source import ShowerSource
from caloforge.showers.sparse import Sparse, index_type

if TYPE_CHECKING:
    from caloforge.detector import Detector

SCHEMA = "caloforge-showers/1"
_CHUNK = 1 << 14  # values; small enough that a block of a few hundred showers reads little beyond itself
_DETECTORS = 16  # that are remembered


def write_store(
    out: io.BufferedRandom,
    detector: Detector,
    provenance: dict[str, Any],
    totals: tuple[int, int],
    rows: Iterable[Sparse],
) -> None:
    """Write a whole store; memory is that of one element of `rows`.

    Args:
        out: File to fill.
        detector: What was hit.
        provenance: How the showers were made; JSON must be able to hold it.
        totals: Showers and hits that `rows` will give.
        rows: The showers.

    Raises:
        OSError: The disk is full.
    """
    # Attributes beyond 64 kB (the YAML of a detector with many layers) need the 1.8 file format.
    with hdf5_into(out, libver=("v108", "v110")) as file:
        file.attrs["schema"] = SCHEMA
        file.attrs["detector"] = detector.to_yaml()
        file.attrs["detector_digest"] = _sha256(detector.to_yaml())
        file.attrs["provenance"] = json.dumps(provenance, default=str)
        file.attrs["units"] = json.dumps({"energy": "MeV", "length": "mm", "angle": "rad"})
        shower = hit = 0
        for part in rows:
            if shower == 0:
                _make_datasets(file, detector, totals, part.overflow is not None)
            _fill(file, part, shower, hit)
            file.check()
            shower, hit = shower + len(part), hit + len(part.index)
        file.flush()


def _make_datasets(file: h5py.File, detector: Detector, totals: tuple[int, int], overflow: bool) -> None:
    n, hits = totals

    def make(key: str, shape: tuple[int, ...], kind: Any, unit: str, **how: Any) -> None:
        if shape[0]:  # HDF5 has no chunks for nothing: showers may leave no energy at all
            how |= {"chunks": (min(_CHUNK, shape[0]), *shape[1:]), "fletcher32": True}
        made = file.create_dataset(key, shape, kind, **(how if shape[0] else {}))
        made.attrs["unit"] = unit

    gzip = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    for name, (kind, unit) in COLUMNS.items():
        make(f"incident/{name}", (n,), kind, unit, **gzip)
    make("cells/offset", (n + 1,), "<i8", "1", **gzip)
    make("cells/index", (hits,), index_type(detector.n_cells), "1", **gzip)
    # Mantissas are noise: gzip would save 8 % of the energies and make reading them eight times slower.
    make("cells/energy", (hits,), "<f4", "MeV")
    if overflow:
        make("overflow", (n, detector.n_layers), "<f4", "MeV")


def _fill(file: h5py.File, rows: Sparse, shower: int, hit: int) -> None:
    stop = shower + len(rows)
    for name, column in rows.incident.items():
        file[f"incident/{name}"][shower:stop] = column
    file["cells/offset"][shower : stop + 1] = rows.offset + hit
    file["cells/index"][hit : hit + len(rows.index)] = rows.index
    file["cells/energy"][hit : hit + len(rows.index)] = rows.energy
    if rows.overflow is not None:
        file["overflow"][shower:stop] = rows.overflow


class ShowerFile(ShowerSource):
    """A shower file, finished (`F.h5`) or still being produced (`F.h5.part`), read piece by piece.

    Args:
        path: The file.

    Attributes:
        overflow: Whether the energy beside each layer's grid was kept.

    Raises:
        ShowersError: Not a shower file, or a damaged one.

    Example:
        >>> with ShowerFile("positrons.h5") as file:
        ...     for showers in file.chunks():
        ...         print(showers.cells.sum(axis=1).mean())
    """

    format = "caloforge"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        part = self.path.is_file() and is_journal(self.path)
        self._rows: _Stored | _Producing = _Producing(self.path) if part else _Stored(self.path)
        try:
            self.detector = _detector(self._rows.detector, self.path)
            self.provenance, self.notes = self._rows.provenance, self._rows.notes
            self.overflow = self._rows.prepare(self.detector.n_cells, self.detector.n_layers)
        except BaseException:
            self._rows.close()
            raise

    def __len__(self) -> int:
        return self._rows.n

    def raw(self, start: int, stop: int) -> Showers:
        return self._dense(self._sparse(start, stop))

    def read(self, start: int, stop: int) -> Showers:
        return self._dense(self.sparse(start, stop))

    def sparse(self, start: int, stop: int) -> Sparse:
        start, stop, _ = slice(start, stop).indices(len(self))
        rows = self._sparse(start, max(start, stop))
        bad = BadEnergies()
        bad.good(rows.incident, rows.energy[None, :], rows.overflow)
        bad.refuse(f"{self.path}, showers {start} to {stop - 1}")
        return rows

    def incident(self) -> Incident:
        return self._rows.columns(0, len(self))

    def columns(self, start: int, stop: int) -> Incident:
        return self._rows.columns(start, stop)

    def close(self) -> None:
        self._rows.close()

    def _sparse(self, start: int, stop: int) -> Sparse:
        if start == stop:
            outside = np.empty((0, self.detector.n_layers), np.float32) if self.overflow else None
            return Sparse.of(Incident.of([]), np.empty((0, self.detector.n_cells), np.float32), outside)
        return self._rows.rows(start, stop).check(self.path)

    def _dense(self, rows: Sparse) -> Showers:
        return Showers(self.detector, rows.incident, rows.dense(), rows.overflow, self.provenance)


_detectors: dict[str, Detector] = {}


def _detector(text: str, where: Path) -> Detector:
    """Read a detector once for all files that hold it: that takes longer than to open the file."""
    from caloforge.detector import Detector

    if text not in _detectors:
        if len(_detectors) >= _DETECTORS:
            _detectors.clear()
        _detectors[text] = Detector.from_yaml(text, where=str(where))
    return _detectors[text]


class _Stored:
    """Rows of a finished store."""

    notes: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self._file = open_hdf5(path)
        schema = attribute(self._file, "schema")
        if schema != SCHEMA:
            raise _not_ours(path, schema)
        self.detector = str(attribute(self._file, "detector"))
        if _sha256(self.detector) != attribute(self._file, "detector_digest"):
            raise ShowersError(
                "damaged shower file: its detector does not match its checksum",
                where=path,
                cure="make or copy the file again",
            )
        try:
            self.provenance: dict[str, Any] = json.loads(str(attribute(self._file, "provenance")))
        except json.JSONDecodeError as error:
            raise ShowersError("damaged shower file: its provenance is unreadable", where=path) from error

    def prepare(self, n_cells: int, n_layers: int) -> bool:
        """Find the datasets and check their shapes; returns whether overflow energies are there."""
        self._n_cells = n_cells
        self._columns = {name: dataset(self._file, f"incident/{name}", (None,)) for name in COLUMNS}
        self.n = len(self._columns["energy"])
        for name in COLUMNS:
            dataset(self._file, f"incident/{name}", (self.n,))
        self._offset = dataset(self._file, "cells/offset", (self.n + 1,))
        self._index = dataset(self._file, "cells/index", (None,))
        self._energy = dataset(self._file, "cells/energy", self._index.shape)
        has = "overflow" in self._file
        self._overflow = dataset(self._file, "overflow", (self.n, n_layers)) if has else None
        return has

    def rows(self, start: int, stop: int) -> Sparse:
        with reading(self._file.filename):
            offset = self._offset[start : stop + 1].astype(np.int64)
            first, last = int(offset[0]), int(offset[-1])
            if not 0 <= first <= last <= len(self._index):
                raise ShowersError(
                    "damaged shower file: the row offsets point outside the stored cells",
                    where=f"{self._file.filename}, showers {start} to {stop - 1}",
                    got=f"{first} to {last}",
                    expected=f"0 to {len(self._index)}, increasing",
                    cure="make or copy the file again",
                )
            incident = self.columns(start, stop)
            outside = None if self._overflow is None else self._overflow[start:stop]
            index, energy = self._index[first:last], self._energy[first:last]
        return Sparse(incident, offset - first, index, energy, outside, self._n_cells)

    def columns(self, start: int, stop: int) -> Incident:
        with reading(self._file.filename):
            return Incident(**{name: column[start:stop] for name, column in self._columns.items()})

    def close(self) -> None:
        self._file.close()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


class _Producing:
    """Rows of a production that is not finished."""

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self.detector = str(self._journal.head["detector"])
        self.provenance: dict[str, Any] = self._journal.head["provenance"]
        self.n = len(self._journal)
        torn = f"its last {self._journal.torn:,} bytes hold no whole record and are left out"
        self.notes = (torn,) if self._journal.torn else ()

    def prepare(self, n_cells: int, n_layers: int) -> bool:
        """Check that the journal was made for this detector; returns whether it has overflow energies."""
        head = self._journal.head
        if (head["n_cells"], head["n_layers"]) != (n_cells, n_layers):
            raise ShowersError("damaged journal: its detector does not fit it", where=self._journal.path)
        return bool(head["overflow"])

    def rows(self, start: int, stop: int) -> Sparse:
        return self._journal.rows(start, stop)

    def columns(self, start: int, stop: int) -> Incident:
        # A journal's records hold cells, too: not all at once.
        ends = [(first, min(first + _CHUNK, stop)) for first in range(start, stop, _CHUNK)]
        parts = [self._journal.rows(*end).incident for end in ends]
        return Incident.concat(parts) if parts else Incident.of([])

    def close(self) -> None:
        self._journal.close()


def _not_ours(path: Path, schema: object) -> ShowersError:
    if schema is None:
        return ShowersError(
            "this HDF5 file is not a caloforge shower file",
            where=path,
            cure="`caloforge convert IN OUT` makes one from the formats it knows",
        )
    return ShowersError(
        "this shower file was written by another version of caloforge",
        where=path,
        got=schema,
        expected=SCHEMA,
        cure="use the version of caloforge that wrote it, or a newer one",
    )
