"""Showers on disk: HDF5 with incident columns and the cells as compressed sparse rows."""

from __future__ import annotations

__all__ = ["SCHEMA", "ShowerFile", "write_store"]

import hashlib
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError
from caloforge.hdf5 import open_hdf5
from caloforge.hdf5.output import Hdf5Output, hdf5_into, put_text
from caloforge.showers.checks import BadEnergies
from caloforge.showers.container import Showers
from caloforge.showers.incident import COLUMNS, Incident
from caloforge.showers.journal import Journal, is_journal
from caloforge.showers.source import ShowerSource
from caloforge.showers.sparse import Sparse, index_type

if TYPE_CHECKING:
    from caloforge.detector import Detector

SCHEMA = "caloforge-showers/1"
_TEXTS = ("schema", "detector", "provenance", "units")  # attributes of the root
_CHUNK = 1 << 14  # values; small enough that a block of a few hundred showers reads little beyond itself
_DETECTORS = 16  # that are remembered


def write_store(
    out: io.BufferedRandom,
    detector: Detector,
    provenance: dict[str, Any],
    totals: tuple[int, int],
    rows: Iterable[Sparse],
    beside: Callable[[Hdf5Output], None] | None = None,
) -> None:
    """Write a whole store; memory is that of one element of `rows`.

    Args:
        out: File to fill.
        detector: What was hit.
        provenance: How the showers were made; JSON must be able to hold it.
        totals: Showers and hits that `rows` will give.
        rows: The showers.
        beside: Writes what else the file is to hold; readers of showers pass it by.

    Raises:
        OSError: The disk is full.
    """
    units = {"energy": "MeV", "length": "mm", "angle": "rad"}
    texts = SCHEMA, detector.to_yaml(), json.dumps(provenance, default=str), json.dumps(units)
    # In this format all of HDF5's own tables carry checksums; in the 1.8 format those of the chunks do not.
    with hdf5_into(out, libver=("v110", "v110")) as file:
        for name, text in zip(_TEXTS, texts, strict=True):
            put_text(file, name, text)
        put_text(file, "detector_digest", _sha256(detector.to_yaml()))
        put_text(file, "digest", _digest(*texts))  # long texts have no checksum of HDF5's
        shower = hit = 0
        for part in rows:
            if shower == 0:
                _make_datasets(file, detector, totals, part)
            _fill(file, part, shower, hit)
            file.check()
            shower, hit = shower + len(part), hit + len(part.index)
        if beside is not None:
            beside(file)
        file.flush()


def _make_datasets(file: h5py.File, detector: Detector, totals: tuple[int, int], like: Sparse) -> None:
    """Make the datasets of all showers, which have what the first ones, `like`, have."""
    n, hits = totals

    def make(key: str, shape: tuple[int, ...], kind: Any, unit: str, **how: Any) -> None:
        if shape[0]:  # HDF5 has no chunks for nothing: showers may leave no energy at all
            how |= {"chunks": (min(_CHUNK, shape[0]), *shape[1:]), "fletcher32": True}
        made = file.create_dataset(key, shape, kind, **(how if shape[0] else {}))
        put_text(made, "unit", unit)

    gzip = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    for name, (kind, unit) in COLUMNS.items():
        make(f"incident/{name}", (n,), kind, unit, **gzip)
    make("cells/offset", (n + 1,), "<i8", "1", **gzip)
    make("cells/index", (hits,), index_type(detector.n_cells), "1", **gzip)
    # Mantissas are noise: gzip would save 8 % of the energies and make reading them eight times slower.
    make("cells/energy", (hits,), "<f4", "MeV")
    if like.time is not None:
        make("cells/time", (hits,), "<f4", "ns")
    if like.overflow is not None:
        make("overflow", (n, detector.n_layers), "<f4", "MeV", **gzip)


def _fill(file: h5py.File, rows: Sparse, shower: int, hit: int) -> None:
    stop = shower + len(rows)
    for name, column in rows.incident.items():
        file[f"incident/{name}"][shower:stop] = column
    file["cells/offset"][shower : stop + 1] = rows.offset + hit
    file["cells/index"][hit : hit + len(rows.index)] = rows.index
    file["cells/energy"][hit : hit + len(rows.index)] = rows.energy
    if rows.time is not None:
        file["cells/time"][hit : hit + len(rows.index)] = rows.time
    if rows.overflow is not None:
        file["overflow"][shower:stop] = rows.overflow


