"""What every foreign format shares: its entry in the registry, its reader's frame, its growing file."""

from __future__ import annotations

__all__ = [
    "GEV",
    "ArraysFile",
    "ForeignFile",
    "Format",
    "GrowingFile",
    "Shapes",
    "check_images",
    "preset_like",
    "rows_of",
]

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError
from caloforge.hdf5 import Dataset
from caloforge.hdf5.output import Hdf5Output, hdf5_into, put_text
from caloforge.showers.container import Showers, same_detector
from caloforge.showers.formats.storage import ARRAYS, Arrays, Opened
from caloforge.showers.formats.storage.npz import NpzArray
from caloforge.showers.incident import Incident
from caloforge.showers.source import ShowerSource
from caloforge.writing import new_file

if TYPE_CHECKING:
    from caloforge.detector import Detector

GEV = 1000.0  # MeV
_NAMED = 12  # datasets that are left out

FileT = TypeVar("FileT", bound=Opened)
Shapes = list[tuple[int, ...]]
"""Shapes of the layers, or one flat shape."""
Opener = Callable[[Any, "Detector | None", int | None], ShowerSource]
Writer = Callable[[Path, "Detector", Iterable[Showers]], None]


@dataclass(frozen=True)
class Format:
    """One shower format.

    Attributes:
        name: What `--from` and `--to` call it.
        about: One line on who writes it and in which units.
        suffix: A file name that ends like this is written in this format.
        keeps: Incident columns that the format has a place for, and `overflow` and `time` if it has one.
        recognises: Whether an open file, of a kind that is in `storage`, is of this format.
        open: Makes the reader, from open file, detector or None, and PDG id or None.
        write: Writes all showers to a path that does not exist.
        storage: What such files are stored in.
        smear: Writes points that lie anywhere in their cells, where the format holds points.
    """

    name: str
    about: str
    suffix: str
    keeps: frozenset[str]
    recognises: Callable[[Any], bool]
    open: Opener
    write: Writer
    storage: tuple[type, ...] = ARRAYS
    smear: Writer | None = None


class ForeignFile(ShowerSource, Generic[FileT]):
    """Frame of a reader of somebody else's file.

    A subclass finds its columns in `_find`, which returns the number of showers and the shapes of the
    layers, or None where they do not show. `_cells` and `_incident` read rows.

    Args:
        file: The open file, which is closed with the reader.
        detector: What was hit, where the file does not say.
        pdg: PDG id of the particles, where it does not say.
    """

    def __init__(self, file: FileT, detector: Detector | None, pdg: int | None) -> None:
        self.path = file.path
        self.provenance: dict[str, Any] = {}
        self.pdg = pdg
        self._file = file
        self._n, shapes = self._find(file)
        self.detector = self._hit(detector, shapes)
        self._name_what_is_left_out(file)
        self._check_shapes(shapes)

    def _hit(self, given: Detector | None, shapes: Shapes | None) -> Detector:
        """The detector: what the file says, the given one, or a preset of these shapes."""
        said = self._said(self._file)
        if said is not None:
            if given is not None:
                same_detector(given, said, self.path)
            return said
        return given or self._preset(shapes)

    def _name_what_is_left_out(self, file: FileT) -> None:
        # By their names alone: nobody has to be able to read what is not read.
        names = sorted(file.keys())
        known = file.taken | {name.rpartition("/")[0] for name in names}
        left = [name for name in names if name not in known]
        if left:
            more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
            self.notes = (*self.notes, f"left out: {', '.join(left[:_NAMED])}{more}")

    def _check_shapes(self, shapes: Shapes | None) -> None:
        have = [layer.shape for layer in self.detector.layers]
        if shapes is not None and shapes != have and shapes != [(self.detector.n_cells,)]:
            raise ShowersError(
                f"these showers do not fit the detector {self.detector.name!r}",
                where=self.path,
                got=_shapes(shapes),
                expected=_shapes(have),
                cure="give the detector they were made with: --detector NAME or FILE.yaml",
            )

    def __len__(self) -> int:
        return self._n

    @abstractmethod
    def _find(self, file: FileT) -> tuple[int, Shapes | None]: ...

    def _said(self, file: FileT) -> Detector | None:  # noqa: ARG002
        """The detector that the file names, if it does."""
        return None

    @abstractmethod
    def _cells(self, start: int, stop: int) -> NDArray[np.float32]: ...

    @abstractmethod
    def _incident(self, start: int, stop: int) -> Incident: ...

    def _overflow(self, start: int, stop: int) -> NDArray[np.float32] | None:  # noqa: ARG002
        return None

    def _times(self, start: int, stop: int) -> NDArray[np.float32] | None:  # noqa: ARG002
        return None

    def raw(self, start: int, stop: int) -> Showers:
        with _quiet():
            incident, cells = self._incident(start, stop), self._cells(start, stop)
            overflow, time = self._overflow(start, stop), self._times(start, stop)
        return Showers(self.detector, incident, cells, overflow, self.provenance, time)

    def incident(self) -> Incident:
        return self.columns(0, self._n)

    def columns(self, start: int, stop: int) -> Incident:
        with _quiet():
            return self._incident(start, stop)

    def close(self) -> None:
        self._file.close()

    def _preset(self, shapes: Shapes | None) -> Detector:
        if shapes is None:
            raise ShowersError(
                "the file does not say what was hit",
                where=self.path,
                cure="give the detector: --detector NAME or FILE.yaml; `convert` makes a file that says it",
            )
        found = preset_like(tuple(shapes))
        if found is None:
            raise ShowersError(
                "no preset detector has the shape of these showers",
                where=self.path,
                got=_shapes(shapes),
                cure="give the detector they were made with: --detector FILE.yaml",
            )
        self.notes = (*self.notes, f"taken for the preset detector {found.name!r} by its shape")
        return found

    def _unknown_particle(self) -> int:
        if self.pdg is None:
            self.notes = (*self.notes, "the file does not say which particle (`convert --particle e+` does)")
        return self.pdg or 0


