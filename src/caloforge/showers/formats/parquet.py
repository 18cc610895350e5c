"""Parquet: one row per shower, its hit cells as lists."""

from __future__ import annotations

__all__ = ["FORMAT", "ParquetShowers"]

import json
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge.showers.container import Showers
from caloforge.showers.formats.base import Format
from caloforge.showers.formats.storage.parquet import ParquetFile, new_parquet, pyarrow
from caloforge.showers.formats.storage.table import Lists, Table
from caloforge.showers.formats.table import KEEPS, TableFile, is_table, rows_of_showers

if TYPE_CHECKING:
    from caloforge.detector import Detector


class ParquetShowers(TableFile[ParquetFile]):
    """See `TableFile`; written by caloforge, pyarrow or awkward."""

    format = "parquet"

    def _rows(self, file: ParquetFile) -> Table:
        return file

    def _text(self, name: str) -> str | None:
        return self._file.text(f"caloforge.{name}")


def _write(path: Path, detector: Detector, parts: Iterable[Showers]) -> None:
    pa = pyarrow()
    rest = iter(parts)
    first = next(rest)
    about = {"caloforge.detector": detector.to_yaml(), "caloforge.provenance": json.dumps(first.provenance)}
    columns = _columns(first)
    schema = pa.schema([(name, column.type) for name, column in columns.items()], metadata=about)
    with new_parquet(path, schema) as file:
        for part in chain([first], rest):
            file.write_table(pa.table(_columns(part), schema=schema))


def _columns(part: Showers) -> dict[str, Any]:
    pa = pyarrow()
    incident, cells, overflow = rows_of_showers(part)
    columns = {name: pa.array(values) for name, values in incident.items()}
    columns |= {name: _list(values) for name, values in cells.items()}
    return columns | ({} if overflow is None else {"overflow": _list(overflow)})


def _list(lists: Lists) -> Any:
    pa = pyarrow()
    return pa.ListArray.from_arrays(pa.array(lists.offset.astype("int32")), pa.array(lists.values))


FORMAT = Format(
    name="parquet",
    about="Parquet: rows of energy, cell_index and cell_energy in MeV, cell_time in ns",
    suffix=".parquet",
    keeps=KEEPS,
    recognises=lambda file: is_table(file.__contains__),
    open=ParquetShowers,
    write=_write,
    storage=(ParquetFile,),
)
