"""Events in HDF5: particles and cells of each event as compressed rows, like those of the shower store."""

from __future__ import annotations

__all__ = ["SCHEMA", "hdf5_writer"]

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from caloforge.hdf5.output import Hdf5Output, hdf5_into, put_text
from caloforge.simulation.output.base import PARTICLES, About, cell_columns, particle_columns
from caloforge.writing import new_file

if TYPE_CHECKING:
    from caloforge.simulation.making import Made

SCHEMA = "caloforge-events/1"
_CHUNK = 1 << 14  # numbers
# Bytes of chunks of each dataset that are kept in memory; a chunk has at most an eighth of it.
_CACHE = 1 << 20


@contextmanager
def hdf5_writer(path: Path, about: About) -> Iterator[_Hdf5Writer]:
    """Open an HDF5 file of events.

    Raises:
        OutputError: It exists, another process writes it, or the disk is full.
    """
    with new_file(path) as out, hdf5_into(out, libver=("v110", "v110"), rdcc_nbytes=_CACHE) as file:
        yield _Hdf5Writer(file, about)


class _Hdf5Writer:
    """Datasets that grow with each batch."""

    def __init__(self, file: Hdf5Output, about: About) -> None:
        self._file, self._about = file, about
        # Kept open: closing a dataset packs its last chunk, which the next batch would unpack again.
        self._columns: dict[str, h5py.Dataset] = {}
        self._ends = {"particles": 0, "cells": 0}
        layers, weights = about.detector.n_layers, len(about.weights)
        self._make("events/number", "<i8", "1")
        self._make("events/weight", "<f8", "1", weights)
        self._make("outside", "<f4", "MeV", layers)
        for name, (kind, unit) in PARTICLES.items():
            self._make(f"particles/{name}", kind, unit)
        for name, (kind, unit) in about.cells.items():
            self._make(f"cells/{name}", kind, unit, packed=name != "energy")
        for group in self._ends:
            self._make(f"{group}/offset", "<i8", "1")
            self._add(f"{group}/offset", np.zeros(1, np.int64))

    def append(self, made: Made) -> None:
        """Write events."""
        self._add("events/number", made.batch.numbers)
        self._add("events/weight", made.batch.weights)
        self._add("outside", made.outside)
        for name, column in particle_columns(made).items():
            self._add(f"particles/{name}", column)
        for name, column in cell_columns(made).items():
            self._add(f"cells/{name}", column)
        for group, offset in (("particles", made.batch.offset), ("cells", made.offset)):
            self._add(f"{group}/offset", offset[1:] + self._ends[group])
            self._ends[group] += int(offset[-1])
        self._file.check()

    def finish(self, provenance: dict[str, Any]) -> None:
        """Write how they were made."""
        about = self._about
        texts = {
            "schema": SCHEMA,
            "detector": about.detector.to_yaml(),
            "provenance": json.dumps(provenance, default=str),
            "units": json.dumps({"energy": "MeV", "length": "mm", "angle": "rad"}),
            "fates": json.dumps(about.fates),
            "weights": json.dumps(about.weights),
        }
        for name, text in texts.items():
            put_text(self._file, name, text)
        self._file.check()

    def _make(self, key: str, kind: str, unit: str, width: int | None = None, packed: bool = True) -> None:
        shape = () if width is None else (width,)
        # Mantissas of energies are noise: packing them would cost time and save little.
        gzip = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if packed else {}
        chunks = (max(1, _CHUNK // (width or 1)), *shape)
        made = self._file.create_dataset(
            key, (0, *shape), kind, maxshape=(None, *shape), chunks=chunks, fletcher32=True, **gzip
        )
        put_text(made, "unit", unit)
        self._columns[key] = made

    def _add(self, key: str, values: NDArray[Any]) -> None:
        found = self._columns[key]
        start = len(found)
        found.resize(start + len(values), axis=0)
        found[start:] = values
