"""ROOT: a tree with one entry per shower, its hit cells as branches of any length."""

from __future__ import annotations

__all__ = ["FORMAT", "RootShowers"]

import json
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.showers.container import Showers
from caloforge.showers.formats.base import Format
from caloforge.showers.formats.storage.root import RootFile, jagged, new_root
from caloforge.showers.formats.storage.table import Table
from caloforge.showers.formats.table import CELLS, KEEPS, TableFile, is_table, rows_of_showers
from caloforge.showers.incident import COLUMNS

if TYPE_CHECKING:
    from caloforge.detector import Detector

_TREE = "showers"


class RootShowers(TableFile[RootFile]):
    """See `TableFile`; the first TTree or RNTuple that has such columns."""

    format = "root"

    def _rows(self, file: RootFile) -> Table:
        return file.table((_tables(file) or [_TREE])[0])

    def _text(self, name: str) -> str | None:
        return self._file.text(name)


def _tables(file: RootFile) -> list[str]:
    return [tree for tree in file.trees if is_table(file.table(tree).__contains__)]


def _write(path: Path, detector: Detector, parts: Iterable[Showers]) -> None:
    rest = iter(parts)
    first = next(rest)
    kinds: dict[str, Any] = {name: np.dtype(kind) for name, (kind, _) in COLUMNS.items()}
    time = "" if first.time is None else ", time: float32"
    kinds["cell"] = f"var * {{index: uint32, energy: float32{time}}}"
    if first.overflow is not None:
        kinds["overflow"] = np.dtype((np.float32, (detector.n_layers,)))
    with new_root(path) as file:
        tree = file.mktree(_TREE, kinds, title="one entry per shower; MeV, mm, rad, ns")
        for part in chain([first], rest):
            tree.extend(_columns(part))
        file["detector"] = detector.to_yaml()
        file["provenance"] = json.dumps(first.provenance)


def _columns(part: Showers) -> dict[str, Any]:
    incident, columns, _ = rows_of_showers(part)
    fields = {name.removeprefix("cell_"): lists.values for name, lists in columns.items()}
    cells = jagged(columns[CELLS].offset, fields)
    overflow = {} if part.overflow is None else {"overflow": part.overflow}
    return {**dict(incident.items()), "cell": cells, **overflow}


FORMAT = Format(
    name="root",
    about="ROOT: a tree of energy, cell_index and cell_energy in MeV, cell_time in ns",
    suffix=".root",
    keeps=KEEPS,
    recognises=lambda file: bool(_tables(file)),
    open=RootShowers,
    write=_write,
    storage=(RootFile,),
)