class ArraysFile(ForeignFile[Arrays]):
    """Frame of a reader of named arrays, in HDF5 or npz."""


def _quiet() -> np.errstate:
    """NaN and numbers beyond float32 are found and reported later, with their count."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


@lru_cache(maxsize=64)
def preset_like(shapes: tuple[tuple[int, ...], ...]) -> Detector | None:
    """The preset whose layers have these shapes, or whose cells have this one number."""
    from caloforge.detector import load_detector, preset_names

    for name in preset_names():
        detector = load_detector(name)
        if tuple(layer.shape for layer in detector.layers) == shapes or shapes == ((detector.n_cells,),):
            return detector
    return None


def rows_of(file: Arrays, key: str, n: int | None = None) -> tuple[Dataset | NpzArray, int]:
    """A column, `(n,)` or `(n, 1)`, and its length.

    Raises:
        ShowersError: Absent, or of another shape.
    """
    shape = file.shape(key) or ()
    found = file.dataset(key, (n, 1) if len(shape) == 2 else (n,))
    return found, len(found)


def check_images(detector: Detector, form: str) -> None:
    """See that layers are images, which the format `form` holds.

    Raises:
        ShowersError: The cells of one are polygons.
    """
    for layer in detector.layers:
        if layer.grid.kind in ("hexagonal", "cells"):
            raise ShowersError(
                f"the {form} format holds images, and these cells are polygons",
                where=f"detector {detector.name}, layer {layer.name}",
                got=f"a {layer.grid.kind} grid",
                cure="write another format: --to caloforge",
            )


class GrowingFile:
    """An HDF5 file whose datasets grow at their end; it has its own name only when it is whole."""

    def __init__(self, file: Hdf5Output) -> None:
        self._file = file

    @classmethod
    @contextmanager
    def create(cls, path: Path) -> Iterator[GrowingFile]:
        """Open for writing; an exception leaves nothing behind."""
        with new_file(path) as out, hdf5_into(out) as file:
            yield cls(file)

    def append(self, key: str, values: NDArray[Any]) -> None:
        """Add rows to a dataset, which the first rows make, compressed with gzip."""
        if key not in self._file:
            # About 1 MB a chunk: a shower at a time can be read without reading the whole file.
            rows = max(1, min(len(values), (1 << 20) // max(1, values[0].nbytes)))
            self._file.create_dataset(
                key,
                data=values,
                maxshape=(None, *values.shape[1:]),
                chunks=(rows, *values.shape[1:]),
                compression="gzip",
                compression_opts=1,
            )
        else:
            found = self._file[key]
            start = len(found)
            found.resize(start + len(values), axis=0)
            found[start:] = values
        self._file.check()

    def append_lists(self, key: str, rows: Sequence[NDArray[np.float32]]) -> None:
        """Add lists of any length to a dataset of lists, which the first ones make."""
        if key not in self._file:
            kind, chunk = h5py.vlen_dtype(np.float32), max(1, len(rows))
            self._file.create_dataset(key, shape=(0,), maxshape=(None,), chunks=(chunk,), dtype=kind)
        found = self._file[key]
        start = len(found)
        found.resize(start + len(rows), axis=0)
        found[start:] = list(rows)  # an array of objects of one length would be taken for a table (h5py 3.16)
        self._file.check()

    def attribute(self, name: str, text: str) -> None:
        """Write a text."""
        put_text(self._file, name, text)


def _shapes(shapes: Sequence[tuple[int, ...]]) -> str:
    if len(shapes) == 1:
        return f"{shapes[0][0]} cells" if len(shapes[0]) == 1 else f"1 layer of {shapes[0]}"
    if len(set(shapes)) == 1:
        return f"{len(shapes)} layers of {shapes[0]}"
    return f"{len(shapes)} layers of {', '.join(map(str, shapes))}"