class ShowerFile(ShowerSource):
    """A shower file, finished (`F.h5`) or still being produced (`F.h5.part`), read piece by piece.

    Args:
        path: The file.

    Attributes:
        overflow: Whether the energy beside each layer's grid was kept.
        time: Whether cells have times.
        finished: Whether its production is.

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
        self.finished = not (self.path.is_file() and is_journal(self.path))
        self._rows: _Stored | _Producing = _Stored(self.path) if self.finished else _Producing(self.path)
        try:
            self.detector = _detector(self._rows.detector, self.path)
            self.provenance, self.notes = self._rows.provenance, self._rows.notes
            self.overflow, self.time = self._rows.prepare(self.detector.n_cells, self.detector.n_layers)
        except BaseException:
            self._rows.close()
            raise

    def __len__(self) -> int:
        return self._rows.n

    @property
    def hits(self) -> int:
        """Cells with energy in all showers together."""
        return self._rows.hits

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
            cells = np.empty((0, self.detector.n_cells), np.float32)
            return Sparse.of(Incident.of([]), cells, outside, cells if self.time else None)
        return self._rows.rows(start, stop).check(self.path)

    def _dense(self, rows: Sparse) -> Showers:
        cells, time = rows.dense(), rows.times()
        return Showers(self.detector, rows.incident, cells, rows.overflow, self.provenance, time)


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
        try:
            self._read_texts(path)
        except BaseException:
            self.close()
            raise

    def _read_texts(self, path: Path) -> None:
        schema, detector, text, units = map(self._file.attribute, _TEXTS)
        if schema != SCHEMA:
            raise _not_ours(path, schema)
        if detector is None or text is None or units is None:
            raise _damaged("an attribute is missing", path, ", ".join(_TEXTS))
        self.detector = detector
        if _sha256(self.detector) != self._file.attribute("detector_digest"):
            raise _damaged("its detector does not match its checksum", path)
        digest = self._file.attribute("digest")  # absent from files of earlier builds
        if digest is not None and digest != _digest(schema, self.detector, text, units):
            raise _damaged("its attributes do not match their checksum", path)
        try:
            self.provenance: dict[str, Any] = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _damaged("its provenance is unreadable", path) from error

    def prepare(self, n_cells: int, n_layers: int) -> tuple[bool, bool]:
        """Find the datasets and check their shapes; returns whether overflow energies and times are there."""
        self._n_cells = n_cells
        self._columns = {name: self._file.dataset(f"incident/{name}", (None,)) for name in COLUMNS}
        self.n = len(self._columns["energy"])
        for name in COLUMNS:
            self._file.dataset(f"incident/{name}", (self.n,))
        self._offset = self._file.dataset("cells/offset", (self.n + 1,))
        self._index = self._file.dataset("cells/index", (None,))
        self._energy = self._file.dataset("cells/energy", self._index.shape)
        has, timed = "overflow" in self._file, "cells/time" in self._file
        self._overflow = self._file.dataset("overflow", (self.n, n_layers)) if has else None
        self._time = self._file.dataset("cells/time", self._index.shape) if timed else None
        return has, timed

    @property
    def hits(self) -> int:
        return len(self._index)

    def rows(self, start: int, stop: int) -> Sparse:
        offset = self._offset[start : stop + 1].astype(np.int64)
        self._check_offset(offset, f"{self._file.path}, showers {start} to {stop - 1}")
        first, last = int(offset[0]), int(offset[-1])
        incident = self.columns(start, stop)
        outside = None if self._overflow is None else self._overflow[start:stop]
        index, energy = self._index[first:last], self._energy[first:last]
        time = None if self._time is None else self._time[first:last]
        return Sparse(incident, offset - first, index, energy, outside, self._n_cells, time)

    def _check_offset(self, offset: NDArray[np.int64], where: str) -> None:
        """Refuse what does not fit before it is read: a shower has no more hits than there are cells."""
        hits = np.diff(offset)
        if offset[0] < 0 or offset[-1] > len(self._index) or hits.min() < 0 or hits.max() > self._n_cells:
            raise ShowersError(
                "damaged shower file: the row offsets point outside the stored cells",
                where=where,
                got=f"{offset[0]} to {offset[-1]}, {hits.min()} to {hits.max()} hits in a shower",
                expected=f"0 to {len(self._index)}, 0 to {self._n_cells} hits",
                cure="make or copy the file again",
            )

    def columns(self, start: int, stop: int) -> Incident:
        return Incident(**{name: column[start:stop] for name, column in self._columns.items()})

    def close(self) -> None:
        self._file.close()


def _damaged(what: str, where: Path, expected: str | None = None) -> ShowersError:
    cure = "make or copy the file again"
    return ShowersError(f"damaged shower file: {what}", where=where, expected=expected, cure=cure)


def _digest(*texts: str) -> str:
    return _sha256("\0".join(texts))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


class _Producing:
    """Rows of a production that is not finished."""

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self.detector = str(self._journal.head["detector"])
        self.provenance: dict[str, Any] = self._journal.head["provenance"]
        self.n, self.hits = len(self._journal), self._journal.hits
        torn = f"its last {self._journal.torn:,} bytes hold no whole record and are left out"
        self.notes = (torn,) if self._journal.torn else ()

    def prepare(self, n_cells: int, n_layers: int) -> tuple[bool, bool]:
        """Check that the journal is of this detector; returns whether it has overflow energies and times."""
        head = self._journal.head
        if (head["n_cells"], head["n_layers"]) != (n_cells, n_layers):
            raise ShowersError("damaged journal: its detector does not fit it", where=self._journal.path)
        return bool(head["overflow"]), self._journal.time

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
    if str(schema).startswith("caloforge-events/"):
        return ShowersError(
            "this is a file of whole events, which have many particles each",
            where=path,
            got=schema,
            expected=SCHEMA,
            cure="read it with caloforge.simulation.output.EventFile, see docs/events.md",
        )
    return ShowersError(
        "this shower file was written by another version of caloforge",
        where=path,
        got=schema,
        expected=SCHEMA,
        cure="use the version of caloforge that wrote it, or a newer one",
    )
