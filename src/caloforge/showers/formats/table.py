"""Showers as a table, one row each: the layout that Parquet and ROOT files share."""

from __future__ import annotations

__all__ = ["CELLS", "ENERGIES", "KEEPS", "SHOWERS", "TIMES", "TableFile", "is_table", "rows_of_showers"]

import json
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from caloforge.errors import ShowersError
from caloforge.showers.formats.hits import Hits, HitsFile
from caloforge.showers.formats.storage import Opened
from caloforge.showers.formats.storage.table import Lists, Table, lists_alike
from caloforge.showers.incident import COLUMNS, Incident
from caloforge.showers.sparse import Sparse
from caloforge.showers.times import check_times

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from caloforge.detector import Detector
    from caloforge.showers.container import Showers

FileT = TypeVar("FileT", bound=Opened)
CELLS, ENERGIES, TIMES, SHOWERS = "cell_index", "cell_energy", "cell_time", "showers"
KEEPS = frozenset({*COLUMNS, "overflow", "time"})


def is_table(has: Callable[[str], bool]) -> bool:
    """Whether a table with these columns holds showers."""
    return has("energy") and (has(SHOWERS) or (has(CELLS) and has(ENERGIES)))


class TableFile(HitsFile[FileT]):
    """Reads rows of showers: `energy` in MeV, and lists `cell_index` and `cell_energy` in MeV.

    A list `cell_time` in ns may stand beside these two, or a list `showers` of all cells in MeV for them.
    `theta`, `phi` (rad), `x`, `y` (mm), `pdg` and `overflow`, a list of one number per layer in MeV, may be
    there. The detector is the one that the file
    names, if it was written by caloforge.
    """

    _table: Table

    @abstractmethod
    def _text(self, name: str) -> str | None: ...

    def _find(self, file: FileT) -> tuple[int, list[tuple[int, ...]] | None]:
        self._table = self._rows(file)
        n = len(self._table)
        self._names = [
            name for name in COLUMNS if name in self._table and (name != "pdg" or self.pdg is None)
        ]
        self._pdg = 0 if "pdg" in self._table else self._unknown_particle()
        self.provenance = _json(self._text("provenance"))
        self._has_overflow = "overflow" in self._table
        self._flat = CELLS not in self._table
        self._timed = not self._flat and TIMES in self._table
        cells = [SHOWERS] if self._flat else [CELLS, ENERGIES, *[TIMES] * self._timed]
        self._table.take("energy", *self._names, *cells, *["overflow"] * self._has_overflow)
        if not self._flat or n == 0:
            return n, None
        return n, [(len(self._table.lists(SHOWERS, 0, 1).values),)]

    @abstractmethod
    def _rows(self, file: FileT) -> Table: ...

    def _said(self, file: FileT) -> Detector | None:  # noqa: ARG002
        from caloforge.detector import Detector

        text = self._text("detector")
        return None if text is None else Detector.from_yaml(text, where=f"{self.path}, its detector")

    def _hits(self, start: int, stop: int) -> Hits:
        if self._flat:
            cells = self._equal(SHOWERS, start, stop, self.detector.n_cells)
            every = np.tile(np.arange(self.detector.n_cells), stop - start)
            return Hits(cells.offset, every, cells.values.astype(np.float64))
        index, energy = lists_alike(self._table, (CELLS, ENERGIES), start, stop, self.path)
        self._check_index(index.values)
        return Hits(index.offset, index.values.astype(np.int64), energy.values.astype(np.float64))

    def _times(self, start: int, stop: int) -> NDArray[np.float32] | None:
        if not self._timed:
            return None
        _, times = lists_alike(self._table, (CELLS, TIMES), start, stop, self.path)
        check_times(times.values, self.path)
        return self._hits(start, stop).times(times.values, self.detector.n_cells)

    def _check_index(self, index: NDArray[Any]) -> None:
        if len(index) and not (
            index.dtype.kind in "iu" and 0 <= index.min() <= index.max() < self.detector.n_cells
        ):
            raise ShowersError(
                f"a cell number is none of the detector {self.detector.name!r}",
                where=f"{self.path}, {CELLS!r}",
                got=f"{index.dtype} up to {index.max()}",
                expected=f"whole numbers from 0 to {self.detector.n_cells - 1}",
                cure="give the detector they were made with: --detector NAME or FILE.yaml",
            )

    def _equal(self, key: str, start: int, stop: int, length: int) -> Lists:
        lists = self._table.lists(key, start, stop)
        wrong = np.flatnonzero(np.diff(lists.offset) != length)
        if len(wrong):
            raise ShowersError(
                "a list has another length",
                where=f"{self.path}, {key!r}, row {start + wrong[0]}",
                got=np.diff(lists.offset)[wrong[0]],
                expected=length,
            )
        return lists

    def _incident(self, start: int, stop: int) -> Incident:
        columns = {name: self._table.flat(name, start, stop) for name in self._names}
        if "pdg" not in columns:
            columns["pdg"] = np.full(stop - start, self.pdg or self._pdg)
        return Incident.of(**columns)

    def _overflow(self, start: int, stop: int) -> NDArray[np.float32] | None:
        if not self._has_overflow:
            return None
        lists = self._equal("overflow", start, stop, self.detector.n_layers)
        return lists.values.astype(np.float32).reshape(stop - start, -1)


def rows_of_showers(part: Showers) -> tuple[Incident, dict[str, Lists], Lists | None]:
    """What a row holds: the particle, columns of the cells, and the overflow if it was kept."""
    sparse = Sparse.of(part.incident, part.cells, None, part.time)
    columns = {CELLS: sparse.index.astype(np.uint32), ENERGIES: sparse.energy}
    columns |= {} if sparse.time is None else {TIMES: sparse.time}
    cells = {name: Lists(sparse.offset, values) for name, values in columns.items()}
    overflow = None
    if part.overflow is not None:
        n, layers = part.overflow.shape
        overflow = Lists(np.arange(n + 1) * layers, part.overflow.ravel())
    return part.incident, cells, overflow


def _json(text: str | None) -> dict[str, Any]:
    """Provenance, which is told and not relied upon."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
